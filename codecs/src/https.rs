//! Generic HTTPS: events to any receiver, in a chosen form, and what its replies mean.
//!
//! | form | body |
//! |-------|------|
//! | [`BodyForm::Array`] | `[e,e]` |
//! | [`BodyForm::Ndjson`] | each event on a line of its own, the last one ended too |
//! | [`BodyForm::Single`] | one event, nothing around it; one request for each |
//! | [`BodyForm::Wrapped`] | `{"KEY":[e,e]}` |
//!
//! An event is what the template makes of it, or the [`Shape`] where there is none: usually the event as it came, borrowed
//! from the log, with `"siem":{"node":…,"stream":…,"n":…}` as its first member; a notice or a statement has no number and no
//! such member. A line of text (CEF, LEEF) is a JSON string in a body of JSON, and itself in a body of text.
//!
//! The meaning of a status is RFC 9110's, section 15, and RFC 6585's for 429 and 431. There is no standard for such
//! receivers beyond that, so whoever runs one is told: any 2xx (or only those in the settings) takes every event of the
//! request; 400, 413 and 422 blame an event; the rest never does.

use ring::digest;

use crate::body::Body;
use crate::event::Event;
use crate::filter::Scratch;
use crate::format::{Entry, Format, Frame, RequestParts, Unfit};
use crate::http::{HeadError, Reply, write_head};
use crate::json::write_string;
use crate::shape::{Limits, Shape};
use crate::signature::write_hex;
use crate::template::{Template, TemplateError, TemplateKind};
use crate::verdict::{Verdict, redirect_target, shown};

/// The header with [`idempotency_key`].
pub const IDEMPOTENCY_HEADER: &str = "Idempotency-Key";
/// The header with the number of events in the body, in decimal.
pub const COUNT_HEADER: &str = "X-ScaiDrive-Batch-Count";

/// How requests are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsSettings {
    /// The method.
    pub method: Method,
    /// The request target: path and query.
    pub path: String,
    /// Headers that are no secrets. Secret ones are credentials, which whoever sends adds.
    pub headers: Vec<(String, String)>,
    /// What stands around events.
    pub form: BodyForm,
    /// The `Content-Type`; by default that of form and shape.
    pub content_type: Option<String>,
    /// What an event is, unless there is a template.
    pub shape: Shape,
    /// What an event is made into.
    pub template: Option<String>,
    /// Statuses that mean success; none for any 2xx.
    pub success: Vec<u16>,
    /// The receiver documents that status 409 means "I have this already".
    pub conflict_is_success: bool,
}

/// The methods that carry a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
}

/// What stands around the events of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// A JSON array.
    Array,
    /// Lines.
    Ndjson,
    /// One event for each request.
    Single,
    /// A JSON object with one member, an array.
    Wrapped {
        /// The member's key.
        key: String,
    },
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpsError {
    /// The path or a header can't stand in a request.
    #[error("the request can't be written: {source}")]
    Head {
        /// Which, and why.
        #[source]
        source: HeadError,
    },
    /// A header that comes from elsewhere.
    #[error("the header `{name}` can't be set here; {instead}")]
    Header {
        /// As found.
        name: String,
        /// What to do.
        instead: &'static str,
    },
    /// A success status that is none.
    #[error("{found} can't mean success; allowed are 200 to 299")]
    Success {
        /// As found.
        found: u16,
    },
    /// A content type for text around events that are JSON.
    #[error("the content type `{found}` is not JSON, but the body is a JSON array")]
    ContentType {
        /// As found.
        found: String,
    },
    /// The template can't be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// An encoder and judge for one receiver.
#[derive(Clone, Debug)]
pub struct Https {
    request: RequestParts,
    form: BodyForm,
    shape: Shape,
    /// Whether a text goes in as a JSON string.
    is_json: bool,
    /// What stands before the first event of a wrapped body.
    opening: Vec<u8>,
    template: Option<Template>,
    success: Vec<u16>,
    conflict_is_success: bool,
}

impl Https {
    /// Prepares an encoder.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: &HttpsSettings) -> Result<Https, HttpsError> {
        let content_type = settings.content_type.as_deref().unwrap_or(settings.usual_content_type());
        let kind = settings.template_kind(content_type)?;
        let template = settings.template.as_deref().map(|text| Template::compile(text, kind)).transpose()?;
        if let Some(found) = settings.success.iter().find(|status| !(200..300).contains(*status)) {
            return Err(HttpsError::Success { found: *found });
        }
        let mut opening = Vec::new();
        if let BodyForm::Wrapped { key } = &settings.form {
            opening.push(b'{');
            write_string(key, &mut opening);
            opening.extend_from_slice(b":[");
        }
        Ok(Https {
            request: settings.request(content_type)?,
            form: settings.form.clone(),
            shape: settings.shape,
            is_json: is_json(content_type),
            opening,
            template,
            success: settings.success.clone(),
            conflict_is_success: settings.conflict_is_success,
        })
    }

    /// How many events a request may hold, where the shape says so.
    pub fn events_max(&self) -> Option<usize> {
        (self.form == BodyForm::Single).then_some(1)
    }

    fn is_success(&self, status: u16) -> bool {
        match self.success[..] {
            [] => (200..300).contains(&status),
            _ => self.success.contains(&status),
        }
    }

    /// Appends what stands before an event.
    fn separate(&self, item: u32, body: &mut Body) {
        debug_assert!(item == 0 || self.form != BodyForm::Single, "one event for each request");
        match (item, &self.form) {
            (0, BodyForm::Wrapped { .. }) => body.push_glue(&self.opening),
            (0, _) => {}
            (_, BodyForm::Ndjson | BodyForm::Single) => body.push_glue(b"\n"),
            (_, BodyForm::Array | BodyForm::Wrapped { .. }) => body.push_glue(b","),
        }
    }
}

