//! What kept a connection from being made: look-up, TCP, proxy, TLS.

use std::io;

use crate::probe::cause::{self, Cause};
use crate::probe::certificate::Certificate;
use crate::probe::report::Finding;
use crate::probe::sniff::Speech;
use crate::probe::stage::Stage;
use crate::probe::watch::Seen;
use crate::transport::{self, FailureKind, TlsError, TlsFault, TransportError};

/// What is known of the way beside what happened on it.
#[derive(Clone, Debug, Default)]
pub(in crate::probe) struct Way {
    /// Whether it leads through a proxy.
    pub(in crate::probe) has_proxy: bool,
    /// Whether the proxy is shown who we are.
    pub(in crate::probe) has_proxy_login: bool,
    /// Whether TLS is spoken on it.
    pub(in crate::probe) has_tls: bool,
    /// Whether the settings name authorities.
    pub(in crate::probe) has_ca_file: bool,
    /// Whether they name certificates of the server.
    pub(in crate::probe) has_fingerprints: bool,
    /// Whether there is a certificate of ours.
    pub(in crate::probe) has_identity: bool,
    /// What the server showed.
    pub(in crate::probe) chain: Vec<Certificate>,
    /// Whether it asked for ours.
    pub(in crate::probe) was_asked: bool,
}

/// Why there is no connection.
pub(in crate::probe) fn of_connect(error: &TransportError, seen: &Seen, way: &Way) -> Finding {
    let finding = match error.stage {
        transport::Stage::Resolve => Finding::of(of_look_up(error.kind, seen.look_up.as_deref(), way)),
        transport::Stage::Connect => Finding::of(of_tcp(error.kind, seen.refusal, way)),
        transport::Stage::Proxy => of_proxy(error.kind, seen, way),
        _ => of_tls(error, seen, way),
    };
    finding.saying(&error.what)
}

/// Why the settings of TLS can't be used.
pub(in crate::probe) fn of_certificate_file(error: &TlsError) -> Finding {
    Finding::of(&cause::CERTIFICATE_FILE_UNUSABLE).saying(format!("{error}, at {}", error.place))
}

/// By the words of the two C libraries in use, which are the same in every locale here: nobody sets one.
fn of_look_up(kind: FailureKind, said: Option<&str>, way: &Way) -> &'static Cause {
    if kind == FailureKind::TimedOut {
        return &cause::NAME_SERVER_SILENT;
    }
    let said = said.unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["Name or service not known", "Name does not resolve"]) {
        return if way.has_proxy { &cause::PROXY_NAME_UNKNOWN } else { &cause::NAME_UNKNOWN };
    }
    if has(&["No address associated", "no usable address", "has no address"]) {
        return if way.has_proxy { &cause::PROXY_NAME_UNKNOWN } else { &cause::NAME_WITHOUT_ADDRESS };
    }
    &cause::NAME_SERVER_FAILED
}

fn of_tcp(kind: FailureKind, refusal: Option<io::ErrorKind>, way: &Way) -> &'static Cause {
    if kind == FailureKind::Refused {
        return &cause::ADDRESS_NOT_ALLOWED;
    }
    if way.has_proxy {
        return &cause::PROXY_UNREACHABLE;
    }
    if kind == FailureKind::TimedOut {
        return &cause::CONNECTION_NOT_ANSWERED;
    }
    match refusal {
        Some(io::ErrorKind::ConnectionRefused) => &cause::CONNECTION_REFUSED,
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown | io::ErrorKind::AddrNotAvailable) => {
            &cause::NETWORK_UNREACHABLE
        }
        Some(io::ErrorKind::HostUnreachable) => &cause::HOST_UNREACHABLE,
        Some(io::ErrorKind::TimedOut) => &cause::CONNECTION_NOT_ANSWERED,
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) => &cause::CONNECTION_ENDED,
        _ => &cause::LOCAL_SHORTAGE,
    }
}

fn of_proxy(kind: FailureKind, seen: &Seen, way: &Way) -> Finding {
    let cause = match (status_in(&seen.first), kind) {
        (Some(407), _) if way.has_proxy_login => &cause::PROXY_REFUSES_LOGIN,
        (Some(407), _) => &cause::PROXY_WANTS_LOGIN,
        (Some(401 | 403), _) => &cause::PROXY_FORBIDS,
        (Some(400 | 404 | 405 | 501), _) => &cause::PROXY_CANNOT_TUNNEL,
        (Some(502..=504), _) => &cause::PROXY_CANNOT_REACH,
        (Some(300..400), _) => &cause::PROXY_REDIRECTS,
        // It leads somewhere, and whoever is there speaks first.
        (Some(200..300), FailureKind::Protocol) => {
            let speech = end_of_head(&seen.first).and_then(|at| Speech::of(&seen.first[at..]));
            return of_speech(speech).unwrap_or(Finding::of(&cause::ANSWER_UNEXPECTED)).at(Stage::Answer);
        }
        (_, FailureKind::TimedOut) => &cause::PROXY_SILENT,
        (None, FailureKind::Closed) => &cause::PROXY_CLOSED,
        (None, FailureKind::Protocol) => &cause::PROXY_NOT_HTTP,
        _ => &cause::PROXY_ANSWERS_OTHERWISE,
    };
    Finding::of(cause)
}

