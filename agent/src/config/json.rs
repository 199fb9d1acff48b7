//! A destination as the API takes and gives it: the keys of its file, as JSON.
//!
//! What comes in becomes the text of a file, which the parser then reads like any other: one set of rules, one set of
//! messages. Three things are different from a file:
//!
//! | in JSON | meaning |
//! |---|---|
//! | `"token": {"value": "…"}` | a secret itself. It goes into a file of its own and never comes out again |
//! | a secret is left out of a change | the one that is there stays, unless it would be sent elsewhere |
//! | `"key": null` | the key is taken out, a secret too |
//!
//! To those who administer some tenants a file of this machine is as a secret is: neither shown, nor lost by leaving it out.
//!
//! Who may not read this machine's files must not have them sent elsewhere: see [`Trust`].

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Number, Value};
use toml::{Table, Value as Toml};
use zeroize::Zeroizing;

use super::authorities::Authorities;
use super::keys::{Alphabet, DESTINATION, Key, Shape};
use super::kind::KINDS;
use super::parse::NAME_SHOWN_MAX;
use super::problems::{About, Place, Problem, Weight, shown};
use super::secret::Given;

/// How far somebody who writes a destination is trusted with this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Root, or the agent's own user: may name files, environment variables and credentials, and can read them anyway.
    Machine,
    /// Somebody who administers the agent from elsewhere: may name certificates, of which nothing secret is sent anywhere.
    Network,
    /// Somebody who administers some tenants: names nothing on this machine, holds nobody else up, uses no proxy, and sends
    /// to the internet alone.
    Tenants,
}

/// A destination as it lies on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// What its file is named after.
    pub(crate) key: String,
    /// What is in it.
    pub(crate) table: Table,
}

/// A destination as it is to be written. Has no `Debug`: it holds secrets.
pub(crate) struct Written {
    /// What its file is to be named after.
    pub(crate) key: String,
    /// Its name, as far as one was given.
    pub(crate) name: String,
    /// The text of its file.
    pub(crate) text: String,
    /// Secrets that came with it.
    pub(crate) given: Given,
}

/// Where secrets that come in will lie.
pub(crate) struct SecretPlaces<'p> {
    /// The folder of the destinations' files, beside which they lie: so a state directory can be moved.
    pub(crate) folder: &'p Path,
    /// Names of files that are there, or will be.
    pub(crate) used: HashSet<String>,
    /// What is in one of them.
    pub(crate) content: &'p dyn Fn(&Path) -> Option<Zeroizing<String>>,
}

/// Makes the file of a destination from JSON. `kept` is what is there already, if this is a change.
///
/// # Errors
/// What the parser can't know: secrets given in a wrong way, and what `trust` does not allow.
pub(crate) fn written(
    value: &Value,
    kept: Option<&Kept>,
    trust: Trust,
    places: &mut SecretPlaces<'_>,
) -> Result<Written, Vec<Problem>> {
    let text_of = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text_of("name").unwrap_or_default();
    let key = kept.map(|kept| kept.key.clone()).or(text_of("id")).unwrap_or_else(|| name.clone());
    let is_shown = name.len() <= NAME_SHOWN_MAX;
    let head = if is_shown { format!("destination {name:?} ") } else { "destination number 1 ".to_owned() };
    let mut conversion =
        Conversion { trust, head, key: &key, places, given: Given::new(), kept: Vec::new(), problems: Vec::new() };
    let Value::Object(_) = value else {
        conversion.problem("", "a destination is a JSON object".to_owned(), "write {\"name\": …, \"type\": …}");
        return Err(conversion.problems);
    };
    let kind = value.get("type").and_then(Value::as_str);
    let own_keys = KINDS.iter().find(|row| Some(row.name) == kind).map(|row| row.keys).unwrap_or_default();
    let old = kept.map(|kept| &kept.table);
    // Secrets of another type of destination are not for this one.
    let old = old.filter(|table| table.get("type").and_then(Toml::as_str) == kind);
    let keys = &[DESTINATION, own_keys];
    let mut table = conversion.table(value, keys, "", old);
    if trust != Trust::Machine && old.is_some_and(|old| addresses(old, keys) != addresses(&table, keys)) {
        conversion.want_secrets_again();
    }
    if trust == Trust::Tenants {
        table.insert("targets".to_owned(), Toml::String("public".to_owned()));
    }
    if let Some(kept) = kept {
        conversion.keep_id(&mut table, kept, &name);
    }
    let Conversion { given, problems, .. } = conversion;
    if !problems.is_empty() {
        return Err(problems);
    }
    let text = file_text(&table);
    Ok(Written { key, name, text, given })
}

