//! The tutorial's vocabulary: the package fitted on tiny Shakespeare, line by line.
//!
//! The text is `shakespeare.txt` in the folder of downloads (`latimer data get shakespeare`);
//! without it the test is skipped.

use std::env;
use std::fs;
use std::path::PathBuf;

use latimer_tokenizer::{LINE, NgramOptions, NgramTokenizer, Tokenizer};

/// The sub-words that the tutorial prints, from 6553.
const SUBWORDS: &str = "__sow __eow e s i r n t a o l d c u g p h m in er es b ed f ng y re st en te \
                        w v le ti on nt ar an un k co ri is de at ra or se li ne he ou ve ss di al it \
                        ea ns th ro pe ur et ly el me ta la rs io ch nd ce us ll tr sh";

// FNV-1a of the package's results with PYTHONHASHSEED=0, which numbers required tokens and marks in
// our order: its JSON; the rows of ids as little-endian u32, each after its length; the rows
// decoded again, joined by line ends.
const JSON: u64 = 0xf7df_81f2_3c59_65d9;
const IDS: u64 = 0x555b_1d90_9b02_003a;
const BACK: u64 = 0x7557_5335_01e8_0574;

#[test]
fn the_vocabulary_is_the_tutorials() {
    let Some(text) = shakespeare() else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    let t = NgramTokenizer::fit(&lines).unwrap();
    assert_eq!((t.words().len(), t.subwords().len()), (6553, 492));
    let listed: Vec<_> = SUBWORDS.split_whitespace().zip(6553..).collect();
    assert_eq!(listed.len(), 78);
    assert_eq!(t.subwords().take(78).collect::<Vec<_>>(), listed);
    assert_eq!(fnv1a(t.to_python_json().unwrap().into_bytes()), JSON);

    let rows = t.transform(&lines, false, None);
    let numbers = rows
        .iter()
        .flat_map(|row| [&[row.len() as u32], &row[..]].concat());
    assert_eq!(fnv1a(numbers.flat_map(u32::to_le_bytes)), IDS);
    let back = t.inverse_transform(&rows).unwrap().join("\n");
    assert_eq!(fnv1a(back.into_bytes()), BACK);
}

#[test]
fn a_model_of_256_ids_reads_and_writes_all_of_it() {
    let Some(text) = shakespeare() else { return };
    let t = NgramTokenizer::fit_with([&text], NgramOptions::language_model(256)).unwrap();
    assert_eq!(
        (t.vocab_size(), t.words().len(), t.subwords().len()),
        (256, 204, 52)
    );
    assert_eq!(t.special(LINE), Some(2));
    let ids = t.encode(&text).unwrap();
    let unknown = ids.iter().filter(|&&id| id == 0).count();
    // The package counts the same: `j`, `q`, `x` and `z` are too rare for 52 sub-words.
    assert_eq!((ids.len(), unknown), (736_719, 3197));
    let line = "hear me speak , good people : the gods know .\n";
    assert_eq!(t.decode(&t.encode(line).unwrap()).unwrap(), line);
}

/// The text; `None`, with a message, if it is not there.
fn shakespeare() -> Option<String> {
    let folder = match env::var_os("LATIMER_CACHE") {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => dirs::cache_dir().unwrap_or_default().join("latimer"),
    };
    let path = folder.join("shakespeare.txt");
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: there is no {}", path.display());
    }
    text
}

fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
