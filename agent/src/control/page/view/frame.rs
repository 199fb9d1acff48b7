//! What is around every page: the way to the others, who is there, and what was just done. Forms carry the token that
//! shows they are ours.

use maud::{DOCTYPE, Markup, html};

use super::words::time;
use crate::control::access::{Person, Reach, Role};
use crate::control::page::assets;
use crate::control::page::note::Note;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::control::page) struct Frame {
    /// Who looks.
    pub(in crate::control::page) person: Person,
    /// What every form carries; none over the admin socket.
    pub(in crate::control::page) csrf: Option<String>,
    /// Whether they have logged in here, and so can log out.
    pub(in crate::control::page) may_leave: bool,
    /// What stands before every path, where a proxy serves the page below one of its own; without a slash at its end.
    pub(in crate::control::page) base: String,
    /// The label of the node.
    pub(in crate::control::page) node: String,
    /// What was just done.
    pub(in crate::control::page) note: Option<Note>,
    /// Whether a script asks, which has everything around the page already.
    pub(in crate::control::page) is_fragment: bool,
    /// The time, ms since 1970.
    pub(in crate::control::page) now_ms: i64,
}

/// The pages that every page leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control::page) enum Place {
    /// `/`, and all about one destination
    Destinations,
    /// `/deadletters`
    DeadLetters,
    /// `/events`
    Events,
    /// `/changes`
    Changes,
    /// `/health`
    Health,
    /// None of them.
    Elsewhere,
}

impl Place {
    const ALL: [Place; 5] = [Place::Destinations, Place::DeadLetters, Place::Events, Place::Changes, Place::Health];

    fn path(self) -> &'static str {
        match self {
            Place::Destinations | Place::Elsewhere => "/",
            Place::DeadLetters => "/deadletters",
            Place::Events => "/events",
            Place::Changes => "/changes",
            Place::Health => "/health",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Place::Destinations | Place::Elsewhere => "Destinations",
            Place::DeadLetters => "Dead letters",
            Place::Events => "Events",
            Place::Changes => "Changes",
            Place::Health => "Health",
        }
    }
}

impl Frame {
    /// Whether they may change anything; who may not is shown no buttons.
    pub(in crate::control::page) fn may_change(&self) -> bool {
        self.person.role == Role::Admin
    }

    /// Whether they may know of the agent itself, which tells of everybody's events.
    pub(in crate::control::page) fn sees_the_agent(&self) -> bool {
        self.person.reach == Reach::All
    }

    /// A path as a browser must ask for it.
    pub(in crate::control::page) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A form that changes something.
    pub(in crate::control::page) fn form(&self, action: &str, inside: &Markup) -> Markup {
        html! {
            form method="post" action=(self.link(action)) {
                @if let Some(csrf) = &self.csrf { input type="hidden" name="_csrf" value=(csrf); }
                (inside)
            }
        }
    }

    /// A form's last line: what it does, and the way back without doing it.
    pub(in crate::control::page) fn last_line(&self, button: &Markup, back: &str) -> Markup {
        html! {
            div.actions role="group" aria-label="Actions" {
                (button)
                a.button href=(self.link(back)) { "Cancel" }
            }
        }
    }

    /// A form that is one button.
    pub(in crate::control::page) fn button(&self, action: &str, words: &str) -> Markup {
        self.form(action, &html! { button type="submit" { (words) } })
    }

