//! What is answered over HTTP: on `admin.listen` for machines that watch, on `admin.socket` for the command line too.
//!
//! | path | answer | where |
//! |---|---|---|
//! | `/metrics` | every number, for Prometheus | both |
//! | `/livez` | whether the loops turn; 503 says which does not | both |
//! | `/readyz` | whether events can be taken; 503 says why not | both |
//! | `/status` | the whole agent in JSON | both |
//! | `/v1/status` | the same | socket |
//! | `/v1/destinations` | the destinations of it | socket |
//! | `POST /v1/destinations` | makes one: the keys of its file as JSON, secrets as `{"value"}` | socket |
//! | `PUT /v1/destinations` | `{"destinations": […]}` and no others; `If-Match`, `?dry_run=true` | socket |
//! | `/v1/destinations/{destination}` | one, with its settings; `PUT` changes and `DELETE` deletes it, both with `If-Match` | socket |
//! | `/v1/destinations/{destination}/settings` | what to send to change it; also where it can't be used | socket |
//! | `POST /v1/destinations/check`, `…/{destination}/check` | what would come of making it, or of changing it so | socket |
//! | `POST /v1/destinations/test`, `…/{destination}/test` | sends a test event to what is sent, or to what is saved | socket |
//! | `POST /v1/check` | what a reload would come to | socket |
//! | `POST /v1/destinations/{destination}/pause`, `…/resume` | stops sending to it, or goes on | socket |
//! | `POST /v1/destinations/{destination}/replay` | sends it again what the log holds, or with `{"from_ms"}` what was accepted since then | socket |
//! | `POST /v1/destinations/{destination}/tested` | notes in the audit trail what came of a test | socket |
//! | `/v1/deadletters` | the stores | socket |
//! | `/v1/deadletters/{destination}?after=&limit=` | a page of one store | socket |
//! | `POST /v1/deadletters/{destination}/drop` | gives letters up for good: `{"up_to": id}`, or `{"letters": [{"stream", "n"}]}` | socket |
//! | `POST /v1/deadletters/{destination}/replay` | sends letters again, named in the same way | socket |
//! | `/v1/deadletters/{destination}/{stream}/{n}` | one letter with its event; `PUT` puts another event in its place | socket |
//! | `POST /v1/reload` | reads the configuration again | socket |
//! | `/`, `/destinations/…`, `/deadletters/…`, `/health`, `/assets/…` | the page, see `control/page/` | socket |
//!
//! | file | what it holds |
//! |---|---|
//! | `destinations.rs`, `managed.rs`, `letters.rs` | the handlers of one subject each |
//! | `problem.rs` | what is answered when it does not work |
//!
//! What is not found and what somebody may not see are answered alike. Whatever changes something becomes an audit event that says who, what, before and after.
//! A SIEM that is down makes neither health check fail. The address answers to its own names only and takes nothing but
//! GET; the socket is for root and the agent's user by its mode.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use tokio::sync::{mpsc, oneshot};

pub(super) use self::problem::Problem;
use crate::control::access::{Admin, Person, through_the_socket};
use crate::control::managed::Managed;
use crate::control::picture::{Detail, Picture};
use crate::control::reload::Reloaded;
use crate::control::watch::Watch;
use crate::control::{metrics, page, status};
use crate::ingest::http::guard::check_source;
use crate::node::{Hands, View};
use crate::runtime::clock;

pub(super) mod destinations;
pub(super) mod letters;
pub(super) mod managed;
mod problem;

/// What all handlers share.
pub(super) struct Panel {
    pub(super) view: View,
    pub(super) hands: Hands,
    pub(super) watch: Mutex<Watch>,
    /// Settings that wait for a restart, in words.
    pub(super) needs_restart: Mutex<Option<String>>,
    /// Held while a replay is asked for, until the shards have said that it runs.
    pub(super) replays: tokio::sync::Mutex<()>,
    /// What changes of destinations share.
    pub(super) managed: Managed,
    /// Leads to whoever owns the node.
    pub(super) orders: mpsc::Sender<Order>,
}

/// What a request asks the node's owner to do.
pub(super) struct Order {
    /// Who asks.
    pub(super) person: Person,
    /// What is to be read again.
    pub(super) part: Part,
    /// Where the answer goes.
    pub(super) reply: oneshot::Sender<Reloaded>,
}

/// What is read again.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// The whole configuration.
    Everything,
    /// The destinations of the API, of which these files were written just now.
    Managed {
        /// What the files are named after.
        written: Vec<String>,
    },
}

impl Panel {
    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole agent as it is now.
    pub(super) fn status(&self) -> status::Status {
        let needs_restart = self.needs_restart.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status::take(&self.view, &self.watch(), needs_restart, clock::now())
    }

    fn picture(&self) -> Picture {
        Picture::take(&self.view, clock::now(), Detail::Plain)
    }
}

pub(super) type Shared = State<Arc<Panel>>;

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
        .merge(destinations::routes())
        .merge(managed::routes())
        .merge(letters::routes())
        .route("/v1/reload", only_post(post(reload)))
        .merge(page::routes(Arc::clone(&panel)))
        .fallback(not_found)
        .layer(middleware::from_fn(through_the_socket))
        .with_state(panel)
}

fn common() -> Router<Arc<Panel>> {
    Router::new()
        .route("/metrics", only_get(get(scrape)))
        .route("/livez", only_get(get(livez)))
        .route("/readyz", only_get(get(readyz)))
        .route("/status", only_get(get(whole_status)))
}

pub(super) fn only_get(router: MethodRouter<Arc<Panel>>) -> MethodRouter<Arc<Panel>> {
    router.fallback(|| async { Problem::method("GET, HEAD") })
}

pub(super) fn only_post(router: MethodRouter<Arc<Panel>>) -> MethodRouter<Arc<Panel>> {
    router.fallback(|| async { Problem::method("POST") })
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
    ([(CACHE_CONTROL, "no-store")], Json(panel.status())).into_response()
}

async fn reload(State(panel): Shared, Admin(person): Admin) -> Result<Response, Problem> {
    let (reply, answer) = oneshot::channel();
    let stops = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping".to_owned());
    panel.orders.send(Order { person, part: Part::Everything, reply }).await.map_err(|_| stops())?;
    let reloaded = answer.await.map_err(|_| stops())?;
    let status = if reloaded.is_done { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok((status, Json(reloaded)).into_response())
}

/// Runs what may wait for the disk or for a shard's lock beside the control plane's thread.
pub(super) async fn off_the_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; see the log".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// What a request carries, `max` bytes at most.
pub(super) async fn body(request: Request, max: usize) -> Result<Bytes, Problem> {
    let too_long = |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {max} bytes, or cut off"));
    to_bytes(request.into_body(), max).await.map_err(too_long)
}

/// A number in a query, which holds nothing else here.
fn number(query: &str, key: &str) -> Result<Option<u64>, Problem> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let Some(value) = value else { return Ok(None) };
    let bad = |_| Problem::new(StatusCode::BAD_REQUEST, format!("{key} is \"{value}\", which is not a number"));
    value.parse().map(Some).map_err(bad)
}

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
