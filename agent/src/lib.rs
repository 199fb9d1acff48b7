//! The agent as a library: the binary is a thin shell round it, and the tests and benchmarks use the same rooms.

pub mod alarm;
pub mod chronicle;
pub mod cli;
pub mod concern;
pub mod config;
mod content;
pub mod control;
pub mod counter;
pub mod credentials;
pub mod deadletter;
pub mod delivery;
mod demo;
pub mod heap;
pub mod ingest;
pub mod journal;
pub mod node;
pub mod notify;
pub mod probe;
pub mod runtime;
pub mod shard;
pub mod stored;
pub mod stream;
pub mod sys;
pub mod tenant_map;
pub mod time;
pub mod transport;
pub mod watch_files;
