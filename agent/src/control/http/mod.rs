//! What is answered over HTTP: on `admin.listen` for machines that watch, on `admin.socket` for the command line too.
//!
//! | path | answer | where |
//! |---|---|---|
//! | `/metrics` | every number, for Prometheus | both |
//! | `/livez` | whether the loops turn; 503 says which does not | both |
//! | `/readyz` | whether events can be taken; 503 says why not | both |
//! | `/status` | the whole agent in JSON | both |
//! | `/v1/status` | the same | socket |
//! | `/v1/deadletters` | the stores | socket |
//! | `/v1/deadletters/{destination}?after=&limit=` | a page of one store | socket |
//! | `/v1/deadletters/{destination}/{stream}/{n}` | one letter with its event | socket |
//! | `POST /v1/reload` | reads the configuration again | socket |
//!
//! A SIEM that is down makes neither health check fail. The address answers to its own names only and takes nothing but
//! GET; the socket is for root and the agent's user by its mode.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::config::Destination;
use crate::control::letters::{self, StreamPrefix};
use crate::control::picture::{Detail, Picture};
use crate::control::reload::Reloaded;
use crate::control::socket::Caller;
use crate::control::watch::Watch;
use crate::control::{metrics, status};
use crate::ingest::http::guard::check_source;
use crate::node::View;
use crate::runtime::clock;

/// What all handlers share.
pub(super) struct Panel {
    pub(super) view: View,
    pub(super) watch: Mutex<Watch>,
    /// Settings that wait for a restart, in words.
    pub(super) needs_restart: Mutex<Option<String>>,
    /// Leads to whoever owns the node.
    pub(super) orders: mpsc::Sender<Order>,
}

/// What a request asks the node's owner to do.
pub(super) struct Order {
    /// Who asks.
    pub(super) who: String,
    /// Where the answer goes.
    pub(super) reply: oneshot::Sender<Reloaded>,
}

impl Panel {
    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn picture(&self) -> Picture {
        Picture::take(&self.view, clock::now(), Detail::Plain)
    }

    fn destination(&self, name: &str) -> Result<Arc<Destination>, Problem> {
        let config = self.view.config();
        let found = config.destinations.iter().find(|known| known.name == name).cloned();
        found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no destination \"{name}\"")))
    }
}

type Shared = State<Arc<Panel>>;

/// What the address answers.
pub(super) fn for_address(panel: Arc<Panel>, listen: SocketAddr) -> Router {
    let guard = move |request: Request, next: Next| async move {
        match check_source(request.uri(), request.headers(), listen, &[]) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    common().fallback(not_found).layer(middleware::from_fn(guard)).with_state(panel)
}

/// What the socket answers.
pub(super) fn for_socket(panel: Arc<Panel>) -> Router {
    common()
        .route("/v1/status", only_get(get(whole_status)))
        .route("/v1/deadletters", only_get(get(stores)))
        .route("/v1/deadletters/{destination}", only_get(get(page)))
        .route("/v1/deadletters/{destination}/{stream}/{n}", only_get(get(letter)))
        .route("/v1/reload", post(reload).fallback(|| async { Problem::method("POST") }))
        .fallback(not_found)
        .with_state(panel)
}

fn common() -> Router<Arc<Panel>> {
    Router::new()
        .route("/metrics", only_get(get(scrape)))
        .route("/livez", only_get(get(livez)))
        .route("/readyz", only_get(get(readyz)))
        .route("/status", only_get(get(whole_status)))
}

fn only_get(router: MethodRouter<Arc<Panel>>) -> MethodRouter<Arc<Panel>> {
    router.fallback(|| async { Problem::method("GET, HEAD") })
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there are /metrics, /livez, /readyz and /status".to_owned())
}

async fn scrape(State(panel): Shared) -> Response {
    let text = metrics::render(&panel.view, clock::now());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn livez(State(panel): Shared) -> Response {
    health(panel.picture().stuck())
}

async fn readyz(State(panel): Shared) -> Response {
    health(panel.picture().obstacles())
}

fn health(reasons: Vec<String>) -> Response {
    let (status, text) = match reasons.as_slice() {
        [] => (StatusCode::OK, "ok\n".to_owned()),
        reasons => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n"))),
    };
    (status, [(CACHE_CONTROL, "no-store")], text).into_response()
}

async fn whole_status(State(panel): Shared) -> Response {
    let needs_restart = panel.needs_restart.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let status = status::take(&panel.view, &panel.watch(), needs_restart, clock::now());
    ([(CACHE_CONTROL, "no-store")], Json(status)).into_response()
}

async fn stores(State(panel): Shared) -> Result<Response, Problem> {
    off_the_thread(move || Json(letters::stores(&panel.view.config(), &panel.view.stores)).into_response()).await
}

async fn page(State(panel): Shared, Path(name): Path<String>, request: Request) -> Result<Response, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let after = number(query, "after")?.unwrap_or(0);
    let limit = number(query, "limit")?.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX) as usize;
    let destination = panel.destination(&name)?;
    off_the_thread(move || {
        let Some(store) = panel.view.stores.find(destination.id) else { return Problem::no_store().into_response() };
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        match StreamPrefix::new(&panel.view.agent_id, &destination).page(&store, after, limit) {
            Ok(page) => Json(page).into_response(),
            Err(problem) => Problem::internal(&problem).into_response(),
        }
    })
    .await
}

