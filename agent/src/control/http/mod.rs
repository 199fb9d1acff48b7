//! What is answered over HTTP: on `admin.listen` for machines that watch, on `admin.socket` for the command line too.
//!
//! | path | answer | where |
//! |---|---|---|
//! | `/metrics` | every number, for Prometheus | both |
//! | `/livez` | whether the loops turn; 503 says which does not | both |
//! | `/readyz` | whether events can be taken; 503 says why not | both |
//! | `/status` | the whole agent in JSON | both |
//! | `/openapi.json` | what programs can ask and do, as OpenAPI 3.1 | both |
//! | `/v1/status` | the same as `/status` | both |
//! | `/v1/destinations` | the destinations of it | both |
//! | `POST /v1/destinations` | makes one: the keys of its file as JSON, secrets as `{"value"}` | both |
//! | `PUT /v1/destinations` | `{"destinations": […]}` and no others; `If-Match`, `?dry_run=true` | both |
//! | `/v1/destinations/{destination}` | one, with its settings; `PUT` changes and `DELETE` deletes it, both with `If-Match` | both |
//! | `/v1/destinations/{destination}/settings` | what to send to change it; also where it can't be used | both |
//! | `POST /v1/destinations/check`, `…/{destination}/check` | what would come of making it, or of changing it so | both |
//! | `POST /v1/destinations/test`, `…/{destination}/test` | sends a test event to what is sent, or to what is saved | both |
//! | `POST /v1/check` | what a reload would come to | both |
//! | `/v1/destinations/{destination}/history` | its last hour, for charts, and its last changes of state | both |
//! | `POST /v1/destinations/{destination}/pause`, `…/drain`, `…/resume` | stops sending to it, at once or behind what the log has now, or goes on | both |
//! | `POST /v1/destinations/{destination}/replay` | sends it again what the log holds, or with `{"from_ms"}` what was accepted since then | both |
//! | `POST /v1/destinations/{destination}/tested` | notes in the audit trail what came of a test | both |
//! | `/v1/destinations/{destination}/episodes` | when it has missed events, how many and which | both |
//! | `/v1/history` | the agent's last hour | both |
//! | `/v1/deadletters` | the stores | both |
//! | `/v1/deadletters/{destination}?after=&limit=` | a page of one store | both |
//! | `POST /v1/deadletters/{destination}/drop` | gives letters up for good: `{"up_to": id}`, or `{"letters": [{"stream", "n"}]}` | both |
//! | `POST /v1/deadletters/{destination}/replay` | sends letters again, named in the same way | both |
//! | `/v1/deadletters/{destination}/{stream}/{n}` | one letter with its event; `PUT` puts another event in its place | both |
//! | `POST /v1/preview` | what a filter would have sent of the log's events: `{"tenants", "filter", "redact"}` as in a file, or `{"destination": name}` | both |
//! | `/v1/tail?category=&severity=&action=&tenant=&user=` | events as they become durable, as server-sent events | both |
//! | `/v1/agent-events?after=&limit=&wait=30s` | the agent's own events, oldest first; waits for the next ones | both |
//! | `/v1/changes?of=&before=&limit=` | who changed what, the newest first | both |
//! | `POST /v1/reload` | reads the configuration again | both |
//! | `/v1/tokens` | the tokens; `POST` makes one and tells its secret this once | both |
//! | `DELETE /v1/tokens/{name}` | revokes one | both |
//! | `/v1/session` | who asks, and the CSRF token of their session | both |
//! | `/`, `/destinations/…`, `/new/…`, `/deadletters/…`, `/events`, `/changes`, `/health`, `/assets/…` | the page, see `control/page/` | both |
//! | `/login`, `POST /login`, `POST /logout` | a token for a session's cookie, and its end | address |
//!
//! | file | what it holds |
//! |---|---|
//! | `destinations.rs`, `managed.rs`, `history.rs`, `episodes.rs`, `letters.rs`, `preview.rs`, `tail.rs`, `agent_events.rs`, `changes.rs`, `session.rs`, `tokens.rs` | the handlers of one subject each |
//! | `openapi.rs` | the OpenAPI document, from what stands above the handlers |
//! | `path.rs` | what stands in a request's path |
//! | `desk.rs` | how many may ask at once for what takes its time |
//! | `problem.rs` | what is answered when it does not work |
//!
//! What is not found and what somebody may not see are answered alike. Whatever changes something becomes an audit event that says who, what, before and after.
//! A SIEM that is down makes neither health check fail. The socket is for root and the agent's user by its mode. On the
//! address everything lies below `admin.base_path`, and what stands under `/v1/` or is a page asks who is there
//! (`access/door.rs`). `/metrics` and `/status` tell of all tenants, so whoever shows anything must be somebody who may see all
//! of them; who shows nothing gets them with `admin.metrics_need_token = false` alone. Those and the health checks lie beside
//! the base path as well, for machines that ask the node itself; below it `/metrics` and `/status` always ask who is there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use futures_lite::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zeroize::Zeroizing;

