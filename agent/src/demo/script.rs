//! What happens when: the keys, and the script that presses them when nobody is there.

use std::time::Duration;

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The receiver goes away if it is there, and comes back if it is not.
    ToggleReceiver,
    /// SIGKILL for the agent, which is then started again.
    Kill,
    /// Twice the rate.
    Faster,
    /// Half the rate.
    Slower,
    /// Stop writing, wait for what is on its way, judge.
    End,
}

impl Order {
    /// What a key means.
    pub(super) fn of_key(key: char) -> Option<Order> {
        match key {
            'r' => Some(Order::ToggleReceiver),
            'k' => Some(Order::Kill),
            '+' | '=' => Some(Order::Faster),
            '-' => Some(Order::Slower),
            'q' => Some(Order::End),
            _ => None,
        }
    }
}

/// Orders with the time at which they are due.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// Earliest first.
    steps: Vec<(Duration, Order)>,
    next: usize,
}

impl Script {
    /// For a demo that nobody steers: events flow, the receiver stops, the agent is killed, the receiver comes back.
    pub(super) fn over(length: Duration) -> Script {
        let steps = [(25, Order::ToggleReceiver), (45, Order::Kill), (65, Order::ToggleReceiver), (100, Order::End)];
        Script { steps: steps.map(|(percent, order)| (length * percent / 100, order)).to_vec(), next: 0 }
    }

    /// For a demo that is steered with keys.
    pub(super) fn empty() -> Script {
        Script { steps: Vec::new(), next: 0 }
    }

    /// The next order that is due, once.
    pub(super) fn due(&mut self, now: Duration) -> Option<Order> {
        let (at, order) = *self.steps.get(self.next)?;
        (at <= now).then(|| {
            self.next += 1;
            order
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_kills_the_agent_while_events_wait_and_ends_with_the_receiver_up() {
        let mut script = Script::over(Duration::from_secs(12));
        assert_eq!(script.due(Duration::from_millis(2_999)), None);
        let mut is_up = true;
        let mut seen = Vec::new();
        for tenth in 0..=120 {
            while let Some(order) = script.due(Duration::from_millis(tenth * 100)) {
                match order {
                    Order::ToggleReceiver => is_up = !is_up,
                    Order::Kill => assert!(!is_up, "events wait when the agent dies"),
                    _ => assert!(is_up),
                }
                seen.push(order);
            }
        }
        assert_eq!(seen, [Order::ToggleReceiver, Order::Kill, Order::ToggleReceiver, Order::End]);
        assert_eq!(script.due(Duration::from_secs(99)), None, "each is due once");
        assert_eq!(Script::empty().due(Duration::MAX), None);
    }

    #[test]
    fn every_key_on_the_screen_does_something() {
        assert_eq!("rk+-q".chars().filter_map(Order::of_key).count(), 5);
        assert_eq!(Order::of_key('x'), None);
    }
}
