//! Destinations: all of them, one, and what is done to it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::asked::{Asked, Form, Query};
use super::kept;
use super::note::Note;
use super::view::detail::{self, EVENT_ID, Since, Whole};
use super::view::frame::Frame;
use super::view::list::{self, Line, Sort, Wish};
use super::view::{problem, tested};
use super::{lead, show};
use crate::cli;
use crate::config::{Config, Destination, Origin};
use crate::control::access::{Admin, Person};
use crate::control::destinations::{find_for, settings_for};
use crate::control::episodes;
use crate::control::http::destinations::{Rest, begin_replay, rest, status_of};
use crate::control::http::managed::unusable_of;
use crate::control::http::{self, Panel, Problem, Shared, off_the_thread, only_get, only_post};
use crate::control::picture::Detail;
use crate::control::proof;
use crate::control::status;
use crate::runtime::clock;
use crate::{content, probe};

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    let replay = get(ask_replay).post(replay).fallback(|| async { Problem::method("GET, HEAD, POST") });
    let drain = get(ask_drain).post(drain).fallback(|| async { Problem::method("GET, HEAD, POST") });
    Router::new()
        .route("/", only_get(get(all)))
        .route("/destinations/{destination}", only_get(get(one)))
        .route("/destinations/{destination}/pause", only_post(post(pause)))
        .route("/destinations/{destination}/drain", drain)
        .route("/destinations/{destination}/resume", only_post(post(resume)))
        .route("/destinations/{destination}/test", only_post(post(test)))
        .route("/destinations/{destination}/replay", replay)
}

async fn all(State(panel): Shared, frame: Frame, query: Query) -> Result<Response, Problem> {
    let config = panel.view.config();
    let line = |status: status::DestinationStatus| {
        // What is on its way out is shown to nobody who could do nothing about it.
        let destination = find_for(&frame.person, &config, &status.name).ok()?;
        Some(Line { status, tenants: destination.tenants.clone() })
    };
    let statuses = status::destinations(&panel.view, &panel.watch(), clock::now(), Detail::Plain);
    let lines = statuses.into_iter().filter_map(line).collect();
    let wish = Wish {
        sort: Sort::named(&query.field("sort").unwrap_or_default()),
        find: query.field("find").unwrap_or_default(),
        page: query.field("page").and_then(|page| page.parse().ok()).unwrap_or(0),
    };
    let window_ms = config.buffer.window.0;
    let person = frame.person.clone();
    let unusable = off_the_thread(move || unusable_of(&config, &person)).await?;
    Ok(show(&list::page(&frame, lines, &unusable, &wish, window_ms)))
}

async fn one(State(panel): Shared, Asked { frame, name, destination }: Asked) -> Result<Response, Problem> {
    let config = panel.view.config();
    let history = panel.history().destination(&name);
    let episodes = {
        let (panel, name, reach) = (Arc::clone(&panel), name.clone(), frame.person.reach.clone());
        let read = off_the_thread(move || {
            episodes::of(&panel.view, &name, &reach).map_err(|problem| Problem::internal(&problem))
        });
        read.await.ok()
    };
    let whole = Whole {
        status: status_of(&panel, &name)?,
        settings: settings(&frame.person, &destination),
        origin: origin(&config, &destination, frame.sees_the_agent()),
        is_managed: config.is_managed(destination.id),
        window_ms: config.buffer.window.0,
        proof: proof::of(&panel.view, &destination),
        history,
        episodes,
        query: search(&destination),
        setup: cli::template::of(&destination, None),
        content: content::fitting(&destination),
    };
    Ok(show(&detail::page(&frame, &whole)))
}

/// What is set; what is absent and switches nothing on is left out.
fn settings(person: &Person, destination: &Destination) -> Vec<(String, String)> {
    let set = settings_for(person, destination).into_iter();
    let told = |value: &&str| !value.is_empty() && *value != "[]";
    set.filter_map(|(key, value)| Some((key, value.as_str().filter(told)?.to_owned()))).collect()
}

/// Where it is configured. Who sees some tenants only is not told what files the machine has.
fn origin(config: &Config, destination: &Destination, sees_all: bool) -> String {
    match config.origins.get(&destination.id) {
        Some(Origin::Managed(_)) => "Made and changed here.".to_owned(),
        Some(Origin::File(path)) if sees_all => {
            format!("Configured in {}. It is changed there, and taken over by `scaidrive-siem reload`.", path.display())
        }
        _ => "Configured in a file of those who administer the machine, and changed there.".to_owned(),
    }
}

fn search(destination: &Destination) -> (String, String) {
    let (query, ask) = probe::query(destination, EVENT_ID);
    (query, ask.to_owned())
}

async fn pause(State(panel): Shared, Admin(person): Admin, asked: Asked) -> Result<Response, Problem> {
    put_to_rest(panel, asked, person, Rest::Pause).await
}

async fn resume(State(panel): Shared, Admin(person): Admin, asked: Asked) -> Result<Response, Problem> {
    put_to_rest(panel, asked, person, Rest::Resume).await
}

async fn ask_drain(State(panel): Shared, _: Admin, Asked { frame, name, .. }: Asked) -> Result<Response, Problem> {
    Ok(show(&detail::ask_drain(&frame, &status_of(&panel, &name)?)))
}

