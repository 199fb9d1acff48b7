//! Finds the one event for which a destination refuses a whole batch.
//!
//! Halves are sent one after the other in log order. A half that is accepted clears its events and casts the
//! suspicion on the other; a half that is refused clears nothing, and the other half is put by, to be sent in one
//! piece when the search is over. So a batch of n events costs at most `ceil(log2 n)` tests and one request for
//! what was put by. The last suspect is tested alone whenever that budget still allows it; otherwise it is known by
//! elimination: it alone was in every refused request, and everything it shared one with was accepted without it.

/// A search among the events of one refused batch.
#[derive(Debug)]
pub struct Isolation<T> {
    suspects: Vec<T>,
    put_by: Vec<T>,
    hint: Hint,
    tests: u32,
    budget: u32,
    has_accepted: bool,
    stands_alone: bool,
}

/// Where a reply that named an offender points, as far as it has been tried.
#[derive(Clone, Copy, Debug)]
enum Hint {
    /// Nothing is known, or the hint was wrong: halves.
    None,
    /// So many events come before the named one.
    Before(usize),
    /// What comes before it was accepted: it is the first suspect.
    Next,
    /// What comes before it was refused: the reply counts from one, and it is the last suspect.
    Last,
}

/// What to do next in a search.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// Send these and report with [`Isolation::accepted`] or [`Isolation::refused`].
    Test(Vec<T>),
    /// The search is over.
    Over {
        /// The event that is refused; `None` when in the end all were accepted.
        poison: Option<T>,
        /// What has not been sent since the batch was refused, in log order.
        put_by: Vec<T>,
        /// Whether anything was accepted during the search. If not, the fault may not be the event's.
        has_accepted: bool,
        /// The poison was refused alone. If not, it is known by elimination, which takes it that a batch is refused for
        /// the sake of one event in it.
        was_alone: bool,
    },
}

impl<T> Isolation<T> {
    /// Begins with the events of a refused batch. `offender` is the position the reply named, if it named one; it is
    /// a hint, because its base is not reliable (`connectors.md` 1.5).
    pub fn new(items: Vec<T>, offender: Option<usize>) -> Isolation<T> {
        let budget = usize::BITS - items.len().saturating_sub(1).leading_zeros() + 1;
        let hint = match offender {
            Some(at) if at < items.len() => Hint::Before(at.max(1)),
            _ => Hint::None,
        };
        let stands_alone = items.len() == 1;
        Isolation { suspects: items, put_by: Vec::new(), hint, tests: 0, budget, has_accepted: false, stands_alone }
    }

    /// The next step; takes what it hands out.
    pub fn next_step(&mut self) -> Next<T> {
        let may_confirm = self.tests + 1 + u32::from(!self.put_by.is_empty()) <= self.budget;
        match self.suspects.len() {
            0 => self.over(None),
            1 if self.stands_alone || !may_confirm => {
                let poison = self.suspects.pop();
                self.over(poison)
            }
            1 => self.test(1),
            many => {
                let cut = match self.hint {
                    Hint::Before(cut) if cut < many => cut,
                    Hint::Next => 1,
                    Hint::Last => many - 1,
                    Hint::Before(_) | Hint::None => many / 2,
                };
                self.test(cut)
            }
        }
    }

    /// The tested events were accepted.
    pub fn accepted(&mut self) {
        self.has_accepted = true;
        self.hint = match self.hint {
            Hint::Before(_) => Hint::Next,
            _ => Hint::None,
        };
    }

    /// The tested events, given back, were refused.
    pub fn refused(&mut self, tested: Vec<T>) {
        self.stands_alone = tested.len() == 1;
        self.hint = match self.hint {
            Hint::Before(_) => Hint::Last,
            _ => Hint::None,
        };
        let mut cleared = std::mem::replace(&mut self.suspects, tested);
        cleared.append(&mut self.put_by);
        self.put_by = cleared;
    }

