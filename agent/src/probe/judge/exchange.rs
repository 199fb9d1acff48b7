//! What became of a request, a RELP session or a message, where no answer says it.

use scaidrive_codecs::http::HttpError;

use super::way::{Way, of_speech, of_tls};
use crate::probe::cause;
use crate::probe::report::Finding;
use crate::probe::sniff::Speech;
use crate::probe::stage::Stage;
use crate::probe::watch::Seen;
use crate::transport::{self, Answers, FailureKind, TransportError};

/// Why there is no reply to an HTTP request.
pub(in crate::probe) fn of_exchange(error: &TransportError, seen: &Seen, way: &Way) -> Finding {
    let finding = by_what_speaks(error, seen, way, Speech::Http).unwrap_or_else(|| {
        let has_begun = !way.has_tls && !seen.first.is_empty();
        Finding::of(match error.kind {
            FailureKind::TimedOut if error.stage == transport::Stage::Write => &cause::REQUEST_NOT_TAKEN,
            FailureKind::TimedOut if has_begun => &cause::ANSWER_STOPPED,
            FailureKind::TimedOut => &cause::NOT_ANSWERED,
            FailureKind::Protocol => &cause::ANSWER_NOT_HTTP,
            // Something came that was not even the beginning of an answer.
            _ if has_begun && Speech::of(&seen.first) != Some(Speech::Http) => &cause::ANSWER_NOT_HTTP,
            _ if is_cut_off(error) => &cause::ANSWER_CUT_OFF,
            _ => &cause::CLOSED_WITHOUT_ANSWER,
        })
    });
    finding.saying(&error.what)
}

/// Whether the connection ended inside an answer.
fn is_cut_off(error: &TransportError) -> bool {
    error.what.ends_with(&HttpError::ClosedInside.to_string())
}

/// Why there is no RELP session.
pub(in crate::probe) fn of_open(error: &TransportError, seen: &Seen, way: &Way) -> Finding {
    let finding = by_what_speaks(error, seen, way, Speech::Relp).unwrap_or_else(|| {
        Finding::of(match error.kind {
            FailureKind::TimedOut => &cause::NOT_ANSWERED,
            FailureKind::Refused if error.what.contains("version") => &cause::RELP_VERSION_UNKNOWN,
            FailureKind::Refused if error.what.contains("no syslog") => &cause::RELP_WITHOUT_SYSLOG,
            FailureKind::Refused => &cause::RELP_OPEN_REFUSED,
            FailureKind::Protocol => &cause::ANSWER_NOT_RELP,
            _ => &cause::CLOSED_WITHOUT_ANSWER,
        })
    });
    finding.saying(&error.what)
}

/// What became of one RELP message; `None` when the receiver has taken it.
pub(in crate::probe) fn of_answers(answers: &Answers, seen: &Seen, way: &Way) -> Option<Finding> {
    if let Some((_, said)) = answers.refused.first() {
        return Some(Finding::of(&cause::RELP_MESSAGE_REFUSED).saying(said).knowing_us());
    }
    let error = answers.ended.as_ref().filter(|_| !answers.unanswered.is_empty())?;
    let finding = by_what_speaks(error, seen, way, Speech::Relp).unwrap_or_else(|| {
        Finding::of(match error.kind {
            FailureKind::TimedOut => &cause::RECEIVER_STOPS_READING,
            FailureKind::Protocol => &cause::ANSWER_NOT_RELP,
            _ => &cause::RECEIVER_CLOSES_AT_MESSAGE,
        })
    });
    Some(finding.saying(&error.what))
}

/// Why a syslog connection ended. `was_written` says whether a message had gone out by then.
pub(in crate::probe) fn of_pipe(error: &TransportError, seen: &Seen, way: &Way, was_written: bool) -> Finding {
    let finding = by_what_speaks(error, seen, way, Speech::Relp).unwrap_or_else(|| {
        Finding::of(match (error.kind, was_written) {
            (FailureKind::TimedOut, _) => &cause::RECEIVER_STOPS_READING,
            (_, false) => &cause::RECEIVER_CLOSES_AT_ONCE,
            (_, true) => &cause::RECEIVER_CLOSES_AT_MESSAGE,
        })
    });
    finding.saying(&error.what)
}

/// TLS may speak through a later error; and whoever is at the other end may be known by its first bytes, unless it is
/// `expected` there.
fn by_what_speaks(error: &TransportError, seen: &Seen, way: &Way, expected: Speech) -> Option<Finding> {
    if error.tls.is_some() {
        return Some(of_tls(error, seen, way));
    }
    if way.has_tls {
        // Some servers ask for a certificate, get none, and hang up without a word about it.
        let was_turned_away = way.was_asked && !way.has_identity && error.kind == FailureKind::Closed;
        return was_turned_away.then(|| Finding::of(&cause::CLIENT_CERTIFICATE_REQUIRED));
    }
    let speech = Speech::of(&seen.first).filter(|speech| *speech != expected);
    of_speech(speech).map(|finding| finding.at(Stage::Answer))
}

