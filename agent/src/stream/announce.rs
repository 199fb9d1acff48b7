//! What a stream says out of band, in the order in which it may be said.
//!
//! Always true:
//! - One message at a time, notices before statements. So a statement never explains a number by a notice that the
//!   destination has not accepted.
//! - Nothing is sent before a durable cursor holds it, so a restart repeats it under the same id, with the same content.
//!
//! What is told as lost may have arrived: an event that was accepted in the last second before a crash, and given up
//! before it was sent again. Then the SIEM holds more than a statement says; it never holds less.

use crate::stored::{Decode, Encode};
use crate::stream::episode::{EPISODES_BYTES_MAX, EpisodeState, Episodes, NotAscending};
use crate::stream::notice::{Damage, GapNotice, Loss};
use crate::stream::settled::{Checkpoint, Lost};
use crate::stream::statement::{Previous, STATEMENTS_BYTES_MAX, Statement, StatementState, Statements};
use crate::time::{Entropy, Millis};

/// The notices and statements of one stream.
#[derive(Debug)]
pub struct Announcer {
    episodes: Episodes,
    /// The same losses once more, from the first one in this life on, for those who hear of them whether the destination
    /// takes its notices or not.
    overheard: Option<Box<Episodes>>,
    statements: Statements,
    made: Revision,
    durable: Revision,
}

/// What of the announcements lives in the cursor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AnnouncerState {
    episodes: EpisodeState,
    statements: StatementState,
}

/// Counts what was made, so that a cursor's writer can say how much of it is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(u64);

/// A message to send alone and again until it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement<'a> {
    /// Numbers the destination does not get.
    Gap(&'a GapNotice),
    /// Numbers the stream vouches for.
    Statement(&'a Statement),
}

impl<'a> Announcement<'a> {
    /// The same message with a notice of at most so many ranges and named tenants.
    pub fn shortened(&self, ranges_max: usize, tenants_max: usize) -> Shortened<'a> {
        match self {
            Announcement::Gap(notice) => {
                let mut notice = (*notice).clone();
                notice.shorten(ranges_max, tenants_max);
                Shortened::Gap(Box::new(notice))
            }
            Announcement::Statement(statement) => Shortened::Statement(statement),
        }
    }
}

/// An announcement that fits into a short message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortened<'a> {
    /// A notice of its own.
    Gap(Box<GapNotice>),
    /// A statement, which is short.
    Statement(&'a Statement),
}

impl Shortened<'_> {
    /// It as a message.
    pub fn as_announcement(&self) -> Announcement<'_> {
        match self {
            Shortened::Gap(notice) => Announcement::Gap(notice),
            Shortened::Statement(statement) => Announcement::Statement(statement),
        }
    }
}

impl Announcement<'_> {
    /// The message's id.
    pub fn id(&self) -> [u8; 16] {
        match self {
            Announcement::Gap(notice) => notice.id,
            Announcement::Statement(statement) => statement.id,
        }
    }
}

impl Announcer {
    /// A stream that begins.
    pub fn new(epoch: [u8; 16], previous: Previous, now: Millis) -> Announcer {
        let statements = Statements::new(epoch, previous, now);
        let episodes = Episodes::new(epoch);
        Announcer { episodes, overheard: None, statements, made: Revision(0), durable: Revision(0) }
    }

    /// Goes on from what a cursor held; `checkpoint` is the same cursor's.
    pub fn restore(state: AnnouncerState, checkpoint: &Checkpoint, now: Millis) -> Announcer {
        Announcer {
            episodes: Episodes::restore(state.episodes, now),
            overheard: None,
            statements: Statements::restore(state.statements, checkpoint, now),
            made: Revision(0),
            durable: Revision(0),
        }
    }

    /// What the cursor must hold, together with the checkpoint last given to [`Announcer::settled`].
    pub fn state(&self) -> AnnouncerState {
        AnnouncerState { episodes: self.episodes.state(), statements: self.statements.state() }
    }

