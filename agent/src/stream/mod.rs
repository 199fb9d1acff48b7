//! What a stream is made of: numbers, books, the settled prefix, and what is told out of band.
//!
//! A stream is one shard's sequence of events selected for one destination in one epoch. Nothing here does I/O or
//! reads a clock; the shard calls these structs and passes time and chance in.
//!
//! Always true:
//! - Every selected event has exactly one number, and numbers have no holes.
//! - A number is settled once: delivered, dead-lettered or overflowed. The cursor stands where the settled prefix ends.
//! - A number that the destination does not get is named in a notice before a statement counts it as explained.

pub mod announce;
pub mod books;
pub mod episode;
pub mod marks;
pub mod name;
pub mod notice;
pub mod settled;
pub mod statement;
pub mod tell;
