//! Dead letters: which stores there are, what is in one, and one letter with the reply to it.

use maud::{Markup, html};

use super::frame::{Frame, Place};
use super::parts::facts;
use super::words::{count, many, size, time};
use crate::control::letters::change::LetterName;
use crate::control::letters::{LetterLine, LetterPage, LetterWhole, StoreLine};

/// Every store.
pub(in crate::control::page) fn stores(frame: &Frame, stores: &[StoreLine]) -> Markup {
    let used: Vec<&StoreLine> = stores.iter().filter(|store| store.events > 0).collect();
    let middle = html! {
        p { "Events that a destination refused for good are kept here with its reply, until they are sent again or dropped." }
        div #stores data-live {
            @if used.is_empty() { p { "There are none: every event was taken, waits, or was not wanted." } }
            @else { table {
                caption { "Destinations with dead letters" }
                thead { tr { th scope="col" { "Destination" } th.number scope="col" { "Events" } th.number scope="col" { "Size" } } }
                tbody { @for store in used { tr {
                    th scope="row" { (of(frame, store)) }
                    td.number { (count(store.events)) }
                    td.number { (size(store.bytes)) " of " (size(store.max_bytes)) }
                } } }
            } }
        }
    };
    frame.page(Place::DeadLetters, "Dead letters", &middle)
}

/// Whose store it is. Under a name that is gone there may be another one by now, so that leads nowhere.
fn of(frame: &Frame, store: &StoreLine) -> Markup {
    match store.gone_since_ms {
        None => html! { a href=(frame.link(&format!("/deadletters/{}", store.destination))) { (store.destination) } },
        Some(since_ms) => html! {
            (store.destination) " " span.badge.calm { "gone" } " "
            small { "since " (time(since_ms)) "; made again with the same id, it has them again" }
        },
    }
}

/// A page of one store, of letters after the id `after`.
pub(in crate::control::page) fn store(frame: &Frame, destination: &str, page: &LetterPage, after: u64) -> Markup {
    let middle = html! {
        p {
            (many(page.events, "dead letter", "dead letters")) " of "
            a href=(frame.link(&format!("/destinations/{destination}"))) { (destination) } ", oldest first. Open one to see the event and the reply; what was mended, there or in the event, is sent again."
        }
        @if page.letters.is_empty() {
            p { "There are none here. " a href=(frame.link("/deadletters")) { "To all dead letters" } }
        } @else if frame.may_change() {
            (frame.form(&format!("/deadletters/{destination}/replay"), &html! {
                (letters(frame, destination, page))
                div.actions role="group" aria-label="Actions" {
                    button type="submit" { "Send the ticked ones again" }
                    button type="submit" name="up_to" value=(page.newest) { "Send all " (count(page.events)) " again" }
                    button.danger type="submit" formaction=(frame.link(&format!("/deadletters/{destination}/drop"))) { "Drop the ticked ones …" }
                    button.danger type="submit" name="up_to" value=(page.newest)
                        formaction=(frame.link(&format!("/deadletters/{destination}/drop"))) { "Drop all " (count(page.events)) " …" }
                }
            }))
        } @else { (letters(frame, destination, page)) }
        nav.pages aria-label="Pages of the store" {
            @if after > 0 { a rel="first" href=(frame.link(&format!("/deadletters/{destination}"))) { "To the oldest" } }
            @if let Some(next) = page.next_after {
                a rel="next" href=(frame.link(&format!("/deadletters/{destination}?after={next}"))) { "Next" }
            }
        }
    };
    frame.page(Place::DeadLetters, &format!("Dead letters of {destination}"), &middle)
}

fn letters(frame: &Frame, destination: &str, page: &LetterPage) -> Markup {
    html! {
        table.cards role="table" {
            caption { "Refused for good" }
            thead role="rowgroup" { tr role="row" {
                @if frame.may_change() { th scope="col" role="columnheader" { "Tick" } }
                th scope="col" role="columnheader" { "Event" }
                th scope="col" role="columnheader" { "Refused" }
                th scope="col" role="columnheader" { "Why" }
                th.number scope="col" role="columnheader" { "Sent" }
                th.number scope="col" role="columnheader" { "Size" }
                th scope="col" role="columnheader" { "Stream" }
            } }
            tbody role="rowgroup" { @for line in &page.letters { (row(frame, destination, line)) } }
        }
    }
}

fn row(frame: &Frame, destination: &str, line: &LetterLine) -> Markup {
    let path = letter_path(destination, &line.stream, line.n);
    html! {
        tr role="row" {
            @if frame.may_change() {
                td role="cell" data-label="Tick" {
                    input type="checkbox" name="letter" value=(value(&line.stream, line.n)) aria-label={ "event " (line.n) };
                }
            }
            th scope="row" role="rowheader" { a href=(frame.link(&path)) { "No. " (count(line.n)) } }
            td role="cell" data-label="Refused" {
                (time(line.refused_at_ms)) @if line.edited_ms.is_some() { " " span.badge.calm { "edited" } }
            }
            td role="cell" data-label="Why" { (line.reason) }
            td.number role="cell" data-label="Sent" { (many(line.attempts.into(), "time", "times")) }
            td.number role="cell" data-label="Size" { (size(line.bytes)) }
            td role="cell" data-label="Stream" { small { (line.stream) } }
        }
    }
}

