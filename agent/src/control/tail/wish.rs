//! Which events somebody wants to see, in the words of a destination's filter.

use scaidrive_codecs::{Event, Field, Filter, FilterError, FilterSpec, Scratch};

use crate::control::access::Reach;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::control) struct Wish {
    filter: Filter,
    /// Any of these; of everybody when empty.
    tenants: Vec<String>,
    /// By user id, service account or e-mail, any of these; of everybody when empty.
    users: Vec<String>,
    reach: Reach,
}

/// Why there is no such wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum NoWish {
    /// A parameter that is not known.
    Unknown(String),
    /// A value that can't be used.
    Unusable(Vec<FilterError>),
}

/// A wish, and what is needed to look at events by it.
#[derive(Debug)]
pub(super) struct Eyes {
    wish: Wish,
    scratch: Scratch,
    text: String,
}

impl Wish {
    /// From the parameters of a request: each may come again, and hold several values with commas between.
    ///
    /// # Errors
    /// When one of them is not known or has a value that can't be used.
    pub(in crate::control) fn read(parameters: &[(String, String)], reach: Reach) -> Result<Wish, NoWish> {
        let mut spec = FilterSpec::default();
        let (mut tenants, mut users) = (Vec::new(), Vec::new());
        for (name, value) in parameters {
            let list = match name.as_str() {
                "category" => &mut spec.categories,
                "severity" => &mut spec.severities,
                "action" => &mut spec.actions,
                "tenant" => &mut tenants,
                "user" => &mut users,
                _ => return Err(NoWish::Unknown(name.clone())),
            };
            list.extend(value.split(',').filter(|value| !value.is_empty()).map(str::to_owned));
        }
        let filter = Filter::compile(&spec).map_err(NoWish::Unusable)?;
        Ok(Wish { filter, tenants, users, reach })
    }
}

impl Eyes {
    pub(super) fn new(wish: Wish) -> Eyes {
        Eyes { wish, scratch: Scratch::default(), text: String::new() }
    }

    /// Whether nobody's events are beyond reach.
    pub(super) fn sees_all(&self) -> bool {
        self.wish.reach == Reach::All
    }

    /// Whether this event is to be shown: it is within reach, and wanted.
    pub(super) fn want(&mut self, event: &Event<'_>) -> bool {
        let Wish { filter, tenants, users, reach } = &self.wish;
        let tenant = event.text(Field::TenantId, &mut self.text).unwrap_or_default();
        let is_of_them = reach.includes(tenant) && (tenants.is_empty() || tenants.iter().any(|one| one == tenant));
        let text = &mut self.text;
        let mut names_one = |field| {
            event.text(field, text).is_some_and(|name| users.iter().any(|user| user.eq_ignore_ascii_case(name)))
        };
        is_of_them
            && (users.is_empty() || USER_FIELDS.into_iter().any(&mut names_one))
            && filter.selects(event, &mut self.scratch)
    }
}

/// Who did it.
const USER_FIELDS: [Field; 3] = [Field::UserId, Field::ServiceAccount, Field::UserEmail];

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(parameters: &[(&str, &str)], reach: Reach) -> Result<Wish, NoWish> {
        let owned: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Wish::read(&owned, reach)
    }

    fn wants(parameters: &[(&str, &str)], reach: Reach) -> bool {
        let raw = br#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t\u0061","category":"C","action":"file.read","severity":"info","user_email":"A@x.org"}"#;
        let index = scaidrive_codecs::index(raw).unwrap();
        Eyes::new(wish(parameters, reach).unwrap()).want(&Event::new(raw, &index))
    }

    #[test]
    fn what_is_asked_for_is_shown_and_nothing_beyond_reach() {
        for wanted in [
            &[][..],
            &[("category", "B,C"), ("severity", "info")],
            &[("action", "file.*"), ("tenant", "ta")],
            &[("user", "nobody"), ("user", "a@X.org")],
        ] {
            assert!(wants(wanted, Reach::All), "{wanted:?}");
        }
        for unwanted in
            [("category", "B"), ("severity", "error"), ("action", "login"), ("tenant", "t"), ("user", "b@x.org")]
        {
            assert!(!wants(&[unwanted], Reach::All), "{unwanted:?}");
        }
        assert!(wants(&[], Reach::Tenants(["ta".to_owned()].into())));
        assert!(!wants(&[("tenant", "ta")], Reach::Tenants(["other".to_owned()].into())));
    }

    #[test]
    fn what_nobody_can_wish_for_is_refused_in_the_filters_words() {
        assert_eq!(wish(&[("colour", "red")], Reach::All).err(), Some(NoWish::Unknown("colour".to_owned())));
        let Err(NoWish::Unusable(problems)) = wish(&[("severity", "loud")], Reach::All) else { panic!() };
        assert!(problems[0].problem.contains("`loud` is not a severity"), "{problems:?}");
    }
}
