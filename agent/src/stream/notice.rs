//! What one notice tells a destination about events it will not get.
//!
//! Always true:
//! - `count` is exact. The ranges name exactly the missing numbers until there are more than [`RANGES_MAX`]; then the
//!   closest are merged, `merged` is set, and a merged range also covers numbers that are not missing.
//! - The named tenants are those with most loss, and named counts plus the rest make `count`. Counts are exact for the
//!   first [`TALLY_MAX`] tenants of a notice; a tenant that came later, or that a restart forgot, is in the rest.
//! - A notice takes at most [`NOTICE_BYTES_MAX`] bytes in a cursor.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use crate::stored::{Decode, Encode};
use crate::time::Entropy;

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Cause {
    /// Given up: older than the window, squeezed out by the budget, or refused with a full dead-letter store.
    Overflow,
    /// Refused by the destination; the events lie in its dead-letter store.
    Refused,
    /// Damaged on disk, as [`GapNotice::damage`] says. Which events lay there, and which of them would have been
    /// selected, is not known: there are no ranges, and `count` says how many there can have been at most.
    Damaged,
}

/// One notice. Its content and id stay the same however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GapNotice {
    /// Random; what tells a repeated notice from a new one.
    pub id: [u8; 16],
    /// Why the events are missing.
    pub cause: Cause,
    /// The epoch whose numbers the ranges are; for damage, the epoch that began because of it.
    pub epoch: [u8; 16],
    /// Nothing above the gap may be sent before this notice is accepted.
    pub is_barrier: bool,
    /// The episode is over; the notice may then tell of no events at all.
    pub is_final: bool,
    /// Id of the first notice of the same episode.
    pub episode: [u8; 16],
    /// Which notice of its episode this is, from 1.
    pub notice: u32,
    /// Events of earlier epochs whose notices could not be kept apart; in no range and not in `losses.count`.
    pub earlier_epochs: u64,
    /// The events.
    pub losses: Losses,
    /// The damage, when that is the cause.
    pub damage: Option<Damage>,
}

/// Events that are missing, in numbers and bounded lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Losses {
    /// How many.
    pub count: u64,
    /// Their length as received, in bytes.
    pub bytes: u64,
    /// Which numbers.
    pub ranges: Ranges,
    /// Wall time of the earliest and the latest, in ms since 1970.
    pub times_ms: Option<(i64, i64)>,
    /// Id of the event with the smallest number, cut to [`EVENT_ID_MAX`] bytes.
    pub first_event_id: String,
    /// Id of the event with the largest number, cut alike.
    pub last_event_id: String,
    /// Tenants with most loss first: id, cut to [`TENANT_ID_MAX`] bytes, and events.
    pub tenants: Vec<(String, u64)>,
    /// Events of tenants that are not named.
    pub tenants_rest: u64,
    /// The destination's words about the first refused event, cut to [`REASON_MAX`] bytes.
    pub reason: String,
}

/// A damaged stretch of a log, as the log reports it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Damage {
    /// Name of the segment file; cut to [`SEGMENT_NAME_MAX`] bytes in a notice.
    pub segment: String,
    /// Bytes that are not valid records.
    pub bytes: u64,
    /// Seqs of records that may have lain there.
    pub seqs: Range<u64>,
    /// When it was found.
    pub found: Found,
}

/// When damage was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Found {
    /// When the log was opened.
    Opening,
    /// When a reader came to it.
    Reading,
}

/// What is remembered of one lost event until it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The tenant's id.
    pub tenant: Box<str>,
    /// The event's id.
    pub event_id: Box<str>,
    /// Length as received, in bytes.
    pub bytes: u32,
    /// When the event came in, in ms since 1970.
    pub wall_ms: i64,
    /// Why the destination refused it; empty for what was given up.
    pub reason: Box<str>,
}

impl GapNotice {
    /// The same notice with at most `ranges_max` ranges (at least one) and `tenants_max` named tenants, for a
    /// destination whose messages are short. No count changes.
    pub fn shorten(&mut self, ranges_max: usize, tenants_max: usize) {
        self.losses.ranges.merge_to(ranges_max);
        let unnamed = self.losses.tenants.len().min(tenants_max);
        self.losses.tenants_rest += self.losses.tenants.drain(unnamed..).map(|(_, count)| count).sum::<u64>();
    }

    /// Takes over the count of a notice about earlier numbers, which is not told by itself then.
    pub(super) fn absorb(&mut self, earlier: &GapNotice) {
        self.earlier_epochs += earlier.losses.count + earlier.earlier_epochs;
        self.is_barrier |= earlier.is_barrier;
    }
}

/// Ascending, disjoint, half-open ranges; at most [`RANGES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Ranges {
    list: Vec<Range<u64>>,
    merged: bool,
}

