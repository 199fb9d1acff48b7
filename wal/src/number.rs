//! The numbers of the log, each its own type, so that two of them cannot be swapped by mistake.

use std::fmt;
use std::ops::Range;

/// Number of a record in one log. Starts at 1 and is never reused; damage and power cuts leave holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// The first number of a log.
    pub const FIRST: Seq = Seq(1);

    /// The number `raw`, or `None` for 0, which numbers nothing.
    pub const fn new(raw: u64) -> Option<Seq> {
        if raw == 0 { None } else { Some(Seq(raw)) }
    }

    /// The number `raw`, with 0 raised to [`Seq::FIRST`]: for numbers that come from stored bytes.
    pub const fn from_raw(raw: u64) -> Seq {
        if raw == 0 { Seq::FIRST } else { Seq(raw) }
    }

    /// The bare number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number after this one.
    ///
    /// # Panics
    /// After 2^64 records: at a million a second, in half a million years.
    pub const fn next(self) -> Seq {
        self.plus(1)
    }

    /// The number `count` places further on; [`Seq::next`] says when it panics.
    pub(crate) const fn plus(self, count: u64) -> Seq {
        Seq(self.0.checked_add(count).expect("sequence numbers outlast the machine"))
    }

    /// How many numbers lie in `earlier..self`; 0 if `earlier` is not earlier.
    pub const fn since(self, earlier: Seq) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many numbers a range of them holds.
pub(crate) fn width(range: &Range<Seq>) -> u64 {
    range.end.since(range.start)
}

/// An amount of bytes, shown to people as `64 MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(u64);

impl ByteCount {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> ByteCount {
        ByteCount(bytes)
    }

    /// `mib` times 2^20 bytes.
    pub const fn mib(mib: u64) -> ByteCount {
        ByteCount(mib << 20)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        let mut unit = 0;
        let mut scale = 1u64;
        while unit + 1 < units.len() && self.0 / scale >= 1024 {
            scale *= 1024;
            unit += 1;
        }
        if self.0.is_multiple_of(scale) {
            write!(f, "{} {}", self.0 / scale, units[unit])
        } else {
            // Tenths, without floating point: exact for every amount.
            let tenths = self.0 % scale * 10 / scale;
            write!(f, "{}.{tenths} {}", self.0 / scale, units[unit])
        }
    }
}

/// Milliseconds of the log clock, which never goes back and stands still while the agent is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(u64);

impl LogTime {
    /// `ms` milliseconds after the log was first opened.
    pub const fn from_ms(ms: u64) -> LogTime {
        LogTime(ms)
    }

    /// Milliseconds since the log was first opened, times switched off not counted.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Milliseconds from `earlier` to this time; 0 if `earlier` is later.
    pub const fn since(self, earlier: LogTime) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time `ms` milliseconds later.
    pub const fn plus(self, ms: u64) -> LogTime {
        LogTime(self.0.saturating_add(ms))
    }
}

/// Milliseconds since 1970 by the machine's clock. For people only: it never decides what is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// `ms` milliseconds after the start of 1970, UTC.
    pub const fn from_ms(ms: i64) -> WallTime {
        WallTime(ms)
    }

    /// Milliseconds after the start of 1970, UTC.
    pub const fn as_ms(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        assert_eq!(ByteCount::mib(64).to_string(), "64 MiB");
        assert_eq!(ByteCount::new(0).to_string(), "0 bytes");
        assert_eq!(ByteCount::new(1023).to_string(), "1023 bytes");
        assert_eq!(ByteCount::new(1536).to_string(), "1.5 KiB");
        assert_eq!(ByteCount::new(u64::MAX).to_string(), "16777215.9 TiB");
    }

    #[test]
    fn numbers_start_at_one() {
        assert_eq!(Seq::new(0), None);
        assert_eq!(Seq::from_raw(0), Seq::FIRST);
        assert_eq!(Seq::FIRST.next().since(Seq::FIRST), 1);
        assert_eq!(Seq::FIRST.since(Seq::from_raw(9)), 0);
    }
}
