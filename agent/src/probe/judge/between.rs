//! Answers that do not come from the destination: of gateways, portals and pages in between, and of the wrong door of the
//! right house. They are looked for before anything else, because some of them say 200.

use scaidrive_codecs::http::Reply;
use scaidrive_codecs::verdict::shown;

use super::reply::Asked;
use crate::config::{HttpUrl, Kind};
use crate::probe::cause;
use crate::probe::report::Finding;
use crate::probe::stage::Stage;

/// Who has answered instead, if somebody has.
pub(super) fn of_reply(reply: &Reply, asked: &Asked<'_>) -> Option<Finding> {
    let body = String::from_utf8_lossy(&reply.body);
    let cause = match reply.status {
        511 => &cause::CAPTIVE_PORTAL,
        _ if !asked.has_tls && wants_tls(&body) => &cause::PORT_WANTS_TLS,
        _ if reply.header("kbn-name").is_some() || reply.header("kbn-license-sig").is_some() => &cause::KIBANA_PORT,
        _ if is_splunk_web(reply, asked) => &cause::SPLUNK_WEB_PORT,
        _ if is_splunk_management(reply, &body, asked) => &cause::SPLUNK_MANAGEMENT_PORT,
        300..400 => return Some(of_redirect(reply, asked)),
        ..300 if is_page(reply, &body, asked) => match has_password_field(&body) {
            true => &cause::LOGIN_PAGE,
            false => &cause::PAGE_FOR_PEOPLE,
        },
        502 | 504 => &cause::GATEWAY_WITHOUT_SERVER,
        503 if body.contains("No server is available") || body.contains("no healthy upstream") => {
            &cause::GATEWAY_WITHOUT_SERVER
        }
        _ => return None,
    };
    Some(Finding::of(cause).at(Stage::Answer))
}

/// The words of nginx, Go, Apache and Tomcat for a request without TLS on a port that speaks it.
fn wants_tls(body: &str) -> bool {
    const WORDS: [&str; 4] = [
        "plain HTTP request was sent to HTTPS port",
        "Client sent an HTTP request to an HTTPS server",
        "speaking plain HTTP to an SSL-enabled server port",
        "This combination of host and port requires TLS",
    ];
    WORDS.iter().any(|words| body.contains(words))
}

fn is_splunk_web(reply: &Reply, asked: &Asked<'_>) -> bool {
    let location = reply.header("location").unwrap_or_default();
    matches!(asked.kind, Kind::SplunkHec(_))
        && (300..400).contains(&reply.status)
        && (location.contains("/account/login") || reply.header("server") == Some("Splunkd"))
}

/// It answers in XML, the collector in JSON; both call themselves Splunkd.
fn is_splunk_management(reply: &Reply, body: &str, asked: &Asked<'_>) -> bool {
    matches!(asked.kind, Kind::SplunkHec(_))
        && body.trim_start().starts_with("<?xml")
        && (body.contains("<response>") || reply.header("server") == Some("Splunkd"))
}

/// A page, where none of the receivers has one for us. Any receiver may say what it likes, also that it is HTML, so there
/// only a whole document counts.
fn is_page(reply: &Reply, body: &str, asked: &Asked<'_>) -> bool {
    let start = body.trim_start().get(..15).unwrap_or(body.trim_start()).to_ascii_lowercase();
    let is_document = start.starts_with("<!doctype html") || start.starts_with("<html");
    let kind = reply.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
    match asked.kind {
        Kind::Https(_) => is_document,
        _ => is_document || start.starts_with('<') || (kind.starts_with("text/html") && !body.trim().is_empty()),
    }
}

fn has_password_field(body: &str) -> bool {
    let body = body.to_ascii_lowercase();
    body.contains("type=\"password\"") || body.contains("type='password'") || body.contains("type=password")
}

fn of_redirect(reply: &Reply, asked: &Asked<'_>) -> Finding {
    let location = reply.header("location").unwrap_or_default();
    // A query may hold a secret.
    let address = location.split(['?', '#']).next().unwrap_or_default();
    let target = HttpUrl::parse(address.trim_end_matches('/')).ok();
    let is_same_host = target.as_ref().is_none_or(|target| target.host == asked.host);
    let cause = match target {
        Some(target) if is_same_host && target.tls && !asked.has_tls => &cause::REDIRECTED_TO_HTTPS,
        _ if leads_to_a_login(address) => &cause::REDIRECTED_TO_LOGIN,
        _ if matches!(asked.kind, Kind::SumoLogic(_)) && !is_same_host => &cause::SOURCE_ELSEWHERE,
        _ => &cause::REDIRECTED,
    };
    Finding::of(cause).saying(format!("HTTP {}, to {}", reply.status, shown(address)))
}

fn leads_to_a_login(address: &str) -> bool {
    const WORDS: [&str; 9] = ["login", "signin", "sign-in", "logon", "/sso", "/saml", "oauth2/", "captive", "portal."];
    let address = address.to_ascii_lowercase();
    WORDS.iter().any(|word| address.contains(word))
}
