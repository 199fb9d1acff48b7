//! Live tail as server-sent events: `event` with an event, `skipped` and `unread` with a count, which is empty for who may
//! not know it. It ends when whoever watches would not be let in any more.

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
use futures_lite::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::{Panel, Problem, Shared, only_get, query};
use crate::control::access::{Person, Standing};
use crate::control::tail::{NoWish, Shown, Waiting, Wish};

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
async fn watch(
    State(panel): Shared,
    person: Person,
    standing: Standing,
    request: Request,
) -> Result<Response, Problem> {
    let parameters = query(request.uri().query().unwrap_or_default());
    let wish = Wish::read(&parameters, person.reach.clone()).map_err(refused)?;
    let seat = panel.desk.viewers.take(&person)?;
    let waiting = panel.desk.tail.watch(wish).map_err(|problem| Problem::internal(&problem))?;
    let hello = stream::once(Ok::<_, Infallible>(hello()));
    let events = while_let_in(waiting, LET_IN_EVERY, move || {
        // Held as long as the stream is.
        let _ = &seat;
        standing.holds()
    });
    let events = Sse::new(hello.chain(events.map(|shown| Ok(sse(shown))))).keep_alive(heartbeat());
    // `X-Accel-Buffering` tells proxies to pass on each piece as it comes.
    Ok(([(CACHE_CONTROL.as_str(), "no-store"), ("x-accel-buffering", "no")], events).into_response())
}

/// What is shown, for as long as whoever watches is let in, which is asked again after each span of `every`.
fn while_let_in(waiting: Waiting, every: Duration, is_let_in: impl Fn() -> bool) -> impl Stream<Item = Shown> {
    let again = Instant::now() + every;
    stream::unfold((waiting, is_let_in, again), move |(mut waiting, is_let_in, mut again)| async move {
        loop {
            // Asked when it is time although there is always something to show.
            if Instant::now() >= again {
                again = Instant::now() + every;
                if !is_let_in() {
                    return None;
                }
            }
            if let Ok(shown) = timeout_at(again, waiting.next()).await {
                return Some((shown?, (waiting, is_let_in, again)));
            }
        }
    })
}

/// Said at once, so that whoever watches knows that they do. A tail ends with what a proxy has signed for a minute; a
/// browser comes back by itself, with what is signed anew, and by this sooner than after its own few seconds.
fn hello() -> Event {
    Event::default().retry(COME_BACK_AFTER).comment("watching")
}

fn heartbeat() -> KeepAlive {
    KeepAlive::new().interval(HEARTBEAT_EVERY)
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
/// How soon a browser comes back whose tail has ended.
const COME_BACK_AFTER: Duration = Duration::from_millis(300);
/// How long somebody may go on watching who has logged out, or whose token is worth nothing any more.
const LET_IN_EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::control::tail::shown_for_ever;

    const EVERY: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn who_watches_is_asked_for_again_and_again_and_goes_on_watching() {
        let asked = Cell::new(0);
        let is_let_in = || {
            asked.set(asked.get() + 1);
            true
        };
        let mut events = Box::pin(while_let_in(shown_for_ever(EVERY / 4), EVERY, is_let_in));
        while asked.get() < 3 {
            assert!(events.next().await.is_some());
        }
    }

    #[tokio::test]
    async fn whose_tail_has_ended_is_told_to_come_back_soon() {
        let stream = Sse::new(stream::once(Ok::<_, Infallible>(hello()))).into_response();
        let bytes = axum::body::to_bytes(stream.into_body(), 1_000).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).map(|line| line.replace(' ', "")).collect();
        assert_eq!(lines, ["retry:300", ":watching"]);
    }

    #[tokio::test]
    async fn who_is_not_let_in_any_more_is_shown_nothing_more_however_much_or_little_there_is() {
        for pause in [LONG, Duration::ZERO] {
            let is_let_in = Cell::new(true);
            let mut events = Box::pin(while_let_in(shown_for_ever(pause), EVERY, || is_let_in.get()));
            assert!(events.next().await.is_some());
            is_let_in.set(false);
            while events.next().await.is_some() {}
        }
    }
}
