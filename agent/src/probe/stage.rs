//! The stages of a test, which are the parts of an event's way.
//!
//! | stage | what is behind when it is over |
//! |---|---|
//! | `settings` | what is written can be used, and every secret and certificate it names was read |
//! | `resolve` | the name has an address |
//! | `connect` | somebody listens there |
//! | `proxy` | the proxy on the way leads there, if there is one |
//! | `tls` | both sides know whom they speak to, if that is wanted |
//! | `answer` | whoever listens speaks as this kind of destination does |
//! | `authentication` | it knows us |
//! | `permission` | we may write to what is configured |
//! | `accepted` | it has taken the event, in its own words |
//! | `found` | the event was found where it belongs |

use serde::Serialize;
use utoipa::ToSchema;

/// A part of the way of an event, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// What is written.
    Settings,
    /// From the name to an address.
    Resolve,
    /// From the address to a connection.
    Connect,
    /// Through a proxy.
    Proxy,
    /// Who is there.
    Tls,
    /// What it speaks.
    Answer,
    /// Who we are.
    Authentication,
    /// What we may.
    Permission,
    /// Whether the event is taken.
    Accepted,
    /// Whether it is there.
    Found,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 10] = [
        Stage::Settings,
        Stage::Resolve,
        Stage::Connect,
        Stage::Proxy,
        Stage::Tls,
        Stage::Answer,
        Stage::Authentication,
        Stage::Permission,
        Stage::Accepted,
        Stage::Found,
    ];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Settings => "settings",
            Stage::Resolve => "resolve",
            Stage::Connect => "connect",
            Stage::Proxy => "proxy",
            Stage::Tls => "tls",
            Stage::Answer => "answer",
            Stage::Authentication => "authentication",
            Stage::Permission => "permission",
            Stage::Accepted => "accepted",
            Stage::Found => "found",
        }
    }
}
