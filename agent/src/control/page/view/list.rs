//! All destinations: those that want attention first, unless somebody sorts them otherwise.

use maud::{Markup, html};

use super::form::kind_title;
use super::frame::{Frame, Place};
use super::parts::{badge, headroom, waiting, wants_attention};
use super::words::{count, many, rate, size, span, ticked, time, time_or};
use crate::control::http::managed::Unusable;
use crate::control::states::badness;
use crate::control::status::DestinationStatus;

/// One destination of the list.
#[derive(Clone, Debug)]
pub(in crate::control::page) struct Line {
    /// How it is.
    pub(in crate::control::page) status: DestinationStatus,
    /// Whose events it gets.
    pub(in crate::control::page) tenants: Vec<String>,
}

/// What is to be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::control::page) struct Wish {
    /// In which order.
    pub(in crate::control::page) sort: Sort,
    /// What names, types or tenants must hold.
    pub(in crate::control::page) find: String,
    /// Which page, from 0.
    pub(in crate::control::page) page: usize,
}

/// An order of destinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control::page) enum Sort {
    /// The worst state first, then the longest lag.
    #[default]
    Attention,
    /// By name.
    Name,
    /// The longest lag first.
    Lag,
    /// The most waiting events first.
    Waiting,
    /// The fastest first.
    Rate,
}

impl Sort {
    const ALL: [Sort; 5] = [Sort::Attention, Sort::Name, Sort::Lag, Sort::Waiting, Sort::Rate];

    /// The word for it in an address.
    pub(in crate::control::page) fn code(self) -> &'static str {
        match self {
            Sort::Attention => "attention",
            Sort::Name => "name",
            Sort::Lag => "lag",
            Sort::Waiting => "waiting",
            Sort::Rate => "rate",
        }
    }

    /// The one with this word; the usual one for any other.
    pub(in crate::control::page) fn named(code: &str) -> Sort {
        Sort::ALL.into_iter().find(|sort| sort.code() == code).unwrap_or_default()
    }

    fn apply(self, lines: &mut [Line]) {
        let name = |line: &Line| line.status.name.clone();
        match self {
            Sort::Attention => lines.sort_by_key(|line| {
                let status = &line.status;
                let worst = std::cmp::Reverse((wants_attention(status), badness(&status.state), status.lag_ms));
                (worst, name(line))
            }),
            Sort::Name => lines.sort_by_key(name),
            Sort::Lag => lines.sort_by_key(|line| (std::cmp::Reverse(line.status.lag_ms), name(line))),
            Sort::Waiting => lines.sort_by_key(|line| (std::cmp::Reverse(waiting(&line.status).0), name(line))),
            Sort::Rate => lines.sort_by(|a, b| {
                let rates = (b.status.events_per_second, a.status.events_per_second);
                rates.0.total_cmp(&rates.1).then_with(|| name(a).cmp(&name(b)))
            }),
        }
    }
}

impl Wish {
    /// The path of the list with this wish, but another order and page.
    fn path(&self, sort: Sort, page: usize) -> String {
        let find: String = form_urlencoded::byte_serialize(self.find.as_bytes()).collect();
        format!("/?sort={}&find={find}&page={page}", sort.code())
    }

    fn fits(&self, line: &Line) -> bool {
        let find = self.find.to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&find);
        let kind = &line.status.kind;
        holds(&line.status.name)
            || holds(kind)
            || holds(kind_title(kind))
            || line.tenants.iter().any(|tenant| holds(tenant))
    }
}

/// The page. `window_ms` is how long the log holds an event.
pub(in crate::control::page) fn page(
    frame: &Frame,
    lines: Vec<Line>,
    unusable: &[Unusable],
    wish: &Wish,
    window_ms: u64,
) -> Markup {
    let middle = html! {
        div #unusable data-live { @for known in unusable { (not_used(frame, known)) } }
        @if lines.is_empty() { (nothing_yet(frame)) }
        @else { (listed(frame, lines, wish, window_ms)) }
    };
    frame.page(Place::Destinations, "Destinations", &middle)
}

