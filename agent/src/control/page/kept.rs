//! What somebody had written into a form when their session was over: it goes with them through the login, back to the form.
//!
//! It travels in pages alone, hidden first in the login's form, then beside the button that leads back. The agent keeps none
//! of it and no address holds it. Secrets do not travel: only fields of which the table of keys says that they are none do,
//! and whoever wrote a secret writes it again. Nothing is done with what comes back until its form is sent once more.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::view::form;
use crate::config::holds_private_key;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Kept {
    /// Where the form was sent, below the base path.
    path: String,
    /// Fields that are not empty, as the form has them.
    fields: Vec<(String, String)>,
}

impl Kept {
    /// What a form held that was sent to `path`; `None` where nobody has written anything into it.
    pub(in crate::control) fn sent(path: &str, form: &[u8]) -> Option<Kept> {
        Kept::of(path, form, "")
    }

    /// The same out of the login's form.
    pub(in crate::control) fn carried(path: &str, form: &[u8]) -> Option<Kept> {
        Kept::of(path, form, PREFIX)
    }

    fn of(path: &str, form: &[u8], prefix: &str) -> Option<Kept> {
        let open = form::open_fields();
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(form) {
            let Some(name) = name.strip_prefix(prefix) else { continue };
            fields.extend(travels(&open, name, &value).map(|value| (name.to_owned(), value)));
        }
        let is_written = fields.iter().any(|(name, _)| !name.starts_with('_'));
        is_written.then(|| Kept { path: path.to_owned(), fields })
    }

    /// Inside the login's form, under names that are none of the login's own.
    pub(in crate::control) fn hidden(&self) -> Markup {
        html! { @for (name, value) in &self.fields {
            input type="hidden" name={ (PREFIX) (name) } value=(value);
        } }
    }

    /// The button that leads back to the form, for whoever has the session of this CSRF token. `base` stands before paths.
    pub(in crate::control) fn way_back(&self, base: &str, csrf: &str) -> Markup {
        html! {
            form method="post" action={ (base) (self.path) } {
                input type="hidden" name="_csrf" value=(csrf);
                @for (name, value) in &self.fields { input type="hidden" name=(name) value=(value); }
                button.first type="submit" name="_do" value=(AGAIN) autofocus { "Back to the form" }
            }
        }
    }
}

/// What stands above a form that somebody has come back to.
pub(super) fn told() -> Markup {
    html! { p.note role="status" {
        "What you had written stands here again, and nothing was saved. Secrets are not kept: write them again."
    } }
}

/// What of a field goes along, if anything does.
fn travels(open: &BTreeMap<String, Option<form::Shown>>, name: &str, value: &str) -> Option<String> {
    if value.trim().is_empty() || holds_private_key(value) {
        return None;
    }
    if OTHERS.contains(&name) {
        return Some(value.to_owned());
    }
    open.get(name).copied().flatten()?.of(value)
}

/// What the button that leads back to a form says that it does.
pub(super) const AGAIN: &str = "again";
/// Stands before the names of fields in the login's form.
const PREFIX: &str = "kept.";
/// Fields that are no keys of a destination: what a form itself remembers, a dead letter's event, the span of a replay.
const OTHERS: [&str; 5] = ["_tag", "_remove", "event", "back", "from"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::page::view::tests::assert_strict;

    const SENT: &[u8] = b"_csrf=old&_do=save&_tag=t&name=a&url=https%3A%2F%2Fsiem.example&token=hush1&api_key=hush2&index=\
        &tenants=acme%0D%0Aglobex&redact.key=hush3&tls.ca=-----BEGIN+PRIVATE+KEY-----hush4&secret_url=hush5&evil=hush6&\
        secret_headers=%5B%7B%22name%22%3A%22X-Key%22%2C%22value%22%3A%7B%22value%22%3A%22hush7%22%7D%7D%5D&proxy.password=hush8";

    /// What a browser sends of a form: the names and values of its hidden fields.
    fn sent_of(markup: &Markup) -> Vec<u8> {
        let value = |tag: &str, name: &str| {
            let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
            Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        for tag in markup.0.split('<').filter(|tag| tag.starts_with("input")) {
            form.append_pair(&value(tag, "name").unwrap(), &value(tag, "value").unwrap());
        }
        form.finish().into_bytes()
    }

    #[test]
    fn what_was_written_goes_through_the_login_and_back_and_no_secret_does() {
        let kept = Kept::sent("/new/https", SENT).unwrap();
        let hidden = kept.hidden();
        assert_strict(&hidden);
        let carried = Kept::carried("/new/https", &[b"token=sds_x&next=%2Fnew&", sent_of(&hidden).as_slice()].concat());
        assert_eq!(carried.as_ref(), Some(&kept));
        let back = kept.way_back("/siem", "new");
        assert_strict(&back);
        let text = back.into_string();
        for part in [
            "action=\"/siem/new/https\"",
            "name=\"_csrf\" value=\"new\"",
            "name=\"name\" value=\"a\"",
            "name=\"url\" value=\"https://siem.example\"",
            "value=\"acme\r\nglobex\"",
            "name=\"_tag\" value=\"t\"",
            "X-Key",
            "name=\"_do\" value=\"again\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("hush") && !hidden.into_string().contains("hush"), "{text}");
        assert!(!text.contains("old") && !text.contains("evil") && !text.contains("\"save\""), "{text}");
    }

    #[test]
    fn a_form_that_nobody_writes_into_is_not_kept() {
        for sent in [&b"_csrf=x"[..], b"_csrf=x&sure=yes&letter=a%3A1", b"name=&url=++", b"", b"token=hush&_tag=t"] {
            assert_eq!(Kept::sent("/x", sent), None);
        }
        assert_eq!(Kept::carried("/x", b"name=a&token=b"), None, "the login's own fields are none of them");
        assert!(Kept::sent("/deadletters/a/s/1", b"event=%7B%7D").is_some());
        assert!(Kept::sent("/destinations/a/replay", b"back=1h").is_some());
    }

    #[test]
    fn what_was_written_stays_text() {
        let kept = Kept::sent("/new/https", b"name=%22%3E%3Cscript%3E").unwrap();
        assert!(
            !kept.hidden().into_string().contains("<script")
                && !kept.way_back("", "c").into_string().contains("<script")
        );
    }
}
