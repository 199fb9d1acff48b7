//! Destinations that are made, changed, tested before they are saved, and deleted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use super::asked::Form;
use super::note::Note;
use super::view::detail;
use super::view::form::{self, Changes, Draft, Outcome, Values};
use super::view::frame::Frame;
use super::{lead, show};
use crate::config::{Selection, keys_of};
use crate::control::access::{Admin, Person, Reach};
use crate::control::destinations::find_for;
use crate::control::http::managed::{editable_of, off_with, test};
use crate::control::http::preview::preview_of;
use crate::control::http::{Panel, Path, Problem, Shared, off_the_thread, only_get};
use crate::control::managed::{Condition, Wish, carry_out};
use crate::shard::ShardReport;

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    let method = || async { Problem::method("GET, HEAD, POST") };
    Router::new()
        .route("/new", only_get(get(kinds)))
        .route("/new/{kind}", get(blank).post(create).fallback(method))
        .route("/destinations/{destination}/edit", get(ask_change).post(change).fallback(method))
        .route("/destinations/{destination}/delete", get(ask_delete).post(delete).fallback(method))
}

async fn kinds(frame: Frame, _: Admin) -> Response {
    show(&form::kinds(&frame))
}

async fn blank(frame: Frame, Admin(person): Admin, Path(kind): Path<String>) -> Result<Response, Problem> {
    let mut values = Values::new();
    if let Reach::Tenants(tenants) = &person.reach {
        values.insert("tenants".to_owned(), tenants.iter().cloned().collect::<Vec<_>>().join("\n"));
    }
    let draft = Draft { kind: known(&kind)?, values, written: Vec::new(), changes: None };
    Ok(show(&form::page(&frame, &draft, Outcome::default())))
}

async fn create(
    State(panel): Shared,
    frame: Frame,
    Path(kind): Path<String>,
    Admin(person): Admin,
    form: Form,
) -> Result<Response, Problem> {
    let draft = Draft::read(known(&kind)?, None, &|name| form.field(name));
    let wish = Wish::Create(value(&draft, &form));
    let name = draft.values.get("name").map(|name| name.trim()).unwrap_or_default();
    let condition = Condition::None;
    let wished = Attempt { draft: &draft, form: &form, wish, condition, newest: "", name, note: Note::Created };
    attempt(panel, &frame, person, wished).await
}

/// A destination that is changed here, whether or not it can be used as it is.
struct Known {
    frame: Frame,
    name: String,
    draft: Draft,
}

impl FromRequestParts<Arc<Panel>> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, panel: &Arc<Panel>) -> Result<Known, Problem> {
        let frame = Frame::from_request_parts(parts, panel).await?;
        let Path(name) = Path::<String>::from_request_parts(parts, panel).await?;
        let draft = draft_of(Arc::clone(panel), frame.person.clone(), name.clone()).await?;
        Ok(Known { frame, name, draft })
    }
}

async fn ask_change(_: Admin, Known { frame, draft, .. }: Known) -> Response {
    show(&form::page(&frame, &draft, Outcome::default()))
}

async fn change(
    State(panel): Shared,
    Admin(person): Admin,
    Known { frame, name, draft: there }: Known,
    form: Form,
) -> Result<Response, Problem> {
    let newest = there.changes.as_ref().map(|changes| changes.tag.clone()).unwrap_or_default();
    let sent =
        |changes| Changes { tag: form.field("_tag").unwrap_or_default(), removed: form.all("_remove"), ..changes };
    let changes = there.changes.map(sent);
    let condition = Condition::Tags(changes.iter().map(|changes| changes.tag.clone()).collect());
    let draft = Draft::read(there.kind, changes, &|name| form.field(name));
    let wish = Wish::Change(name.clone(), value(&draft, &form));
    let name = draft.values.get("name").map_or(name.as_str(), |name| name.trim());
    let newest = newest.as_str();
    let wished = Attempt { draft: &draft, form: &form, wish, condition, newest, name, note: Note::Changed };
    attempt(panel, &frame, person, wished).await
}

/// What somebody wishes with a form.
struct Attempt<'a> {
    draft: &'a Draft,
    form: &'a Form,
    wish: Wish,
    condition: Condition,
    /// The tag of what is there now; empty for a new one.
    newest: &'a str,
    /// What the destination will be called.
    name: &'a str,
    note: Note,
}

