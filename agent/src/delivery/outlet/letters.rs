//! Dead letters on their way to the destination once more: one at a time, in turn with the batches.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::Outlet;
use crate::deadletter::Letter;
use crate::delivery::gate::Hold;
use crate::delivery::sender::Outcome;
use crate::stream::name::StreamName;

/// A dead letter that is sent again, and what became of it.
#[derive(Debug)]
pub struct Sending {
    /// The letter.
    pub letter: Letter,
    /// The stream that its number belongs to.
    pub stream: StreamName,
    fate: RefCell<Option<Fate>>,
}

/// What became of a letter: taken, or refused again in these words.
pub(super) type Fate = Result<(), String>;

impl Sending {
    /// A letter that has not been tried yet.
    pub fn new(stream: StreamName, letter: Letter) -> Rc<Sending> {
        Rc::new(Sending { letter, stream, fate: RefCell::default() })
    }

    /// What became of it, once that is known.
    pub fn fate(&self) -> Option<Result<(), String>> {
        self.fate.borrow().clone()
    }
}

/// The letters of one outlet. Whoever adds them bounds their number.
#[derive(Debug, Default)]
pub(super) struct Letters {
    waiting: VecDeque<Rc<Sending>>,
    under_way: Option<Rc<Sending>>,
    /// Sent, and how that ended is heard later.
    unheard: usize,
    is_their_turn: bool,
}

impl Letters {
    /// The letter that may go next.
    pub(super) fn front(&self) -> Option<&Rc<Sending>> {
        if self.under_way.is_some() { None } else { self.waiting.front() }
    }

    /// Whether a letter goes before the next batch.
    pub(super) fn have_their_turn(&self) -> bool {
        self.is_their_turn
    }

    /// A batch went: a letter is next, if there is one.
    pub(super) fn batch_went(&mut self) {
        self.is_their_turn = true;
    }

    /// The front goes now.
    pub(super) fn go(&mut self) {
        self.is_their_turn = false;
        self.under_way = self.waiting.pop_front();
    }

    /// What was under way is with the destination, and how it ends is heard later: the next may go.
    pub(super) fn left(&mut self) {
        self.unheard += usize::from(self.under_way.take().is_some());
    }

    /// How sending a letter ended. `None` says that it has to go again.
    pub(super) fn heard(&mut self, sending: &Rc<Sending>, fate: Option<Fate>) {
        if self.under_way.take_if(|under_way| Rc::ptr_eq(under_way, sending)).is_none() {
            self.unheard = self.unheard.saturating_sub(1);
        }
        match fate {
            Some(fate) => *sending.fate.borrow_mut() = Some(fate),
            None => self.waiting.push_front(Rc::clone(sending)),
        }
    }

    /// Those that wait stay in the store.
    pub(super) fn leave_the_rest(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some() || self.unheard > 0
    }

    /// Whether none waits to be sent or is being sent.
    pub(super) fn have_all_left(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.is_busy()
    }
}

impl Outlet {
    /// Sends these dead letters again, each under its own number. What becomes of each stands in it.
    pub fn send_letters(&mut self, letters: &[Rc<Sending>]) {
        self.letters.waiting.extend(letters.iter().map(Rc::clone));
        self.wake.notify();
    }

    /// Whether dead letters wait to be sent again, or are under way.
    pub fn has_letters(&self) -> bool {
        !self.letters.is_empty()
    }
}

/// What the answer to a letter, which was alone in its request, says.
pub(super) fn as_if_alone(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::AcceptedBut { mut refused, .. } if !refused.is_empty() => {
            Outcome::Refused { offender: None, why: refused.swap_remove(0).1 }
        }
        Outcome::AcceptedBut { again, .. } if !again.is_empty() => {
            let why = String::from("a dead letter could not be taken now");
            Outcome::Retry { hold: Hold::Throttled, after: None, why }
        }
        Outcome::Apart { why, .. } => Outcome::Refused { offender: None, why },
        Outcome::AcceptedBut { slow_down, .. } => Outcome::Accepted { slow_down },
        other => other,
    }
}

/// What an outcome means for the letter; `None` when it has to go again.
pub(super) fn fate_of(outcome: &Outcome) -> Option<Fate> {
    match outcome {
        Outcome::Accepted { .. } | Outcome::AcceptedBut { .. } => Some(Ok(())),
        Outcome::Refused { why, .. } | Outcome::TooLarge { why } | Outcome::Apart { why, .. } => Some(Err(why.clone())),
        Outcome::Retry { .. } => None,
    }
}
