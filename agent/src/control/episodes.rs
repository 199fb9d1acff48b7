//! Overflow episodes: when a destination has missed events, how many and which, whether it has been told.
//!
//! They are put together from the notices in the chronicle, so they are as old as that reaches back, and one that runs is
//! at most as far behind as its next notice: a minute. The same losses are told to the destination in notices of its own,
//! under other ids.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use scaidrive_codecs::time::parse_rfc3339;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::chronicle::{Kept, Room, Topic};
use crate::control::access::Reach;
use crate::control::agent_events::is_shown;
use crate::node::View;
use crate::shard::{DestinationReport, Published};

/// The episodes of one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Episodes {
    /// The destination's name.
    pub destination: String,
    /// Whether it is missing events now, or has within the last minute.
    pub is_overflowing: bool,
    /// Events it has missed in the present epochs of its streams, by its books.
    pub overflowed: u64,
    /// Those of them that no episode tells of: it will within a minute, or has and is no longer kept, or is for others.
    #[serde(default)]
    pub untold: u64,
    /// Notices that it has yet to accept.
    pub notices_waiting: u64,
    /// The newest first.
    pub episodes: Vec<Episode>,
}

/// One of them: events of one stream that were passed over without a pause of a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Episode {
    /// Its id.
    pub episode: String,
    /// The stream.
    pub stream: String,
    /// The shard.
    pub shard: u16,
    /// Whether it goes on. One that the agent's end cut off is over.
    pub is_running: bool,
    /// When it was told first, ms since 1970.
    pub begun_ms: i64,
    /// When it was told last.
    pub told_ms: i64,
    /// Notices so far.
    pub notices: u32,
    /// Events passed over.
    pub dropped_count: u64,
    /// Their bytes, as received.
    pub dropped_bytes: u64,
    /// Their numbers in the stream, both ends included; the first [`RANGES_MAX`] ranges.
    pub ranges: Vec<NumberRange>,
    /// Whether the ranges cover more than what is missing, or not all of it.
    pub is_inexact: bool,
    /// When the first of the events was received (RFC 3339).
    pub first_timestamp: String,
    /// When the last one was.
    pub last_timestamp: String,
    /// `event_id` of the first.
    pub first_event_id: String,
    /// `event_id` of the last.
    pub last_event_id: String,
    /// The tenants that miss most.
    pub tenants: Vec<TenantDrop>,
    /// Events of all others.
    pub other_tenants_dropped: u64,
}

/// Numbers of a stream, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NumberRange {
    /// The first.
    pub from_n: u64,
    /// The last.
    pub to_n: u64,
}

/// What one tenant misses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantDrop {
    /// The tenant's id.
    pub tenant_id: String,
    /// Events.
    pub dropped: u64,
}

/// What of a notice is read.
#[derive(Deserialize)]
struct Notice {
    timestamp: String,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    destination: String,
    stream: String,
    shard: u16,
    episode: String,
    #[serde(rename = "final")]
    is_final: bool,
    dropped_count: u64,
    dropped_bytes: u64,
    ranges: Vec<NumberRange>,
    merged: bool,
    first_timestamp: String,
    last_timestamp: String,
    first_event_id: String,
    last_event_id: String,
    tenants: Vec<TenantDrop>,
    other_tenants_dropped: u64,
}

/// The episodes of the destination called `name`, as far as they are within `reach`. Blocks on the disk.
///
/// # Errors
/// When the chronicle can't be read.
pub(super) fn of(view: &View, name: &str, reach: &Reach) -> io::Result<Episodes> {
    // A name has no character that JSON would write otherwise.
    let named = format!("\"destination\":\"{name}\"");
    let may_be_its = |line: &[u8]| memchr::memmem::find(line, named.as_bytes()).is_some();
    let notices = view.chronicle.newest(Topic::Drop, None, EVERYTHING, may_be_its)?.events;
    let of_shard = |shard: &Arc<Published>| {
        shard.with(|report| report.destinations.iter().find(|known| known.name == name).cloned())
    };
    let streams: Vec<DestinationReport> = view.published.iter().filter_map(of_shard).collect();
    Ok(gather(name, reach, notices.iter().rev(), &streams))
}

