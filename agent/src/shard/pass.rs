//! Reading the log: at most two passes, one at its end and one that catches up.
//!
//! Outlets that are level read with the tail pass. One that fills up stays behind at its place, and the catch-up pass
//! takes it along when it comes by: it starts at the oldest waiting place with room, runs to the end, and begins again.
//! A pass reads for somebody: when the last one leaves it, it stops there, and goes on from there if that one comes back.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use scaidrive_codecs::{Event, Field, Index, Scratch};
use scaidrive_wal::{Position, Read, Record, Seq};

use super::tenants::TenantTable;
use super::{Place, Shard};
use crate::delivery::outlet::{Outlet, Reading};

/// The passes of one shard.
pub(super) struct Passes {
    tail: Position,
    /// Where the catch-up pass is; while nobody reads with it, where the last one left it.
    catch_up: Option<Position>,
    /// Outlets that wait at their own place, by place.
    waiting: BTreeSet<(Seq, u32)>,
    tenants: TenantTable,
    scratch: Scratch,
    tenant: String,
}

/// Why a pass stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It is at the end.
    AtEnd,
    /// Its slice of this turn is used up.
    SliceUsed,
    /// The keeper brings in what comes next.
    Wait,
    /// Nobody reads with it any more.
    Deserted,
}

impl Passes {
    /// Passes over a log whose next record is `next`; every outlet waits at its own place.
    pub(super) fn new(next: Seq) -> Passes {
        Passes {
            tail: Position::at(next),
            catch_up: None,
            waiting: BTreeSet::new(),
            tenants: TenantTable::default(),
            scratch: Scratch::default(),
            tenant: String::new(),
        }
    }

    /// The places have changed: everyone waits at its own.
    pub(super) fn places_changed(&mut self, places: impl Iterator<Item = (u32, Reading, Seq)>) {
        self.tenants.forget();
        self.catch_up = None;
        self.waiting =
            places.filter(|(_, reading, _)| *reading == Reading::Waiting).map(|(at, _, seq)| (seq, at)).collect();
    }

    /// Where an outlet that reads like this has come to.
    pub(super) fn position(&self, reading: Reading) -> Option<Seq> {
        match reading {
            Reading::AtTail => Some(self.tail.seq()),
            Reading::CatchingUp => self.catch_up.as_ref().map(Position::seq),
            Reading::Waiting | Reading::Draining(_) => None,
        }
    }
}

impl Shard {
    /// Reads a bounded slice with each pass. Returns whether more could be read at once.
    pub(super) fn read_passes(self: &Rc<Self>) -> bool {
        let mut passes = self.passes.borrow_mut();
        let tail = self.read_tail(&mut passes);
        let catch_up = self.read_catch_up(&mut passes);
        tail == Stop::SliceUsed || catch_up == Stop::SliceUsed
    }

    /// An outlet that reads with a pass has seen all that lies before it. Returns whether it reads with one.
    pub(super) fn note_passed(&self, outlet: &mut Outlet) -> bool {
        let seq = self.passes.borrow().position(outlet.reading);
        seq.inspect(|seq| outlet.passed_to(*seq)).is_some()
    }

    /// An outlet that drained takes its place among those that wait.
    pub(super) fn waits_again(&self, at: u32, seq: Seq) {
        self.passes.borrow_mut().waiting.insert((seq, at));
    }

    fn read_tail(self: &Rc<Self>, passes: &mut Passes) -> Stop {
        let end = self.log.borrow().ack_end();
        if !self.is_read_by_any(Reading::AtTail) {
            // Nobody reads here: who comes level later will find the pass at the end.
            if passes.tail.seq() < end {
                passes.tail = Position::at(end);
            }
            return Stop::AtEnd;
        }
        let mut tail = passes.tail.clone();
        let stop = self.read_slice(passes, &mut tail, end, Reading::AtTail);
        if stop == Stop::Deserted {
            passes.catch_up.get_or_insert_with(|| tail.clone());
        }
        passes.tail = tail;
        stop
    }

