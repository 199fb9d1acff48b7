//! The machinery of the whole-agent tests: receivers, producers, faults and the books kept outside the agent.
//!
//! Nothing here uses the agent's own codecs, transports or log: what is written twice independently can disagree,
//! and that is the point. Everything is plain threads and blocking sockets on loopback.
//!
//! | room | what it plays |
//! |---|---|
//! | [`agent_process`], [`agent_config`], [`process`], [`memory`] | the agent: its configuration, its process, what the kernel knows of it, what is in its memory |
//! | [`generator`] | the application that writes events and keeps what was acknowledged |
//! | [`receiver`] | the engine of the HTTP stand-ins: listening, reading, failing, recording |
//! | [`hec`], [`sentinel`], [`data_collector`], [`elastic`], [`datadog`], [`sumo`], [`https`], [`syslog`] | the receivers, strict about what they take and able to fail in every documented way |
//! | [`opensearch`], [`otelcol`] and parts of [`syslog`] | receivers that no one here wrote; [`install`] gets them, [`daemon`] runs them |
//! | [`oracle`] | the comparison of both ends: missing, repeated, out of order, stated and explained |
//! | [`matrix`] | destinations against faults, as a table |
//! | [`http`], [`tls`], [`metrics`], [`browser`] | plain clients of HTTP and TLS, what a scrape says, the page without scripts |
//! | [`chromium`] | a real browser, for the page as people see it |
//! | [`scenario`], [`stalls`] | steps that many tests share; which task held a shard's loop for too long |
//! | [`slow_sync`], [`small_disk`], [`seccomp`], [`told_name`] | the machine and its network, misbehaving |
//! | [`cargo`] | builds what is tested |
//!
//! A test that needs what this machine does not have says so through [`skip`].

pub mod agent_config;
pub mod agent_process;
pub mod arrival;
pub mod browser;
pub mod c_source;
pub mod cargo;
pub mod certificates;
pub mod chromium;
pub mod daemon;
pub mod data_collector;
pub mod datadog;
pub mod elastic;
pub mod generator;
pub mod hec;
pub mod http;
pub mod https;
pub mod install;
pub mod matrix;
pub mod memory;
pub mod metrics;
pub mod opensearch;
pub mod oracle;
pub mod otelcol;
pub mod ports;
pub mod process;
pub mod receiver;
pub mod rng;
pub mod scenario;
pub mod seccomp;
pub mod sentinel;
pub mod skip;
pub mod slow_sync;
pub mod small_disk;
pub mod stalls;
pub mod sumo;
pub mod syslog;
pub mod tls;
pub mod told_name;
pub mod wait;
