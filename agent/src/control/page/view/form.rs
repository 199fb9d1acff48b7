//! The form of a destination, written from the table of keys that the parser reads by: a key is described once.
//!
//! The few keys that matter first stand open, all others are folded away. What is left empty is left out, and its default
//! counts. Secrets only go in: one that is there stays unless another is written. So a form that comes back does not have the
//! secrets that were written into it; it says so at their fields, and the next *Save* without them is refused once.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::frame::{Frame, Place};
use super::words::ticked;
use super::{preview, problem, tested};
use crate::config::{Alphabet, DESTINATION, Key, KeyDefault, Shape, holds_private_key, keys_of};
use crate::control::http::Problem;
use crate::control::managed::tell::Error;
use crate::control::page::kept;
use crate::control::preview::Preview;
use crate::probe::Report;

/// Values as a form holds them, by the path of their key: lists with a line for each item.
pub(in crate::control::page) type Values = BTreeMap<String, String>;

/// A destination that somebody writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control::page) struct Draft {
    /// The word for its kind.
    pub(in crate::control::page) kind: &'static str,
    /// What is filled in; no secrets.
    pub(in crate::control::page) values: Values,
    /// The keys of the secrets that were filled in, which a form that comes back does not have.
    pub(in crate::control::page) written: Vec<String>,
    /// The one that is changed, if it is not a new one.
    pub(in crate::control::page) changes: Option<Changes>,
}

/// A destination that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control::page) struct Changes {
    /// Its name.
    pub(in crate::control::page) name: String,
    /// The tag of what somebody saw of it.
    pub(in crate::control::page) tag: String,
    /// The keys of its secrets.
    pub(in crate::control::page) secrets: Vec<String>,
    /// Those of them that are to be taken out.
    pub(in crate::control::page) removed: Vec<String>,
}

/// What came of a draft, to be shown above it.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::control::page) struct Outcome<'o> {
    /// Why it can't be used.
    pub(in crate::control::page) problem: Option<&'o Problem>,
    /// What a test of it found.
    pub(in crate::control::page) tested: Option<&'o Report>,
    /// What its filter would have sent.
    pub(in crate::control::page) preview: Option<&'o Preview>,
    /// Whether somebody has come back to what they had written before their session was over.
    pub(in crate::control::page) is_back: bool,
}