/// One letter. `edited` is what somebody wished to put in its place and `problem` why that was refused.
pub(in crate::control::page) fn letter(
    frame: &Frame,
    whole: &LetterWhole,
    edited: Option<&str>,
    problem: Option<&Markup>,
) -> Markup {
    let line = &whole.line;
    let destination = &line.destination;
    let path = letter_path(destination, &line.stream, line.n);
    let middle = html! {
        @if let Some(problem) = problem { (problem) }
        p { a href=(frame.link(&format!("/deadletters/{destination}"))) { "All dead letters of " (destination) } }
        (facts(&[
            ("Refused", html! { (time(line.refused_at_ms)) }),
            ("Why", html! { (line.reason) }),
            ("Sent", html! { (many(line.attempts.into(), "time", "times")) }),
            ("Stream", html! { (line.stream) }),
            ("Edited", html! { @match line.edited_ms { Some(at) => { (time(at)) }, None => { "no" } } }),
        ]))
        h2 { "What " (destination) " answered" }
        pre tabindex="0" { code { (whole.reply) } }
        h2 { "The event" }
        pre tabindex="0" { code { (indented(whole.event.get())) } }
        @if frame.may_change() {
            (frame.form(&format!("/deadletters/{destination}/replay"), &html! {
                input type="hidden" name="letter" value=(value(&line.stream, line.n));
                div.actions role="group" aria-label="Actions" {
                    button.first type="submit" { "Send it again" }
                    button.danger type="submit" formaction=(frame.link(&format!("/deadletters/{destination}/drop"))) { "Drop it …" }
                }
            }))
            details open[problem.is_some()] {
                summary { "Edit it" }
                (frame.form(&path, &html! {
                    div.field.full {
                        label for="event" { "The event as it is to be sent" }
                        textarea #event name="event" rows="14" spellcheck="false" aria-describedby="event-help" {
                            (edited.unwrap_or(whole.event.get()))
                        }
                        small #event-help { "Its " code { "event_id" } " and " code { "tenant_id" } " must stay. It is kept first, and sent when you say so." }
                    }
                    button type="submit" { "Keep the edited event" }
                }))
            }
        }
    };
    frame.page(Place::DeadLetters, &format!("Dead letter {} of {destination}", count(line.n)), &middle)
}

/// Which letters are to be dropped for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control::page) enum ToDrop<'a> {
    /// These.
    Letters(&'a [LetterName]),
    /// Every one up to this id.
    UpTo(u64),
}

/// Asks whether letters are really to be dropped.
pub(in crate::control::page) fn ask_drop(frame: &Frame, destination: &str, letters: &ToDrop<'_>) -> Markup {
    let what = match letters {
        ToDrop::Letters(letters) => many(letters.len() as u64, "dead letter", "dead letters"),
        ToDrop::UpTo(_) => "all dead letters".to_owned(),
    };
    let inside = html! {
        @match letters {
            ToDrop::UpTo(last) => { input type="hidden" name="up_to" value=(last); },
            ToDrop::Letters(letters) => {
                @for letter in *letters { input type="hidden" name="letter" value=(value(&letter.stream, letter.n)); }
            },
        }
        (frame.last_line(
            &html! { button.danger type="submit" name="sure" value="yes" { "Drop " (what) " for good" } },
            &format!("/deadletters/{destination}"),
        ))
    };
    frame.page(Place::DeadLetters, &format!("Drop {what} of {destination}?"), &html! {
        p { "This can't be undone: the events are gone from this agent, and " (destination) " never gets them. The audit trail keeps their numbers." }
        (frame.form(&format!("/deadletters/{destination}/drop"), &inside))
    })
}

fn letter_path(destination: &str, stream: &str, n: u64) -> String {
    format!("/deadletters/{destination}/{stream}/{n}")
}

/// A letter as a form names it.
fn value(stream: &str, n: u64) -> String {
    format!("{stream}:{n}")
}

/// The letter that a form names.
pub(in crate::control::page) fn named(value: &str) -> Option<LetterName> {
    let (stream, n) = value.rsplit_once(':')?;
    Some(LetterName { stream: stream.to_owned(), n: n.parse().ok()? })
}

/// JSON on lines of its own: nothing but white space is added, so numbers stay to the last digit.
fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth.min(DEPTH_MAX)));
    };
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if is_text {
            text.push(c);
            (is_text, is_escaped) = (is_escaped || c != '"', c == '\\' && !is_escaped);
            continue;
        }
        match c {
            '{' | '[' => {
                text.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                is_text = c == '"';
                text.push(c);
            }
        }
    }
    text
}