/// A destination in JSON without its secrets, and the keys of those that it has; with the files of this machine that it names
/// or without.
pub(crate) fn editable(table: &Table, shows_files: bool) -> (Value, Vec<String>) {
    let kind = table.get("type").and_then(Toml::as_str);
    let own_keys = KINDS.iter().find(|row| Some(row.name) == kind).map(|row| row.keys).unwrap_or_default();
    let mut secrets = Vec::new();
    let value = without_secrets(table, &[DESTINATION, own_keys], "", shows_files, &mut secrets);
    (value, secrets)
}

/// The only destination in the text of a file.
pub(crate) fn table_of(text: &str) -> Option<Table> {
    let mut file: Table = text.parse().ok()?;
    let Toml::Array(mut destinations) = file.remove("destination")? else { return None };
    match (destinations.pop(), destinations.is_empty()) {
        (Some(Toml::Table(table)), true) => Some(table),
        _ => None,
    }
}

/// Every file of the secrets' folder that the destination in a file's text names; `None` where the text can't be read.
pub(crate) fn secret_files_of(text: &str) -> Option<Vec<String>> {
    table_of(text).map(|table| secret_files(&table))
}

fn secret_files(table: &Table) -> Vec<String> {
    let below = |value: &Toml| match value {
        Toml::Table(table) => secret_files(table),
        Toml::Array(items) => items.iter().filter_map(Toml::as_table).flat_map(secret_files).collect(),
        _ => Vec::new(),
    };
    let own = table.get("file").and_then(Toml::as_str).and_then(|path| path.strip_prefix(BESIDE)).map(str::to_owned);
    own.into_iter().chain(table.values().flat_map(below)).collect()
}

fn file_text(table: &Table) -> String {
    let mut file = Table::new();
    file.insert("destination".to_owned(), Toml::Array(vec![Toml::Table(table.clone())]));
    format!("{HEAD}{file}")
}

/// A conversion under way.
struct Conversion<'c, 'p> {
    trust: Trust,
    /// What stands before the key in the place of a problem.
    head: String,
    key: &'c str,
    places: &'c mut SecretPlaces<'p>,
    given: Given,
    /// Keys of secrets that were left out and stay.
    kept: Vec<String>,
    problems: Vec<Problem>,
}

