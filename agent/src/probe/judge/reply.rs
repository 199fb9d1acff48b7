//! What an HTTP destination's answer means for a test: nothing, when it has taken the event; else the cause.

use scaidrive_codecs::Verdict;
use scaidrive_codecs::http::Reply;
use scaidrive_codecs::time::parse_http_date;
use scaidrive_codecs::verdict::shown;

use super::{azure, between, elastic, splunk};
use crate::config::{Auth, Kind, SentinelApi};
use crate::probe::cause::{self, Cause};
use crate::probe::report::Finding;

/// What was asked, and by whom.
pub(in crate::probe) struct Asked<'a> {
    /// Of what type the destination is.
    pub(in crate::probe) kind: &'a Kind,
    /// How it lets us in.
    pub(in crate::probe) auth: &'a [Auth],
    /// Its host.
    pub(in crate::probe) host: &'a str,
    /// Whether it was asked through TLS.
    pub(in crate::probe) has_tls: bool,
    /// Whether there is a certificate of ours, by which it may know us too.
    pub(in crate::probe) has_identity: bool,
    /// The wall clock, in epoch milliseconds.
    pub(in crate::probe) now_ms: i64,
}

impl Asked<'_> {
    /// Whether nothing is set by which it could know us.
    pub(super) fn shows_nothing(&self) -> bool {
        self.auth.is_empty() && !self.has_identity
    }
}

/// Why the event was not taken; `None` when it was. `verdict` is what delivery makes of the same reply.
pub(in crate::probe) fn of_reply(reply: &Reply, verdict: &Verdict, asked: &Asked<'_>) -> Option<Finding> {
    let finding = between::of_reply(reply, asked).or_else(|| of_destination(reply, verdict, asked))?;
    let said = finding.said.clone().unwrap_or_else(|| words(reply));
    Some(finding.saying(said))
}

/// By how much the other side's clock is ahead of this machine's, in milliseconds, if it says what time it is.
pub(in crate::probe) fn clock_ahead(reply: &Reply, now_ms: i64) -> Option<i64> {
    reply.header("date").and_then(parse_http_date).map(|date| date.saturating_sub(now_ms))
}

fn of_destination(reply: &Reply, verdict: &Verdict, asked: &Asked<'_>) -> Option<Finding> {
    // Only Elasticsearch has something to say about an event that it has taken.
    if is_taken(verdict) && !matches!(asked.kind, Kind::Elastic(_)) {
        return None;
    }
    let by_own_words = match asked.kind {
        Kind::SplunkHec(_) => splunk::of_reply(reply),
        Kind::Elastic(_) => elastic::of_reply(reply, asked),
        Kind::Sentinel(sentinel) => match sentinel.api {
            SentinelApi::LogsIngestion(_) => azure::of_ingestion(reply),
            SentinelApi::DataCollector(_) => azure::of_collector(reply, is_clock_wrong(reply, asked)),
        },
        Kind::Datadog(_) => of_datadog(reply, asked),
        Kind::SumoLogic(_) => of_sumo(reply),
        Kind::Https(_) | Kind::Syslog(_) => None,
    };
    by_own_words.or_else(|| (!is_taken(verdict)).then(|| Finding::of(of_status(reply, verdict, asked))))
}

fn is_taken(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Delivered { .. } => true,
        Verdict::Judged { refused, again, .. } => refused.is_empty() && again.is_empty(),
        _ => false,
    }
}

/// "Logs" in Datadog's API reference.
fn of_datadog(reply: &Reply, asked: &Asked<'_>) -> Option<Finding> {
    let is_key_refused = matches!(reply.status, 401 | 403);
    is_key_refused.then(|| {
        Finding::of(if shows_application_key(asked) { &cause::APPLICATION_KEY_SHOWN } else { &cause::API_KEY_REFUSED })
    })
}

/// API keys have 32 hexadecimal digits, application keys 40.
fn shows_application_key(asked: &Asked<'_>) -> bool {
    let is_one = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    asked.auth.iter().flat_map(Auth::secrets).any(|(_, secret)| is_one(secret.reveal()))
}

/// "Upload Logs to an HTTP Source: HTTP error codes" in Sumo Logic's documentation.
fn of_sumo(reply: &Reply) -> Option<Finding> {
    match reply.status {
        401 => Some(Finding::of(&cause::SOURCE_URL_OUTDATED)),
        404 => Some(Finding::of(&cause::SOURCE_UNKNOWN)),
        _ => None,
    }
}