impl Ranges {
    /// Adds a range that starts at or after the end of all others.
    pub fn push(&mut self, range: Range<u64>) {
        match self.list.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.list.push(range),
        }
        if self.list.len() > RANGES_MAX {
            self.merge_closest();
        }
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[Range<u64>] {
        &self.list
    }

    /// Whether ranges were merged, so that they cover more than what is missing.
    pub fn is_merged(&self) -> bool {
        self.merged
    }

    /// From the first number to the end of the last range.
    pub fn span(&self) -> Option<Range<u64>> {
        Some(self.list.first()?.start..self.list.last()?.end)
    }

    fn merge_to(&mut self, max: usize) {
        while self.list.len() > max.max(1) {
            self.merge_closest();
        }
    }

    fn merge_closest(&mut self) {
        let distance = |at: &usize| self.list[at + 1].start.saturating_sub(self.list[*at].end);
        let Some(at) = (0..self.list.len().saturating_sub(1)).min_by_key(distance) else {
            return;
        };
        self.list[at].end = self.list[at + 1].end;
        self.list.remove(at + 1);
        self.merged = true;
    }
}

/// Losses that no notice tells yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold {
    losses: Losses,
    tally: HashMap<Box<str>, u64>,
    unnamed: u64,
}

impl Untold {
    /// The losses a cursor held.
    pub(super) fn restore(losses: Losses) -> Untold {
        let tally = losses.tenants.iter().map(|(tenant, count)| (tenant.as_str().into(), *count)).collect();
        Untold {
            unnamed: losses.tenants_rest,
            tally,
            losses: Losses { tenants: Vec::new(), tenants_rest: 0, ..losses },
        }
    }

    /// Adds event number `n`, which is larger than all before it.
    pub(super) fn add(&mut self, n: u64, loss: &Loss) {
        let losses = &mut self.losses;
        if losses.count == 0 {
            losses.first_event_id = cut_to(&loss.event_id, EVENT_ID_MAX).to_owned();
            losses.reason = cut_to(&loss.reason, REASON_MAX).to_owned();
        }
        losses.last_event_id.clear();
        losses.last_event_id.push_str(cut_to(&loss.event_id, EVENT_ID_MAX));
        losses.count += 1;
        losses.bytes += u64::from(loss.bytes);
        losses.ranges.push(n..n + 1);
        let (earliest, latest) = losses.times_ms.unwrap_or((loss.wall_ms, loss.wall_ms));
        losses.times_ms = Some((earliest.min(loss.wall_ms), latest.max(loss.wall_ms)));
        self.count_tenant(cut_to(&loss.tenant, TENANT_ID_MAX), 1);
    }

    pub(super) fn begins_before(&self, n: u64) -> bool {
        self.losses.ranges.span().is_some_and(|span| span.start < n)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.losses.count == 0
    }

    /// Puts losses with smaller numbers before these.
    pub(super) fn prepend(&mut self, earlier: Untold) {
        let later = std::mem::replace(self, earlier);
        if later.is_empty() {
            return;
        }
        let losses = &mut self.losses;
        if losses.count == 0 {
            losses.first_event_id = later.losses.first_event_id;
            losses.reason = later.losses.reason;
        }
        losses.last_event_id = later.losses.last_event_id;
        losses.count += later.losses.count;
        losses.bytes += later.losses.bytes;
        later.losses.ranges.as_slice().iter().for_each(|range| losses.ranges.push(range.clone()));
        losses.ranges.merged |= later.losses.ranges.merged;
        losses.times_ms = match (losses.times_ms, later.losses.times_ms) {
            (Some((from, to)), Some((other_from, other_to))) => Some((from.min(other_from), to.max(other_to))),
            (one, other) => one.or(other),
        };
        for (tenant, count) in later.tally {
            self.count_tenant(&tenant, count);
        }
        self.unnamed += later.unnamed;
    }

    /// The losses with the tenants named that lost most.
    pub(super) fn told(&self) -> Losses {
        let (tenants, rest) = most_loss(&self.tally);
        Losses { tenants, tenants_rest: rest + self.unnamed, ..self.losses.clone() }
    }

    fn count_tenant(&mut self, tenant: &str, lost: u64) {
        if let Some(count) = self.tally.get_mut(tenant) {
            *count += lost;
        } else if self.tally.len() < TALLY_MAX {
            self.tally.insert(tenant.into(), lost);
        } else {
            self.unnamed += lost;
        }
    }
}