async fn letter(
    State(panel): Shared,
    Path((name, stream, n)): Path<(String, String, u64)>,
) -> Result<Response, Problem> {
    let destination = panel.destination(&name)?;
    off_the_thread(move || {
        let Some(store) = panel.view.stores.find(destination.id) else { return Problem::no_store().into_response() };
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        match StreamPrefix::new(&panel.view.agent_id, &destination).whole(&store, &stream, n) {
            Ok(Some(letter)) => Json(letter).into_response(),
            Ok(None) => {
                let detail = format!("\"{name}\" has no dead letter for event {n} of stream {stream}");
                Problem::new(StatusCode::NOT_FOUND, detail).into_response()
            }
            Err(problem) => Problem::internal(&problem).into_response(),
        }
    })
    .await
}

async fn reload(State(panel): Shared, ConnectInfo(Caller { uid }): ConnectInfo<Caller>) -> Result<Response, Problem> {
    let (reply, answer) = oneshot::channel();
    let stops = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping".to_owned());
    panel.orders.send(Order { who: format!("uid {uid}"), reply }).await.map_err(|_| stops())?;
    let reloaded = answer.await.map_err(|_| stops())?;
    let status = if reloaded.is_done { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok((status, Json(reloaded)).into_response())
}

/// Runs what may wait for the disk or for a shard's lock beside the control plane's thread.
async fn off_the_thread(work: impl FnOnce() -> Response + Send + 'static) -> Result<Response, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; see the log".to_owned()))
}

/// A number in a query, which holds nothing else here.
fn number(query: &str, key: &str) -> Result<Option<u64>, Problem> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let Some(value) = value else { return Ok(None) };
    let bad = |_| Problem::new(StatusCode::BAD_REQUEST, format!("{key} is \"{value}\", which is not a number"));
    value.parse().map(Some).map_err(bad)
}

/// What is answered when it does not work (RFC 9457).
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    allow: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, detail: String) -> Problem {
        Problem { status, detail, allow: None }
    }

    fn method(allow: &'static str) -> Problem {
        let detail = format!("only {allow} is taken here");
        Problem { allow: Some(allow), ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    fn no_store() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "the destination has no store of dead letters yet".to_owned())
    }

    fn internal(problem: &dyn std::error::Error) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, crate::cli::chain(problem))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({
            "type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail,
        });
        let mut response = (self.status, format!("{body}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// Letters of a page, unless asked for otherwise.
const PAGE_DEFAULT: u64 = 100;
/// Letters of a page at most.
const PAGE_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_query_is_read_and_anything_else_refused() {
        assert_eq!(number("after=7&limit=3", "limit").ok().flatten(), Some(3));
        assert_eq!(number("", "limit").ok().flatten(), None);
        assert_eq!(number("limit=", "limit").err().map(|problem| problem.status), Some(StatusCode::BAD_REQUEST));
        assert_eq!(number("limit=-1", "limit").err().map(|problem| problem.status), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn health_names_every_reason() {
        assert_eq!(health(Vec::new()).status(), StatusCode::OK);
        assert_eq!(health(vec!["a".into(), "b".into()]).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