    /// The whole page, or what is in its middle where a script asks for it.
    pub(in crate::control::page) fn page(&self, place: Place, title: &str, middle: &Markup) -> Markup {
        if self.is_fragment {
            return middle.clone();
        }
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    (about(&self.base, &format!("{title} · SIEM · {}", self.node)))
                    script type="module" src=(self.link(&assets::SCRIPT.path())) {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header { (self.head(place)) }
                    main #main tabindex="-1" {
                        @if let Some(note) = self.note { p.note role="status" { (note.words()) } }
                        h1 { (title) }
                        (middle)
                    }
                    footer {
                        p #connection role="status" {}
                        noscript { p {
                            "This page shows the state of " (time(self.now_ms)) ". Reload it to see a newer one."
                        } }
                        p { "scaidrive-siem " (env!("CARGO_PKG_VERSION")) " on " (self.node) }
                    }
                }
            }
        }
    }

    fn head(&self, place: Place) -> Markup {
        html! {
            a.brand href=(self.link("/")) { "Compliance → SIEM" }
            nav aria-label="Pages" { ul {
                @for known in Place::ALL.into_iter().filter(|known| *known != Place::Health || self.sees_the_agent()) {
                    li { a href=(self.link(known.path())) aria-current=[(known == place).then_some("page")] { (known.title()) } }
                }
            } }
            div.who {
                span { (self.node) }
                span { (self.person.who) @if !self.may_change() { " (may look, not change)" } }
                @if self.may_leave { (self.button("/logout", "Log out")) }
            }
        }
    }
}

/// A page for whoever is not known yet: it leads nowhere and tells nothing.
pub(in crate::control::page) fn bare(base: &str, title: &str, middle: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (about(base, &format!("{title} · SIEM"))) }
            body { main.alone { h1 { "Compliance → SIEM" } (middle) } }
        }
    }
}

/// What a browser needs to know of every page.
fn about(base: &str, title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        title { (title) }
        link rel="icon" type="image/svg+xml" href={ (base) (assets::ICON.path()) };
        link rel="stylesheet" href={ (base) (assets::STYLE.path()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::page::view::tests::{assert_strict, frame};

    #[test]
    fn a_page_escapes_what_it_is_told_and_obeys_the_strictest_policy() {
        let mut around = frame(Role::Admin);
        around.node = "<script>alert(1)</script>".to_owned();
        around.person.who = "\"><img src=x>".to_owned();
        let page = around.page(Place::Destinations, "a & b", &html! { p { "middle" } });
        assert_strict(&page);
        let text = page.into_string();
        assert!(text.contains("&lt;script&gt;alert(1)") && !text.contains("<img"), "{text}");
        assert!(text.contains("<h1>a &amp; b</h1>") && text.contains("aria-current=\"page\">Destinations"), "{text}");
        assert!(text.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    }

    #[test]
    fn a_script_gets_the_middle_alone() {
        let around = Frame { is_fragment: true, ..frame(Role::Admin) };
        assert_eq!(around.page(Place::Health, "Health", &html! { p { "x" } }).into_string(), "<p>x</p>");
    }

    #[test]
    fn every_form_carries_the_token_and_every_path_the_base() {
        let around = Frame { base: "/siem".to_owned(), ..frame(Role::Admin) };
        let text = around.button("/destinations/a/pause", "Pause").into_string();
        assert_eq!(
            text,
            "<form method=\"post\" action=\"/siem/destinations/a/pause\">\
             <input type=\"hidden\" name=\"_csrf\" value=\"c5rf\"><button type=\"submit\">Pause</button></form>"
        );
        assert!(!Frame { csrf: None, ..around }.button("/x", "X").into_string().contains("_csrf"));
    }

    #[test]
    fn who_has_logged_in_can_log_out_and_nobody_else() {
        let text = |may_leave| {
            let around = Frame { may_leave, ..frame(Role::Viewer) };
            around.page(Place::Health, "Health", &html! {}).into_string()
        };
        assert!(text(true).contains("action=\"/logout\"") && !text(false).contains("logout"));
    }

    #[test]
    fn who_is_bound_to_tenants_is_not_led_to_what_tells_of_others() {
        let mut around = frame(Role::Viewer);
        around.person.reach = Reach::Tenants(std::iter::once("acme".to_owned()).collect());
        let text = around.page(Place::Destinations, "x", &html! {}).into_string();
        assert!(!text.contains("/health") && text.contains("(may look, not change)"));
    }
}
