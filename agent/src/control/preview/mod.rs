//! What a destination would have been sent of the events that the log holds: a filter tried before it is saved.
//!
//! Events are counted as they were received; compression and the payload's shape make them shorter or longer on the way.
//! Somebody who is bound to tenants sees the events of those alone, whatever is tried.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | judging events and adding up |
//! | `reading.rs` | the events, from the log's files |

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use scaidrive_codecs::redact::Edits;
use scaidrive_codecs::{Event, Field, Index, LeftOut, Scratch, Severity};
use scaidrive_wal::inspect::OwnedRecord;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::access::Reach;
use super::watched_logs;
use crate::cli::words::{count, size, span};
use crate::config::Selection;
use crate::node::View;

mod reading;

use self::reading::{Bounds, read};

/// What `selection` would have sent of the events in the log, as far as they are within `reach`. Blocks on the disk, for
/// [`BOUNDS`] at most.
///
/// # Errors
/// When a log can't be read.
pub(super) fn of(view: &View, selection: &Selection, reach: &Reach, now_ms: i64) -> io::Result<Preview> {
    let logs: Vec<_> = watched_logs(view).into_iter().filter_map(|(directory, end)| Some((directory, end?))).collect();
    read(&logs, selection, reach, BOUNDS, now_ms)
}

/// What would have been sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// All of it in one sentence.
    pub summary: String,
    /// Events looked at: those that the log holds and whoever asks may see.
    pub seen: u64,
    /// Those of them whose tenant is in scope.
    pub judged: u64,
    /// Those of them that the filter selects.
    pub selected: u64,
    /// Their bytes, as received.
    pub selected_bytes: u64,
    /// When the oldest event looked at was received, ms since 1970.
    pub first_ms: Option<i64>,
    /// When the newest one was.
    pub last_ms: Option<i64>,
    /// From the oldest one until now.
    pub span_ms: u64,
    /// What that makes of selected events in a day; `null` where less than a minute was looked at.
    pub events_per_day: Option<u64>,
    /// And of bytes.
    pub bytes_per_day: Option<u64>,
    /// Why older events were not looked at, if so.
    pub cut: Option<String>,
    /// By category, those with most events first.
    pub categories: Vec<Share>,
    /// By severity, the gravest first.
    pub severities: Vec<Share>,
    /// By the list of the filter that leaves them out: how many of the judged ones it was.
    pub left_out_by: Vec<LeftOutBy>,
    /// Some of the newest events that would have been sent, as they would have been.
    pub sent: Vec<Example>,
    /// Some of the newest that would not.
    pub left_out: Vec<Example>,
}

/// Events of one category or severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// Which; `null` for all that are not named.
    pub name: Option<String>,
    /// Events in scope.
    pub judged: u64,
    /// Those that the filter selects.
    pub selected: u64,
}

/// How many events one list of the filter leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOutBy {
    /// The list, `excluded_users` for example.
    pub list: String,
    /// Events.
    pub events: u64,
}

/// One event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Example {
    /// When it was received, ms since 1970.
    pub received_ms: i64,
    /// The list of the filter that leaves it out, if one does.
    pub left_out_by: Option<String>,
    /// The event, redacted.
    #[schema(value_type = Value)]
    pub event: Box<RawValue>,
}

/// Judges events and adds up.
struct Judge<'a> {
    selection: &'a Selection,
    reach: &'a Reach,
    scratch: Scratch,
    tenant: String,
}

/// What is added up of a stretch of the log.
#[derive(Default)]
struct Tally {
    seen: u64,
    judged: u64,
    selected: u64,
    selected_bytes: u64,
    walls_ms: Option<(i64, i64)>,
    categories: Categories,
    severities: BTreeMap<Severity, (u64, u64)>,
    left_out_by: BTreeMap<LeftOut, u64>,
    sent: VecDeque<Sample>,
    left_out: VecDeque<Sample>,
}

/// An event that may be shown.
struct Sample {
    record: OwnedRecord,
    left_out: Option<LeftOut>,
}

/// Events in scope and selected ones, by category: the first [`CATEGORIES_MAX`], and the rest.
#[derive(Default)]
struct Categories {
    named: BTreeMap<String, (u64, u64)>,
    rest: (u64, u64),
}

