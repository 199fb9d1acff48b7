//! Access: who asks, and what they may.
//!
//! Whatever reaches a handler has passed a door that found out who asks and put a [`Person`] into the request. Handlers
//! take the person as an argument: [`Person`] where reading is enough, [`Admin`] where something is changed. A handler
//! without either answers to anybody whom the door lets through.
//!
//! | file | what it holds |
//! |---|---|
//! | `person.rs` | who somebody is, their role, and the tenants they may see |

mod person;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

pub(super) use self::person::{Person, Reach, Role, Session, Via};
use crate::control::http::Problem;
use crate::control::socket::Caller;

/// Somebody who may change things.
pub(super) struct Admin(pub(super) Person);

/// The door of the admin socket: its mode lets root and the agent's user in, and nobody else.
pub(super) async fn through_the_socket(
    ConnectInfo(caller): ConnectInfo<Caller>,
    mut request: Request,
    next: Next,
) -> Response {
    let who = caller.to_string();
    request.extensions_mut().insert(Person { who, via: Via::Cli, role: Role::Admin, reach: Reach::All });
    next.run(request).await
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Person, Problem> {
        parts.extensions.get::<Person>().cloned().ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "nobody is logged in".to_owned())
                .advise("send a token: `Authorization: Bearer …`; `scaidrive-siem token create` makes one")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Admin, Problem> {
        let person = Person::from_request_parts(parts, state).await?;
        match person.role {
            Role::Admin => Ok(Admin(person)),
            Role::Viewer => {
                let detail = format!("{} may look, not change anything", person.who);
                Err(Problem::new(StatusCode::FORBIDDEN, detail).advise("ask somebody who has the role `admin`"))
            }
        }
    }
}
