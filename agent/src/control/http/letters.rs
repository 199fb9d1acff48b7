//! Dead letters: which there are, and what an operator wishes of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use scaidrive_codecs::index::EVENT_BYTES_MAX;
use serde_json::Value;

use super::{Panel, Path, Problem, Shared, body, number, off_the_thread, only_get, only_post};
use crate::config::Destination;
use crate::control::access::{Admin, Person, Reach};
use crate::control::destinations::find_for;
use crate::control::letters::change::{
    Chosen, Dropped, EditError, Resent, by_shard, edited, letter_value, letters_value, within,
};
use crate::control::letters::{self, LetterLine, LetterPage, LetterWhole, StoreLine, StreamPrefix};
use crate::control::untold::{Change, Place, Trace, not_noted};
use crate::deadletter::{DeadLetters, StoreError};
use crate::node::Pause;
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
    responses((status = 200, description = "One for each destination that the caller may see, and for each that is gone and has left some", body = Vec<StoreLine>))
)]
async fn stores(State(panel): Shared, person: Person) -> Result<Response, Problem> {
    Ok(Json(all_stores(panel, person).await?).into_response())
}

/// The stores of the destinations that somebody may see.
///
/// # Errors
/// When looking failed.
pub(in crate::control) async fn all_stores(panel: Arc<Panel>, person: Person) -> Result<Vec<StoreLine>, Problem> {
    at_the_stores(Arc::clone(&panel), person.clone(), move || {
        let config = panel.view.config();
        let mut stores = letters::stores(&config, &panel.view.stores);
        stores.retain(|store| {
            find_for(&person, &config, &store.destination).is_ok_and(|known| open(&panel, &person, &known).is_ok())
        });
        // What is gone has no tenants, so it is for those who see all of them.
        if person.reach == Reach::All {
            let gone = panel.view.stores.gone(&panel.view.state_dir).map_err(|problem| Problem::internal(&problem))?;
            stores.extend(gone.into_iter().map(letters::gone::line));
        }
        Ok(stores)
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
    Ok(Json(page_of(panel, &person, &name, after, limit).await?).into_response())
}

/// A page of one store: at most `limit` letters after the id `after`.
///
/// # Errors
/// When there is no destination of this name, or its store can't be read.
pub(in crate::control) async fn page_of(
    panel: Arc<Panel>,
    person: &Person,
    name: &str,
    after: u64,
    limit: usize,
) -> Result<LetterPage, Problem> {
    let destination = find_for(person, &panel.view.config(), name)?;
    let person = person.clone();
    at_the_stores(Arc::clone(&panel), person.clone(), move || {
        let store = open(&panel, &person, &destination)?;
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(StreamPrefix::new(&panel.view.agent_id, &destination).page(&store, after, limit)?)
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
    Ok(Json(whole_of(panel, &person, name, stream, n).await?).into_response())
}

/// One letter with its event.
///
/// # Errors
/// When there is none, or its store can't be read.
pub(in crate::control) async fn whole_of(
    panel: Arc<Panel>,
    person: &Person,
    name: String,
    stream: String,
    n: u64,
) -> Result<LetterWhole, Problem> {
    let destination = find_for(person, &panel.view.config(), &name)?;
    let person = person.clone();
    at_the_stores(Arc::clone(&panel), person.clone(), move || {
        let store = open(&panel, &person, &destination)?;
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = StreamPrefix::new(&panel.view.agent_id, &destination).whole(&store, &stream, n)?;
        whole.ok_or_else(|| missing(&name, &stream, n))
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
    find_for(&person, &panel.view.config(), &name)?;
    let raw = body(request, EVENT_BYTES_MAX).await?;
    Ok(Json(replace_event(panel, person, name, stream, n, Bytes::from_owner(raw)).await?).into_response())
}

/// Puts another event in the place of a letter's.
///
/// # Errors
/// When there is no such letter, it is no event or another one, or its store refuses.
pub(in crate::control) async fn replace_event(
    panel: Arc<Panel>,
    person: Person,
    name: String,
    stream: String,
    n: u64,
    raw: Bytes,
) -> Result<LetterLine, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    at_the_stores(Arc::clone(&panel), person.clone(), move || {
        let store = open(&panel, &person, &destination)?;
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = StreamPrefix::new(&panel.view.agent_id, &destination);
        let before = prefix.letter(&store, &stream, n)?.ok_or_else(|| missing(&name, &stream, n))?;
        let edited_ms = clock::wall_ms();
        let after = edited(&before, &raw, panel.view.intake.max_event_size, edited_ms)?;
        let stream = prefix.stream(after.shard, &after.key);
        let values = (letter_value(&stream, &before), letter_value(&stream, &after));
        let change = Change::by(&person, "deadletter.edit", &name, values.0, values.1).about(&destination);
        let trace = Trace::Edited { letter: Place::new(destination.id, &after.key), edited_ms };
        let note = panel.untold.note(change, trace).map_err(|problem| not_noted(&problem))?;
        let (after, edited) = note.after(store.edit(before.id, after.raw, edited_ms))?;
        edited.tell(&panel.hands);
        tracing::info!(destination = %name, "dead letter {n} of stream {stream} edited, as {} wishes", person.who);
        after.map(|after| prefix.line(&after)).ok_or_else(|| missing(&name, &stream, n))
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
    find_for(&person, &panel.view.config(), &name)?;
    let chosen = chosen(request).await?;
    Ok(Json(drop_for_good(panel, person, name, chosen).await?).into_response())
}

/// Gives letters up for good.
///
/// # Errors
/// When one of them is not there, or the store can't be changed; none is dropped then.
pub(in crate::control) async fn drop_for_good(
    panel: Arc<Panel>,
    person: Person,
    name: String,
    chosen: Chosen,
) -> Result<Dropped, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    at_the_stores(Arc::clone(&panel), person.clone(), move || {
        let store = open(&panel, &person, &destination)?;
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = ids(&chosen, &name, &store)?;
        let Some((_, first)) = store.keys().find(|(id, _)| ids.contains(id)) else {
            return Ok(Dropped { destination: name, letters: 0 });
        };
        let named = letters_value(&StreamPrefix::new(&panel.view.agent_id, &destination), &store, &ids)?;
        let change = Change::by(&person, "deadletter.drop", &name, named, Value::Null).about(&destination);
        let trace = Trace::Dropped(Place::new(destination.id, &first));
        let note = panel.untold.note(change, trace).map_err(|problem| not_noted(&problem))?;
        let (letters, dropped) = note.after(store.drop_letters(&ids))?;
        dropped.tell(&panel.hands);
        tracing::warn!(destination = %name, "dead letters dropped for good, as {} wishes: {letters}", person.who);
        Ok(Dropped { destination: name, letters: letters as u64 })
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
    find_for(&person, &panel.view.config(), &name)?;
    let chosen = chosen(request).await?;
    Ok(Json(send_again(panel, person, name, chosen).await?).into_response())
}

/// Sends letters again.
///
/// # Errors
/// When one of them is not there, or the store can't be read; none is sent then.
pub(in crate::control) async fn send_again(
    panel: Arc<Panel>,
    person: Person,
    name: String,
    chosen: Chosen,
) -> Result<Resent, Problem> {
    let destination = find_for(&person, &panel.view.config(), &name)?;
    at_the_stores(Arc::clone(&panel), person.clone(), move || {
        let (named, letters) = {
            let store = open(&panel, &person, &destination)?;
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let ids = ids(&chosen, &name, &store)?;
            let named = letters_value(&StreamPrefix::new(&panel.view.agent_id, &destination), &store, &ids)?;
            (named, by_shard(&store, &ids)?)
        };
        let count = letters.values().map(|letters| letters.len() as u64).sum();
        if count > 0 {
            let change = Change::by(&person, "deadletter.replay", &name, Value::Null, named).about(&destination);
            panel.untold.note_asked(change).map_err(|problem| not_noted(&problem))?.tell(&panel.hands);
            tracing::info!(destination = %name, "dead letters are sent again, as {} wishes: {count}", person.who);
        }
        for (shard, letters) in letters {
            panel.hands.resend(destination.id, shard, letters);
        }
        let pause = panel.view.pauses.of(destination.id).filter(Pause::is_at_rest);
        Ok(Resent { destination: name, letters: count, pause })
    })
    .await
}

/// Looks at stores or changes them, on a seat of whoever asks: each reads or writes a file, and waits for others that do.
async fn at_the_stores<T: Send + 'static>(
    panel: Arc<Panel>,
    person: Person,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let seat = panel.desk.letters.wait(&person).await?;
    off_the_thread(move || {
        let done = work();
        // Held by the work and not by the request, which may be given up before.
        drop(seat);
        done
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

/// The store of a destination. It may be older than the destination's scope, or than the destination itself: who is bound
/// to tenants finds none while it holds a letter of another.
fn open(panel: &Panel, person: &Person, destination: &Destination) -> Result<Arc<Mutex<DeadLetters>>, Problem> {
    let no_store = || {
        let detail = "the destination has no store of dead letters yet".to_owned();
        Problem::new(StatusCode::NOT_FOUND, detail)
    };
    let store = panel.view.stores.find(destination.id).ok_or_else(no_store)?;
    let is_theirs = within(&store.lock().unwrap_or_else(PoisonError::into_inner), &person.reach);
    if is_theirs { Ok(store) } else { Err(no_store()) }
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