fn not_used(frame: &Frame, known: &Unusable) -> Markup {
    let name = known.name.as_deref().unwrap_or(&known.key);
    html! {
        div.warning {
            p { "Destination " (name) " can't be used, and nothing is sent there." }
            ul { @for found in &known.problems { li {
                @if !found.key.is_empty() { (found.key) ": " }
                (found.what) ". " (ticked(&found.advice)) "."
            } } }
            @if known.name.is_some() && frame.may_change() {
                p { a href=(frame.link(&format!("/destinations/{name}/edit"))) { "Change " (name) " …" } }
            }
        }
    }
}

fn listed(frame: &Frame, mut lines: Vec<Line>, wish: &Wish, window_ms: u64) -> Markup {
    let all = lines.len() as u64;
    let attention = lines.iter().filter(|line| wants_attention(&line.status)).count() as u64;
    lines.retain(|line| wish.fits(line));
    wish.sort.apply(&mut lines);
    let shown = lines.len();
    // Who asks for a page behind the last one, which was there a moment ago perhaps, gets the last.
    let wish = &Wish { page: wish.page.min(shown.saturating_sub(1) / PAGE), ..wish.clone() };
    let on_page = lines.iter().skip(wish.page * PAGE).take(PAGE);
    html! {
        div.bar {
            p #summary data-live aria-live="polite" {
                (many(all, "destination", "destinations")) ", "
                @match attention {
                    0 => { "none needs attention" },
                    1 => { strong { "1 needs attention" } },
                    more => { strong { (count(more)) " need attention" } },
                }
                "."
            }
            @if frame.may_change() { (new(frame)) }
        }
        @if all > 1 { (finder(frame, wish)) }
        @if shown == 0 { p { "No destination has “" (wish.find) "” in its name, type or tenants." } }
        @else {
            table.cards #destinations data-live role="table" {
                caption { "Where events go, and how it goes there" }
                (heads(frame, wish))
                tbody role="rowgroup" { @for line in on_page { (row(frame, line, window_ms)) } }
            }
            div #pages data-live { (pages(frame, wish, shown)) }
        }
    }
}

fn nothing_yet(frame: &Frame) -> Markup {
    html! {
        @if frame.sees_the_agent() {
            p { "No destination is configured: events are taken in, kept for the window, and sent nowhere." }
        } @else { p { "No destination is for your tenants alone." } }
        @if frame.may_change() { (new(frame)) }
        @if frame.sees_the_agent() { p {
            "One that is kept in files goes into " code { "destinations.d" } " beside " code { "agent.toml" }
            "; then run " code { "scaidrive-siem reload" } "."
        } }
        @if !frame.may_change() { p { "That is for somebody who has the role admin." } }
    }
}

fn new(frame: &Frame) -> Markup {
    html! { p { a.button.first href=(frame.link("/new")) { "New destination …" } } }
}

fn finder(frame: &Frame, wish: &Wish) -> Markup {
    html! {
        form.finder role="search" method="get" action=(frame.link("/")) {
            input type="hidden" name="sort" value=(wish.sort.code());
            label for="find" { "Name, type or tenant" }
            input #find type="search" name="find" value=(wish.find) autocomplete="off";
            button type="submit" { "Find" }
        }
    }
}

fn heads(frame: &Frame, wish: &Wish) -> Markup {
    let sorted = |sort: Sort, order: &str, words: &str| {
        let current = (wish.sort == sort).then(|| order.to_owned());
        html! {
            th scope="col" role="columnheader" aria-sort=[current] { a href=(frame.link(&wish.path(sort, 0))) { (words) } }
        }
    };
    let plain = |words: &str| html! { th scope="col" role="columnheader" { (words) } };
    html! {
        thead role="rowgroup" { tr role="row" {
            (sorted(Sort::Name, "ascending", "Destination"))
            (plain("Tenants"))
            (sorted(Sort::Attention, "descending", "State"))
            (sorted(Sort::Lag, "descending", "Lag"))
            (sorted(Sort::Waiting, "descending", "Waiting"))
            (sorted(Sort::Rate, "descending", "Rate"))
            (plain("Last success"))
            (plain("Last error"))
            (plain("Head-room"))
        } }
    }
}

