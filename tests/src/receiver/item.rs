//! One event of a request, and what becomes of a batch.

use std::borrow::Cow;

use super::fault::Predicate;
use super::reply::Reply;
use crate::generator::Key;

/// How closely a body is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Enough to know which events came: for long runs.
    Shallow,
    /// Every rule.
    Full,
}

/// One event as it stands in a body.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// Its bytes; the agent's own events under their original names where the format renames them.
    pub event: Cow<'a, [u8]>,
    /// The identifier under which the receiver files it, where the format has one.
    pub document: Option<Cow<'a, str>>,
    /// Which generated event it is.
    pub key: Option<Key>,
    /// The stream it was numbered in.
    pub stream: Option<Cow<'a, str>>,
    /// Its number there.
    pub n: Option<u64>,
}

/// What was read of a body.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// The events, up to the one at which the receiver would have stopped.
    pub items: Vec<Item<'a>>,
    /// Why it stopped.
    pub stop: Option<Stop>,
}

/// A body that is refused.
#[derive(Debug)]
pub struct Stop {
    /// The answer.
    pub reply: Reply,
    /// The events before the bad one are taken nonetheless.
    pub keeps_prefix: bool,
}

/// Which items of a batch a fault refuses.
pub struct Refusals<'a> {
    pub(super) when: Option<&'a Predicate>,
    /// The status of each refused item, where items have one.
    pub status: u16,
    /// The answer says which event it was, where the format can.
    pub names_event: bool,
    /// The events before it are taken, where the receiver does that.
    pub keeps_prefix: bool,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Settled {
    /// The answer.
    pub reply: Reply,
    /// Which items were taken: one statement each, in order.
    pub taken: Vec<bool>,
}

impl<'a> Batch<'a> {
    /// A batch that is refused as a whole.
    pub fn refused(reply: Reply) -> Batch<'a> {
        Batch { items: Vec::new(), stop: Some(Stop { reply, keeps_prefix: false }) }
    }

    /// The same events, refused as a whole.
    pub fn stopped(mut self, reply: Reply) -> Batch<'a> {
        self.stop = Some(Stop { reply, keeps_prefix: false });
        self
    }
}

impl Refusals<'_> {
    /// Refuses nothing.
    pub const NONE: Refusals<'static> = Refusals { when: None, status: 400, names_event: false, keeps_prefix: false };

    /// Whether `item` is refused.
    pub fn holds(&self, item: &Item<'_>) -> bool {
        self.when.is_some_and(|when| when.holds(&item.event))
    }

    /// The first refused item's place.
    pub fn first(&self, items: &[Item<'_>]) -> Option<usize> {
        items.iter().position(|item| self.holds(item))
    }
}

impl Settled {
    /// A receiver that takes a batch whole or not at all.
    pub fn whole(
        items: &[Item<'_>],
        refusals: &Refusals<'_>,
        success: impl FnOnce() -> Reply,
        refusal: impl FnOnce(u16) -> Reply,
    ) -> Settled {
        match refusals.first(items) {
            None => Settled { reply: success(), taken: vec![true; items.len()] },
            Some(_) => Settled { reply: refusal(refusals.status), taken: vec![false; items.len()] },
        }
    }
}
