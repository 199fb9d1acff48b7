//! Which lines of a connection are settled, and so how far it may be acknowledged.
//!
//! Lines count from 1, blank and refused ones too. A line that became an event belongs to a group; groups settle in any
//! order. `acked` is the largest N for which each of the first N lines is durable, blank or refused; it never goes back.
//! What is held is bounded by the window: at most one run a line, at most one group a line, [`REFUSALS_MAX`] refusals.

use std::collections::VecDeque;

/// Most refusals held for a producer that does not read its acks; the rest are a count.
pub const REFUSALS_MAX: usize = 100;

/// How much of a connection may be unacknowledged before reading stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Bytes of events. One event may pass it when nothing else is unacknowledged.
    pub bytes: u64,
    /// Lines of any kind.
    pub lines: u64,
}

impl Default for Window {
    fn default() -> Window {
        Window { bytes: 4 * 1024 * 1024, lines: 8192 }
    }
}

/// Events of a connection that become durable together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(u64);

/// What a group held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Events.
    pub events: u64,
    /// Bytes of those events.
    pub bytes: u64,
}

/// A line that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLine {
    /// Its number on the connection or in the request, from 1.
    pub line: u64,
    /// Why, in plain words.
    pub reason: String,
    /// Why, as a stable label.
    pub code: &'static str,
}

/// Refusals that the producer has not been told of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// The first ones.
    pub named: Vec<RefusedLine>,
    /// How many more there were.
    pub more: u64,
}

impl Refusals {
    /// Nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.more == 0
    }

    /// Names the line while fewer than `limit` are named, else counts it.
    pub fn push(&mut self, limit: usize, refused: RefusedLine) {
        if self.named.len() < limit {
            self.named.push(refused);
        } else {
            self.more += 1;
        }
    }

    /// The producer has been told.
    pub fn clear(&mut self) {
        self.named.clear();
        self.more = 0;
    }
}

/// The account of one connection.
#[derive(Debug)]
pub struct Ledger {
    window: Window,
    read: u64,
    acked: u64,
    unacked_bytes: u64,
    /// Lines above `acked` in order; neighbours of the same group are one run.
    runs: VecDeque<Run>,
    /// Groups from `first_group` on; all before it are settled.
    groups: VecDeque<Group>,
    first_group: u64,
    /// What the producer has not been told of yet.
    pub refusals: Refusals,
}

/// Lines up to `end` (included: lines count from 1) that settle together; `None` is settled already.
#[derive(Debug)]
struct Run {
    group: Option<GroupId>,
    end: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Group {
    held: Held,
    is_settled: bool,
}

impl Ledger {
    /// The account of a new connection.
    pub fn new(window: Window) -> Ledger {
        Ledger {
            window,
            read: 0,
            acked: 0,
            unacked_bytes: 0,
            runs: VecDeque::new(),
            groups: VecDeque::new(),
            first_group: 0,
            refusals: Refusals::default(),
        }
    }

    /// Whether one more line, with an event of `bytes` in it, keeps inside the window.
    pub fn has_room(&self, bytes: usize) -> bool {
        let is_alone = self.unacked_bytes == 0;
        self.read - self.acked < self.window.lines
            && (is_alone || self.unacked_bytes + bytes as u64 <= self.window.bytes)
    }

    /// The first N lines are settled.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Lines read so far.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Whether every line read is settled.
    pub fn is_settled(&self) -> bool {
        self.acked == self.read
    }

    /// What groups hold that are not settled.
    pub fn unsettled(&self) -> Held {
        let open = self.groups.iter().filter(|group| !group.is_settled);
        open.fold(Held::default(), |sum, group| Held {
            events: sum.events + group.held.events,
            bytes: sum.bytes + group.held.bytes,
        })
    }

    /// Begins a group; lines join it with [`Ledger::take`].
    pub fn open_group(&mut self) -> GroupId {
        let id = GroupId(self.first_group + self.groups.len() as u64);
        self.groups.push_back(Group::default());
        id
    }

