//! The JSON scanner under the index: checks the grammar of RFC 8259 and says where strings lie. Replies that need no
//! values made of them are walked with it as well.
//!
//! White space is space and tab only: a line break is refused. Whether the bytes are UTF-8 is not judged here.
//!
//! Most members of most events are alike, so [`Scanner::usual_member`] walks over one with few questions asked. What it does
//! not take is walked in the general way, which alone says what is wrong.

use super::marks::Marks;
use super::{DEPTH_MAX, Refusal, Span};

/// A place in JSON text that only moves forward.
#[derive(Clone, Copy)]
pub(crate) struct Scanner<'a> {
    raw: &'a [u8],
    at: usize,
    marks: Marks,
}

/// A string, without its quotes.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(crate) has_escapes: bool,
}

impl Text {
    /// As written.
    pub(crate) fn bytes(self, raw: &[u8]) -> &[u8] {
        &raw[self.start..self.end]
    }

    pub(super) fn span(self) -> Span {
        Span { start: self.start as u32, end: self.end as u32 }
    }

    pub(super) fn written(self, raw: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(raw)).unwrap_or_default()
    }
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(raw: &'a [u8]) -> Scanner<'a> {
        Scanner { raw, at: 0, marks: Marks::new(raw) }
    }

    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.raw.get(self.at).copied()
    }

    /// Walks an object at its `{`. `member` is called for each key, at the first byte of its value, and must walk that.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Text) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut has_more = self.opens(b'}');
        while has_more {
            let key = self.key()?;
            member(self, key)?;
            has_more = self.goes_on(b'}', "`,` or `}`")?;
        }
        Ok(())
    }

    /// Walks an array at its `[`. `item` is called at the first byte of each value and must walk it.
    #[inline]
    pub(crate) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let mut has_more = self.opens(b']');
        while has_more {
            self.next_token();
            item(self)?;
            has_more = self.goes_on(b']', "`,` or `]`")?;
        }
        Ok(())
    }

    /// Walks over the bracket that opens an object or array, and the `end` if that comes next. Says whether it does not.
    #[inline(always)]
    pub(super) fn opens(&mut self, end: u8) -> bool {
        self.at += 1;
        let is_empty = self.next_token() == Some(end);
        self.at += usize::from(is_empty);
        !is_empty
    }

    /// Walks from the end of a member or item over a comma or the `end`, and says whether it was the comma.
    #[inline(always)]
    pub(super) fn goes_on(&mut self, end: u8, expected: &'static str) -> Result<bool, Refusal> {
        let next = self.next_token();
        if next != Some(b',') && next != Some(end) {
            return Err(self.expected_token(expected));
        }
        self.at += 1;
        Ok(next == Some(b','))
    }

    /// Walks over a key and its colon, to the first byte of the value.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<Text, Refusal> {
        if self.next_token() != Some(b'"') {
            return Err(self.expected_token("the `\"` of a key"));
        }
        let key = self.string()?;
        if self.next_token() != Some(b':') {
            return Err(self.expected_token("`:`"));
        }
        self.at += 1;
        self.next_token();
        Ok(key)
    }

    /// Walks from a key's opening quote over a member as most are, `"KEY":"VALUE",` without escapes and with one space or
    /// none behind colon and comma, to the next one's. Gives key, value and the place behind; `None` for whatever is
    /// otherwise.
    #[inline(always)]
    pub(super) fn usual_member(mut self) -> Option<(Text, Text, Self)> {
        let key = self.plain_string(b':')?;
        let value = self.plain_string(b',')?;
        Some((key, value, self))
    }

    /// Walks from a string's opening quote to the next one's, if it has no escapes and `token` stands between the two.
    #[inline(always)]
    fn plain_string(&mut self, token: u8) -> Option<Text> {
        let start = self.at + 1;
        let end = self.marks.next(self.raw, start);
        self.at = end
            + match self.raw.get(end..)?.first_chunk()? {
                [b'"', between, b'"', _] if *between == token => 2,
                [b'"', between, b' ', b'"'] if *between == token => 3,
                _ => return None,
            };
        Some(Text { start, end, has_escapes: false })
    }

    /// Walks any value at its first byte, `depth` levels below the outside.
    pub(crate) fn value(&mut self, depth: usize) -> Result<(), Refusal> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => {
                let depth = deeper(depth)?;
                self.object(|scanner, _| scanner.value(depth))
            }
            Some(b'[') => {
                let depth = deeper(depth)?;
                self.array(|scanner| scanner.value(depth))
            }
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.expected_token("a value")),
        }
    }

    /// Walks a string at its opening quote. Inlined, because most strings are short and have nothing to undo.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<Text, Refusal> {
        let start = self.at + 1;
        let end = self.marks.next(self.raw, start);
        if self.raw.get(end) != Some(&b'"') {
            self.at = end;
            return self.rest_of_string(start);
        }
        self.at = end + 1;
        Ok(Text { start, end, has_escapes: false })
    }

    /// Walks on in a string at its first byte that is not plain.
    #[inline(never)]
    fn rest_of_string(&mut self, start: usize) -> Result<Text, Refusal> {
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.expected("allowed inside a string without an escape")),
                None => return Err(self.expected("the `\"` that ends a string")),
            }
            self.at = self.marks.next(self.raw, self.at);
        }
        let end = self.at;
        self.at += 1;
        Ok(Text { start, end, has_escapes: true })
    }

    /// Steps over a copy of `value`, if one stands here: bytes that were walked before need not be walked again. Only an
    /// object, an array or a string will do, because they end where their text does.
    pub(crate) fn skip_copy(&mut self, value: &[u8]) -> bool {
        let is_copy = self.raw[self.at..].starts_with(value);
        self.at += if is_copy { value.len() } else { 0 };
        is_copy
    }

    /// Succeeds when nothing is left.
    pub(crate) fn end(&self) -> Result<(), Refusal> {
        if self.at == self.raw.len() { Ok(()) } else { Err(self.expected_token("the end of the event")) }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Refusal> {
        if !self.raw[self.at..].starts_with(word) {
            return Err(self.expected("`true`, `false` or `null`"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        self.skip(b'-');
        match self.digits() {
            0 => return Err(self.expected("a digit")),
            count if count > 1 && self.raw[self.at - count] == b'0' => {
                self.at -= count - 1;
                return Err(self.expected("allowed after a leading zero"));
            }
            _ => {}
        }
        if self.skip(b'.') && self.digits() == 0 {
            return Err(self.expected("a digit"));
        }
        let has_exponent = self.skip(b'e') || self.skip(b'E');
        if has_exponent {
            let _ = self.skip(b'+') || self.skip(b'-');
            if self.digits() == 0 {
                return Err(self.expected("a digit"));
            }
        }
        if has_exponent || self.at - start > ALWAYS_IN_RANGE_DIGITS {
            self.in_range(start)?;
        }
        Ok(())
    }

    /// Asks `serde_json` itself, so that both agree on the largest number to the last digit. It does not allocate.
    #[cold]
    fn in_range(&self, start: usize) -> Result<(), Refusal> {
        let number: Result<f64, _> = serde_json::from_slice(&self.raw[start..self.at]);
        number.map(|_| ()).map_err(|_| Refusal::NumberRange { at: start })
    }

    fn escape(&mut self) -> Result<(), Refusal> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let first = self.hex4()?;
                let is_high = (0xd800..0xdc00).contains(&first);
                let is_low = (0xdc00..0xe000).contains(&first);
                let has_partner = is_high && self.raw[self.at..].starts_with(b"\\u") && {
                    self.at += 1;
                    (0xdc00..0xe000).contains(&self.hex4()?)
                };
                if is_low || is_high && !has_partner {
                    return Err(self.expected("the other half of a surrogate pair"));
                }
            }
            _ => return Err(self.expected("an escape")),
        }
        Ok(())
    }

    /// Reads `uXXXX` at its `u`.
    fn hex4(&mut self) -> Result<u32, Refusal> {
        self.at += 1;
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            value = value << 4 | digit.ok_or_else(|| self.expected("a hexadecimal digit"))?;
            self.at += 1;
        }
        Ok(value)
    }

    /// Skips white space and says which byte comes then. A line break is not white space here, so it is a byte that
    /// nothing expects.
    #[inline(always)]
    pub(super) fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn digits(&mut self) -> usize {
        let count = self.raw[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// What stands here is not what was expected.
    #[cold]
    pub(crate) fn expected(&self, expected: &'static str) -> Refusal {
        Refusal::Syntax { at: self.at, expected }
    }

    /// Like [`Scanner::expected`] between tokens, where a line break has a name of its own.
    #[cold]
    fn expected_token(&self, expected: &'static str) -> Refusal {
        match self.peek() {
            Some(b'\n' | b'\r') => Refusal::LineBreak { at: self.at },
            _ => self.expected(expected),
        }
    }
}

/// The place after a string's closing quote, or the end. `at` is the first byte inside the string.
pub(crate) fn after_string(raw: &[u8], mut at: usize) -> usize {
    while let Some(step) = memchr::memchr2(b'"', b'\\', &raw[at..]) {
        at += step + 1;
        if raw[at - 1] == b'"' {
            return at;
        }
        at = (at + 1).min(raw.len());
    }
    raw.len()
}

fn deeper(depth: usize) -> Result<usize, Refusal> {
    if depth < DEPTH_MAX { Ok(depth + 1) } else { Err(Refusal::TooDeep) }
}

/// A number of at most this many bytes and without an exponent is below 1e300, so it fits a double.
const ALWAYS_IN_RANGE_DIGITS: usize = 300;
