//! What a certificate says of itself, as far as a test tells of it: for whom, from whom, until when (RFC 5280, section 4.1).
//!
//! Nothing here decides whom to trust; that is done before, by the TLS library. What can't be read is left out, never
//! guessed, and no bytes make this panic.

use scaidrive_codecs::time::parse_rfc3339;

/// The parts of a certificate that people ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Who issued it: its common name, or else its organisation.
    pub(super) issuer: String,
    /// Whose it is, likewise.
    pub(super) subject: String,
    /// Whether both are the same, to the last byte.
    pub(super) is_self_issued: bool,
    /// The end of its life, in epoch milliseconds.
    pub(super) not_after_ms: Option<i64>,
    /// The DNS names that it is for.
    pub(super) names: Vec<String>,
    /// Whether it says where its issuer's certificate can be had, as those of public authorities do.
    pub(super) names_issuers_place: bool,
}

impl Certificate {
    /// Reads a certificate in DER; `None` when it is none.
    pub(super) fn parse(der: &[u8]) -> Option<Certificate> {
        let mut outer = Der(der);
        let mut to_sign = Der(outer.take(SEQUENCE)?).take(SEQUENCE).map(Der)?;
        // The version, which the first one leaves out.
        let _ = to_sign.take(VERSION);
        to_sign.take(INTEGER)?;
        to_sign.take(SEQUENCE)?;
        let issuer = to_sign.take(SEQUENCE)?;
        let mut validity = Der(to_sign.take(SEQUENCE)?);
        let subject = to_sign.take(SEQUENCE)?;
        to_sign.take(SEQUENCE)?;
        validity.any()?;
        let not_after_ms = validity.any().and_then(|(tag, text)| time(tag, text));
        let mut certificate = Certificate {
            issuer: name(issuer),
            subject: name(subject),
            is_self_issued: issuer == subject,
            not_after_ms,
            ..Certificate::default()
        };
        while let Some((tag, content)) = to_sign.any() {
            if tag == EXTENSIONS {
                certificate.read_extensions(content);
            }
        }
        Some(certificate)
    }

    fn read_extensions(&mut self, content: &[u8]) {
        let Some(mut all) = Der(content).take(SEQUENCE).map(Der) else { return };
        while let Some(mut extension) = all.take(SEQUENCE).map(Der) {
            let Some(id) = extension.take(OBJECT_ID) else { continue };
            // Whether it is critical is written only where it is.
            let _ = extension.take(BOOLEAN);
            let Some(value) = extension.take(OCTETS) else { continue };
            match id {
                ALTERNATIVE_NAMES => self.names = dns_names(value),
                AUTHORITY_ACCESS => self.names_issuers_place = has(value, CA_ISSUERS),
                _ => {}
            }
        }
    }
}

/// The common name in a distinguished name, or else its organisation.
fn name(distinguished: &[u8]) -> String {
    let (mut sets, mut organisation) = (Der(distinguished), None);
    while let Some(mut set) = sets.take(SET).map(Der) {
        while let Some(mut pair) = set.take(SEQUENCE).map(Der) {
            let (Some(id), Some((_, text))) = (pair.take(OBJECT_ID), pair.any()) else { continue };
            let text = || String::from_utf8_lossy(text).into_owned();
            match id {
                COMMON_NAME => return text(),
                ORGANISATION => organisation = Some(text()),
                _ => {}
            }
        }
    }
    organisation.unwrap_or_default()
}

fn dns_names(value: &[u8]) -> Vec<String> {
    let Some(mut all) = Der(value).take(SEQUENCE).map(Der) else { return Vec::new() };
    std::iter::from_fn(|| all.any())
        .filter(|(tag, _)| *tag == DNS_NAME)
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
        .collect()
}

/// Whether one of the descriptions in an access extension has this method.
fn has(value: &[u8], method: &[u8]) -> bool {
    let Some(mut all) = Der(value).take(SEQUENCE).map(Der) else { return false };
    std::iter::from_fn(|| all.take(SEQUENCE)).any(|description| Der(description).take(OBJECT_ID) == Some(method))
}

/// A time in either of the two forms: `YYMMDDhhmmssZ` until 2049, `YYYYMMDDhhmmssZ` after.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let whole = match tag {
        UTC_TIME => {
            let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| whole.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    parse_rfc3339(format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").as_bytes())
}

/// Values in DER, one after another (X.690, section 8.1). Tags of more than one byte occur in no certificate.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value and its tag.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next value, if it has this tag; otherwise nothing is taken.
    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        if self.0.first() != Some(&wanted) {
            return None;
        }
        self.any().map(|(_, content)| content)
    }
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;

/// 2.5.4.3 and 2.5.4.10 (RFC 5280, appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
/// 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// 1.3.6.1.5.5.7.1.1 and 1.3.6.1.5.5.7.48.2.
const AUTHORITY_ACCESS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
const CA_ISSUERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    fn leaf(last_year: i32) -> Vec<u8> {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.distinguished_name.push(DnType::OrganizationName, "Testers");
        authority.distinguished_name.push(DnType::CommonName, "Test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(["siem.example", "*.siem.example"].map(str::to_owned)).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.not_after = date_time_ymd(last_year, 3, 4);
        let place = b"\x30\x16\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x08http://x".to_vec();
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], place));
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_says_for_whom_from_whom_and_until_when() {
        for (year, expected) in [(2031, "2031-03-04T00:00:00Z"), (2061, "2061-03-04T00:00:00Z")] {
            let certificate = Certificate::parse(&leaf(year)).unwrap();
            assert_eq!(certificate.issuer, "Test authority");
            assert_eq!(certificate.subject, "Example", "its organisation, because it has no common name");
            assert_eq!(certificate.names, ["siem.example", "*.siem.example"]);
            assert_eq!(certificate.not_after_ms, parse_rfc3339(expected.as_bytes()));
            assert!(!certificate.is_self_issued && certificate.names_issuers_place);
        }
    }

    #[test]
    fn one_that_is_signed_by_itself_is_known_as_such() {
        let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "me");
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let certificate = Certificate::parse(&der).unwrap();
        assert!(certificate.is_self_issued && !certificate.names_issuers_place);
    }

    #[test]
    fn a_certificate_that_was_cut_is_none_or_says_less() {
        let whole = leaf(2031);
        for end in 0..whole.len() {
            assert_eq!(Certificate::parse(&whole[..end]), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut at in prop::collection::vec((0usize..700, any::<u8>()), 1..8)) {
            let mut bytes = leaf(2031);
            for (place, byte) in at.drain(..) {
                if let Some(target) = bytes.get_mut(place) {
                    *target = byte;
                }
            }
            let _ = Certificate::parse(&bytes);
        }
    }
}
