//! What is answered when it does not work (RFC 9457), with a member of our own: `do`, what to do about it.

use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::control::destinations::Unknown;

/// See the module.
pub(in crate::control) struct Problem {
    pub(in crate::control) status: StatusCode,
    detail: String,
    advice: Option<String>,
    allow: Option<&'static str>,
}

/// What a problem says (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Details {
    /// Always `about:blank`: `title` says what the status means, and no more.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong, in plain words.
    detail: String,
    /// What to do about it.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Problem {
    pub(in crate::control) fn new(status: StatusCode, detail: String) -> Problem {
        Problem { status, detail, advice: None, allow: None }
    }

    /// The same with what to do about it.
    pub(in crate::control) fn advise(self, advice: &str) -> Problem {
        Problem { advice: Some(advice.to_owned()), ..self }
    }

    pub(in crate::control) fn method(allow: &'static str) -> Problem {
        let detail = format!("only {allow} is taken here");
        Problem { allow: Some(allow), ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    pub(in crate::control) fn internal(problem: &dyn std::error::Error) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, crate::cli::chain(problem))
    }
}

impl From<Unknown> for Problem {
    fn from(unknown: Unknown) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, unknown.what).advise(&unknown.advice)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let details = Details {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail,
            advice: self.advice,
        };
        let body = json!(details);
        let mut response = (self.status, format!("{body}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}
