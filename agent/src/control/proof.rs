//! The proof that nothing is missing at a destination: what its streams say of their numbers, and what to ask there.
//!
//! Numbers of a stream begin at 1 and have no holes, whatever becomes of an event; so whoever has found the first and the
//! last one and counts the different ones knows whether any is missing. What the destination did not get is in
//! [`StreamProof::missing`] here and in notices there, and how far that goes is in the statements that it has accepted. The
//! SIEM has all of it without this agent: `siem.stream_statement`, `siem.buffer_overflow` and `siem.events_refused`.
//!
//! A filter or a scope that changes begins another stream; those before it are told of by statements alone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Destination;
use crate::node::View;
use crate::probe::completeness;
use crate::shard::DestinationReport;

/// What proves that nothing is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// Its streams, one for each shard.
    pub streams: Vec<StreamProof>,
    /// What to ask there: the numbers of each stream that were found, and how many are missing between them.
    pub query: String,
    /// Where to ask.
    pub ask: String,
    /// What to know about the answer.
    pub note: Option<String>,
}

/// What is known here of the numbers of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamProof {
    /// Its name, as each of its events carries it.
    pub stream: String,
    /// The shard.
    pub shard: usize,
    /// The first number; `null` while no event was selected.
    pub first_n: Option<u64>,
    /// The last number given, whether or not its event has arrived.
    pub last_n: Option<u64>,
    /// Numbers that wait or are under way.
    pub in_hand: u64,
    /// Numbers that the destination did not get: the sum of the two that follow. Notices there name each.
    pub missing: u64,
    /// Refused there and kept as dead letters. One that is sent again arrives after all, and stays counted here.
    pub dead_lettered: u64,
    /// Given up.
    pub overflowed: u64,
    /// All numbers up to this one are vouched for by statements that the destination has accepted; `null` for none yet.
    pub stated_to_n: Option<u64>,
    /// When it last accepted one, ms since 1970; `null` for none since the agent started.
    pub last_statement_ms: Option<i64>,
}

/// The proof of what `destination` got.
pub(super) fn of(view: &View, destination: &Destination) -> Proof {
    let streams = view.published.iter().enumerate().filter_map(|(shard, published)| {
        let of = |report: &DestinationReport| StreamProof::of(shard, report);
        published.with(|report| report.destinations.iter().find(|known| known.name == destination.name).map(of))
    });
    let asked = completeness(destination);
    Proof {
        streams: streams.collect(),
        query: asked.query,
        ask: asked.ask.to_owned(),
        note: asked.note.map(str::to_owned),
    }
}

impl StreamProof {
    fn of(shard: usize, report: &DestinationReport) -> StreamProof {
        let books = &report.books;
        let some = |last: u64| Some(last).filter(|last| *last > 0);
        StreamProof {
            stream: report.stream.clone(),
            shard,
            first_n: some(books.selected.min(1)),
            last_n: some(books.selected),
            in_hand: books.in_hand,
            missing: books.dead_lettered + books.overflowed,
            dead_lettered: books.dead_lettered,
            overflowed: books.overflowed,
            // The end is not included.
            stated_to_n: some(report.stated_end.saturating_sub(1)),
            last_statement_ms: report.last_statement_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::picture::tests::report;
    use crate::stream::books::Books;

    #[test]
    fn a_stream_says_which_numbers_there_are_which_it_misses_and_how_far_that_is_vouched_for() {
        let mut told = report("a", "active", 0);
        told.books = Books { selected: 100, delivered: 90, dead_lettered: 2, overflowed: 3, in_hand: 5, ..told.books };
        told.stated_end = 91;
        let proof = StreamProof::of(1, &told);
        assert_eq!((proof.first_n, proof.last_n, proof.stated_to_n), (Some(1), Some(100), Some(90)));
        assert_eq!((proof.missing, proof.in_hand, proof.shard, proof.stream.as_str()), (5, 5, 1, "stream-of-a"));
        let fresh = StreamProof::of(0, &DestinationReport { books: Books::default(), stated_end: 1, ..told });
        assert_eq!((fresh.first_n, fresh.last_n, fresh.stated_to_n), (None, None, None));
    }
}
