//! Episodes: when a stream tells its destination what it will not get.
//!
//! Numbers that the cursor passes without delivery gather here, by cause. While a cause keeps losing numbers it has an
//! *episode*: the first notice is made at once, then one each minute while it grows. An overflow episode ends with a
//! final notice when a minute has passed without loss; an episode of refused events just ends, because a single dead
//! letter must not cost two notices.
//!
//! Always true:
//! - Each number lost is in exactly one notice: those made, in their order, and what is untold name ascending numbers.
//! - At most one notice of a cause is made at a time; what is lost meanwhile waits for the next. So an outage of the
//!   destination costs no memory, and notices can't overflow.
//! - The front notice never changes until it is accepted. It has no number, is sent alone, and is never given up.
//! - The whole state takes at most [`EPISODES_BYTES_MAX`] bytes in a cursor.
//!
//! The first notice of an overflow episode and every notice of damage is a barrier: [`Episodes::holds_back`]. Refused
//! events are no barrier, because others of the same request were accepted before the verdict was known.

use std::collections::VecDeque;

use crate::stored::{Decode, Encode};
use crate::stream::notice::{
    Cause, Damage, GapNotice, Loss, Losses, NOTICE_BYTES_MAX, SEGMENT_NAME_MAX, Untold, cut_to, new_id,
};
use crate::stream::settled::{FIRST_N, Lost};
use crate::time::{Entropy, Millis};

/// The episodes of one stream and the notices that wait to be accepted.
#[derive(Debug)]
pub struct Episodes {
    epoch: [u8; 16],
    /// Numbers below it have been passed over or delivered.
    next_n: u64,
    overflow: Episode,
    refused: Episode,
    pending: VecDeque<GapNotice>,
}

#[derive(Debug)]
struct Episode {
    cause: Cause,
    untold: Untold,
    phase: Phase,
    /// Id of the episode's first notice, and how many notices there have been.
    id: [u8; 16],
    notices: u32,
    /// When a growing episode is told next.
    tell_at: Millis,
    last_lost: Millis,
    /// What the latest notice told, as long as it can be taken back.
    recallable: Untold,
}

/// How far an episode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
enum Phase {
    /// Nothing is being lost.
    Quiet,
    /// Losses that no notice of this episode has told.
    Begun,
    /// The first notice has been made.
    Told,
}

/// What of the episodes lives in the cursor. What is untold at a restart is told at once, so that an agent that restarts
/// every few seconds still tells; the minute without loss begins again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EpisodeState {
    epoch: [u8; 16],
    next_n: u64,
    overflow: CauseState,
    refused: CauseState,
    pending: Vec<GapNotice>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct CauseState {
    phase: Phase,
    id: [u8; 16],
    notices: u32,
    untold: Losses,
}

/// A number was passed over that is smaller than one before it: the caller's cursor and its notices contradict
/// each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("number {n} is passed over after the numbers below {next_n} were")]
pub struct NotAscending {
    /// The number.
    pub n: u64,
    /// The end of what was passed over before.
    pub next_n: u64,
}

impl Episodes {
    /// Nothing lost yet in this epoch.
    pub fn new(epoch: [u8; 16]) -> Episodes {
        Episodes {
            epoch,
            next_n: FIRST_N,
            overflow: Episode::quiet(Cause::Overflow),
            refused: Episode::quiet(Cause::Refused),
            pending: VecDeque::new(),
        }
    }

    /// Goes on from what a cursor held.
    pub fn restore(state: EpisodeState, now: Millis) -> Episodes {
        Episodes {
            epoch: state.epoch,
            next_n: state.next_n,
            overflow: Episode::restore(Cause::Overflow, state.overflow, now),
            refused: Episode::restore(Cause::Refused, state.refused, now),
            pending: state.pending.into(),
        }
    }

    /// The epoch whose numbers are told about.
    pub fn epoch(&self) -> [u8; 16] {
        self.epoch
    }

    /// What the cursor must hold.
    pub fn state(&self) -> EpisodeState {
        EpisodeState {
            epoch: self.epoch,
            next_n: self.next_n,
            overflow: self.overflow.state(),
            refused: self.refused.state(),
            pending: self.pending.iter().cloned().collect(),
        }
    }

