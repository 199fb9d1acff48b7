//! What may be asked of a running node from any thread.
//!
//! Each of these is a word to the shards' mailboxes, so none waits for a shard; what must be durable waits for the disk.

use std::io;
use std::sync::Arc;

use scaidrive_codecs::own::OwnEvent;

use super::pauses::{Pause, Pauses};
use crate::config::DestinationId;
use crate::deadletter::Key;
use crate::shard::{Command, Mailbox};

/// See the module.
#[derive(Clone)]
pub struct Hands {
    mailboxes: Arc<[Arc<Mailbox>]>,
    pauses: Arc<Pauses>,
}

impl Hands {
    /// Of the node whose shards have these mailboxes. What is paused is told them before their first turn.
    pub(super) fn new(mailboxes: Vec<Arc<Mailbox>>, pauses: Arc<Pauses>) -> Hands {
        let hands = Hands { mailboxes: mailboxes.into(), pauses };
        for destination in hands.pauses.ids() {
            hands.command(|| Command::Pause { destination, is_paused: true });
        }
        hands
    }

    /// Says something about the agent as an event in the log.
    pub fn tell(&self, event: OwnEvent) {
        if let Some(mailbox) = self.mailboxes.first() {
            mailbox.command(Command::Tell(event));
        }
    }

    /// The same, filed under this tenant or the agent's own: for what the destinations in use can't tell.
    pub fn tell_under(&self, tenant: Option<String>, event: OwnEvent) {
        if let Some(mailbox) = self.mailboxes.first() {
            mailbox.command(Command::TellUnder(tenant, event));
        }
    }

    /// Pauses a destination, or with `None` lets it go on. Returns how it was. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses; nothing is changed then.
    pub fn pause(&self, destination: DestinationId, pause: Option<Pause>) -> io::Result<Option<Pause>> {
        let is_paused = pause.is_some();
        self.pauses.change(destination, pause, || self.command(|| Command::Pause { destination, is_paused }))
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