impl<'a> Judge<'a> {
    fn new(selection: &'a Selection, reach: &'a Reach) -> Judge<'a> {
        Judge { selection, reach, scratch: Scratch::default(), tenant: String::new() }
    }

    fn judge(&mut self, record: OwnedRecord, tally: &mut Tally) {
        let Ok(index) = Index::decode(&record.index) else { return };
        let event = Event::new(&record.payload, &index);
        let tenant = event.text(Field::TenantId, &mut self.tenant).unwrap_or_default();
        if !self.reach.includes(tenant) {
            return;
        }
        let wall_ms = record.wall.as_ms();
        tally.seen += 1;
        let (first, last) = tally.walls_ms.unwrap_or((wall_ms, wall_ms));
        tally.walls_ms = Some((first.min(wall_ms), last.max(wall_ms)));
        if !self.selection.scope.includes(tenant) {
            return;
        }
        let left_out = self.selection.filter.leaves_out(&event, &mut self.scratch);
        let selected = u64::from(left_out.is_none());
        tally.judged += 1;
        tally.selected += selected;
        tally.selected_bytes += selected * record.payload.len() as u64;
        tally.categories.add(event.field(Field::Category).unwrap_or_default(), (1, selected));
        add(tally.severities.entry(event.severity()).or_default(), (1, selected));
        if let Some(left_out) = left_out {
            *tally.left_out_by.entry(left_out).or_default() += 1;
        }
        let samples = if left_out.is_some() { &mut tally.left_out } else { &mut tally.sent };
        if samples.len() == EXAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(Sample { record, left_out });
    }
}

impl Sample {
    /// The event as it would be sent.
    fn told(&self, selection: &Selection) -> Option<Example> {
        let index = Index::decode(&self.record.index).ok()?;
        let mut edits = Edits::default();
        let event = selection.redaction.apply(&Event::new(&self.record.payload, &index), &mut edits).to_json();
        Some(Example {
            received_ms: self.record.wall.as_ms(),
            left_out_by: self.left_out.map(|left_out| left_out.list().to_owned()),
            event: serde_json::from_slice(&event).ok()?,
        })
    }
}

impl Tally {
    /// Adds an earlier stretch.
    fn add_earlier(&mut self, earlier: Tally) {
        self.seen += earlier.seen;
        self.judged += earlier.judged;
        self.selected += earlier.selected;
        self.selected_bytes += earlier.selected_bytes;
        self.walls_ms = match (self.walls_ms, earlier.walls_ms) {
            (Some((first, last)), Some((other_first, other_last))) => {
                Some((first.min(other_first), last.max(other_last)))
            }
            (one, other) => one.or(other),
        };
        for (category, shares) in earlier.categories.named {
            self.categories.add(&category, shares);
        }
        add(&mut self.categories.rest, earlier.categories.rest);
        for (severity, shares) in earlier.severities {
            add(self.severities.entry(severity).or_default(), shares);
        }
        for (left_out, events) in earlier.left_out_by {
            *self.left_out_by.entry(left_out).or_default() += events;
        }
        prepend(&mut self.sent, earlier.sent);
        prepend(&mut self.left_out, earlier.left_out);
    }

    /// What whoever asks is told at `now_ms`.
    fn told(self, selection: &Selection, now_ms: i64, cut: Option<String>) -> Preview {
        let first_ms = self.walls_ms.map(|(first, _)| first);
        let span_ms = first_ms.map_or(0, |first| u64::try_from(now_ms - first).unwrap_or(0));
        let a_day = |amount: u64| {
            let amount = u128::from(amount) * u128::from(DAY_MS) / u128::from(span_ms.max(1));
            (span_ms >= SPAN_MIN_MS).then(|| u64::try_from(amount).unwrap_or(u64::MAX))
        };
        let mut preview = Preview {
            summary: String::new(),
            seen: self.seen,
            judged: self.judged,
            selected: self.selected,
            selected_bytes: self.selected_bytes,
            first_ms,
            last_ms: self.walls_ms.map(|(_, last)| last),
            span_ms,
            events_per_day: a_day(self.selected),
            bytes_per_day: a_day(self.selected_bytes),
            cut,
            categories: self.categories.told(),
            severities: self
                .severities
                .iter()
                .rev()
                .map(|(severity, of)| share(Some(severity.as_str()), *of))
                .collect(),
            left_out_by: self
                .left_out_by
                .iter()
                .map(|(left_out, events)| LeftOutBy { list: left_out.list().to_owned(), events: *events })
                .collect(),
            sent: self.sent.iter().rev().filter_map(|sample| sample.told(selection)).collect(),
            left_out: self.left_out.iter().rev().filter_map(|sample| sample.told(selection)).collect(),
        };
        preview.summary = in_words(&preview);
        preview
    }
}

