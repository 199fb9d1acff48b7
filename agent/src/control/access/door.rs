//! The door of the address: whoever passes it is a [`Person`], and every answer is told how browsers may treat it.
//!
//! Three layers, from the outside: [`guard`] refuses what a foreign page may have sent and marks every answer; then each
//! part of the routes has its own door, so no way of writing a path leads round one: [`let_in`] before the API and the
//! page, [`let_watch`] or [`let_insiders_watch`] before the metrics and the status, none before the health checks and the login.
//!
//! Who shows a token counts by that alone. Else it is who a trusted proxy names, or whose session's cookie comes. The
//! latter two come from browsers, which send them unasked: what changes something must show the CSRF token of the
//! [`Session`] as well, in the header `X-CSRF-Token` or the form field `_csrf`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use zeroize::Zeroizing;

use super::person::{Person, Reach};
use super::serve::Peer;
use super::source::{self, Names};
use super::tokens::Digest;
use super::{Access, jwt, login};
use crate::config::TrustedProxy;
use crate::control::http::{Panel, Problem, body};
use crate::control::page;
use crate::ingest::http::guard::is_same;
use crate::runtime::clock;

/// What a page needs of whoever looks at it, beside the [`Person`]; there is none for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Session {
    /// What every form must carry as `_csrf`.
    pub(in crate::control) csrf: String,
    /// Whether a login here began it, so that it can be ended here.
    pub(in crate::control) began_here: bool,
}

/// Whether whoever asked would be let in still, for answers that go on for long.
pub(in crate::control) struct Standing {
    panel: Arc<Panel>,
    /// `None` for those whom the admin socket let in, which asks the system once.
    proof: Option<Proof>,
}

/// By what somebody was let in. Has no `Debug`: a proxy's token is worth something for a while.
#[derive(Clone)]
enum Proof {
    /// What is kept of their token.
    Token(Digest),
    /// What is kept of their session's cookie.
    Session(Digest),
    /// What a proxy has signed.
    Proxy(Arc<str>),
}

/// What a request says of who sends it.
struct Asks<'a> {
    headers: &'a HeaderMap,
    /// From where; not known of who does not come over the address.
    peer: Option<IpAddr>,
    /// Whether a page asks by itself, which uses no session.
    is_by_itself: bool,
}

/// Somebody whom a request's headers name.
struct Known {
    person: Person,
    session: Option<Session>,
    proof: Proof,
}

/// Before everything: refuses what a foreign page may have sent, and marks the answer.
pub(in crate::control) async fn guard(State(panel): State<Arc<Panel>>, request: Request, next: Next) -> Response {
    let config = panel.view.config();
    let address = &panel.access.address;
    let names = Names { listen: address.listen, is_tls: address.is_tls, hosts: &config.admin.hosts };
    let mut response = match source::check(request.method(), request.uri(), request.headers(), names) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    mark(response.headers_mut(), &config.admin.frame_ancestors);
    response
}

/// Before the API and the page: somebody, or nothing.
pub(in crate::control) async fn let_in(State(panel): State<Arc<Panel>>, request: Request, next: Next) -> Response {
    let is_page = wants_a_page(&request);
    let mut response = match admit(&panel, request).await {
        Ok((request, _)) => next.run(request).await,
        Err(turned) => turned.into_response(),
    };
    // What the page has not put into its own words yet.
    match response.extensions_mut().remove::<Problem>().filter(|_| is_page) {
        Some(problem) => page::turned_away(panel.access.base_path(), &problem, response),
        None => response,
    }
}

/// Before the metrics and the status: who may see all tenants, and without `admin.metrics_need_token` who shows nothing. A
/// proxy that passes on whoever asks must not be a way to what they may not see.
pub(in crate::control) async fn let_watch(state: State<Arc<Panel>>, request: Request, next: Next) -> Response {
    let config = state.view.config();
    if config.admin.metrics_need_token || shows_something(request.headers(), config.admin.proxy.as_ref()) {
        return let_insiders_watch(state, request, next).await;
    }
    next.run(request).await
}

/// Before the metrics and the status where people come: who may see all tenants.
pub(in crate::control) async fn let_insiders_watch(
    State(panel): State<Arc<Panel>>,
    request: Request,
    next: Next,
) -> Response {
    match admit(&panel, request).await {
        Ok((request, Reach::All)) => next.run(request).await,
        Ok((_, Reach::Tenants(_))) => super::beyond_tenants().into_response(),
        Err(turned) => turned.into_response(),
    }
}

