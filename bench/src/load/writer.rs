//! Producers: they write blocks to a contender's input and read what it answers.
//!
//! A flood writes as fast as the contender reads. A paced producer writes event `i` when `start + i × interval` has come,
//! or as soon after that as it can; the time that counts is the intended one ([`Schedule`]), so that a contender which
//! holds its producer back pays for the events that were written late (no coordinated omission).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::block::Block;
use crate::contender::{Framing, Input, Socket};
use crate::measure::latency::{histogram, record};

/// When each event of a paced load should be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// The first event's mark.
    pub(crate) first: u64,
    pub(crate) events: u64,
    pub(crate) start: Instant,
    pub(crate) interval: Duration,
}

impl Schedule {
    /// When the event with this mark should be written; `None` when it is not of this schedule.
    pub(crate) fn intended(&self, mark: u64) -> Option<Instant> {
        let nth = mark.checked_sub(self.first).filter(|nth| *nth < self.events)?;
        Some(self.start + Duration::from_nanos(self.interval.as_nanos() as u64 * nth))
    }
}

/// A connection to a contender's input, with a reader of its answers.
struct Line {
    stream: Box<dyn Write + Send>,
    answers: Option<JoinHandle<io::Result<()>>>,
}

impl Line {
    fn connect(input: &Input, events: u64) -> io::Result<Line> {
        let (stream, answers): (Box<dyn Write + Send>, Box<dyn Read + Send>) = match &input.socket {
            Socket::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(HELD_MAX))?;
                stream.set_read_timeout(Some(HELD_MAX))?;
                (Box::new(stream.try_clone()?), Box::new(stream))
            }
            Socket::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(HELD_MAX))?;
                stream.set_read_timeout(Some(HELD_MAX))?;
                (Box::new(stream.try_clone()?), Box::new(stream))
            }
        };
        let answers = input.acks.then(|| thread::spawn(move || read_acks(answers, events)));
        Ok(Line { stream, answers })
    }

    fn finish(self) -> io::Result<()> {
        let Line { stream, answers } = self;
        let acknowledged = answers.map(|reader| reader.join().expect("the reader of answers does not panic"));
        drop(stream);
        acknowledged.unwrap_or(Ok(()))
    }
}

/// Reads answers until `events` are acknowledged.
fn read_acks(mut answers: Box<dyn Read + Send>, events: u64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 14];
    let mut held = 0;
    let mut acked = 0;
    while acked < events {
        match answers.read(&mut buffer[held..])? {
            0 => return Err(io::Error::other(format!("{acked} of {events} events were acknowledged"))),
            read => held += read,
        }
        let whole = memchr::memrchr(b'\n', &buffer[..held]).map_or(0, |end| end + 1);
        for line in buffer[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if memchr::memmem::find(line, b"\"refused\"").is_some() {
                return Err(io::Error::other(format!("refused: {}", String::from_utf8_lossy(line))));
            }
            acked = acked_in(line).unwrap_or(acked);
        }
        buffer.copy_within(whole..held, 0);
        held -= whole;
    }
    Ok(())
}

/// The number in `{"acked":N…`.
fn acked_in(line: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"acked\":";
    let digits = &line[memchr::memmem::find(line, KEY)? + KEY.len()..];
    let end = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Producers that wait to write as fast as they can.
pub(crate) struct Flood {
    /// The first event's mark.
    pub(crate) first: u64,
    pub(crate) events: u64,
    pub(crate) per_write: usize,
    pub(crate) blocks: Vec<Block>,
}

impl Flood {
    /// Writes all events, each block by a producer of its own, and waits for the last answer.
    ///
    /// # Errors
    /// When the contender goes away or refuses an event.
    pub(crate) fn run(&mut self, input: &Input) -> io::Result<()> {
        let (first, producers) = (self.first, self.blocks.len() as u64);
        let (events, per_write) = (self.events, self.per_write);
        self.first += events;
        thread::scope(|scope| {
            let writers: Vec<_> = self
                .blocks
                .iter_mut()
                .enumerate()
                .map(|(nth, block)| {
                    // The first producers take what does not divide evenly.
                    let nth = nth as u64;
                    let share = events / producers + u64::from(nth < events % producers);
                    scope.spawn(move || write_all(input, block, first + nth, producers, share, per_write))
                })
                .collect();
            writers.into_iter().try_for_each(|writer| writer.join().expect("a writer does not panic"))
        })
    }
}

fn write_all(input: &Input, block: &mut Block, first: u64, step: u64, events: u64, per_write: usize) -> io::Result<()> {
    let mut line = Line::connect(input, events)?;
    let (mut done, mut at) = (0, 0);
    while done < events {
        let count = per_write.min(block.len() - at).min((events - done) as usize);
        line.stream.write_all(block.stamped(at, count, first + done * step, step))?;
        done += count as u64;
        at = (at + count) % block.len();
    }
    line.finish()
}

/// Writes what the schedule says, and returns how late each write ended (nanoseconds), as a producer feels it.
///
/// # Errors
/// When the contender goes away or refuses an event.
pub(crate) fn paced(input: &Input, block: &mut Block, schedule: &Schedule) -> io::Result<Histogram<u64>> {
    let mut line = Line::connect(input, schedule.events)?;
    let mut late = histogram();
    let interval = schedule.interval.as_nanos().max(1) as u64;
    let (mut done, mut at) = (0, 0);
    while done < schedule.events {
        let elapsed = schedule.start.elapsed().as_nanos() as u64;
        // Without this check of the start, a start that lies ahead would count as now.
        let due = if Instant::now() < schedule.start { 0 } else { (elapsed / interval + 1).min(schedule.events) };
        if due <= done {
            let next = schedule.start + Duration::from_nanos(interval * done);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            continue;
        }
        let count = ((due - done) as usize).min(block.len() - at).min(PACED_WRITE_MAX);
        line.stream.write_all(block.stamped(at, count, schedule.first + done, 1))?;
        let now = Instant::now();
        for nth in done..done + count as u64 {
            record(&mut late, now.saturating_duration_since(schedule.start + Duration::from_nanos(interval * nth)));
        }
        done += count as u64;
        at = (at + count) % block.len();
    }
    line.finish()?;
    Ok(late)
}

/// A contender that neither reads nor answers for so long has failed.
const HELD_MAX: Duration = Duration::from_secs(60);
/// Events of one write at most, when several are due.
const PACED_WRITE_MAX: usize = 256;

/// The blocks of a load: one for each producer, different from one another.
pub(crate) fn blocks(tenants: crate::scenario::Tenants, producers: u32, framing: Framing) -> Vec<Block> {
    (0..producers.max(1))
        .map(|producer| {
            let mut events = super::event::Events::new(tenants, SEED + u64::from(producer));
            Block::of(&mut events, BLOCK, framing)
        })
        .collect()
}

/// Events of a block: more than a processor's second cache holds.
const BLOCK: usize = 4_096;
const SEED: u64 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_read() {
        assert_eq!(acked_in(b"{\"acked\":12345}"), Some(12_345));
        assert_eq!(acked_in(b"{\"acked\":7,\"waiting\":\"disk\"}"), Some(7));
        assert_eq!(acked_in(b"{\"error\":\"x\"}"), None);
    }

    #[test]
    fn a_schedule_knows_its_own_events() {
        let start = Instant::now();
        let schedule = Schedule { first: 10, events: 5, start, interval: Duration::from_millis(1) };
        assert_eq!(schedule.intended(12), Some(start + Duration::from_millis(2)));
        assert_eq!((schedule.intended(9), schedule.intended(15)), (None, None));
    }
}