impl Categories {
    fn add(&mut self, category: &str, shares: (u64, u64)) {
        if let Some(named) = self.named.get_mut(category) {
            add(named, shares);
        } else if self.named.len() < CATEGORIES_MAX {
            self.named.insert(category.to_owned(), shares);
        } else {
            add(&mut self.rest, shares);
        }
    }

    fn told(self) -> Vec<Share> {
        let mut told: Vec<Share> = self.named.iter().map(|(name, of)| share(Some(name), *of)).collect();
        told.sort_by_key(|share| std::cmp::Reverse(share.judged));
        told.extend((self.rest.0 > 0).then(|| share(None, self.rest)));
        told
    }
}

fn share(name: Option<&str>, (judged, selected): (u64, u64)) -> Share {
    Share { name: name.map(str::to_owned), judged, selected }
}

fn add(sum: &mut (u64, u64), more: (u64, u64)) {
    sum.0 += more.0;
    sum.1 += more.1;
}

fn prepend(samples: &mut VecDeque<Sample>, earlier: VecDeque<Sample>) {
    let room = EXAMPLES_MAX - samples.len();
    earlier.into_iter().rev().take(room).for_each(|sample| samples.push_front(sample));
}

/// A preview as one sentence.
fn in_words(preview: &Preview) -> String {
    let Preview { seen, judged, selected, selected_bytes, span_ms, .. } = preview;
    if *seen == 0 {
        return "there are no events in the log to try it on; it keeps them for its window only".to_owned();
    }
    let a_day = match (preview.events_per_day, preview.bytes_per_day) {
        (Some(_), Some(bytes)) => format!("; about {} a day", size(bytes)),
        _ => String::new(),
    };
    format!(
        "would have sent {} of {} events, {}, in the last {}{a_day}",
        count(*selected),
        count(*judged),
        size(*selected_bytes),
        span(*span_ms),
    )
}

