//! A parser of syslog messages, written from the grammar in RFC 5424, section 6, and knowing nothing of the encoder.
//!
//! It is strict: what the grammar does not allow is an error with the place where it stands.

/// An element's id, and its parameters in order.
pub(crate) type Element = (String, Vec<(String, String)>);

/// One message, its parts unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) facility: u8,
    pub(crate) severity: u8,
    pub(crate) timestamp: String,
    pub(crate) hostname: Option<String>,
    pub(crate) app_name: Option<String>,
    pub(crate) procid: Option<String>,
    pub(crate) msgid: Option<String>,
    /// Elements in order: id, and parameters in order.
    pub(crate) elements: Vec<Element>,
    pub(crate) has_bom: bool,
    /// What follows the structured data and one space, without the byte order mark.
    pub(crate) msg: Option<String>,
}

impl Message {
    pub(crate) fn element(&self, id: &str) -> Option<&Vec<(String, String)>> {
        self.elements.iter().find(|(found, _)| found == id).map(|(_, params)| params)
    }

    pub(crate) fn param(&self, id: &str, name: &str) -> Option<&str> {
        self.element(id)?.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Message, String> {
    let mut input = Input { bytes, at: 0 };
    input.literal("<")?;
    let priority = input.digits(1, 3)?;
    if priority > 191 {
        return Err(format!("priority {priority}"));
    }
    input.literal(">1 ")?;
    let timestamp = input.timestamp()?;
    input.literal(" ")?;
    let hostname = input.name(255)?;
    input.literal(" ")?;
    let app_name = input.name(48)?;
    input.literal(" ")?;
    let procid = input.name(128)?;
    input.literal(" ")?;
    let msgid = input.name(32)?;
    input.literal(" ")?;
    let elements = input.structured_data()?;
    let (has_bom, msg) = input.msg()?;
    Ok(Message {
        facility: (priority / 8) as u8,
        severity: (priority % 8) as u8,
        timestamp,
        hostname,
        app_name,
        procid,
        msgid,
        elements,
        has_bom,
        msg,
    })
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn error<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("byte {}: {what}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn literal(&mut self, text: &str) -> Result<(), String> {
        if !self.bytes[self.at..].starts_with(text.as_bytes()) {
            return self.error(&format!("{text:?} expected"));
        }
        self.at += text.len();
        Ok(())
    }

    /// A number without leading zeros.
    fn digits(&mut self, least: usize, most: usize) -> Result<u32, String> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap();
        if text.len() < least || text.len() > most || text.len() > 1 && text.starts_with('0') {
            return self.error("a number expected");
        }
        text.parse().map_err(|_| "too large".to_owned())
    }

    /// `YYYY-MM-DDThh:mm:ss[.1-6 digits](Z|±hh:mm)`; checked by shape and by range.
    fn timestamp(&mut self) -> Result<String, String> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte != b' ') {
            self.at += 1;
        }
        let text = String::from_utf8(self.bytes[start..self.at].to_vec()).map_err(|_| "not UTF-8".to_owned())?;
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else { return self.error("a timestamp expected") };
        let zone = match rest.strip_prefix('.') {
            Some(rest) => {
                let zone = rest.trim_start_matches('0');
                if !(1..=6).contains(&(rest.len() - zone.len())) {
                    return self.error("1 to 6 fractional digits expected");
                }
                zone
            }
            None => rest,
        };
        let part = |from: usize| text[from..from + 2].parse::<u32>().unwrap();
        let is_valid = (1..=12).contains(&part(5))
            && (1..=31).contains(&part(8))
            && part(11) < 24
            && part(14) < 60
            && part(17) < 60;
        if !is_valid || !matches!(zone, "Z" | "+00:00" | "-00:00") {
            return self.error("a valid timestamp expected");
        }
        Ok(text)
    }

    /// 1 to `limit` printable characters; `-` is none.
    fn name(&mut self, limit: usize) -> Result<Option<String>, String> {
        let start = self.at;
        while self.peek().is_some_and(|byte| (33..=126).contains(&byte)) {
            self.at += 1;
        }
        let text = String::from_utf8(self.bytes[start..self.at].to_vec()).unwrap();
        match text.as_str() {
            "" => self.error("a name expected"),
            _ if text.len() > limit => self.error("a shorter name expected"),
            "-" => Ok(None),
            _ => Ok(Some(text)),
        }
    }

    fn structured_data(&mut self) -> Result<Vec<Element>, String> {
        let mut elements: Vec<Element> = Vec::new();
        if self.peek() == Some(b'-') {
            self.at += 1;
            return Ok(elements);
        }
        while self.peek() == Some(b'[') {
            self.at += 1;
            let id = self.sd_name()?;
            let mut params = Vec::new();
            while self.peek() == Some(b' ') {
                self.at += 1;
                let name = self.sd_name()?;
                self.literal("=\"")?;
                params.push((name, self.param_value()?));
            }
            self.literal("]")?;
            if elements.iter().any(|(other, _)| *other == id) {
                return self.error("each element once expected");
            }
            let is_private = id.split_once('@').is_some_and(|(_, number)| {
                number.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            });
            if !is_private && !matches!(id.as_str(), "timeQuality" | "origin" | "meta") {
                return self.error("a registered or private element expected");
            }
            elements.push((id, params));
        }
        if elements.is_empty() { self.error("structured data expected") } else { Ok(elements) }
    }

    fn sd_name(&mut self) -> Result<String, String> {
        let start = self.at;
        while self.peek().is_some_and(|byte| (33..=126).contains(&byte) && !matches!(byte, b'=' | b']' | b'"')) {
            self.at += 1;
        }
        match self.at - start {
            1..=32 => Ok(String::from_utf8(self.bytes[start..self.at].to_vec()).unwrap()),
            _ => self.error("a name of 1 to 32 characters expected"),
        }
    }

    /// Reads to the closing quote and takes it as well.
    fn param_value(&mut self) -> Result<String, String> {
        let mut value = Vec::new();
        loop {
            match self.peek() {
                None => return self.error("the end of a value expected"),
                Some(b'"') => break,
                Some(b']') => return self.error("an escaped bracket expected"),
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(escaped @ (b'"' | b'\\' | b']')) => value.push(escaped),
                        _ => return self.error("an escape expected"),
                    }
                }
                Some(plain) => value.push(plain),
            }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(value).map_err(|_| "a value is not UTF-8".to_owned())
    }

    fn msg(&mut self) -> Result<(bool, Option<String>), String> {
        if self.at == self.bytes.len() {
            return Ok((false, None));
        }
        self.literal(" ")?;
        let rest = &self.bytes[self.at..];
        let (has_bom, text) = match rest.strip_prefix(b"\xef\xbb\xbf") {
            Some(text) => (true, text),
            None => (false, rest),
        };
        let text = String::from_utf8(text.to_vec()).map_err(|_| "MSG is not UTF-8".to_owned())?;
        Ok((has_bom, Some(text)))
    }
}