impl Conversion<'_, '_> {
    /// A table with these keys; `path` is where it is in the destination, empty or with a dot at its end.
    fn table(&mut self, value: &Value, keys: &[&'static [Key]], path: &str, old: Option<&Table>) -> Table {
        let mut table = Table::new();
        let entries = value.as_object().into_iter().flatten();
        for (name, value) in entries.filter(|(_, value)| !value.is_null()) {
            let (at, before) = (format!("{path}{name}"), old.and_then(|old| old.get(name)));
            let made = match (shape(keys, name), value) {
                (Some(Shape::Secret), _) => self.secret(value, &at, before),
                (Some(Shape::Table(below)), Value::Object(_)) => {
                    let before = before.and_then(Toml::as_table);
                    Some(Toml::Table(self.table(value, &[below], &format!("{at}."), before)))
                }
                (Some(Shape::Tables(below)), Value::Array(items)) => Some(self.tables(items, below, &at, before)),
                (Some(Shape::Text { alphabet: Alphabet::Lines, .. }), Value::String(text)) => Some(certificates(text)),
                _ => self.plain(value, &at),
            };
            if let Some(made) = made {
                self.check_trust(name, shape(keys, name), &at, &made, before);
                table.insert(name.clone(), made);
            }
        }
        for (name, secret) in old.into_iter().flatten() {
            let is_left_out = value.get(name).is_none();
            if is_left_out && matches!(shape(keys, name), Some(Shape::Secret)) {
                self.kept.push(format!("{path}{name}"));
                table.insert(name.clone(), secret.clone());
            }
        }
        if self.trust == Trust::Tenants {
            let files = old.map(|old| files(old, keys)).unwrap_or_default();
            table.extend(files.into_iter().filter(|(name, _)| value.get(name).is_none()));
        }
        table
    }

    /// A list of tables; which of the old ones is meant says their name.
    fn tables(&mut self, items: &[Value], keys: &'static [Key], path: &str, old: Option<&Toml>) -> Toml {
        let old: Vec<&Table> = old.and_then(Toml::as_array).into_iter().flatten().filter_map(Toml::as_table).collect();
        let mut tables = Vec::new();
        for item in items {
            let name = item.get("name").and_then(Value::as_str);
            let before = old.iter().find(|old| name.is_some() && old.get("name").and_then(Toml::as_str) == name);
            let made = match item {
                Value::Object(_) => {
                    let path = format!("{path}.{}.", name.unwrap_or("0"));
                    Some(Toml::Table(self.table(item, &[keys], &path, before.copied())))
                }
                other => self.plain(other, path),
            };
            tables.extend(made);
        }
        Toml::Array(tables)
    }

    fn secret(&mut self, value: &Value, at: &str, before: Option<&Toml>) -> Option<Toml> {
        let member = value.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
        match member {
            Some((name, Value::String(secret))) if name == "value" => Some(self.given(secret, at, before)),
            Some((_, Value::String(_))) if self.trust == Trust::Machine => self.plain(value, at),
            Some(_) if self.trust == Trust::Machine => self.plain(value, at),
            _ => {
                let what = format!("`{at}` is not given as a value");
                let advice = "write {\"value\": \"…\"}; leave it out of a change to keep the one that is there";
                self.problem(at, what, advice);
                None
            }
        }
    }

    /// Where a secret that came in will lie; the same as before where it is the same.
    fn given(&mut self, secret: &str, at: &str, before: Option<&Toml>) -> Toml {
        let kept = before.and_then(|before| before.get("file")).and_then(Toml::as_str);
        let content = |file: &str| (self.places.content)(&self.places.folder.join(file));
        let is_same = |file: &&str| file.starts_with(BESIDE) && content(file).is_some_and(|known| *known == secret);
        let file = kept.filter(is_same).map_or_else(|| self.new_file(secret, at), str::to_owned);
        Toml::Table(Table::from_iter([("file".to_owned(), Toml::String(file))]))
    }

    /// A file for a secret, of a name that none has had.
    fn new_file(&mut self, secret: &str, at: &str) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let stem: String = format!("{}.{at}", self.key).chars().map(safe).collect();
        let mut number = 1u32;
        while !self.places.used.insert(format!("{stem}.{number}")) {
            number += 1;
        }
        let file = format!("{BESIDE}{stem}.{number}");
        self.given.insert(self.places.folder.join(&file), Zeroizing::new(secret.to_owned()));
        file
    }

    /// A value as it is. TOML has no `null` and no number beyond 64 bits, and no key takes one.
    fn plain(&mut self, value: &Value, at: &str) -> Option<Toml> {
        Some(match value {
            Value::Null => {
                self.problem(at, format!("`{at}` holds null"), "take it out");
                return None;
            }
            Value::Bool(flag) => Toml::Boolean(*flag),
            Value::Number(number) => match whole(number) {
                Some(number) => Toml::Integer(number),
                None => Toml::Float(number.as_f64().unwrap_or(f64::MAX)),
            },
            Value::String(text) => Toml::String(text.clone()),
            Value::Array(items) => Toml::Array(items.iter().filter_map(|item| self.plain(item, at)).collect()),
            Value::Object(entries) => {
                let entries = entries.iter().filter(|(_, value)| !value.is_null());
                Toml::Table(entries.filter_map(|(name, value)| Some((name.clone(), self.plain(value, at)?))).collect())
            }
        })
    }

    /// Refuses what somebody else has to write. What was there before may stay, but a proxy: through it a name leads
    /// where nobody looks.
    fn check_trust(&mut self, name: &str, shape: Option<Shape>, at: &str, made: &Toml, before: Option<&Toml>) {
        let is_kept_proxy = self.trust == Trust::Tenants && at == "proxy";
        if self.trust == Trust::Machine || (before == Some(made) && !is_kept_proxy) {
            return;
        }
        let is_certificate = ["ca_file", "cert_file", "key_file"].contains(&name);
        let is_for_tenants = self.trust == Trust::Tenants;
        if matches!(shape, Some(Shape::Path)) && (is_for_tenants || !is_certificate) {
            let what = format!("`{at}` names a file of the agent's machine");
            self.problem(at, what, "take it out, or ask somebody who administers the machine");
        } else if is_for_tenants && at == "proxy" {
            let what = "`proxy` is for those who administer all tenants".to_owned();
            self.problem(at, what, "take it out, or ask one of them");
        } else if is_for_tenants && at == "targets" && made.as_str() != Some("public") {
            let what = "`targets` lets the destination be at addresses of this network".to_owned();
            self.problem(at, what, "take it out, or ask somebody who administers all tenants");
        } else if is_for_tenants && at == "required" && made.as_bool() == Some(true) {
            let what = "`required` can hold up everybody's events".to_owned();
            self.problem(at, what, "take it out, or ask somebody who administers all tenants");
        }
    }