impl Format for Https {
    fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        self.separate(entry.item, body);
        match &self.template {
            Some(template) => template.render(event, entry, body),
            None if self.is_json => self.shape.write_json(event, entry, &Limits::NONE, body, scratch),
            None => self.shape.write(event, entry, &Limits::NONE, body, scratch),
        }
        Ok(())
    }

    /// A wrapped body has a key of the admin's in its opening, which therefore comes with the first event.
    fn frame(&self) -> Frame {
        match self.form {
            BodyForm::Array => Frame::ARRAY,
            BodyForm::Ndjson => Frame { opening: b"", closing: b"\n" },
            BodyForm::Single => Frame { opening: b"", closing: b"" },
            BodyForm::Wrapped { .. } => Frame { opening: b"", closing: b"]}" },
        }
    }

    fn request(&self) -> &RequestParts {
        &self.request
    }

    fn verdict(&self, reply: &Reply, events: usize, now_ms: i64) -> Verdict {
        let why = format!("HTTP {}: {}", reply.status, shown(&String::from_utf8_lossy(&reply.body)));
        match reply.status {
            status if self.is_success(status) => Verdict::Delivered { slow_down: false },
            200..300 => {
                Verdict::Misconfigured { why: format!("this status is not among those that mean success: {why}") }
            }
            300..400 => Verdict::Misconfigured { why: redirect(reply) },
            409 if self.conflict_is_success => Verdict::Delivered { slow_down: false },
            409 => Verdict::split_or_refuse(events, None, why),
            415 => Verdict::Uncompressed { why },
            404 | 501 | 505 => Verdict::Misconfigured { why },
            _ => Verdict::of_status(reply, events, now_ms, why),
        }
    }
}

impl HttpsSettings {
    /// The content type where none is set.
    fn usual_content_type(&self) -> &'static str {
        match self.form {
            BodyForm::Ndjson | BodyForm::Single if self.shape.is_text() && self.template.is_none() => {
                "text/plain; charset=utf-8"
            }
            _ => self.form.content_type(),
        }
    }

    fn template_kind(&self, content_type: &str) -> Result<TemplateKind, HttpsError> {
        let is_json = is_json(content_type);
        match self.form {
            _ if is_json => Ok(TemplateKind::Json),
            BodyForm::Ndjson => Ok(TemplateKind::Line),
            BodyForm::Single => Ok(TemplateKind::Text),
            BodyForm::Array | BodyForm::Wrapped { .. } => {
                Err(HttpsError::ContentType { found: content_type.to_owned() })
            }
        }
    }

    fn request(&self, content_type: &str) -> Result<RequestParts, HttpsError> {
        for (name, _) in &self.headers {
            if let Some(instead) = set_elsewhere(name) {
                return Err(HttpsError::Header { name: name.clone(), instead });
            }
        }
        let content_type = (String::from("Content-Type"), content_type.to_owned());
        let headers: Vec<_> = std::iter::once(content_type).chain(self.headers.iter().cloned()).collect();
        let method = match self.method {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
        };
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        write_head(&mut Vec::new(), method, &self.path, "host", pairs, 0)
            .map_err(|source| HttpsError::Head { source })?;
        Ok(RequestParts { method: method.to_owned(), path: self.path.clone(), headers })
    }
}

impl BodyForm {
    /// The content type of a body of this form.
    pub fn content_type(&self) -> &'static str {
        match self {
            BodyForm::Ndjson => "application/x-ndjson",
            BodyForm::Array | BodyForm::Single | BodyForm::Wrapped { .. } => "application/json",
        }
    }
}

/// A name for a batch that is the same whenever the same events are sent, and never that of other events: SHA-256 over
/// the stream and the numbers, half of it in hexadecimal. A notice or a statement has no numbers; give its text as
/// the stream.
pub fn idempotency_key(stream: &str, numbers: impl IntoIterator<Item = u64>) -> String {
    let mut running = digest::Context::new(&digest::SHA256);
    running.update(&(stream.len() as u64).to_le_bytes());
    running.update(stream.as_bytes());
    for number in numbers {
        running.update(&number.to_le_bytes());
    }
    let mut key = String::with_capacity(IDEMPOTENCY_BYTES * 2);
    write_hex(&running.finish().as_ref()[..IDEMPOTENCY_BYTES], &mut key);
    key
}

fn redirect(reply: &Reply) -> String {
    let target = redirect_target(reply);
    format!(
        "HTTP {}: redirected to {target}; redirects are not followed, so set the URL that takes events",
        reply.status
    )
}

/// Whether a content type is JSON (RFC 6839, section 3.1, for the suffix).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "application/json" | "text/json" | "application/x-ndjson" | "application/jsonl")
        || essence.ends_with("+json")
}

/// What to do instead of setting a header that this program sets itself; `None` for any other.
pub fn set_elsewhere(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, instead)| *instead)
}

const IDEMPOTENCY_BYTES: usize = 16;
/// Headers that this program sets itself.
const ELSEWHERE: [(&str, &str); 8] = [
    ("content-type", "`content_type` sets it"),
    ("content-encoding", "`compression` sets it"),
    ("authorization", "it is a credential: set `bearer_token`, `user`, `oauth` or `secret_headers`"),
    ("user-agent", "it names this program"),
    ("connection", "connections are the agent's business"),
    ("idempotency-key", "it is made for each batch"),
    ("x-scaidrive-batch-count", "it is made for each batch"),
    ("x-scaidrive-signature", "it is made for each batch; set a signing secret"),
];
