//! Settings written as text: sizes, spans of time, file modes, addresses.
//!
//! Each has one spelling. A bare number is refused where a unit decides what it means, and so are the units that
//! people read in two ways (`MB`).

use std::net::SocketAddr;

use crate::time::Millis;

/// Bytes from `"256KiB"`: a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`, a space between them allowed.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// A span of time from `"30m"`: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn span(text: &str) -> Option<Millis> {
    let (number, unit) = split_unit(text)?;
    let (_, factor) = SPAN_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor).map(Millis)
}

/// File permission bits from `"0660"`: octal, three digits after a zero.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('0')?;
    let octal = digits.len() == 3 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
}

/// An address to listen on from `"127.0.0.1:8910"` or `"[::1]:8910"`.
pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// Bytes as a person writes them: the largest unit that leaves a whole number.
pub(crate) fn size_text(bytes: u64) -> String {
    in_units(bytes, &SIZE_UNITS)
}

/// A span as a person writes it: the largest unit that leaves a whole number.
pub(crate) fn span_text(span: Millis) -> String {
    in_units(span.0, &SPAN_UNITS)
}

fn in_units(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| amount.is_multiple_of(*factor) && amount >= *factor;
    match units.iter().rev().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", amount / factor),
        None => format!("{amount}{}", units[0].0),
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

/// Powers of 1,024 only: whether `MB` means a million is a matter of taste.
const SIZE_UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", TIB)];
const SPAN_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", SECOND), ("m", MINUTE), ("h", HOUR), ("d", DAY)];

/// Sizes in bytes.
pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const TIB: u64 = 1 << 40;
/// Spans in milliseconds.
pub(crate) const SECOND: u64 = 1000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_a_unit_that_means_one_thing() {
        for (text, bytes) in [
            ("0B", Some(0)),
            ("256KiB", Some(256 * KIB)),
            ("8 GiB", Some(8 * GIB)),
            ("1TiB", Some(TIB)),
            ("512", None),
            ("512KB", None),
            ("512kib", None),
            ("1.5GiB", None),
            ("-1B", None),
            ("", None),
            ("GiB", None),
            ("8  GiB", None),
            ("99999999999999999999B", None),
            ("99999999TiB", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn spans_need_a_unit() {
        for (text, ms) in [
            ("200ms", Some(200)),
            ("1s", Some(SECOND)),
            ("30m", Some(30 * MINUTE)),
            ("2h", Some(2 * HOUR)),
            ("7d", Some(7 * DAY)),
            ("30", None),
            ("30min", None),
            ("1h30m", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(span(text), ms.map(Millis), "{text}");
        }
    }

    #[test]
    fn modes_are_octal_with_a_leading_zero() {
        for (text, bits) in [
            ("0660", Some(0o660)),
            ("0000", Some(0)),
            ("660", None),
            ("0o660", None),
            ("0680", None),
            ("06600", None),
            ("0+66", None),
        ] {
            assert_eq!(mode(text), bits, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_amount() {
        for bytes in [0, 1, 1023, KIB, 1500, 64 * MIB, 3 * GIB, u64::MAX] {
            assert_eq!(size(&size_text(bytes)), Some(bytes));
        }
        for ms in [0, 1, 999, SECOND, 1500, 90 * MINUTE, DAY, u64::MAX] {
            assert_eq!(span(&span_text(Millis(ms))), Some(Millis(ms)));
        }
    }
}