impl Draft {
    /// The kind's keys, behind those that every destination has.
    fn keys(&self) -> impl Iterator<Item = &'static Key> {
        let own = keys_of(self.kind).map(|(_, keys)| keys).unwrap_or_default();
        DESTINATION.iter().chain(own).filter(|key| key.name != "type")
    }

    /// A draft from the fields that a browser sent; of other fields nothing is taken.
    pub(in crate::control::page) fn read(
        kind: &'static str,
        changes: Option<Changes>,
        field: &dyn Fn(&str) -> Option<String>,
    ) -> Draft {
        let mut draft = Draft { kind, values: Values::new(), written: Vec::new(), changes };
        let keys: Vec<&Key> = draft.keys().collect();
        for (path, key) in flat(keys.into_iter(), "") {
            let Some(text) = field(&path).filter(|text| !text.trim().is_empty()) else { continue };
            match key.shape {
                Shape::Secret => draft.written.push(path),
                _ => drop(draft.values.insert(path, text)),
            }
        }
        draft
    }

    /// Why it is not saved yet, if secrets that were written into the form before, `again`, and were not saved then, are not
    /// written into it now, and are not to be taken out either.
    pub(in crate::control::page) fn misses(&self, again: &[String]) -> Option<Problem> {
        let keys: Vec<&Key> = self.keys().collect();
        let secrets = flat(keys.into_iter(), "").into_iter().filter(|(_, key)| matches!(key.shape, Shape::Secret));
        let is_removed = |path: &String| self.changes.iter().any(|changes| changes.removed.contains(path));
        let missing = secrets
            .map(|(path, _)| path)
            .filter(|path| again.contains(path) && !self.written.contains(path) && !is_removed(path));
        let errors: Vec<Error> = missing
            .map(|key| Error {
                destination: None,
                key,
                what: "you wrote a secret here that was not saved, and it is not here any more".to_owned(),
                advice: "write it again; or press Save once more to do without it".to_owned(),
            })
            .collect();
        let detail = "a secret that you wrote would be left out".to_owned();
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        problem.errors = errors;
        (!problem.errors.is_empty()).then_some(problem)
    }

    /// A draft of what is there, as the API gives it.
    pub(in crate::control::page) fn of(kind: &'static str, settings: &Value, changes: Changes) -> Draft {
        let mut draft = Draft { kind, values: Values::new(), written: Vec::new(), changes: Some(changes) };
        let keys: Vec<&Key> = draft.keys().collect();
        for (path, key) in flat(keys.into_iter(), "") {
            let value = path.split('.').try_fold(settings, |value, name| value.get(name));
            if let Some(text) = value.and_then(|value| text_of(key, value)) {
                draft.values.insert(path, text);
            }
        }
        draft
    }

    /// The same draft, written by somebody who has seen what has this tag.
    pub(in crate::control::page) fn tagged(&self, tag: &str) -> Draft {
        let changes = self.changes.clone().map(|changes| Changes { tag: tag.to_owned(), ..changes });
        Draft { changes, ..self.clone() }
    }

    /// The draft as the API takes it. Secrets come by `secret`, which is not asked for those that are to stay; `removes` says
    /// which are to go.
    pub(in crate::control::page) fn json(
        &self,
        secret: &dyn Fn(&str) -> Option<String>,
        removes: &dyn Fn(&str) -> bool,
    ) -> Value {
        let keys: Vec<&Key> = self.keys().collect();
        let mut value = self.table(keys.into_iter(), "", secret, removes);
        value.insert("type".to_owned(), self.kind.into());
        value.into()
    }

    /// Whose events it is to get, and which.
    pub(in crate::control::page) fn selection(&self) -> Value {
        let keys = self.keys().filter(|key| ["tenants", "filter", "redact"].contains(&key.name));
        self.table(keys.collect::<Vec<_>>().into_iter(), "", &|_| None, &|_| false).into()
    }

    fn table(
        &self,
        keys: impl Iterator<Item = &'static Key>,
        path: &str,
        secret: &dyn Fn(&str) -> Option<String>,
        removes: &dyn Fn(&str) -> bool,
    ) -> Map<String, Value> {
        let mut table = Map::new();
        for key in keys {
            let at = format!("{path}{}", key.name);
            let value = match key.shape {
                Shape::Table(below) => {
                    let inside = self.table(below.iter(), &format!("{at}."), secret, removes);
                    (!inside.is_empty()).then(|| inside.into())
                }
                Shape::Secret if removes(&at) => Some(Value::Null),
                Shape::Secret => {
                    secret(&at).filter(|text| !text.is_empty()).map(|text| serde_json::json!({"value": text}))
                }
                _ => self.values.get(&at).map(|text| value_of(key, text)),
            };
            if let Some(value) = value {
                table.insert(key.name.to_owned(), value);
            }
        }
        table
    }
}

/// Every key with its path; tables are walked into.
fn flat(keys: impl Iterator<Item = &'static Key>, path: &str) -> Vec<(String, &'static Key)> {
    let mut all = Vec::new();
    for key in keys {
        let at = format!("{path}{}", key.name);
        match key.shape {
            Shape::Table(below) => all.extend(flat(below.iter(), &format!("{at}."))),
            _ => all.push((at, key)),
        }
    }
    all
}

/// How what is filled into a field may be shown again, or go anywhere.
#[derive(Clone, Copy, Debug)]
pub(in crate::control::page) struct Shown(Shape);

impl Shown {
    /// It without what may be secret in it; `None` where that can't be told apart.
    pub(in crate::control::page) fn of(self, text: &str) -> Option<String> {
        match self.0 {
            Shape::Secret => None,
            Shape::Tables(below) if below.iter().any(|key| matches!(key.shape, Shape::Secret)) => {
                let mut tables: Vec<Map<String, Value>> = serde_json::from_str(text).ok()?;
                let is_open = |name: &String, _: &mut Value| {
                    below.iter().any(|key| key.name == name && !matches!(key.shape, Shape::Secret))
                };
                tables.iter_mut().for_each(|table| table.retain(is_open));
                serde_json::to_string_pretty(&tables).ok()
            }
            // Pasted in error: it was refused, and is not to be seen again.
            _ if holds_private_key(text) => None,
            _ => Some(text.to_owned()),
        }
    }
}