    /// The next line is an event of `bytes` and settles with `group`.
    pub fn take(&mut self, group: GroupId, bytes: usize) {
        let bytes = bytes as u64;
        if let Some(group) = self.group_mut(group) {
            group.held.events += 1;
            group.held.bytes += bytes;
        }
        self.push_line(Some(group), bytes);
    }

    /// The next line is blank.
    pub fn blank(&mut self) {
        self.push_line(None, 0);
    }

    /// The next line is refused.
    pub fn refuse(&mut self, reason: String, code: &'static str) {
        self.push_line(None, 0);
        self.refusals.push(REFUSALS_MAX, RefusedLine { line: self.read, reason, code });
    }

    /// All events of `group` are durable. Returns what it held, nothing when it was settled before.
    pub fn settle(&mut self, group: GroupId) -> Held {
        let Some(entry) = self.group_mut(group) else {
            return Held::default();
        };
        if entry.is_settled {
            return Held::default();
        }
        entry.is_settled = true;
        let held = entry.held;
        while self.groups.front().is_some_and(|group| group.is_settled) {
            self.groups.pop_front();
            self.first_group += 1;
        }
        self.advance();
        held
    }

    /// `group` was not kept: it will never settle, and `acked` stays below its first line. Returns what it held.
    pub fn fail(&mut self, group: GroupId) -> Held {
        match self.group_mut(group) {
            Some(group) if !group.is_settled => std::mem::take(&mut group.held),
            _ => Held::default(),
        }
    }

    fn push_line(&mut self, group: Option<GroupId>, bytes: u64) {
        self.read += 1;
        self.unacked_bytes += bytes;
        match self.runs.back_mut() {
            Some(run) if run.group == group => {
                run.end = self.read;
                run.bytes += bytes;
            }
            _ => self.runs.push_back(Run { group, end: self.read, bytes }),
        }
        self.advance();
    }

    fn advance(&mut self) {
        while let Some(run) = self.runs.front() {
            if run.group.is_some_and(|group| !self.is_group_settled(group)) {
                return;
            }
            self.acked = run.end;
            self.unacked_bytes -= run.bytes;
            self.runs.pop_front();
        }
    }

    fn is_group_settled(&self, group: GroupId) -> bool {
        match group.0.checked_sub(self.first_group) {
            None => true,
            Some(at) => self.groups.get(at as usize).is_none_or(|group| group.is_settled),
        }
    }

