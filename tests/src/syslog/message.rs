//! A strict reader of RFC 5424 messages, written from the grammar in its section 6.

use std::fmt;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Facility times 8 plus severity.
    pub pri: u8,
    /// As written; `-` when absent.
    pub timestamp: String,
    /// As written; `-` when absent.
    pub hostname: String,
    /// As written; `-` when absent.
    pub app_name: String,
    /// As written; `-` when absent.
    pub procid: String,
    /// As written; `-` when absent.
    pub msgid: String,
    /// The structured data.
    pub elements: Vec<Element>,
    /// What follows the structured data, a byte order mark included.
    pub msg: Vec<u8>,
}

/// One structured data element.
#[derive(Debug, PartialEq, Eq)]
pub struct Element {
    /// SD-ID.
    pub id: String,
    /// Names and unescaped values in the order written.
    pub params: Vec<(String, String)>,
}

/// What is wrong with a message.
#[derive(Debug, PartialEq, Eq)]
pub struct MessageError {
    /// Which part of the grammar.
    pub part: &'static str,
    /// Byte position in the message.
    pub at: usize,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not RFC 5424: {} at byte {}", self.part, self.at)
    }
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Message {
    /// Reads one message, without its framing.
    ///
    /// # Errors
    /// At the first byte that the grammar does not allow.
    pub fn parse(bytes: &[u8]) -> Result<Message, MessageError> {
        Reader { bytes, at: 0 }.message()
    }

    /// The message text without a byte order mark.
    pub fn text(&self) -> &[u8] {
        self.msg.strip_prefix(BOM).unwrap_or(&self.msg)
    }

    /// The first parameter called `name`, in any element.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.elements.iter().find_map(|element| element.param(name))
    }
}

impl Element {
    /// The first parameter called `name`.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn message(mut self) -> Result<Message, MessageError> {
        let pri = self.pri()?;
        self.expect(b"1 ", "VERSION")?;
        let timestamp = self.timestamp()?;
        let hostname = self.name("HOSTNAME", 255)?;
        let app_name = self.name("APP-NAME", 48)?;
        let procid = self.name("PROCID", 128)?;
        let msgid = self.name("MSGID", 32)?;
        let elements = self.structured_data()?;
        let msg = match self.peek() {
            None => Vec::new(),
            Some(b' ') => self.bytes[self.at + 1..].to_vec(),
            Some(_) => return Err(self.error("SP before MSG")),
        };
        if msg.starts_with(BOM) && std::str::from_utf8(&msg).is_err() {
            return Err(self.error("UTF-8 after the BOM"));
        }
        Ok(Message { pri, timestamp, hostname, app_name, procid, msgid, elements, msg })
    }

    fn pri(&mut self) -> Result<u8, MessageError> {
        self.expect(b"<", "PRI")?;
        let digits = self.until(b'>', "PRI")?;
        let has_leading_zero = digits.len() > 1 && digits[0] == b'0';
        let is_number = !digits.is_empty() && digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit);
        let value: u16 = ascii(digits).parse().unwrap_or(u16::MAX);
        if has_leading_zero || !is_number || value > 191 {
            return Err(self.error("PRI"));
        }
        Ok(value as u8)
    }

    /// `TIMESTAMP SP`, with upper-case T and Z, at most six digits of fraction, no leap second (section 6.2.3).
    fn timestamp(&mut self) -> Result<String, MessageError> {
        let text = self.until(b' ', "TIMESTAMP")?;
        if text == b"-" || is_timestamp(text) { Ok(ascii(text)) } else { Err(self.error("TIMESTAMP")) }
    }

    fn name(&mut self, part: &'static str, length_max: usize) -> Result<String, MessageError> {
        let text = self.until(b' ', part)?;
        let is_printable = text.iter().all(|byte| (33..=126).contains(byte));
        if text.is_empty() || text.len() > length_max || !is_printable {
            return Err(self.error(part));
        }
        Ok(ascii(text))
    }

    fn structured_data(&mut self) -> Result<Vec<Element>, MessageError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
            return Ok(Vec::new());
        }
        let mut elements: Vec<Element> = Vec::new();
        while self.peek() == Some(b'[') {
            let element = self.element()?;
            if elements.iter().any(|other| other.id == element.id) {
                return Err(self.error("the same SD-ID twice"));
            }
            elements.push(element);
        }
        if elements.is_empty() { Err(self.error("STRUCTURED-DATA")) } else { Ok(elements) }
    }

    fn element(&mut self) -> Result<Element, MessageError> {
        self.expect(b"[", "SD-ELEMENT")?;
        let id = self.sd_name("SD-ID")?;
        let mut params = Vec::new();
        loop {
            match self.take() {
                Some(b']') => return Ok(Element { id, params }),
                Some(b' ') => {
                    let name = self.sd_name("PARAM-NAME")?;
                    self.expect(b"=\"", "PARAM-VALUE")?;
                    params.push((name, self.param_value()?));
                }
                _ => return Err(self.error("SD-ELEMENT")),
            }
        }
    }

    fn sd_name(&mut self, part: &'static str) -> Result<String, MessageError> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|byte| (33..=126).contains(*byte) && !b"=]\"".contains(byte)).count();
        if length == 0 || length > 32 {
            return Err(self.error(part));
        }
        self.at += length;
        Ok(ascii(&rest[..length]))
    }

    /// A value up to its closing quote. `"`, `\` and `]` must be escaped; a backslash before anything else stands for itself.
    fn param_value(&mut self) -> Result<String, MessageError> {
        let mut value = Vec::new();
        loop {
            match self.take() {
                Some(b'"') => break,
                Some(b'\\') => match self.peek() {
                    Some(escaped @ (b'"' | b'\\' | b']')) => {
                        self.at += 1;
                        value.push(escaped);
                    }
                    _ => value.push(b'\\'),
                },
                Some(b']') | None => return Err(self.error("PARAM-VALUE")),
                Some(byte) => value.push(byte),
            }
        }
        String::from_utf8(value).map_err(|_| self.error("UTF-8 in PARAM-VALUE"))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, text: &[u8], part: &'static str) -> Result<(), MessageError> {
        if !self.bytes[self.at..].starts_with(text) {
            return Err(self.error(part));
        }
        self.at += text.len();
        Ok(())
    }

    /// What stands before the next `end`, which is consumed too.
    fn until(&mut self, end: u8, part: &'static str) -> Result<&'a [u8], MessageError> {
        let rest = &self.bytes[self.at..];
        let Some(length) = memchr::memchr(end, rest) else { return Err(self.error(part)) };
        self.at += length + 1;
        Ok(&rest[..length])
    }

    fn error(&self, part: &'static str) -> MessageError {
        MessageError { part, at: self.at }
    }
}

