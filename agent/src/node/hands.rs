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

/// Why a destination is not drained.
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

    /// Pauses a destination, also one that drains, if `is_there` still lets it, which is asked when whoever forgets the
    /// pauses of those that are gone has to wait. One that rests already stays as it is. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses or `is_there` does; nothing is changed then.
    pub fn pause(
        &self,
        destination: DestinationId,
        who: &str,
        now_ms: i64,
        is_there: impl FnOnce() -> Result<(), DrainError>,
    ) -> Result<Rested, DrainError> {
        let pause = || Pause { who: who.to_owned(), since_ms: now_ms, drain: None };
        self.change(destination, |before| {
            is_there()?;
            let stays = before.filter(|before| before.is_at_rest()).cloned();
            Ok(Some(stays.unwrap_or_else(pause)))
        })
    }

    /// Lets a destination have what is in the logs now, also one that was paused, and no more. One that drains or has
    /// drained keeps its point. Blocks on the shards, 3 s at most, and on the disk.
    ///
    /// # Errors
    /// When the disk refuses, a shard is silent or `is_there` (see [`Hands::pause`]) refuses; nothing is changed then.
    pub fn drain(
        &self,
        destination: DestinationId,
        who: &str,
        now_ms: i64,
        is_there: impl FnOnce() -> Result<(), DrainError>,
    ) -> Result<Rested, DrainError> {
        self.change(destination, |before| {
            if let Some(drains) = before.filter(|before| before.drain.is_some()) {
                return Ok(Some(drains.clone()));
            }
            let drain = Drain { points: self.points(destination)?, ended_ms: None };
            is_there()?;
            Ok(Some(Pause { who: who.to_owned(), since_ms: now_ms, drain: Some(drain) }))
        })
    }

    /// Notes that a destination has everything before these points. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses: after a restart it is found out once more.
    pub fn has_drained(&self, destination: DestinationId, points: &[u64], now_ms: i64) -> io::Result<()> {
        let noted = self.change(destination, |before| {
            let mut after = before.cloned();
            // It may have been resumed meanwhile, and drained anew.
            if let Some(Pause { drain: Some(drain), .. }) = &mut after
                && drain.points == points
            {
                drain.ended_ms.get_or_insert(now_ms);
            }
            Ok(after)
        });
        noted.map(drop)
    }

    /// Forgets that destinations which are gone were paused or drained: should one come back one day, nobody remembers why
    /// it rested. Blocks on the disk.
    pub fn forget_pauses(&self, gone: &[Arc<Destination>]) {
        for removed in gone {
            if let Err(problem) = self.resume(removed.id) {
                tracing::error!(destination = %removed.name, "that it was paused can't be forgotten: {problem}");
            }
        }
    }

    /// Lets a destination that was paused or drains go on. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses; nothing is changed then.
    pub fn resume(&self, destination: DestinationId) -> io::Result<Rested> {
        self.change(destination, |_| Ok(None))
    }

    fn change<E: From<io::Error>>(
        &self,
        destination: DestinationId,
        wish: impl FnOnce(Option<&Pause>) -> Result<Option<Pause>, E>,
    ) -> Result<Rested, E> {
        self.pauses.change(destination, wish, |pause| self.let_through(destination, pause))
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
