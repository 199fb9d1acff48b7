//! Dead letters: the stores, one store, one letter, and what is done to them.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::asked::{Asked, Form, Query};
use super::kept;
use super::note::Note;
use super::view::frame::Frame;
use super::view::letters::{self, ToDrop};
use super::view::problem;
use super::{lead, show};
use crate::control::access::Admin;
use crate::control::http::letters::{all_stores, drop_for_good, page_of, replace_event, send_again, whole_of};
use crate::control::http::{Panel, Path, Problem, Shared, only_get, only_post};
use crate::control::letters::change::Chosen;

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    let one = get(one).post(edit).fallback(|| async { Problem::method("GET, HEAD, POST") });
    Router::new()
        .route("/deadletters", only_get(get(stores)))
        .route("/deadletters/{destination}", only_get(get(store)))
        .route("/deadletters/{destination}/replay", only_post(post(replay)))
        .route("/deadletters/{destination}/drop", only_post(post(drop_chosen)))
        .route("/deadletters/{destination}/{stream}/{n}", one)
}

/// The part of a path that names a letter of a store.
#[derive(Deserialize)]
struct Letter {
    stream: String,
    n: u64,
}

async fn stores(State(panel): Shared, frame: Frame) -> Result<Response, Problem> {
    let stores = all_stores(panel, frame.person.clone()).await?;
    Ok(show(&letters::stores(&frame, &stores)))
}

async fn store(State(panel): Shared, Asked { frame, name, .. }: Asked, query: Query) -> Result<Response, Problem> {
    let after = query.field("after").and_then(|after| after.parse().ok()).unwrap_or(0);
    let page = page_of(panel, &frame.person, &name, after, PAGE).await?;
    Ok(show(&letters::store(&frame, &name, &page, after)))
}

async fn one(
    State(panel): Shared,
    Asked { frame, name, .. }: Asked,
    Path(Letter { stream, n }): Path<Letter>,
) -> Result<Response, Problem> {
    let whole = whole_of(panel, &frame.person, name, stream, n).await?;
    Ok(show(&letters::letter(&frame, &whole, None, None)))
}

async fn edit(
    State(panel): Shared,
    Admin(person): Admin,
    Asked { frame, name, .. }: Asked,
    Path(Letter { stream, n }): Path<Letter>,
    form: Form,
) -> Result<Response, Problem> {
    let event = form.field("event").unwrap_or_default();
    if form.is_back() {
        let whole = whole_of(panel, &frame.person, name, stream, n).await?;
        return Ok(show(&letters::letter(&frame, &whole, Some(&event), Some(&kept::told()))));
    }
    let edited = replace_event(Arc::clone(&panel), person, name.clone(), stream.clone(), n, event.clone().into()).await;
    match edited {
        Ok(line) => {
            let path = format!("/deadletters/{name}/{}/{}", line.stream, line.n);
            Ok(lead(&frame, &path, Note::LetterEdited))
        }
        // What somebody wrote is shown again beside the reason.
        Err(wrong) if wrong.status != StatusCode::NOT_FOUND => {
            let whole = whole_of(panel, &frame.person, name, stream, n).await?;
            let page = letters::letter(&frame, &whole, Some(&event), Some(&problem::told(&wrong)));
            Ok((wrong.status, show(&page)).into_response())
        }
        Err(wrong) => Err(wrong),
    }
}

async fn replay(
    State(panel): Shared,
    Admin(person): Admin,
    Asked { frame, name, .. }: Asked,
    form: Form,
) -> Result<Response, Problem> {
    let path = format!("/deadletters/{name}");
    let Some(chosen) = chosen(&form)? else { return Ok(lead(&frame, &path, Note::NoneChosen)) };
    let resent = send_again(panel, person, name, chosen).await?;
    Ok(lead(&frame, &path, if resent.pause.is_some() { Note::LettersWait } else { Note::LettersResent }))
}

/// Asks first, then drops.
async fn drop_chosen(
    State(panel): Shared,
    Admin(person): Admin,
    Asked { frame, name, .. }: Asked,
    form: Form,
) -> Result<Response, Problem> {
    let path = format!("/deadletters/{name}");
    let Some(chosen) = chosen(&form)? else { return Ok(lead(&frame, &path, Note::NoneChosen)) };
    if form.field("sure").as_deref() != Some("yes") {
        let to_drop = match &chosen {
            Chosen::UpTo(last) => ToDrop::UpTo(*last),
            Chosen::Letters(letters) => ToDrop::Letters(letters),
        };
        return Ok(show(&letters::ask_drop(&frame, &name, &to_drop)));
    }
    drop_for_good(panel, person, name, chosen).await?;
    Ok(lead(&frame, &path, Note::LettersDropped))
}

/// Which letters a form is about; `None` where none is ticked.
fn chosen(form: &Form) -> Result<Option<Chosen>, Problem> {
    let bad = || {
        let detail = "the form names a letter in a way that this version does not know".to_owned();
        Problem::new(StatusCode::BAD_REQUEST, detail).advise("reload the page of the dead letters")
    };
    if let Some(last) = form.field("up_to") {
        return last.parse().map(|last| Some(Chosen::UpTo(last))).map_err(|_| bad());
    }
    let named: Option<Vec<_>> = form.all("letter").iter().map(|value| letters::named(value)).collect();
    let named = named.ok_or_else(bad)?;
    Ok((!named.is_empty()).then_some(Chosen::Letters(named)))
}

/// Letters on one page.
const PAGE: usize = 50;