fn ascii(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_timestamp(text: &[u8]) -> bool {
    let number = |start: usize, end: usize| -> Option<u32> {
        let digits = text.get(start..end)?;
        digits.iter().all(u8::is_ascii_digit).then(|| ascii(digits).parse().ok())?
    };
    let within = |start, end, low, high| number(start, end).is_some_and(|value| (low..=high).contains(&value));
    let is_date = within(0, 4, 0, 9999) && within(5, 7, 1, 12) && within(8, 10, 1, 31);
    let is_time = within(11, 13, 0, 23) && within(14, 16, 0, 59) && within(17, 19, 0, 59);
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !is_date || !is_time || separators.iter().any(|(at, byte)| text[*at] != *byte) {
        return false;
    }
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 6 {
            return false;
        }
        rest = &fraction[digits..];
    }
    match rest {
        b"Z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) && (*h1, *h2) <= (b'2', b'3') && *m1 <= b'5'
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"<110>1 2026-05-12T14:23:01.453Z node-7 scaidrive - file.download [a@1 x="1" y="q\"\\\]\n"][siem@32473 stream="s" n="7"] {"a":1}"#;

    #[test]
    fn a_correct_message_is_read() {
        let message = Message::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((message.pri, message.msgid.as_str()), (110, "file.download"));
        assert_eq!(message.param("y"), Some("q\"\\]\\n"));
        assert_eq!(message.elements[1].param("n"), Some("7"));
        assert_eq!(message.text(), b"{\"a\":1}");
        assert!(Message::parse(b"<0>1 - - - - - -").unwrap().msg.is_empty());
    }

    #[test]
    fn each_breach_of_the_grammar_is_named() {
        let cases: &[(&str, &str, &str)] = &[
            ("<110>", "<192>", "PRI"),
            ("<110>", "<011>", "PRI"),
            (">1 ", ">2 ", "VERSION"),
            ("T14", "t14", "TIMESTAMP"),
            (".453Z", ".4530001Z", "TIMESTAMP"),
            (":01.453Z", ":60.453Z", "TIMESTAMP"),
            ("node-7", "node\u{e4}", "HOSTNAME"),
            ("file.download", "file.download.of.something.very.long", "MSGID"),
            ("a@1", "a@1 ", "PARAM-NAME"),
            ("x=\"1\"", "x=\"]\"", "PARAM-VALUE"),
            ("[siem@32473", "[a@1", "the same SD-ID twice"),
            ("\"] {", "\"]{", "SP before MSG"),
            (" {", " \u{feff}{", ""),
        ];
        for (from, to, part) in cases {
            let text = GOOD.replacen(from, to, 1);
            let found = Message::parse(text.as_bytes()).err().map_or("", |error| error.part);
            assert_eq!(found, *part, "{text}");
        }
    }

    #[test]
    fn the_timestamp_takes_offsets_and_nothing_else() {
        for good in ["2026-05-12T14:23:01Z", "2026-05-12T14:23:01.000001+02:00", "2026-05-12T14:23:01-11:30"] {
            assert!(is_timestamp(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "2026-05-12",
            "2026-05-12T14:23:01",
            "2026-05-12T14:23:01+0200",
            "2026-13-12T14:23:01Z",
            "2026-05-12T14:23:01.Z",
        ] {
            assert!(!is_timestamp(bad.as_bytes()), "{bad}");
        }
    }
}
