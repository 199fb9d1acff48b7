//! What went wrong with TLS, as a value: for those who explain it rather than show it.

use rustls::{AlertDescription, CertificateError, Error};

/// Why two sides did not agree on TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The server's certificate has expired, by this machine's clock.
    Expired,
    /// It is not valid yet, by this machine's clock.
    NotValidYet,
    /// Nobody who is trusted here has signed it, nor whoever signed what was shown beside it.
    UnknownIssuer,
    /// It names an authority that is trusted here, and is not signed with that one's key.
    BadSignature,
    /// It is for another name.
    OtherName,
    /// It may not be used by servers.
    OtherPurpose,
    /// It has been revoked.
    Revoked,
    /// It can't be accepted for another reason, among them that its fingerprint is not a known one.
    Unacceptable,
    /// There was none.
    NoCertificate,
    /// What came is not TLS.
    NotTls,
    /// No version or cipher that both know.
    NothingInCommon,
    /// The connection was closed in the handshake.
    Closed,
    /// The server wants a certificate of this agent.
    WantsIdentity,
    /// It does not accept the certificate of this agent.
    RefusesIdentity,
    /// That certificate has expired, it says.
    IdentityExpired,
    /// It refuses the version of TLS.
    RefusesVersion,
    /// It refuses the handshake; of all reasons this is what servers say when they know no better.
    RefusesHandshake,
    /// It serves no such name.
    RefusesName,
    /// What it is called can stand in no certificate.
    NameImpossible,
    /// Anything else.
    Other,
}

impl TlsFault {
    pub(super) fn of(error: &Error) -> TlsFault {
        match error {
            Error::InvalidCertificate(why) => TlsFault::of_certificate(why),
            Error::AlertReceived(alert) => TlsFault::of_alert(*alert),
            Error::NoCertificatesPresented => TlsFault::NoCertificate,
            Error::PeerIncompatible(_) => TlsFault::NothingInCommon,
            Error::InvalidMessage(_) => TlsFault::NotTls,
            _ => TlsFault::Other,
        }
    }

    fn of_certificate(why: &CertificateError) -> TlsFault {
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotValidYet,
            CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
            CertificateError::BadSignature => TlsFault::BadSignature,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsFault::OtherName,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => TlsFault::OtherPurpose,
            CertificateError::Revoked => TlsFault::Revoked,
            _ => TlsFault::Unacceptable,
        }
    }

    fn of_alert(alert: AlertDescription) -> TlsFault {
        match alert {
            AlertDescription::CertificateRequired => TlsFault::WantsIdentity,
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateUnknown => TlsFault::RefusesIdentity,
            AlertDescription::CertificateExpired => TlsFault::IdentityExpired,
            AlertDescription::ProtocolVersion => TlsFault::RefusesVersion,
            AlertDescription::HandshakeFailure => TlsFault::RefusesHandshake,
            AlertDescription::UnrecognisedName => TlsFault::RefusesName,
            _ => TlsFault::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_library_become_values() {
        let invalid = |why| TlsFault::of(&Error::InvalidCertificate(why));
        assert_eq!(invalid(CertificateError::Expired), TlsFault::Expired);
        assert_eq!(invalid(CertificateError::UnknownIssuer), TlsFault::UnknownIssuer);
        assert_eq!(invalid(CertificateError::BadEncoding), TlsFault::Unacceptable);
        let alert = |alert| TlsFault::of(&Error::AlertReceived(alert));
        assert_eq!(alert(AlertDescription::CertificateRequired), TlsFault::WantsIdentity);
        assert_eq!(alert(AlertDescription::UnknownCA), TlsFault::RefusesIdentity);
        assert_eq!(alert(AlertDescription::DecodeError), TlsFault::Other);
    }
}
