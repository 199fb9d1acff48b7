//! Points in time as text: RFC 3339, epoch seconds, HTTP dates.
//!
//! Everything inside is epoch milliseconds, `i64`, UTC. Digits below the millisecond are dropped, towards the past.

use crate::json::{two_digits, write_number};

/// Reads an RFC 3339 `date-time` (section 5.6) as epoch milliseconds.
///
/// Years 0000 to 9999, any number of fractional digits, `T` and `Z` in either case. Second 60 is accepted where a leap
/// second can stand, at 23:59 UTC, and is the same instant as the second after it.
pub fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    parse_utc_millis(text).or_else(|| parse_any(text))
}

fn parse_any(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = parse_date(date)?;
    let (clock, rest) = rest.split_at_checked(9)?;
    let [b'T' | b't', clock @ ..] = clock else { return None };
    let (seconds, is_leap) = parse_clock(clock)?;
    let (millis, zone) = parse_fraction(rest)?;
    let offset = parse_zone(zone)?;
    let utc = days * DAY + seconds - offset;
    // A leap second lies after 23:59:59 UTC, so what it is counted as starts a UTC day.
    (!is_leap || utc.rem_euclid(DAY) == 0).then_some(utc * 1000 + millis)
}

/// Reads a time of the form that most have, `2026-05-12T14:23:01.453Z`, eight bytes at a time. Whatever else is valid, a
/// leap second too, is left to [`parse_any`].
fn parse_utc_millis(text: &[u8]) -> Option<i64> {
    let ([date, clock, fraction], []) = text.as_chunks::<8>() else { return None };
    // What is left of a digit is its value, and nothing is left of what stands between.
    let date = u64::from_le_bytes(*date) ^ u64::from_le_bytes(*b"0000-00-");
    let clock = u64::from_le_bytes(*clock) ^ u64::from_le_bytes(*b"00T00:00");
    let fraction = u64::from_le_bytes(*fraction) ^ u64::from_le_bytes(*b":00.000Z");
    let beyond = above(date, [9, 9, 9, 9, 0, 9, 9, 0])
        | above(clock, [9, 9, 0, 9, 9, 0, 9, 9])
        | above(fraction, [0, 9, 9, 0, 9, 9, 9, 0]);
    if beyond != 0 {
        return None;
    }
    let (dates, clocks, fractions) = (pairs(date), pairs(clock), pairs(fraction));
    let (year, month, day) = (dates[0] * 100 + dates[2], dates[5], clocks[0]);
    let (hour, minute, second) = (clocks[3], clocks[6], fractions[1]);
    let millis = fractions[4] * 10 + i64::from(fraction.to_le_bytes()[6]);
    let is_time = hour < 24 && minute < 60 && second < 60;
    let is_date = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    let seconds = || days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    (is_time && is_date).then(|| seconds() * 1000 + millis)
}

/// Not zero when a byte of `word` is above its limit, which is at most 127.
fn above(word: u64, limits: [u8; 8]) -> u64 {
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    // What each byte lacks to its limit is filled up to 127; beyond it the highest bit is set, and nothing is carried on.
    let filled = (word & !HIGHEST) + (!HIGHEST - u64::from_le_bytes(limits));
    (filled | word) & HIGHEST
}

/// At each place the number that the digit there and the one behind it make.
fn pairs(digits: u64) -> [i64; 8] {
    (digits * 10 + (digits >> 8)).to_le_bytes().map(i64::from)
}

/// Appends the time as RFC 3339 in UTC with three fractional digits, 24 bytes: `2026-05-12T14:23:01.453Z`.
///
/// Years outside 0000 to 9999 cannot be written; the nearest time that can is.
pub fn write_rfc3339(epoch_ms: i64, out: &mut Vec<u8>) {
    let epoch_ms = epoch_ms.clamp(YEAR_0000_MS, YEAR_10000_MS - 1);
    let (year, month, day) = civil(epoch_ms.div_euclid(DAY * 1000));
    let in_day = epoch_ms.rem_euclid(DAY * 1000);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(year / 100, &mut text, 0);
    put(year, &mut text, 2);
    put(month, &mut text, 5);
    put(day, &mut text, 8);
    put_clock(in_day / 1000, &mut text, 11);
    put_millis(in_day, &mut text, 20);
    out.extend_from_slice(&text);
}

/// Whether [`write_rfc3339`] would write a time just as it stands here. `written` is a valid RFC 3339 time, possibly with
/// JSON escapes; none of those is as short as this.
pub(crate) fn is_utc_millis(written: &[u8]) -> bool {
    written.len() == 24
        && written[10] == b'T'
        && written[17..19] != *b"60"
        && written[19] == b'.'
        && written[23] == b'Z'
}