    /// The cursor passes number `n`, which the destination does not get: what [`Settled::advance`] hands out.
    ///
    /// [`Settled::advance`]: crate::stream::settled::Settled::advance
    ///
    /// # Errors
    /// When `n` is smaller than a number passed over before; nothing is counted then.
    pub fn pass_over(&mut self, lost: Lost, n: u64, loss: &Loss, now: Millis) -> Result<(), NotAscending> {
        self.episodes.pass_over(lost, n, loss, now)?;
        let overheard = self.overheard.get_or_insert_with(|| Box::new(Episodes::new(self.episodes.epoch())));
        overheard.pass_over(lost, n, loss, now)
    }

    /// Notices for everybody but the destination: made when they are due, and told by being returned. They count what is
    /// lost a second time, so their episodes have ids of their own.
    pub fn overhear(&mut self, now: Millis, entropy: &mut dyn Entropy) -> Vec<GapNotice> {
        let Some(overheard) = &mut self.overheard else { return Vec::new() };
        let mut told = Vec::new();
        overheard.make_due(now, false, entropy);
        while let Some(notice) = overheard.front().cloned() {
            overheard.accepted(notice.id);
            told.push(notice);
            overheard.make_due(now, false, entropy);
        }
        told
    }

    /// The last of them: what is running ends here.
    pub fn overhear_the_rest(&mut self, now: Millis, entropy: &mut dyn Entropy) -> Vec<GapNotice> {
        if let Some(overheard) = &mut self.overheard {
            overheard.close(now, entropy);
        }
        self.overhear(now, entropy)
    }

    /// Notices that the destination has yet to accept.
    pub fn notices_waiting(&self) -> usize {
        self.episodes.pending().count()
    }

    /// The cursor may stand at `checkpoint`; every number it passed without delivery has been passed over here.
    pub fn settled(&mut self, checkpoint: &Checkpoint, now: Millis) {
        self.statements.settled(checkpoint, now);
    }

    /// A stretch of the log is damaged; the epoch that damage begins has begun. Wants a cursor write.
    pub fn damaged(&mut self, damage: &Damage, entropy: &mut dyn Entropy) {
        self.episodes.damaged(damage, entropy);
        self.made.0 += 1;
    }

    /// Makes what is due; called when a walk over what is given up is through, so that the first notice tells all of
    /// it. `true` asks for a cursor write now: what was made waits for it.
    pub fn make_due(&mut self, now: Millis, entropy: &mut dyn Entropy) -> bool {
        let wants_to_state = self.statements.is_due(now);
        let mut made = self.episodes.make_due(now, wants_to_state, entropy);
        if wants_to_state && self.episodes.is_told() {
            self.statements.make(now, entropy);
            made = true;
        }
        if made {
            self.made.0 += 1;
        }
        made
    }

    /// What is settled is to be stated now, rather than when it is due, until every number before `n` is.
    pub fn hurry(&mut self, n: u64, now: Millis) {
        self.statements.hurry(n, now);
    }

    /// Whether every number before `n` was stated, or told as lost, and the destination has accepted that. What it has yet
    /// to be told of later numbers does not count.
    pub fn has_said(&self, n: u64) -> bool {
        self.episodes.have_told(n) && self.statements.have_said(n)
    }

    /// The end of what accepted statements vouch for; see [`Statements::accepted_end`].
    pub fn stated_end(&self) -> u64 {
        self.statements.accepted_end()
    }

    /// What has been made so far: a cursor body taken now holds it.
    pub fn revision(&self) -> Revision {
        self.made
    }

    /// A cursor written with the state as of `revision` is durable.
    pub fn durable(&mut self, revision: Revision) {
        self.durable = self.durable.max(revision);
    }