fn row(frame: &Frame, line: &Line, window_ms: u64) -> Markup {
    let status = &line.status;
    let (events, bytes) = waiting(status);
    html! {
        tr role="row" {
            th scope="row" role="rowheader" {
                a href=(frame.link(&format!("/destinations/{}", status.name))) { (status.name) } " "
                small { (kind_title(&status.kind)) }
            }
            td role="cell" data-label="Tenants" { (tenants(&line.tenants)) }
            td role="cell" data-label="State" {
                (badge(&status.state))
                @if status.state != "active" { " " small { (status.cause) } }
                @if status.books.difference > 0 { " " span.badge.bad { "books out by " (count(status.books.difference)) } }
            }
            td.number role="cell" data-label="Lag" { (span(status.lag_ms)) }
            td.number role="cell" data-label="Waiting" {
                (many(events, "event", "events")) @if let Some(bytes) = bytes { " " small { "about " (size(bytes)) } }
            }
            td.number role="cell" data-label="Rate" { (rate(status.events_per_second)) }
            td role="cell" data-label="Last success" { (time_or(status.last_success_ms, "none yet")) }
            td role="cell" data-label="Last error" {
                @match &status.last_failure {
                    Some(failure) => {
                        (time(failure.at_ms))
                        // What stands beside the state already need not be read twice.
                        @if failure.what != status.cause { " " small { (failure.what) } }
                    },
                    None => { "none" },
                }
            }
            td role="cell" data-label="Head-room" { (headroom(status, window_ms)) }
        }
    }
}

/// The first of many, and how many more.
fn tenants(tenants: &[String]) -> String {
    match tenants {
        [all] if all == "*" => "all".to_owned(),
        few if few.len() <= TENANTS_NAMED_MAX => few.join(", "),
        many => format!("{} and {} more", many[..TENANTS_NAMED_MAX].join(", "), many.len() - TENANTS_NAMED_MAX),
    }
}

fn pages(frame: &Frame, wish: &Wish, shown: usize) -> Markup {
    let last = shown.saturating_sub(1) / PAGE;
    html! {
        @if last > 0 {
            nav.pages aria-label="Pages of the list" {
                @if wish.page > 0 { a rel="prev" href=(frame.link(&wish.path(wish.sort, wish.page - 1))) { "Previous" } }
                span { "Page " (wish.page + 1) " of " (last + 1) }
                @if wish.page < last { a rel="next" href=(frame.link(&wish.path(wish.sort, wish.page + 1))) { "Next" } }
            }
        }
    }
}

