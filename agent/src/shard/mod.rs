//! A shard: one thread with a log of its own.

pub mod door;