    /// The message to send now, if there is one.
    pub fn front(&self) -> Option<Announcement<'_>> {
        self.front_beyond(&[])
    }

    /// The message to send after those that are `written` to a pipe and not yet known to have arrived.
    pub fn front_beyond(&self, written: &[[u8; 16]]) -> Option<Announcement<'_>> {
        if self.durable < self.made {
            return None;
        }
        let notices = self.episodes.pending().map(Announcement::Gap);
        let statements = self.statements.waiting().map(Announcement::Statement);
        notices.chain(statements).find(|announcement| !written.contains(&announcement.id()))
    }

    /// Whether the message with this id is a statement that waits to be accepted.
    pub fn is_statement(&self, id: [u8; 16]) -> bool {
        self.statements.waiting().any(|statement| statement.id == id)
    }

    /// The destination accepted the message with this id. False when it was not the one to send.
    pub fn accepted(&mut self, id: [u8; 16]) -> bool {
        self.episodes.accepted(id) || self.statements.accepted(id)
    }

    /// The message with this id certainly did not arrive. A notice is then made anew, with what was lost since.
    pub fn recall(&mut self, id: [u8; 16]) -> bool {
        self.episodes.recall(id)
    }

    /// Whether an overflow episode is running.
    pub fn is_overflowing(&self) -> bool {
        self.episodes.is_overflowing()
    }

    /// Whether no event may be sent now: a barrier waits to be accepted.
    /// Messages that are `written` to a pipe stand before whatever follows, so they are no obstacle.
    pub fn holds_back(&self, written: &[[u8; 16]]) -> bool {
        self.episodes.holds_back(written)
    }

    /// Another epoch begins; `given_end` is the number the old one's next event would have got. Wants a cursor write.
    pub fn begin_epoch(&mut self, epoch: [u8; 16], given_end: u64, now: Millis, entropy: &mut dyn Entropy) {
        self.episodes.begin_epoch(epoch, now, entropy);
        if let Some(overheard) = &mut self.overheard {
            overheard.begin_epoch(epoch, now, entropy);
        }
        self.statements.begin_epoch(epoch, given_end, now, entropy);
        self.made.0 += 1;
    }

    /// The destination is deleted: what is untold becomes notices, and the last statement says what is `abandoned`.
    /// Wants a cursor write.
    pub fn close(&mut self, abandoned: u64, now: Millis, entropy: &mut dyn Entropy) {
        self.episodes.close(now, entropy);
        self.statements.close(abandoned, now, entropy);
        self.made.0 += 1;
    }
}

