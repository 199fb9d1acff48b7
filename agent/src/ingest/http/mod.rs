//! `POST /v1/events`: events as lines or as a JSON array, answered when they are durable.
//!
//! | reply | when |
//! |---|---|
//! | 200 | every event is durable or refused: `{"accepted":N,"refused":[{"line":…,"code":…,"reason":…}]}` |
//! | 400 | the body cannot be taken apart; nothing was taken |
//! | 401, 403 | no valid token; a foreign `Host` or a web page |
//! | 405, 415 | not a POST; a coding other than gzip |
//! | 408, 413 | the body was too slow or too large |
//! | 429 | no room now, with `Retry-After` |
//! | 503 | events were not kept, or their fate is not known |
//!
//! After 429 and 503 the producer still owns every event of the request. Some may be durable all the same (`accepted`);
//! sent again they are other events with the same `event_id`. Lines and elements count from 1. A request goes to each
//! shard that owns some of it as one batch; it is dropped from memory when all have answered.

mod body;
mod delivery;
mod frames;
pub(crate) mod guard;
mod problem;
pub(crate) mod seats;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;

pub use crate::ingest::http::guard::Token;

use crate::ingest::Intake;
use crate::ingest::http::body::Held;
use crate::ingest::http::frames::Framing;
use crate::ingest::http::problem::Problem;
use crate::ingest::http::seats::{Seats, Sender};
use crate::shard::door::Doors;

/// HTTP ingest's settings.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What producers must show; needed when `listen` is not loopback.
    pub token: Option<Token>,
    /// Host names, beside `localhost` and addresses, by which producers may call it.
    pub hosts: Vec<String>,
}

/// How long requests may go on once the agent stops.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Serves until the agent stops.
pub(super) async fn serve(listener: TcpListener, settings: &HttpSettings, doors: Doors, intake: Arc<Intake>) {
    let stop = intake.stop.clone();
    let http = Arc::new(Http { settings: settings.clone(), doors, intake, held: Arc::default() });
    let router = Router::new()
        .route("/v1/events", post(events).fallback(|| async { Problem::not_post() }))
        .fallback(|| async { Problem::not_found() })
        .with_state(http);
    let service = router.into_make_service_with_connect_info::<Sender>();
    let serving = axum::serve(Seats::new(listener), service).with_graceful_shutdown(stop.wait());
    tokio::select! {
        _ = serving => {}
        () = async { stop.wait().await; tokio::time::sleep(STOP_MAX).await } => {}
    }
}

struct Http {
    settings: HttpSettings,
    doors: Doors,
    intake: Arc<Intake>,
    held: Arc<Held>,
}

async fn events(
    State(http): State<Arc<Http>>,
    ConnectInfo(Sender(sender)): ConnectInfo<Sender>,
    request: Request,
) -> Response {
    let reply = http.clone().answer(sender, request).await.unwrap_or_else(IntoResponse::into_response);
    http.intake.server.requests.add(1);
    reply
}

impl Http {
    async fn answer(self: Arc<Self>, sender: SocketAddr, request: Request) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        guard::check_source(&head.uri, &head.headers, self.settings.listen, &self.settings.hosts)?;
        guard::check_token(&head.headers, self.settings.token.as_ref())?;
        let (body, share) = body::read(&head.headers, body, &self.held).await?;
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let framing = Framing::of(content_type, &body);
        // A task of its own: what was begun is finished and counted even if the producer hangs up.
        let taking = tokio::spawn(delivery::take(self, sender, body, share, framing));
        taking.await.unwrap_or_else(|_| Err(Problem::unavailable("the agent is stopping".to_owned())))
    }
}
