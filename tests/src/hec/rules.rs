//! What the documentation demands of a request, rule by rule, each with the place it stands in.

use super::fault::Reply;

/// A documented rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Only `POST` takes events.
    Method,
    /// One of the event endpoints.
    Path,
    /// `Authorization: Splunk <token>`, the word and one space.
    AuthorizationForm,
    /// A `User-Agent`, without which Splunk answers in HTTP/1.0 and closes.
    UserAgent,
    /// Exactly one `Content-Length`.
    ContentLength,
    /// No `Transfer-Encoding`.
    NotChunked,
    /// Exactly one `Host`.
    Host,
    /// `gzip` or nothing.
    ContentEncoding,
    /// A compressed body that decompresses.
    GzipBody,
    /// At least one event.
    NotEmpty,
    /// Objects one after the other, not an array.
    Concatenated,
    /// JSON objects with documented keys, each once.
    Envelope,
    /// `event` is there.
    EventPresent,
    /// `event` is not an empty string.
    EventNotBlank,
    /// An event of at most 5 MB.
    EventSize,
    /// `time` in epoch seconds, and the event's own time.
    TimeInSeconds,
    /// `fields` is a flat map of strings, numbers or arrays of them.
    FlatFields,
    /// `fields` names the event it belongs to.
    FieldsMatchEvent,
    /// `X-Splunk-Request-Channel`, where there is one, is a GUID.
    ChannelIsGuid,
}

/// A rule that a request broke.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// Where it stands.
    pub source: &'static str,
    /// What was found.
    pub found: String,
}

/// What of a request's head the rest needs.
pub(super) struct Head {
    pub(super) content_length: usize,
    pub(super) is_gzip: bool,
    pub(super) keep_alive: bool,
}

/// A head that cannot be served: the answer, and the broken rule where it is the sender's fault.
pub(super) struct Rejection {
    pub(super) reply: Reply,
    pub(super) violation: Option<Violation>,
}

const PATHS: &[&str] = &["/services/collector/event", "/services/collector", "/services/collector/event/1.0"];
const HEALTH_PATHS: &[&str] = &["/services/collector/health", "/services/collector/health/1.0"];

impl Rule {
    /// Where the rule stands.
    pub fn source(self) -> &'static str {
        match self {
            Rule::Method | Rule::Path => "Splunk, HEC REST API endpoints: POST services/collector/event",
            Rule::AuthorizationForm => "Splunk, Format events for HEC: HTTP authentication",
            Rule::UserAgent => "inputs.conf.spec: forceHttp10 = auto",
            Rule::ContentLength | Rule::NotChunked => "RFC 9112 section 6.2; our own rule: a length, never chunks",
            Rule::Host => "RFC 9112 section 3.2",
            Rule::ContentEncoding | Rule::GzipBody => "Splunk, HEC: gzip is the only documented coding",
            Rule::NotEmpty => "Splunk, Troubleshoot HEC: code 5",
            Rule::Concatenated | Rule::Envelope => "Splunk, Format events for HEC: event data and metadata; code 6",
            Rule::EventPresent => "Splunk, Troubleshoot HEC: code 12",
            Rule::EventNotBlank => "Splunk, Troubleshoot HEC: code 13",
            Rule::EventSize => "limits.conf.spec: [http] maxEventSize",
            Rule::TimeInSeconds => "Splunk, Format events for HEC: time is epoch seconds",
            Rule::FlatFields => "Splunk, Automate indexed field extractions: code 15",
            Rule::FieldsMatchEvent => "this project's design, section 6: on the wire",
            Rule::ChannelIsGuid => "Splunk, About HEC indexer acknowledgment: code 11",
        }
    }

    pub(super) fn broken(self, found: impl Into<String>) -> Violation {
        Violation { rule: self, source: self.source(), found: found.into() }
    }
}

/// Checks a request's head. The violations that do not keep it from being served go to `violations`.
pub(super) fn check_head(
    request: &httparse::Request<'_, '_>,
    token: &str,
    violations: &mut Vec<Violation>,
) -> Result<Head, Rejection> {
    let method = request.method.unwrap_or_default();
    let path = request.path.unwrap_or_default();
    let headers = Headers(request.headers);
    let keep_alive = request.version == Some(1)
        && !headers.one("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));

    if headers.all("host").count() != 1 {
        violations.push(Rule::Host.broken(format!("{} of them", headers.all("host").count())));
    }
    if headers.one("user-agent").is_none_or(str::is_empty) {
        violations.push(Rule::UserAgent.broken("none"));
    }
    check_authorization(&headers, token)?;
    if method == "GET" && HEALTH_PATHS.contains(&path) {
        return Err(Rejection { reply: Reply::new(200, 17, "HEC is healthy"), violation: None });
    }
    if !PATHS.contains(&path) {
        return Err(reject(404, 404, "The requested URL was not found on this server.", Rule::Path.broken(path)));
    }
    if method != "POST" {
        return Err(reject(405, 405, "Method not allowed", Rule::Method.broken(method)));
    }
    if let Some(coding) = headers.one("transfer-encoding") {
        return Err(reject(411, 6, "Length required", Rule::NotChunked.broken(coding)));
    }
    if let Some(channel) = headers.one("x-splunk-request-channel")
        && !is_guid(channel)
    {
        return Err(reject(400, 11, "Invalid data channel", Rule::ChannelIsGuid.broken(channel)));
    }
    let is_gzip = match headers.one("content-encoding") {
        None | Some("identity") => false,
        Some("gzip") => true,
        Some(other) => return Err(reject(415, 6, "Unsupported coding", Rule::ContentEncoding.broken(other))),
    };
    let lengths: Vec<&str> = headers.all("content-length").collect();
    match lengths[..] {
        [text] if text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() < 16 => {
            let content_length = text.parse().expect("fewer than 16 digits are a number");
            Ok(Head { content_length, is_gzip, keep_alive })
        }
        _ => Err(reject(411, 6, "Length required", Rule::ContentLength.broken(format!("{lengths:?}")))),
    }
}

/// 401 and 403 by themselves are the operator's fault; only the form is the sender's.
fn check_authorization(headers: &Headers<'_, '_>, token: &str) -> Result<(), Rejection> {
    let Some(value) = headers.one("authorization") else {
        return Err(reject(401, 2, "Token is required", Rule::AuthorizationForm.broken("none")));
    };
    let Some(given) = value.strip_prefix("Splunk ") else {
        return Err(reject(401, 3, "Invalid authorization", Rule::AuthorizationForm.broken("another scheme")));
    };
    if given != token {
        return Err(Rejection { reply: Reply::new(403, 4, "Invalid token"), violation: None });
    }
    Ok(())
}

fn reject(status: u16, code: u16, text: &'static str, violation: Violation) -> Rejection {
    Rejection { reply: Reply::new(status, code, text), violation: Some(violation) }
}

struct Headers<'a, 'b>(&'a [httparse::Header<'b>]);

impl<'a> Headers<'a, '_> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let headers = self.0;
        headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| std::str::from_utf8(header.value).unwrap_or("not UTF-8"))
    }

    fn one(&self, name: &'static str) -> Option<&'a str> {
        self.all(name).next()
    }
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
