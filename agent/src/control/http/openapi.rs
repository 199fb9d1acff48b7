//! `/openapi.json`: what can be asked and done, as an OpenAPI 3.1 document.
//!
//! It is made from what stands above each handler and from the types that handlers answer with, so it says nothing that the
//! code does not. A test holds it against the routes, both ways. What browsers need to log in is no part of it.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, ResponseBuilder, Schema, Server};
use utoipa::{Modify, OpenApi};

use super::problem::Details;
use super::{
    Panel, agent_events, changes, destinations, episodes, history, letters, managed, only_get, preview, session, tail,
    tokens,
};

/// Its route; the paths that it names lie below `base`.
pub(super) fn routes(base: &str) -> Router<Arc<Panel>> {
    let base = base.to_owned();
    Router::new().route("/openapi.json", only_get(get(move || document(base.clone()))))
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "document",
    tag = "machines that watch",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
async fn document(base: String) -> Json<utoipa::openapi::OpenApi> {
    let mut document = Document::openapi();
    if !base.is_empty() {
        document.servers = Some(vec![Server::new(base)]);
    }
    Json(document)
}

#[derive(OpenApi)]
#[openapi(
    info(title = "scaidrive-siem", description = ABOUT),
    paths(
        document,
        super::scrape,
        super::livez,
        super::readyz,
        super::whole_status,
        super::status_for_insiders,
        super::reload,
        destinations::show,
        destinations::pause,
        destinations::drain,
        destinations::resume,
        destinations::replay,
        destinations::tested,
        history::agent,
        history::destination,
        episodes::list,
        managed::list_tagged,
        managed::create,
        managed::set,
        managed::change,
        managed::remove,
        managed::show_settings,
        managed::check_new,
        managed::check_change,
        managed::test_new,
        managed::test_saved,
        managed::check_files,
        preview::try_out,
        tail::watch,
        agent_events::read,
        changes::list,
        letters::stores,
        letters::page,
        letters::letter,
        letters::replace,
        letters::drop_chosen,
        letters::resend,
        session::who,
        tokens::list,
        tokens::create,
        tokens::revoke,
    ),
    components(schemas(Details)),
    modifiers(&Everywhere)
)]
struct Document;

/// What holds for all paths, and so stands above no handler: who may ask, and what is answered when it does not work.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(TOKEN)).build();
        components.add_security_scheme(TOKEN_NAME, SecurityScheme::Http(token));
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
        let problem = ResponseBuilder::new().description(NOT_DONE).content("application/problem+json", content);
        components.responses.insert(PROBLEM.to_owned(), problem.build().into());
        components.schemas.values_mut().for_each(close_choices);
        for (path, item) in &mut document.paths.paths {
            let who = who_may(path);
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
            for operation in operations.into_iter().flatten() {
                complete(operation, &who);
            }
        }
    }
}

