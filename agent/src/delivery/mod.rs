//! How selected events get to their destination: decisions in [`sender`], [`gate`], [`isolation`], [`lane`],
//! [`pace`], [`pool`], [`targets`], [`allowance`], [`acks`], [`cause`] and [`backoff`], which do no I/O; the loops round the transports in [`carrier`] and `http`.

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
