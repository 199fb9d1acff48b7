//! Who asks, as the door of the address knows them: for the page, and for whoever wonders what a token is good for.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::{Panel, only_get};
use crate::control::access::{Person, Reach, Session};

/// Its routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/v1/session", only_get(get(who)))
}

/// `csrf` is what a browser must show beside its cookie; a program with a token has none and needs none.
async fn who(person: Person, request: Request) -> Response {
    let csrf = request.extensions().get::<Session>().map(|session| &session.csrf);
    let tenants = match &person.reach {
        Reach::All => None,
        Reach::Tenants(tenants) => Some(tenants),
    };
    let Person { who, via, role, .. } = &person;
    Json(json!({ "who": who, "via": via.name(), "role": role, "tenants": tenants, "csrf": csrf })).into_response()
}