#[cfg(test)]
mod tests {
    use scaidrive_codecs::relp::{News, RelpSession};

    use super::*;
    use crate::transport::TlsFault;

    fn error(stage: transport::Stage, kind: FailureKind, what: &str) -> TransportError {
        TransportError { stage, kind, outcome_unknown: false, what: what.to_owned(), tls: None }
    }

    fn seen(first: &[u8]) -> Seen {
        Seen { first: first.to_vec(), ..Seen::default() }
    }

    #[test]
    fn a_request_without_a_reply_is_judged_by_how_it_ended_and_by_what_came() {
        let (plain, tls) = (Way::default(), Way { has_tls: true, ..Way::default() });
        let code = |kind, what: &str, first: &[u8], way: &Way| {
            of_exchange(&error(transport::Stage::Reply, kind, what), &seen(first), way).cause.code
        };
        let cut = format!("no usable reply: {}", HttpError::ClosedInside);
        assert_eq!(code(FailureKind::Closed, "", b"", &plain), "closed_without_answer");
        assert_eq!(code(FailureKind::Closed, &cut, b"HTTP/1.1 200", &plain), "answer_cut_off");
        assert_eq!(code(FailureKind::Closed, &cut, b"\x17\x03\x03", &tls), "answer_cut_off");
        assert_eq!(code(FailureKind::Closed, &cut, b"hello", &plain), "answer_not_http");
        assert_eq!(code(FailureKind::TimedOut, "", b"", &plain), "not_answered");
        assert_eq!(code(FailureKind::TimedOut, "", b"HTTP/1.1 2", &plain), "answer_stopped");
        assert_eq!(code(FailureKind::TimedOut, "", b"\x17\x03\x03", &tls), "not_answered");
        assert_eq!(code(FailureKind::Protocol, "", b"\x15\x03\x01", &plain), "port_wants_tls");
        assert_eq!(code(FailureKind::Protocol, "", b"what?", &plain), "answer_not_http");
    }

    #[test]
    fn our_certificate_is_turned_down_after_the_handshake_and_that_is_still_a_matter_of_tls() {
        let late = TransportError {
            tls: Some(TlsFault::WantsIdentity),
            ..error(transport::Stage::Reply, FailureKind::Untrusted, "")
        };
        let way = Way { has_tls: true, ..Way::default() };
        for finding in [of_exchange(&late, &seen(b""), &way), of_pipe(&late, &seen(b""), &way, true)] {
            assert_eq!((finding.stage, finding.cause.code), (Stage::Tls, "client_certificate_required"));
        }
    }

    #[test]
    fn a_server_that_asked_for_our_certificate_in_vain_and_hangs_up_has_said_why() {
        let closed = error(transport::Stage::Write, FailureKind::Closed, "");
        let asked = Way { has_tls: true, was_asked: true, ..Way::default() };
        let code = |way: &Way| of_pipe(&closed, &seen(b"\x17\x03\x03"), way, false).cause.code;
        assert_eq!(code(&asked), "client_certificate_required");
        assert_eq!(code(&Way { has_identity: true, ..asked.clone() }), "receiver_closes_at_once");
        assert_eq!(code(&Way { was_asked: false, ..asked }), "receiver_closes_at_once");
    }

    /// What the codec says of an answer to `open`.
    fn refusal(answer: &[u8]) -> TransportError {
        let (mut session, mut news) = (RelpSession::new(), Vec::new());
        session.open(&mut Vec::new());
        session.receive(answer, &mut news).unwrap();
        let [News::OpenRefused { why }] = news.as_slice() else { panic!("{news:?}") };
        error(transport::Stage::Reply, FailureKind::Refused, &format!("RELP cannot be spoken with the receiver: {why}"))
    }

    #[test]
    fn connectors_8_2_the_three_ways_of_refusing_a_session_are_told_apart() {
        for (said, expected) in [
            ("500 not authorized", "relp_open_refused"),
            ("200 OK\nrelp_version=7\ncommands=syslog\n", "relp_version_unknown"),
            ("200 OK\nrelp_version=0\ncommands=file\n", "relp_without_syslog"),
        ] {
            let answer = format!("1 rsp {} {said}\n", said.len());
            let error = refusal(answer.as_bytes());
            let finding = of_open(&error, &seen(answer.as_bytes()), &Way::default());
            assert_eq!(finding.cause.code, expected, "{error}");
        }
    }

    #[test]
    fn a_message_that_was_taken_has_no_cause() {
        let way = Way::default();
        let taken = Answers {
            accepted: 1,
            ended: Some(error(transport::Stage::Reply, FailureKind::Closed, "")),
            ..Answers::default()
        };
        assert_eq!(of_answers(&taken, &seen(b""), &way), None);
        let refused = Answers { refused: vec![(0, "500 no".into())], ..Answers::default() };
        let finding = of_answers(&refused, &seen(b""), &way).unwrap();
        assert_eq!((finding.cause.code, finding.said.as_deref()), ("relp_message_refused", Some("500 no")));
    }
}
