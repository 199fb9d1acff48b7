//! What `top` has seen, and how it is to be shown.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::control::badness;
use crate::control::history::DestinationHistory;
use crate::control::status::{DestinationStatus, Status};

/// See the module.
pub(super) struct State {
    status: Status,
    /// When that was, counted from the first look.
    seen_at: Duration,
    /// Why there is no newer one.
    lost: Option<String>,
    /// Without one for so long, that is said.
    patience: Duration,
    /// Events a second that came in, at each look.
    intake: Rates,
    /// Events a second that each destination accepted.
    accepted: HashMap<String, Rates>,
    /// The last hour of one destination: its name, and events a second that it accepted in each minute, the oldest first.
    hour: Option<(String, Vec<f64>)>,
    sort: Sort,
    is_reversed: bool,
    /// The destination that is marked, which stays the same when the order changes.
    marked: Option<String>,
    /// The first row that is shown.
    pub(super) first: usize,
}

/// Events a second at each look, the newest last.
type Rates = VecDeque<f64>;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To end.
    End,
    /// To mark the row so far below.
    Move(isize),
    /// Another order; the same once more turns it round.
    Sort(Sort),
}

/// The order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// By name.
    Name,
    /// The worst first.
    State,
    /// The furthest behind first.
    Lag,
    /// The most waiting events first.
    Waiting,
    /// The quickest first.
    Rate,
    /// The least first.
    Headroom,
}

impl Sort {
    /// The order that a key stands for.
    pub(super) fn of_key(letter: char) -> Option<Sort> {
        let orders = [
            ('n', Sort::Name),
            ('s', Sort::State),
            ('l', Sort::Lag),
            ('w', Sort::Waiting),
            ('r', Sort::Rate),
            ('h', Sort::Headroom),
        ];
        orders.into_iter().find(|(key, _)| *key == letter).map(|(_, sort)| sort)
    }

    /// A destination's place in it: lower comes first.
    fn place(self, destination: &DestinationStatus) -> f64 {
        match self {
            Sort::Name => 0.0,
            Sort::State => -(badness(&destination.state) as f64),
            Sort::Lag => -(destination.lag_ms as f64),
            Sort::Waiting => -(waiting(destination) as f64),
            Sort::Rate => -destination.events_per_second,
            Sort::Headroom => destination.headroom_ms as f64,
        }
    }
}

/// Events that it has not got yet, as far as they are known: those not read may not be for it.
pub(super) fn waiting(destination: &DestinationStatus) -> u64 {
    destination.books.in_hand.saturating_add(destination.unread)
}

impl State {
    /// After the first look, when one follows `every` so long.
    pub(super) fn new(status: Status, every: Duration) -> State {
        State {
            status,
            seen_at: Duration::ZERO,
            lost: None,
            patience: every + ANSWER_USUAL,
            intake: Rates::new(),
            accepted: HashMap::new(),
            hour: None,
            sort: Sort::State,
            is_reversed: false,
            marked: None,
            first: 0,
        }
    }

    /// The agent has answered, `at` after the first look.
    pub(super) fn see(&mut self, status: Status, at: Duration) {
        let elapsed = at.saturating_sub(self.seen_at).as_secs_f64();
        let is_another = status.agent.pid != self.status.agent.pid || status.agent.id != self.status.agent.id;
        if is_another {
            self.intake.clear();
            self.accepted.clear();
        } else if elapsed > 0.0 {
            let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / elapsed;
            note(&mut self.intake, rate(self.status.intake.accepted, status.intake.accepted));
            let before: HashMap<&str, u64> = self.status.destinations.iter().map(delivered).collect();
            for (name, now) in status.destinations.iter().map(delivered) {
                let rates = self.accepted.entry(name.to_owned()).or_default();
                note(rates, rate(before.get(name).copied().unwrap_or(now), now));
            }
        }
        self.accepted.retain(|name, _| status.destinations.iter().any(|known| known.name == *name));
        (self.status, self.seen_at, self.lost) = (status, at, None);
    }

    /// The agent has told a destination's last hour.
    pub(super) fn see_hour(&mut self, hour: &DestinationHistory) {
        let newest = hour.at_ms.last().copied().unwrap_or_default();
        let mut minutes = vec![(0.0, 0u32); MINUTES];
        for (at, rate) in hour.at_ms.iter().zip(&hour.delivered_events_per_second) {
            let ago = (newest - at).max(0) / MINUTE_MS;
            if let Some((sum, samples)) = usize::try_from(ago).ok().and_then(|ago| minutes.iter_mut().nth_back(ago)) {
                (*sum, *samples) = (*sum + rate, *samples + 1);
            }
        }
        let means = minutes.into_iter().map(|(sum, samples)| sum / f64::from(samples.max(1)));
        self.hour = Some((hour.destination.clone(), means.collect()));
    }

