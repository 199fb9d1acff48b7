//! What may be asked of a running node from any thread.
//!
//! Each of these is a word to the shards' mailboxes, so none waits for a shard; what must be durable waits for the disk.

use std::io;
use std::sync::Arc;

use scaidrive_codecs::own::OwnEvent;

use super::pauses::{Pause, Pauses};
use crate::config::DestinationId;
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

    /// Pauses a destination, or with `None` lets it go on. Returns how it was. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses; nothing is changed then.
    pub fn pause(&self, destination: DestinationId, pause: Option<Pause>) -> io::Result<Option<Pause>> {
        let is_paused = pause.is_some();
        self.pauses.change(destination, pause, || self.command(|| Command::Pause { destination, is_paused }))
    }

    /// Asks the same of every shard.
    pub(super) fn command(&self, command: impl Fn() -> Command) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.command(command()));
    }
}
