//! Bytes as printable characters, the spelling of tokens in GPT-2's files and, after them, in
//! Hugging Face's.
//!
//! A byte that Latin-1 shows as a visible character is written as that character. The others are
//! written, in order, as the characters from U+0100 on. A space is `Ġ`.

use crate::bpe::BpeError;

/// Whether the byte is its own character.
const fn is_visible(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

/// The character of each byte.
const CHARACTERS: [char; 256] = {
    let mut characters = ['\0'; 256];
    let mut hidden = 0;
    let mut byte = 0;
    while byte < 256 {
        characters[byte] = if is_visible(byte as u8) {
            byte as u8 as char
        } else {
            hidden += 1;
            match char::from_u32(0x100 + hidden - 1) {
                Some(c) => c,
                None => panic!("U+0100 to U+0143 are characters"),
            }
        };
        byte += 1;
    }
    characters
};

pub(crate) fn to_text(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| CHARACTERS[usize::from(*byte)])
        .collect()
}

/// The bytes in the order of their characters, which is how Hugging Face numbers them.
pub(crate) fn ordered() -> [u8; 256] {
    let mut bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
    bytes.sort_by_key(|byte| CHARACTERS[usize::from(*byte)]);
    bytes
}

fn byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0..0x100 => Some(code as u8).filter(|byte| is_visible(*byte)),
        // The 68 other bytes, found by their position.
        code => (0..=255u8)
            .filter(|byte| !is_visible(*byte))
            .nth(code as usize - 0x100),
    }
}

pub(crate) fn to_bytes(token: &str) -> Result<Vec<u8>, BpeError> {
    token
        .chars()
        .map(|character| {
            byte(character).ok_or_else(|| BpeError::NotByteLevel {
                token: token.to_owned(),
                character,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_characters_are_gpt2s() {
        assert_eq!(to_text(b" a\n\x00~\xad\xff"), "ĠaĊĀ~Ńÿ");
        for byte in 0..=255u8 {
            assert_eq!(to_bytes(&to_text(&[byte])).unwrap(), [byte]);
        }
        assert!(to_bytes("a b").is_err());
        assert!(to_bytes("\u{144}").is_err());
        assert_eq!(ordered()[0], b'!');
        assert_eq!(ordered()[188], 0);
    }
}
