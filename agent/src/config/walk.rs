//! Reading settings off a TOML tree that still knows where each value stands.
//!
//! A [`Section`] is one table of the file beside its table of keys. Opening it reports the keys that are unknown; each
//! getter answers with the value or its default, or reports what is wrong and answers `None`. So a caller reads all
//! its keys first and then builds its type, and all problems are found in one go.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::files::Source;
use super::keys::{Alphabet, Default, Key, Shape};
use super::problems::{Place, Problems, listed, nearest, shown};
use super::text;
use super::url::{HttpUrl, parse_host};
use crate::time::Millis;

/// One table of a file and the keys that it may have.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    tables: Vec<&'static [Key]>,
    entries: Option<&'a DeTable<'a>>,
    path: String,
    /// What stands between the path of this table and the name of a key in it.
    joiner: &'static str,
    offset: Option<usize>,
    /// Whether it names the place of a secret, in which somebody may have written the secret itself.
    is_secret: bool,
    source: &'a Source,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(crate) fn root(
        source: &'a Source,
        tree: &'a DeTable<'a>,
        keys: &'static [Key],
        problems: &'a Problems,
    ) -> Section<'a> {
        let root = Section {
            tables: vec![keys],
            entries: Some(tree),
            path: String::new(),
            joiner: "",
            offset: None,
            is_secret: false,
            source,
            problems,
        };
        root.report_unknown(&[]);
        root
    }

    /// The table under a key; an empty one when it is absent, so that all its keys have their defaults.
    pub(crate) fn table(&self, name: &str) -> Section<'a> {
        let keys: &[Key] = match self.shape(name) {
            Some(Shape::Table(keys)) => keys,
            Some(Shape::Secret) => super::keys::SECRET,
            _ => &[],
        };
        let found = self.find(name);
        let entries = match found.map(Spanned::get_ref) {
            Some(DeValue::Table(entries)) => Some(entries),
            Some(other) => self.mismatch(name, other),
            None => None,
        };
        let offset = found.map(|value| value.span().start).or(self.offset);
        let section = Section {
            tables: vec![keys],
            entries,
            path: self.path_of(name),
            joiner: ".",
            offset,
            is_secret: matches!(self.shape(name), Some(Shape::Secret)),
            source: self.source,
            problems: self.problems,
        };
        section.report_unknown(&[]);
        section
    }

    /// The tables of a `[[…]]` list, each named by `describe` and not yet checked for unknown keys.
    pub(crate) fn tables(
        &self,
        name: &str,
        keys: &'static [Key],
        describe: impl Fn(usize, &DeTable<'_>) -> String,
    ) -> Vec<Section<'a>> {
        let Some(found) = self.find(name) else {
            return Vec::new();
        };
        let DeValue::Array(items) = found.get_ref() else {
            return self.mismatch(name, found.get_ref()).unwrap_or_default();
        };
        let mut sections = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let DeValue::Table(entries) = item.get_ref() else {
                let place = self.place_at(Some(item.span().start), name);
                self.problems.error(place, format!("`{name}` holds {}", kind_of(item.get_ref())), self.allowed(name));
                continue;
            };
            sections.push(Section {
                tables: vec![keys],
                entries: Some(entries),
                path: self.path_of(&describe(position, entries)),
                joiner: " ",
                offset: Some(item.span().start),
                is_secret: false,
                source: self.source,
                problems: self.problems,
            });
        }
        sections
    }

    /// Adds keys that only some tables of a kind have.
    pub(crate) fn extend(&mut self, keys: &'static [Key]) {
        self.tables.push(keys);
    }

    /// Reports every key that is in none of the tables; `later` are keys that other versions know.
    pub(crate) fn report_unknown(&self, later: &[&str]) {
        for (name, _) in self.entries.into_iter().flatten() {
            let found: &str = name.get_ref();
            if self.shape(found).is_some() {
                continue;
            }
            let place = self.place_at(Some(name.span().start), found);
            if later.contains(&found) {
                self.problems.error(place, format!("`{found}` is not part of this version"), "take the line out");
                continue;
            }
            self.problems.error(place, format!("`{found}` is not a key that is known here"), self.suggestion(found));
        }
    }

    /// Whether the key is written in the file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether the key may stand here at all.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.key(name).is_some()
    }

    /// The text of a key as it is written, whether it is allowed or not.
    pub(crate) fn written_text(&self, name: &str) -> Option<String> {
        self.find(name)?.get_ref().as_str().map(str::to_owned)
    }

    /// Whether the key is written as a table.
    pub(crate) fn is_table(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| value.get_ref().is_table())
    }

    /// What `read` makes of a key that may be absent: the outer `None` is a problem, the inner one absence.
    pub(crate) fn optional<T>(&self, name: &str, read: impl FnOnce(&Self, &str) -> Option<T>) -> Option<Option<T>> {
        if self.has(name) { read(self, name).map(Some) } else { Some(None) }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.parsed(name, |text| Ok(text.to_owned()))
    }

    /// One of the words of a choice, by its position among them.
    pub(crate) fn choice(&self, name: &str) -> Option<usize> {
        let Some(Shape::Choice { now, later }) = self.shape(name) else {
            return self.not_in_table(name);
        };
        let found = self.string(name)?;
        if let Some(position) = now.iter().position(|word| *word == found) {
            return Some(position);
        }
        if later.contains(&found.as_str()) {
            let what = format!("`{name}` is \"{found}\", which is not part of this version");
            let advice = match name {
                "type" => format!("this version delivers to: {}", now.join(", ")),
                _ => format!("{}; this version knows no others", Shape::Choice { now, later: &[] }.allowed()),
            };
            self.problems.error(self.place(name), what, advice);
            return None;
        }
        let allowed = Shape::Choice { now, later }.allowed();
        let advice = match nearest(&found, now.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"? {}", allowed.replacen("write one of", "It takes", 1)),
            None => allowed,
        };
        self.problems.error(self.place(name), format!("`{name}` is {}, which is not a choice", shown(&found)), advice);
        None
    }

    /// One of the words of a choice.
    pub(crate) fn word(&self, name: &str) -> Option<&'static str> {
        let position = self.choice(name)?;
        match self.shape(name) {
            Some(Shape::Choice { now, .. }) => now.get(position).copied(),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.find(name).map(Spanned::get_ref) {
            Some(DeValue::Boolean(flag)) => Some(*flag),
            Some(other) => self.mismatch(name, other),
            None => match self.default(name)? {
                Default::Flag(flag) => Some(flag),
                _ => self.not_in_table(name),
            },
        }
    }

    /// A whole number within the bounds of its key.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        let (min, max) = match self.shape(name) {
            Some(Shape::Count { min, max } | Shape::AutoOrCount { min, max }) => (min, max),
            _ => return self.not_in_table(name),
        };
        match self.find(name).map(Spanned::get_ref) {
            Some(DeValue::Integer(number)) => {
                let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
                match value.filter(|value| (min..=max).contains(value)) {
                    Some(value) => Some(value),
                    None => {
                        let what = format!("`{name}` is {number}, which is not allowed");
                        self.problems.error(self.place(name), what, self.allowed(name));
                        None
                    }
                }
            }
            Some(other) => self.mismatch(name, other),
            None => match self.default(name)? {
                Default::Count(number) => Some(number),
                _ => self.not_in_table(name),
            },
        }
    }

    /// A whole number, or `None` inside for `"auto"`.
    pub(crate) fn auto_or_count(&self, name: &str) -> Option<Option<u64>> {
        match self.find(name).map(Spanned::get_ref) {
            Some(DeValue::String(text)) if text == "auto" => Some(None),
            Some(DeValue::String(text)) => self.refuse(name, text, "is not allowed"),
            Some(_) => self.count(name).map(Some),
            None => Some(None),
        }
    }

    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        let Some(Shape::Size { min, max }) = self.shape(name) else {
            return self.not_in_table(name);
        };
        self.parsed(name, |found| match text::size(found) {
            Some(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
            Some(_) => Err("is out of bounds"),
            None => Err("is not a size"),
        })
    }

    pub(crate) fn span(&self, name: &str) -> Option<Millis> {
        let Some(Shape::Span { min, max }) = self.shape(name) else {
            return self.not_in_table(name);
        };
        self.parsed(name, |found| match text::span(found) {
            Some(span) if (min..=max).contains(&span.0) => Ok(span),
            Some(_) => Err("is out of bounds"),
            None => Err("is not a span of time"),
        })
    }

    pub(crate) fn mode(&self, name: &str) -> Option<u32> {
        self.parsed(name, |found| text::mode(found).ok_or("is not a file mode"))
    }

    pub(crate) fn address(&self, name: &str) -> Option<std::net::SocketAddr> {
        self.parsed(name, |found| text::address(found).ok_or("is not an address with a port"))
    }

    pub(crate) fn host(&self, name: &str) -> Option<String> {
        self.parsed(name, |found| parse_host(found).map_err(|_| "is not a host name"))
    }

    /// An address; of one that can't be used no more is shown than where it leads, and not even that where a user and a
    /// password, or a query, may be in it.
    pub(crate) fn url(&self, name: &str) -> Option<HttpUrl> {
        let found = self.string(name)?;
        match HttpUrl::parse(&found) {
            Ok(url) => Some(url),
            Err(why) if found.contains(['@', '?']) => {
                let what = format!("`{name}` is an address which {why}");
                let has_query = found.contains('?') && self.knows("query");
                let advice = if has_query { QUERY_ADVICE.to_owned() } else { self.allowed(name) };
                self.problems.error(self.place(name), what, advice);
                None
            }
            Err(why) => {
                let scheme = found.find("://").map_or(0, |at| at + "://".len());
                let end = found[scheme..].find(['/', '#']).map_or(found.len(), |at| scheme + at);
                let found = &found[..end];
                if scheme == 0 {
                    return self.refuse(name, found, why);
                }
                self.problems.error(
                    self.place(name),
                    format!("`{name}` is {found:?}, which {why}"),
                    self.allowed(name),
                );
                None
            }
        }
    }

    /// A path; a relative one starts at the directory of this file.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        let directory = self.source.directory();
        self.parsed(name, |found| match found {
            "" => Err("is empty"),
            _ if found.contains('\0') => Err("has a zero byte"),
            _ => Ok(directory.join(found)),
        })
    }

    /// Texts with the place of each; none may be empty or hold control characters.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<(String, Place)>> {
        let Some(found) = self.find(name) else {
            return match self.default(name)? {
                Default::Texts(texts) => {
                    Some(texts.iter().map(|text| ((*text).to_owned(), self.place(name))).collect())
                }
                _ => self.not_in_table(name),
            };
        };
        let DeValue::Array(items) = found.get_ref() else {
            return self.mismatch(name, found.get_ref());
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            let place = self.place_at(Some(item.span().start), name);
            match item.get_ref() {
                DeValue::String(text)
                    if !text.is_empty() && text.len() <= LISTED_TEXT_MAX && !text.chars().any(char::is_control) =>
                {
                    texts.push((text.clone().into_owned(), place));
                }
                DeValue::String(text) => {
                    let what = format!("`{name}` holds {}, which is not allowed", shown(text));
                    let advice = format!("write texts of 1 to {LISTED_TEXT_MAX} bytes without control characters");
                    self.problems.error(place, what, advice);
                }
                other => self.problems.error(place, format!("`{name}` holds {}", kind_of(other)), self.allowed(name)),
            }
        }
        (texts.len() == items.len()).then_some(texts)
    }

    /// User ids.
    pub(crate) fn uids(&self, name: &str) -> Option<Vec<u32>> {
        self.numbers(name, 0, u32::MAX)
    }

    /// HTTP statuses.
    pub(crate) fn statuses(&self, name: &str) -> Option<Vec<u16>> {
        let numbers = self.numbers(name, 100, 599)?;
        Some(numbers.into_iter().map(|status| status as u16).collect())
    }

    fn numbers(&self, name: &str, min: u32, max: u32) -> Option<Vec<u32>> {
        let Some(found) = self.find(name) else {
            return Some(Vec::new());
        };
        let DeValue::Array(items) = found.get_ref() else {
            return self.mismatch(name, found.get_ref());
        };
        let mut numbers = Vec::new();
        for item in items.iter() {
            let number = match item.get_ref() {
                DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
                _ => None,
            };
            match number.filter(|number| (min..=max).contains(number)) {
                Some(number) => numbers.push(number),
                None => {
                    let place = self.place_at(Some(item.span().start), name);
                    let what = match item.get_ref() {
                        DeValue::Integer(number) => format!("`{name}` holds {number}, which is not allowed"),
                        other => format!("`{name}` holds {}", kind_of(other)),
                    };
                    self.problems.error(place, what, self.allowed(name));
                }
            }
        }
        (numbers.len() == items.len()).then_some(numbers)
    }

    /// Reports that a value is not allowed, as `` `key` is "found", which … ``.
    pub(crate) fn refuse<T>(&self, name: &str, found: &str, which: &str) -> Option<T> {
        let found = if self.is_secret { "a text".to_owned() } else { shown(found) };
        let what = format!("`{name}` is {found}, which {which}");
        self.problems.error(self.place(name), what, self.allowed(name));
        None
    }

    /// Where a key stands, or the table it is missing from.
    pub(crate) fn place(&self, name: &str) -> Place {
        self.place_at(self.find(name).map(|value| value.span().start).or(self.offset), name)
    }

    /// The secret that came with this text for the file at `path`.
    pub(crate) fn given(&self, path: &Path) -> Option<&str> {
        self.source.given.get(path).map(|value| value.as_str())
    }

    /// Where problems go.
    pub(crate) fn problems(&self) -> &'a Problems {
        self.problems
    }

    fn parsed<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<T> {
        let found = self.string(name)?;
        match self.shape(name) {
            Some(Shape::Text { alphabet, max }) if !fits(&found, alphabet, max) => {
                return self.refuse(name, &found, "is not allowed");
            }
            _ => {}
        }
        parse(&found).map_or_else(|which| self.refuse(name, &found, which), Some)
    }

    fn string(&self, name: &str) -> Option<String> {
        match self.find(name).map(Spanned::get_ref) {
            Some(DeValue::String(text)) => Some(text.clone().into_owned()),
            Some(other) => self.mismatch(name, other),
            None => match self.default(name)? {
                Default::Text(text) => Some(text.to_owned()),
                _ => self.not_in_table(name),
            },
        }
    }

    fn find(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries?.get(name)
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        self.tables.iter().flat_map(|keys| keys.iter()).find(|key| key.name == name)
    }

    fn shape(&self, name: &str) -> Option<Shape> {
        self.key(name).map(|key| key.shape)
    }

    /// What a key takes, as advice.
    fn allowed(&self, name: &str) -> String {
        self.shape(name).map(|shape| shape.allowed()).unwrap_or_default()
    }

    /// What stands for an absent key; a required one is reported.
    fn default(&self, name: &str) -> Option<Default> {
        let key = self.key(name)?;
        if matches!(key.default, Default::Required) {
            self.problems.error(
                self.place(name),
                format!("`{name}` is missing"),
                format!("add it: {}", self.allowed(name)),
            );
            return None;
        }
        Some(key.default)
    }

    fn mismatch<T>(&self, name: &str, found: &DeValue<'_>) -> Option<T> {
        self.problems.error(self.place(name), format!("`{name}` is {}", kind_of(found)), self.allowed(name));
        None
    }

    /// A key that the code reads and its table does not hold (with this shape): our mistake, found by any test that reads it.
    fn not_in_table<T>(&self, name: &str) -> Option<T> {
        self.problems.error(
            self.place(name),
            format!("`{name}` is not described in this version"),
            "report this as a fault of the agent",
        );
        None
    }

    fn suggestion(&self, found: &str) -> String {
        let all = || self.tables.iter().flat_map(|keys| keys.iter());
        let inside: Vec<String> = all()
            .filter(|key| matches!(key.shape, Shape::Table(inner) if inner.iter().any(|below| below.name == found)))
            .map(|key| format!("{}.{found}", key.name))
            .collect();
        if !inside.is_empty() {
            return format!("did you mean {}?", listed(inside.iter().map(String::as_str), "or"));
        }
        match nearest(found, all().map(|key| key.name)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys here are {}", listed(all().map(|key| key.name), "and")),
        }
    }

    fn place_at(&self, offset: Option<usize>, name: &str) -> Place {
        let line = offset.map(|offset| self.source.line(offset));
        Place { file: self.source.path.clone(), line, key: self.path_of(name) }
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}{}{name}", self.path, self.joiner)
    }
}

fn fits(text: &str, alphabet: Alphabet, max: usize) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let inner = |c: char| match alphabet {
        Alphabet::Any => !c.is_control(),
        Alphabet::Lines => !c.is_control() || matches!(c, '\n' | '\r' | '\t'),
        Alphabet::Name => plain(c) || c == '.' || c == '-',
        Alphabet::Label => plain(c) || c == '.' || c == '-' || c == ':',
    };
    let first = |c: char| alphabet != Alphabet::Name || plain(c);
    (1..=max).contains(&text.len()) && text.chars().all(inner) && text.chars().next().is_some_and(first)
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Where a query goes that stands in an address.
const QUERY_ADVICE: &str = "write what follows the question mark as query = \"…\"";
/// Longest text in a list, in bytes: a path that the file system could hold.
const LISTED_TEXT_MAX: usize = 4096;
