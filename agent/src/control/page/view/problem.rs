//! What did not work, as a page: what, and what to do about it.

use axum::http::StatusCode;
use maud::{Markup, html};

use super::frame::{Frame, Place};
use super::words::ticked;
use crate::control::http::Problem;

/// See the module.
pub(in crate::control::page) fn page(frame: &Frame, problem: &Problem) -> Markup {
    let title = match problem.status {
        StatusCode::NOT_FOUND => "Not there",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "Not allowed",
        status if status.is_server_error() => "The agent could not do that",
        _ => "That did not work",
    };
    frame.page(
        Place::Elsewhere,
        title,
        &html! {
            (told(problem))
            p { a href=(frame.link("/")) { "To the destinations" } }
        },
    )
}

/// A problem beside something else.
pub(in crate::control::page) fn told(problem: &Problem) -> Markup {
    html! {
        div.problem role="alert" {
            p { strong { (problem.detail) } }
            @if let Some(advice) = &problem.advice { p { "What to do: " (ticked(advice)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::access::Role;
    use crate::control::page::view::tests::frame;

    #[test]
    fn a_problem_says_what_and_what_to_do_and_is_escaped() {
        let problem =
            Problem::new(StatusCode::NOT_FOUND, "there is no destination \"<b>\"".to_owned()).advise("name one");
        let text = page(&frame(Role::Admin), &problem).into_string();
        assert!(text.contains("<h1>Not there</h1>") && text.contains("&quot;&lt;b&gt;&quot;"), "{text}");
        assert!(text.contains("What to do: name one"));
    }
}