async fn drain(State(panel): Shared, Admin(person): Admin, asked: Asked) -> Result<Response, Problem> {
    put_to_rest(panel, asked, person, Rest::Drain).await
}

async fn put_to_rest(panel: Arc<Panel>, asked: Asked, person: Person, wish: Rest) -> Result<Response, Problem> {
    let Asked { frame, name, .. } = asked;
    let paused = rest(panel, name, person, wish).await?;
    let note = match (paused.is_changed, wish) {
        (false, _) => Note::Unchanged,
        (true, Rest::Pause) => Note::Paused,
        (true, Rest::Drain) => Note::Drains,
        (true, Rest::Resume) => Note::Resumed,
    };
    Ok(lead(&frame, &format!("/destinations/{}", paused.destination), note))
}

async fn test(
    State(panel): Shared,
    Admin(person): Admin,
    Asked { frame, destination, .. }: Asked,
) -> Result<Response, Problem> {
    let is_managed = panel.view.config().is_managed(destination.id);
    let report = http::managed::test(panel, person, destination, true).await?;
    Ok(show(&tested::page(&frame, &report, is_managed)))
}

async fn ask_replay(State(panel): Shared, _: Admin, Asked { frame, name, .. }: Asked) -> Result<Response, Problem> {
    Ok(show(&detail::ask_replay(&frame, &status_of(&panel, &name)?, &Since::default(), None)))
}

async fn replay(
    State(panel): Shared,
    Admin(person): Admin,
    Asked { frame, name, .. }: Asked,
    form: Form,
) -> Result<Response, Problem> {
    let written = |field| form.field(field).unwrap_or_default();
    let since = Since { back: written("back"), from: written("from") };
    if form.is_back() {
        return Ok(show(&detail::ask_replay(&frame, &status_of(&panel, &name)?, &since, Some(&kept::told()))));
    }
    let begun = match from(&since, clock::wall_ms()) {
        Ok(from_ms) => begin_replay(&panel, &person, name.clone(), from_ms).await,
        Err(problem) => Err(problem),
    };
    match begun {
        Ok(replayed) => {
            Ok(lead(&frame, &format!("/destinations/{}", replayed.destination), Note::of_replay(&replayed)))
        }
        // What was filled in wrongly is asked for again.
        Err(wrong) if wrong.status == StatusCode::BAD_REQUEST => {
            let page = detail::ask_replay(&frame, &status_of(&panel, &name)?, &since, Some(&problem::told(&wrong)));
            Ok((wrong.status, show(&page)).into_response())
        }
        Err(wrong) => Err(wrong),
    }
}

/// From when on (ms since 1970) a form wishes events to be sent again; `None` for all that there are.
fn from(since: &Since, now_ms: i64) -> Result<Option<i64>, Problem> {
    let bad = |what| Problem::new(StatusCode::BAD_REQUEST, what);
    let moment = since.from.trim();
    // Whoever wrote a moment means it: nothing else is sent again in its place.
    let text = match since.back.as_str() {
        "from" => moment,
        _ if !moment.is_empty() => {
            let problem = bad("a moment is written, but another span is chosen".to_owned());
            return Err(problem.advise("choose \"a moment\", or leave its field empty"));
        }
        "all" => return Ok(None),
        back => back,
    };
    let wrong = |_| bad(format!("\"{text}\" is no moment")).advise("write it in UTC, like 2026-11-26T09:40:00Z");
    cli::destination::from(&in_utc(text), now_ms).map(Some).map_err(wrong)
}

/// A moment as a browser's field for one has it, which without a script says no zone and is meant to be in UTC; anything else
/// stays as it is.
fn in_utc(text: &str) -> Cow<'_, str> {
    let seconds = match text.len() {
        16 => ":00",
        _ if text.len() >= 19 && !text.contains(['Z', 'z', '+']) && text.rfind('-') <= Some(7) => "",
        _ => return text.into(),
    };
    format!("{text}{seconds}Z").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_is_written_is_meant_whatever_span_is_chosen() {
        let ask = |back: &str, written: &str| {
            from(&Since { back: back.to_owned(), from: written.to_owned() }, 7_200_000)
                .map_err(|problem| problem.detail)
        };
        assert_eq!(ask("1h", " "), Ok(Some(3_600_000)));
        assert_eq!(ask("all", ""), Ok(None));
        assert_eq!(ask("from", " 1970-01-01T00:00:01Z "), Ok(Some(1_000)));
        for back in ["1h", "all"] {
            let refused = ask(back, "1970-01-01T00:00:01Z").err().unwrap();
            assert_eq!(refused, "a moment is written, but another span is chosen");
        }
        assert!(ask("from", "").is_err());
    }

    #[test]
    fn a_moment_without_a_zone_is_one_in_utc() {
        let moment = |text: &str| in_utc(text).into_owned();
        assert_eq!(moment("2026-11-26T09:40"), "2026-11-26T09:40:00Z");
        assert_eq!(moment("2026-11-26T09:40:05"), "2026-11-26T09:40:05Z");
        assert_eq!(moment("2026-11-26T09:40:05.123"), "2026-11-26T09:40:05.123Z");
        for whole in
            ["2026-11-26T09:40:05Z", "2026-11-26T09:40:05+01:00", "2026-11-26T09:40:05-01:00", "10m", "yesterday", ""]
        {
            assert_eq!(moment(whole), whole);
        }
    }
}