    /// The cursor passes number `n`, which the destination does not get.
    ///
    /// # Errors
    /// When `n` is smaller than a number passed over before; nothing is counted then.
    pub fn pass_over(&mut self, lost: Lost, n: u64, loss: &Loss, now: Millis) -> Result<(), NotAscending> {
        if n < self.next_n {
            return Err(NotAscending { n, next_n: self.next_n });
        }
        self.next_n = n + 1;
        let episode = match lost {
            Lost::Overflowed => &mut self.overflow,
            Lost::DeadLettered => &mut self.refused,
        };
        episode.add(n, loss, now);
        Ok(())
    }

    /// A stretch of the log is damaged. Called once the epoch that damage begins has begun.
    pub fn damaged(&mut self, damage: &Damage, entropy: &mut dyn Entropy) {
        let count = damage.seqs.end.saturating_sub(damage.seqs.start);
        let losses = Losses { count, bytes: damage.bytes, ..Losses::default() };
        let mut notice = self.notice(Cause::Damaged, losses, entropy);
        notice.is_barrier = true;
        notice.is_final = true;
        notice.damage =
            Some(Damage { segment: cut_to(&damage.segment, SEGMENT_NAME_MAX).to_owned(), ..damage.clone() });
        self.keep_short(notice);
    }

    /// Makes the notices that are due. Called when a walk over what is given up is through, so that the first notice
    /// tells all of it. `hurry` makes all untold losses due. Returns whether one was made: it must be
    /// in a durable cursor before it is sent, or a restart would tell its numbers again under another id.
    pub fn make_due(&mut self, now: Millis, hurry: bool, entropy: &mut dyn Entropy) -> bool {
        let made = self.pending.len();
        for cause in [Cause::Overflow, Cause::Refused] {
            if self.pending.iter().any(|notice| notice.cause == cause) {
                continue;
            }
            if self.episode(cause).is_due(now, hurry) {
                let is_final = self.episode(cause).is_over(now) && cause == Cause::Overflow;
                let notice = self.tell(cause, is_final, now, entropy);
                self.pending.push_back(notice);
            } else if self.episode(cause).is_over(now) {
                self.episode(cause).end();
            }
        }
        self.pending.len() > made
    }

    /// The notice to send, alone, until it is accepted.
    pub fn front(&self) -> Option<&GapNotice> {
        self.pending.front()
    }

    /// All notices that wait, in the order of sending.
    pub fn pending(&self) -> impl Iterator<Item = &GapNotice> {
        self.pending.iter()
    }

    /// The destination accepted the notice with this id. False when it is not the front one.
    pub fn accepted(&mut self, id: [u8; 16]) -> bool {
        let is_front = self.pending.front().is_some_and(|notice| notice.id == id);
        if is_front && let Some(notice) = self.pending.pop_front() {
            self.episode(notice.cause).recallable = Untold::default();
        }
        is_front
    }

    /// The notice with this id was not sent, or certainly did not arrive: what it tells is untold again, so that the
    /// next one tells it together with what was lost since. False when it is not the front one or can't be taken back.
    pub fn recall(&mut self, id: [u8; 16]) -> bool {
        let Some(notice) = self.pending.front().filter(|notice| notice.id == id) else { return false };
        let cause = notice.cause;
        let is_recallable = match cause {
            Cause::Damaged => false,
            // What an epoch's end made short, or joined with an earlier one, stays as it is.
            _ => notice.epoch == self.epoch && !notice.is_final && notice.earlier_epochs == 0,
        };
        let episode = self.episode(cause);
        if !is_recallable || episode.recallable.is_empty() {
            return false;
        }
        let earlier = std::mem::take(&mut episode.recallable);
        episode.untold.prepend(earlier);
        episode.notices -= 1;
        episode.phase = if episode.notices == 0 { Phase::Begun } else { Phase::Told };
        episode.tell_at = Millis::ZERO;
        self.pending.pop_front();
        true
    }

    /// Whether no event may be sent now: the gap before it has not been announced. Notices that are `written` to a pipe
    /// stand before whatever follows, so they are no obstacle.
    pub fn holds_back(&self, written: &[[u8; 16]]) -> bool {
        let stands_before = |notice: &GapNotice| notice.is_barrier && !written.contains(&notice.id);
        self.overflow.phase == Phase::Begun || self.pending.iter().any(stands_before)
    }

    /// Whether every number passed over is in a notice that was made.
    pub fn is_told(&self) -> bool {
        self.overflow.untold.is_empty() && self.refused.untold.is_empty()
    }

