//! Login and logout: a token for a cookie, and the cookie for nothing.
//!
//! Who was on the way to a page gets there: its path travels with the form as `next`, and only a path of our own counts. Who
//! had written something into a form when their session was over gets back to that, see [`Kept`].

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::uri::PathAndQuery;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::door::{COOKIE_NAME, cookies, field, is_form};
use super::secret_bytes;
use super::serve::Peer;
use crate::control::http::{Panel, Problem, body};
use crate::control::page::{self, Kept};
use crate::runtime::clock;
use crate::time::Millis;

/// What is answered to whoever is not logged in.
pub(in crate::control) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/login", get(form).post(log_in).fallback(|| async { Problem::method("GET, HEAD, POST") }))
}

/// What is answered behind the door.
pub(in crate::control) fn routes_inside() -> Router<Arc<Panel>> {
    Router::new().route("/logout", post(log_out).fallback(|| async { Problem::method("POST") }))
}

async fn form(State(panel): State<Arc<Panel>>, uri: Uri) -> Response {
    let next = field(uri.query().unwrap_or_default().as_bytes(), NEXT);
    show(&panel, StatusCode::OK, None, Bound { next: own_path(next.as_deref()), kept: None })
}

/// Where somebody is bound, and what they take along.
#[derive(Clone, Copy)]
struct Bound<'b> {
    next: &'b str,
    kept: Option<&'b Kept>,
}

/// What whoever is turned away from a page is answered: the way to the login, or that itself where they take something along.
pub(super) async fn instead_of(panel: &Panel, request: Request) -> Response {
    let leads = || Redirect::to(&panel.access.address.path(&leading_to(&request))).into_response();
    if request.method().is_safe() || !is_form(request.headers()) {
        return leads();
    }
    let path = path_of(&request).to_owned();
    let Ok(form) = body(request, KEPT_MAX).await else {
        let bound = Bound { next: HOME, kept: None };
        return show(panel, StatusCode::UNAUTHORIZED, Some(TOO_LONG), bound);
    };
    match Kept::sent(&path, &form) {
        Some(kept) => show(panel, StatusCode::UNAUTHORIZED, Some(OVER), Bound { next: &path, kept: Some(&kept) }),
        None => Redirect::to(&panel.access.address.path("/login")).into_response(),
    }
}

/// What is answered to a form of a session that is over, from within another one: the way back to what was written.
pub(super) fn way_back(panel: &Panel, path: &str, form: &[u8], csrf: &str) -> Option<Response> {
    let kept = Kept::sent(own_path(Some(path)), form)?;
    let base = panel.access.base_path();
    let middle = html! {
        div.problem role="alert" { p { "This form was opened in a session that is over, and nothing was saved." } }
        (kept.way_back(base, csrf))
    };
    Some((StatusCode::FORBIDDEN, Html(page::outside(base, "Not done", &middle).into_string())).into_response())
}

/// The path that was asked for, if it is one of our own.
fn path_of(request: &Request) -> &str {
    own_path(request.uri().path_and_query().map(PathAndQuery::as_str))
}

/// The path of the login for whoever is turned away from a page: it leads back there.
fn leading_to(request: &Request) -> String {
    let next = if request.method().is_safe() { path_of(request) } else { HOME };
    if next == HOME {
        return "/login".to_owned();
    }
    format!("/login?{}", form_urlencoded::Serializer::new(String::new()).append_pair(NEXT, next).finish())
}

/// `next`, if it is a path of our own, else the first page. What begins with two slashes, or with one and a backslash,
/// browsers take for another host; backslashes and control characters elsewhere they rewrite or drop.
fn own_path(next: Option<&str>) -> &str {
    let is_own = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && next.len() <= NEXT_MAX
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_own).unwrap_or(HOME)
}

