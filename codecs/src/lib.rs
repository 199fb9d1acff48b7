//! What each SIEM speaks: events in, request bytes out; reply in, verdict out.
//!
//! Everything here is a plain function of its arguments. There is no I/O, no clock, no random generator and no
//! unsafe code; nothing is logged and nothing is shared. The agent brings bytes and time, and does what the answer says.
//!
//! | room | what it knows |
//! |------|---------------|
//! | [`event`], [`mod@index`], [`severity`] | what an event is: validated and indexed once, then only borrowed |
//! | [`stored`] | an index as bytes in a log record (the one place with bincode) |
//! | [`json`] | JSON text: unescaping without allocation, escaping into a buffer |
//! | [`time`] | RFC 3339, epoch seconds and HTTP dates |
//! | [`filter`], [`scope`] | which events a destination wants and which tenants it may see |
//! | [`body`] | a request body as pieces, most of them borrowed from the log |
//! | [`mod@format`] | what an HTTP destination's format can be asked |
//! | [`hec`], [`elastic`], [`datadog`], [`sumo`], [`sentinel`], [`data_collector`], [`https`], [`syslog`] | one destination's format each, and what its replies mean |
//! | [`catalogue`], [`shape`] | what an action means in each schema; one event in the words of each |
//! | [`redact`] | what a destination does not get of an event |
//! | [`template`] | one event through an admin's template, checked when it is compiled |
//! | [`signature`], [`oauth`] | keyed signatures of a body; token requests and what their replies say |
//! | [`framing`] | where one syslog message ends on a byte stream |
//! | [`relp`] | syslog messages with an answer to each: one session, from the client's side |
//! | [`http`], [`chunked`] | HTTP/1.1 heads out, replies and requests in (the one place with httparse) |
//! | [`verdict`] | what a reply means for its batch |
//! | [`own`], [`loss`] | the table of the agent's own events, and how they count what is missing |

#![forbid(unsafe_code)]

mod azure;
pub mod body;
pub mod catalogue;
pub mod chunked;
pub mod data_collector;
pub mod datadog;
pub mod elastic;
pub mod event;
pub mod filter;
pub mod format;
pub mod framing;
mod hash;
pub mod hec;
pub mod http;
pub mod https;
pub mod index;
pub mod json;
mod lead;
pub mod loss;
mod members;
pub mod oauth;
pub mod own;
mod plain;
pub mod redact;
pub mod relp;
pub mod scope;
pub mod sentinel;
pub mod severity;
pub mod shape;
pub mod signature;
pub mod stored;
pub mod sumo;
pub mod syslog;
pub mod template;
pub mod time;
pub mod verdict;
mod wildcard;

pub use body::{Body, Mark, Stamp};
pub use event::{Event, Field, tenant_hash};
pub use filter::{Filter, FilterError, FilterSpec, LeftOut, Scratch};
pub use format::{Entry, Format, Frame, RequestParts, Unfit};
pub use index::{Index, Refusal, index, unbreak_lines};
pub use redact::{Redacted, Redaction, RedactionError, RedactionSpec};
pub use scope::{Scope, ScopeError};
pub use severity::Severity;
pub use shape::Shape;
pub use stored::IndexError;
pub use verdict::{RefusedItem, Verdict};