/// Tests a draft or carries it out; what keeps it from that is shown above the form.
async fn attempt(panel: Arc<Panel>, frame: &Frame, person: Person, attempt: Attempt<'_>) -> Result<Response, Problem> {
    let Attempt { draft, form, wish, condition, newest, name, note } = attempt;
    let refused = |problem: Problem| refilled(frame, draft, &problem);
    if form.is_back() {
        return Ok(show(&form::page(frame, draft, Outcome { is_back: true, ..Outcome::default() })));
    }
    if form.field("_do").as_deref() == Some("test") {
        let destination = match off_with(&panel, &person, wish).await {
            Ok(destination) => destination,
            Err(problem) => return Ok(refused(problem)),
        };
        return Ok(match test(panel, person, destination, false).await {
            Ok(report) => show(&form::page(frame, draft, Outcome { tested: Some(&report), ..Outcome::default() })),
            Err(problem) => refused(problem),
        });
    }
    if form.field("_do").as_deref() == Some("preview") {
        let selection = Selection::read(&draft.selection()).map_err(|problems| Problem::unusable(&problems));
        let selection = match selection {
            Ok(selection) => selection,
            Err(problem) => return Ok(refused(problem)),
        };
        return Ok(match preview_of(panel, &person, selection).await {
            Ok(preview) => show(&form::page(frame, draft, Outcome { preview: Some(&preview), ..Outcome::default() })),
            Err(problem) => refused(problem),
        });
    }
    if form.field("_do").as_deref() != Some("save") {
        return Ok(refused(unsaid()));
    }
    if let Some(problem) = draft.misses(&form.all("_again")) {
        return Ok(refused(problem));
    }
    match carry_out(Arc::clone(&panel), person, wish, condition, false).await {
        Ok(_) => {}
        Err(problem) if problem.status == StatusCode::PRECONDITION_FAILED => {
            return Ok(refilled(frame, &draft.tagged(newest), &overtaken()));
        }
        Err(problem) => return Ok(refused(problem)),
    }
    heard_of(&panel, name).await;
    Ok(lead(frame, &format!("/destinations/{name}"), note))
}

/// The form as it was sent, below what was wrong with it.
fn refilled(frame: &Frame, draft: &Draft, problem: &Problem) -> Response {
    let page = form::page(frame, draft, Outcome { problem: Some(problem), ..Outcome::default() });
    (problem.status, show(&page)).into_response()
}

fn unsaid() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "the form does not say what is to be done with it".to_owned())
        .advise("press one of its buttons")
}

fn overtaken() -> Problem {
    let detail = "somebody else has changed it since you opened this form, and nothing was saved".to_owned();
    let advice = "look at it in another tab; Save puts what stands here in place of their change";
    Problem::new(StatusCode::PRECONDITION_FAILED, detail).advise(advice)
}

fn another() -> Problem {
    let detail = "it is not what it was when this page asked, and it is still there".to_owned();
    Problem::new(StatusCode::PRECONDITION_FAILED, detail)
        .advise("look at it again, and delete it if you still want that")
}

/// Waits until the shards tell of a destination, but no longer than [`HEARD_MAX`]: the page that follows shows it as it is.
async fn heard_of(panel: &Panel, name: &str) {
    let deadline = Instant::now() + HEARD_MAX;
    let tells = |report: &ShardReport| report.destinations.iter().any(|known| known.name == name);
    while !panel.view.published.iter().all(|shard| shard.with(tells)) && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn ask_delete(_: Admin, Known { frame, name, draft }: Known) -> Response {
    let tag = draft.changes.map(|changes| changes.tag).unwrap_or_default();
    show(&detail::ask_delete(&frame, &name, &tag))
}

async fn delete(
    State(panel): Shared,
    frame: Frame,
    Path(name): Path<String>,
    Admin(person): Admin,
    form: Form,
) -> Result<Response, Problem> {
    // Only what was asked about is deleted: under the same name there may be another by now.
    let condition = Condition::Tags(form.all("_tag"));
    match carry_out(panel, person, Wish::Delete(name), condition, false).await {
        Err(problem) if problem.status == StatusCode::PRECONDITION_FAILED => return Err(another()),
        deleted => deleted?,
    };
    Ok(lead(&frame, "/", Note::Deleted))
}

/// The destination of this name as a draft.
async fn draft_of(panel: Arc<Panel>, person: Person, name: String) -> Result<Draft, Problem> {
    off_the_thread(move || {
        let config = panel.view.config();
        let (editable, tag) = editable_of(&config, &person, &name)?;
        let Some(settings) = editable.settings_json else {
            find_for(&person, &config, &name)?;
            let detail = format!("\"{name}\" belongs to a file of the operator, and is changed there");
            return Err(
                Problem::new(StatusCode::CONFLICT, detail).advise("change it there, and reload the configuration")
            );
        };
        let kind = known(settings.get("type").and_then(Value::as_str).unwrap_or_default())?;
        Ok(Draft::of(kind, &settings, Changes { name, tag, secrets: editable.secrets, removed: Vec::new() }))
    })
    .await
}

fn value(draft: &Draft, form: &Form) -> Value {
    let gone = form.all("_remove");
    draft.json(&|path| form.field(path), &|path| gone.iter().any(|known| known == path))
}

fn known(kind: &str) -> Result<&'static str, Problem> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, format!("there is no kind of destination \"{kind}\""));
    keys_of(kind).map(|(name, _)| name).ok_or_else(|| unknown().advise("choose one of the cards"))
}

/// How long the shards may take to tell of what is new; each says how it is once a second at least.
const HEARD_MAX: Duration = Duration::from_secs(3);
/// How often is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);
