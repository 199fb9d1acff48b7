//! Numbers, spans, sizes and moments as the page shows them: digits in groups, always with a unit, moments in UTC.
//!
//! A moment is a `time` element with the whole of it in `datetime`; where scripts run, the reader's zone takes the text's
//! place and UTC stays as its title.

use maud::{Markup, html};

pub(in crate::control::page) use crate::cli::words::{count, moment, size, span};

/// A moment, to the second.
pub(in crate::control::page) fn time(epoch_ms: i64) -> Markup {
    time_told(&moment(epoch_ms))
}

/// The same of a moment that came as text (RFC 3339); one that is not in UTC stays as it is.
pub(in crate::control::page) fn time_told(whole: &str) -> Markup {
    let utc = whole.strip_suffix('Z').map(|utc| utc.split('.').next().unwrap_or(utc).replace('T', " "));
    html! { time datetime=(whole) { @match utc { Some(utc) => { (utc) " UTC" }, None => { (whole) } } } }
}

/// A moment that may not have come yet.
pub(in crate::control::page) fn time_or(epoch_ms: Option<i64>, none: &str) -> Markup {
    html! { @match epoch_ms { Some(at) => { (time(at)) }, None => { (none) } } }
}

/// A sentence in which what stands between backticks is to be typed.
pub(in crate::control::page) fn ticked(text: &str) -> Markup {
    html! {
        @for (at, piece) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

/// So many of something: `1 event`, `2 events`.
pub(in crate::control::page) fn many(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// Events a second; what is slow keeps a digit behind the point.
pub(in crate::control::page) fn rate(events_per_second: f64) -> String {
    if events_per_second > 0.0 && events_per_second < 9.95 {
        return format!("{events_per_second:.1} events/s");
    }
    format!("{} events/s", count(events_per_second.round() as u64))
}

/// A span beside another one in minutes, or in a smaller unit where minutes say nothing: `12 of 30 min`.
pub(in crate::control::page) fn part_of(part_ms: u64, whole_ms: u64) -> String {
    let (unit_ms, unit) = match whole_ms {
        ms if ms < 120_000 => (1_000, "s"),
        ms if ms < 7_200_000 => (60_000, "min"),
        ms if ms < 172_800_000 => (3_600_000, "h"),
        _ => (86_400_000, "d"),
    };
    format!("{} of {} {unit}", count(part_ms / unit_ms), count(whole_ms / unit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_whole_for_machines_and_to_the_second_in_utc_for_people() {
        assert_eq!(
            time(1_500).into_string(),
            "<time datetime=\"1970-01-01T00:00:01.500Z\">1970-01-01 00:00:01 UTC</time>"
        );
        assert_eq!(time_or(None, "never").into_string(), "never");
        let told = |text| time_told(text).into_string();
        assert_eq!(
            told("1970-01-01T00:00:01Z"),
            "<time datetime=\"1970-01-01T00:00:01Z\">1970-01-01 00:00:01 UTC</time>"
        );
        assert!(told("1970-01-01T02:00:01+02:00").contains(">1970-01-01T02:00:01+02:00<"));
    }

    #[test]
    fn what_is_to_be_typed_is_code_and_never_markup() {
        assert_eq!(ticked("run `a <b>`.").into_string(), "run <code>a &lt;b&gt;</code>.");
        assert_eq!(ticked("plain").into_string(), "plain");
    }

    #[test]
    fn numbers_have_units_groups_and_the_right_plural() {
        assert_eq!([0, 1, 1_234].map(|n| many(n, "event", "events")), ["0 events", "1 event", "1,234 events"]);
        assert_eq!(
            [0.0, 0.04, 9.9, 9.96, 1_234.4].map(rate),
            ["0 events/s", "0.0 events/s", "9.9 events/s", "10 events/s", "1,234 events/s"]
        );
    }

    #[test]
    fn a_part_of_the_window_is_told_in_the_unit_of_the_window() {
        assert_eq!(part_of(12 * 60_000, 30 * 60_000), "12 of 30 min");
        assert_eq!(part_of(1_500, 60_000), "1 of 60 s");
        assert_eq!(part_of(0, 24 * 3_600_000), "0 of 24 h");
        assert_eq!(part_of(3 * 86_400_000, 30 * 86_400_000), "3 of 30 d");
    }
}