    /// Whoever may change where a secret is sent must not learn it by that.
    fn want_secrets_again(&mut self) {
        for key in std::mem::take(&mut self.kept) {
            let what = format!("`{key}` is left out, and somebody else than before could get it by this change");
            self.problem(&key, what, "give it again: {\"value\": \"…\"}");
        }
    }

    /// A destination with a new name is the same one: what its cursors are kept under stays.
    fn keep_id(&mut self, table: &mut Table, kept: &Kept, name: &str) {
        match table.get("id").and_then(Toml::as_str) {
            Some(id) if id != kept.key => {
                let what = format!("`id` is {}, and cursors are kept under {:?}", shown(id), kept.key);
                self.problem("id", what, "leave it as it is, or make another destination");
            }
            None if name != kept.key && !table.contains_key("id") => {
                table.insert("id".to_owned(), Toml::String(kept.key.clone()));
            }
            _ => {}
        }
    }

    fn problem(&mut self, at: &str, what: String, advice: &str) {
        let place = Place { key: format!("{}{at}", self.head), ..Place::file(Path::new("the request")) };
        let advice = advice.to_owned();
        self.problems.push(Problem { weight: Weight::Error, what, place, advice, about: About::Setting });
    }
}

/// Certificates as a file has them, whoever wrote them: in one way. What is none stays, and the parser says so.
fn certificates(text: &str) -> Toml {
    Toml::String(Authorities::parse(text).map_or_else(|_| text.to_owned(), |certificates| certificates.pem()))
}

