//! Destinations: how they are, and what an operator wishes of them.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, ETAG};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use scaidrive_codecs::verdict::shown;
use serde_json::Value;

use super::managed::editable_of;
use super::{Panel, Path, Problem, Shared, body, off_the_thread, only_post};
use crate::config::{Config, OnFull};
use crate::control::access::{Admin, Person, Reach};
use crate::control::destinations::{
    DestinationWhole, Paused, ReplayWish, Replayed, Tested, find_for, pause_value, replay_value, settings_for,
    tell_about, tested_event,
};
use crate::control::picture::Detail;
use crate::control::proof;
use crate::control::status::{self, DestinationStatus, FROM_THE_OLDEST, ReplayStatus};
use crate::control::untold::{Change, Trace, not_noted};
use crate::node::{DrainError, FlowWish, Pause, Rested};
use crate::runtime::clock;
use crate::shard::ShardReport;

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new()
        .route("/v1/destinations/{destination}/pause", only_post(post(pause)))
        .route("/v1/destinations/{destination}/drain", only_post(post(drain)))
        .route("/v1/destinations/{destination}/resume", only_post(post(resume)))
        .route("/v1/destinations/{destination}/replay", only_post(post(replay)))
        .route("/v1/destinations/{destination}/tested", only_post(post(tested)))
}

/// How each is of a configuration's destinations that `person` may see, and whether these are all: while shards start, not
/// all are known. They may still tell of one that is gone.
pub(super) fn list(panel: &Panel, person: &Person, config: &Config) -> (Vec<DestinationStatus>, bool) {
    let seen = config.destinations.iter().filter(|known| person.sees(known));
    let seen: HashSet<&str> = seen.map(|known| known.name.as_str()).collect();
    let mut destinations = status::destinations(&panel.view, &panel.watch(), clock::now(), Detail::Full);
    destinations.retain(|status| seen.contains(status.name.as_str()));
    let is_whole = destinations.len() == seen.len();
    (destinations, is_whole)
}

/// One destination with its settings; where a secret is kept stands in place of the secret.
#[utoipa::path(
    get,
    path = "/v1/destinations/{destination}",
    operation_id = "showDestination",
    tag = "destinations",
    params(("destination" = String, Path, description = "Its name")),
    responses((status = 200, description = "How it is and what it is set to", body = DestinationWhole, headers(("ETag" = String, description = "The tag of it, to change it"))))
)]
pub(super) async fn show(State(panel): Shared, person: Person, Path(name): Path<String>) -> Result<Response, Problem> {
    // One configuration for the settings and the tag of them.
    let config = panel.view.config();
    let destination = find_for(&person, &config, &name)?;
    let status = status_of(&panel, &name)?;
    off_the_thread(move || {
        let (editable, tag) = editable_of(&config, &person, &name)?;
        let proof = proof::of(&panel.view, &destination);
        let whole = DestinationWhole { settings: settings_for(&person, &destination), editable, status, proof };
        Ok(([(CACHE_CONTROL, "no-store".to_owned()), (ETAG, tag)], Json(whole)).into_response())
    })
    .await
}

/// How the destination of this name is.
///
/// # Errors
/// When the shards have not said so yet.
pub(in crate::control) fn status_of(panel: &Panel, name: &str) -> Result<DestinationStatus, Problem> {
    let all = status::destinations(&panel.view, &panel.watch(), clock::now(), Detail::Of(name));
    all.into_iter().find(|status| status.name == name).ok_or_else(|| {
        let detail = format!("the shards have not said yet how \"{name}\" is");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).advise("ask again in a moment")
    })
}

/// Stops sending to a destination until it is resumed, also over restarts; its events wait in the log meanwhile.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/pause",
    operation_id = "pauseDestination",
    tag = "destinations",
    params(("destination" = String, Path, description = "Its name")),
    responses((status = 200, description = "It is paused", body = Paused))
)]
async fn pause(State(panel): Shared, Path(name): Path<String>, Admin(person): Admin) -> Result<Response, Problem> {
    Ok(Json(rest(panel, name, person, Rest::Pause).await?).into_response())
}

