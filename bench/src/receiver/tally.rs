//! What arrived at a receiver.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use hdrhistogram::Histogram;

use super::marks::Marks;
use super::numbers::Numbers;
use crate::load::writer::Schedule;
use crate::measure::latency::{histogram, record};

/// Everything a receiver has seen. Connections share it.
pub(crate) struct Tally {
    distinct: AtomicU64,
    repeated: AtomicU64,
    bytes: AtomicU64,
    is_checking: AtomicBool,
    /// When the last new event arrived, in nanoseconds after `began`.
    last: AtomicU64,
    began: Instant,
    seen: Mutex<Seen>,
}

struct Seen {
    /// One bit for each mark.
    marks: Vec<u64>,
    numbers: Numbers,
    schedule: Option<Schedule>,
    latency: Histogram<u64>,
    kept: Vec<Vec<u8>>,
}

impl Default for Tally {
    fn default() -> Tally {
        let seen = Seen {
            marks: Vec::new(),
            numbers: Numbers::default(),
            schedule: None,
            latency: histogram(),
            kept: Vec::new(),
        };
        Tally {
            distinct: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            is_checking: AtomicBool::new(true),
            last: AtomicU64::new(0),
            began: Instant::now(),
            seen: Mutex::new(seen),
        }
    }
}

impl Tally {
    /// Different events that have arrived.
    pub(crate) fn distinct(&self) -> u64 {
        self.distinct.load(Ordering::Acquire)
    }

    /// Events that arrived again.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Bytes of all bodies and messages, as they were sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When the last new event arrived.
    pub(crate) fn last(&self) -> Instant {
        self.began + Duration::from_nanos(self.last.load(Ordering::Acquire))
    }

    /// Reads no stream numbers from now on. Until then every one is, from the first event.
    pub(crate) fn stop_reading_numbers(&self) {
        self.is_checking.store(false, Ordering::Relaxed);
    }

    /// How many stream numbers were read.
    ///
    /// # Errors
    /// Which one is missing.
    pub(crate) fn numbers(&self) -> Result<u64, String> {
        self.lock().numbers.check()
    }

    /// Times what arrives from now on against a schedule.
    pub(crate) fn expect(&self, schedule: Option<Schedule>) {
        let mut seen = self.lock();
        seen.schedule = schedule;
        seen.latency.reset();
    }

    /// The times since the last [`Tally::expect`].
    pub(crate) fn latency(&self) -> Histogram<u64> {
        self.lock().latency.clone()
    }

    /// One connection's view of this.
    pub(crate) fn arrival(&self) -> Arrival<'_> {
        Arrival { tally: self, marks: Marks::new(), found: Vec::new(), numbers: Numbers::default() }
    }

    /// Keeps a gzipped body for later.
    pub(crate) fn keep(&self, body: Vec<u8>) {
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        self.touch();
        self.lock().kept.push(body);
    }

    /// Inflates and counts what was kept. Says whether there was anything.
    pub(crate) fn look_into_kept(&self) -> bool {
        let kept = std::mem::take(&mut self.lock().kept);
        let last = self.last.load(Ordering::Acquire);
        let mut plain = Vec::new();
        for body in &kept {
            plain.clear();
            // A body that is no gzip counts for nothing, and so its events are missing.
            if GzDecoder::new(&body[..]).read_to_end(&mut plain).is_ok() {
                let mut arrival = self.arrival();
                arrival.look_at(&plain, Instant::now());
            }
        }
        // They arrived when they were kept, not now.
        self.last.store(last, Ordering::Release);
        !kept.is_empty()
    }

    fn touch(&self) {
        self.last.store(self.began.elapsed().as_nanos() as u64, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Notes a mark. Says whether it is new.
    fn is_new(&mut self, mark: u64) -> bool {
        let (word, bit) = ((mark / 64) as usize, 1 << (mark % 64));
        if word >= self.marks.len() {
            self.marks.resize(word + 1, 0);
        }
        let is_new = self.marks[word] & bit == 0;
        self.marks[word] |= bit;
        is_new
    }
}

/// What one connection brings, piece by piece.
pub(crate) struct Arrival<'a> {
    tally: &'a Tally,
    marks: Marks,
    found: Vec<u64>,
    numbers: Numbers,
}

impl Arrival<'_> {
    /// Takes the next piece of a body or stream.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        let now = Instant::now();
        self.tally.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        self.look_at(piece, now);
    }

    fn look_at(&mut self, piece: &[u8], now: Instant) {
        self.found.clear();
        let found = &mut self.found;
        self.marks.feed(piece, |mark| found.push(mark));
        let is_checking = self.tally.is_checking.load(Ordering::Relaxed);
        if is_checking {
            self.numbers.feed(piece);
        }
        if self.found.is_empty() && !is_checking {
            return;
        }
        let mut seen = self.tally.lock();
        if is_checking {
            seen.numbers.merge(self.numbers.take());
        }
        let mut new = 0;
        for mark in self.found.iter().copied().filter(|mark| *mark < MARKS_MAX) {
            if seen.is_new(mark) {
                new += 1;
                if let Some(intended) = seen.schedule.and_then(|schedule| schedule.intended(mark)) {
                    record(&mut seen.latency, now.saturating_duration_since(intended));
                }
            }
        }
        drop(seen);
        self.tally.repeated.fetch_add(self.found.len() as u64 - new, Ordering::Relaxed);
        if new > 0 {
            self.tally.touch();
            self.tally.distinct.fetch_add(new, Ordering::Release);
        }
    }
}

/// More than any run writes; a larger mark is damage.
const MARKS_MAX: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn event(mark: u64) -> Vec<u8> {
        format!("{{\"payload\":{{\"mark\":\"bench~{mark:016x}\"}}}}\n").into_bytes()
    }

    #[test]
    fn different_events_count_and_repeats_are_told_apart() {
        let tally = Tally::default();
        let mut arrival = tally.arrival();
        for mark in [0, 1, 2, 1, 70, 2] {
            arrival.take(&event(mark));
        }
        assert_eq!((tally.distinct(), tally.repeated()), (4, 2));
    }

    #[test]
    fn an_event_is_timed_from_when_it_should_have_been_written() {
        let tally = Tally::default();
        let start = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        tally.expect(Some(Schedule { first: 5, events: 10, start, interval: Duration::from_millis(100) }));
        tally.arrival().take(&event(5));
        tally.arrival().take(&event(500));
        let latency = tally.latency();
        assert_eq!(latency.len(), 1);
        assert!(latency.min() >= 1_999_000_000, "{}", latency.min());
    }

    #[test]
    fn gzipped_bodies_are_counted_when_they_are_looked_into() {
        let tally = Tally::default();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&event(3)).unwrap();
        tally.keep(encoder.finish().unwrap());
        let before = tally.last();
        assert_eq!(tally.distinct(), 0);
        assert!(tally.look_into_kept() && !tally.look_into_kept());
        assert_eq!((tally.distinct(), tally.last()), (1, before));
    }
}