pub(super) use self::desk::Desk;
pub(super) use self::path::Path;
pub(super) use self::problem::Problem;
use crate::control::access::{self, Access, Insider, Operator, Person, through_the_socket};
use crate::control::history::History;
use crate::control::managed::Managed;
use crate::control::picture::{Detail, Picture};
use crate::control::reload::Reloaded;
use crate::control::status::{self, Status};
use crate::control::untold::Untold;
use crate::control::watch::Watch;
use crate::control::{metrics, page};
use crate::node::{Hands, View};
use crate::runtime::clock;

mod agent_events;
pub(super) mod changes;
mod desk;
pub(super) mod destinations;
mod episodes;
mod history;
pub(super) mod letters;
pub(super) mod managed;
mod openapi;
mod path;
pub(super) mod preview;
mod problem;
mod session;
mod tail;
mod tokens;

/// What all handlers share.
pub(super) struct Panel {
    pub(super) view: View,
    pub(super) hands: Hands,
    /// Who may pass, and who has.
    pub(super) access: Access,
    pub(super) watch: Mutex<Watch>,
    pub(super) history: Mutex<History>,
    /// Settings that wait for a restart, in words.
    pub(super) needs_restart: Mutex<Option<String>>,
    /// Which destinations were edited by hand, in words.
    pub(super) needs_reload: Mutex<Option<String>>,
    /// Held while a replay is asked for, until the shards have said that it runs.
    pub(super) replays: tokio::sync::Mutex<()>,
    /// For what takes its time.
    pub(super) desk: Desk,
    /// What changes of destinations share.
    pub(super) managed: Managed,
    /// What is changed and may not have been told.
    pub(super) untold: Untold,
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

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole agent as it is now.
    pub(super) fn status(&self) -> status::Status {
        let words = |of: &Mutex<Option<String>>| of.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut status = status::take(&self.view, &self.watch(), words(&self.needs_restart), clock::now());
        status.agent.needs_reload = words(&self.needs_reload);
        status
    }

    fn picture(&self) -> Picture {
        Picture::take(&self.view, clock::now(), Detail::Plain)
    }
}

pub(super) type Shared = State<Arc<Panel>>;

/// What the address answers.
pub(super) fn for_address(panel: Arc<Panel>) -> Router {
    let door = middleware::from_fn_with_state(Arc::clone(&panel), access::let_in);
    let base = panel.access.base_path();
    let inside = api().merge(page::routes(Arc::clone(&panel))).merge(access::routes_inside());
    let inside = inside.fallback(not_found).layer(door);
    let outside = health_checks().merge(openapi::routes(base)).merge(access::routes()).merge(page::assets());
    let whole = outside.merge(inside);
    let router = match base {
        "" => whole.merge(watched(&panel)),
        base => Router::new()
            .nest(&format!("{base}/"), whole.merge(watched_below(&panel)))
            .route(base, only_get(get(to_the_page)))
            .merge(watched(&panel))
            .merge(health_checks())
            .fallback(not_found),
    };
    router.layer(middleware::from_fn_with_state(Arc::clone(&panel), access::guard)).with_state(panel)
}

/// What the socket answers.
pub(super) fn for_socket(panel: Arc<Panel>) -> Router {
    let page = page::routes(Arc::clone(&panel)).merge(page::assets());
    let machines = watching().merge(health_checks()).merge(openapi::routes(""));
    let router = api().merge(page).merge(machines).fallback(not_found);
    router.layer(middleware::from_fn(through_the_socket)).with_state(panel)
}

