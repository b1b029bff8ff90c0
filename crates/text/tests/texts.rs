//! Which input is read and which refused: whole, in parts and by lines.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use latimer_text::{Encoding, Error, Reader, Result, check, from_bytes, read, without_mark};
use proptest::prelude::*;
use std::io::Read;
use std::path::Path;

const NAME: &str = "corpus.txt";

/// A reader that returns a few bytes at a time, as a pipe may.
struct Slowly<'b>(&'b [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let some = self.1.min(buffer.len()).min(self.0.len());
        self.0.read(&mut buffer[..some])
    }
}

fn reader(bytes: &[u8], step: usize) -> Reader<Slowly<'_>> {
    Reader::new(Slowly(bytes, step), Path::new(NAME))
}

fn in_parts(bytes: &[u8], step: usize) -> Result<String> {
    let mut reader = reader(bytes, step);
    let mut text = String::new();
    while let Some(part) = reader.next_part(8)? {
        text.push_str(part);
    }
    assert_eq!(reader.bytes_read(), bytes.len() as u64);
    Ok(text)
}

fn by_lines(bytes: &[u8], step: usize) -> Result<Vec<String>> {
    let mut reader = reader(bytes, step);
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line()? {
        lines.push(line.to_owned());
    }
    Ok(lines)
}

fn refused(bytes: &[u8]) -> (Option<Encoding>, u64) {
    let name = Path::new(NAME);
    let error = from_bytes(bytes.to_vec(), name).unwrap_err();
    assert_eq!(
        check(bytes, name).unwrap_err().to_string(),
        error.to_string()
    );
    let whole = reader(bytes, usize::MAX).rest().unwrap_err();
    assert_eq!(whole.to_string(), error.to_string());
    match error {
        Error::Encoding {
            encoding, offset, ..
        } => (Some(encoding), offset),
        Error::NotUtf8 { offset, .. } => (None, offset),
        other => panic!("{other}"),
    }
}

fn utf16(text: &str, encoding: Encoding) -> Vec<u8> {
    let units = text.encode_utf16();
    match encoding {
        Encoding::Utf16Le => units.flat_map(u16::to_le_bytes).collect(),
        _ => units.flat_map(u16::to_be_bytes).collect(),
    }
}

fn utf32(text: &str, encoding: Encoding) -> Vec<u8> {
    let codes = text.chars().map(u32::from);
    match encoding {
        Encoding::Utf32Le => codes.flat_map(u32::to_le_bytes).collect(),
        _ => codes.flat_map(u32::to_be_bytes).collect(),
    }
}

fn encoded(text: &str, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Utf16Le | Encoding::Utf16Be => utf16(text, encoding),
        _ => utf32(text, encoding),
    }
}

const ENCODINGS: [Encoding; 4] = [
    Encoding::Utf16Le,
    Encoding::Utf16Be,
    Encoding::Utf32Le,
    Encoding::Utf32Be,
];

#[test]
fn a_mark_is_no_part_of_the_text() {
    for marks in 0..3 {
        let bytes = [&b"\xef\xbb\xbf".repeat(marks)[..], b"a\xef\xbb\xbfb"].concat();
        // A mark inside a text is a character.
        let text = "a\u{feff}b";
        assert_eq!(check(&bytes, Path::new(NAME)).unwrap(), text);
        assert_eq!(
            without_mark(&from_bytes(bytes.clone(), Path::new(NAME)).unwrap()),
            text
        );
        for step in 1..9 {
            assert_eq!(in_parts(&bytes, step).unwrap(), text, "{marks} {step}");
            assert_eq!(by_lines(&bytes, step).unwrap(), [text], "{marks} {step}");
        }
    }
    assert_eq!(
        from_bytes(b"\xef\xbb\xbf".to_vec(), Path::new(NAME)).unwrap(),
        ""
    );
    assert_eq!(refused(b"\xef\xbb"), (None, 0));
}

#[test]
fn other_encodings_are_named_with_and_without_a_mark() {
    for encoding in ENCODINGS {
        for text in [
            "to be\n",
            "hi",
            "Ça va ?\r\nété\n",
            "to be 東京, or not",
            "🙂 yes\n",
        ] {
            let marked = encoded(&format!("\u{feff}{text}"), encoding);
            assert_eq!(refused(&marked), (Some(encoding), 0), "{text:?}");
            let bare = encoded(text, encoding);
            assert_eq!(refused(&bare).0, Some(encoding), "{encoding} {text:?}");
            for step in 1..7 {
                // The result does not depend on the parts in which the bytes come.
                let error = in_parts(&bare, step).unwrap_err().to_string();
                assert!(error.contains(encoding.name()), "{step} {text:?}: {error}");
            }
        }
    }
    for encoding in [Encoding::Utf16Le, Encoding::Utf16Be] {
        // In Cyrillic, Greek and Hebrew, only spaces and line ends have zero bytes.
        for text in ["привет, как дела\n", "καλημέρα κόσμε", "שלום עולם\n"]
        {
            assert_eq!(refused(&utf16(text, encoding)).0, Some(encoding), "{text}");
        }
    }
}

