//! A timer that is kept from one wait to the next.
//!
//! Most waits end before their time: the reply comes, the bell rings. To set a timer for each of them and take it back
//! costs memory and work; so one that is set stays, and is waited for again as long as it rings no later than is wanted.
//! When it rings too early, it is set anew.

use std::rc::Rc;

use crate::runtime::{Pending, Runtime};
use crate::time::Millis;

/// See the module.
pub struct Alarm {
    runtime: Rc<dyn Runtime>,
    /// When it rings, and what resolves then.
    set: Option<(Millis, Pending<()>)>,
}

impl Alarm {
    /// An alarm that is not set.
    pub fn new(runtime: &Rc<dyn Runtime>) -> Alarm {
        Alarm { runtime: Rc::clone(runtime), set: None }
    }

    /// Resolves at `moment`, however often it is waited for or dropped before. For one waiter at a time.
    pub async fn at(&mut self, moment: Millis) {
        loop {
            let now = self.runtime.now();
            if now >= moment {
                return;
            }
            if self.set.as_ref().is_none_or(|(rings_at, _)| *rings_at > moment) {
                self.set = Some((moment, self.runtime.sleep(moment.since(now))));
            }
            if let Some((_, timer)) = &mut self.set {
                timer.as_mut().await;
            }
            self.set = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_lite::future::{or, ready};

    use super::*;
    use crate::runtime::virtual_time::World;

    /// Runs `work` with an alarm of its own; returns when it ended.
    fn ends_at<F: Future<Output = Alarm> + 'static>(work: impl FnOnce(Rc<dyn Runtime>, Alarm) -> F) -> Millis {
        let world = World::new(3);
        let runtime = world.runtime("a");
        let ended = Rc::new(Cell::new(None));
        let told = Rc::clone(&ended);
        let work = work(Rc::clone(&runtime), Alarm::new(&runtime));
        world.spawn(Box::pin(async move {
            drop(work.await);
            told.set(Some(runtime.now()));
        }));
        world.run_until(Millis::from_secs(100));
        ended.get().expect("it has rung")
    }

    #[test]
    fn it_rings_when_it_is_wanted_whatever_was_wanted_before() {
        for (first, second) in [(1_000, 5_000), (5_000, 1_000), (1_000, 1_000)] {
            let ended = ends_at(|runtime, mut alarm| async move {
                let start = runtime.now();
                or(alarm.at(start.plus(Millis(first))), ready(())).await;
                alarm.at(start.plus(Millis(second))).await;
                alarm
            });
            assert_eq!(ended, Millis(second), "{first}, then {second}");
        }
    }

    #[test]
    fn a_moment_that_has_passed_is_not_waited_for() {
        let ended = ends_at(|_, mut alarm| async move {
            alarm.at(Millis::ZERO).await;
            alarm
        });
        assert_eq!(ended, Millis::ZERO);
    }
}
