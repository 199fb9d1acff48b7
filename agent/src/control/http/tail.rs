//! Live tail as server-sent events: `event` with an event, `skipped` and `unread` with a count,
//! which is empty for who may not know it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_lite::{StreamExt, stream};

use super::{Panel, Problem, Shared, only_get, query};
use crate::control::access::Person;
use crate::control::tail::{NoWish, Shown, VIEWERS_MAX, Wish};

/// Its route.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/v1/tail", only_get(get(watch)))
}

/// Events as they become durable, as server-sent events, until the connection ends.
#[utoipa::path(
    get,
    path = "/v1/tail",
    operation_id = "tail",
    tag = "events",
    params(
        ("category" = Option<String>, Query, description = "Only this category; may come again"),
        ("severity" = Option<String>, Query, description = "Only this severity; may come again"),
        ("action" = Option<String>, Query, description = "Only this action, `*` standing for any part; may come again"),
        ("tenant" = Option<String>, Query, description = "Only this tenant's events; may come again"),
        ("user" = Option<String>, Query, description = "Only what this user did; may come again")
    ),
    responses((
        status = 200,
        description = "Server-sent events: `event` with an event, `skipped` and `unread` with a count",
        body = String,
        content_type = "text/event-stream"
    ))
)]
async fn watch(State(panel): Shared, person: Person, request: Request) -> Result<Response, Problem> {
    let parameters = query(request.uri().query().unwrap_or_default());
    let wish = Wish::read(&parameters, person.reach).map_err(refused)?;
    let Some(shown) = panel.desk.tail.watch(wish) else {
        let detail = format!("{VIEWERS_MAX} are watching already");
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).advise("end one of those, or try again later"));
    };
    // Said at once, so that whoever watches knows that they do.
    let hello = stream::once(Ok::<_, Infallible>(Event::default().comment("watching")));
    let events = stream::unfold(shown, |mut shown| async move {
        let event = sse(shown.recv().await?);
        Some((Ok(event), shown))
    });
    let events = Sse::new(hello.chain(events)).keep_alive(KeepAlive::new().interval(HEARTBEAT_EVERY));
    // `X-Accel-Buffering` tells proxies to pass on each piece as it comes.
    Ok(([(CACHE_CONTROL.as_str(), "no-store"), ("x-accel-buffering", "no")], events).into_response())
}

fn sse(shown: Shown) -> Event {
    match shown {
        Shown::Event { id: Some(id), line } => Event::default().event("event").id(id).data(line),
        Shown::Event { id: None, line } => Event::default().event("event").data(line),
        Shown::Skipped(events) => Event::default().event("skipped").data(events.to_string()),
        Shown::Unread(records) => {
            Event::default().event("unread").data(records.map_or_else(String::new, |records| records.to_string()))
        }
    }
}

fn refused(no_wish: NoWish) -> Problem {
    let bad = |detail: String, advice: &str| Problem::new(StatusCode::BAD_REQUEST, detail).advise(advice);
    match no_wish {
        NoWish::Unknown(name) => bad(
            format!("`{name}` is not known here"),
            "choose by category, severity, action, tenant and user; each may come again",
        ),
        NoWish::Unusable(problems) => {
            let words: Vec<String> = problems.into_iter().map(|problem| problem.problem).collect();
            bad(words.join("; "), "correct the value, or leave it out")
        }
    }
}

/// A connection on which nothing moves is closed, here after 90 s and sooner by many a proxy.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