/// Destinations on one page of the list.
const PAGE: usize = 50;
/// Tenants that are named in the list.
const TENANTS_NAMED_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::access::{Reach, Role};
    use crate::control::managed::tell::Error;
    use crate::control::page::view::tests::{assert_strict, frame, status};
    use crate::control::status::FailureStatus;

    fn line(name: &str, state: &str) -> Line {
        Line { status: status(name, state), tenants: vec!["*".to_owned()] }
    }

    fn text(lines: Vec<Line>, wish: &Wish) -> String {
        let page = page(&frame(Role::Admin), lines, &[], wish, 1_800_000);
        assert_strict(&page);
        page.into_string()
    }

    fn order(text: &str, names: &[&str]) -> Vec<usize> {
        names.iter().map(|name| text.find(&format!(">{name}</a>")).unwrap_or(usize::MAX)).collect()
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let text = text(Vec::new(), &Wish::default());
        assert!(text.contains("sent nowhere") && text.contains("href=\"/new\""), "{text}");
    }

    #[test]
    fn who_is_bound_to_tenants_is_not_told_that_events_go_nowhere() {
        let mut around = frame(Role::Viewer);
        around.person.reach = Reach::Tenants(std::iter::once("acme".to_owned()).collect());
        let shown = page(&around, Vec::new(), &[], &Wish::default(), 1_800_000).into_string();
        assert!(shown.contains("No destination is for your tenants alone."), "{shown}");
        assert!(!shown.contains("sent nowhere") && !shown.contains("destinations.d"), "{shown}");
    }

    #[test]
    fn what_cannot_be_used_is_shown_with_its_reason_and_the_way_to_mend_it() {
        let unusable = |name: Option<&str>| Unusable {
            key: "first".to_owned(),
            name: name.map(str::to_owned),
            problems: vec![Error {
                destination: None,
                key: "url".to_owned(),
                what: "it is <no> address".to_owned(),
                advice: "write another".to_owned(),
            }],
        };
        let shown = |role, unusable| page(&frame(role), Vec::new(), &[unusable], &Wish::default(), 1).into_string();
        let text = shown(Role::Admin, unusable(Some("late")));
        assert!(text.contains("Destination late can't be used") && text.contains("/destinations/late/edit"), "{text}");
        assert!(text.contains("url: it is &lt;no&gt; address. write another."), "{text}");
        assert!(!shown(Role::Viewer, unusable(Some("late"))).contains("/edit"));
        let text = shown(Role::Admin, unusable(None));
        assert!(text.contains("Destination first can't") && !text.contains("/edit"), "{text}");
    }

    #[test]
    fn what_wants_attention_comes_first_and_is_counted() {
        let lines = vec![line("alpha", "active"), line("beta", "retrying"), line("gamma", "auth_hold")];
        let shown = text(lines.clone(), &Wish::default());
        assert!(shown.contains("3 destinations, <strong>2 need attention</strong>"), "{shown}");
        assert!(order(&shown, &["gamma", "beta", "alpha"]).is_sorted(), "{shown}");
        let shown = text(lines, &Wish { sort: Sort::Name, ..Wish::default() });
        assert!(order(&shown, &["alpha", "beta", "gamma"]).is_sorted() && shown.contains("aria-sort=\"ascending\""));
    }

    #[test]
    fn causes_and_errors_that_others_worded_are_escaped() {
        let mut hostile = line("alpha", "retrying");
        hostile.status.cause = "<script>alert(1)</script>".to_owned();
        hostile.status.last_failure = Some(FailureStatus { at_ms: 0, what: "\"><svg onload=x>".to_owned() });
        hostile.tenants = vec!["<i>".to_owned()];
        let shown = text(vec![hostile], &Wish { find: "<I".to_owned(), ..Wish::default() });
        assert!(
            shown.contains("&lt;script&gt;alert(1)") && shown.contains("&lt;svg onload") && shown.contains("&lt;i&gt;")
        );
        assert!(!shown.contains("<script>a") && !shown.contains("<svg o"), "{shown}");
    }

    #[test]
    fn a_long_list_is_shown_in_pages_and_can_be_searched() {
        let lines: Vec<Line> = (0..120).map(|n| line(&format!("siem-{n:03}"), "active")).collect();
        let wish = Wish { sort: Sort::Name, page: 2, ..Wish::default() };
        let shown = text(lines.clone(), &wish);
        assert!(shown.contains("Page 3 of 3") && shown.contains(">siem-119</a>") && !shown.contains(">siem-099</a>"));
        let shown = text(lines.clone(), &Wish { page: usize::MAX, ..wish });
        assert!(shown.contains("Page 3 of 3") && shown.contains(">siem-119</a>"), "{shown}");
        let shown = text(lines.clone(), &Wish { find: "Siem-07".to_owned(), ..Wish::default() });
        assert!(shown.contains(">siem-070</a>") && !shown.contains(">siem-080</a>") && !shown.contains("Page 1"));
        let shown = text(lines, &Wish { find: "x\"y".to_owned(), ..Wish::default() });
        assert!(shown.contains("No destination has “x&quot;y”"), "{shown}");
    }

    #[test]
    fn the_first_view_of_two_hundred_destinations_is_small() {
        let mut worst = line("a-destination-with-quite-a-long-name", "retrying");
        worst.status.cause = "x".repeat(300);
        worst.status.last_failure = Some(FailureStatus { at_ms: 0, what: "y".repeat(300) });
        let shown = text(vec![worst; 200], &Wish::default());
        assert!(shown.len() < 150_000, "{} bytes", shown.len());
    }

    #[test]
    fn many_tenants_are_counted_rather_than_listed() {
        let named: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        assert_eq!(tenants(&named), "a, b, c and 2 more");
        assert_eq!((tenants(&named[..2]), tenants(&["*".to_owned()])), ("a, b".to_owned(), "all".to_owned()));
    }
}