    /// The test could not be carried out; its events are suspects again.
    pub fn untested(&mut self, mut tested: Vec<T>) {
        self.tests = self.tests.saturating_sub(1);
        tested.append(&mut self.suspects);
        self.suspects = tested;
    }

    /// Gives up: everything that was not accepted, in log order.
    pub fn into_items(mut self) -> Vec<T> {
        self.suspects.append(&mut self.put_by);
        self.suspects
    }

    /// Events in the search that are not in a test at this moment.
    pub fn held(&self) -> impl Iterator<Item = &T> {
        self.suspects.iter().chain(&self.put_by)
    }

    fn test(&mut self, count: usize) -> Next<T> {
        self.tests += 1;
        let later = self.suspects.split_off(count);
        Next::Test(std::mem::replace(&mut self.suspects, later))
    }

    fn over(&mut self, poison: Option<T>) -> Next<T> {
        let put_by = std::mem::take(&mut self.put_by);
        Next::Over { poison, put_by, has_accepted: self.has_accepted, was_alone: self.stands_alone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a search over `0..count` in which every event that `is_poison` says is refused.
    /// Returns the poison found, the number of requests after the first, and what was accepted, in order.
    fn search(
        count: usize,
        offender: Option<usize>,
        is_poison: impl Fn(usize) -> bool,
    ) -> (Option<usize>, u32, Vec<usize>, bool) {
        let mut isolation = Isolation::new((0..count).collect(), offender);
        let (mut requests, mut accepted) = (0, Vec::new());
        loop {
            match isolation.next_step() {
                Next::Test(items) => {
                    requests += 1;
                    if items.iter().any(|item| is_poison(*item)) {
                        isolation.refused(items);
                    } else {
                        accepted.extend(items);
                        isolation.accepted();
                    }
                }
                Next::Over { poison, put_by, has_accepted, .. } => {
                    requests += u32::from(!put_by.is_empty());
                    accepted.extend(put_by);
                    return (poison, requests, accepted, has_accepted);
                }
            }
        }
    }

    #[test]
    fn lesson_26_one_poison_event_costs_at_most_log2_of_n_and_one_more_requests_wherever_it_stands() {
        for count in [2, 3, 5, 64, 100, 500, 512] {
            let bound = (count as f64).log2().ceil() as u32 + 1;
            for poison in 0..count {
                let (found, requests, accepted, _) = search(count, None, |item| item == poison);
                assert_eq!(found, Some(poison));
                assert!(requests <= bound, "{requests} requests for event {poison} of {count}");
                assert!(accepted.is_sorted(), "log order is kept");
                assert_eq!(accepted.len(), count - 1, "every other event is sent again exactly once");
            }
        }
    }

    #[test]
    fn an_offender_named_by_the_reply_costs_three_requests_at_most() {
        for base in [0, 1] {
            for poison in 0..500 - base {
                let (found, requests, accepted, _) = search(500, Some(poison + base), |item| item == poison);
                assert_eq!(found, Some(poison));
                assert!(base == 1 || requests <= 3, "{requests} requests");
                assert!(requests <= 10);
                assert!(accepted.is_sorted());
            }
        }
    }

    #[test]
    fn a_receiver_that_refuses_everything_is_not_mistaken_for_a_poison_event() {
        let (_, _, _, has_accepted) = search(500, None, |_| true);
        assert!(!has_accepted);
    }

    #[test]
    fn a_refusal_that_does_not_happen_again_leaves_no_poison() {
        let (found, _, accepted, _) = search(7, None, |_| false);
        assert_eq!(found, None);
        assert_eq!(accepted, (0..7).collect::<Vec<_>>());
    }

    #[test]
    fn giving_up_returns_every_event_that_was_not_accepted_in_order() {
        let mut isolation = Isolation::new((0..8).collect(), None);
        let Next::Test(first) = isolation.next_step() else { panic!("a test comes first") };
        isolation.refused(first);
        let Next::Test(second) = isolation.next_step() else { panic!("another test comes") };
        isolation.untested(second);
        assert_eq!(isolation.into_items(), (0..8).collect::<Vec<_>>());
    }
}