/// What a status means where nobody says more (RFC 9110, section 15; RFC 6585).
fn of_status(reply: &Reply, verdict: &Verdict, asked: &Asked<'_>) -> &'static Cause {
    let shows_token = asked.auth.iter().any(|way| matches!(way, Auth::OAuth(_) | Auth::Entra(_)));
    match reply.status {
        401 | 403 if is_clock_wrong(reply, asked) => &cause::CLOCK_WRONG,
        401 | 403 if asked.shows_nothing() => &cause::CREDENTIALS_MISSING,
        401 if shows_token => &cause::TOKEN_REFUSED,
        401 => &cause::CREDENTIALS_REFUSED,
        403 => &cause::FORBIDDEN,
        407 => &cause::PROXY_WANTS_LOGIN,
        404 | 410 => &cause::PATH_UNKNOWN,
        405 => &cause::METHOD_REFUSED,
        406 | 415 => &cause::MEDIA_TYPE_REFUSED,
        400 | 422 => &cause::REQUEST_NOT_UNDERSTOOD,
        409 => &cause::EVENT_REFUSED,
        413 => &cause::BODY_TOO_LARGE,
        429 => &cause::THROTTLED,
        408 | 425 | 503 => &cause::UNAVAILABLE,
        500.. => &cause::SERVER_FAILED,
        ..300 if matches!(asked.kind, Kind::Https(_)) => &cause::STATUS_UNEXPECTED,
        ..300 if matches!(verdict, Verdict::Judged { .. }) => &cause::EVENT_REFUSED,
        _ => &cause::ANSWER_UNEXPECTED,
    }
}

/// Whether what is signed here has the wrong time, by the other side's own.
fn is_clock_wrong(reply: &Reply, asked: &Asked<'_>) -> bool {
    let is_signed = |way: &Auth| matches!(way, Auth::SharedKey { .. } | Auth::Aws(_) | Auth::Signature(_));
    let ahead = clock_ahead(reply, asked.now_ms).map_or(0, i64::unsigned_abs);
    ahead > SIGNATURE_SKEW_MAX_MS && asked.auth.iter().any(is_signed)
}

fn words(reply: &Reply) -> String {
    let body = String::from_utf8_lossy(&reply.body);
    let body = shown(&body);
    if body.is_empty() { format!("HTTP {}", reply.status) } else { format!("HTTP {}: {body}", reply.status) }
}

/// Signatures count for five minutes with AWS, fifteen with Azure, five with our own.
const SIGNATURE_SKEW_MAX_MS: u64 = 5 * 60_000;

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use scaidrive_codecs::time::write_http_date;

    use super::*;
    use crate::config::{Config, Destination, Surroundings};
    use crate::delivery::encoder::Encoder;
    use crate::probe::stage::Stage;

    /// A destination of these lines; secrets come from a variable.
    pub(in crate::probe) fn destination(lines: &str) -> Arc<Destination> {
        let lookup = |name: &str| match name {
            "FORTY" => Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            "KEY" => Some("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
            _ => Some("0123456789abcdef0123456789abcdef".to_owned()),
        };
        let here = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup };
        let text = format!("[[destination]]\nname = \"d\"\n{lines}\n");
        let (config, problems) = Config::unsaved(text, Path::new("d.toml"), &here);
        config.and_then(|config| config.destinations.first().cloned()).unwrap_or_else(|| panic!("{problems:?}"))
    }

    /// The code and the stage that a reply with these headers comes to; empty when the event was taken.
    pub(in crate::probe) fn judged(
        lines: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (&'static str, Stage) {
        let destination = destination(lines);
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let reply = Reply { status, headers, body: body.as_bytes().to_vec(), ..Reply::default() };
        let Encoder::Http(format) = Encoder::new(&destination).unwrap() else { panic!("not HTTP") };
        let verdict = format.verdict(&reply, 1, NOW);
        let asked = Asked {
            kind: &destination.kind,
            auth: &destination.auth,
            host: "siem.example",
            has_tls: destination.kind.urls()[0].tls,
            has_identity: false,
            now_ms: NOW,
        };
        of_reply(&reply, &verdict, &asked).map_or(("", Stage::Found), |finding| (finding.cause.code, finding.stage))
    }

    pub(in crate::probe) const NOW: i64 = 1_778_595_781_000;
    const HTTPS: &str = "type = \"https\"\nurl = \"https://siem.example/in\"\nbearer_token = { env = \"T\" }";
    const OPEN: &str = "type = \"https\"\nurl = \"http://localhost/in\"";
    const SIGNED: &str = "type = \"https\"\nurl = \"https://siem.example/in\"\nsigning_secret = { env = \"T\" }";
    const SUMO: &str = "type = \"sumo_logic\"\nurl = \"https://siem.example/receiver\"\ntoken = { env = \"T\" }";

    #[test]
    fn a_receiver_that_says_yes_has_taken_the_event_unless_a_page_says_it() {
        for status in [200, 201, 202, 204] {
            assert_eq!(judged(HTTPS, status, &[], "").0, "");
        }
        // Any receiver may call what it says HTML.
        assert_eq!(judged(HTTPS, 200, &[("Content-Type", "text/html")], "ok").0, "");
        assert_eq!(judged(HTTPS, 200, &[], "<!DOCTYPE html><p>hi").0, "page_for_people");
        let login = "<html><form><input type='password'></form></html>";
        assert_eq!(judged(HTTPS, 200, &[], login), ("login_page", Stage::Answer));
        assert_eq!(judged(SUMO, 200, &[("Content-Type", "text/html")], "welcome").0, "page_for_people");
        assert_eq!(judged(SUMO, 200, &[], "").0, "");
    }

    #[test]
    fn a_redirect_is_judged_by_where_it_leads() {
        for (lines, location, expected) in [
            (HTTPS, "https://elsewhere.example/in", "redirected"),
            (HTTPS, "/other/path", "redirected"),
            (HTTPS, "https://idp.example/oauth2/authorize?state=secret", "redirected_to_login"),
            (OPEN, "https://siem.example/in", "redirected_to_https"),
            (SUMO, "https://endpoint4.collection.eu.sumologic.com/receiver/x", "source_elsewhere"),
        ] {
            assert_eq!(judged(lines, 302, &[("Location", location)], ""), (expected, Stage::Answer), "{location}");
        }
    }

    #[test]
    fn who_is_refused_without_credentials_is_told_so() {
        assert_eq!(judged(OPEN, 401, &[], ""), ("credentials_missing", Stage::Authentication));
        assert_eq!(judged(HTTPS, 401, &[], ""), ("credentials_refused", Stage::Authentication));
        assert_eq!(judged(HTTPS, 403, &[], ""), ("forbidden", Stage::Permission));
    }

    #[test]
    fn a_signature_that_is_refused_is_the_clocks_fault_where_the_clocks_differ() {
        let at = |minutes: i64| {
            let mut date = Vec::new();
            write_http_date(NOW + minutes * 60_000, &mut date);
            String::from_utf8(date).unwrap()
        };
        assert_eq!(judged(SIGNED, 401, &[("Date", &at(-20))], "").0, "clock_wrong");
        assert_eq!(judged(SIGNED, 401, &[("Date", &at(1))], "").0, "credentials_refused");
        assert_eq!(judged(HTTPS, 401, &[("Date", &at(-20))], "").0, "credentials_refused", "a token has no time");
    }

    #[test]
    fn statuses_that_say_no_more_have_a_cause_each() {
        for (status, expected) in [
            (400, "request_not_understood"),
            (404, "path_unknown"),
            (405, "method_refused"),
            (409, "event_refused"),
            (413, "body_too_large"),
            (415, "media_type_refused"),
            (429, "throttled"),
            (500, "server_failed"),
            (502, "gateway_without_server"),
            (503, "unavailable"),
            (511, "captive_portal"),
        ] {
            assert_eq!(judged(HTTPS, status, &[], "").0, expected, "{status}");
        }
        assert_eq!(judged(&format!("{HTTPS}\nsuccess = [201]"), 200, &[], "{}").0, "status_unexpected");
    }

    #[test]
    fn connectors_5_3_an_application_key_is_known_by_its_length() {
        let datadog = |key: &str| format!("type = \"datadog\"\napi_key = {{ env = \"{key}\" }}");
        assert_eq!(judged(&datadog("T"), 403, &[], "{}").0, "api_key_refused");
        assert_eq!(judged(&datadog("FORTY"), 403, &[], "{}").0, "application_key_shown");
        assert_eq!(judged(&datadog("T"), 202, &[], "{}").0, "");
    }
}