/// At most [`TENANTS_NAMED_MAX`] tenants, most loss first, whose ids take at most [`TENANTS_BYTES_MAX`] bytes; and the
/// sum of the others.
fn most_loss(tally: &HashMap<Box<str>, u64>) -> (Vec<(String, u64)>, u64) {
    let mut ranked: Vec<(&str, u64)> = tally.iter().map(|(tenant, count)| (&**tenant, *count)).collect();
    let total: u64 = ranked.iter().map(|(_, count)| count).sum();
    if ranked.len() > TENANTS_NAMED_MAX {
        ranked.select_nth_unstable_by(TENANTS_NAMED_MAX, by_loss);
        ranked.truncate(TENANTS_NAMED_MAX);
    }
    ranked.sort_unstable_by(by_loss);
    let mut room = TENANTS_BYTES_MAX;
    let mut named = Vec::new();
    for (tenant, count) in ranked {
        let Some(left) = room.checked_sub(tenant.len()) else {
            break;
        };
        room = left;
        named.push((tenant.to_owned(), count));
    }
    let rest = total - named.iter().map(|(_, count)| count).sum::<u64>();
    (named, rest)
}

/// Most loss first. The id decides between equals, so that the same losses always make the same notice.
fn by_loss(a: &(&str, u64), b: &(&str, u64)) -> Ordering {
    b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0))
}