/// Why somebody does not pass.
enum Turned {
    /// They look at a page or send a form of one, and are answered with one.
    WithAPage(Response),
    /// They prove nothing, or not enough.
    Away(Problem),
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        let problem = match self {
            Turned::WithAPage(response) => return response,
            Turned::Away(problem) => problem,
        };
        let mut response = problem.into_response();
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Finds out who asks and puts them into the request.
async fn admit(panel: &Panel, mut request: Request) -> Result<(Request, Reach), Turned> {
    let proxy = panel.view.config().admin.proxy.clone();
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(peer))| peer.ip());
    let asks = Asks { headers: request.headers(), peer, is_by_itself: is_by_itself(&request) };
    let known = panel.access.identify(&asks, proxy.as_ref()).map_err(Turned::Away)?;
    let Some(Known { person, session, proof }) = known else {
        return Err(if wants_a_page(&request) {
            Turned::WithAPage(login::instead_of(panel, request).await)
        } else {
            Turned::Away(super::nobody())
        });
    };
    if let Some(session) = session {
        if !request.method().is_safe() {
            let page = wants_a_page(&request).then(|| request.uri().path().to_owned());
            request = with_csrf(request, &session.csrf).await.map_err(|Unproven { problem, form }| {
                let back = page.and_then(|path| login::way_back(panel, &path, &form, &session.csrf));
                back.map_or(Turned::Away(problem), Turned::WithAPage)
            })?;
        }
        request.extensions_mut().insert(session);
    }
    let reach = person.reach.clone();
    request.extensions_mut().insert(person);
    request.extensions_mut().insert(proof);
    Ok((request, reach))
}

impl Access {
    /// Who asks; `None` when nobody is named.
    ///
    /// # Errors
    /// 401 when somebody is named and nothing proven.
    fn identify(&self, asks: &Asks<'_>, proxy: Option<&TrustedProxy>) -> Result<Option<Known>, Problem> {
        let headers = asks.headers;
        let now_ms = clock::wall_ms();
        if let Some(secret) = one(headers, &AUTHORIZATION)? {
            let known = bearer(secret).and_then(|secret| self.tokens.of_secret(secret, now_ms));
            let (token, person) = known.ok_or_else(unknown_token)?;
            return Ok(Some(Known { person, session: None, proof: Proof::Token(token) }));
        }
        if let Some(proxy) = proxy
            && let Ok(header) = HeaderName::from_bytes(proxy.header.as_bytes())
            && let Some(token) = one(headers, &header)?
        {
            check_peer(asks.peer, proxy)?;
            let person = jwt::person(token, proxy, now_ms.div_euclid(1_000)).map_err(|problem| {
                Problem::new(StatusCode::UNAUTHORIZED, format!("the proxy's {} is not valid: {problem}", proxy.header))
                    .advise("compare admin.proxy in agent.toml with what the proxy signs; both clocks must be right")
            })?;
            let session = Some(Session { csrf: self.csrf_of(&person), began_here: false });
            return Ok(Some(Known { person, session, proof: Proof::Proxy(token.into()) }));
        }
        Ok(cookies(headers).find_map(|cookie| {
            let found = match asks.is_by_itself {
                true => self.sessions().look(Digest::of(cookie), clock::now()),
                false => self.sessions().find(cookie, clock::now()),
            }?;
            let Some(person) = self.tokens.of_session(found.token, now_ms) else {
                // Its token is revoked or has expired.
                self.sessions().end(cookie);
                return None;
            };
            let session = Some(Session { csrf: found.csrf, began_here: true });
            Some(Known { person, session, proof: Proof::Session(found.cookie) })
        }))
    }

    /// Whether this would let somebody in still. Nobody uses a session thereby: a watch goes on by itself.
    fn still_admits(&self, proof: &Proof, proxy: Option<&TrustedProxy>) -> bool {
        let now_ms = clock::wall_ms();
        match proof {
            Proof::Token(token) => self.tokens.of_session(*token, now_ms).is_some(),
            Proof::Session(cookie) => {
                let found = self.sessions().look(*cookie, clock::now());
                found.is_some_and(|found| self.tokens.of_session(found.token, now_ms).is_some())
            }
            Proof::Proxy(token) => {
                proxy.is_some_and(|proxy| jwt::person(token, proxy, now_ms.div_euclid(1_000)).is_ok())
            }
        }
    }
}

impl Standing {
    /// Whether they would.
    pub(in crate::control) fn holds(&self) -> bool {
        let config = self.panel.view.config();
        let proof = self.proof.as_ref();
        proof.is_none_or(|proof| self.panel.access.still_admits(proof, config.admin.proxy.as_ref()))
    }

    /// How long they would be, where they come with another proof each time: what a proxy signs says when it ends.
    pub(in crate::control) fn ends_in(&self) -> Option<Duration> {
        let Some(Proof::Proxy(token)) = &self.proof else { return None };
        let left_ms = jwt::end_ms(token)?.saturating_sub(clock::wall_ms());
        Some(Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()))
    }

    /// # Errors
    /// 401 when they would not.
    pub(in crate::control) fn check(&self) -> Result<(), Problem> {
        if self.holds() { Ok(()) } else { Err(super::nobody()) }
    }
}

