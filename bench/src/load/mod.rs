//! What is written to contenders: events made before the run, stamped and written during it.
//!
//! An event carries its *mark*, a number that no other event of the run has, so that receivers count different events and
//! know when each should have been written, whoever delivered it. Marks are contiguous from 0; stamping one is a store of
//! sixteen digits, twice (the `event_id` has it too).
//!
//! | file | holds |
//! |---|---|
//! | [`event`] | canonical events: about 600 bytes, unicode, escapes, payloads of varying size |
//! | [`zipf`] | tenants by a Zipf law |
//! | [`block`] | events made once, framed for a contender's input, and their marks |
//! | [`writer`] | producers: as fast as possible, or at a fixed rate with intended times |
//! | [`visitor`] | people at the page, as a browser asks for them |

pub(crate) mod block;
pub(crate) mod event;
pub(crate) mod visitor;
pub(crate) mod writer;
pub(crate) mod zipf;
