//! From what happened to its cause. Everything here is a function of values: no I/O, no clock.
//!
//! | file | what it judges |
//! |---|---|
//! | `way.rs` | what kept a connection from being made, and what TLS said |
//! | `exchange.rs` | what became of a request, a session or a message on it |
//! | `between.rs` | answers of somebody in between, or of the wrong door |
//! | `reply.rs` | answers of HTTP destinations of any type |
//! | `splunk.rs`, `elastic.rs`, `azure.rs` | what those three say in their own words |
//! | `token.rs` | why there is nothing to show |

mod azure;
mod between;
mod elastic;
mod exchange;
mod reply;
mod splunk;
mod token;
mod way;

pub(super) use exchange::{of_answers, of_exchange, of_open, of_pipe};
#[cfg(test)]
pub(super) use reply::tests::destination;
pub(super) use reply::{Asked, clock_ahead, of_reply};
pub(super) use token::of_trouble;
pub(super) use way::{Way, of_certificate_file, of_connect};