    fn read_catch_up(self: &Rc<Self>, passes: &mut Passes) -> Stop {
        if passes.catch_up.is_none() && passes.waiting.is_empty() {
            return Stop::AtEnd;
        }
        if !self.is_read_by_any(Reading::CatchingUp) {
            let Some(seq) = self.first_joiner(passes) else { return Stop::AtEnd };
            if passes.catch_up.as_ref().is_none_or(|position| position.seq() != seq) {
                passes.catch_up = Some(Position::at(seq.max(self.log.borrow().first_seq())));
            }
        }
        let Some(mut position) = passes.catch_up.take() else { return Stop::AtEnd };
        let end = passes.tail.seq();
        let stop = self.read_slice(passes, &mut position, end, Reading::CatchingUp);
        if stop == Stop::AtEnd || position.seq() >= end {
            self.come_level(passes, position, end);
        } else {
            passes.catch_up = Some(position);
            if stop != Stop::Deserted {
                return stop;
            }
        }
        // Those that stayed behind meanwhile are for the next pass, in the next turn.
        if self.first_joiner(passes).is_some() { Stop::SliceUsed } else { Stop::AtEnd }
    }

    fn is_read_by_any(&self, who: Reading) -> bool {
        self.places.borrow().iter().any(|place| place.outlet.borrow().reading == who)
    }

    /// The oldest place whose outlet may be taken along.
    fn first_joiner(&self, passes: &Passes) -> Option<Seq> {
        let places = self.places.borrow();
        let must_go = self.frontier.must_go.get();
        let may_join = |at: u32, seq: Seq| {
            places.get(at as usize).is_some_and(|place| {
                let outlet = place.outlet.borrow();
                outlet.may_read(seq, self.gives_up(place, &outlet, seq < must_go))
            })
        };
        passes.waiting.iter().find(|(seq, at)| may_join(*at, *seq)).map(|(seq, _)| *seq)
    }

    /// The catch-up pass is at the tail: whoever came along reads there from now on.
    fn come_level(&self, passes: &mut Passes, position: Position, seq: Seq) {
        if position.seq() == seq {
            // It knows its place, where the tail pass may have none if nobody read with it.
            passes.tail = position;
        }
        for place in self.places.borrow().iter() {
            let mut outlet = place.outlet.borrow_mut();
            if outlet.reading == Reading::CatchingUp {
                outlet.passed_to(seq);
                outlet.reading = Reading::AtTail;
            }
        }
        for (_, at) in passes.waiting.extract_if((seq, 0).., |_| true) {
            if let Some(place) = self.places.borrow().get(at as usize) {
                place.outlet.borrow_mut().reading = Reading::AtTail;
            }
        }
    }

    fn read_slice(self: &Rc<Self>, passes: &mut Passes, position: &mut Position, end: Seq, who: Reading) -> Stop {
        for _ in 0..self.slice_of(who) {
            let here = position.seq();
            let read = self.log.borrow_mut().read(position, end);
            // Who waits between here and what was read has nothing to see in between: there are holes only.
            let joins_before = match &read {
                Read::Record(record) => record.seq().next(),
                Read::Damage { missing } => missing.end,
                Read::Trimmed { now_first } => *now_first,
                Read::End => end,
                // The way to the next segment may be behind it already.
                Read::Wait => position.seq(),
            };
            if who == Reading::CatchingUp {
                self.take_along(passes, here..joins_before);
            }
            match read {
                Read::Record(record) => {
                    let has_left = self.show(passes, &record, who);
                    if has_left && !self.is_read_by_any(who) {
                        position.return_to(&record);
                        return Stop::Deserted;
                    }
                }
                Read::Damage { missing } => self.missing(missing, who),
                Read::Trimmed { .. } => {}
                Read::End => return Stop::AtEnd,
                Read::Wait => return Stop::Wait,
            }
        }
        Stop::SliceUsed
    }

    /// Events that this pass may read in one turn. Those who are level do not wait long for those who are behind.
    fn slice_of(&self, who: Reading) -> usize {
        match who == Reading::CatchingUp && self.is_read_by_any(Reading::AtTail) {
            true => SLICE_EVENTS / 4,
            false => SLICE_EVENTS,
        }
    }

