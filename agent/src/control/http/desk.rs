//! How many may ask at once for what takes its time.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::preview::PREVIEWS_MAX;
use crate::control::tail::Tail;
use crate::node::View;

/// See the module.
pub(in crate::control) struct Desk {
    /// Previews that may be made.
    pub(super) previews: Arc<Semaphore>,
    /// Those who may wait for the agent's next event.
    pub(super) waiters: Semaphore,
    /// Those who watch events.
    pub(super) tail: Tail,
}

impl Desk {
    pub(in crate::control) fn new(view: &View) -> Desk {
        Desk {
            previews: Arc::new(Semaphore::new(PREVIEWS_MAX)),
            waiters: Semaphore::new(WAITERS_MAX),
            tail: Tail::new(view.clone()),
        }
    }
}

/// Each of them holds a connection.
const WAITERS_MAX: usize = 16;