/// The longest beginning of `text` that fits in `max` bytes and ends between characters.
pub fn cut_to(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// A new random id.
pub(super) fn new_id(entropy: &mut dyn Entropy) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&entropy.next_u64().to_le_bytes());
    id[8..].copy_from_slice(&entropy.next_u64().to_le_bytes());
    // Version 4 and the variant of RFC 9562, so that the text form is an ordinary random UUID.
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// How many ranges a notice names.
pub const RANGES_MAX: usize = 100;
/// How many tenants a notice names.
pub const TENANTS_NAMED_MAX: usize = 100;
/// How many tenants are counted apart while a notice is gathered.
pub const TALLY_MAX: usize = 10_000;
/// The longest tenant id a notice tells, in bytes; longer ones are cut and counted under what is left.
pub const TENANT_ID_MAX: usize = 64;
/// What the ids of a notice's tenants may take together, in bytes: a hundred UUIDs and some.
pub const TENANTS_BYTES_MAX: usize = 3700;
/// The longest event id a notice tells, in bytes.
pub const EVENT_ID_MAX: usize = 96;
/// The longest reason a notice tells, in bytes.
pub const REASON_MAX: usize = 240;
/// The longest segment name a notice tells, in bytes.
pub const SEGMENT_NAME_MAX: usize = 64;
/// What a notice takes in a cursor at most, in bytes: two integers a range, an id and an integer a tenant, the rest.
pub const NOTICE_BYTES_MAX: usize =
    RANGES_MAX * 18 + TENANTS_BYTES_MAX + TENANTS_NAMED_MAX * 10 + 2 * EVENT_ID_MAX + REASON_MAX + 200;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::stream) fn loss(tenant: &str, wall_ms: i64) -> Loss {
        Loss {
            tenant: tenant.into(),
            event_id: format!("event-{wall_ms}").into(),
            bytes: 100,
            wall_ms,
            reason: "no".into(),
        }
    }

    /// The largest losses there can be: ranges that can't be shortened by small numbers, ids as long as they may be.
    pub(in crate::stream) fn fill(untold: &mut Untold, from_n: u64) {
        for at in 0..1000u64 {
            let tenant = format!("{at:0>80}");
            let tenant = &tenant[16..];
            let event_id = "e".repeat(500).into();
            untold.add(
                from_n + at * 2,
                &Loss {
                    tenant: tenant.into(),
                    event_id,
                    bytes: u32::MAX,
                    wall_ms: i64::MIN,
                    reason: "r".repeat(500).into(),
                },
            );
        }
    }

    proptest! {
        #[test]
        fn ranges_are_the_numbers_themselves_or_cover_them_and_say_so(
            steps in prop::collection::vec(1u64..4, 1..500),
        ) {
            let mut ranges = Ranges::default();
            let mut numbers = Vec::new();
            let mut n = 0;
            for step in steps {
                n += step;
                ranges.push(n..n + 1);
                numbers.push(n);
            }
            prop_assert!(ranges.as_slice().len() <= RANGES_MAX);
            prop_assert!(ranges.as_slice().windows(2).all(|pair| pair[0].end < pair[1].start));
            let covered: Vec<u64> = ranges.as_slice().iter().cloned().flatten().collect();
            if ranges.is_merged() {
                prop_assert!(numbers.iter().all(|n| covered.contains(n)));
                prop_assert!(ranges.as_slice().len() == RANGES_MAX);
            } else {
                prop_assert_eq!(covered, numbers);
            }
            prop_assert_eq!(ranges.span(), ranges.as_slice().first().map(|first| first.start..n + 1));
        }

        #[test]
        fn tenant_counts_add_up_to_the_count_across_any_restart(
            tenants in prop::collection::vec(0u32..300, 1..600),
            restart_at in 0usize..600,
        ) {
            let mut untold = Untold::default();
            for (at, tenant) in tenants.iter().enumerate() {
                if at == restart_at {
                    untold = Untold::restore(untold.told());
                }
                untold.add(at as u64 + 1, &loss(&format!("tenant-{tenant}"), at as i64));
            }
            let told = untold.told();
            prop_assert!(told.tenants.len() <= TENANTS_NAMED_MAX);
            prop_assert!(told.tenants.is_sorted_by_key(|(_, count)| std::cmp::Reverse(*count)));
            let named: u64 = told.tenants.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(named + told.tenants_rest, told.count);
            prop_assert_eq!(told.count, tenants.len() as u64);
            if restart_at >= tenants.len() {
                for (tenant, count) in &told.tenants {
                    let exact = tenants.iter().filter(|other| format!("tenant-{other}") == *tenant).count();
                    prop_assert_eq!(*count, exact as u64);
                }
            }
        }

        #[test]
        fn a_cut_text_is_a_beginning_that_fits(text: String, max in 0usize..20) {
            let cut = cut_to(&text, max);
            prop_assert!(cut.len() <= max && text.starts_with(cut));
            prop_assert!(cut.len() + 4 > max || cut.len() == text.len());
        }
    }

    #[test]
    fn the_closest_ranges_are_merged_first() {
        let mut ranges = Ranges::default();
        for at in 0..RANGES_MAX as u64 {
            ranges.push(at * 10..at * 10 + 1);
        }
        assert!(!ranges.is_merged());
        ranges.push(993..994);
        assert!(ranges.is_merged());
        assert_eq!(ranges.as_slice().last(), Some(&(990..994)));
        assert_eq!(ranges.as_slice()[98], 980..981);
    }

    #[test]
    fn the_hundred_tenants_with_most_loss_are_named_and_the_rest_is_a_sum() {
        let mut untold = Untold::default();
        let mut n = 0;
        for tenant in 0..150 {
            for _ in 0..=tenant {
                n += 1;
                untold.add(n, &loss(&format!("t{tenant}"), 0));
            }
        }
        let told = untold.told();
        assert_eq!(told.tenants[0], ("t149".to_owned(), 150));
        assert_eq!(told.tenants[99], ("t50".to_owned(), 51));
        assert_eq!(told.tenants_rest, (1..=50).sum::<u64>());
    }

    #[test]
    fn tenants_beyond_ten_thousand_are_counted_together() {
        let mut untold = Untold::default();
        for n in 1..=TALLY_MAX as u64 + 5 {
            untold.add(n, &loss(&n.to_string(), 0));
        }
        assert_eq!(untold.tally.len(), TALLY_MAX);
        assert_eq!(untold.unnamed, 5);
        let told = untold.told();
        assert_eq!(told.tenants_rest + 100, told.count);
    }

    #[test]
    fn the_largest_losses_keep_to_their_bound() {
        let mut untold = Untold::default();
        fill(&mut untold, 1 << 60);
        let notice = GapNotice {
            id: [255; 16],
            cause: Cause::Damaged,
            epoch: [255; 16],
            is_barrier: true,
            is_final: true,
            episode: [255; 16],
            notice: u32::MAX,
            earlier_epochs: u64::MAX,
            losses: untold.told(),
            damage: Some(Damage {
                segment: "s".repeat(SEGMENT_NAME_MAX),
                bytes: u64::MAX,
                seqs: u64::MAX..u64::MAX,
                found: Found::Reading,
            }),
        };
        assert_eq!(notice.losses.ranges.as_slice().len(), RANGES_MAX);
        let mut bytes = Vec::new();
        crate::stored::encode(&notice, &mut bytes).unwrap();
        assert!(bytes.len() <= NOTICE_BYTES_MAX, "{} bytes", bytes.len());
        assert_eq!(crate::stored::decode::<GapNotice>(&bytes).unwrap(), notice);
    }

    #[test]
    fn a_shortened_notice_keeps_its_counts() {
        let mut untold = Untold::default();
        for n in 1..=50 {
            untold.add(n * 3, &loss(&format!("t{n}"), 0));
        }
        let mut notice = GapNotice {
            id: [1; 16],
            cause: Cause::Refused,
            epoch: [2; 16],
            is_barrier: false,
            is_final: false,
            episode: [1; 16],
            notice: 1,
            earlier_epochs: 0,
            losses: untold.told(),
            damage: None,
        };
        notice.shorten(0, 0);
        assert_eq!(notice.losses.ranges.as_slice(), std::slice::from_ref(&(3..151)));
        assert!(notice.losses.ranges.is_merged());
        assert_eq!((notice.losses.count, notice.losses.tenants_rest), (50, 50));
    }
}
