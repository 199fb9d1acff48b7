//! What may be asked of a running node from any thread.
//!
//! Each of these is a word to the shards' mailboxes, so none waits for a shard; what must be durable waits for the disk.

use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use scaidrive_codecs::Scope;
use scaidrive_codecs::own::OwnEvent;

use super::pauses::{Drain, Pause, Pauses, Rested};
use crate::config::{Destination, DestinationId};
use crate::deadletter::Key;
use crate::delivery::outlet::Flow;
use crate::shard::door::Done;
use crate::shard::{Command, Mailbox};

/// See the module.
#[derive(Clone)]
pub struct Hands {
    mailboxes: Arc<[Arc<Mailbox>]>,
    pauses: Arc<Pauses>,
}

/// What somebody wishes of the sending to a destination.
pub struct FlowWish<'w> {
    /// Which.
    pub destination: DestinationId,
    /// Who.
    pub who: &'w str,
    /// When, ms since 1970.
    pub now_ms: i64,
    /// Whether it is still there for them. Asked in the wish's turn: whoever forgets the pauses of those that are gone has
    /// to wait then.
    pub is_there: &'w dyn Fn() -> Result<(), DrainError>,
    /// What is done around the write of a change; see [`Pauses::change`].
    pub keep: &'w dyn Fn(&Rested, &dyn Fn() -> io::Result<()>) -> io::Result<()>,
}

impl FlowWish<'_> {
    fn pause(&self, drain: Option<Drain>) -> Pause {
        Pause { who: self.who.to_owned(), since_ms: self.now_ms, drain }
    }
}

/// Why what somebody wishes of the sending to a destination is not done.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The wish can't be kept.
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// Somebody has to know where its log stands.
    #[error("shard {shard} has not said within {} s where its log stands", POINTS_WITHIN.as_secs())]
    Silent {
        /// The first that is silent.
        shard: usize,
    },
    /// It went while somebody wished it.
    #[error("it is gone by now")]
    Gone,
}

impl Hands {
    /// Of the node whose shards have these mailboxes. What is paused is told them before their first turn.
    pub(crate) fn new(mailboxes: Vec<Arc<Mailbox>>, pauses: Arc<Pauses>) -> Hands {
        let hands = Hands { mailboxes: mailboxes.into(), pauses };
        for (destination, pause) in hands.pauses.all().iter() {
            hands.let_through(*destination, Some(pause));
        }
        hands
    }

    /// Says something about the agent as an event in the log.
    pub fn tell(&self, event: OwnEvent) {
        if let Some(mailbox) = self.mailboxes.first() {
            mailbox.command(Command::Tell(event));
        }
    }

    /// The same about a destination of this scope, or about none: for what the destinations in use can't tell.
    pub fn tell_under(&self, scope: Option<Scope>, event: OwnEvent) {
        if let Some(mailbox) = self.mailboxes.first() {
            mailbox.command(Command::TellUnder(scope, event));
        }
    }

    /// The same, filed under this tenant or the agent's own, for somebody who has to know when it is durable in the log: `done` hears that once, or is dropped where it
    /// does not get there.
    pub fn tell_durably(&self, tenant: Option<String>, event: OwnEvent, done: Done) {
        if let Some(mailbox) = self.mailboxes.first() {
            mailbox.command(Command::TellDurably(tenant, event, done));
        }
    }

    /// Pauses a destination, also one that drains. One that rests already stays as it is. Blocks on the disk.
    ///
    /// # Errors
    /// When the wish finds nobody there or the disk refuses; nothing is changed then.
    pub fn pause(&self, wish: &FlowWish<'_>) -> Result<Rested, DrainError> {
        self.carry_out(wish, |before| {
            (wish.is_there)()?;
            let stays = before.filter(|before| before.is_at_rest()).cloned();
            Ok(Some(stays.unwrap_or_else(|| wish.pause(None))))
        })
    }

    /// Lets a destination have what is in the logs now, also one that was paused, and no more. One that drains or has
    /// drained keeps its point. Blocks on the shards, 3 s at most, and on the disk.
    ///
    /// # Errors
    /// As [`Hands::pause`], and when a shard is silent; nothing is changed then.
    pub fn drain(&self, wish: &FlowWish<'_>) -> Result<Rested, DrainError> {
        self.carry_out(wish, |before| {
            if let Some(drains) = before.filter(|before| before.drain.is_some()) {
                return Ok(Some(drains.clone()));
            }
            let points = self.points(wish.destination)?;
            (wish.is_there)()?;
            Ok(Some(wish.pause(Some(Drain { points, ended_ms: None }))))
        })
    }

    /// Lets a destination that was paused or drains go on. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Hands::pause`].
    pub fn resume(&self, wish: &FlowWish<'_>) -> Result<Rested, DrainError> {
        self.carry_out(wish, |_| (wish.is_there)().map(|()| None))
    }

