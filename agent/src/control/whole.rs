//! Whole numbers in requests: JSON Schema lets `5.0` be one, so they are taken as that schema, which we show, says.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Number;

use crate::config::whole;

/// A number, or none.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    number.map(|number| whole(&number).ok_or_else(|| no_whole(&number))).transpose()
}

/// A number that counts something.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let count = number.as_u64().or_else(|| whole(&number)?.try_into().ok());
    count.ok_or_else(|| no_whole(&number))
}

fn no_whole<E: Error>(number: &Number) -> E {
    E::custom(format_args!("{number} is no whole number that fits here"))
}

#[cfg(test)]
mod tests {
    use crate::control::access::TokenWish;
    use crate::control::destinations::ReplayWish;
    use crate::control::letters::change::Chosen;

    #[test]
    fn requests_take_whole_numbers_however_they_are_written() {
        let wish = |text: &str| serde_json::from_str::<ReplayWish>(text).map(|wish| wish.from_ms).ok();
        assert_eq!((wish(r#"{"from_ms": 5}"#), wish(r#"{"from_ms": 5.0}"#)), (Some(Some(5)), Some(Some(5))));
        assert_eq!((wish("{}"), wish(r#"{"from_ms": null}"#)), (Some(None), Some(None)));
        assert_eq!((wish(r#"{"from_ms": 5.5}"#), wish(r#"{"from_ms": "5"}"#)), (None, None));
        let token = r#"{"name": "a", "role": "viewer", "expires_ms": 7.0}"#;
        assert_eq!(serde_json::from_str::<TokenWish>(token).unwrap().expires_ms, Some(7));
        let chosen = |text: &str| serde_json::from_str::<Chosen>(text).ok();
        assert_eq!(chosen(r#"{"up_to": 7.0}"#), Some(Chosen::UpTo(7)));
        assert_eq!(chosen(r#"{"up_to": 18446744073709551615}"#), Some(Chosen::UpTo(u64::MAX)));
        assert_eq!((chosen(r#"{"up_to": -1.0}"#), chosen(r#"{"up_to": 0.5}"#)), (None, None));
        let named = chosen(r#"{"letters": [{"stream": "s", "n": 3.0}]}"#);
        assert!(matches!(named, Some(Chosen::Letters(letters)) if letters[0].n == 3));
    }
}