/// Appends the time as BSD syslog writes it, 15 bytes: `May 12 14:23:01`, the day padded with a space (RFC 3164,
/// section 4.1.2). What the clock shows in UTC is written; add a zone's offset to get that zone's time.
pub fn write_bsd(epoch_ms: i64, out: &mut Vec<u8>) {
    let seconds = epoch_ms.div_euclid(1000);
    let (_, month, day) = civil(seconds.div_euclid(DAY));
    let mut text = *b"Jan 00 00:00:00";
    put_name(MONTHS[month as usize - 1], &mut text, 0);
    put(day, &mut text, 4);
    if day < 10 {
        text[4] = b' ';
    }
    put_clock(seconds.rem_euclid(DAY), &mut text, 7);
    out.extend_from_slice(&text);
}

/// Appends the time in UTC as QRadar reads it with the format `MMM dd yyyy HH:mm:ss.SSS z`: `May 12 2026 14:23:01.453 GMT`.
///
/// Years outside 0000 to 9999 cannot be written; the nearest time that can is.
pub fn write_leef(epoch_ms: i64, out: &mut Vec<u8>) {
    let epoch_ms = epoch_ms.clamp(YEAR_0000_MS, YEAR_10000_MS - 1);
    let (year, month, day) = civil(epoch_ms.div_euclid(DAY * 1000));
    let in_day = epoch_ms.rem_euclid(DAY * 1000);
    let mut text = *b"Jan 00 0000 00:00:00.000 GMT";
    put_name(MONTHS[month as usize - 1], &mut text, 0);
    put(day, &mut text, 4);
    put(year / 100, &mut text, 7);
    put(year, &mut text, 9);
    put_clock(in_day / 1000, &mut text, 12);
    put_millis(in_day, &mut text, 21);
    out.extend_from_slice(&text);
}

/// Appends the time as epoch seconds with three decimals: `1778595781.453`.
pub fn write_epoch_seconds(epoch_ms: i64, out: &mut Vec<u8>) {
    if epoch_ms < 0 {
        out.push(b'-');
    }
    let magnitude = epoch_ms.unsigned_abs();
    write_number(magnitude / 1000, out);
    let mut decimals = *b".000";
    put_millis((magnitude % 1000) as i64, &mut decimals, 1);
    out.extend_from_slice(&decimals);
}

/// Appends the time as an HTTP date in its preferred form (RFC 9110, section 5.6.7): `Tue, 12 May 2026 14:23:01 GMT`.
///
/// Years outside 0000 to 9999 cannot be written; the nearest time that can is.
pub fn write_http_date(epoch_ms: i64, out: &mut Vec<u8>) {
    let epoch_ms = epoch_ms.clamp(YEAR_0000_MS, YEAR_10000_MS - 1);
    let days = epoch_ms.div_euclid(DAY * 1000);
    let (year, month, day) = civil(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // 1970-01-01 was a Thursday.
    put_name(WEEKDAYS[(days + 3).rem_euclid(7) as usize], &mut text, 0);
    put(day, &mut text, 5);
    put_name(MONTHS[month as usize - 1], &mut text, 8);
    put(year / 100, &mut text, 12);
    put(year, &mut text, 14);
    put_clock(epoch_ms.rem_euclid(DAY * 1000) / 1000, &mut text, 17);
    out.extend_from_slice(&text);
}

/// Reads an HTTP date in any of its three forms (RFC 9110, section 5.6.7) as epoch milliseconds.
///
/// The two-digit year of the RFC 850 form is taken as 1970 to 2069.
pub fn parse_http_date(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let weekday = words.next()?;
    let parsed = if weekday.ends_with(',') {
        let first = words.next()?;
        if first.contains('-') {
            let mut parts = first.split('-');
            let (day, month, year) = (number(parts.next()?)?, month(parts.next()?)?, number(parts.next()?)?);
            let year = if year >= 70 { 1900 + year } else { 2000 + year };
            from_parts(year, month, day, words.next()?)
        } else {
            let (month, year) = (month(words.next()?)?, number(words.next()?)?);
            from_parts(year, month, number(first)?, words.next()?)
        }
    } else {
        let (month, day, clock) = (month(words.next()?)?, number(words.next()?)?, words.next()?);
        return from_parts(number(words.next()?)?, month, day, clock).filter(|_| words.next().is_none());
    };
    (words.next() == Some("GMT") && words.next().is_none()).then_some(parsed?)
}

fn from_parts(year: i64, month: i64, day: i64, clock: &str) -> Option<i64> {
    let (seconds, _) = parse_clock(clock.as_bytes())?;
    let is_date = (0..10_000).contains(&year) && (1..=days_in(year, month)).contains(&day);
    is_date.then(|| (days_from_civil(year, month, day) * DAY + seconds) * 1000)
}

fn parse_date(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = digits(&[*y1, *y2, *y3, *y4])?;
    let (month, day) = (digits(&[*m1, *m2])?, digits(&[*d1, *d2])?);
    let is_date = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    is_date.then(|| days_from_civil(year, month, day))
}

/// Seconds since midnight, and whether the second is a leap second.
fn parse_clock(text: &[u8]) -> Option<(i64, bool)> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else { return None };
    let (hour, minute, second) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?, digits(&[*s1, *s2])?);
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then_some((hour * 3600 + minute * 60 + second, second == 60))
}