    /// Notes that a destination has everything before these points. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses: after a restart it is found out once more.
    pub fn has_drained(&self, destination: DestinationId, points: &[u64], now_ms: i64) -> io::Result<()> {
        self.change(destination, |before| {
            let mut after = before.cloned();
            // It may have been resumed meanwhile, and drained anew.
            if let Some(Pause { drain: Some(drain), .. }) = &mut after
                && drain.points == points
            {
                drain.ended_ms.get_or_insert(now_ms);
            }
            after
        })
    }

    /// Forgets that destinations which are gone were paused or drained: should one come back one day, nobody remembers why
    /// it rested. Blocks on the disk.
    pub fn forget_pauses(&self, gone: &[Arc<Destination>]) {
        for removed in gone {
            if let Err(problem) = self.change(removed.id, |_| None) {
                tracing::error!(destination = %removed.name, "that it was paused can't be forgotten: {problem}");
            }
        }
    }

    /// What somebody wishes, kept as they say.
    fn carry_out(
        &self,
        wish: &FlowWish<'_>,
        after: impl FnOnce(Option<&Pause>) -> Result<Option<Pause>, DrainError>,
    ) -> Result<Rested, DrainError> {
        let tell = |pause: Option<&Pause>| self.let_through(wish.destination, pause);
        self.pauses.change(wish.destination, after, wish.keep, tell)
    }

    /// What nobody in particular wishes.
    fn change(&self, id: DestinationId, after: impl FnOnce(Option<&Pause>) -> Option<Pause>) -> io::Result<()> {
        let tell = |pause: Option<&Pause>| self.let_through(id, pause);
        self.pauses.change(id, |before| Ok(after(before)), |_, write| write(), tell).map(drop)
    }

    fn let_through(&self, destination: DestinationId, pause: Option<&Pause>) {
        for (shard, mailbox) in self.mailboxes.iter().enumerate() {
            let flow = pause.map_or(Flow::Free, |pause| pause.flow(shard));
            mailbox.command(Command::Flow { destination, flow });
        }
    }

    /// By shard, the first record that a destination does not get any more: from now on it gets those before.
    fn points(&self, destination: DestinationId) -> Result<Vec<u64>, DrainError> {
        let (answer, answers) = mpsc::channel();
        self.command(|| Command::Drain { destination, answer: answer.clone() });
        let deadline = Instant::now() + POINTS_WITHIN;
        let mut points = vec![None; self.mailboxes.len()];
        while let Some(shard) = points.iter().position(Option::is_none) {
            let left = deadline.saturating_duration_since(Instant::now());
            let (id, point) = answers.recv_timeout(left).map_err(|_| DrainError::Silent { shard })?;
            if let Some(place) = points.get_mut(usize::from(id.0)) {
                *place = Some(point.get());
            }
        }
        Ok(points.into_iter().flatten().collect())
    }

    /// Sends a destination again what the logs still hold of the time since `from_wall_ms` (ms since 1970). A shard on which
    /// a replay of it runs already goes on with that one.
    pub fn replay(&self, destination: DestinationId, from_wall_ms: i64) {
        self.command(|| Command::Replay { destination, from_wall_ms });
    }

    /// Sends a destination these dead letters again, which a shard of this number has buried. Where that shard is no more,
    /// the first one does it.
    pub fn resend(&self, destination: DestinationId, shard: u16, letters: Vec<Key>) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(shard)).or(self.mailboxes.first()) {
            mailbox.command(Command::Resend { destination, letters });
        }
    }

    /// Asks the same of every shard.
    pub(super) fn command(&self, command: impl Fn() -> Command) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.command(command()));
    }
}

/// How long the shards may take to say where their logs stand. They look round once a second at least.
const POINTS_WITHIN: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Mail;

    fn commands(mailbox: &Mailbox) -> Vec<Command> {
        let mut mail = Mail::default();
        mailbox.take(&mut mail);
        mail.commands
    }

    #[test]
    fn letters_go_to_the_shard_that_buried_them_or_to_the_first_when_that_one_is_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let mailboxes: Vec<_> = (0..2).map(|_| Arc::new(Mailbox::default())).collect();
        let hands = Hands::new(mailboxes.clone(), Arc::new(Pauses::open(directory.path(), &[])));
        let destination = DestinationId::from_text("a");
        let letters = |n| vec![Key { epoch: [7; 16], n }];
        for (shard, n) in [(0, 1), (1, 2), (9, 3)] {
            hands.resend(destination, shard, letters(n));
        }
        let heard = |mailbox| {
            let heard = commands(mailbox).into_iter().map(|command| match command {
                Command::Resend { letters, .. } => letters[0].n,
                _ => 0,
            });
            heard.collect::<Vec<_>>()
        };
        assert_eq!(heard(&mailboxes[0]), [1, 3]);
        assert_eq!(heard(&mailboxes[1]), [2]);
        hands.replay(destination, 5);
        for mailbox in &mailboxes {
            assert!(matches!(commands(mailbox).as_slice(), [Command::Replay { from_wall_ms: 5, .. }]));
        }
    }
}
