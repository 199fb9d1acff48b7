//! The page *Compliance → SIEM*: what the API answers, for people in a browser.
//!
//! It is rendered here, works without scripts, and is live with a little of them. Forms do what the API does, by the same
//! functions, and lead to a page by a redirect, so that reloading repeats nothing; a test is shown
//! where it was asked for, and reloading that sends it again. What can't be undone is asked about on
//! a page of its own. What is answered in JSON when something does not work becomes a page here.
//!
//! | path | what it shows, or does |
//! |---|---|
//! | `/?sort=&find=&page=` | all destinations |
//! | `/destinations/{destination}` | one |
//! | `POST /destinations/{destination}/pause`, `…/resume` | stops sending to it, or goes on |
//! | `/destinations/{destination}/drain` | asks whether it is to have what is there and no more, and sees to that |
//! | `POST /destinations/{destination}/test` | tests it, and shows what was found |
//! | `/destinations/{destination}/replay` | asks from when on; `POST` begins the replay |
//! | `/new`, `/new/{kind}` | the kinds, and a form for one; `POST` tests or makes the destination |
//! | `/destinations/{destination}/edit`, `…/delete` | forms; `POST` tests or changes it, deletes it |
//! | `/deadletters` | the stores |
//! | `/deadletters/{destination}?after=` | a page of one store |
//! | `POST /deadletters/{destination}/replay`, `…/drop` | sends letters again; asks, then drops them |
//! | `/deadletters/{destination}/{stream}/{n}` | one letter with its event; `POST` edits it |
//! | `/events` | the live tail, filled by the script from `/v1/tail` |
//! | `/changes?of=&before=` | who did what, to one thing or any, page by page |
//! | `/health` | the agent |
//! | `/assets/{file}` | style, script and icon |
//!
//! | file | what it holds |
//! |---|---|
//! | `view/` | from values to markup, pure |
//! | `asked.rs` | who looks, at which destination, and what their form holds |
//! | `destinations.rs`, `edit.rs`, `letters.rs`, `events.rs`, `health.rs` | the handlers of one subject each |
//! | `kept.rs` | what was written when the session was over |
//! | `note.rs` | what was just done |
//! | `assets.rs`, `page.css`, `page.js`, `icon.svg` | what stays the same |

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, VARY};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::{Markup, html};

pub(super) use self::asked::FRAGMENT;
pub(super) use self::kept::Kept;
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
mod kept;
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

/// What a browser is answered in place of `response`, where the page has no words of its own for the problem.
pub(super) fn turned_away(base: &str, problem: &Problem, response: Response) -> Response {
    let middle = html! {
        (problem::told(problem))
        p { a href={ (base) "/" } { "To the destinations" } }
    };
    worded(response, show(&frame::bare(base, "Not done", &middle)))
}

/// Makes pages of problems, for whoever is known.
async fn in_words(State(panel): State<Arc<Panel>>, request: Request, next: Next) -> Response {
    let frame = Frame::of(&panel, request.uri(), request.headers(), request.extensions());
    let mut response = next.run(request).await;
    let Ok(frame) = frame else { return response };
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    worded(response, show(&problem::page(&frame, &problem)))
}

/// The page in place of a problem's answer, which keeps its status and what else it says in headers, such as `Allow`.
fn worded(response: Response, page: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let (told, body) = page.into_parts();
    parts.headers.extend(told.headers);
    Response::from_parts(parts, body)
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

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::StatusCode;
    use axum::http::header::{ALLOW, CONTENT_TYPE};

    use super::*;

    #[tokio::test]
    async fn a_problem_becomes_a_page_and_keeps_its_status_and_its_headers() {
        let problem = Problem::method("GET, HEAD").advise("<ask>");
        let answered = turned_away("/siem", &problem, problem.clone().into_response());
        assert_eq!(answered.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answered.headers()[ALLOW], "GET, HEAD");
        assert_eq!(answered.headers().get_all(CONTENT_TYPE).iter().count(), 1);
        assert_eq!(answered.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let text = to_bytes(answered.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("&lt;ask&gt;") && text.contains("href=\"/siem/\""), "{text}");
    }
}