    /// The agent has not answered.
    pub(super) fn lose(&mut self, why: String) {
        self.lost = Some(why);
    }

    /// Moves or sorts.
    pub(super) fn obey(&mut self, wish: Wish) {
        match wish {
            Wish::End => {}
            Wish::Sort(sort) => {
                self.is_reversed = sort == self.sort && !self.is_reversed;
                self.sort = sort;
            }
            Wish::Move(by) => {
                let rows = self.rows();
                let last = rows.len().saturating_sub(1);
                let at = self.marked_row(&rows).saturating_add_signed(by).min(last);
                self.marked = rows.get(at).map(|row| row.name.clone());
            }
        }
    }

    /// What was seen last.
    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// For how long there has been nothing newer, and why.
    pub(super) fn lost(&self, now: Duration) -> Option<(Duration, &str)> {
        let since = now.saturating_sub(self.seen_at);
        let slow = (since > self.patience).then_some("the agent has not answered yet");
        self.lost.as_deref().or(slow).map(|why| (since, why))
    }

    /// The destinations in their order.
    pub(super) fn rows(&self) -> Vec<&DestinationStatus> {
        let mut rows: Vec<&DestinationStatus> = self.status.destinations.iter().collect();
        rows.sort_by(|a, b| {
            let order = self.sort.place(a).total_cmp(&self.sort.place(b)).then_with(|| a.name.cmp(&b.name));
            if self.is_reversed { order.reverse() } else { order }
        });
        rows
    }

    /// Which of `rows` is marked; the first where the marked one is gone.
    pub(super) fn marked_row(&self, rows: &[&DestinationStatus]) -> usize {
        let marked = self.marked.as_ref();
        marked.and_then(|name| rows.iter().position(|row| row.name == *name)).unwrap_or(0)
    }

    /// The name of the one that is marked, if there is any.
    pub(super) fn marked_name(&self) -> Option<String> {
        let rows = self.rows();
        rows.get(self.marked_row(&rows)).map(|row| row.name.clone())
    }

    /// Events a second that a destination accepted in each minute of the last hour, where that has been told.
    pub(super) fn hour(&self, name: &str) -> Option<&[f64]> {
        self.hour.as_ref().filter(|(of, _)| of == name).map(|(_, minutes)| minutes.as_slice())
    }

    /// The order, and whether it is the other way round.
    pub(super) fn sort(&self) -> (Sort, bool) {
        (self.sort, self.is_reversed)
    }

    /// Events a second that came in at the last looks.
    pub(super) fn intake(&self) -> impl DoubleEndedIterator<Item = f64> {
        self.intake.iter().copied()
    }

    /// Events a second that a destination accepted at the last looks.
    pub(super) fn accepted(&self, name: &str) -> impl DoubleEndedIterator<Item = f64> {
        self.accepted.get(name).into_iter().flatten().copied()
    }
}

fn delivered(destination: &DestinationStatus) -> (&str, u64) {
    (destination.name.as_str(), destination.books.delivered)
}

fn note(rates: &mut Rates, rate: f64) {
    if rates.len() == LOOKS_KEPT {
        rates.pop_front();
    }
    rates.push_back(rate);
}