#[test]
fn text_of_two_encodings_is_refused_where_the_second_begins() {
    // PowerShell 5 appends such text with `>>` to a file of other programs.
    let first = "le chat est sous la table\n".repeat(400);
    let mut bytes = first.clone().into_bytes();
    bytes.extend(utf16("and so on\r\n", Encoding::Utf16Le));
    let (encoding, offset) = refused(&bytes);
    assert_eq!(encoding, Some(Encoding::Utf16Le));
    assert_eq!(offset, first.len() as u64 + 1);
    let mut bytes = first.clone().into_bytes();
    bytes.extend(utf16("\u{feff}and so on\r\n", Encoding::Utf16Le));
    assert_eq!(
        refused(&bytes),
        (Some(Encoding::Utf16Le), first.len() as u64)
    );
}

#[test]
fn single_zero_bytes_are_characters() {
    let padded = format!("a log that was cut{}\nand went on\n", "\0".repeat(500));
    let texts = [
        "\0",
        "a\0",
        "a\0b",
        "x\0y\n",
        "a\0b\0c\n",
        "one\0two\0three\0",
        "1\n2\n\0\n3\n",
        &"\0".repeat(64),
        &padded,
    ];
    for text in texts {
        let bytes = text.as_bytes();
        assert_eq!(check(bytes, Path::new(NAME)).unwrap(), text);
        for step in 1..7 {
            assert_eq!(reader(bytes, step).rest().unwrap(), text, "{step}");
        }
    }
}

#[test]
fn what_is_no_text_is_named_by_its_place() {
    assert_eq!(refused(b"\xff"), (None, 0));
    assert_eq!(refused(b"caf\xe9 noir"), (None, 3));
    assert_eq!(refused(b"\xef\xbb\xbfcaf\xe9"), (None, 6));
    assert_eq!(
        refused("café".as_bytes().split_last().unwrap().1),
        (None, 3)
    );
    let error = from_bytes(b"caf\xe9".to_vec(), Path::new("a b.txt")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a b.txt is not UTF-8 text: byte 3 does not belong to a character (it is 0xe9); if the file \
         is text in another encoding, such as Latin-1, convert it with `iconv -f LATIN1 -t UTF-8 \
         'a b.txt' > NEW`"
    );
    let error = from_bytes(b"\xff\xfeh\0".to_vec(), Path::new("stdin")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stdin is UTF-16LE text (detected at byte 0), but this program reads UTF-8: convert it \
         with `iconv -f UTF-16LE -t UTF-8` in front of this command"
    );
}

#[test]
fn lines_have_no_ends_and_those_before_a_fault_are_given() {
    for step in 1..7 {
        let lines = by_lines(b"\xef\xbb\xbfa\r\n\n\r\nb\rc\nd\r", step).unwrap();
        assert_eq!(lines, ["a", "", "", "b\rc", "d\r"]);
        let mut reader = reader(b"first\nsec\xffond\n", step);
        assert_eq!(reader.next_line().unwrap(), Some("first"));
        let error = reader.next_line().unwrap_err().to_string();
        assert!(error.contains("byte 9 "), "{error}");
    }
}

#[test]
fn files_are_read_once_and_missing_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    let error = read(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
    std::fs::write(&path, "\u{feff}le chat\r\n").unwrap();
    assert_eq!(read(&path).unwrap(), "le chat\r\n");
}

proptest! {
    #[test]
    fn text_is_what_it_is(text in any::<String>(), step in 1usize..40) {
        // Texts with control characters in every second place are excluded here.
        prop_assume!(!text.contains('\0') && !text.starts_with('\u{feff}'));
        let bytes = text.as_bytes();
        prop_assert_eq!(check(bytes, Path::new(NAME)).unwrap(), &text);
        prop_assert_eq!(in_parts(bytes, step).unwrap(), text.as_str());
        let lines: Vec<_> = text.split_inclusive('\n').map(|line| {
            let line = line.strip_suffix('\n').map(|l| l.strip_suffix('\r').unwrap_or(l)).unwrap_or(line);
            line.to_owned()
        }).collect();
        prop_assert_eq!(by_lines(bytes, step).unwrap(), lines);
    }

    #[test]
    fn any_bytes_are_text_or_have_a_sentence(bytes in any::<Vec<u8>>(), step in 1usize..9) {
        match check(&bytes, Path::new(NAME)) {
            Ok(text) => prop_assert!(bytes.ends_with(text.as_bytes())),
            Err(error) => prop_assert!(error.to_string().starts_with(NAME)),
        }
        // Reading in parts must not panic either, and must not return bytes that are not there.
        if let Ok(text) = in_parts(&bytes, step) {
            prop_assert!(bytes.ends_with(text.as_bytes()));
        }
    }

    #[test]
    fn words_in_utf16_are_never_text(
        text in "[a-zA-Z,.;]{1,12}( [a-zA-Z,.;é]{1,12}){1,20}\n",
        le in any::<bool>(),
    ) {
        let encoding = if le { Encoding::Utf16Le } else { Encoding::Utf16Be };
        prop_assert_eq!(refused(&utf16(&text, encoding)).0, Some(encoding));
    }
}
