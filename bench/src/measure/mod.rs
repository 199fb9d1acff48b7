//! What the kernel and a few counters say about a contender's process.
//!
//! | file | measures | how |
//! |---|---|---|
//! | [`cpu`] | processor time, user and system, of all threads, ended ones too | the process's own clock, in nanoseconds |
//! | [`threads`] | processor time of some threads, by their names | `/proc/PID/task/TID/schedstat` |
//! | [`memory`] | anonymous memory (its peak), pages of the program's own files, the mapped log | `RssAnon` every 20 ms; `smaps` at the end |
//! | [`disk`] | bytes that the process made dirty on files | `/proc/PID/io` |
//! | [`syscalls`] | system calls | `perf stat` on the kernel's tracepoint, in a run of its own |
//! | [`allocations`] | calls of `malloc` and its kin | a library loaded before all others, in that same run |
//! | [`clock`] | nothing: it lets the main thread live faster | a library loaded before all others |
//! | [`latency`] | times from intended to arrived | HdrHistogram |
//! | [`statistics`] | medians and spread over rounds | |

pub(crate) mod allocations;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod disk;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod statistics;
pub(crate) mod syscalls;
pub(crate) mod threads;