impl FromRequestParts<Arc<Panel>> for Standing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, panel: &Arc<Panel>) -> Result<Standing, Infallible> {
        Ok(Standing { panel: Arc::clone(panel), proof: parts.extensions.get::<Proof>().cloned() })
    }
}

/// Whether the proxy's header may come from there.
fn check_peer(peer: Option<IpAddr>, proxy: &TrustedProxy) -> Result<(), Problem> {
    let peer = peer.map(|peer| peer.to_canonical());
    if proxy.from.is_empty() || peer.is_some_and(|peer| proxy.from.contains(&peer)) {
        return Ok(());
    }
    let detail = format!("the proxy's {} is not taken from this address", proxy.header);
    Err(Problem::new(StatusCode::UNAUTHORIZED, detail)
        .advise("compare admin.proxy.from in agent.toml with the address that the proxy connects from"))
}

/// Whether a request says who sends it, rightly or not.
fn shows_something(headers: &HeaderMap, proxy: Option<&TrustedProxy>) -> bool {
    let is_signed = proxy.is_some_and(|proxy| headers.contains_key(proxy.header.as_str()));
    is_signed || headers.contains_key(AUTHORIZATION) || cookies(headers).next().is_some()
}

/// The value of a header that comes once or not at all.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().ok());
    match (value, values.next()) {
        (None, _) => Ok(None),
        (Some(Some(value)), None) => Ok(Some(value)),
        _ => Err(Problem::new(StatusCode::UNAUTHORIZED, format!("{name} comes twice, or holds more than ASCII"))
            .advise("send it once")),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim_matches(' '))
}

/// The values of our cookie; a foreign page on a neighbouring path may have added some of its own.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('=')).take(COOKIES_MAX)
}

fn unknown_token() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "this token is unknown, revoked or has expired".to_owned())
        .advise("`scaidrive-siem token list` shows those there are; `token create` makes one")
}

/// Whether a browser asks for a page, or sends a form of one.
fn wants_a_page(request: &Request) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepts.contains("text/html") && !request.uri().path().starts_with("/v1/")
}

/// A request that does not show that our page made it. Has no `Debug`: its form may hold secrets.
struct Unproven {
    problem: Problem,
    /// What was sent, where it was a form.
    form: Zeroizing<Vec<u8>>,
}

impl From<Problem> for Unproven {
    fn from(problem: Problem) -> Unproven {
        Unproven { problem, form: Zeroizing::default() }
    }
}

/// Whether an open page asks, as it does again and again although nobody may look at it; what is sent, somebody sends.
fn is_by_itself(request: &Request) -> bool {
    request.method().is_safe() && request.headers().contains_key(page::FRAGMENT)
}

/// The request, if it shows the session's CSRF token: in the header, or in the field of a form, which stays as it was.
async fn with_csrf(request: Request, csrf: &str) -> Result<Request, Unproven> {
    if let Some(given) = request.headers().get(X_CSRF_TOKEN) {
        return if is_same(given.as_bytes(), csrf.as_bytes()) { Ok(request) } else { Err(no_csrf().into()) };
    }
    if !is_form(request.headers()) {
        return Err(no_csrf().into());
    }
    let (parts, sent) = request.into_parts();
    let form = body(Request::new(sent), FORM_MAX).await?;
    let given = field(&form, "_csrf").unwrap_or_default();
    if !is_same(given.as_bytes(), csrf.as_bytes()) {
        return Err(Unproven { problem: no_csrf(), form });
    }
    // It is wiped with whoever reads it last.
    Ok(Request::from_parts(parts, Body::from(Bytes::from_owner(form))))
}

fn no_csrf() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "the request does not come from a form of this page".to_owned())
        .advise("load the page again; a program sends `Authorization: Bearer …`, or the page's token as `X-CSRF-Token`")
}

/// Whether the body is a form's.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The first field of this name in a form.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// How browsers may treat an answer: nothing from elsewhere, no guessing, no traces; kept only where it says so itself.
fn mark(headers: &mut HeaderMap, frame_ancestors: &[String]) {
    let ancestors = if frame_ancestors.is_empty() { "'none'".to_owned() } else { frame_ancestors.join(" ") };
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    );
    // Sources are printable ASCII, as the configuration has made sure; without them nobody may.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The name of the session's cookie.
