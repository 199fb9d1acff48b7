//! How many requests may be under way at once: grows by one a round trip of successes, halves when the destination
//! says "slow down" or stops answering (additive increase, multiplicative decrease).

/// The bound on requests under way to one destination from one shard.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    width: f64,
    min: u32,
    max: u32,
}

impl Lane {
    /// A lane that may grow to `max` requests, at least 1.
    pub fn new(max: u32) -> Lane {
        Lane { width: 1.0, min: 1, max: max.max(1) }
    }

    /// A lane of always the same width.
    pub fn fixed(width: u32) -> Lane {
        Lane { width: f64::from(width), min: width, max: width }
    }

    /// Requests that may be under way now.
    pub fn width(&self) -> u32 {
        self.width as u32
    }

    /// A request was accepted.
    pub fn widen(&mut self) {
        self.width = (self.width + 1.0 / self.width).min(f64::from(self.max));
    }

    /// The destination is overloaded, or did not answer.
    pub fn narrow(&mut self) {
        self.width = (self.width / 2.0).max(f64::from(self.min));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_widens_with_success_to_its_bound_and_halves_under_pressure() {
        let mut lane = Lane::new(4);
        assert_eq!(lane.width(), 1);
        for _ in 0..50 {
            lane.widen();
        }
        assert_eq!(lane.width(), 4);
        lane.narrow();
        assert_eq!(lane.width(), 2);
        for _ in 0..10 {
            lane.narrow();
        }
        assert_eq!(lane.width(), 1, "one request is always allowed");
    }
}
