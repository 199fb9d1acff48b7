//! The page *Compliance → SIEM*: what the API answers, for people in a browser.
//!
//! It is rendered here, works without scripts, and is live with a little of them. Forms do what the API does, by the same
//! functions, and lead to a page by a redirect, so that reloading repeats nothing. What can't be undone is asked about on
//! a page of its own. What is answered in JSON when something does not work becomes a page here.
//!
//! | path | what it shows, or does |
//! |---|---|
//! | `/?sort=&find=&page=` | all destinations |
//! | `/destinations/{destination}` | one |
//! | `POST /destinations/{destination}/pause`, `…/resume` | stops sending to it, or goes on |
//! | `POST /destinations/{destination}/test` | tests it, and shows what was found |
//! | `/destinations/{destination}/replay` | asks from when on; `POST` begins the replay |
//! | `/new`, `/new/{kind}` | the kinds, and a form for one; `POST` tests or makes the destination |
//! | `/destinations/{destination}/edit`, `…/delete` | forms; `POST` tests or changes it, deletes it |
//! | `/deadletters` | the stores |
//! | `/deadletters/{destination}?after=` | a page of one store |
//! | `POST /deadletters/{destination}/replay`, `…/drop` | sends letters again; asks, then drops them |
//! | `/deadletters/{destination}/{stream}/{n}` | one letter with its event; `POST` edits it |
//! | `/events` | the live tail, filled by the script from `/v1/tail` |
//! | `/changes` | who did what |
//! | `/health` | the agent |
//! | `/assets/{file}` | style, script and icon |
//!
//! | file | what it holds |
//! |---|---|
//! | `view/` | from values to markup, pure |
//! | `asked.rs` | who looks, and what their form holds |
//! | `destinations.rs`, `edit.rs`, `letters.rs`, `events.rs`, `health.rs` | the handlers of one subject each |
//! | `note.rs` | what was just done |
//! | `assets.rs`, `page.css`, `page.js`, `icon.svg` | what stays the same |

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::Markup;

use self::note::Note;
use self::view::frame::{self, Frame};
use self::view::problem;
use crate::control::http::{Panel, Problem, only_get};

mod asked;
mod assets;
mod destinations;
mod edit;
mod events;
mod health;
mod letters;
mod note;
mod view;

/// Its routes, for those whom a door has let in.
pub(super) fn routes(panel: Arc<Panel>) -> Router<Arc<Panel>> {
    Router::new()
        .merge(destinations::routes())
        .merge(edit::routes())
        .merge(letters::routes())
        .merge(events::routes())
        .merge(health::routes())
        .layer(middleware::from_fn_with_state(panel, in_words))
}

/// Style, script and icon, which anybody may see.
pub(super) fn assets() -> Router<Arc<Panel>> {
    Router::new().route("/assets/{file}", only_get(get(assets::serve)))
}

/// A page for whoever is not known yet.
pub(super) fn outside(base: &str, title: &str, middle: &Markup) -> Markup {
    frame::bare(base, title, middle)
}

/// Makes pages of problems, for whoever is known.
async fn in_words(State(panel): State<Arc<Panel>>, request: Request, next: Next) -> Response {
    let frame = Frame::of(&panel, request.uri(), request.headers(), request.extensions());
    let mut response = next.run(request).await;
    let (Some(problem), Ok(frame)) = (response.extensions_mut().remove::<Problem>(), frame) else { return response };
    (problem.status, show(&problem::page(&frame, &problem))).into_response()
}

/// An answer that is a page.
fn show(page: &Markup) -> Response {
    // The same address is answered with less where a script asks.
    let headers = [(CACHE_CONTROL, "no-store"), (VARY, asked::FRAGMENT)];
    (headers, Html(page.0.clone())).into_response()
}

/// Leads to a page that says what was just done.
fn lead(frame: &Frame, path: &str, note: Note) -> Response {
    let joiner = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&frame.link(&format!("{path}{joiner}done={}", note.code()))).into_response()
}