    fn group_mut(&mut self, group: GroupId) -> Option<&mut Group> {
        let at = group.0.checked_sub(self.first_group)?;
        self.groups.get_mut(at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Window = Window { bytes: 100, lines: 8 };

    #[test]
    fn groups_that_settle_out_of_order_are_acknowledged_in_order() {
        let mut ledger = Ledger::new(WINDOW);
        let (first, second) = (ledger.open_group(), ledger.open_group());
        ledger.take(first, 10);
        ledger.take(second, 10);
        ledger.take(first, 10);
        assert_eq!(ledger.settle(second), Held { events: 1, bytes: 10 });
        assert_eq!(ledger.acked(), 0);
        assert_eq!(ledger.settle(first), Held { events: 2, bytes: 20 });
        assert_eq!(ledger.acked(), 3);
        assert!(ledger.is_settled());
    }

    #[test]
    fn blank_and_refused_lines_count_and_wait_for_the_lines_before_them() {
        let mut ledger = Ledger::new(WINDOW);
        ledger.blank();
        assert_eq!(ledger.acked(), 1);
        let group = ledger.open_group();
        ledger.take(group, 5);
        ledger.refuse("no".to_owned(), "no");
        assert_eq!(ledger.acked(), 1);
        assert_eq!(ledger.refusals.named[0].line, 3);
        ledger.settle(group);
        assert_eq!(ledger.acked(), 3);
    }

    #[test]
    fn a_group_that_was_not_kept_is_never_acknowledged() {
        let mut ledger = Ledger::new(WINDOW);
        let (kept, lost) = (ledger.open_group(), ledger.open_group());
        ledger.take(kept, 1);
        ledger.take(lost, 2);
        ledger.take(kept, 1);
        assert_eq!(ledger.fail(lost), Held { events: 1, bytes: 2 });
        ledger.settle(kept);
        assert_eq!(ledger.acked(), 1);
        assert_eq!(ledger.unsettled(), Held::default());
    }

    #[test]
    fn the_window_closes_by_bytes_and_by_lines_and_opens_again() {
        let mut ledger = Ledger::new(WINDOW);
        assert!(ledger.has_room(1000), "one event larger than the window passes alone");
        let group = ledger.open_group();
        ledger.take(group, 90);
        assert!(ledger.has_room(10));
        assert!(!ledger.has_room(11));
        for _ in 0..7 {
            ledger.blank();
        }
        assert!(!ledger.has_room(0));
        ledger.settle(group);
        assert!(ledger.has_room(100));
    }

    #[test]
    fn refusals_beyond_the_bound_are_a_count() {
        let mut ledger = Ledger::new(WINDOW);
        for _ in 0..250 {
            ledger.refuse("no".to_owned(), "no");
        }
        assert_eq!(ledger.refusals.named.len(), REFUSALS_MAX);
        assert_eq!(ledger.refusals.more, 150);
        assert_eq!(ledger.acked(), 250);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Open,
        Take(usize, usize),
        Blank,
        Refuse,
        Settle(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => Just(Step::Open),
            6 => (0_usize..4, 0_usize..50).prop_map(|(group, bytes)| Step::Take(group, bytes)),
            1 => Just(Step::Blank),
            1 => Just(Step::Refuse),
            4 => any::<usize>().prop_map(Step::Settle),
        ]
    }

    proptest! {
        /// The model keeps a row a line and a flag a group, and looks at all of them each time.
        #[test]
        fn the_ledger_agrees_with_a_naive_model(steps in proptest::collection::vec(step(), 0..200)) {
            let mut ledger = Ledger::new(WINDOW);
            let mut ids: Vec<GroupId> = Vec::new();
            let mut settled: Vec<bool> = Vec::new();
            let mut lines: Vec<(Option<usize>, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Open => {
                        ids.push(ledger.open_group());
                        settled.push(false);
                    }
                    Step::Take(back, bytes) => {
                        let Some(group) = ids.len().checked_sub(back + 1) else { continue };
                        if settled[group] { continue }
                        let unacked: u64 = unacked(&lines, &settled).iter().map(|line| line.1).sum();
                        let room = (unacked == 0 || unacked + bytes as u64 <= WINDOW.bytes)
                            && (self::unacked(&lines, &settled).len() as u64) < WINDOW.lines;
                        prop_assert_eq!(ledger.has_room(bytes), room);
                        ledger.take(ids[group], bytes);
                        lines.push((Some(group), bytes as u64));
                    }
                    Step::Blank => { ledger.blank(); lines.push((None, 0)); }
                    Step::Refuse => { ledger.refuse(String::new(), "no"); lines.push((None, 0)); }
                    Step::Settle(pick) => {
                        if ids.is_empty() { continue }
                        let group = pick % ids.len();
                        let events = lines.iter().filter(|line| line.0 == Some(group)).count() as u64;
                        let held = ledger.settle(ids[group]);
                        prop_assert_eq!(held.events, if settled[group] { 0 } else { events });
                        settled[group] = true;
                    }
                }
                let waiting = unacked(&lines, &settled);
                prop_assert_eq!(ledger.acked(), (lines.len() - waiting.len()) as u64);
                prop_assert_eq!(ledger.read(), lines.len() as u64);
                prop_assert_eq!(ledger.is_settled(), waiting.is_empty());
                let open = lines.iter().filter(|line| line.0.is_some_and(|group| !settled[group])).count();
                prop_assert_eq!(ledger.unsettled().events, open as u64);
            }
        }
    }

    fn unacked<'a>(lines: &'a [(Option<usize>, u64)], settled: &[bool]) -> &'a [(Option<usize>, u64)] {
        let first = lines.iter().position(|line| line.0.is_some_and(|group| !settled[group]));
        &lines[first.unwrap_or(lines.len())..]
    }
}
