//! What is answered when a request is not taken (RFC 9457).

use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};

use crate::ingest::acks::{push, push_string};

/// A problem reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after_s: Option<u32>,
    /// Events of the request that are durable all the same.
    accepted: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), retry_after_s: None, accepted: None }
    }

    /// 400: the body cannot be taken apart into events.
    pub(super) fn unframed(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401.
    pub(super) fn unauthorized() -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "a valid bearer token is required")
    }

    /// 403.
    pub(super) fn forbidden(detail: &str) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub(super) fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "events are sent to /v1/events")
    }

    /// 405.
    pub(super) fn not_post() -> Problem {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "events are sent with POST")
    }

    /// 408.
    pub(super) fn too_slow() -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
    }

    /// 413.
    pub(super) fn too_large(detail: String) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 415.
    pub(super) fn encoding(detail: &str) -> Problem {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 429.
    pub(super) fn too_much(detail: String, retry_after_s: u32) -> Problem {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
        Problem { retry_after_s: Some(retry_after_s), ..problem }
    }

    /// 503.
    pub(super) fn unavailable(detail: String) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        Problem { retry_after_s: Some(1), ..problem }
    }

    /// Says how many events were accepted before the problem.
    pub(super) fn with_accepted(self, accepted: u64) -> Problem {
        Problem { accepted: Some(accepted), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Vec::new();
        let title = self.status.canonical_reason().unwrap_or_default();
        push(
            &mut body,
            format_args!("{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{}", self.status.as_u16()),
        );
        body.extend_from_slice(b",\"detail\":");
        push_string(&mut body, &self.detail);
        if let Some(accepted) = self.accepted {
            push(&mut body, format_args!(",\"accepted\":{accepted}"));
        }
        body.extend_from_slice(b"}\n");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