/// An answer that takes longer is missed.
const ANSWER_USUAL: Duration = Duration::from_secs(2);
/// Minutes of an hour.
const MINUTES: usize = 60;
const MINUTE_MS: i64 = 60_000;
/// Looks that charts can show: a minute, at one a second.
const LOOKS_KEPT: usize = 60;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::status::tests::sample;

    /// A status with destinations of these names, the n-th with n seconds of lag, n waiting and n a second.
    pub(in crate::cli::top) fn status(names: &[&str]) -> Status {
        let mut status = sample("active");
        let one = status.destinations.remove(0);
        for (at, name) in names.iter().enumerate() {
            let mut next = one.clone();
            next.name = (*name).to_owned();
            next.lag_ms = at as u64 * 1_000;
            next.unread = at as u64;
            next.events_per_second = at as f64;
            next.headroom_ms = 1_000_000 - next.lag_ms;
            status.destinations.push(next);
        }
        status
    }

    fn order(state: &State) -> Vec<&str> {
        state.rows().iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn the_worst_comes_first_and_a_key_pressed_twice_turns_the_order_round() {
        let mut status = status(&["b", "c", "a"]);
        status.destinations[1].state = "auth_hold".to_owned();
        let mut state = State::new(status, Duration::from_secs(1));
        assert_eq!(order(&state), ["c", "a", "b"]);
        for (key, expected) in [
            ('n', ["a", "b", "c"]),
            ('n', ["c", "b", "a"]),
            ('l', ["a", "c", "b"]),
            ('w', ["a", "c", "b"]),
            ('r', ["a", "c", "b"]),
            ('h', ["a", "c", "b"]),
            ('h', ["b", "c", "a"]),
        ] {
            state.obey(Wish::Sort(Sort::of_key(key).unwrap()));
            assert_eq!(order(&state), expected, "{key}");
        }
        assert_eq!(Sort::of_key('x'), None);
    }

    #[test]
    fn the_mark_moves_within_the_rows_and_stays_with_its_destination() {
        let mut state = State::new(status(&["a", "b", "c"]), Duration::from_secs(1));
        let marked = |state: &State| state.rows()[state.marked_row(&state.rows())].name.clone();
        state.obey(Wish::Move(1));
        assert_eq!(marked(&state), "b");
        for (by, name) in [(isize::MAX, "c"), (1, "c"), (isize::MIN, "a"), (-1, "a"), (2, "c")] {
            state.obey(Wish::Move(by));
            assert_eq!(marked(&state), name, "{by}");
        }
        state.obey(Wish::Sort(Sort::Lag));
        assert_eq!((marked(&state).as_str(), state.marked_row(&state.rows())), ("c", 0));
        state.see(status(&["a", "b"]), Duration::from_secs(1));
        assert_eq!(state.marked_row(&state.rows()), 0, "what is gone is not marked");
        State::new(status(&[]), Duration::from_secs(1)).obey(Wish::Move(1));
    }

    #[test]
    fn rates_are_what_came_between_two_looks_and_begin_anew_with_another_agent() {
        let mut state = State::new(status(&["a"]), Duration::from_secs(1));
        let mut next = status(&["a"]);
        next.destinations[0].books.delivered += 30;
        next.intake.accepted += 10;
        state.see(next.clone(), Duration::from_secs(2));
        assert_eq!(state.accepted("a").collect::<Vec<_>>(), [15.0]);
        assert_eq!(state.intake().collect::<Vec<_>>(), [5.0]);
        for look in 0..100 {
            state.see(next.clone(), Duration::from_secs(3 + look));
        }
        assert_eq!(state.accepted("a").count(), LOOKS_KEPT);
        next.agent.pid += 1;
        state.see(next, Duration::from_secs(200));
        assert_eq!((state.accepted("a").count(), state.intake().count()), (0, 0));
    }

    /// The last hour of a destination: a sample each 30 s, one more a second at each.
    pub(in crate::cli::top) fn hour(name: &str, samples: i64) -> DestinationHistory {
        DestinationHistory {
            destination: name.to_owned(),
            sample_every_ms: 30_000,
            at_ms: (0..samples).map(|sample| sample * 30_000).collect(),
            delivered_events_per_second: (0..samples).map(|sample| sample as f64).collect(),
            delivered_bytes_per_second: Vec::new(),
            lag_ms: Vec::new(),
            backlog_events: Vec::new(),
            latency_p50_ms: Vec::new(),
            latency_p99_ms: Vec::new(),
            states: Vec::new(),
        }
    }

    #[test]
    fn the_last_hour_is_told_by_minutes_of_the_destination_that_was_asked_for() {
        let mut state = State::new(status(&["a", "b"]), Duration::from_secs(1));
        assert_eq!((state.marked_name().as_deref(), state.hour("a")), (Some("a"), None));
        state.see_hour(&hour("a", 4));
        let told = state.hour("a").unwrap();
        assert_eq!((told.len(), &told[57..]), (60, &[0.0, 0.5, 2.5][..]), "each minute's mean, the newest last");
        assert_eq!(state.hour("b"), None);
        state.see_hour(&hour("a", 400));
        assert_eq!(state.hour("a").unwrap()[0], 280.5, "what is older than an hour is left out");
        state.see_hour(&hour("a", 0));
        assert!(state.hour("a").unwrap().iter().all(|rate| *rate == 0.0));
    }

    #[test]
    fn an_agent_that_is_gone_is_said_with_the_time_since_until_it_answers() {
        let mut state = State::new(status(&["a"]), Duration::from_secs(1));
        assert!(state.lost(Duration::from_secs(3)).is_none());
        assert_eq!(state.lost(Duration::from_secs(4)).unwrap().1, "the agent has not answered yet");
        state.lose("nobody listens".to_owned());
        assert_eq!(state.lost(Duration::from_secs(7)), Some((Duration::from_secs(7), "nobody listens")));
        state.see(status(&["a"]), Duration::from_secs(8));
        assert!(state.lost(Duration::from_secs(9)).is_none());
    }
}