    /// Whether the destination has accepted a notice of every number before `n` that was passed over, and all that an
    /// earlier epoch had to tell.
    pub fn have_told(&self, n: u64) -> bool {
        let is_later = |notice: &GapNotice| {
            notice.epoch == self.epoch && notice.losses.ranges.span().is_some_and(|span| span.start >= n)
        };
        let is_untold = |episode: &Episode| episode.untold.begins_before(n);
        !is_untold(&self.overflow) && !is_untold(&self.refused) && self.pending.iter().all(is_later)
    }

    /// Whether an overflow episode is running.
    pub fn is_overflowing(&self) -> bool {
        self.overflow.phase != Phase::Quiet
    }

    /// Numbers begin at 1 again under another epoch. What the old epoch has not told becomes a notice of its own,
    /// with few ranges and tenants. When too many wait, the oldest of a cause gives its count to the next
    /// ([`GapNotice::earlier_epochs`]).
    pub fn begin_epoch(&mut self, epoch: [u8; 16], now: Millis, entropy: &mut dyn Entropy) {
        self.close(now, entropy);
        self.epoch = epoch;
        self.next_n = FIRST_N;
    }

    /// Ends what is running: all that is untold becomes notices, as when another epoch begins.
    pub fn close(&mut self, now: Millis, entropy: &mut dyn Entropy) {
        for cause in [Cause::Overflow, Cause::Refused] {
            let ends_aloud = cause == Cause::Overflow && self.overflow.phase != Phase::Quiet;
            if ends_aloud || !self.episode(cause).untold.is_empty() {
                let notice = self.tell(cause, true, now, entropy);
                self.keep_short(notice);
            }
            self.episode(cause).end();
        }
    }

    fn episode(&mut self, cause: Cause) -> &mut Episode {
        match cause {
            Cause::Refused => &mut self.refused,
            Cause::Overflow | Cause::Damaged => &mut self.overflow,
        }
    }

    /// Moves what is untold into a notice.
    fn tell(&mut self, cause: Cause, is_final: bool, now: Millis, entropy: &mut dyn Entropy) -> GapNotice {
        let untold = std::mem::take(&mut self.episode(cause).untold);
        let losses = untold.told();
        self.episode(cause).recallable = untold;
        let mut notice = self.notice(cause, losses, entropy);
        let episode = self.episode(cause);
        let is_first = episode.phase == Phase::Begun;
        if is_first {
            (episode.id, episode.notices) = (notice.id, 0);
        }
        episode.notices = episode.notices.saturating_add(1);
        (notice.episode, notice.notice) = (episode.id, episode.notices);
        notice.is_barrier = is_first && cause == Cause::Overflow;
        notice.is_final = is_final;
        episode.tell_at = now.plus(NOTICE_EVERY);
        episode.phase = if is_final { Phase::Quiet } else { Phase::Told };
        notice
    }

    fn notice(&self, cause: Cause, losses: Losses, entropy: &mut dyn Entropy) -> GapNotice {
        let id = new_id(entropy);
        GapNotice {
            id,
            cause,
            epoch: self.epoch,
            is_barrier: false,
            is_final: false,
            episode: id,
            notice: 1,
            earlier_epochs: 0,
            losses,
            damage: None,
        }
    }

    /// Keeps a notice that is made whatever else waits, within the bound of what waits.
    fn keep_short(&mut self, mut notice: GapNotice) {
        notice.shorten(SHORT_RANGES, SHORT_TENANTS);
        self.pending.push_back(notice);
        while self.pending.len() > PENDING_MAX {
            self.fold();
        }
    }

    /// Joins two notices of one cause. The front one may be on its way and stays out of it; of the others there
    /// are more than there are causes.
    fn fold(&mut self) {
        let waiting = 1..self.pending.len();
        let pair = waiting.clone().find_map(|older| {
            let same = |newer: &usize| self.pending[*newer].cause == self.pending[older].cause;
            (older + 1..waiting.end).find(same).map(|newer| (older, newer))
        });
        let (older, newer) = pair.expect("PENDING_MAX is the number of causes plus the front one");
        if let Some(earlier) = self.pending.remove(older) {
            // Everything behind the removed one has moved up.
            self.pending[newer - 1].absorb(&earlier);
        }
    }
}

impl Episode {
    fn quiet(cause: Cause) -> Episode {
        let state = CauseState { phase: Phase::Quiet, id: [0; 16], notices: 0, untold: Losses::default() };
        Episode::restore(cause, state, Millis::ZERO)
    }