/// The status of an HTTP reply that begins so.
fn status_in(first: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(first.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// What TLS said. With TLS 1.3 a server turns our certificate down only when something is read from it, so this is asked
/// about later errors too.
pub(super) fn of_tls(error: &TransportError, seen: &Seen, way: &Way) -> Finding {
    if error.kind == FailureKind::TimedOut {
        return Finding::of(&cause::TLS_NOT_ANSWERED);
    }
    let cause = match error.tls.unwrap_or(TlsFault::Other) {
        TlsFault::Expired => &cause::CERTIFICATE_EXPIRED,
        TlsFault::NotValidYet => &cause::CERTIFICATE_NOT_YET_VALID,
        TlsFault::OtherName => &cause::CERTIFICATE_NAME_WRONG,
        TlsFault::OtherPurpose => &cause::CERTIFICATE_PURPOSE_WRONG,
        TlsFault::Revoked => &cause::CERTIFICATE_REVOKED,
        TlsFault::Unacceptable if way.has_fingerprints => &cause::CERTIFICATE_NOT_PINNED,
        TlsFault::UnknownIssuer | TlsFault::Unacceptable | TlsFault::BadSignature if is_self_signed(way) => {
            &cause::CERTIFICATE_SELF_SIGNED
        }
        TlsFault::BadSignature => &cause::CERTIFICATE_SIGNATURE_WRONG,
        TlsFault::UnknownIssuer if is_chain_incomplete(way) => &cause::CERTIFICATE_CHAIN_INCOMPLETE,
        TlsFault::UnknownIssuer => &cause::CERTIFICATE_AUTHORITY_UNKNOWN,
        TlsFault::Unacceptable => &cause::CERTIFICATE_UNACCEPTABLE,
        TlsFault::NoCertificate => &cause::CERTIFICATE_MISSING,
        TlsFault::NotTls => return of_no_tls(seen),
        TlsFault::NothingInCommon | TlsFault::RefusesVersion => &cause::TLS_VERSION_REFUSED,
        TlsFault::Closed => &cause::TLS_CLOSED,
        TlsFault::WantsIdentity => &cause::CLIENT_CERTIFICATE_REQUIRED,
        // Without one this is how servers say that they want one.
        TlsFault::RefusesIdentity | TlsFault::RefusesHandshake if way.was_asked && !way.has_identity => {
            &cause::CLIENT_CERTIFICATE_REQUIRED
        }
        TlsFault::RefusesIdentity => &cause::CLIENT_CERTIFICATE_REFUSED,
        TlsFault::RefusesHandshake if way.was_asked => &cause::CLIENT_CERTIFICATE_REFUSED,
        TlsFault::RefusesHandshake => &cause::TLS_NO_COMMON_CIPHER,
        TlsFault::IdentityExpired => &cause::CLIENT_CERTIFICATE_EXPIRED,
        TlsFault::RefusesName => &cause::TLS_NAME_NOT_SERVED,
        TlsFault::NameImpossible => &cause::TLS_NAME_IMPOSSIBLE,
        TlsFault::Other => &cause::TLS_FAILED,
    };
    Finding::of(cause)
}

fn is_self_signed(way: &Way) -> bool {
    way.chain.first().is_some_and(|own| own.is_self_issued)
}

/// A server that shows nothing but its own certificate may be one of an unknown authority or one that keeps its
/// intermediate certificates to itself. The latter have issuers whose certificate can be fetched, as all public ones do, or
/// an administrator who named the authority they finally lead to.
fn is_chain_incomplete(way: &Way) -> bool {
    matches!(way.chain.as_slice(), [own] if own.names_issuers_place || way.has_ca_file)
}

fn of_no_tls(seen: &Seen) -> Finding {
    match Speech::of(&seen.first) {
        Some(Speech::Http) => Finding::of(&cause::PORT_IS_PLAIN_HTTP),
        speech => of_speech(speech).unwrap_or(Finding::of(&cause::PORT_SPEAKS_NO_TLS)).at(Stage::Tls),
    }
}

/// What it means that somebody speaks so where HTTP, syslog or RELP is expected.
pub(super) fn of_speech(speech: Option<Speech>) -> Option<Finding> {
    let cause = match speech? {
        Speech::Http => &cause::PORT_SPEAKS_HTTP,
        Speech::Http2 => &cause::PORT_SPEAKS_HTTP2,
        Speech::Tls => &cause::PORT_WANTS_TLS,
        Speech::Ssh => &cause::PORT_SPEAKS_SSH,
        Speech::Smtp => &cause::PORT_SPEAKS_SMTP,
        Speech::Ftp => &cause::PORT_SPEAKS_FTP,
        Speech::Redis => &cause::PORT_SPEAKS_REDIS,
        Speech::MySql => &cause::PORT_SPEAKS_MYSQL,
        Speech::ElasticNode => &cause::ELASTIC_NODE_PORT,
        Speech::Relp => return None,
    };
    Some(Finding::of(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(stage: transport::Stage, kind: FailureKind, tls: Option<TlsFault>) -> TransportError {
        TransportError { stage, kind, outcome_unknown: false, what: String::from("words"), tls }
    }

    fn tls_code(fault: TlsFault, way: &Way) -> &'static str {
        let error = error(transport::Stage::Tls, FailureKind::Untrusted, Some(fault));
        of_connect(&error, &Seen::default(), way).cause.code
    }

    #[test]
    fn a_look_up_is_judged_by_what_the_resolver_says() {
        let code = |said: &str, way: &Way| of_look_up(FailureKind::Unreachable, Some(said), way).code;
        let (direct, proxied) = (Way::default(), Way { has_proxy: true, ..Way::default() });
        let before = "failed to lookup address information: ";
        for (said, expected) in [
            ("Name or service not known", "name_unknown"),
            ("Name does not resolve", "name_unknown"),
            ("No address associated with hostname", "name_without_address"),
            ("Temporary failure in name resolution", "name_server_failed"),
            ("Try again", "name_server_failed"),
        ] {
            assert_eq!(code(&format!("{before}{said}"), &direct), expected, "{said}");
        }
        assert_eq!(code(&format!("{before}Name or service not known"), &proxied), "proxy_name_unknown");
        assert_eq!(of_look_up(FailureKind::TimedOut, None, &direct).code, "name_server_silent");
    }

    #[test]
    fn a_proxy_is_judged_by_its_status_and_by_what_speaks_through_it() {
        let code = |first: &[u8], kind, has_proxy_login| {
            let seen = Seen { first: first.to_vec(), ..Seen::default() };
            let way = Way { has_proxy: true, has_proxy_login, ..Way::default() };
            of_connect(&error(transport::Stage::Proxy, kind, None), &seen, &way).cause.code
        };
        assert_eq!(code(b"HTTP/1.1 407 Auth\r\n\r\n", FailureKind::Credentials, false), "proxy_wants_login");
        assert_eq!(code(b"HTTP/1.1 407 Auth\r\n\r\n", FailureKind::Credentials, true), "proxy_refuses_login");
        assert_eq!(code(b"HTTP/1.0 503 Busy\r\n\r\n", FailureKind::Unreachable, false), "proxy_cannot_reach");
        assert_eq!(code(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n", FailureKind::Protocol, false), "port_speaks_ssh");
        assert_eq!(code(b"SSH-2.0-x\r\n", FailureKind::Protocol, false), "proxy_not_http");
        assert_eq!(code(b"", FailureKind::Closed, false), "proxy_closed");
        assert_eq!(code(b"", FailureKind::TimedOut, false), "proxy_silent");
        assert_eq!(code(b"HTTP/1.1 999 ?\r\n\r\n", FailureKind::Unreachable, false), "proxy_answers_otherwise");
    }

    #[test]
    fn what_a_server_shows_tells_an_unknown_authority_from_a_chain_with_a_hole() {
        let own = Certificate::default();
        let way = |chain: Vec<Certificate>, has_ca_file| Way { chain, has_ca_file, ..Way::default() };
        let code = |way: &Way| tls_code(TlsFault::UnknownIssuer, way);
        assert_eq!(code(&way(vec![own.clone()], false)), "certificate_authority_unknown");
        assert_eq!(code(&way(vec![own.clone()], true)), "certificate_chain_incomplete");
        assert_eq!(code(&way(vec![own.clone(), own.clone()], true)), "certificate_authority_unknown");
        let public = Certificate { names_issuers_place: true, ..own.clone() };
        assert_eq!(code(&way(vec![public], false)), "certificate_chain_incomplete");
        let itself = Certificate { is_self_issued: true, ..own };
        assert_eq!(code(&way(vec![itself], false)), "certificate_self_signed");
    }

    #[test]
    fn a_server_that_asked_in_vain_for_our_certificate_is_understood_whatever_it_says() {
        let asked = Way { was_asked: true, ..Way::default() };
        let shown = Way { has_identity: true, ..asked.clone() };
        for (fault, way, expected) in [
            (TlsFault::WantsIdentity, &asked, "client_certificate_required"),
            (TlsFault::RefusesHandshake, &asked, "client_certificate_required"),
            (TlsFault::RefusesIdentity, &asked, "client_certificate_required"),
            (TlsFault::RefusesHandshake, &shown, "client_certificate_refused"),
            (TlsFault::RefusesIdentity, &shown, "client_certificate_refused"),
            (TlsFault::RefusesHandshake, &Way::default(), "tls_no_common_cipher"),
        ] {
            assert_eq!(tls_code(fault, way), expected, "{fault:?}");
        }
    }
}
