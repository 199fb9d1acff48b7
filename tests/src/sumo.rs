//! A stand-in for a Sumo Logic HTTP source: one message per line, the URL is the secret.
//!
//! What the real source cuts into slices or takes for one message after a 200 is a violation here and is not recorded.

use crate::receiver::{
    Batch, Coding, Credentials, Depth, Head, Notes, Receiver, Reply, Request, Route, Rule, Rules, SHARED, Settings,
    lines, read_json,
};

/// The code at the end of the source's URL.
pub const CODE: &str = "ZaVnC4dhaV1y0nR_ZG9xr5Qf0Pk9Zw==";

/// A source on loopback.
pub type Sumo = Receiver<HttpSource>;

/// The rules of an HTTP source.
#[derive(Debug)]
pub struct HttpSource {
    codes: Credentials,
}

const UPLOAD: &str = "Sumo Logic, Upload logs to an HTTP source";

/// How it is addressed.
pub const TARGET: Rule = Rule::new("POST /receiver/v1/http/{code}, or without the code and with x-sumo-token", UPLOAD);
/// Lines, no array.
pub const LINES: Rule = Rule::new("newline-delimited JSON objects; an array would be one message", UPLOAD);
/// 1 MB.
pub const BODY_SIZE: Rule = Rule::new(
    "at most 1 MB in a request before compression",
    "Sumo Logic, HTTP Logs and Metrics source: data payload considerations",
);
/// 64 KB.
pub const MESSAGE_SIZE: Rule =
    Rule::new("a message of at most 64 KB; longer ones are sliced", "Sumo Logic, Search large messages");
/// Headers that say something.
pub const METADATA: Rule =
    Rule::new("X-Sumo-Name, -Host and -Category are not empty", "Sumo Logic, Supported HTTP headers");
/// The fields' form.
pub const FIELDS: Rule = Rule::new("X-Sumo-Fields: k=v,k2=v2", "Sumo Logic, Supported HTTP headers");

const PATH: &str = "/receiver/v1/http";
const BODY_MAX: usize = 1_000_000;
const MESSAGE_MAX: usize = 65_536;

impl Sumo {
    /// Starts a source that knows [`CODE`].
    pub fn start(settings: Settings) -> Sumo {
        Receiver::open(HttpSource { codes: Credentials::of(CODE) }, settings)
    }

    /// The source's whole URL, which is the secret.
    pub fn source_url(&self) -> String {
        format!("{}{PATH}/{CODE}", self.url())
    }
}

impl HttpSource {
    /// The codes (or tokens) that are accepted.
    pub fn codes(&self) -> &Credentials {
        &self.codes
    }
}

impl Rules for HttpSource {
    fn name(&self) -> &'static str {
        "Sumo Logic"
    }

    fn codings(&self) -> &'static [Coding] {
        &[Coding::Gzip, Coding::Deflate]
    }

    fn answer(&self, status: u16) -> Reply {
        match status {
            200..=299 => Reply::empty(200),
            other => {
                let body = format!(
                    "{{\"status\":{other},\"id\":\"ABCDE-FGHIJ-KLMNO\",\"code\":\"refused\",\"message\":\"The request was refused.\"}}"
                );
                Reply::json(other, body)
            }
        }
    }

    fn open(&self, head: &Head, notes: &mut Notes) -> Result<Route, Reply> {
        let code = match head.path.strip_prefix(PATH) {
            Some("") => head.header("x-sumo-token"),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        };
        let (true, Some(code)) = (head.method == "POST", code) else {
            notes.breach(TARGET, format!("{} {}", head.method, head.path));
            return Err(self.answer(404));
        };
        if !self.codes.accepts(code) {
            return Err(self.answer(401));
        }
        for name in ["x-sumo-name", "x-sumo-host", "x-sumo-category"] {
            if head.header(name) == Some("") {
                notes.breach(METADATA, name);
            }
        }
        let has_form =
            |pair: &str| pair.trim().split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty());
        if let Some(fields) = head.header("x-sumo-fields").filter(|fields| !fields.split(',').all(has_form)) {
            notes.breach(FIELDS, fields);
        }
        Ok(Route::Events)
    }

    fn read<'a>(&self, request: &'a Request, _: Depth, notes: &mut Notes) -> Batch<'a> {
        if request.body.len() > BODY_MAX {
            notes.breach(BODY_SIZE, format!("{} bytes", request.body.len()));
        }
        let mut items = Vec::new();
        for line in lines(&request.body) {
            if line.len() > MESSAGE_MAX {
                notes.breach(MESSAGE_SIZE, format!("{} bytes", line.len()));
            } else if !line.starts_with(b"{") {
                notes.breach(LINES, String::from_utf8_lossy(&line[..line.len().min(40)]));
            } else {
                items.extend(read_json(line, &SHARED, notes));
            }
        }
        Batch { items, stop: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::post_once;
    use crate::receiver::{Fault, JSON};

    const LINE: &str =
        r#"{"siem":{"node":"a","stream":"s","n":1},"event_id":"gen-00000001-00002-00000003","tenant_id":"tnt-00002"}"#;

    fn send(receiver: &Sumo, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        let headers = [&[("User-Agent", "test")], headers].concat();
        post_once(receiver.address(), path, &headers, body.as_bytes()).unwrap().status
    }

    fn broken(headers: &[(&str, &str)], body: &str) -> Option<Rule> {
        let receiver = Sumo::start(Settings::default());
        assert_eq!(send(&receiver, &format!("{PATH}/{CODE}"), headers, body), 200);
        receiver.violations().first().map(|violation| violation.rule)
    }

    #[test]
    fn lines_are_taken_by_code_and_by_token() {
        let receiver = Sumo::start(Settings::default());
        let body = format!("{LINE}\n{LINE}\n");
        let by_code = format!("{PATH}/{CODE}");
        assert_eq!(send(&receiver, &by_code, &[("X-Sumo-Fields", "a=b,c=d")], &body), 200);
        assert_eq!(send(&receiver, PATH, &[("x-sumo-token", CODE)], LINE), 200);
        receiver.rules().codes().revoke(CODE);
        assert_eq!(send(&receiver, &by_code, &[], &body), 401);
        receiver.rules().codes().add(CODE);
        receiver.set_fault(Fault::poison("00000003"));
        assert_eq!(send(&receiver, &by_code, &[], &body), 400);
        assert_eq!(receiver.count(), 3);
        receiver.assert_no_violations();
        assert_eq!(send(&receiver, "/elsewhere", &[], &body), 404);
        assert_eq!(receiver.violations()[0].rule, TARGET);
    }

    #[test]
    fn each_broken_rule_is_named() {
        assert_eq!(broken(&[], &format!("[{LINE}]")), Some(LINES));
        assert_eq!(broken(&[], "{\"a\":}"), Some(JSON));
        assert_eq!(broken(&[("X-Sumo-Category", "")], LINE), Some(METADATA));
        assert_eq!(broken(&[("X-Sumo-Fields", "a")], LINE), Some(FIELDS));
        assert_eq!(
            broken(&[], &LINE.replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(MESSAGE_MAX)), 1)),
            Some(MESSAGE_SIZE)
        );
        assert_eq!(broken(&[], &format!("{LINE}\n").repeat(BODY_MAX / LINE.len() + 1)), Some(BODY_SIZE));
        assert_eq!(broken(&[], LINE), None);
    }
}
