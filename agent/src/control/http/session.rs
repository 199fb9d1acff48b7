//! Who asks, as the door of the address knows them: for the page, and for whoever wonders what a token is good for.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::Request;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Panel, only_get};
use crate::control::access::{Person, Reach, Role, Session};

/// Its routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/v1/session", only_get(get(who)))
}

/// Somebody whom the door let in.
#[derive(Serialize, ToSchema)]
struct WhoAsks {
    /// What the audit trail calls them.
    who: String,
    /// How they came.
    via: &'static str,
    /// What they may.
    role: Role,
    /// The tenants whose destinations and events they may see; `null` is everybody's.
    tenants: Option<BTreeSet<String>>,
    /// What a browser must show beside its cookie; a program with a token has none and needs none.
    csrf: Option<String>,
}

/// Who asks, as the door knows them.
#[utoipa::path(
    get,
    path = "/v1/session",
    operation_id = "whoAsks",
    tag = "tokens",
    responses((status = 200, description = "Who asks and what they may", body = WhoAsks))
)]
async fn who(person: Person, request: Request) -> Json<WhoAsks> {
    let csrf = request.extensions().get::<Session>().map(|session| session.csrf.clone());
    let Person { who, via, role, reach } = person;
    let tenants = match reach {
        Reach::All => None,
        Reach::Tenants(tenants) => Some(tenants),
    };
    Json(WhoAsks { who, via: via.name(), role, tenants, csrf })
}
