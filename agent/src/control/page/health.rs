//! The agent itself, for those who may know of everybody's events.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::show;
use super::view::frame::Frame;
use super::view::health;
use crate::control::http::{Panel, Problem, Shared, only_get};

/// Its route.
pub(super) fn routes() -> Router<Arc<Panel>> {
    Router::new().route("/health", only_get(get(agent)))
}

async fn agent(State(panel): Shared, frame: Frame) -> Result<Response, Problem> {
    if !frame.sees_the_agent() {
        let detail = format!("{} sees some tenants' destinations, not the agent", frame.person.who);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail).advise("ask somebody who sees all tenants"));
    }
    Ok(show(&health::page(&frame, &panel.status())))
}
