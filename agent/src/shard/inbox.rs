//! What a shard is handed by other threads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use scaidrive_codecs::Scope;
use scaidrive_codecs::own::OwnEvent;
use scaidrive_wal::Seq;

use super::Plan;
use super::door::{Batch, Done, Inbox, Job, ShardId};
use crate::config::DestinationId;
use crate::deadletter::Key;
use crate::delivery::outlet::Flow;
use crate::notify::CrossNotify;
use crate::time::Millis;

/// One shard's inbox. Its length is bounded by the producers' windows: each holds back until what it delivered is done.
#[derive(Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    bell: Arc<CrossNotify>,
}

/// What has arrived.
#[derive(Default)]
pub struct Mail {
    /// Events, in order of arrival.
    pub batches: VecDeque<Batch>,
    /// Work for the shard's thread.
    pub jobs: Vec<Job>,
    /// What the node asks of it.
    pub commands: Vec<Command>,
}

/// What a node asks of a shard.
pub enum Command {
    /// Work by this plan from now on.
    Replan(Arc<Plan>),
    /// Say this in the log.
    Tell(OwnEvent),
    /// Say this in the log, about a destination of this scope, or about none.
    TellUnder(Option<Scope>, OwnEvent),
    /// Say this in the log, filed under this tenant, or under the agent's own, for somebody who has to know when it is
    /// durable there. Dropped unanswered where it does not get there; one that no log can have is refused.
    TellDurably(Option<String>, OwnEvent, Done),
    /// Send a destination again what the log still holds of the time since `from_wall_ms` (ms since 1970).
    Replay {
        /// Which.
        destination: DestinationId,
        /// From when on, by the wall time of acceptance.
        from_wall_ms: i64,
    },
    /// Send a destination these dead letters again, each under its own number.
    Resend {
        /// Which.
        destination: DestinationId,
        /// The letters; those that its store has no more are passed over.
        letters: Vec<Key>,
    },
    /// Let this through to a destination, by an operator's wish. Kept over reloads; after a restart it is said again.
    Flow {
        /// Which.
        destination: DestinationId,
        /// What.
        flow: Flow,
    },
    /// Let a destination have what is in the log now and no more, and say where that ends: at the record that is appended
    /// next. In force at once, so that nothing behind that point is taken while the wish is written down; one that is
    /// paused is sent nothing before it is. The answer comes when everything before the point may be acknowledged.
    Drain {
        /// Which.
        destination: DestinationId,
        /// Where to say it.
        answer: mpsc::Sender<(ShardId, Seq)>,
    },
    /// End, once what is under way has ended, and no later than `grace` from now.
    Stop {
        /// How long requests may take.
        grace: Millis,
    },
}

impl Mailbox {
    /// Rings when something arrives, and whenever the shard should look round.
    pub fn bell(&self) -> &Arc<CrossNotify> {
        &self.bell
    }

    /// Takes what has arrived; `batches` keeps what was there before.
    pub fn take(&self, mail: &mut Mail) {
        let mut arrived = self.lock();
        mail.batches.append(&mut arrived.batches);
        mail.jobs.append(&mut arrived.jobs);
        mail.commands.append(&mut arrived.commands);
    }

    /// Asks something of the shard.
    pub fn command(&self, command: Command) {
        self.lock().commands.push(command);
        self.bell.notify();
    }

    // A panic while the lock was held has ended the thread that panicked; the queues themselves are whole.
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox for Mailbox {
    fn deliver(&self, batch: Batch) {
        self.lock().batches.push_back(batch);
        self.bell.notify();
    }

    fn hand_over(&self, job: Job) {
        self.lock().jobs.push(job);
        self.bell.notify();
    }
}