/// The episodes of `destination` within `reach`, for a name may have been another's: from notices, oldest first, and from what its streams say of themselves.
fn gather<'a>(
    destination: &str,
    reach: &Reach,
    notices: impl IntoIterator<Item = &'a Kept>,
    streams: &[DestinationReport],
) -> Episodes {
    let mut episodes: Vec<Episode> = Vec::new();
    for kept in notices {
        let Ok(Notice { timestamp, mut payload }) = serde_json::from_slice(&kept.line) else { continue };
        if payload.destination != destination || !is_shown(&kept.line, reach) {
            continue;
        }
        payload.tenants.retain(|tenant| reach.includes(&tenant.tenant_id));
        let told_ms = parse_rfc3339(timestamp.as_bytes()).unwrap_or_default();
        match episodes.iter_mut().rfind(|known| known.episode == payload.episode) {
            Some(known) => known.goes_on(told_ms, payload),
            None => episodes.push(Episode::begins(told_ms, payload)),
        }
    }
    for episode in &mut episodes {
        episode.is_running &= streams.iter().any(|stream| stream.stream == episode.stream && stream.is_overflowing);
    }
    episodes.reverse();
    episodes.truncate(EPISODES_MAX);
    let overflowed = streams.iter().map(|stream| stream.books.overflowed).sum();
    let is_present = |episode: &&Episode| streams.iter().any(|stream| stream.stream == episode.stream);
    let told = episodes.iter().filter(is_present).map(|episode| episode.dropped_count).sum();
    Episodes {
        destination: destination.to_owned(),
        is_overflowing: streams.iter().any(|stream| stream.is_overflowing),
        overflowed,
        untold: u64::saturating_sub(overflowed, told),
        notices_waiting: streams.iter().map(|stream| u64::from(stream.notices_waiting)).sum(),
        episodes,
    }
}

impl Episode {
    fn begins(told_ms: i64, told: Payload) -> Episode {
        let mut episode = Episode {
            episode: told.episode.clone(),
            stream: told.stream.clone(),
            shard: told.shard,
            is_running: true,
            begun_ms: told_ms,
            told_ms,
            notices: 0,
            dropped_count: 0,
            dropped_bytes: 0,
            ranges: Vec::new(),
            is_inexact: false,
            first_timestamp: told.first_timestamp.clone(),
            last_timestamp: String::new(),
            first_event_id: told.first_event_id.clone(),
            last_event_id: String::new(),
            tenants: Vec::new(),
            other_tenants_dropped: 0,
        };
        episode.goes_on(told_ms, told);
        episode
    }

    fn goes_on(&mut self, told_ms: i64, told: Payload) {
        self.told_ms = told_ms;
        self.notices += 1;
        self.is_running = !told.is_final;
        self.is_inexact |= told.merged;
        self.other_tenants_dropped += told.other_tenants_dropped;
        if told.dropped_count == 0 {
            // The last notice of an episode may tell of none.
            return;
        }
        self.dropped_count += told.dropped_count;
        self.dropped_bytes += told.dropped_bytes;
        self.last_timestamp = told.last_timestamp;
        self.last_event_id = told.last_event_id;
        for range in told.ranges {
            self.add_range(range);
        }
        self.add_tenants(told.tenants);
    }

    fn add_range(&mut self, range: NumberRange) {
        let is_full = self.ranges.len() >= RANGES_MAX;
        match self.ranges.last_mut() {
            Some(last) if last.to_n + 1 == range.from_n => last.to_n = range.to_n,
            _ if !is_full => self.ranges.push(range),
            _ => self.is_inexact = true,
        }
    }

    fn add_tenants(&mut self, more: Vec<TenantDrop>) {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for TenantDrop { tenant_id, dropped } in self.tenants.drain(..).chain(more) {
            *sums.entry(tenant_id).or_default() += dropped;
        }
        self.tenants.extend(sums.into_iter().map(|(tenant_id, dropped)| TenantDrop { tenant_id, dropped }));
        self.tenants.sort_by_key(|tenant| std::cmp::Reverse(tenant.dropped));
        let named = self.tenants.len().min(TENANTS_MAX);
        self.other_tenants_dropped += self.tenants.drain(named..).map(|tenant| tenant.dropped).sum::<u64>();
    }
}