/// Of a choice whose member says which it is, one is taken and nothing beside it.
fn close_choices(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(choices)) = schema else { return };
    for choice in &mut choices.items {
        if let RefOr::T(Schema::Object(object)) = choice {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// What must be shown to ask for a path, one way of these; nothing where there is none.
fn who_may(path: &str) -> Vec<SecurityRequirement> {
    let token = || SecurityRequirement::new(TOKEN_NAME, Vec::<String>::new());
    match path {
        // With `admin.metrics_need_token`, and below a base path.
        "/metrics" | "/status" => vec![SecurityRequirement::default(), token()],
        path if path.starts_with("/v1/") => vec![token()],
        _ => Vec::new(),
    }
}

fn complete(operation: &mut Operation, who: &[SecurityRequirement]) {
    operation.responses.responses.insert("default".to_owned(), Ref::from_response_name(PROBLEM).into());
    if !who.is_empty() {
        operation.security = Some(who.to_vec());
    }
}

const PROBLEM: &str = "Problem";
const TOKEN_NAME: &str = "token";

const ABOUT: &str = "What the agent that ships ScaiDrive audit events to SIEMs can be asked and told. Names that end in `_ms` \
are milliseconds: moments since 1970, else spans. Whatever changes something becomes an audit event that says who, what, \
before and after.";

const TOKEN: &str = "A token, as `scaidrive-siem token create` makes them. Over the admin socket none is needed: its file mode \
lets in root and the agent's user.";

const NOT_DONE: &str = "It was not done; says why, and what to do. What is not there and what the caller may not see are \
answered alike.";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use serde_json::Value;

    use super::super::{api, health_checks, watching};
    use super::*;

    /// Every method and path that a router answers. Axum lists them in its debug text alone: the handlers by a number, then
    /// the paths by the same one.
    fn answered(router: &Router<Arc<Panel>>) -> BTreeSet<String> {
        let text = format!("{router:?}");
        let (routes, rest) = text.split_once("node: Node").unwrap();
        let (paths, _) = rest.split_once("fallback_router").unwrap();
        let by_number = |text: &str| -> HashMap<String, String> {
            let pieces = text.split("RouteId(").skip(1);
            pieces
                .map(|piece| piece.split_once(')').unwrap())
                .map(|(id, said)| (id.to_owned(), said.to_owned()))
                .collect()
        };
        let mut answered = BTreeSet::new();
        let handlers = by_number(routes);
        for (id, said) in by_number(paths) {
            let path = said.split('"').nth(1).unwrap();
            for method in ["get", "put", "post", "delete", "patch"] {
                let is_there = |how: &str| handlers[&id].contains(&format!(" {method}: {how}"));
                if is_there("BoxedHandler") || is_there("Route") {
                    answered.insert(format!("{} {path}", method.to_uppercase()));
                }
            }
        }
        answered
    }

    fn documented(document: &Value) -> BTreeSet<String> {
        let paths = document["paths"].as_object().unwrap();
        let of = |(path, item): (&String, &Value)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of).collect()
    }

    #[test]
    fn every_route_is_in_the_document_and_nothing_else_is() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let router = api().merge(watching()).merge(health_checks()).merge(routes(""));
        let answered = answered(&router);
        assert!(answered.contains("GET /livez") && answered.contains("POST /v1/reload"), "{answered:?}");
        let documented = documented(&document);
        // A destination may be called `check` or `test`: what is answered there beside what these do is in the document already.
        let is_of_one = |route: &String| {
            let name = ["/v1/destinations/check", "/v1/destinations/test"].iter().find(|path| route.ends_with(*path));
            name.is_some_and(|path| documented.contains(&route.replace(path, "/v1/destinations/{destination}")))
        };
        let answered: BTreeSet<String> = answered.into_iter().filter(|route| !is_of_one(route)).collect();
        assert_eq!(answered, documented);
    }

    #[test]
    fn operations_are_named_once_say_what_they_do_and_how_they_fail() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{method} {path}: {name} is there twice");
                assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path}");
                assert_eq!(operation["responses"]["default"]["$ref"], "#/components/responses/Problem");
                let who = operation["security"].as_array().map_or(0, Vec::len);
                let expected = match path.as_str() {
                    "/metrics" | "/status" => 2,
                    path => usize::from(path.starts_with("/v1/")),
                };
                assert_eq!(who, expected, "{method} {path}");
            }
        }
    }

    /// A reference that leads nowhere makes the whole document useless to programs.
    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, document: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(to)) = members.get("$ref") {
                        let found = document.pointer(to.trim_start_matches('#'));
                        assert!(found.is_some(), "{to} leads nowhere");
                    }
                    members.values().for_each(|member| walk(member, document));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
                _ => {}
            }
        }
        let document = serde_json::to_value(Document::openapi()).unwrap();
        assert!(document["components"]["schemas"]["Problem"].is_object());
        walk(&document, &document);
    }
}