fn parse_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', rest @ ..] = text else { return Some((0, text)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, zone) = rest.split_at(count);
    let place = |nth: usize| fraction.get(nth).map_or(0, |digit| i64::from(digit - b'0'));
    (count > 0).then(|| (place(0) * 100 + place(1) * 10 + place(2), zone))
}

/// Seconds east of UTC.
fn parse_zone(text: &[u8]) -> Option<i64> {
    let [sign, h1, h2, b':', m1, m2] = text else {
        return matches!(text, [b'Z' | b'z']).then_some(0);
    };
    let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
    let seconds = hours * 3600 + minutes * 60;
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    let value = |sum: i64, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'));
    text.iter().try_fold(0, value)
}

fn number(text: &str) -> Option<i64> {
    (1..=4).contains(&text.len()).then(|| digits(text.as_bytes()))?
}

fn month(name: &str) -> Option<i64> {
    let nth = MONTHS.iter().position(|month| month[..] == *name.as_bytes())?;
    Some(nth as i64 + 1)
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01. Counts years from March, so that the leap day is the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Puts the last two decimal digits of a number, which is not negative, into `text` at `at`.
fn put(number: i64, text: &mut [u8], at: usize) {
    text[at..at + 2].copy_from_slice(&two_digits(number as u64));
}

/// Puts a time of day as `14:23:01`; its colons stand there already.
fn put_clock(in_day: i64, text: &mut [u8], at: usize) {
    put(in_day / 3600, text, at);
    put(in_day / 60 % 60, text, at + 3);
    put(in_day % 60, text, at + 6);
}

/// Puts the milliseconds of a second with all three digits.
fn put_millis(epoch_ms: i64, text: &mut [u8], at: usize) {
    let millis = epoch_ms % 1000;
    text[at] = b'0' + (millis / 100) as u8;
    put(millis, text, at + 1);
}

fn put_name(name: &[u8; 3], text: &mut [u8], at: usize) {
    text[at..at + 3].copy_from_slice(name);
}

const DAY: i64 = 86_400;
const YEAR_0000_MS: i64 = -62_167_219_200_000;
const YEAR_10000_MS: i64 = 253_402_300_800_000;
const WEEKDAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rfc3339(epoch_ms: i64) -> String {
        let mut out = Vec::new();
        write_rfc3339(epoch_ms, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn epoch_seconds(epoch_ms: i64) -> String {
        let mut out = Vec::new();
        write_epoch_seconds(epoch_ms, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_canonical_example_reads_as_its_epoch() {
        assert_eq!(parse_rfc3339(b"2026-05-12T14:23:01.453Z"), Some(1_778_595_781_453));
        assert_eq!(parse_rfc3339(b"2026-05-12t16:53:01.4539999+02:30"), Some(1_778_595_781_453));
        assert_eq!(parse_rfc3339(b"1969-12-31T23:59:59.9z"), Some(-100));
        assert_eq!(parse_rfc3339(b"2016-12-31T23:59:60Z"), parse_rfc3339(b"2017-01-01T00:00:00Z"));
        assert_eq!(parse_rfc3339(b"2017-01-01T00:59:60+01:00"), parse_rfc3339(b"2017-01-01T00:00:00Z"));
        assert_eq!(rfc3339(1_778_595_781_453), "2026-05-12T14:23:01.453Z");
        assert_eq!(epoch_seconds(1_778_595_781_453), "1778595781.453");
        assert_eq!(epoch_seconds(-1), "-0.001");
        assert_eq!(epoch_seconds(-1500), "-1.500");
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        let wrong = [
            "",
            "2026-05-12",
            "2026-05-12T14:23:01",
            "2026-05-12 14:23:01Z",
            "2026-5-12T14:23:01Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-05-00T00:00:00Z",
            "2026-05-12T24:00:00Z",
            "2026-05-12T14:60:00Z",
            "2026-05-12T14:23:61Z",
            "2026-05-12T14:23:60Z",
            "2026-05-12T14:23:01.Z",
            "2026-05-12T14:23:01,5Z",
            "2026-05-12T14:23:01+0200",
            "2026-05-12T14:23:01+24:00",
            "2026-05-12T14:23:01+02:60",
            "2026-05-12T14:23:01ZZ",
            "2026-05-12T14:23:01.5",
            "+026-05-12T14:23:01Z",
        ];
        for text in wrong {
            assert_eq!(parse_rfc3339(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn times_outside_four_digit_years_are_written_as_the_nearest() {
        assert_eq!(rfc3339(i64::MIN), "0000-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(epoch_seconds(i64::MIN), "-9223372036854775.808");
    }

    #[test]
    fn all_three_http_date_forms_are_the_same_instant() {
        let instant = Some(784_111_777_000);
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), instant);
        assert_eq!(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), instant);
        assert_eq!(parse_http_date("Sun Nov  6 08:49:37 1994"), instant);
        for wrong in [
            "",
            "Sun,",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37",
            "120",
        ] {
            assert_eq!(parse_http_date(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn reading_agrees_with_a_calendar_library(
            seconds in -62_135_596_800i64..253_370_764_800, nanos in 0u32..1_000_000_000, zone in -1439i64..1440, places in 0usize..10,
        ) {
            let sign = if zone < 0 { '-' } else { '+' };
            let local = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC).datetime();
            let fraction = &format!("{nanos:09}")[..places];
            let dot = if places > 0 { "." } else { "" };
            let offset = format!("{sign}{:02}:{:02}", zone.abs() / 60, zone.abs() % 60);
            let text = format!("{}{dot}{fraction}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S"));
            let kept: i64 = format!("{fraction:0<3}")[..3].parse().unwrap();
            prop_assert_eq!(parse_rfc3339(text.as_bytes()), Some((seconds - zone * 60) * 1000 + kept), "{}", text);
        }

        #[test]
        fn what_is_written_reads_back(epoch_ms in YEAR_0000_MS..YEAR_10000_MS) {
            prop_assert_eq!(parse_rfc3339(rfc3339(epoch_ms).as_bytes()), Some(epoch_ms));
        }

        #[test]
        fn the_usual_form_is_read_at_once_and_as_any_other(epoch_ms in YEAR_0000_MS..YEAR_10000_MS) {
            prop_assert_eq!(parse_utc_millis(rfc3339(epoch_ms).as_bytes()), Some(epoch_ms));
            prop_assert_eq!(parse_any(rfc3339(epoch_ms).as_bytes()), Some(epoch_ms));
        }

        #[test]
        fn what_is_read_at_once_is_a_time(
            epoch_ms in YEAR_0000_MS..YEAR_10000_MS, at in 0usize..24, digit in b'0'..=b'9', other in any::<u8>(),
        ) {
            for byte in [digit, other] {
                let mut text = rfc3339(epoch_ms).into_bytes();
                text[at] = byte;
                let read = parse_utc_millis(&text);
                prop_assert!(read.is_none() || read == parse_any(&text), "{}", String::from_utf8_lossy(&text));
            }
        }

        #[test]
        fn a_time_is_left_as_it_is_only_if_it_would_be_written_so(
            seconds in -62_135_596_800i64..253_370_764_800,
            form in prop::sample::select(vec!["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dt%H:%M:%S", "%Y-%m-%dT%H:59:60"]),
            rest in "(\\.[0-9]{1,4})?([Zz]|[+-][01][0-9]:[0-5][0-9])",
        ) {
            let utc = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let text = format!("{}{rest}", utc.strftime(form));
            if let Some(epoch_ms) = parse_rfc3339(text.as_bytes()) {
                prop_assert_eq!(is_utc_millis(text.as_bytes()), rfc3339(epoch_ms) == text, "{}", text);
            }
        }

        #[test]
        fn an_http_date_agrees_with_a_calendar_library(seconds in -62_135_596_800i64..253_370_764_800) {
            let mut out = Vec::new();
            write_http_date(seconds * 1000 + 999, &mut out);
            let text = String::from_utf8(out).unwrap();
            let local = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            prop_assert_eq!(&text, &local.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
            prop_assert_eq!(parse_http_date(&text), Some(seconds * 1000));
        }

        #[test]
        fn bsd_times_agree_with_a_calendar_library(seconds in -62_135_596_800i64..253_370_764_800) {
            let mut out = Vec::new();
            write_bsd(seconds * 1000 + 999, &mut out);
            let civil = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            prop_assert_eq!(String::from_utf8(out).unwrap(), civil.strftime("%b %e %H:%M:%S").to_string());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            parse_rfc3339(&bytes);
            parse_http_date(&String::from_utf8_lossy(&bytes));
        }
    }
}