/// Sends a destination what is in the log now and no more, also over restarts; then it stands as if it were paused.
///
/// What comes later waits in the log until the destination is resumed. Answers when it is known where that begins.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/drain",
    operation_id = "drainDestination",
    tag = "destinations",
    params(("destination" = String, Path, description = "Its name")),
    responses((status = 200, description = "It drains, or has drained", body = Paused))
)]
async fn drain(State(panel): Shared, Path(name): Path<String>, Admin(person): Admin) -> Result<Response, Problem> {
    Ok(Json(rest(panel, name, person, Rest::Drain).await?).into_response())
}

/// Goes on sending to a destination that was paused or drained.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/resume",
    operation_id = "resumeDestination",
    tag = "destinations",
    params(("destination" = String, Path, description = "Its name")),
    responses((status = 200, description = "It is not paused", body = Paused))
)]
async fn resume(State(panel): Shared, Path(name): Path<String>, Admin(person): Admin) -> Result<Response, Problem> {
    Ok(Json(rest(panel, name, person, Rest::Resume).await?).into_response())
}

/// What somebody wishes of the sending to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Rest {
    /// That it stops.
    Pause,
    /// That it stops when it has sent what is there.
    Drain,
    /// That it goes on.
    Resume,
}

impl Rest {
    /// In the audit trail and in the log.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Rest::Pause => ("destination.pause", "paused"),
            Rest::Drain => ("destination.drain", "drains"),
            Rest::Resume => ("destination.resume", "no longer paused"),
        }
    }
}

/// Pauses or drains a destination, or lets it go on.
///
/// # Errors
/// When there is none of this name, the disk can't keep what is wished, or a shard does not say where its log stands.
pub(in crate::control) async fn rest(
    panel: Arc<Panel>,
    name: String,
    person: Person,
    wish: Rest,
) -> Result<Paused, Problem> {
    let config = panel.view.config();
    let destination = find_for(&person, &config, &name)?;
    off_the_thread(move || {
        let (id, who, (what, words)) = (destination.id, &person.who, wish.words());
        // It may go, or pass to another tenant, until it is this wish's turn.
        let is_there = || match find_for(&person, &panel.view.config(), &name) {
            Ok(now) if now.id == id => Ok(()),
            _ => Err(DrainError::Gone),
        };
        let keep = |rested: &Rested, write: &dyn Fn() -> io::Result<()>| {
            let (before, after) = (pause_value(rested.before.as_ref()), pause_value(rested.after.as_ref()));
            let change = Change::by(&person, what, &name, before, after).about(&destination);
            let note = panel.untold.note(change, Trace::rest(id, rested.after.as_ref()))?;
            let ((), done) = note.after(write())?;
            done.tell(&panel.hands);
            Ok(())
        };
        let flow = FlowWish { destination: id, who, now_ms: clock::wall_ms(), is_there: &is_there, keep: &keep };
        let rested = match wish {
            Rest::Pause => panel.hands.pause(&flow),
            Rest::Drain => panel.hands.drain(&flow),
            Rest::Resume => panel.hands.resume(&flow),
        };
        let rested = rested.map_err(|problem| not_rested(&problem))?;
        let is_changed = rested.is_changed();
        if is_changed {
            tracing::info!(destination = %name, "{words}, as {who} wishes");
        }
        let Rested { before, after } = rested;
        let window_ms = config.buffer.window.0;
        let holds_producers = destination.required && config.buffer.on_full == OnFull::Block;
        Ok(Paused { destination: name, is_changed, before, after, window_ms, holds_producers })
    })
    .await
}

