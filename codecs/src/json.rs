//! JSON text: what a string says without its escapes, and how to write one.
//!
//! Escaped text that comes in here has been validated before, so every escape is complete and every surrogate has its
//! partner. Nothing panics on text that was not: what cannot be decoded becomes U+FFFD.

use std::str::Chars;

use crate::plain::{is, is_below, unmarked_length};

/// The characters of an escaped JSON string (without its quotes), unescaped one by one.
pub struct Unescaped<'a> {
    rest: Chars<'a>,
}

/// Reads `escaped`, the inside of a JSON string, as the characters it stands for. Allocates nothing.
pub fn unescaped(escaped: &str) -> Unescaped<'_> {
    Unescaped { rest: escaped.chars() }
}

/// Appends to `out` what `escaped`, the inside of a JSON string, stands for.
pub fn unescape_into(escaped: &str, out: &mut String) {
    out.reserve(escaped.len());
    let mut rest = escaped;
    while let Some(escape) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..escape]);
        let mut behind = unescaped(&rest[escape..]);
        out.extend(behind.next());
        rest = behind.rest.as_str();
    }
    out.push_str(rest);
}

/// A JSON string without its quotes.
pub(crate) fn inside(string: &[u8]) -> &[u8] {
    string.get(1..string.len().saturating_sub(1)).unwrap_or_default()
}

/// Appends `text` to `out` as a JSON string with its quotes. RFC 8259, section 7.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Appends `text` to `out` as the inside of a JSON string.
pub(crate) fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut written = 0;
    while let Some(step) = first_to_escape(&bytes[written..]) {
        let at = written + step;
        out.extend_from_slice(&bytes[written..at]);
        write_escape(bytes[at], out);
        written = at + 1;
    }
    out.extend_from_slice(&bytes[written..]);
}

/// Appends `number` in decimal, two digits at a time.
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    let mut digits = [0u8; 20];
    let (pairs, _) = digits.as_chunks_mut::<2>();
    let (mut rest, mut used) = (number, 0);
    for place in pairs.iter_mut().rev() {
        *place = two_digits(rest);
        rest /= 100;
        used += 2;
        if rest == 0 {
            break;
        }
    }
    let start = digits.len() - used;
    let is_padded = digits[start] == b'0';
    out.extend_from_slice(&digits[start + usize::from(is_padded)..]);
}

/// The last two decimal digits of `number`.
pub(crate) fn two_digits(number: u64) -> [u8; 2] {
    PAIRS[(number % 100) as usize]
}

/// How many bytes at the start of `bytes` are plain string content: no quote, no backslash, no control character.
fn plain_length(bytes: &[u8]) -> usize {
    unmarked_length(bytes, |block| is(block, b'"') | is(block, b'\\') | is_below(block, b' '))
}

/// The longest prefix of `escaped` of at most `limit` bytes that ends neither inside a character, nor inside an
/// escape, nor between the halves of a surrogate pair.
pub(crate) fn escaped_prefix(escaped: &str, limit: usize) -> &str {
    let mut all = unescaped(escaped);
    let mut end = 0;
    while all.next().is_some() {
        let used = escaped.len() - all.rest.as_str().len();
        if used > limit {
            break;
        }
        end = used;
    }
    &escaped[..end]
}

/// The longest prefix of `escaped` that stands for at most `limit` bytes of UTF-8 and ends where a character does.
pub(crate) fn meaning_prefix(escaped: &str, limit: usize) -> &str {
    // An escape is never shorter than what it stands for.
    if escaped.len() <= limit {
        return escaped;
    }
    let mut all = unescaped(escaped);
    let (mut end, mut size) = (0, 0);
    while let Some(character) = all.next() {
        size += character.len_utf8();
        if size > limit {
            break;
        }
        end = escaped.len() - all.rest.as_str().len();
    }
    &escaped[..end]
}

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.rest.next()? {
            '\\' => Some(self.escape()),
            plain => Some(plain),
        }
    }
}