pub(super) const COOKIE_NAME: &str = "siem_session";
/// Cookies of that name that are looked at.
const COOKIES_MAX: usize = 8;
/// Bytes of a form at most; what is longer comes over the API.
const FORM_MAX: usize = 4 << 20;
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;
    use crate::config::ProxyKey;
    use crate::time::Millis;

    fn headers(sent: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_read_out_of_its_header_and_nothing_else_is() {
        assert_eq!(bearer("Bearer sds_x"), Some("sds_x"));
        assert_eq!(bearer("bearer  sds_x "), Some("sds_x"));
        for other in ["sds_x", "Basic sds_x", "Bearer", "Bearersds_x"] {
            assert_eq!(bearer(other), None, "{other}");
        }
        let twice = headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
        assert!(one(&twice, &AUTHORIZATION).is_err());
        assert!(matches!(one(&HeaderMap::new(), &AUTHORIZATION), Ok(None)));
    }

    #[test]
    fn our_cookie_is_found_among_others() {
        let sent =
            headers(&[("cookie", "a=b; siem_session=one;c=d"), ("cookie", "xsiem_session=no; siem_session=two")]);
        assert_eq!(cookies(&sent).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(cookies(&headers(&[("cookie", "siem_sessionx=no; siem_session")])).count(), 0);
        let many = "siem_session=x; ".repeat(100);
        assert_eq!(cookies(&headers(&[("cookie", &many)])).count(), COOKIES_MAX);
    }

    #[test]
    fn a_proxys_header_is_taken_from_the_addresses_that_are_named_and_no_others() {
        let proxy = |from: &[&str]| TrustedProxy {
            key: ProxyKey::Ed25519 { file: Default::default(), key: Vec::new() },
            header: "x-id".to_owned(),
            issuer: None,
            audience: String::new(),
            max_life: Millis::ZERO,
            from: from.iter().map(|address| address.parse().unwrap()).collect(),
        };
        let is_taken = |from: &[&str], peer: &str| check_peer(Some(peer.parse().unwrap()), &proxy(from)).is_ok();
        assert!(is_taken(&[], "192.0.2.1") && is_taken(&["10.0.0.7", "::1"], "::1"));
        assert!(is_taken(&["10.0.0.7"], "10.0.0.7") && is_taken(&["10.0.0.7"], "::ffff:10.0.0.7"));
        assert!(!is_taken(&["10.0.0.7"], "10.0.0.8") && check_peer(None, &proxy(&["10.0.0.7"])).is_err());
    }

    #[tokio::test]
    async fn what_changes_something_shows_that_it_comes_from_our_page() {
        let request = |sent: &[(&'static str, &str)], body: &'static str| {
            let mut request = Request::new(Body::from(body));
            *request.headers_mut() = headers(sent);
            request
        };
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let taken = with_csrf(request(&[form], "a=1&_csrf=s%2Dx&b=2"), "s-x").await.ok().unwrap();
        assert_eq!(to_bytes(taken.into_body(), 100).await.unwrap(), "a=1&_csrf=s%2Dx&b=2", "the form is whole");
        assert!(with_csrf(request(&[("x-csrf-token", "s-x")], ""), "s-x").await.is_ok());
        for (sent, body) in [
            (&[][..], "_csrf=s-x"),
            (&[("content-type", "text/plain")][..], "_csrf=s-x"),
            (&[form][..], ""),
            (&[form][..], "_csrf=s-y"),
            (&[form][..], "_csrf="),
            (&[form, ("x-csrf-token", "")][..], "_csrf=s-x"),
        ] {
            let refused = with_csrf(request(sent, body), "s-x").await.err().unwrap().problem;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{sent:?} {body}");
        }
    }

    #[test]
    fn every_answer_says_how_browsers_may_treat_it() {
        let mut answer = HeaderMap::new();
        mark(&mut answer, &[]);
        let policy = answer[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer[CACHE_CONTROL], "no-store");
        let mut asset = headers(&[("cache-control", "max-age=3600")]);
        mark(&mut asset, &["'self'".to_owned(), "https://drive.example.com".to_owned()]);
        assert_eq!(asset[CACHE_CONTROL], "max-age=3600");
        let policy = asset[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.ends_with("frame-ancestors 'self' https://drive.example.com"), "{policy}");
    }

    #[test]
    fn only_who_looks_at_pages_is_sent_to_the_login() {
        let asks = |path: &'static str, accept: &str| {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = path.parse().unwrap();
            *request.headers_mut() = headers(&[("accept", accept)]);
            wants_a_page(&request)
        };
        assert!(asks("/destinations", "text/html,*/*"));
        assert!(!asks("/v1/status", "text/html") && !asks("/destinations", "application/json"));
    }

    #[test]
    fn a_page_that_asks_again_is_told_from_somebody_who_does_something_on_it() {
        let asks = |method: &str, sent: &[(&'static str, &str)]| {
            let mut request = Request::builder().method(method).body(Body::empty()).unwrap();
            *request.headers_mut() = headers(sent);
            is_by_itself(&request)
        };
        assert!(asks("GET", &[("x-fragment", "1")]));
        assert!(!asks("GET", &[]) && !asks("POST", &[("x-fragment", "1")]), "a test is sent by a script too");
    }
}
