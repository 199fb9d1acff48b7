//! The agent as a library: the binary is a thin shell round it, and the tests and benchmarks use the same rooms.

pub mod counter;
pub mod ingest;
pub mod shard;
pub mod stored;
pub mod stream;
pub mod time;