/// What is for people and their programs.
fn api() -> Router<Arc<Panel>> {
    Router::new()
        .route("/v1/status", only_get(get(status_for_insiders)))
        .merge(destinations::routes())
        .merge(managed::routes())
        .merge(history::routes())
        .merge(episodes::routes())
        .merge(letters::routes())
        .merge(preview::routes())
        .merge(tail::routes())
        .merge(agent_events::routes())
        .merge(changes::routes())
        .merge(session::routes())
        .merge(tokens::routes())
        .route("/v1/reload", only_post(post(reload)))
}

/// What machines watch, behind its door.
fn watched(panel: &Arc<Panel>) -> Router<Arc<Panel>> {
    watching().layer(middleware::from_fn_with_state(Arc::clone(panel), access::let_watch))
}

/// The same below the base path, where a proxy leads people of single tenants.
fn watched_below(panel: &Arc<Panel>) -> Router<Arc<Panel>> {
    watching().layer(middleware::from_fn_with_state(Arc::clone(panel), access::let_insiders_watch))
}

fn watching() -> Router<Arc<Panel>> {
    Router::new().route("/metrics", only_get(get(scrape))).route("/status", only_get(get(whole_status)))
}

/// What says no more than that it is well, to anybody.
fn health_checks() -> Router<Arc<Panel>> {
    Router::new().route("/livez", only_get(get(livez))).route("/readyz", only_get(get(readyz)))
}

pub(super) fn only_get(router: MethodRouter<Arc<Panel>>) -> MethodRouter<Arc<Panel>> {
    router.fallback(|| async { Problem::method("GET, HEAD") })
}

pub(super) fn only_post(router: MethodRouter<Arc<Panel>>) -> MethodRouter<Arc<Panel>> {
    router.fallback(|| async { Problem::method("POST") })
}

/// Who leaves the last slash out means the page.
async fn to_the_page(State(panel): Shared) -> Redirect {
    Redirect::to(&format!("{}/", panel.access.base_path()))
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here".to_owned())
        .advise("`/openapi.json` says what there is for programs, from /livez to /v1/destinations")
}

/// Every number, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "machines that watch",
    responses((status = 200, description = "In the text format", body = String, content_type = "text/plain"))
)]
async fn scrape(State(panel): Shared) -> Response {
    let rate = panel.watch().rate();
    let text = metrics::render(&panel.view, rate, clock::now());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Whether the loops turn.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "machines that watch",
    responses(
        (status = 200, description = "They do", body = String, content_type = "text/plain"),
        (status = 503, description = "Names each that does not", body = String, content_type = "text/plain")
    )
)]
async fn livez(State(panel): Shared) -> Response {
    health(panel.picture().stuck())
}

/// Whether events can be taken. A SIEM that is down changes nothing about it.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "machines that watch",
    responses(
        (status = 200, description = "They can", body = String, content_type = "text/plain"),
        (status = 503, description = "Says why not", body = String, content_type = "text/plain")
    )
)]
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

/// The whole agent at this moment.
#[utoipa::path(
    get,
    path = "/status",
    operation_id = "status",
    tag = "machines that watch",
    responses((status = 200, description = "The agent, its shards and its destinations", body = Status))
)]
async fn whole_status(State(panel): Shared) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(panel.status())).into_response()
}

/// The whole agent at this moment, for those who may see every tenant.
#[utoipa::path(
    get,
    path = "/v1/status",
    operation_id = "statusForInsiders",
    tag = "agent",
    responses((status = 200, description = "The agent, its shards and its destinations", body = Status))
)]
async fn status_for_insiders(panel: Shared, _: Insider) -> Response {
    whole_status(panel).await
}

/// Reads the configuration again: whole or not at all.
#[utoipa::path(
    post,
    path = "/v1/reload",
    operation_id = "reload",
    tag = "agent",
    responses(
        (status = 200, description = "It is in force", body = Reloaded),
        (status = 409, description = "It can't be used; the one in force stays", body = Reloaded)
    )
)]
async fn reload(State(panel): Shared, Operator(person): Operator) -> Result<Response, Problem> {
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

/// What a request carries, `max` bytes at most and within [`BODY_WITHIN`]. It may hold a secret, so it is wiped when it is
/// dropped, on whatever thread; what the connection has read it through, the control plane's [heap](crate::heap) wipes.
pub(super) async fn body(request: Request, max: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    body_within(request, max, BODY_WITHIN).await
}

async fn body_within(request: Request, max: usize, within: Duration) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let too_slow = |_| {
        let detail = format!("what the request carries did not come within {} s", within.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail).advise("send it again, at once and whole")
    };
    timeout(within, whole_body(request, max)).await.map_err(too_slow)?
}

