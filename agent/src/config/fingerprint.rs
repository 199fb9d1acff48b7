//! Fingerprints of certificates, as RFC 5425, section 4.2.2, writes them: `sha-256:E1:2D:…`.

use std::fmt;

/// The digest of a certificate in DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// SHA-1, which RFC 5425 defines and which can be forged by now.
    Sha1([u8; 20]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl Fingerprint {
    /// Reads the name of the algorithm and pairs of hexadecimal digits, in either case, with a colon before each.
    /// `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let (algorithm, digits) = text.split_once(':')?;
        let pair = |pair: &str| {
            let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_pair.then(|| u8::from_str_radix(pair, 16).ok())?
        };
        let digest: Vec<u8> = digits.split(':').map(pair).collect::<Option<_>>()?;
        match algorithm.to_ascii_lowercase().as_str() {
            "sha-1" => digest.try_into().ok().map(Fingerprint::Sha1),
            "sha-256" => digest.try_into().ok().map(Fingerprint::Sha256),
            _ => None,
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (algorithm, digest) = match self {
            Fingerprint::Sha1(digest) => ("sha-1", &digest[..]),
            Fingerprint::Sha256(digest) => ("sha-256", &digest[..]),
        };
        f.write_str(algorithm)?;
        digest.iter().try_for_each(|byte| write!(f, ":{byte:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_example_reads_and_shows_as_it_is_written() {
        let text = "sha-1:E1:2D:53:2B:7C:6B:8A:29:A2:76:C8:64:36:0B:08:4B:7A:F1:9E:9D";
        let found = Fingerprint::parse(text).unwrap();
        assert_eq!(found.to_string(), text);
        assert_eq!(Fingerprint::parse(&text.to_lowercase()), Some(found));
        let long = format!("sha-256{}", ":0A".repeat(32));
        assert_eq!(Fingerprint::parse(&long).unwrap(), Fingerprint::Sha256([10; 32]));
    }

    #[test]
    fn what_is_not_a_fingerprint_is_none() {
        let short = "sha-256:0A".to_owned() + &":0A".repeat(30);
        let long = "sha-1:0A".to_owned() + &":0A".repeat(20);
        let other = "md5:0A".to_owned() + &":0A".repeat(15);
        let bare = "0A".to_owned() + &":0A".repeat(31);
        let odd = "sha-256:0A".to_owned() + &":+A".repeat(31);
        for wrong in ["", "sha-256", "sha-256:", &short, &long, &other, &bare, &odd, &"ä:".repeat(30)] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
    }
}
