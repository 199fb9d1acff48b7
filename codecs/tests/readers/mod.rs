//! Readers of CEF, LEEF and nested JSON, written from the formats' documents and sharing nothing with the writers.

use serde_json::Value;

/// One line of CEF.
pub(crate) struct Cef {
    /// Vendor, product, version, class id, name, severity.
    pub(crate) header: [String; 6],
    pub(crate) extension: Vec<(String, String)>,
}

impl Cef {
    /// Reads a line ("CEF Implementation Standard", "Header information", "Extension field", "Character encoding").
    pub(crate) fn read(line: &str) -> Cef {
        let mut rest = line.strip_prefix("CEF:0|").expect("a line begins with its version");
        let header = std::array::from_fn(|_| {
            let mut part = String::new();
            let mut characters = rest.char_indices();
            loop {
                match characters.next().expect("seven parts end in a pipe") {
                    (at, '|') => {
                        rest = &rest[at + 1..];
                        return part;
                    }
                    (_, '\\') => part.push(characters.next().expect("an escape is whole").1),
                    (_, plain) => part.push(plain),
                }
            }
        });
        Cef { header, extension: extension(rest) }
    }

    /// Values by key, custom ones by their labels, and the severity.
    pub(crate) fn values(&self) -> Vec<(String, Value)> {
        let label = |key: &str| {
            let wanted = format!("{key}Label");
            self.extension.iter().find(|(key, _)| *key == wanted).map(|(_, label)| label.clone())
        };
        let mut keys: Vec<&String> = self.extension.iter().map(|(key, _)| key).collect();
        keys.sort();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "each key stands once: {keys:?}");
        let named = self
            .extension
            .iter()
            .map(|(key, value)| (label(key).unwrap_or_else(|| key.clone()), Value::from(value.as_str())));
        named.chain([("severity".to_owned(), Value::from(self.header[5].as_str()))]).collect()
    }
}

/// A key is a word before a `=` that no backslash precedes; its value goes on to the space before the next key.
fn extension(text: &str) -> Vec<(String, String)> {
    let bytes = text.as_bytes();
    let mut equals = Vec::new();
    let mut is_escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\\' => is_escaped = !is_escaped,
            b'=' if !is_escaped => equals.push(at),
            _ => {}
        }
        is_escaped &= *byte == b'\\';
    }
    let key_start = |equal: usize| text[..equal].rfind(' ').map_or(0, |space| space + 1);
    let ends = equals.iter().skip(1).map(|next| key_start(*next) - 1).chain([text.len()]);
    equals
        .iter()
        .zip(ends)
        .map(|(equal, end)| (text[key_start(*equal)..*equal].to_owned(), undone(&text[equal + 1..end])))
        .collect()
}

fn undone(value: &str) -> String {
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next().expect("an escape is whole") {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                other => text.push(other),
            },
            plain => text.push(plain),
        }
    }
    text
}

/// One line of LEEF.
pub(crate) struct Leef {
    pub(crate) event_id: String,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Leef {
    /// Reads a line ("LEEF event components"). Its delimiter must be the one for tabs.
    pub(crate) fn read(line: &str) -> Leef {
        let parts: Vec<&str> = line.splitn(7, '|').collect();
        assert_eq!((parts[0], parts[5]), ("LEEF:2.0", "x09"), "{line}");
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or_else(|| panic!("{part:?} in {line}"));
            (key.to_owned(), value.to_owned())
        };
        Leef { event_id: parts[4].to_owned(), attributes: parts[6].split('\t').map(pair).collect() }
    }

    /// Values by key, and the event id.
    pub(crate) fn values(&self) -> Vec<(String, Value)> {
        let pairs = self.attributes.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        pairs.chain([("event id".to_owned(), Value::from(self.event_id.as_str()))]).collect()
    }
}

/// Every value of a JSON object by its path, objects themselves included.
pub(crate) fn flat(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    if let Value::Object(members) = value {
        for (key, inner) in members {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            found.push((path.clone(), inner.clone()));
            collect(inner, &path, found);
        }
    }
}
