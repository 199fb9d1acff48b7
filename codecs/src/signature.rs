//! Keyed signatures of a body: the SharedKey header of the Data Collector API and the signature of generic HTTPS.
//!
//! Keys come in as text and are never shown. Time comes in as an argument.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::data_collector::RESOURCE;

/// The header that carries [`webhook_signature`].
pub const SIGNATURE_HEADER: &str = "X-ScaiDrive-Signature";

/// A key for HMAC-SHA256. Prints as `***`.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

/// A workspace key that is not Base64, or empty. The key is not repeated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the workspace key is not Base64 text; copy the primary or secondary key of the workspace as it is shown")]
pub struct KeyError;

impl SigningKey {
    /// The key that a workspace shows as Base64.
    ///
    /// # Errors
    /// [`KeyError`] when it is something else.
    pub fn from_base64(text: &str) -> Result<SigningKey, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError)?;
        if bytes.is_empty() { Err(KeyError) } else { Ok(SigningKey::from_text(bytes)) }
    }

    /// A secret whose bytes are the key.
    pub fn from_text(secret: impl AsRef<[u8]>) -> SigningKey {
        SigningKey(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What is signed for a POST of `body_len` bytes ("HTTP Data Collector API", section Authorization). `date` is also the
/// value of the header `x-ms-date`; see [`crate::time::write_http_date`].
pub fn string_to_sign(body_len: usize, date: &str) -> String {
    format!("POST\n{body_len}\napplication/json\nx-ms-date:{date}\n{RESOURCE}")
}

/// The value of the `Authorization` header for a POST of `body_len` bytes to the Data Collector API.
pub fn shared_key(workspace: &str, key: &SigningKey, body_len: usize, date: &str) -> String {
    let tag = hmac::sign(&key.0, string_to_sign(body_len, date).as_bytes());
    format!("SharedKey {workspace}:{}", STANDARD.encode(tag))
}

/// The value of [`SIGNATURE_HEADER`]: `t=<epoch seconds>,v1=<hex>`, with one `v1` for each key in turn.
///
/// Each `v1` is HMAC-SHA256 over the seconds in decimal, a dot, and the body before compression, here in slices. While a
/// secret is replaced, both the old and the new one sign, and the receiver accepts whichever it knows.
pub fn webhook_signature<'a>(
    keys: &[SigningKey],
    epoch_seconds: u64,
    body: impl IntoIterator<Item = &'a [u8]>,
) -> String {
    let before = format!("{epoch_seconds}.");
    let mut running: Vec<hmac::Context> = keys.iter().map(|key| hmac::Context::with_key(&key.0)).collect();
    running.iter_mut().for_each(|context| context.update(before.as_bytes()));
    for slice in body {
        running.iter_mut().for_each(|context| context.update(slice));
    }
    let mut value = format!("t={epoch_seconds}");
    for context in running {
        value.push_str(",v1=");
        write_hex(context.sign().as_ref(), &mut value);
    }
    value
}

/// Appends `bytes` in hexadecimal.
pub(crate) fn write_hex(bytes: &[u8], out: &mut String) {
    let digit = |value: u8| char::from_digit(u32::from(value), 16);
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shared_key_test_vector_signs_as_calculated_elsewhere() {
        let key = SigningKey::from_base64("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
        let header = shared_key("w", &key, br#"[{"event_id":"evt_1"}]"#.len(), "Tue, 12 May 2026 14:23:01 GMT");
        assert_eq!(header, "SharedKey w:AhMPB1d223bqwoP/q6xHQaX/CmTzxqUgXb6CKkVUIRk=");
    }

    #[test]
    fn what_is_signed_has_five_lines_and_no_line_break_at_its_end() {
        let date = "Tue, 12 May 2026 14:23:01 GMT";
        assert_eq!(string_to_sign(22, date), format!("POST\n22\napplication/json\nx-ms-date:{date}\n/api/logs"));
    }

    #[test]
    fn a_key_is_base64_and_never_shown() {
        assert_eq!(SigningKey::from_base64("not base64!").unwrap_err(), KeyError);
        assert_eq!(SigningKey::from_base64(" ").unwrap_err(), KeyError);
        let key = SigningKey::from_base64(" c2VjcmV0\n").unwrap();
        assert_eq!(format!("{key:?}"), "***");
        assert!(!format!("{KeyError}").contains("c2VjcmV0"));
    }

    /// Calculated with `printf '1778595781.[]' | openssl dgst -sha256 -hmac KEY`.
    const OLD: &str = "36e65dfe144b8339ca5ec9f48ec542cbf4c3a0ca298b0fa97d425e488469740f";
    const NEW: &str = "b544e3995017c506f1627b45863c45801a6b5f25bc6c7ae7d4d00136b47af2bb";

    #[test]
    fn two_secrets_make_two_signatures() {
        let keys = [SigningKey::from_text("old secret"), SigningKey::from_text("new secret")];
        let one = webhook_signature(&keys[..1], 1_778_595_781, [&b"[]"[..]]);
        assert_eq!(one, format!("t=1778595781,v1={OLD}"));
        let both = webhook_signature(&keys, 1_778_595_781, [&b"["[..], b"", b"]"]);
        assert_eq!(both, format!("t=1778595781,v1={OLD},v1={NEW}"));
    }

    proptest! {
        #[test]
        fn a_signature_is_of_the_bytes_however_they_are_cut(body in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
            let keys = [SigningKey::from_text("secret")];
            let (head, tail) = body.split_at(cut.min(body.len()));
            let whole = webhook_signature(&keys, 7, [&body[..]]);
            prop_assert_eq!(&webhook_signature(&keys, 7, [head, tail]), &whole);
            let plain = [b"7.", &body[..]].concat();
            let mut expected = String::from("t=7,v1=");
            write_hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), &plain).as_ref(), &mut expected);
            prop_assert_eq!(whole, expected);
        }
    }
}