/// How much of the log is looked at.
const BOUNDS: Bounds = Bounds { bytes: 256 << 20, time: Duration::from_secs(2) };
/// Examples of each sort.
const EXAMPLES_MAX: usize = 5;
/// Categories counted apart.
const CATEGORIES_MAX: usize = 50;
/// What is less says nothing about a day.
const SPAN_MIN_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use scaidrive_wal::{LogTime, Seq, WallTime};
    use serde_json::json;

    use super::*;

    pub(super) fn record(seq: u64, wall_ms: i64, tenant: &str, category: &str, severity: &str) -> OwnedRecord {
        let raw = format!(
            "{{\"event_id\":\"e{seq}\",\"timestamp\":\"2026-05-12T14:23:01Z\",\"tenant_id\":\"{tenant}\",\
             \"category\":\"{category}\",\"action\":\"a\",\"severity\":\"{severity}\",\"ip\":\"10.0.0.1\"}}"
        );
        let mut index = Vec::new();
        scaidrive_codecs::index(raw.as_bytes()).unwrap().encode(&mut index);
        OwnedRecord {
            seq: Seq::from_raw(seq),
            wall: WallTime::from_ms(wall_ms),
            log_time: LogTime::from_ms(0),
            tenant_hash: 0,
            flags: 0,
            index,
            payload: raw.into_bytes(),
        }
    }

    fn selection() -> Selection {
        let written = json!({"tenants": ["a", "b"], "filter": {"severities": ["error"]}, "redact": {"mask": ["ip"]}});
        Selection::read(&written).unwrap()
    }

    fn tally(reach: &Reach, records: &[OwnedRecord]) -> Tally {
        let selection = selection();
        let mut judge = Judge::new(&selection, reach);
        let mut tally = Tally::default();
        records.iter().for_each(|record| judge.judge(record.clone(), &mut tally));
        tally
    }

    const HALF_AN_HOUR: i64 = 1_800_000;

    #[test]
    fn a_preview_counts_what_would_have_been_sent_and_says_it_in_a_sentence() {
        let records = [
            record(1, 0, "a", "SECURITY", "error"),
            record(2, 1_000, "b", "SECURITY", "info"),
            record(3, 2_000, "b", "DATA", "info"),
            record(4, 3_000, "c", "DATA", "error"),
        ];
        let preview = tally(&Reach::All, &records).told(&selection(), HALF_AN_HOUR, None);
        assert_eq!((preview.seen, preview.judged, preview.selected), (4, 3, 1));
        let bytes = records[0].payload.len() as u64;
        assert_eq!((preview.selected_bytes, preview.bytes_per_day), (bytes, Some(bytes * 48)));
        assert_eq!(
            preview.summary,
            format!("would have sent 1 of 3 events, {bytes} B, in the last 30 m; about {} a day", size(bytes * 48))
        );
        let of = |name: &str, judged, selected| Share { name: Some(name.to_owned()), judged, selected };
        assert_eq!(preview.categories, [of("SECURITY", 2, 1), of("DATA", 1, 0)]);
        assert_eq!(preview.severities, [of("error", 1, 1), of("info", 2, 0)]);
        assert_eq!(preview.left_out_by, [LeftOutBy { list: "severities".to_owned(), events: 2 }]);
        assert_eq!(preview.left_out.iter().map(|example| example.received_ms).collect::<Vec<_>>(), [2_000, 1_000]);
        assert_eq!(preview.left_out[0].left_out_by.as_deref(), Some("severities"));
        assert!(preview.sent[0].event.get().contains("\"ip\":\"***\""), "{}", preview.sent[0].event);
    }

    #[test]
    fn whoever_is_bound_to_tenants_is_shown_and_counted_theirs_alone() {
        let reach = Reach::Tenants(["b".to_owned()].into());
        let records =
            [record(1, 0, "a", "S", "error"), record(2, 0, "b", "S", "error"), record(3, 0, "c", "S", "error")];
        let preview = tally(&reach, &records).told(&selection(), HALF_AN_HOUR, None);
        assert_eq!((preview.seen, preview.judged, preview.selected), (1, 1, 1));
        assert!(preview.sent.iter().all(|example| example.event.get().contains("\"tenant_id\":\"b\"")));
    }

    #[test]
    fn stretches_of_the_log_add_up_and_the_newest_examples_are_kept() {
        let stretch = |from: u64| -> Vec<OwnedRecord> {
            (from..from + 4).map(|seq| record(seq, seq as i64, "a", &format!("C{seq}"), "error")).collect()
        };
        let mut whole = tally(&Reach::All, &stretch(10));
        whole.add_earlier(tally(&Reach::All, &stretch(1)));
        let preview = whole.told(&selection(), 100, None);
        assert_eq!((preview.selected, preview.first_ms, preview.last_ms), (8, Some(1), Some(13)));
        assert_eq!(preview.bytes_per_day, None, "a tenth of a second says nothing about a day");
        assert_eq!(preview.sent.iter().map(|example| example.received_ms).collect::<Vec<_>>(), [13, 12, 11, 10, 4]);
        assert_eq!(preview.categories.len(), 8);
    }

    #[test]
    fn what_grows_with_the_log_is_bounded() {
        let records: Vec<_> = (1..200).map(|seq| record(seq, 0, "a", &format!("C{seq}"), "info")).collect();
        let preview = tally(&Reach::All, &records).told(&selection(), 0, None);
        assert_eq!((preview.categories.len(), preview.left_out.len()), (CATEGORIES_MAX + 1, EXAMPLES_MAX));
        assert_eq!(preview.categories.iter().map(|share| share.judged).sum::<u64>(), 199);
        let nothing = tally(&Reach::All, &[]).told(&selection(), 0, None);
        assert!(nothing.summary.contains("no events"), "{}", nothing.summary);
    }
}