    /// Outlets that wait in this stretch, and have room, come along from here.
    fn take_along(&self, passes: &mut Passes, stretch: Range<Seq>) {
        if stretch.is_empty() || passes.waiting.is_empty() {
            return;
        }
        let must_go = self.frontier.must_go.get();
        let places = self.places.borrow();
        let comes_along = |(seq, at): &(Seq, u32)| {
            let Some(place) = places.get(*at as usize) else { return true };
            let mut outlet = place.outlet.borrow_mut();
            let may_join = outlet.may_read(*seq, self.gives_up(place, &outlet, *seq < must_go));
            if may_join {
                outlet.reading = Reading::CatchingUp;
            }
            may_join
        };
        let stretch = (stretch.start, 0)..(stretch.end, 0);
        if passes.waiting.range(stretch.clone()).next().is_some() {
            passes.waiting.extract_if(stretch, comes_along).for_each(drop);
        }
    }

    /// Whether an outlet passes over what must go. Who joins a pass and who stays in it is decided by the same rule: one
    /// that joined only to leave again would keep the shard turning.
    fn gives_up(&self, place: &Place, outlet: &Outlet, must_go: bool) -> bool {
        must_go && outlet.may_give_up() && !self.holds_producers(place)
    }

    /// Shows a record to every outlet of this pass in whose scope it is. Returns whether one has left the pass.
    fn show(self: &Rc<Self>, passes: &mut Passes, record: &Record, who: Reading) -> bool {
        let Ok(index) = Index::decode(record.index()) else {
            self.unreadable.set(self.unreadable.get() + 1);
            return false;
        };
        let mut has_left = false;
        let event = Event::new(record.payload(), &index);
        let places = self.places.borrow();
        let Passes { tenants, scratch, waiting, tenant, .. } = passes;
        let tenant = event.text(Field::TenantId, tenant).unwrap_or_default();
        let scopes = places.iter().map(|place| &place.destination.scope);
        let in_scope = tenants.places(record.tenant_hash(), tenant, scopes);
        let is_old = record.log_time().as_ms() < self.frontier.logged_before.get();
        let must_go = is_old || record.seq() < self.frontier.squeezed_before.get();
        let mut books = self.tenants.borrow_mut();
        for at in in_scope.iter() {
            let place = &places[*at as usize];
            let mut outlet = place.outlet.borrow_mut();
            if outlet.reading != who {
                continue;
            }
            let is_given_up = self.gives_up(place, &outlet, must_go);
            if !outlet.may_read(record.seq(), is_given_up) {
                outlet.passed_to(record.seq());
                outlet.reading = Reading::Waiting;
                waiting.insert((record.seq(), *at));
                has_left = true;
                continue;
            }
            let condemned = outlet.judge(record, &event, is_given_up, self.now.get(), scratch, &mut books);
            // One more event in a batch that somebody waits for is nothing that the turn has to look at; that a batch begins
            // is, for it may have to go before anything else happens.
            let is_attended = place.is_attended(&outlet, self.now.get()) && !outlet.sender().has_begun();
            let is_news = is_given_up || outlet.is_replay() || !is_attended;
            drop(outlet);
            if is_news {
                self.touch(place);
            }
            if let Some(condemned) = condemned {
                self.bury(place, condemned);
            }
        }
        has_left
    }

    /// Records are missing: what was selected before them is settled first, then another epoch begins behind them.
    fn missing(&self, missing: Range<Seq>, who: Reading) {
        self.tell_damage(&missing);
        for place in self.places.borrow().iter() {
            let mut outlet = place.outlet.borrow_mut();
            if outlet.reading == who {
                outlet.passed_to(missing.end);
                outlet.damaged(missing.start.get()..missing.end.get());
                drop(outlet);
                self.touch(place);
            }
        }
    }
}

/// Events a pass reads in one turn; then others have theirs.
const SLICE_EVENTS: usize = 512;