/// Deeper values are indented no further.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::control::access::Role;
    use crate::control::page::view::tests::{assert_strict, frame};

    fn line() -> LetterLine {
        LetterLine {
            destination: "hec".to_owned(),
            stream: "agent.5a.0.aa".to_owned(),
            n: 1_234,
            refused_at_ms: 0,
            reason: "<b>bad</b>".to_owned(),
            attempts: 1,
            bytes: 2_048,
            edited_ms: None,
        }
    }

    fn whole(event: &str) -> LetterWhole {
        let event = RawValue::from_string(event.to_owned()).unwrap();
        LetterWhole { line: line(), reply: "</pre><script>x</script>".to_owned(), event }
    }

    #[test]
    fn an_event_and_a_reply_are_shown_as_text_whatever_they_hold() {
        let event = r#"{"action":"</code><script>alert(1)</script>","n":1.10}"#;
        let page = letter(&frame(Role::Admin), &whole(event), None, None);
        assert_strict(&page);
        let text = page.into_string();
        assert!(!text.contains("<script>x") && !text.contains("<script>alert") && !text.contains("<b>bad"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(1)") && text.contains("&quot;n&quot;: 1.10"), "{text}");
    }

    #[test]
    fn who_may_look_only_gets_nothing_to_tick_or_send() {
        let page_of = LetterPage { letters: vec![line()], next_after: Some(7), events: 1, newest: 7 };
        let viewer =
            [store(&frame(Role::Viewer), "hec", &page_of, 0), letter(&frame(Role::Viewer), &whole("{}"), None, None)];
        for text in viewer.map(Markup::into_string) {
            assert!(!text.contains("<form") && !text.contains("<button") && !text.contains("<input"), "{text}");
        }
        let page = store(&frame(Role::Admin), "hec", &page_of, 3);
        assert_strict(&page);
        let text = page.into_string();
        assert!(
            text.contains("value=\"agent.5a.0.aa:1234\"")
                && text.contains("?after=7")
                && text.contains("To the oldest")
        );
    }

    #[test]
    fn what_was_refused_stays_in_the_form_beside_the_reason() {
        let problem = html! { p { "it is no event" } };
        let text = letter(&frame(Role::Admin), &whole("{}"), Some("{\"mine\":"), Some(&problem)).into_string();
        assert!(text.contains("{&quot;mine&quot;:</textarea>") && text.contains("<details open>"), "{text}");
    }

    #[test]
    fn dropping_is_asked_about_on_a_page_of_its_own() {
        let letters = [LetterName { stream: "a.b".to_owned(), n: 1 }, LetterName { stream: "a.b".to_owned(), n: 2 }];
        let page = ask_drop(&frame(Role::Admin), "hec", &ToDrop::Letters(&letters));
        assert_strict(&page);
        let text = page.into_string();
        assert!(text.contains("Drop 2 dead letters for good") && text.contains("can't be undone"), "{text}");
        assert!(text.contains("name=\"letter\" value=\"a.b:2\""));
        assert!(
            ask_drop(&frame(Role::Admin), "hec", &ToDrop::UpTo(9)).into_string().contains("name=\"up_to\" value=\"9\"")
        );
    }

    #[test]
    fn empty_stores_are_not_listed() {
        let store = |destination: &str, events| StoreLine {
            destination: destination.to_owned(),
            events,
            bytes: 1,
            max_bytes: 2,
            gone_since_ms: None,
        };
        let text = stores(&frame(Role::Viewer), &[store("full", 3), store("empty", 0)]).into_string();
        assert!(text.contains("/deadletters/full") && !text.contains("/deadletters/empty"));
        assert!(stores(&frame(Role::Viewer), &[store("empty", 0)]).into_string().contains("There are none"));
        let gone = StoreLine { gone_since_ms: Some(7), ..store("left", 3) };
        let text = stores(&frame(Role::Viewer), &[gone]).into_string();
        assert!(text.contains("left <span class=\"badge calm\">gone") && !text.contains("/deadletters/left"), "{text}");
    }

    #[test]
    fn a_letter_is_named_in_a_form_by_its_stream_and_number() {
        assert_eq!(named(&value("a.b", 7)), Some(LetterName { stream: "a.b".to_owned(), n: 7 }));
        assert_eq!((named("a.b"), named("a:b"), named("")), (None, None, None));
    }

    #[test]
    fn json_is_set_in_lines_and_texts_in_it_are_left_alone() {
        let json = r#"{"a":[1,{"b":"x:{,\"y\\"}],"c":{ },"d":1e400}"#;
        let text = indented(json);
        assert_eq!(
            text,
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x:{,\\\"y\\\\\"\n    }\n  ],\n  \"c\": {},\n  \"d\": 1e400\n}"
        );
        indented("]]]}}}\"");
    }
}