impl Unescaped<'_> {
    fn escape(&mut self) -> char {
        match self.rest.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => self.unicode(),
            Some(itself) => itself,
            None => char::REPLACEMENT_CHARACTER,
        }
    }

    fn unicode(&mut self) -> char {
        let first = self.hex4();
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        if !self.rest.as_str().starts_with("\\u") {
            return char::REPLACEMENT_CHARACTER;
        }
        self.rest.nth(1);
        match self.hex4() {
            second @ 0xdc00..0xe000 => {
                let pair = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => char::REPLACEMENT_CHARACTER,
        }
    }

    fn hex4(&mut self) -> u32 {
        let digits = self.rest.by_ref().take(4);
        digits.fold(0, |value, digit| value << 4 | digit.to_digit(16).unwrap_or(0))
    }
}

fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    let plain = plain_length(bytes);
    (plain < bytes.len()).then_some(plain)
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        control => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(control >> 4)]);
            out.push(HEX[usize::from(control & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [*b"00"; 100];
    let mut nth = 0;
    while nth < pairs.len() {
        pairs[nth] = [b'0' + (nth / 10) as u8, b'0' + (nth % 10) as u8];
        nth += 1;
    }
    pairs
};
const HEX: [u8; 16] = *b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(text in any::<String>()) {
            let mut written = Vec::new();
            write_string(&text, &mut written);
            prop_assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text.clone());
            let inside = std::str::from_utf8(&written[1..written.len() - 1]).unwrap();
            prop_assert_eq!(unescaped(inside).collect::<String>(), text);
        }

        #[test]
        fn unescaping_at_once_is_the_same_as_one_by_one(escaped in "(\\\\|\\\\u|\\\\ud83d\\\\ude0[0-9]|\\PC|[a-f0-9n\"]){0,20}") {
            let mut text = String::from("before ");
            unescape_into(&escaped, &mut text);
            prop_assert_eq!(text, format!("before {}", unescaped(&escaped).collect::<String>()));
        }

        #[test]
        fn unescaping_agrees_with_serde_json(escaped in ESCAPED) {
            let quoted = format!("\"{escaped}\"");
            if let Ok(text) = serde_json::from_str::<String>(&quoted) {
                prop_assert_eq!(unescaped(&escaped).collect::<String>(), text);
            }
        }

        #[test]
        fn a_prefix_never_ends_inside_an_escape(escaped in ESCAPED, limit in 0usize..40) {
            let quoted = format!("\"{escaped}\"");
            if let Ok(text) = serde_json::from_str::<String>(&quoted) {
                let prefix = escaped_prefix(&escaped, limit);
                prop_assert!(prefix.len() <= limit);
                let cut: String = serde_json::from_str(&format!("\"{prefix}\"")).unwrap();
                prop_assert!(text.starts_with(&cut));
            }
        }

        #[test]
        fn a_prefix_by_meaning_is_the_longest_that_fits(escaped in ESCAPED, limit in 0usize..40) {
            let quoted = format!("\"{escaped}\"");
            if let Ok(text) = serde_json::from_str::<String>(&quoted) {
                let prefix = meaning_prefix(&escaped, limit);
                let cut: String = serde_json::from_str(&format!("\"{prefix}\"")).unwrap();
                prop_assert!(text.starts_with(&cut) && cut.len() <= limit);
                let next = text[cut.len()..].chars().next();
                prop_assert!(next.is_none_or(|next| cut.len() + next.len_utf8() > limit));
            }
        }

        #[test]
        fn the_plain_length_is_the_first_special_byte(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            let naive = bytes.iter().position(is_special).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), naive);
        }

        #[test]
        fn numbers_are_written_in_decimal(number: u64) {
            let mut out = Vec::new();
            write_number(number, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    const ESCAPED: &str = r#"([a-zé😀 ]|\\["\\/bfnrt]|\\u00[0-7][0-9a-fA-F]|\\ud83d\\ude0[0-9]|\\u[0-9a-f]{4}){0,12}"#;

    #[test]
    fn text_that_was_never_validated_does_not_panic() {
        for text in ["\\", "\\u", "\\u12", "\\ud800", "\\ud800\\u0041", "\\udc00", "\\ud800\\", "\\ud800\\u"] {
            assert!(unescaped(text).count() > 0);
            escaped_prefix(text, 3);
            meaning_prefix(text, 1);
        }
    }
}