/// The fields of all forms of destinations by the path of their key. `None` where it is a secret's in one of them.
pub(in crate::control::page) fn open_fields() -> BTreeMap<String, Option<Shown>> {
    let mut fields = BTreeMap::new();
    for own in KINDS.iter().filter_map(|(kind, ..)| keys_of(kind)).map(|(_, keys)| keys) {
        for (path, key) in flat(DESTINATION.iter().chain(own), "") {
            let is_secret = matches!(key.shape, Shape::Secret);
            let shown = fields.entry(path).or_insert(Some(Shown(key.shape)));
            if is_secret {
                *shown = None;
            }
        }
    }
    fields
}

/// What is filled in, as the parser wants it; what does not fit stays text, which the parser then says.
fn value_of(key: &Key, text: &str) -> Value {
    let text = text.trim();
    let number = |text: &str| text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    match key.shape {
        Shape::Flag => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
        Shape::Count { .. } | Shape::AutoOrCount { .. } => number(text),
        Shape::Texts => lines().map(Value::from).collect(),
        Shape::Uids | Shape::Statuses => lines().map(number).collect(),
        Shape::Tables(_) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        // Browsers end lines their own way.
        Shape::Text { alphabet: Alphabet::Lines, .. } => Value::from(text.replace("\r\n", "\n")),
        _ => Value::from(text),
    }
}

