//! Tokens of any OAuth 2.0 server (RFC 6749, section 4.4).

use std::rc::Rc;

use scaidrive_codecs::oauth::{
    Token, TokenError, TokenOutcome, TokenRequest, client_credentials, token_error, token_reply,
};

use super::Credentials;
use super::ask::{Question, Whereabouts, ask};
use super::cache::{Trouble, TroubleCause, TroubleKind};
use crate::config::OAuth;
use crate::runtime::Runtime;
use crate::time::Millis;

/// Fetches a token with the client's secret.
pub(super) async fn fetch(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    oauth: &OAuth,
) -> Result<(Token, Millis), Trouble> {
    let (scope, audience) = (oauth.scope.as_deref(), oauth.audience.as_deref());
    let secret = oauth.client_secret.reveal();
    let request = client_credentials(&oauth.token_url, &oauth.client_id, secret, oauth.client_auth, scope, audience);
    send(credentials, runtime, &request, Whereabouts::Public).await
}

/// Sends a token request and says what the reply means.
pub(super) async fn send(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    request: &TokenRequest,
    whereabouts: Whereabouts,
) -> Result<(Token, Millis), Trouble> {
    let reply = ask_for(credentials, runtime, request, whereabouts).await?;
    understand(&reply, runtime.wall_ms())
}

/// Sends a token request.
pub(super) async fn ask_for(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    request: &TokenRequest,
    whereabouts: Whereabouts,
) -> Result<scaidrive_codecs::http::Reply, Trouble> {
    let headers: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let question =
        Question { method: request.method, url: &request.url, headers: &headers, body: &request.body, whereabouts };
    ask(credentials, runtime, &question).await
}

/// What the reply to a token request means.
pub(super) fn understand(reply: &scaidrive_codecs::http::Reply, wall_ms: i64) -> Result<(Token, Millis), Trouble> {
    let (kind, why, after) = match token_reply(reply, wall_ms) {
        TokenOutcome::Token { token, expires_at_ms } => {
            return Ok((token, Millis(u64::try_from(expires_at_ms - wall_ms).unwrap_or(0))));
        }
        TokenOutcome::Refused { why } => (TroubleKind::Refused, why, None),
        TokenOutcome::Retry { why, after_ms } => (TroubleKind::Busy, why, after_ms.map(Millis)),
    };
    let TokenError { error, codes } = token_error(reply);
    let cause = TroubleCause::Answer { status: reply.status, error, codes };
    Err(Trouble { kind, why: format!("no token: {why}"), after, cause })
}