    fn restore(cause: Cause, state: CauseState, now: Millis) -> Episode {
        let CauseState { phase, id, notices, untold } = state;
        Episode {
            cause,
            untold: Untold::restore(untold),
            phase,
            id,
            notices,
            tell_at: now,
            last_lost: now,
            recallable: Untold::default(),
        }
    }

    fn state(&self) -> CauseState {
        CauseState { phase: self.phase, id: self.id, notices: self.notices, untold: self.untold.told() }
    }

    fn add(&mut self, n: u64, loss: &Loss, now: Millis) {
        self.untold.add(n, loss);
        self.last_lost = now;
        if self.phase == Phase::Quiet {
            self.phase = Phase::Begun;
        }
    }

    fn is_due(&self, now: Millis, hurry: bool) -> bool {
        match self.phase {
            Phase::Quiet => false,
            Phase::Begun => true,
            Phase::Told if self.untold.is_empty() => self.cause == Cause::Overflow && self.is_over(now),
            Phase::Told => hurry || now >= self.tell_at,
        }
    }

    fn is_over(&self, now: Millis) -> bool {
        now.since(self.last_lost) >= CLEAR_AFTER
    }

    fn end(&mut self) {
        self.phase = Phase::Quiet;
    }
}

/// How often a growing episode is told.
pub const NOTICE_EVERY: Millis = Millis::from_secs(60);
/// How long nothing may be lost before an episode is over.
pub const CLEAR_AFTER: Millis = Millis::from_secs(60);
/// How many notices wait at most.
pub const PENDING_MAX: usize = 4;
const SHORT_RANGES: usize = 10;
const SHORT_TENANTS: usize = 10;
/// What the episodes of a stream take in a cursor at most, in bytes: each of two causes with untold losses and a full
/// notice, and short ones for the rest of what may wait.
pub const EPISODES_BYTES_MAX: usize = 32 << 10;
const _: () = assert!(4 * NOTICE_BYTES_MAX + (PENDING_MAX - 2) * 1700 < EPISODES_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::notice::Found;
    use crate::stream::notice::tests::{fill, loss};
    use proptest::prelude::*;
    use std::ops::Range;

    struct Count(u64);

    impl Entropy for Count {
        fn next_u64(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }
    }

    fn seconds(count: u64) -> Millis {
        Millis::from_secs(count)
    }

    fn lose(episodes: &mut Episodes, lost: Lost, numbers: Range<u64>, now: Millis) {
        for n in numbers {
            episodes.pass_over(lost, n, &loss("acme", n as i64), now).unwrap();
        }
    }

    /// The front notice, accepted.
    fn take(episodes: &mut Episodes) -> GapNotice {
        let notice = episodes.front().expect("a notice waits").clone();
        assert!(episodes.accepted(notice.id));
        notice
    }

    #[test]
    fn lesson_15_and_46_an_overflow_is_told_at_once_then_each_minute_and_once_when_it_is_over() {
        let mut entropy = Count(0);
        let mut episodes = Episodes::new([1; 16]);
        lose(&mut episodes, Lost::Overflowed, 1..11, seconds(0));
        assert!(episodes.make_due(seconds(0), false, &mut entropy));
        let first = take(&mut episodes);
        assert!(first.is_barrier && !first.is_final);
        assert_eq!(first.losses.ranges.as_slice(), std::slice::from_ref(&(1..11)));
        assert_eq!((first.losses.count, first.losses.bytes), (10, 1000));
        assert_eq!(first.losses.times_ms, Some((1, 10)));
        assert_eq!((&*first.losses.first_event_id, &*first.losses.last_event_id), ("event-1", "event-10"));
        assert_eq!(first.losses.tenants, [("acme".to_owned(), 10)]);

        lose(&mut episodes, Lost::Overflowed, 15..17, seconds(1));
        assert!(!episodes.make_due(seconds(59), false, &mut entropy), "not a minute yet");
        assert!(episodes.make_due(seconds(60), false, &mut entropy));
        let second = take(&mut episodes);
        assert!(!second.is_barrier && !second.is_final);
        assert_eq!(second.losses.ranges.as_slice(), std::slice::from_ref(&(15..17)));
        assert_eq!((second.episode, second.notice), (first.id, 2));

        assert!(!episodes.make_due(seconds(60), false, &mut entropy), "nothing new");
        assert!(episodes.make_due(seconds(61), false, &mut entropy), "a minute without loss");
        let last = take(&mut episodes);
        assert!(last.is_final && !last.is_barrier);
        assert_eq!((last.losses.count, last.episode, last.notice), (0, first.id, 3));
        assert!(!episodes.make_due(seconds(9999), false, &mut entropy));
        assert!(!episodes.is_overflowing());

        lose(&mut episodes, Lost::Overflowed, 20..21, seconds(10_000));
        assert!(episodes.make_due(seconds(10_000), false, &mut entropy));
        let again = take(&mut episodes);
        assert!(again.is_barrier, "another episode");
        assert_eq!((again.episode, again.notice), (again.id, 1));
    }

    #[test]
    fn a_notice_that_did_not_arrive_is_told_again_together_with_what_was_lost_since() {
        let mut entropy = Count(0);
        let mut episodes = Episodes::new([1; 16]);
        lose(&mut episodes, Lost::Overflowed, 1..5, seconds(0));
        assert!(episodes.make_due(seconds(0), false, &mut entropy));
        let first = episodes.front().expect("a notice waits").clone();
        lose(&mut episodes, Lost::Overflowed, 5..9, seconds(1));
        assert!(episodes.recall(first.id));
        assert!(!episodes.recall(first.id), "once");
        assert!(episodes.holds_back(&[]));
        assert!(episodes.make_due(seconds(1), false, &mut entropy));
        let again = take(&mut episodes);
        assert!(again.is_barrier && again.notice == 1 && again.id != first.id);
        assert_eq!(again.losses.ranges.as_slice(), std::slice::from_ref(&(1..9)));
        assert_eq!((again.losses.count, again.losses.tenants.as_slice()), (8, &[("acme".to_owned(), 8)][..]));
        assert!(!episodes.recall(again.id), "accepted");
    }

    #[test]
    fn nothing_is_sent_between_a_loss_and_the_acceptance_of_its_first_notice() {
        let mut episodes = Episodes::new([1; 16]);
        assert!(!episodes.holds_back(&[]));
        lose(&mut episodes, Lost::Overflowed, 1..2, seconds(0));
        assert!(episodes.holds_back(&[]));
        episodes.make_due(seconds(0), false, &mut Count(0));
        assert!(episodes.holds_back(&[]));
        let mut episodes = Episodes::restore(episodes.state(), seconds(0));
        assert!(episodes.holds_back(&[]));
        take(&mut episodes);
        assert!(!episodes.holds_back(&[]));
        lose(&mut episodes, Lost::Overflowed, 2..3, seconds(5));
        assert!(!episodes.holds_back(&[]), "the episode has been announced");
    }

    #[test]
    fn a_loss_after_a_final_notice_that_waits_holds_back_again() {
        let mut entropy = Count(0);
        let mut episodes = Episodes::new([1; 16]);
        lose(&mut episodes, Lost::Overflowed, 1..2, seconds(0));
        episodes.make_due(seconds(0), false, &mut entropy);
        take(&mut episodes);
        episodes.make_due(seconds(60), false, &mut entropy);
        assert!(episodes.front().unwrap().is_final);
        assert!(!episodes.holds_back(&[]));
        lose(&mut episodes, Lost::Overflowed, 2..3, seconds(61));
        assert!(episodes.holds_back(&[]));
        assert!(!episodes.make_due(seconds(61), false, &mut entropy), "one at a time");
        take(&mut episodes);
        assert!(episodes.make_due(seconds(62), false, &mut entropy));
        assert!(take(&mut episodes).is_barrier);
    }

    #[test]
    fn lesson_29_refused_events_are_told_at_once_without_holding_back_and_without_a_final_notice() {
        let mut entropy = Count(0);
        let mut episodes = Episodes::new([1; 16]);
        lose(&mut episodes, Lost::DeadLettered, 7..8, seconds(0));
        assert!(!episodes.holds_back(&[]));
        assert!(episodes.make_due(seconds(0), false, &mut entropy));
        assert_eq!(take(&mut episodes).cause, Cause::Refused);
        assert!(!episodes.make_due(seconds(61), false, &mut entropy));
        lose(&mut episodes, Lost::DeadLettered, 9..10, seconds(62));
        assert!(episodes.make_due(seconds(62), false, &mut entropy), "another episode is told at once");
    }

    #[test]
    fn a_notice_that_waits_keeps_its_content_while_losses_go_on_and_across_a_restart() {
        let mut entropy = Count(0);
        let mut episodes = Episodes::new([1; 16]);
        lose(&mut episodes, Lost::Overflowed, 1..5, seconds(0));
        episodes.make_due(seconds(0), false, &mut entropy);
        let made = episodes.front().unwrap().clone();
        for minute in 1..100 {
            lose(&mut episodes, Lost::Overflowed, minute * 10..minute * 10 + 1, seconds(minute * 60));
            assert!(!episodes.make_due(seconds(minute * 60), true, &mut entropy));
        }
        assert_eq!(episodes.front(), Some(&made));
        let mut episodes = Episodes::restore(episodes.state(), seconds(0));
        assert_eq!(episodes.front(), Some(&made));
        assert!(!episodes.accepted([9; 16]));
        take(&mut episodes);
        assert!(episodes.make_due(seconds(0), false, &mut entropy), "at once after a restart");
        let next = take(&mut episodes);
        assert_eq!((next.losses.count, next.losses.ranges.as_slice().len()), (99, 99));
    }

    #[test]
    fn a_number_passed_over_twice_is_an_error_and_counted_once() {
        let mut episodes = Episodes::new([1; 16]);
        lose(&mut episodes, Lost::Overflowed, 1..5, seconds(0));
        let error = episodes.pass_over(Lost::DeadLettered, 4, &loss("acme", 0), seconds(0));
        assert_eq!(error, Err(NotAscending { n: 4, next_n: 5 }));
        episodes.make_due(seconds(0), false, &mut Count(0));
        assert_eq!(take(&mut episodes).losses.count, 4);
    }

    #[test]
    fn damage_is_told_by_seqs_and_holds_back() {
        let mut episodes = Episodes::new([1; 16]);
        let damage = Damage { segment: "1.seg".into(), bytes: 4096, seqs: 3..6, found: Found::Opening };
        episodes.damaged(&damage, &mut Count(0));
        assert!(episodes.holds_back(&[]));
        let notice = take(&mut episodes);
        assert_eq!((notice.cause, notice.losses.count, notice.losses.bytes), (Cause::Damaged, 3, 4096));
        assert_eq!(notice.damage, Some(damage));
        assert!(!episodes.holds_back(&[]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn whatever_waits_the_state_keeps_to_its_bound_and_no_count_is_lost(
            steps in prop::collection::vec(0u8..6, 1..40),
        ) {
            let mut entropy = Count(1 << 62);
            let mut episodes = Episodes::new([255; 16]);
            let (mut now, mut n, mut lost, mut told) = (0, 1u64 << 60, 0, 0);
            for step in steps {
                now += 61;
                match step {
                    0 => { fill(&mut episodes.overflow.untold, n); episodes.overflow.phase = Phase::Begun; }
                    1 => { fill(&mut episodes.refused.untold, n); episodes.refused.phase = Phase::Begun; }
                    2 => { episodes.make_due(seconds(now), true, &mut entropy); }
                    3 => {
                        episodes.make_due(seconds(now), true, &mut entropy);
                        episodes.begin_epoch([255; 16], seconds(now), &mut entropy);
                    }
                    4 => {
                        let segment = "s".repeat(200);
                        let damage = Damage { segment, bytes: u64::MAX, seqs: n..n + 200, found: Found::Reading };
                        episodes.damaged(&damage, &mut entropy);
                        lost += 200;
                    }
                    _ => if episodes.front().is_some() {
                        let notice = take(&mut episodes);
                        told += notice.losses.count + notice.earlier_epochs;
                    }
                }
                if step < 2 {
                    n += 2000;
                    lost += 1000;
                }
                let mut bytes = Vec::new();
                crate::stored::encode(&episodes.state(), &mut bytes).unwrap();
                prop_assert!(bytes.len() <= EPISODES_BYTES_MAX, "{} bytes", bytes.len());
                let state: EpisodeState = crate::stored::decode(&bytes).unwrap();
                prop_assert_eq!(&state, &episodes.state());
            }
            loop {
                episodes.make_due(seconds(now), true, &mut entropy);
                if episodes.is_told() && episodes.front().is_none() {
                    break;
                }
                let notice = take(&mut episodes);
                told += notice.losses.count + notice.earlier_epochs;
            }
            prop_assert_eq!(told, lost);
        }
    }
}