async fn log_in(
    State(panel): State<Arc<Panel>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Result<Response, Problem> {
    let access = &panel.access;
    let headers = request.headers().clone();
    if !is_form(&headers) {
        let detail = "a login is the form that /login shows".to_owned();
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            .advise("a program needs no login: it sends `Authorization: Bearer …` with each request"));
    }
    let form = body(request, FORM_MAX).await?;
    let next = field(&form, NEXT);
    let next = own_path(next.as_deref());
    let kept = Kept::carried(next, &form);
    let bound = Bound { next, kept: kept.as_ref() };
    let secret = Zeroizing::new(field(&form, "token").unwrap_or_default());
    let Some((token, person)) = access.tokens.of_secret(secret.trim(), clock::wall_ms()) else {
        // Only who is wrong waits: others may share the address, behind a proxy everybody does.
        if let Err(wait) = access.throttle().fail(peer.ip(), clock::now()) {
            return Ok(too_often(&panel, wait, bound));
        }
        tracing::warn!("a login from {} failed: no such token", peer.ip());
        let what = "This token is unknown, revoked or has expired.";
        return Ok(show(&panel, StatusCode::UNAUTHORIZED, Some(what), bound));
    };
    let chance = secret_bytes().and_then(|first| Ok([first, secret_bytes()?]));
    let chance = chance.map_err(|problem| Problem::internal(&problem))?;
    // Whoever logs in again leaves no other session behind.
    cookies(&headers).for_each(|cookie| access.sessions().end(cookie));
    let cookie = access.sessions().begin(token, clock::now(), &chance);
    tracing::info!("{} has logged in from {}", person.who, peer.ip());
    let begun = access.sessions().find(&cookie, clock::now());
    let on = match (&kept, begun) {
        (Some(kept), Some(begun)) => {
            let middle = html! {
                p { "You are logged in. What you had written is here still, but secrets; nothing is saved yet." }
                (kept.way_back(access.base_path(), &begun.csrf))
            };
            Html(page::outside(access.base_path(), "Logged in", &middle).into_string()).into_response()
        }
        _ => Redirect::to(&access.address.path(next)).into_response(),
    };
    Ok(with_cookie(&panel, &headers, &cookie, None, on))
}

async fn log_out(State(panel): State<Arc<Panel>>, headers: HeaderMap) -> Response {
    cookies(&headers).for_each(|cookie| panel.access.sessions().end(cookie));
    let login = Redirect::to(&panel.access.address.path("/login")).into_response();
    with_cookie(&panel, &headers, "", Some(0), login)
}

fn too_often(panel: &Panel, wait: Millis, bound: Bound<'_>) -> Response {
    let seconds = wait.0.div_ceil(1_000);
    let what = format!("Too many logins have failed. Try again in {seconds} s.");
    let mut response = show(panel, StatusCode::TOO_MANY_REQUESTS, Some(&what), bound);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// An answer that brings another cookie.
fn with_cookie(
    panel: &Panel,
    headers: &HeaderMap,
    value: &str,
    max_age: Option<u64>,
    mut response: Response,
) -> Response {
    let address = &panel.access.address;
    // A proxy may speak TLS before us; the page's origin tells.
    let is_secure =
        address.is_tls || headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    if let Ok(cookie) = HeaderValue::from_str(&cookie(value, address.cookie_path(), is_secure, max_age)) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn cookie(value: &str, path: &str, is_secure: bool, max_age: Option<u64>) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    let max_age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{COOKIE_NAME}={value}; Path={path}; HttpOnly; SameSite=Strict{secure}{max_age}")
}

fn show(panel: &Panel, status: StatusCode, problem: Option<&str>, bound: Bound<'_>) -> Response {
    let address = &panel.access.address;
    let form = login_form(&address.path("/login"), problem, bound);
    (status, Html(page::outside(&address.base_path, "Log in", &form).into_string())).into_response()
}

fn login_form(action: &str, problem: Option<&str>, Bound { next, kept }: Bound<'_>) -> Markup {
    html! {
        @if let Some(problem) = problem {
            div #problem.problem role="alert" { p { (problem) } }
        }
        form method="post" action=(action) {
            @if next != HOME { input type="hidden" name=(NEXT) value=(next); }
            @if let Some(kept) = kept { (kept.hidden()) }
            div.field {
                label for="token" { "Token" }
                input #token name="token" type="password" autocomplete="current-password" required autofocus
                    aria-describedby="help";
                small #help {
                    "The first one lies on the node, usually in " code { "/var/lib/scaidrive-siem/admin-token" }
                    ". " code { "scaidrive-siem token create" } " makes more."
                }
            }
            button.first type="submit" { "Log in" }
        }
    }
}