/// Notes in the audit trail what came of a test that somebody has run beside this agent, of a destination in use here or not.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/tested",
    operation_id = "noteTest",
    tag = "destinations",
    params(("destination" = String, Path, description = "Its name")),
    request_body = Tested,
    responses((status = 200, description = "It is noted", body = Tested))
)]
async fn tested(
    State(panel): Shared,
    Path(name): Path<String>,
    Admin(person): Admin,
    request: Request,
) -> Result<Response, Problem> {
    // Who is bound to tenants files nothing in the trail of another.
    let known = match find_for(&person, &panel.view.config(), &name) {
        Err(_) if person.reach == Reach::All => None,
        found => Some(found?),
    };
    let bytes = body(request, WISH_MAX).await?;
    let tested: Tested = serde_json::from_slice(&bytes).map_err(|problem| {
        let detail = format!("the request does not say what came of the test: {problem}");
        Problem::new(StatusCode::BAD_REQUEST, detail).advise("use the command line of the version that runs")
    })?;
    let name = shown(&name);
    tracing::info!(destination = %name, "tested, by {}: {}", person.who, tested.code.as_deref().unwrap_or("all is well"));
    let told = tested_event(&person, &name, &tested);
    match known {
        Some(destination) => tell_about(&panel, &destination, told),
        None => panel.hands.tell_under(None, told),
    }
    Ok(Json(tested).into_response())
}

fn not_rested(problem: &DrainError) -> Problem {
    match problem {
        DrainError::Disk(problem) => not_kept(problem),
        DrainError::Gone => Problem::new(StatusCode::NOT_FOUND, problem.to_string())
            .advise("`scaidrive-siem destination list` shows which there are"),
        DrainError::Silent { .. } => {
            let detail = format!("it stays as it was, because {problem}");
            let advice = "try again; `scaidrive-siem status` says what holds the shard up, if it lasts";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).advise(advice)
        }
    }
}

fn not_kept(problem: &io::Error) -> Problem {
    let detail = format!("it stays as it was, because what is wished can't be kept over a restart: {problem}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        .advise("see that the agent may write to agent.state_dir and that the disk works and has room")
}

/// Sends a destination again what the log still holds; each event goes under the stream and number it had.
///
/// Answers when the shards have said that they begin: who asks next is then told that it runs.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/replay",
    operation_id = "replayDestination",
    tag = "destinations",
    params(("destination" = String, Path, description = "Its name")),
    request_body(content = Option<ReplayWish>, description = "From when on; without a body all that the log holds"),
    responses((status = 200, description = "It runs, or waits for a pause to end", body = Replayed))
)]
async fn replay(
    State(panel): Shared,
    Path(name): Path<String>,
    Admin(person): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let from_ms = wished(request).await?;
    Ok(Json(begin_replay(&panel, &person, name, from_ms).await?).into_response())
}

/// Begins a replay of what was accepted since `from_ms` (ms since 1970), or of all that the log holds. Goes on although
/// whoever asked is gone, so that what is noted is asked for, and told.
///
/// # Errors
/// When there is no destination of this name, one runs already, the moment has not come yet, or no shard begins it.
pub(in crate::control) async fn begin_replay(
    panel: &Arc<Panel>,
    person: &Person,
    name: String,
    from_ms: Option<i64>,
) -> Result<Replayed, Problem> {
    if from_ms.is_some_and(|from_ms| from_ms > clock::wall_ms()) {
        let detail = "there is nothing to send again from a moment that has not come yet".to_owned();
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail)
            .advise("name an earlier moment, or how far back it is to reach, such as 10m"));
    }
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; see the log".to_owned());
    let work = ask_for_replay(Arc::clone(panel), person.clone(), name, from_ms);
    tokio::spawn(work).await.map_err(failed)?
}

