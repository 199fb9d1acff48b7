//! The agent as a library: the binary is a thin shell round it, and the tests and benchmarks use the same rooms.

pub mod deadletter;
pub mod stored;
pub mod stream;
pub mod time;
