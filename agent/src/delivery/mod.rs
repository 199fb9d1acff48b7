//! How selected events get to their destination.
//!
//! | file | what it does |
//! |---|---|
//! | `outlet/` | one destination on one shard: joins all that is decided here |
//! | `sender/` | what goes next and what answers mean for events, with [`gate`], [`lane`], [`isolation`], [`backoff`] |
//! | [`pool`], [`pace`], [`allowance`] | how much memory, how often, and how much at all |
//! | [`acks`], [`targets`], [`cause`] | what is acknowledged later; which address is next; why a destination is as it is |
//! | [`encoder`] | a destination's format |
//! | [`route`] | the way there: addresses, certificates, credentials |
//! | [`carrier`], `http` | the loops round the transports |
//!
//! Only the last two rows wait for anything; whatever decides does no I/O.

pub mod acks;
pub mod allowance;
pub mod backoff;
pub mod carrier;
pub mod cause;
pub mod encoder;
pub mod gate;
pub(crate) mod http;
pub mod isolation;
pub mod lane;
pub mod outlet;
pub mod pace;
pub mod pool;
pub mod route;
pub mod sender;
pub mod targets;