async fn ask_for_replay(
    panel: Arc<Panel>,
    person: Person,
    name: String,
    from_ms: Option<i64>,
) -> Result<Replayed, Problem> {
    let _turn = panel.replays.lock().await;
    let destination = find_for(&person, &panel.view.config(), &name)?;
    let last = status_of(&panel, &name)?.replay;
    if last.as_ref().is_some_and(ReplayStatus::is_running) {
        return Err(runs_already(&name));
    }
    let before = begun(&panel, &name);
    let value = |last: ReplayStatus| replay_value(&last.state, last.from_ms);
    // Whether it begins is not known yet; that somebody asked is.
    let (last, next) = (last.map_or(Value::Null, value), replay_value("asked for", from_ms));
    let change = Change::by(&person, "destination.replay", &name, last, next.clone()).about(&destination);
    let untold = panel.untold.clone();
    let asked = off_the_thread(move || untold.note_asked(change).map_err(|problem| not_noted(&problem))).await?;
    panel.hands.replay(destination.id, from_ms.unwrap_or(FROM_THE_OLDEST));
    tracing::info!(destination = %name, "a replay was asked for, as {} wishes", person.who);
    asked.tell(&panel.hands);
    if !hear(&panel, &name, &before).await {
        let failed = Change::by(&person, "destination.replay", &name, next, replay_value("not begun", from_ms));
        tell_about(&panel, &destination, failed.event());
        return Err(not_begun(&name));
    }
    let status = status_of(&panel, &name)?;
    let Some(replay) = status.replay else { return Err(not_begun(&name)) };
    let oldest_ms = panel.view.published.iter().filter_map(|shard| shard.with(|report| report.oldest_wall_ms)).min();
    let pause = status.pause.filter(Pause::is_at_rest);
    Ok(Replayed { destination: name, oldest_ms, replay, pause })
}

/// From when on, if the request says so.
async fn wished(request: Request) -> Result<Option<i64>, Problem> {
    let bytes = body(request, WISH_MAX).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let wish: Option<ReplayWish> = serde_json::from_slice(&bytes).map_err(|problem| {
        let detail = format!("the request does not say what is to be sent again: {problem}");
        Problem::new(StatusCode::BAD_REQUEST, detail)
            .advise("send {\"from_ms\": milliseconds since 1970}, or nothing for all that the log holds")
    })?;
    Ok(wish.unwrap_or_default().from_ms)
}

/// When each shard has begun its last replay of a destination.
fn begun(panel: &Panel, name: &str) -> Vec<Option<i64>> {
    let of_report = |report: &ShardReport| {
        let found = report.destinations.iter().find(|known| known.name == name);
        found.and_then(|known| known.replay.as_ref()).map(|replay| replay.begun_wall_ms)
    };
    panel.view.published.iter().map(|shard| shard.with(of_report)).collect()
}

/// Waits until each shard says that it has begun another replay than the one `before`, but no longer than [`HEAR_MAX`].
/// Returns whether any has.
async fn hear(panel: &Panel, name: &str, before: &[Option<i64>]) -> bool {
    let deadline = Instant::now() + HEAR_MAX;
    loop {
        let now = begun(panel, name);
        let heard = now.iter().zip(before).filter(|(now, before)| now.is_some() && now != before).count();
        if heard == before.len() || Instant::now() >= deadline {
            return heard > 0;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn runs_already(name: &str) -> Problem {
    let detail = format!("a replay of \"{name}\" runs, and there is one at a time");
    Problem::new(StatusCode::CONFLICT, detail).advise(&format!(
        "ask again when it is over; `scaidrive-siem destination show {name}` shows how far it has come"
    ))
}

fn not_begun(name: &str) -> Problem {
    let detail = format!("no shard has said yet that it begins a replay of \"{name}\"");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).advise(&format!(
        "`scaidrive-siem destination show {name}` says whether it began all the same; if not, the agent's own log says why"
    ))
}

/// Bytes of a wish at most.
const WISH_MAX: usize = 1 << 10;
/// How long the shards may take to say that they begin; each says how it is once a second at least.
const HEAR_MAX: Duration = Duration::from_secs(3);
/// How often is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);
