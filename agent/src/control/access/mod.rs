//! Access: who asks, and what they may.
//!
//! Whatever reaches a handler has passed a door that found out who asks and put a [`Person`] into the request. Handlers
//! take the person as an argument: [`Person`] where reading is enough, [`Admin`] where something is changed; [`Insider`]
//! and [`Operator`] where it is about the agent itself, which tells of all tenants. A handler without any of these answers
//! to anybody whom the door lets through.
//!
//! | file | what it holds |
//! |---|---|
//! | `person.rs` | who somebody is, their role, and the tenants they may see |
//! | `tokens.rs`, `token_file.rs` | what programs and people show; how it is kept |
//! | `door.rs`, `source.rs` | the door of the address; which requests a foreign page may have sent |
//! | `login.rs`, `sessions.rs`, `throttle.rs` | a token for a cookie, what cookies stand for, how often that may fail |
//! | `jwt.rs` | who asks, as a trusted proxy says |
//! | `seats.rs`, `serve.rs`, `tls.rs` | connections to the address: how many, how long, and TLS on them |
//!
//! Who may pass is decided by the routes that a door stands before, never by comparing paths.

mod door;
mod jwt;
mod login;
mod person;
mod seats;
mod serve;
mod sessions;
mod source;
mod throttle;
mod tls;
mod token_file;
mod tokens;

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

pub(super) use self::door::{Session, Standing, guard, let_in, let_insiders_watch, let_watch};
pub(super) use self::login::{routes, routes_inside};
pub(crate) use self::person::Role;
pub(super) use self::person::{Person, Reach, Via};
pub(super) use self::seats::Seats;
pub(super) use self::serve::serve;
use self::sessions::Sessions;
use self::throttle::Throttle;
pub(super) use self::tls::TlsDoor;
use self::token_file::TokenFile;
pub(super) use self::token_file::{ChangeError, kept as kept_tokens};
pub(super) use self::tokens::Refused;
pub(crate) use self::tokens::{TokenLine, TokenMade, TokenWish};
use crate::config::Config;
use crate::control::http::Problem;
use crate::control::socket::Caller;
use crate::runtime::clock;

/// Everything that the doors know.
pub(super) struct Access {
    tokens: TokenFile,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
    /// What the CSRF tokens of people whom a proxy names are made with; another one after each start.
    csrf_key: hmac::Key,
    address: Address,
}

/// What of the address stays as it is until the agent ends.
struct Address {
    listen: SocketAddr,
    is_tls: bool,
    base_path: String,
}

/// Somebody who may change things.
pub(super) struct Admin(pub(super) Person);

/// Somebody who may see the agent itself, and so all tenants.
pub(super) struct Insider;

/// Somebody who may change the agent itself.
pub(super) struct Operator(pub(super) Person);

impl Access {
    /// Reads what is kept in the state directory, and makes the first token where there is none. Blocks on the disk.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn open(config: &Config) -> io::Result<Access> {
        let admin = &config.admin;
        let (listen, is_tls, base_path) = (admin.listen, admin.tls.is_some(), admin.base_path.clone());
        Ok(Access {
            tokens: TokenFile::open(&config.agent.state_dir, clock::wall_ms(), secret_bytes),
            sessions: Mutex::default(),
            throttle: Mutex::default(),
            csrf_key: hmac::Key::new(hmac::HMAC_SHA256, &secret_bytes()?),
            address: Address { listen, is_tls, base_path },
        })
    }

    /// What everything on the address lies below; empty where it is the address itself.
    pub(super) fn base_path(&self) -> &str {
        &self.address.base_path
    }

    /// All tokens, as they may be shown.
    pub(super) fn tokens(&self) -> Vec<TokenLine> {
        self.tokens.lines()
    }

    /// Makes a token, as `who` wishes; `keep` is called with it and with what writes it. Blocks on the disk.
    pub(super) fn create_token(
        &self,
        wish: TokenWish,
        who: &str,
        keep: impl FnOnce(&TokenLine, &dyn Fn() -> io::Result<()>) -> io::Result<()>,
    ) -> Result<TokenMade, ChangeError> {
        self.tokens.create(wish, who, clock::wall_ms(), &secret_bytes()?, keep)
    }

    /// Takes a token away, and with it its sessions; `None` when there is none of this name. `keep` is called with it and
    /// with what writes that it is gone. Blocks on the disk.
    pub(super) fn revoke_token(
        &self,
        name: &str,
        keep: impl FnOnce(&TokenLine, &dyn Fn() -> io::Result<()>) -> io::Result<()>,
    ) -> Result<Option<TokenLine>, ChangeError> {
        self.tokens.revoke(name, keep)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The CSRF token of somebody whom a proxy names with each request, so that there is no session to keep it in.
    fn csrf_of(&self, person: &Person) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.csrf_key, person.who.as_bytes()))
    }
}

impl Address {
    /// A path as browsers must ask for it.
    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// What the session's cookie is for.
    fn cookie_path(&self) -> &str {
        if self.base_path.is_empty() { "/" } else { &self.base_path }
    }
}

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

/// 32 bytes that nobody can guess.
fn secret_bytes() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|problem| io::Error::other(problem.to_string()))?;
    Ok(bytes)
}

fn nobody() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "nobody is logged in".to_owned())
        .advise("send a token: `Authorization: Bearer …`; `scaidrive-siem token create` makes one")
}

fn beyond_tenants() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "this is about the agent itself, and so about all tenants".to_owned())
        .advise("ask somebody whose token is not bound to tenants")
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Person, Problem> {
        parts.extensions.get::<Person>().cloned().ok_or_else(nobody)
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

impl<S: Send + Sync> FromRequestParts<S> for Insider {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Insider, Problem> {
        let person = Person::from_request_parts(parts, state).await?;
        if person.reach == Reach::All { Ok(Insider) } else { Err(beyond_tenants()) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Operator, Problem> {
        let Admin(person) = Admin::from_request_parts(parts, state).await?;
        if person.reach == Reach::All { Ok(Operator(person)) } else { Err(beyond_tenants()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(role: Role, reach: Reach) -> [bool; 4] {
        let person = Person { who: "a".to_owned(), via: Via::Api, role, reach };
        let (mut parts, ()) = axum::http::Request::builder().extension(person).body(()).unwrap().into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            [
                Person::from_request_parts(&mut parts, &()).await.is_ok(),
                Admin::from_request_parts(&mut parts, &()).await.is_ok(),
                Insider::from_request_parts(&mut parts, &()).await.is_ok(),
                Operator::from_request_parts(&mut parts, &()).await.is_ok(),
            ]
        })
    }

    #[test]
    fn a_role_says_what_and_a_reach_says_of_whom() {
        let tenants = || Reach::Tenants(["acme".to_owned()].into());
        assert_eq!(asks(Role::Admin, Reach::All), [true, true, true, true]);
        assert_eq!(asks(Role::Viewer, Reach::All), [true, false, true, false]);
        assert_eq!(asks(Role::Admin, tenants()), [true, true, false, false]);
        assert_eq!(asks(Role::Viewer, tenants()), [true, false, false, false]);
    }

    #[test]
    fn paths_lie_below_the_base() {
        let at = |base: &str| Address {
            listen: SocketAddr::from(([127, 0, 0, 1], 1)),
            is_tls: false,
            base_path: base.to_owned(),
        };
        assert_eq!((at("").path("/"), at("/siem").path("/login")), ("/".to_owned(), "/siem/login".to_owned()));
        assert_eq!((at("").cookie_path(), at("/siem").cookie_path()), ("/", "/siem"));
    }
}