/// The files of this machine in a table, which who is not shown them can't send back.
fn files(table: &Table, keys: &[&'static [Key]]) -> Table {
    let file = |(name, entry): (&String, &Toml)| match (shape(keys, name), entry) {
        (Some(Shape::Path), entry) => Some((name.clone(), entry.clone())),
        (Some(Shape::Table(below)), Toml::Table(table)) => {
            let inside = files(table, &[below]);
            (!inside.is_empty()).then(|| (name.clone(), Toml::Table(inside)))
        }
        _ => None,
    };
    table.iter().filter_map(file).collect()
}

/// Everything in a table that says where something is sent, and by what the right receiver is known.
fn addresses<'t>(table: &'t Table, keys: &[&'static [Key]]) -> Vec<(&'t str, &'t Toml)> {
    let below = |(name, entry): (&'t String, &'t Toml)| match (shape(keys, name), entry) {
        (Some(Shape::Url | Shape::Host), entry) => vec![(name.as_str(), entry)],
        (_, entry) if ["urls", "port", "ca_file", "ca", "fingerprints"].contains(&name.as_str()) => {
            vec![(name.as_str(), entry)]
        }
        (Some(Shape::Table(below)), Toml::Table(table)) => addresses(table, &[below]),
        _ => Vec::new(),
    };
    table.iter().flat_map(below).collect()
}

/// A whole number, which JSON may write as `5.0` (JSON Schema, section 6.1.1).
pub(crate) fn whole(number: &Number) -> Option<i64> {
    // Beyond that, what was written is not known any more.
    let is_whole = |number: &f64| number.fract() == 0.0 && number.abs() < (1_i64 << f64::MANTISSA_DIGITS) as f64;
    number.as_i64().or_else(|| number.as_f64().filter(is_whole).map(|number| number as i64))
}

fn without_secrets(
    table: &Table,
    keys: &[&'static [Key]],
    path: &str,
    shows_files: bool,
    secrets: &mut Vec<String>,
) -> Value {
    let mut value = serde_json::Map::new();
    for (name, entry) in table {
        let at = format!("{path}{name}");
        let shown = match (shape(keys, name), entry) {
            (Some(Shape::Secret), _) => {
                secrets.push(at);
                continue;
            }
            (Some(Shape::Path), _) if !shows_files => continue,
            (Some(Shape::Table(below)), Toml::Table(table)) => {
                without_secrets(table, &[below], &format!("{at}."), shows_files, secrets)
            }
            (Some(Shape::Tables(below)), Toml::Array(items)) => {
                let mut shown = |item: &Toml| match item {
                    Toml::Table(table) => {
                        let name = table.get("name").and_then(Toml::as_str).unwrap_or("0");
                        without_secrets(table, &[below], &format!("{at}.{name}."), shows_files, secrets)
                    }
                    other => serde_json::to_value(other).unwrap_or_default(),
                };
                items.iter().map(&mut shown).collect()
            }
            (_, other) => serde_json::to_value(other).unwrap_or_default(),
        };
        value.insert(name.clone(), shown);
    }
    value.into()
}

fn shape(keys: &[&'static [Key]], name: &str) -> Option<Shape> {
    keys.iter().flat_map(|keys| keys.iter()).find(|key| key.name == name).map(|key| key.shape)
}

/// Where secrets lie, from a destination's file.
const BESIDE: &str = "../secrets/";
/// What stands at the top of each file.
const HEAD: &str = "# Written by the agent: change this destination over its API, its page or its command line.\n\n";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with<T>(folder: &str, content: &[(&str, &str)], work: impl FnOnce(&mut SecretPlaces<'_>) -> T) -> T {
        let folder = Path::new(folder);
        let read = |path: &Path| {
            let found = content.iter().find(|(name, _)| folder.join(BESIDE).join(name) == path);
            found.map(|(_, secret)| Zeroizing::new((*secret).to_owned()))
        };
        let used = content.iter().map(|(name, _)| (*name).to_owned()).collect();
        work(&mut SecretPlaces { folder, used, content: &read })
    }

    fn make(value: &Value, kept: Option<&Kept>, trust: Trust, content: &[(&str, &str)]) -> Result<Written, String> {
        let made = with("/s", content, |places| written(value, kept, trust, places));
        made.map_err(|problems| {
            problems.iter().map(|problem| format!("{} at {}\n", problem.what, problem.place.key)).collect()
        })
    }

    fn kept(written: &Written) -> Kept {
        Kept { key: written.key.clone(), table: table_of(&written.text).unwrap() }
    }

    fn splunk() -> Value {
        json!({"name": "a", "type": "splunk_hec", "url": "https://siem.example", "token": {"value": "hush"},
               "batch": {"max_events": 7, "linger": "2s"}, "tls": null})
    }

    #[test]
    fn a_secret_goes_into_a_file_of_its_own_and_the_rest_is_what_a_file_would_say() {
        let made = make(&splunk(), None, Trust::Network, &[]).unwrap();
        assert_eq!(made.key, "a");
        assert!(made.text.contains("token.file") || made.text.contains("[destination.token]"), "{}", made.text);
        assert!(made.text.contains("\"../secrets/a.token.1\"") && !made.text.contains("hush"), "{}", made.text);
        assert_eq!(made.given[Path::new("/s/../secrets/a.token.1")].as_str(), "hush");
        let (shown, secrets) = editable(&kept(&made).table, true);
        let expected = json!({"name": "a", "type": "splunk_hec", "url": "https://siem.example",
                              "batch": {"max_events": 7, "linger": "2s"}});
        assert_eq!((shown, secrets), (expected, vec!["token".to_owned()]));
    }

    #[test]
    fn a_secret_that_is_left_out_or_the_same_stays_and_null_takes_it_out() {
        let first = kept(&make(&splunk(), None, Trust::Network, &[]).unwrap());
        let there = [("a.token.1", "hush")];
        let mut value = splunk();
        let same = make(&value, Some(&first), Trust::Network, &there).unwrap();
        assert!(same.given.is_empty() && same.text.contains("a.token.1"), "{}", same.text);
        value["token"] = json!({"value": "other"});
        let other = make(&value, Some(&first), Trust::Network, &there).unwrap();
        assert_eq!(other.given.keys().collect::<Vec<_>>(), [Path::new("/s/../secrets/a.token.2")]);
        value.as_object_mut().unwrap().remove("token");
        let left_out = make(&value, Some(&first), Trust::Network, &there).unwrap();
        assert_eq!(left_out.text, same.text);
        value["token"] = Value::Null;
        assert!(!make(&value, Some(&first), Trust::Network, &there).unwrap().text.contains("token"));
        value.as_object_mut().unwrap().remove("token");
        value["type"] = json!("sumo_logic");
        let text = make(&value, Some(&first), Trust::Network, &there).unwrap().text;
        assert!(!text.contains("token"), "another type of destination does not get it: {text}");
    }

    #[test]
    fn a_secret_is_not_sent_elsewhere_by_somebody_who_does_not_know_it() {
        let first = kept(&make(&splunk(), None, Trust::Network, &[]).unwrap());
        let mut value = splunk();
        value["url"] = json!("https://elsewhere.example");
        assert!(make(&value, Some(&first), Trust::Network, &[]).is_ok(), "who knows it may");
        value.as_object_mut().unwrap().remove("token");
        let refused = make(&value, Some(&first), Trust::Network, &[]).err().unwrap();
        assert!(refused.contains("destination \"a\" token"), "{refused}");
        assert!(make(&value, Some(&first), Trust::Machine, &[]).is_ok(), "who can read its file knows it");
        value["url"] = json!("https://siem.example");
        value["proxy"] = json!({"url": "http://elsewhere.example:3128"});
        assert!(make(&value, Some(&first), Trust::Network, &[]).is_err(), "a proxy is on its way");
        value.as_object_mut().unwrap().remove("proxy");
        assert!(make(&value, Some(&first), Trust::Tenants, &[]).is_ok());
        for tls in [json!({"ca": "x"}), json!({"ca_file": "/etc/x"}), json!({"fingerprints": ["sha-256:00"]})] {
            value["tls"] = tls;
            let refused = make(&value, Some(&first), Trust::Network, &[]).err().unwrap();
            assert!(refused.contains("destination \"a\" token"), "who proves to be the receiver gets it: {value}");
            value["token"] = json!({"value": "hush"});
            let knows = make(&value, Some(&first), Trust::Network, &[]).unwrap();
            value.as_object_mut().unwrap().remove("token");
            assert!(make(&value, Some(&kept(&knows)), Trust::Network, &[]).is_ok(), "nothing changes: {value}");
            value["tls"] = Value::Null;
            assert!(make(&value, Some(&kept(&knows)), Trust::Network, &[]).is_err(), "everybody's authorities count");
        }
    }

    #[test]
    fn certificates_are_kept_in_one_way_however_they_were_written() {
        let pem = rcgen::generate_simple_self_signed(vec!["authority".to_owned()]).unwrap().cert.pem();
        let text = |ca: String| {
            let value = json!({"name": "a", "type": "splunk_hec", "url": "https://siem.example", "tls": {"ca": ca}});
            make(&value, None, Trust::Tenants, &[]).unwrap().text
        };
        assert_eq!(text(pem.replace('\n', "\r\n\r\n")), text(pem.trim().to_owned()));
        assert!(text("corp".to_owned()).contains("ca = \"corp\""), "the parser says what is wrong with it");
    }

    #[test]
    fn secrets_in_a_list_belong_to_the_entry_of_their_name() {
        let headers =
            |list: Value| json!({"name": "h", "type": "https", "url": "https://siem.example", "secret_headers": list});
        let both = headers(json!([{"name": "X-A", "value": {"value": "1"}}, {"name": "X-B", "value": {"value": "2"}}]));
        let made = make(&both, None, Trust::Network, &[]).unwrap();
        let names: Vec<_> = made.given.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(names, ["/s/../secrets/h.secret_headers.X-A.value.1", "/s/../secrets/h.secret_headers.X-B.value.1"]);
        let one = make(&headers(json!([{"name": "X-B"}])), Some(&kept(&made)), Trust::Network, &[]).unwrap();
        assert!(one.text.contains("X-B.value.1") && !one.text.contains("X-A"), "{}", one.text);
        assert_eq!(editable(&kept(&one).table, true).1, ["secret_headers.X-B.value"]);
    }

    #[test]
    fn a_new_name_keeps_the_id_and_another_id_is_refused() {
        let first = kept(&make(&splunk(), None, Trust::Network, &[]).unwrap());
        let mut value = splunk();
        value["name"] = json!("b");
        let renamed = make(&value, Some(&first), Trust::Network, &[]).unwrap();
        assert_eq!((renamed.key.as_str(), renamed.name.as_str()), ("a", "b"));
        assert!(renamed.text.contains("id = \"a\""), "{}", renamed.text);
        value["id"] = json!("b");
        let refused = make(&value, Some(&first), Trust::Network, &[]).err().unwrap();
        assert!(refused.contains("destination \"b\" id"), "{refused}");
    }

    #[test]
    fn nobody_has_files_sent_that_they_may_not_read() {
        let base = json!({"name": "a", "type": "https", "url": "https://siem.example", "tenants": ["acme"]});
        let refused = |more: Value, trust| {
            let mut value = base.clone();
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            make(&value, None, trust, &[]).err()
        };
        for more in [
            json!({"bearer_token": {"file": "/etc/shadow"}}),
            json!({"bearer_token": {"env": "TOKEN"}}),
            json!({"bearer_token": {"credential": "siem"}}),
            json!({"template_file": "/etc/shadow"}),
        ] {
            assert_eq!(refused(more.clone(), Trust::Machine), None);
            assert!(refused(more.clone(), Trust::Network).is_some(), "{more}");
            assert!(refused(more.clone(), Trust::Tenants).is_some(), "{more}");
        }
        for more in [
            json!({"tls": {"ca_file": "/etc/ssl/corp.pem"}}),
            json!({"proxy": {"url": "http://proxy.example:3128"}}),
            json!({"required": true}),
            json!({"targets": "any"}),
        ] {
            assert_eq!(refused(more.clone(), Trust::Network), None);
            assert!(refused(more.clone(), Trust::Tenants).is_some(), "{more}");
        }
        let text = refused(json!({"bearer_token": "hush-hush"}), Trust::Network).unwrap();
        assert!(text.contains("bearer_token") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn who_administers_some_tenants_is_not_shown_files_and_keeps_them_unless_they_are_taken_out() {
        let value = json!({"name": "a", "type": "https", "url": "https://siem.example", "template_file": "/t",
                           "tls": {"ca_file": "/ca.pem", "min_version": "1.3"}});
        let first = kept(&make(&value, None, Trust::Machine, &[]).unwrap());
        let (shown, _) = editable(&first.table, false);
        let expected =
            json!({"name": "a", "type": "https", "url": "https://siem.example", "tls": {"min_version": "1.3"}});
        assert_eq!((&shown, &editable(&first.table, true).0), (&expected, &value));
        let table = |value: &Value, trust| kept(&make(value, Some(&first), trust, &[]).unwrap()).table;
        let mut same = table(&shown, Trust::Tenants);
        assert_eq!(same.remove("targets"), Some(Toml::String("public".to_owned())));
        assert_eq!(same, first.table);
        let mut other = shown.clone();
        other.as_object_mut().unwrap().remove("tls");
        let without_tls = table(&other, Trust::Tenants);
        assert_eq!(without_tls["tls"].as_table().unwrap().keys().collect::<Vec<_>>(), ["ca_file"]);
        assert!(!table(&other, Trust::Network).contains_key("tls"), "who is shown them leaves them out on purpose");
        other["tls"] = Value::Null;
        other["template_file"] = Value::Null;
        let none = table(&other, Trust::Tenants);
        assert!(!none.contains_key("tls") && !none.contains_key("template_file"), "{none}");
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let made = |text: &str| whole(&serde_json::from_str(text).unwrap());
        for (text, number) in [("5", 5), ("5.0", 5), ("-0.0", 0), ("1e3", 1_000), ("-7.0", -7)] {
            assert_eq!(made(text), Some(number), "{text}");
        }
        for text in ["5.5", "1e300", "9007199254740992.0", "18446744073709551615"] {
            assert_eq!(made(text), None, "{text}");
        }
        let mut value = splunk();
        value["batch"]["max_events"] = json!(7.0);
        assert!(make(&value, None, Trust::Network, &[]).unwrap().text.contains("max_events = 7\n"));
    }

    #[test]
    fn what_stands_in_no_table_of_keys_is_left_to_the_parser() {
        let value = json!({"name": "a", "type": "nothing", "odd": [1, {"deep": true}], "big": u64::MAX, "n": null});
        let text = make(&value, None, Trust::Network, &[]).unwrap().text;
        assert!(text.contains("odd = [1, { deep = true }]") && !text.contains("n = "), "{text}");
        assert!(make(&json!([1]), None, Trust::Network, &[]).is_err());
    }
}