fn text_of(key: &Key, value: &Value) -> Option<String> {
    match (key.shape, value) {
        (Shape::Secret, _) | (_, Value::Null) => None,
        (Shape::Tables(_), value) => serde_json::to_string_pretty(value).ok(),
        (_, Value::Array(items)) => Some(items.iter().map(plain).collect::<Vec<_>>().join("\n")),
        (_, value) => Some(plain(value)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The cards to choose a kind by.
pub(in crate::control::page) fn kinds(frame: &Frame) -> Markup {
    frame.page(
        Place::Destinations,
        "New destination",
        &html! {
            p { "Which SIEM is to get the events? The next page asks for its address and its secret, and tests them before anything is saved." }
            ul.kinds {
                @for (kind, title, about, _) in KINDS {
                    li { a href=(frame.link(&format!("/new/{kind}"))) { strong { (title) } span { (about) } } }
                }
            }
        },
    )
}

/// The form.
pub(in crate::control::page) fn page(frame: &Frame, draft: &Draft, outcome: Outcome<'_>) -> Markup {
    let known = KINDS.iter().find(|(kind, ..)| *kind == draft.kind);
    let first = known.map_or(&[][..], |(.., first)| *first);
    let title = kind_title(draft.kind);
    let (heading, action, back) = match &draft.changes {
        None => (format!("New destination: {title}"), format!("/new/{}", draft.kind), "/new".to_owned()),
        Some(Changes { name, .. }) => {
            let path = format!("/destinations/{name}");
            (format!("Change {name}"), format!("{path}/edit"), path)
        }
    };
    let errors = outcome.problem.map(|problem| problem.errors.as_slice()).unwrap_or_default();
    let form = Form { draft, errors };
    let is_first = |key: &&Key| key.name == "name" || first.contains(&key.name);
    let is_wish = |key: &&Key| ["tenants", "filter"].contains(&key.name);
    let mut open: Vec<&Key> = draft.keys().filter(is_first).collect();
    open.sort_by_key(|key| first.iter().position(|name| *name == key.name).map_or(0, |at| at + 1));
    let inside = html! {
        @if let Some(changes) = &draft.changes { input type="hidden" name="_tag" value=(changes.tag); }
        @for key in open { (form.field(key, key.name)) }
        h2 { "Which events" }
        @for key in draft.keys().filter(is_wish) { (form.field(key, key.name)) }
        details open[form.has_folded_errors(&is_first)] {
            summary { "Advanced" }
            @for key in draft.keys().filter(|key| !is_first(key) && !is_wish(key)) { (form.field(key, key.name)) }
        }
        div.actions role="group" aria-label="Actions" {
            button type="submit" name="_do" value="test" { "Test" }
            button type="submit" name="_do" value="preview" { "Preview the filter" }
            button.first type="submit" name="_do" value="save" { "Save" }
            a.button href=(frame.link(&back)) { "Cancel" }
        }
    };
    frame.page(
        Place::Destinations,
        &heading,
        &html! {
            div #result tabindex="-1" data-result { (result(&form, outcome)) }
            (frame.form(&action, &inside))
        },
    )
}

fn result(form: &Form<'_>, outcome: Outcome<'_>) -> Markup {
    html! {
        @if outcome.is_back { (kept::told()) }
        @if let Some(found) = outcome.problem {
            @if found.errors.is_empty() { (problem::told(found)) }
            @else {
                div.problem role="alert" {
                    p { strong { "It can't be used as it is, and nothing was saved." } }
                    ul { @for error in &found.errors { li {
                        @match form.path_of(error) {
                            Some(path) => { a href={ "#f-" (path) } { (error.key) } },
                            None => { (error.key) },
                        }
                        ": " (error.what) ". " (ticked(&error.advice)) "."
                    } } }
                }
            }
        }
        @if let Some(preview) = outcome.preview { (preview::told(preview)) }
        @if let Some(report) = outcome.tested {
            (tested::told(report))
            p { "Nothing is saved yet. A browser without scripts forgets the secrets now: write them again before you save." }
        }
    }
}

struct Form<'f> {
    draft: &'f Draft,
    errors: &'f [Error],
}

impl Form<'_> {
    /// The field that an error belongs to.
    fn path_of(&self, error: &Error) -> Option<String> {
        let keys: Vec<&Key> = self.draft.keys().collect();
        flat(keys.into_iter(), "").into_iter().map(|(path, _)| path).find(|path| is_about(error, path))
    }

    fn has_folded_errors(&self, is_open: &dyn Fn(&&'static Key) -> bool) -> bool {
        let is_folded = |key: &'static Key| !is_open(&key) && self.errors.iter().any(|error| is_about(error, key.name));
        self.draft.keys().any(is_folded)
    }

    fn field(&self, key: &'static Key, path: &str) -> Markup {
        if let Shape::Table(below) = key.shape {
            return html! {
                fieldset.table {
                    legend { (label(key)) }
                    p { small { (ticked(key.about)) } }
                    div.fields { @for key in below { (self.field(key, &format!("{path}.{}", key.name))) } }
                }
            };
        }
        let error = self.errors.iter().find(|error| is_about(error, path));
        html! {
            div.field {
                label for={ "f-" (path) } { (label(key)) @if matches!(key.default, KeyDefault::Required) { " " small { "(needed)" } } }
                (self.input(key, path, error.is_some()))
                small id={ "h-" (path) } { (ticked(key.about)) (how(&key.shape)) }
                @if let Some(error) = error {
                    strong.field-problem id={ "p-" (path) } { (error.what) ". " (ticked(&error.advice)) "." }
                }
            }
        }
    }

    fn input(&self, key: &Key, path: &str, is_wrong: bool) -> Markup {
        let value = self.draft.values.get(path).and_then(|text| Shown(key.shape).of(text)).unwrap_or_default();
        let value = value.as_str();
        let id = format!("f-{path}");
        let described = if is_wrong { format!("h-{path} p-{path}") } else { format!("h-{path}") };
        let wrong = is_wrong.then_some("true");
        let default = default_text(key);
        html! { @match key.shape {
            Shape::Choice { now, .. } => { (select(&id, path, value, &described, wrong, &default, now.iter().map(|word| (*word, *word)))) },
            Shape::Flag => {
                (select(&id, path, value, &described, wrong, &default, [("true", "yes"), ("false", "no")].into_iter()))
            },
            Shape::Texts | Shape::Uids | Shape::Statuses | Shape::Tables(_) => {
                textarea id=(id) name=(path) rows="2" spellcheck="false" placeholder=(default)
                    aria-describedby=(described) aria-invalid=[wrong] { (value) }
            },
            Shape::Text { alphabet: Alphabet::Lines, .. } => {
                textarea id=(id) name=(path) rows="4" spellcheck="false" aria-describedby=(described) aria-invalid=[wrong] { (value) }
            },
            Shape::Secret => { (self.secret(&id, path, &described, wrong)) },
            _ => {
                input type="text" id=(id) name=(path) value=(value) placeholder=(default) autocomplete="off" spellcheck="false"
                    aria-describedby=(described) aria-invalid=[wrong];
            },
        } }
    }

    fn secret(&self, id: &str, path: &str, described: &str, wrong: Option<&str>) -> Markup {
        let holds = |paths: &[String]| paths.iter().any(|known| known == path);
        let changes = self.draft.changes.as_ref();
        let is_kept = changes.is_some_and(|changes| holds(&changes.secrets));
        let is_removed = changes.is_some_and(|changes| holds(&changes.removed));
        let is_written = holds(&self.draft.written);
        let described = if is_written { format!("{described} w-{path}") } else { described.to_owned() };
        let placeholder = (is_kept && !is_written).then_some("kept as it is");
        html! {
            input type="password" id=(id) name=(path) autocomplete="new-password" placeholder=[placeholder]
                aria-describedby=(described) aria-invalid=[wrong];
            @if is_written {
                input type="hidden" name="_again" value=(path);
                strong.field-problem id={ "w-" (path) } { "Write it again: what you wrote was not saved." }
            }
            @if is_kept {
                label.choice { input type="checkbox" name="_remove" value=(path) checked[is_removed]; " take it out" }
            }
        }
    }
}

fn select<'w>(
    id: &str,
    path: &str,
    value: &str,
    described: &str,
    wrong: Option<&str>,
    default: &str,
    words: impl Iterator<Item = (&'w str, &'w str)>,
) -> Markup {
    html! {
        select id=(id) name=(path) aria-describedby=(described) aria-invalid=[wrong] {
            option value="" { @if default.is_empty() { "not set" } @else { "default: " (default) } }
            @for (word, shown) in words { option value=(word) selected[word == value] { (shown) } }
        }
    }
}

fn is_about(error: &Error, path: &str) -> bool {
    let rest = error.key.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', '[']))
}

/// A key's name in words.
fn label(key: &Key) -> String {
    let words: Vec<String> = key.name.split('_').enumerate().map(|(at, word)| spelt(word, at == 0)).collect();
    words.join(" ")
}

/// A word of a label: what is short for something in capitals, the first with one.
fn spelt(word: &str, is_first: bool) -> String {
    match word {
        "api" | "ca" | "cim" | "id" | "sd" | "tls" | "uid" | "url" => word.to_uppercase(),
        "ids" | "urls" => format!("{}s", word[..word.len() - 1].to_uppercase()),
        _ if is_first => word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect(),
        _ => word.to_owned(),
    }
}

/// What people call a kind.
pub(in crate::control::page) fn kind_title(kind: &str) -> &str {
    KINDS.iter().find(|(known, ..)| *known == kind).map_or(kind, |(_, title, ..)| title)
}

fn default_text(key: &Key) -> String {
    match key.default {
        KeyDefault::Required | KeyDefault::Absent => String::new(),
        KeyDefault::Text(text) => text.to_owned(),
        KeyDefault::Count(number) => number.to_string(),
        KeyDefault::Flag(flag) => if flag { "yes" } else { "no" }.to_owned(),
        KeyDefault::Texts(texts) => texts.join("\n"),
    }
}

/// How a list is written, and where a file has to lie.
fn how(shape: &Shape) -> &'static str {
    match shape {
        Shape::Texts | Shape::Uids | Shape::Statuses => " One in each line.",
        Shape::Tables(_) => " As JSON.",
        Shape::Path => {
            " A file on the agent's machine, like /etc/scaidrive-siem/ca.pem: whoever administers it puts it there, readable by the agent's user."
        }
        _ => "",
    }
}

/// The kinds: the word, the name, what it is, and the keys that matter first, in this order.
const KINDS: &[(&str, &str, &str, &[&str])] = &[
    ("splunk_hec", "Splunk", "HTTP Event Collector", &["url", "token", "index"]),
    (
        "sentinel",
        "Microsoft Sentinel",
        "Logs Ingestion API, with a data collection rule",
        &["url", "rule", "tenant_id", "client_id", "client_secret"],
    ),
    ("elastic", "Elastic, OpenSearch", "Bulk API of Elasticsearch or OpenSearch", &["url", "target", "api_key"]),
    ("datadog", "Datadog", "Logs intake", &["site", "api_key"]),
    ("sumo_logic", "Sumo Logic", "HTTP source", &["secret_url"]),
    ("https", "Any receiver by HTTPS", "JSON or lines, to an address of your own", &["url", "bearer_token"]),
    ("syslog", "Syslog, RELP", "RFC 5424 over TLS, TCP, UDP or RELP", &["transport", "host", "port"]),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::access::Role;
    use crate::control::page::view::tests::{assert_strict, frame};

    fn new(kind: &'static str) -> Draft {
        Draft { kind, values: Values::new(), written: Vec::new(), changes: None }
    }

    fn text(draft: &Draft, outcome: Outcome<'_>) -> String {
        let page = page(&frame(Role::Admin), draft, outcome);
        assert_strict(&page);
        page.into_string()
    }

    #[test]
    fn there_is_a_card_and_a_form_for_each_kind_with_every_key_of_its_table() {
        let cards = kinds(&frame(Role::Admin)).into_string();
        for (kind, _, _, first) in KINDS {
            assert!(cards.contains(&format!("/new/{kind}\"")), "{cards}");
            let (kind, own) = keys_of(kind).unwrap();
            let form = text(&new(kind), Outcome::default());
            for (path, _) in flat(DESTINATION.iter().chain(own).filter(|key| key.name != "type"), "") {
                assert_eq!(form.matches(&format!("name=\"{path}\"")).count(), 1, "{kind} {path}");
            }
            for name in *first {
                assert!(own.iter().any(|key| key.name == *name), "{kind} has no {name}");
                let at = |text: &str| form.find(text).unwrap();
                assert!(at(&format!("name=\"{name}\"")) < at("<details"), "{kind} {name} is folded away");
            }
        }
        assert_eq!(KINDS.len(), 7);
    }

    #[test]
    fn what_is_filled_in_becomes_what_the_api_takes() {
        let filled = [
            ("name", "a"),
            ("url", " https://siem.example "),
            ("in_flight", "4"),
            ("cim_fields", "true"),
            ("tenants", "acme\r\nglobex\r\n\r\n"),
            ("batch.linger", "2s"),
            ("tls.ca", "one\r\ntwo\r\n"),
            ("indexes", "[{\"index\":\"x\"}]"),
            ("token", "hush"),
            ("evil", "x"),
            ("index", ""),
        ];
        let field = |name: &str| filled.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let draft = Draft::read("splunk_hec", None, &field);
        assert!(!format!("{draft:?}").contains("hush"), "a draft holds no secrets");
        let expected = json!({
            "name": "a", "type": "splunk_hec", "url": "https://siem.example", "in_flight": 4, "cim_fields": true,
            "tenants": ["acme", "globex"], "batch": {"linger": "2s"}, "tls": {"ca": "one\ntwo"}, "indexes": [{"index": "x"}],
            "token": {"value": "hush"},
        });
        assert_eq!(draft.json(&field, &|_| false), expected);
        let shown = text(&draft, Outcome::default());
        assert!(!shown.contains("hush") && shown.contains("value=\"2s\""), "{shown}");
    }

    #[test]
    fn a_secret_that_was_written_and_not_saved_is_asked_for_again_and_left_out_only_when_that_is_meant() {
        let changes = |removed: &[&str]| {
            let removed = removed.iter().map(|path| (*path).to_owned()).collect();
            let secrets = vec!["token".to_owned()];
            Some(Changes { name: "a".to_owned(), tag: String::new(), secrets, removed })
        };
        let read = |token: &str, removed: &[&str]| {
            let field = |name: &str| (name == "token").then(|| token.to_owned());
            Draft::read("splunk_hec", changes(removed), &field)
        };
        let again = "name=\"_again\" value=\"token\"";
        let shown = text(&read("hush", &[]), Outcome::default());
        assert!(
            shown.contains(again) && shown.contains("Write it again") && !shown.contains("kept as it is"),
            "{shown}"
        );
        let token = ["token".to_owned()];
        assert!(read("hush", &[]).misses(&token).is_none(), "it was written again");
        assert!(read("", &["token"]).misses(&token).is_none(), "it is to go");
        assert!(read("", &[]).misses(&[]).is_none());
        assert!(read("", &[]).misses(&["name".to_owned()]).is_none(), "that is no secret");
        let problem = read(" ", &[]).misses(&token).unwrap();
        let shown = text(&read(" ", &[]), Outcome { problem: Some(&problem), ..Outcome::default() });
        assert!(shown.contains("press Save once more") && shown.contains("kept as it is"), "{shown}");
        assert!(!shown.contains(again), "it is refused once");
    }

    #[test]
    fn certificates_are_shown_again_and_a_private_key_among_them_is_not() {
        let shown = |ca: &str| {
            let values = Values::from([("tls.ca".to_owned(), ca.to_owned())]);
            text(&Draft { values, ..new("splunk_hec") }, Outcome::default())
        };
        assert!(shown("-----BEGIN CERTIFICATE-----\nhush").contains("hush"));
        let pasted = shown("-----BEGIN EC PRIVATE KEY-----\nhush");
        assert!(!pasted.contains("hush") && pasted.contains("name=\"tls.ca\""), "{pasted}");
    }

    #[test]
    fn a_secret_in_a_list_is_not_shown_again_and_what_names_it_is() {
        let shown = |headers: &str| {
            let values = Values::from([("secret_headers".to_owned(), headers.to_owned())]);
            text(&Draft { values, ..new("https") }, Outcome::default())
        };
        let page = shown(r#"[{"name": "X-Key", "value": {"value": "hush"}, "vlaue": "hush"}]"#);
        assert!(page.contains("X-Key") && !page.contains("hush"), "{page}");
        assert!(!shown(r#"[{"name": "X-Key", "value": "hush"]"#).contains("hush"), "it can't be told apart");
        assert!(!shown("X-Key: hush").contains("hush"));
    }

    #[test]
    fn no_field_is_open_that_takes_a_secret_in_any_form() {
        let open = open_fields();
        for secret in ["token", "api_key", "secret_url", "client_secret", "redact.key", "proxy.password"] {
            assert!(open[secret].is_none(), "{secret}");
        }
        assert!(open["name"].is_some() && open["filter.actions"].is_some() && open["secret_headers"].is_some());
    }

    #[test]
    fn what_is_there_fills_the_form_and_its_secrets_stay_or_go() {
        let secrets = vec!["token".to_owned()];
        let changes = Changes { name: "a".to_owned(), tag: "\"t\"".to_owned(), secrets, removed: Vec::new() };
        let settings = json!({
            "name": "a", "type": "splunk_hec", "url": "https://siem.example", "in_flight": 2,
            "filter": {"actions": ["file.*", "user.*"]},
        });
        let draft = Draft::of("splunk_hec", &settings, changes);
        assert_eq!(draft.values["filter.actions"], "file.*\nuser.*");
        let shown = text(&draft, Outcome::default());
        assert!(shown.contains("kept as it is") && shown.contains("value=\"&quot;t&quot;\""), "{shown}");
        assert!(shown.contains("action=\"/destinations/a/edit\"") && !shown.contains("value=\"token\" checked"));
        let mut caught_up = draft.tagged("new");
        caught_up.changes.iter_mut().for_each(|changes| changes.removed = changes.secrets.clone());
        let shown = text(&caught_up, Outcome::default());
        assert!(shown.contains("name=\"_tag\" value=\"new\"") && shown.contains("value=\"token\" checked"), "{shown}");
        assert_eq!(draft.json(&|_| None, &|_| false), settings);
        assert_eq!(draft.json(&|_| None, &|path| path == "token")["token"], Value::Null);
    }

    #[test]
    fn problems_stand_at_their_fields_in_the_parsers_words_and_above_all() {
        let error = |key: &str, what: &str| Error {
            destination: None,
            key: key.to_owned(),
            what: what.to_owned(),
            advice: "write another".to_owned(),
        };
        let errors = [error("batch.linger", "<b>too long</b>"), error("nowhere", "odd")];
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "x".to_owned());
        problem.errors = errors.to_vec();
        let shown = text(&new("splunk_hec"), Outcome { problem: Some(&problem), ..Outcome::default() });
        assert!(shown.contains("href=\"#f-batch.linger\"") && shown.contains("id=\"p-batch.linger\""), "{shown}");
        assert!(shown.contains("&lt;b&gt;too long&lt;/b&gt;. write another.") && shown.contains("<details open>"));
        assert_eq!(shown.matches("aria-invalid").count(), 1);
    }
}