/// What the announcements of a stream take in a cursor at most, in bytes.
pub const ANNOUNCER_BYTES_MAX: usize = EPISODES_BYTES_MAX + STATEMENTS_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::notice::Cause;
    use crate::stream::settled::{FIRST_N, Settled};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    struct Count(u64);

    impl Entropy for Count {
        fn next_u64(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }
    }

    type Epoch = [u8; 16];

    /// What reaches the destination, and what must hold of it at every moment.
    #[derive(Default)]
    struct Siem {
        delivered: BTreeSet<(Epoch, u64)>,
        notices: BTreeMap<[u8; 16], GapNotice>,
        statements: BTreeMap<[u8; 16], Statement>,
        explained: BTreeSet<(Epoch, u64)>,
        inexact: bool,
    }

    impl Siem {
        fn receive(&mut self, announcement: Announcement<'_>) {
            match announcement {
                Announcement::Gap(notice) => self.notice(notice),
                Announcement::Statement(statement) => self.statement(statement),
            }
        }

        fn notice(&mut self, notice: &GapNotice) {
            if let Some(known) = self.notices.insert(notice.id, notice.clone()) {
                assert_eq!(&known, notice, "a repeated notice says the same");
                return;
            }
            let losses = &notice.losses;
            let tenants: u64 = losses.tenants.iter().map(|(_, count)| count).sum();
            assert_eq!(tenants + losses.tenants_rest, losses.count);
            if losses.ranges.is_merged() || notice.earlier_epochs > 0 {
                self.inexact = true;
                return;
            }
            let mut numbers = 0;
            for n in losses.ranges.as_slice().iter().cloned().flatten() {
                numbers += 1;
                assert!(self.explained.insert((notice.epoch, n)), "number {n} is told twice");
            }
            assert_eq!(numbers, losses.count);
        }

        fn statement(&mut self, statement: &Statement) {
            if let Some(known) = self.statements.insert(statement.id, statement.clone()) {
                assert_eq!(&known, statement, "a repeated statement says the same");
                return;
            }
            // The query of the starter content, over the statement's own range.
            let range = (statement.epoch, statement.from)..(statement.epoch, statement.end);
            let distinct = self.delivered.range(range.clone()).count() as u64;
            assert_eq!(statement.end - statement.from, distinct + statement.explained, "{statement:?}");
            if !self.inexact {
                assert_eq!(self.explained.range(range).count() as u64, statement.explained, "told before stated");
            }
        }
    }

    /// A shard with one stream whose events have fates of their own: the same whenever they are tried.
    struct World {
        settled: Settled<Loss>,
        announcer: Announcer,
        cursor: (Checkpoint, AnnouncerState, Epoch),
        epoch: Epoch,
        epochs: u8,
        now: u64,
        entropy: Count,
        siem: Siem,
        seed: u64,
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Judge(u64),
        Settle(u64),
        Wait(u64),
        WriteCursor,
        Announce { reply_is_lost: bool },
        Restart,
        NewEpoch,
    }

    impl World {
        fn new(seed: u64) -> World {
            let epoch = [1; 16];
            let announcer = Announcer::new(epoch, Previous::None, Millis(0));
            let checkpoint = Checkpoint::first(1);
            World {
                settled: Settled::at(checkpoint),
                cursor: (checkpoint, announcer.state(), epoch),
                announcer,
                epoch,
                epochs: 1,
                now: 0,
                entropy: Count(0),
                siem: Siem::default(),
                seed,
            }
        }

        /// In spells, so that ranges are now short and scattered, now long.
        fn fate(&self, seq: u64) -> Option<Lost> {
            let mix = |value: u64| value.wrapping_add(self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            match (mix(seq / 64) % 3, mix(seq) % 10) {
                (0, _) => None,
                (1, 0..=1) | (2, 0) => Some(Lost::DeadLettered),
                (2, 1..=8) => Some(Lost::Overflowed),
                _ => None,
            }
        }

        fn settle(&mut self, n: u64) {
            let Some(seq) = self.settled.seq(n) else {
                return;
            };
            match self.fate(seq) {
                None if self.announcer.holds_back(&[]) => return,
                None => {
                    self.siem.delivered.insert((self.epoch, n));
                    let _ = self.settled.delivered(n);
                }
                Some(lost) => {
                    let tenant = format!("tenant-{}", seq % 7).into();
                    let event_id = seq.to_string().into();
                    let loss = Loss { tenant, event_id, bytes: 100, wall_ms: seq as i64, reason: "no".into() };
                    let _ = self.settled.lost(n, lost, loss);
                }
            }
            let (announcer, now) = (&mut self.announcer, Millis(self.now));
            let pass_over = |n, lost, loss: Loss| announcer.pass_over(lost, n, &loss, now).unwrap();
            let checkpoint = self.settled.advance(pass_over);
            self.announcer.settled(&checkpoint, now);
        }

        fn write_cursor(&mut self) {
            let revision = self.announcer.revision();
            let mut bytes = Vec::new();
            crate::stored::encode(&self.announcer.state(), &mut bytes).unwrap();
            assert!(bytes.len() <= ANNOUNCER_BYTES_MAX);
            let state = crate::stored::decode(&bytes).unwrap();
            self.cursor = (self.settled.checkpoint(), state, self.epoch);
            self.announcer.durable(revision);
        }

        fn announce(&mut self, reply_is_lost: bool) {
            self.announcer.make_due(Millis(self.now), &mut self.entropy);
            let Some(announcement) = self.announcer.front() else {
                return;
            };
            self.siem.receive(announcement);
            let id = announcement.id();
            if !reply_is_lost {
                assert!(self.announcer.accepted(id));
            }
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Judge(count) => {
                    for _ in 0..count {
                        let seq = self.settled.next_seq();
                        self.settled.selected(seq);
                    }
                }
                Step::Settle(pick) => {
                    let len = self.settled.len() as u64;
                    self.settle(self.settled.checkpoint().next_n + pick % len.max(1));
                }
                Step::Wait(ms) => self.now += ms,
                Step::WriteCursor => self.write_cursor(),
                Step::Announce { reply_is_lost } => self.announce(reply_is_lost),
                Step::Restart => {
                    let (checkpoint, state, epoch) = self.cursor.clone();
                    self.settled = Settled::at(checkpoint);
                    self.announcer = Announcer::restore(state, &checkpoint, Millis(self.now));
                    self.epoch = epoch;
                }
                // Few enough that no statement of a closed epoch has to give way.
                Step::NewEpoch if self.epochs == 6 => {}
                Step::NewEpoch => {
                    self.epochs += 1;
                    self.epoch = [self.epochs; 16];
                    let (given_end, now) = (self.settled.next_n(), Millis(self.now));
                    self.announcer.begin_epoch(self.epoch, given_end, now, &mut self.entropy);
                    self.settled = Settled::at(Checkpoint::first(self.settled.checkpoint().next_seq));
                    self.write_cursor();
                }
            }
        }

        /// The destination is well for long enough that all is settled and told.
        fn calm(&mut self) {
            for _ in 0..10_000 {
                let next_n = self.settled.checkpoint().next_n;
                for n in next_n..self.settled.next_n() {
                    self.settle(n);
                }
                self.step(Step::Wait(61_000));
                self.step(Step::Announce { reply_is_lost: false });
                self.write_cursor();
                let statement = self.announcer.statements.front();
                if self.settled.is_empty()
                    && self.announcer.front().is_none()
                    && statement.is_none()
                    && !self.announcer.statements.is_due(Millis(self.now + 10 * 60_000))
                    && self.announcer.episodes.is_told()
                {
                    return;
                }
            }
            panic!("the stream never came to rest");
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (1u64..40).prop_map(Step::Judge),
            60 => any::<u64>().prop_map(Step::Settle),
            4 => (0u64..400_000).prop_map(Step::Wait),
            6 => Just(Step::WriteCursor),
            6 => any::<bool>().prop_map(|reply_is_lost| Step::Announce { reply_is_lost }),
            2 => Just(Step::Restart),
            1 => Just(Step::NewEpoch),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn lesson_45_notices_and_statements_agree_with_what_reached_the_destination(
            seed: u64,
            steps in prop::collection::vec(step(), 1..600),
        ) {
            let mut world = World::new(seed);
            for step in steps {
                world.step(step);
            }
            world.calm();
            // Every number of every epoch up to its last statement is delivered or in one notice, and nothing more.
            let mut ranges: BTreeMap<Epoch, Vec<(u64, u64)>> = BTreeMap::new();
            for statement in world.siem.statements.values() {
                ranges.entry(statement.epoch).or_default().push((statement.from, statement.end));
            }
            let mut explained = 0;
            for (epoch, mut ranges) in ranges {
                ranges.sort_unstable();
                let mut next = FIRST_N;
                for (from, end) in ranges {
                    prop_assert_eq!(from, next, "statements follow each other");
                    next = end;
                }
                let mine = |(other, n): &&(Epoch, u64)| *other == epoch && *n < next;
                let delivered = world.siem.delivered.iter().filter(mine).count() as u64;
                explained += next - FIRST_N - delivered;
                if !world.siem.inexact {
                    let told = world.siem.explained.iter().filter(|(other, _)| *other == epoch).count() as u64;
                    prop_assert_eq!(told + delivered, next - FIRST_N);
                }
            }
            let told: u64 = world.siem.notices.values().map(|notice| notice.losses.count + notice.earlier_epochs).sum();
            prop_assert_eq!(told, explained);
        }
    }

    #[test]
    fn a_deleted_destination_hears_what_it_lost_and_then_the_last_statement() {
        let mut announcer = Announcer::new([1; 16], Previous::None, Millis(0));
        let loss = Loss { tenant: "t".into(), event_id: "e".into(), bytes: 1, wall_ms: 0, reason: "".into() };
        announcer.pass_over(Lost::DeadLettered, 1, &loss, Millis(0)).unwrap();
        let books = crate::stream::books::Books { dead_lettered: 1, ..Default::default() };
        announcer.settled(&Checkpoint { next_seq: 2, next_n: 2, books }, Millis(0));
        announcer.close(5, Millis(1), &mut Count(0));
        announcer.durable(announcer.revision());
        let Some(Announcement::Gap(notice)) = announcer.front() else { panic!("the loss comes first") };
        assert_eq!((notice.losses.count, notice.is_final), (1, true));
        let id = notice.id;
        assert!(announcer.accepted(id));
        let Some(Announcement::Statement(last)) = announcer.front() else { panic!("then the statement") };
        assert_eq!((last.from, last.end, last.explained, last.is_final, last.abandoned), (1, 2, 1, true, 5));
    }

    #[test]
    fn a_drop_is_overheard_at_once_though_the_destination_takes_no_notice_and_its_sum_is_the_loss() {
        let mut announcer = Announcer::new([1; 16], Previous::None, Millis(0));
        let loss = Loss { tenant: "t".into(), event_id: "e".into(), bytes: 1, wall_ms: 0, reason: "".into() };
        assert_eq!(announcer.overhear(Millis(0), &mut Count(0)), []);
        let (mut told, mut entropy) = (Vec::new(), Count(0));
        for second in 0..100 {
            announcer.pass_over(Lost::Overflowed, second + 1, &loss, Millis::from_secs(second)).unwrap();
            told.extend(announcer.overhear(Millis::from_secs(second), &mut entropy));
        }
        assert_eq!(
            told.iter().map(|notice| (notice.notice, notice.losses.count)).collect::<Vec<_>>(),
            [(1, 1), (2, 60)]
        );
        told.extend(announcer.overhear(Millis::from_secs(200), &mut entropy));
        told.extend(announcer.overhear_the_rest(Millis::from_secs(201), &mut entropy));
        assert_eq!(told.iter().map(|notice| notice.losses.count).sum::<u64>(), 100);
        assert!(told.last().unwrap().is_final && told.iter().all(|notice| notice.episode == told[0].episode));
        assert_eq!(announcer.notices_waiting(), 0, "what the destination is told is another matter");
    }

    #[test]
    fn what_is_lost_later_has_no_part_in_whether_all_before_a_number_was_said() {
        let mut announcer = Announcer::new([1; 16], Previous::None, Millis(0));
        let loss = Loss { tenant: "t".into(), event_id: "e".into(), bytes: 1, wall_ms: 0, reason: "".into() };
        let lose = |announcer: &mut Announcer, n| {
            announcer.pass_over(Lost::Overflowed, n, &loss, Millis(0)).unwrap();
            let books = crate::stream::books::Books { overflowed: n, ..Default::default() };
            announcer.settled(&Checkpoint { next_seq: n + 1, next_n: n + 1, books }, Millis(0));
        };
        assert!(announcer.has_said(1), "there is no number before the first");
        lose(&mut announcer, 1);
        announcer.hurry(2, Millis(0));
        assert!(announcer.make_due(Millis(0), &mut Count(0)));
        announcer.durable(announcer.revision());
        for _ in 0..2 {
            assert!(!announcer.has_said(2));
            let id = announcer.front().unwrap().id();
            let later = if announcer.is_statement(id) { 3 } else { 2 };
            lose(&mut announcer, later);
            assert!(announcer.accepted(id));
        }
        assert!(announcer.has_said(2) && !announcer.has_said(3));
        announcer.hurry(2, Millis(0));
        announcer.make_due(Millis(0), &mut Count(9));
        assert!(!announcer.front().is_some_and(|front| announcer.is_statement(front.id())), "it is not due again");
    }

    #[test]
    fn nothing_is_sent_before_a_durable_cursor_holds_it() {
        let mut announcer = Announcer::new([1; 16], Previous::None, Millis(0));
        let loss = Loss { tenant: "t".into(), event_id: "e".into(), bytes: 1, wall_ms: 0, reason: "".into() };
        announcer.pass_over(Lost::Overflowed, 1, &loss, Millis(0)).unwrap();
        let before = announcer.revision();
        assert!(announcer.make_due(Millis(0), &mut Count(0)));
        assert_eq!(announcer.front(), None);
        announcer.durable(before);
        assert_eq!(announcer.front(), None, "that cursor was written before the notice was made");
        announcer.durable(announcer.revision());
        let Some(Announcement::Gap(notice)) = announcer.front() else { panic!("the notice is ready") };
        assert_eq!(notice.cause, Cause::Overflow);
    }
}
