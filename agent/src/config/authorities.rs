//! Certificates of authorities that are given as text: `tls.ca`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use rustls_pki_types::CertificateDer;

use super::fingerprint::Fingerprint;
use crate::transport::can_be_trusted;

/// Certificates of authorities, each of which can be trusted; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads certificates in PEM (RFC 7468), with nothing but white space around them.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn parse(text: &str) -> Result<Authorities, (String, &'static str)> {
        // It would be shown, and goes to nobody here.
        if holds_private_key(text) {
            return Err(("`ca` holds a private key".to_owned(), "leave nothing but certificates in it"));
        }
        if !text.contains(BEGIN) {
            return Err(("`ca` holds no certificate in PEM".to_owned(), ADVICE));
        }
        let mut certificates = Vec::new();
        let mut open: Option<String> = None;
        for (at, line) in text.lines().map(str::trim).enumerate() {
            open = match (open, line) {
                (None, "") => None,
                (None, BEGIN) => Some(String::new()),
                (None, _) => {
                    return Err((
                        format!("`ca` holds something else than certificates, in its line {}", at + 1),
                        ADVICE,
                    ));
                }
                (Some(digits), END) => {
                    let number = certificates.len() + 1;
                    let der = STANDARD.decode(digits).map_err(|_| damaged(number))?;
                    let certificate = CertificateDer::from(der);
                    if !can_be_trusted(&certificate) {
                        return Err(damaged(number));
                    }
                    certificates.push(certificate);
                    None
                }
                (Some(digits), line) => Some(digits + line),
            };
        }
        if open.is_some() {
            return Err(damaged(certificates.len() + 1));
        }
        Ok(Authorities(certificates))
    }

    /// The certificates.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// The same in PEM, in the one way to write it.
    pub(super) fn pem(&self) -> String {
        let mut text = String::new();
        for certificate in &self.0 {
            let digits = STANDARD.encode(certificate);
            let gap = if text.is_empty() { "" } else { "\n" };
            text.extend([gap, BEGIN, "\n"]);
            let mut rest = digits.as_str();
            while !rest.is_empty() {
                let (line, more) = rest.split_at(rest.len().min(LINE));
                text.extend([line, "\n"]);
                rest = more;
            }
            text.push_str(END);
        }
        text
    }
}

/// How many they are, and their digest: of one alone it is its fingerprint.
impl fmt::Display for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hash = digest::Context::new(&digest::SHA256);
        self.0.iter().for_each(|certificate| hash.update(certificate));
        let mut sum = [0; digest::SHA256_OUTPUT_LEN];
        sum.copy_from_slice(hash.finish().as_ref());
        let some = if self.0.len() == 1 { "certificate" } else { "certificates" };
        write!(f, "{} {some}, {}", self.0.len(), Fingerprint::Sha256(sum))
    }
}

/// Whether a text holds a private key in PEM, of whatever kind.
pub(crate) fn holds_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY")
}

fn damaged(number: usize) -> (String, &'static str) {
    (format!("`ca`: number {number} in it is cut, damaged, or no certificate of X.509 version 3"), ADVICE)
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
const ADVICE: &str = "write nothing but certificates, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, and these on lines of their own";
/// Digits in a line of PEM.
const LINE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(vec!["authority".to_owned()]).unwrap()
    }

    #[test]
    fn however_certificates_are_written_they_are_kept_in_one_way_and_told_by_their_digest() {
        let (one, two) = (made().cert, made().cert);
        let alone = Authorities::parse(&one.pem()).unwrap();
        let plain = format!("{}{}", one.pem(), two.pem()).replace('\r', "");
        let both = Authorities::parse(&plain).unwrap();
        assert_eq!(both.pem(), plain.trim_end(), "as everyone writes it");
        for odd in [plain.replace('\n', "\r\n"), plain.replace('\n', " \n\n\t"), format!("\n {}", both.pem())] {
            assert_eq!(Authorities::parse(&odd).unwrap(), both, "{odd:?}");
        }
        assert_eq!(both.certificates(), [one.der().clone(), two.der().clone()]);
        let sum = digest::digest(&digest::SHA256, one.der());
        let fingerprint = Fingerprint::Sha256(sum.as_ref().try_into().unwrap());
        assert_eq!(alone.to_string(), format!("1 certificate, {fingerprint}"));
        assert!(both.to_string().starts_with("2 certificates, sha-256:") && both.to_string().len() < 128);
        assert_ne!(both.to_string(), Authorities::parse(&format!("{}{}", two.pem(), one.pem())).unwrap().to_string());
    }

    #[test]
    fn what_is_more_or_less_than_certificates_is_refused() {
        let made = made();
        let pem = made.cert.pem();
        let block = |digits: &str| format!("{BEGIN}\n{digits}\n{END}\n");
        for (text, said) in [
            (" \n".to_owned(), "no certificate in PEM"),
            ("corp".to_owned(), "no certificate in PEM"),
            (format!("{pem}<script>"), "something else than certificates, in its line"),
            (format!("subject=corp\n{pem}"), "something else than certificates, in its line 1"),
            (pem.replace('\n', " "), "something else than certificates, in its line 1"),
            (format!("{pem}-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"), "something else"),
            (format!("{pem}{}", made.signing_key.serialize_pem()), "a private key"),
            (format!("{BEGIN}\n{pem}"), "number 1 in it is cut"),
            (format!("{pem}{BEGIN}\nAAAA"), "number 2 in it is cut"),
            (block(""), "number 1 in it is cut"),
            (format!("{pem}{}", block("AAAA")), "number 2 in it is cut"),
            (format!("{pem}{}", block("no base64")), "number 2 in it is cut"),
        ] {
            let refused = Authorities::parse(&text).unwrap_err();
            assert!(refused.0.contains(said), "{text}: {refused:?}");
        }
    }
}
