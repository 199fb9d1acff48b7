//! Times, in HdrHistograms of nanoseconds.
//!
//! A time begins when the event *should* have been written and ends when its bytes were read from the receiver's socket.
//! A contender that stalls for a second at 1,000 events a second therefore has 1,000 late events, not one.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;

/// An empty histogram: three digits, up to a minute at once and more when it must.
pub(crate) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are valid");
    histogram.auto(true);
    histogram
}

/// Adds one time.
pub(crate) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(time.as_nanos() as u64);
}

/// The time that the share `quantile` of all stays within, in milliseconds.
pub(crate) fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e6
}

/// The percentile distribution in the text format of HdrHistogram's plotter (`.hgrm`), in milliseconds.
pub(crate) fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    for step in histogram.iter_quantiles(5) {
        let (value, quantile) = (step.value_iterated_to() as f64 / 1e6, step.quantile_iterated_to());
        let count = histogram.count_between(0, step.value_iterated_to());
        let _ = write!(text, "{value:12.3} {quantile:14.12} {count:10}");
        let _ = if quantile < 1.0 { writeln!(text, " {:14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(text) };
    }
    let ms = 1e6;
    let (mean, deviation, max) = (histogram.mean() / ms, histogram.stdev() / ms, histogram.max() as f64 / ms);
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {:12}]", histogram.len());
    text
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::load::writer::Schedule;

    #[test]
    fn a_stall_of_a_second_counts_for_every_event_that_should_have_been_written_in_it() {
        // 1,000 events a second for ten seconds. From 4 s to 5 s the contender takes nothing; then it takes all at once.
        let start = Instant::now();
        let schedule = Schedule { first: 0, events: 10_000, start, interval: Duration::from_millis(1) };
        let stall_end = start + Duration::from_secs(5);
        let mut corrected = histogram();
        for mark in 0..10_000 {
            let intended = schedule.intended(mark).unwrap();
            let is_held = intended >= start + Duration::from_secs(4) && intended < stall_end;
            let arrived = if is_held { stall_end } else { intended + Duration::from_micros(100) };
            record(&mut corrected, arrived - intended);
        }
        // A tenth of all events were late, by half a second in the middle. Timed from the actual write, one would be.
        assert!(quantile_ms(&corrected, 0.5) < 0.2);
        assert!((quantile_ms(&corrected, 0.95) - 500.0).abs() < 5.0, "{}", quantile_ms(&corrected, 0.95));
        assert!((quantile_ms(&corrected, 0.999) - 990.0).abs() < 5.0);
    }

    #[test]
    fn the_distribution_ends_with_all_events() {
        let mut times = histogram();
        (1..=1_000).for_each(|ms| record(&mut times, Duration::from_millis(ms)));
        let text = hgrm(&times);
        assert!(text.contains("Total count    =         1000"), "{text}");
        assert!(text.lines().any(|line| line.trim_start().starts_with("500.")), "{text}");
    }
}