async fn whole_body(request: Request, max: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let too_long = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {max} bytes, or cut off"));
    let body = request.into_body();
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = Zeroizing::new(Vec::with_capacity(expected.min(max)));
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| too_long())?;
        if whole.len() + piece.len() > max {
            return Err(too_long());
        }
        append(&mut whole, &piece);
    }
    Ok(whole)
}

/// Adds to bytes that are wiped, and leaves no copy of them where they were when there was less room.
fn append(whole: &mut Zeroizing<Vec<u8>>, piece: &[u8]) {
    let length = whole.len() + piece.len();
    if length > whole.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.next_power_of_two()));
        larger.extend_from_slice(whole);
        *whole = larger;
    }
    whole.extend_from_slice(piece);
}

/// The parameters of a query, decoded as forms are (WHATWG URL, section 5.1).
fn query(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// What `%41` and `+` stand for; a `%` without two digits stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.first_chunk().filter(|digits: &&[u8; 2]| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let coded = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(coded.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if coded.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A number in a query, which holds nothing else here; of 63 bits, as the document says.
fn number(query: &str, key: &str) -> Result<Option<u64>, Problem> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let Some(value) = value else { return Ok(None) };
    let number = value.parse().ok().filter(|number| i64::try_from(*number).is_ok());
    let bad = || Problem::new(StatusCode::BAD_REQUEST, format!("{key} is \"{value}\", which is not a number"));
    number.map(Some).ok_or_else(bad)
}

/// How long it may take until all of it is there.
const BODY_WITHIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_query_is_read_and_anything_else_refused() {
        assert_eq!(number("after=7&limit=3", "limit").ok().flatten(), Some(3));
        assert_eq!(number("", "limit").ok().flatten(), None);
        assert_eq!(number("limit=", "limit").err().map(|problem| problem.status), Some(StatusCode::BAD_REQUEST));
        assert_eq!(number("limit=9223372036854775807", "limit").ok().flatten(), Some(u64::MAX / 2));
        let too_large = number("limit=9223372036854775808", "limit");
        assert_eq!(too_large.err().map(|problem| problem.status), Some(StatusCode::BAD_REQUEST));
        assert_eq!(number("limit=-1", "limit").err().map(|problem| problem.status), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn parameters_are_decoded_as_forms_are() {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            query("user=a%40x.org&tenant=a+b&tenant=&x"),
            owned(&[("user", "a@x.org"), ("tenant", "a b"), ("tenant", ""), ("x", "")])
        );
        assert_eq!(query("a=%&b=%4&c=%+1&d=%C3%A9"), owned(&[("a", "%"), ("b", "%4"), ("c", "% 1"), ("d", "é")]));
        assert_eq!(query(""), []);
    }

    #[tokio::test]
    async fn a_body_is_read_whole_to_its_bound_in_however_many_pieces_it_comes() {
        let pieces = |count: usize| {
            let pieces = futures_lite::stream::iter((0..count).map(|_| Ok::<_, std::io::Error>("piece")));
            Request::new(axum::body::Body::from_stream(pieces))
        };
        assert_eq!(body(pieces(40), 200).await.ok().unwrap().as_slice(), "piece".repeat(40).as_bytes());
        assert_eq!(body(pieces(41), 200).await.err().unwrap().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(body(Request::new("whole".into()), 5).await.ok().unwrap().as_slice(), b"whole");
        assert!(body(Request::new("whole".into()), 4).await.is_err() && body(Request::default(), 0).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let pieces = futures_lite::stream::iter([Ok::<_, std::io::Error>("piece")]);
        let stuck = pieces.chain(futures_lite::stream::pending());
        let request = Request::new(axum::body::Body::from_stream(stuck));
        let refused = body_within(request, 100, Duration::from_millis(20)).await.err().unwrap();
        assert_eq!(refused.status, StatusCode::REQUEST_TIMEOUT);
    }

    #[test]
    fn health_names_every_reason() {
        assert_eq!(health(Vec::new()).status(), StatusCode::OK);
        assert_eq!(health(vec!["a".into(), "b".into()]).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
