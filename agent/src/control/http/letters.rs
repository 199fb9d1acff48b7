//! Dead letters: which there are, and what an operator wishes of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use scaidrive_codecs::index::EVENT_BYTES_MAX;
use serde_json::Value;

use super::{Panel, Path, Problem, Shared, body, number, off_the_thread, only_get, only_post};
use crate::config::Destination;
use crate::control::access::{Admin, Person};
use crate::control::destinations::{event, find_for};
use crate::control::letters::change::{
    Chosen, Dropped, EditError, Resent, by_shard, edit, letter_value, letters_value,
};
use crate::control::letters::{self, LetterLine, LetterPage, LetterWhole, StoreLine, StreamPrefix};
use crate::deadletter::{DeadLetters, StoreError};
use crate::runtime::clock;

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    let one = get(letter).put(replace).fallback(|| async { Problem::method("GET, HEAD, PUT") });
    Router::new()
        .route("/v1/deadletters", only_get(get(stores)))
        .route("/v1/deadletters/{destination}", only_get(get(page)))
        .route("/v1/deadletters/{destination}/drop", only_post(post(drop_chosen)))
        .route("/v1/deadletters/{destination}/replay", only_post(post(resend)))
        .route("/v1/deadletters/{destination}/{stream}/{n}", one)
}

/// The stores of dead letters.
#[utoipa::path(
    get,
    path = "/v1/deadletters",
    operation_id = "listStores",
    tag = "dead letters",
    responses((status = 200, description = "One for each destination that the caller may see", body = Vec<StoreLine>))
)]
async fn stores(State(panel): Shared, person: Person) -> Result<Response, Problem> {
    off_the_thread(move || {
        let config = panel.view.config();
        let mut stores = letters::stores(&config, &panel.view.stores);
        stores.retain(|store| find_for(&person, &config, &store.destination).is_ok());
        Ok(Json(stores).into_response())
    })
    .await
}

/// A page of one store, the oldest letter first.
#[utoipa::path(
    get,
    path = "/v1/deadletters/{destination}",
    operation_id = "listDeadLetters",
    tag = "dead letters",
    params(
        ("destination" = String, Path, description = "Its name"),
        ("after" = Option<u64>, Query, description = "What `next_after` of the page before said"),
        ("limit" = Option<u64>, Query, description = "Letters at most: 100 if not given, 1 to 1,000 whatever is given")
    ),
    responses((status = 200, description = "Letters without their events", body = LetterPage))
)]
async fn page(
    State(panel): Shared,
    person: Person,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let after = number(query, "after")?.unwrap_or(0);
    let limit = number(query, "limit")?.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX) as usize;
    let destination = find_for(&person, &panel.view.config(), &name)?;
    off_the_thread(move || {
        let store = open(&panel, &destination)?;
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Json(StreamPrefix::new(&panel.view.agent_id, &destination).page(&store, after, limit)?).into_response())
    })
    .await
}

/// One dead letter with its event and the destination's reply.
#[utoipa::path(
    get,
    path = "/v1/deadletters/{destination}/{stream}/{n}",
    operation_id = "showDeadLetter",
    tag = "dead letters",
    params(
        ("destination" = String, Path, description = "Its name"),
        ("stream" = String, Path, description = "The stream, or its last part"),
        ("n" = u64, Path, description = "The event's number in the stream")
    ),
    responses((status = 200, description = "The letter", body = LetterWhole))
)]
async fn letter(
    State(panel): Shared,
    person: Person,
    Path((name, stream, n)): Path<(String, String, u64)>,
) -> Result<Response, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    off_the_thread(move || {
        let store = open(&panel, &destination)?;
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = StreamPrefix::new(&panel.view.agent_id, &destination).whole(&store, &stream, n)?;
        Ok(Json(whole.ok_or_else(|| missing(&name, &stream, n))?).into_response())
    })
    .await
}

/// Puts another event in the place of one that was refused; it keeps its number, its `event_id` and its `tenant_id`.
#[utoipa::path(
    put,
    path = "/v1/deadletters/{destination}/{stream}/{n}",
    operation_id = "editDeadLetter",
    tag = "dead letters",
    params(
        ("destination" = String, Path, description = "Its name"),
        ("stream" = String, Path, description = "The stream, or its last part"),
        ("n" = u64, Path, description = "The event's number in the stream")
    ),
    request_body(content = Object, description = "The event, as a producer would send it"),
    responses((status = 200, description = "The letter as it is now", body = LetterLine))
)]
async fn replace(
    State(panel): Shared,
    Path((name, stream, n)): Path<(String, String, u64)>,
    Admin(person): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    let raw = body(request, EVENT_BYTES_MAX).await?;
    off_the_thread(move || {
        let store = open(&panel, &destination)?;
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = StreamPrefix::new(&panel.view.agent_id, &destination);
        let before = prefix.letter(&store, &stream, n)?.ok_or_else(|| missing(&name, &stream, n))?;
        let after = edit(&mut store, &before, &raw, panel.view.intake.max_event_size, clock::wall_ms())?;
        let stream = prefix.stream(after.shard, &after.key);
        tracing::info!(destination = %name, "dead letter {n} of stream {stream} edited, as {} wishes", person.who);
        let values = (letter_value(&stream, &before), letter_value(&stream, &after));
        panel.hands.tell(event(&person, "deadletter.edit", &name, values.0, values.1));
        Ok(Json(prefix.line(&after)).into_response())
    })
    .await
}