/// An episode's sums are those of all its notices.
const EVERYTHING: Room = Room { events: usize::MAX, bytes: usize::MAX };
/// Episodes told at most.
const EPISODES_MAX: usize = 100;
/// Ranges of one episode.
const RANGES_MAX: usize = 100;
/// Tenants of one episode.
const TENANTS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use scaidrive_codecs::loss::{NumberRanges, TenantLoss, TenantLosses};
    use scaidrive_codecs::own::{BufferOverflow, Envelope, OwnEvent};

    use super::*;
    use crate::chronicle::Cursor;
    use crate::concern;
    use crate::control::picture::tests::report;
    use crate::stream::books::Books;

    fn notice(second: i64, episode: &str, is_final: bool, numbers: std::ops::Range<u64>) -> Kept {
        let count = numbers.end - numbers.start;
        let mut ranges = NumberRanges::new();
        if count > 0 {
            ranges.push(numbers.clone());
        }
        let tenants = vec![TenantLoss { tenant_id: "a".to_owned(), dropped: count }];
        let event = OwnEvent::BufferOverflow(BufferOverflow {
            destination: "splunk".to_owned(),
            stream: "s".to_owned(),
            shard: 0,
            episode: episode.to_owned(),
            notice: 1,
            is_final,
            dropped_count: count,
            dropped_bytes: count * 10,
            ranges,
            merged: false,
            first_timestamp: format!("first of {}", numbers.start),
            last_timestamp: format!("last of {}", numbers.end),
            first_event_id: String::new(),
            last_event_id: numbers.end.to_string(),
            losses: TenantLosses { tenants, other_tenants_dropped: 0 },
        });
        let envelope = Envelope { event_id: "e", timestamp_ms: second * 1_000, tenant_id: "_agent", node: "n" };
        let line = event.to_json(&envelope);
        Kept { cursor: Cursor::default(), line }
    }

    #[test]
    fn the_notices_of_an_episode_add_up_and_episodes_stand_apart() {
        let notices = [
            notice(10, "one", false, 1..4),
            notice(20, "one", false, 4..6),
            notice(30, "one", true, 6..6),
            notice(90, "two", false, 9..10),
        ];
        let told = gather("splunk", &Reach::All, &notices, &[]);
        let [two, one] = told.episodes.as_slice() else { panic!("{told:?}") };
        assert_eq!((one.begun_ms, one.told_ms, one.notices, one.is_running), (10_000, 30_000, 3, false));
        assert_eq!((one.dropped_count, one.dropped_bytes), (5, 50));
        assert_eq!(one.ranges, [NumberRange { from_n: 1, to_n: 5 }]);
        assert_eq!((one.first_timestamp.as_str(), one.last_event_id.as_str()), ("first of 1", "6"));
        assert_eq!(one.tenants, [TenantDrop { tenant_id: "a".to_owned(), dropped: 5 }]);
        assert_eq!((two.dropped_count, two.is_running), (1, false), "no stream says that it goes on");
        assert_eq!(gather("elastic", &Reach::All, &notices, &[]).episodes, []);
    }

    #[test]
    fn who_is_bound_to_tenants_sees_no_episode_that_is_filed_under_another() {
        let reach = |tenant: &str| Reach::Tenants([tenant.to_owned()].into());
        let notices = [notice(10, "one", true, 1..4)];
        assert_eq!(gather("splunk", &reach("a"), &notices, &[]).episodes, []);
        let told = gather("splunk", &reach("_agent"), &notices, &[]);
        assert_eq!((told.episodes.len(), &told.episodes[0].tenants), (1, &vec![]));
    }

    #[test]
    fn who_may_see_all_tenants_of_a_destination_sees_its_episodes_with_all_that_they_miss() {
        let of = |tenants: &[&str]| tenants.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let Kept { cursor, line } = notice(10, "one", true, 1..4);
        let notices = [Kept { cursor, line: concern::name(line, &of(&["a", "b"])) }];
        let told = |tenants: &[&str]| {
            gather("splunk", &Reach::Tenants(of(tenants).into_iter().collect()), &notices, &[]).episodes
        };
        assert_eq!(told(&["a"]), []);
        let both = told(&["a", "b"]);
        assert_eq!((both.len(), both[0].dropped_count, both[0].tenants.len()), (1, 3, 1));
    }

    #[test]
    fn what_the_books_have_and_no_episode_tells_of_is_counted() {
        let stream = |overflowed| {
            let books = Books { overflowed, ..Books::default() };
            DestinationReport { books, stream: "s".to_owned(), ..report("splunk", "active", 0) }
        };
        let notices = [notice(10, "one", true, 1..4)];
        let all = |overflowed| gather("splunk", &Reach::All, &notices, &[stream(overflowed)]);
        assert_eq!((all(3).untold, all(50).untold, all(50).overflowed), (0, 47, 50));
        let other = Reach::Tenants(["x".to_owned()].into());
        assert_eq!(gather("splunk", &other, &notices, &[stream(3)]).untold, 3, "it is for others");
        let earlier = DestinationReport { stream: "t".to_owned(), ..stream(2) };
        assert_eq!(
            gather("splunk", &Reach::All, &notices, &[earlier]).untold,
            2,
            "that episode was an earlier epoch's"
        );
    }

    #[test]
    fn lines_that_are_no_notice_are_passed_over() {
        let line = br#"{"action":"siem.agent_started","payload":{}}"#.to_vec();
        let kept = Kept { cursor: Cursor::default(), line };
        assert_eq!(gather("splunk", &Reach::All, [&kept], &[]).episodes, []);
    }

    #[test]
    fn what_grows_with_an_episode_is_bounded_and_its_sums_stay_exact() {
        let notices: Vec<Kept> =
            (0..300).map(|at| notice(at, "one", false, at as u64 * 2..at as u64 * 2 + 1)).collect();
        let told = gather("splunk", &Reach::All, &notices, &[]);
        let [one] = told.episodes.as_slice() else { panic!("{told:?}") };
        assert_eq!((one.dropped_count, one.ranges.len(), one.is_inexact), (300, RANGES_MAX, true));
    }
}
