//! What is answered when it does not work (RFC 9457), with members of our own: `do`, what to do about it, and `errors`, what is
//! wrong with which key of what was sent.

use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::config;
use crate::control::destinations::Unknown;
use crate::control::managed::tell::Error;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::control) struct Problem {
    pub(in crate::control) status: StatusCode,
    pub(in crate::control) detail: String,
    pub(in crate::control) advice: Option<String>,
    allow: Option<&'static str>,
    pub(in crate::control) errors: Vec<Error>,
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
    /// What is wrong with which key of what was sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Error>,
}

impl Problem {
    pub(in crate::control) fn new(status: StatusCode, detail: String) -> Problem {
        Problem { status, detail, advice: None, allow: None, errors: Vec::new() }
    }

    /// The same with what to do about it.
    pub(in crate::control) fn advise(self, advice: &str) -> Problem {
        Problem { advice: Some(advice.to_owned()), ..self }
    }

    /// Settings that can't be used: the first problem in words, and each with its key.
    pub(in crate::control) fn unusable(found: &[config::Problem]) -> Problem {
        let errors: Vec<Error> = found.iter().map(Error::of).collect();
        let (what, advice) = found.first().map_or(("", ""), |first| (first.what.as_str(), first.advice.as_str()));
        let more = match found.len() {
            0 | 1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("it can't be used: {what}{more}"));
        Problem { errors, ..problem.advise(advice) }
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
            detail: self.detail.clone(),
            advice: self.advice.clone(),
            errors: self.errors.clone(),
        };
        let body = json!(details);
        let mut response = (self.status, format!("{body}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        // Where people ask, the page says the same in its own way.
        response.extensions_mut().insert(self);
        response
    }
}