/// Gives letters up for good; nothing else holds them.
#[utoipa::path(
    post,
    path = "/v1/deadletters/{destination}/drop",
    operation_id = "dropDeadLetters",
    tag = "dead letters",
    params(("destination" = String, Path, description = "Its name")),
    request_body = Chosen,
    responses((status = 200, description = "How many were dropped", body = Dropped))
)]
async fn drop_chosen(
    State(panel): Shared,
    Path(name): Path<String>,
    Admin(person): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    let chosen = chosen(request).await?;
    off_the_thread(move || {
        let store = open(&panel, &destination)?;
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = ids(&chosen, &name, &store)?;
        let named = letters_value(&StreamPrefix::new(&panel.view.agent_id, &destination), &store, &ids)?;
        let letters = store.drop_letters(&ids)? as u64;
        if letters > 0 {
            tracing::warn!(destination = %name, "dead letters dropped for good, as {} wishes: {letters}", person.who);
            panel.hands.tell(event(&person, "deadletter.drop", &name, named, Value::Null));
        }
        Ok(Json(Dropped { destination: name, letters }).into_response())
    })
    .await
}

/// Sends letters again, each under its own number; what is refused again stays.
#[utoipa::path(
    post,
    path = "/v1/deadletters/{destination}/replay",
    operation_id = "replayDeadLetters",
    tag = "dead letters",
    params(("destination" = String, Path, description = "Its name")),
    request_body = Chosen,
    responses((status = 200, description = "How many are sent again", body = Resent))
)]
async fn resend(
    State(panel): Shared,
    Path(name): Path<String>,
    Admin(person): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    let chosen = chosen(request).await?;
    off_the_thread(move || {
        let (named, letters) = {
            let store = open(&panel, &destination)?;
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let ids = ids(&chosen, &name, &store)?;
            let named = letters_value(&StreamPrefix::new(&panel.view.agent_id, &destination), &store, &ids)?;
            (named, by_shard(&store, &ids)?)
        };
        let count = letters.values().map(|letters| letters.len() as u64).sum();
        if count > 0 {
            tracing::info!(destination = %name, "dead letters are sent again, as {} wishes: {count}", person.who);
            panel.hands.tell(event(&person, "deadletter.replay", &name, Value::Null, named));
        }
        for (shard, letters) in letters {
            panel.hands.resend(destination.id, shard, letters);
        }
        let pause = panel.view.pauses.of(destination.id);
        Ok(Json(Resent { destination: name, letters: count, pause }).into_response())
    })
    .await
}

/// Which letters a request is about.
async fn chosen(request: Request) -> Result<Chosen, Problem> {
    let bytes = body(request, CHOSEN_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|problem| {
        let detail = format!("the request does not say which letters are meant: {problem}");
        Problem::new(StatusCode::BAD_REQUEST, detail)
            .advise("send {\"up_to\": id} or {\"letters\": [{\"stream\": name, \"n\": number}]}")
    })
}

fn ids(chosen: &Chosen, name: &str, store: &DeadLetters) -> Result<HashSet<u64>, Problem> {
    chosen.ids(store).map_err(|letter| missing(name, &letter.stream, letter.n))
}

fn open(panel: &Panel, destination: &Destination) -> Result<Arc<Mutex<DeadLetters>>, Problem> {
    let no_store = || {
        let detail = "the destination has no store of dead letters yet".to_owned();
        Problem::new(StatusCode::NOT_FOUND, detail)
    };
    panel.view.stores.find(destination.id).ok_or_else(no_store)
}

fn missing(name: &str, stream: &str, n: u64) -> Problem {
    let detail = format!("\"{name}\" has no dead letter for event {n} of stream {stream}");
    Problem::new(StatusCode::NOT_FOUND, detail).advise("`scaidrive-siem deadletter list` shows what there is")
}

impl From<StoreError> for Problem {
    fn from(problem: StoreError) -> Problem {
        match problem {
            StoreError::NoRoom { .. } => Problem::new(StatusCode::INSUFFICIENT_STORAGE, problem.to_string())
                .advise("replay or drop other letters first, or make the event no longer than it was"),
            _ => Problem::internal(&problem),
        }
    }
}

impl From<EditError> for Problem {
    fn from(problem: EditError) -> Problem {
        let detail = problem.to_string();
        let advice = match problem {
            EditError::Store(problem) => return problem.into(),
            EditError::Invalid(_) => "correct it: it must be what a producer could send",
            EditError::Other { .. } => "leave that as it is: the number is that event's, and stays with it",
            EditError::Unreadable => "drop it, or replay it as it is",
        };
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).advise(advice)
    }
}

/// Letters of a page, unless asked for otherwise.
const PAGE_DEFAULT: u64 = 100;
/// Letters of a page at most.
const PAGE_MAX: u64 = 1_000;
/// Bytes that may say which letters are meant.
const CHOSEN_MAX: usize = 8 << 20;