/// The name of the field that says where somebody was going.
const NEXT: &str = "next";
/// Bytes of that path at most.
const NEXT_MAX: usize = 1 << 10;
/// Where who was going nowhere else goes.
const HOME: &str = "/";
/// Bytes of a form at most that goes through the login; whoever sends it is not known yet.
const KEPT_MAX: usize = 128 << 10;
/// Bytes of the login's form at most: names of what it takes along are longer there.
const FORM_MAX: usize = KEPT_MAX + (16 << 10);
/// What is said above the login to whoever has written something.
const OVER: &str = "Your session is over, and nothing was saved. What you had written comes back after the login; secrets are not kept, and are written again.";
/// The same where it was too much.
const TOO_LONG: &str = "Your session is over, and nothing was saved. What you had written is too long to go through the login: go back in your browser, and copy it first.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_our_pages_alone() {
        assert_eq!(cookie("v", "/siem", true, None), "siem_session=v; Path=/siem; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(cookie("", "/", false, Some(0)), "siem_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }

    fn to(next: &str) -> Bound<'_> {
        Bound { next, kept: None }
    }

    #[test]
    fn the_form_shows_what_went_wrong_and_never_as_markup() {
        let text = page::outside("/siem", "Log in", &login_form("/siem/login", Some("<script>"), to("/a?b=\"<i>")))
            .into_string();
        assert!(text.starts_with("<!DOCTYPE html><html lang=\"en\">") && text.contains("action=\"/siem/login\""));
        assert!(text.contains("href=\"/siem/assets/page.") && text.contains("role=\"alert\"><p>&lt;script&gt;</p>"));
        assert!(!text.contains("<script") && text.contains("value=\"/a?b=&quot;&lt;i&gt;\""), "{text}");
        let text = login_form("/login", None, to(HOME)).into_string();
        assert!(!text.contains("hidden"), "{text}");
    }

    #[test]
    fn who_logs_in_is_led_to_paths_of_our_own_and_nowhere_else() {
        for own in
            ["/", "/destinations/a", "/?find=x&page=2", "/events?action=file.*", "/destinations/%2f%2fevil.example"]
        {
            assert_eq!(own_path(Some(own)), own);
        }
        let long = format!("/{}", "x".repeat(NEXT_MAX));
        for other in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x=y",
            "/\t/evil.example",
            "/a b",
            "/\u{e9}",
            "/a\\b",
            long.as_str(),
        ] {
            assert_eq!(own_path(Some(other)), HOME, "{other:?}");
        }
        assert_eq!(own_path(None), HOME);
    }

    #[test]
    fn the_login_remembers_a_page_that_was_looked_at_and_nothing_that_was_sent() {
        let asked = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(axum::body::Body::empty()).unwrap();
            leading_to(&request)
        };
        assert_eq!(asked("GET", "/"), "/login");
        assert_eq!(asked("GET", "/events?action=file.*&user=a"), "/login?next=%2Fevents%3Faction%3Dfile.*%26user%3Da");
        assert_eq!(asked("POST", "/destinations/a/pause"), "/login");
        assert_eq!(asked("GET", "//evil.example/x"), "/login");
    }
}
