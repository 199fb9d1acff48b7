//! Tokens: which there are, a new one, and one fewer. For those alone who may change the agent itself.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Panel, Path, Problem, Shared, body, off_the_thread};
use crate::control::access::{ChangeError, Operator, Refused, TokenLine, TokenMade, TokenWish};
use crate::control::destinations::moment;
use crate::control::untold::{Change, Trace};

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new()
        .route("/v1/tokens", get(list).post(create).fallback(|| async { Problem::method("GET, HEAD, POST") }))
        .route("/v1/tokens/{name}", delete(revoke).fallback(|| async { Problem::method("DELETE") }))
}

/// The tokens, without their secrets.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    operation_id = "listTokens",
    tag = "tokens",
    responses((status = 200, description = "All of them", body = Vec<TokenLine>))
)]
async fn list(State(panel): Shared, Operator(_): Operator) -> Response {
    Json(panel.access.tokens()).into_response()
}

/// Makes a token and tells its secret, this once.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    operation_id = "createToken",
    tag = "tokens",
    request_body = TokenWish,
    responses((status = 201, description = "It is made", body = TokenMade))
)]
async fn create(State(panel): Shared, Operator(person): Operator, request: Request) -> Result<Response, Problem> {
    let wish: TokenWish = serde_json::from_slice(&body(request, WISH_MAX).await?).map_err(|problem| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the request does not say what token is wished for: {problem}"))
            .advise(
                "send {\"name\", \"role\": \"admin\" or \"viewer\"}, and if wanted \"tenants\": […] and \"expires_ms\"",
            )
    })?;
    off_the_thread(move || {
        let made = panel.access.create_token(wish, &person.who, |line, write| {
            let change = Change::by(&person, "token.create", &line.name, Value::Null, value(line));
            let ((), made) = panel.untold.note(change, trace(line, true))?.after(write())?;
            made.tell(&panel.hands);
            Ok(())
        })?;
        tracing::info!("token {} made, as {} wishes", made.token.name, person.who);
        Ok((StatusCode::CREATED, Json(made)).into_response())
    })
    .await
}

/// Revokes a token; its sessions end with it.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{name}",
    operation_id = "revokeToken",
    tag = "tokens",
    params(("name" = String, Path, description = "The token's name")),
    responses((status = 200, description = "It was this one", body = TokenLine))
)]
async fn revoke(
    State(panel): Shared,
    Path(name): Path<String>,
    Operator(person): Operator,
) -> Result<Response, Problem> {
    off_the_thread(move || {
        let gone = panel.access.revoke_token(&name, |line, write| {
            let change = Change::by(&person, "token.revoke", &line.name, value(line), Value::Null);
            let ((), revoked) = panel.untold.note(change, trace(line, false))?.after(write())?;
            revoked.tell(&panel.hands);
            Ok(())
        })?;
        let gone = gone.ok_or_else(|| {
            Problem::new(StatusCode::NOT_FOUND, format!("there is no token {name:?}"))
                .advise("`scaidrive-siem token list` shows those there are")
        })?;
        tracing::info!("token {} revoked, as {} wishes", gone.name, person.who);
        Ok(Json(gone).into_response())
    })
    .await
}

fn trace(line: &TokenLine, is_there: bool) -> Trace {
    Trace::Token { name: line.name.clone(), created_ms: line.created_ms, is_there }
}

/// A token in an audit event.
fn value(line: &TokenLine) -> Value {
    json!({ "role": line.role, "tenants": line.tenants, "expires": line.expires_ms.map(moment) })
}

impl From<ChangeError> for Problem {
    fn from(problem: ChangeError) -> Problem {
        let detail = crate::cli::chain(&problem);
        let (status, advice) = match problem {
            ChangeError::Refused(Refused::Name(_)) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "use 1 to 64 letters, digits, `.`, `_` or `-`, the first none of `.-`",
            ),
            ChangeError::Refused(Refused::Taken(_)) => {
                (StatusCode::CONFLICT, "take another name, or revoke that one first")
            }
            ChangeError::Refused(Refused::Tenants) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "name tenants by their ids, or leave them out for all of them")
            }
            ChangeError::Refused(Refused::Expired) => (StatusCode::UNPROCESSABLE_ENTITY, "name a later moment"),
            ChangeError::Refused(Refused::Full) => (StatusCode::CONFLICT, "revoke those that nobody uses"),
            ChangeError::Disk(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "see that the agent may write to agent.state_dir and that the disk works and has room",
            ),
        };
        Problem::new(status, detail).advise(advice)
    }
}

/// Bytes of a wish at most.
const WISH_MAX: usize = 128 << 10;
