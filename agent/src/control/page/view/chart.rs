//! The last hour as lines, drawn as SVG: how fast a destination accepts, how far it lags, what waits, how long events take.
//!
//! Colours are fixed values in presentation attributes, each with one meaning; the page's style gives them other values in
//! the dark. What a line says is said in words beside it.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::{ChartBuilder, Circle, IntoDrawingArea, IntoFont, LineSeries, RGBColor, SVGBackend};
use plotters::style::{Color, RGBAColor, ShapeStyle, TextStyle};

use super::words::{count, rate, span};
use crate::control::history::DestinationHistory;

/// A line of a chart: a value for each sample, and none where nothing was measured.
struct Line {
    values: Vec<Option<f64>>,
    colour: RGBColor,
}

/// A chart.
struct Chart<'c> {
    /// What its elements are called after.
    id: &'static str,
    /// What it shows.
    title: &'static str,
    /// What that is in words.
    words: String,
    at_ms: &'c [i64],
    lines: Vec<Line>,
    /// A value as the axis has it.
    axis: fn(f64) -> String,
}

/// The hour before the last sample: a picture stays the same until there is another one.
pub(in crate::control::page) fn hour(history: &DestinationHistory) -> Markup {
    if history.at_ms.len() < 2 {
        return html! { p { "There is nothing to draw yet: the last hour is kept from the agent's start on." } };
    }
    html! { div.columns { @for chart in charts(history) { (figure(&chart)) } } }
}

fn charts(history: &DestinationHistory) -> [Chart<'_>; 4] {
    let at_ms = history.at_ms.as_slice();
    let rates: Vec<f64> = history.delivered_events_per_second.clone();
    let whole = |values: &[u64]| values.iter().map(|value| Some(*value as f64)).collect();
    let known = |values: &[Option<u64>]| values.iter().map(|value| value.map(|value| value as f64)).collect();
    let (lag, backlog) = (&history.lag_ms, &history.backlog_events);
    let peak = |values: &[u64]| values.iter().copied().max().unwrap_or_default();
    let now = |values: &[u64]| values.last().copied().unwrap_or_default();
    let fastest = rates.iter().copied().fold(0.0, f64::max);
    let slowest = history.latency_p99_ms.iter().flatten().max();
    [
        Chart {
            id: "rates",
            title: "Events accepted a second.",
            words: format!("At most {}, now {}.", rate(fastest), rate(rates.last().copied().unwrap_or_default())),
            at_ms,
            lines: vec![Line { values: rates.into_iter().map(Some).collect(), colour: LINE }],
            axis: |value| rate(value).trim_end_matches(" events/s").to_owned(),
        },
        Chart {
            id: "lag",
            title: "Age of the oldest waiting event.",
            words: format!("At most {}, now {}.", span(peak(lag)), span(now(lag))),
            at_ms,
            lines: vec![Line { values: whole(lag), colour: LINE }],
            axis: |value| span(value as u64),
        },
        Chart {
            id: "backlog",
            title: "Events that wait.",
            words: format!("At most {}, now {}.", count(peak(backlog)), count(now(backlog))),
            at_ms,
            lines: vec![Line { values: whole(backlog), colour: LINE }],
            axis: |value| count(value as u64),
        },
        Chart {
            id: "latency",
            title: "From accepted here to accepted there: 99 of 100 events within, and in grey half of them.",
            words: slowest.map_or_else(
                || "Nothing was accepted there in this hour.".to_owned(),
                |slowest| format!("99 of 100 within {} at the slowest.", span(*slowest)),
            ),
            at_ms,
            lines: vec![
                Line { values: known(&history.latency_p50_ms), colour: INK },
                Line { values: known(&history.latency_p99_ms), colour: LINE },
            ],
            axis: |value| span(value as u64),
        },
    ]
}

fn figure(chart: &Chart<'_>) -> Markup {
    html! {
        figure {
            figcaption id={ (chart.id) "-words" } { (chart.title) " " (chart.words) }
            (PreEscaped(draw(chart).unwrap_or_default()))
        }
    }
}

fn draw(chart: &Chart<'_>) -> Option<String> {
    let now_ms = *chart.at_ms.last()?;
    let minutes = |at_ms: i64| (at_ms - now_ms) as f64 / 60_000.0;
    let values = chart.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let peak = values.fold(0.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut drawn = ChartBuilder::on(&area)
            .margin(6)
            .margin_right(20)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(-60.0..0.0, 0.0..(peak * 1.1).max(1.0))
            .ok()?;
        let text = || TextStyle::from(("sans-serif", 15).into_font()).color(&INK);
        drawn
            .configure_mesh()
            .light_line_style(RGBAColor(0, 0, 0, 0.0))
            .bold_line_style(stroke(GRID, 1))
            .axis_style(stroke(GRID, 1))
            .x_labels(7)
            .y_labels(5)
            .x_label_formatter(&|at| if *at > -0.5 { "now".to_owned() } else { format!("{:.0} min", -at) })
            .y_label_formatter(&|value| (chart.axis)(*value))
            .x_label_style(text())
            .y_label_style(text())
            .draw()
            .ok()?;
        for line in &chart.lines {
            for piece in pieces(chart.at_ms, &line.values) {
                let points: Vec<(f64, f64)> = piece.into_iter().map(|(at_ms, value)| (minutes(at_ms), value)).collect();
                let shown: Vec<(f64, f64)> = points.into_iter().filter(|(at, _)| *at >= -60.0).collect();
                match shown.as_slice() {
                    [] => {}
                    // A line needs two points.
                    [alone] => drop(drawn.draw_series([Circle::new(*alone, 2, line.colour.filled())]).ok()?),
                    points => {
                        drawn.draw_series(LineSeries::new(points.iter().copied(), stroke(line.colour, 2))).ok()?;
                    }
                }
            }
        }
        area.present().ok()?;
    }
    // A picture as wide as its place, on any screen, with its words as its name.
    let open = format!("<svg role=\"img\" aria-labelledby=\"{}-words\" data-width=", chart.id);
    Some(svg.replacen("<svg width=", &open, 1))
}

/// The stretches in which something was measured each time, with their moments.
fn pieces(at_ms: &[i64], values: &[Option<f64>]) -> Vec<Vec<(i64, f64)>> {
    let pairs: Vec<(i64, Option<f64>)> = at_ms.iter().copied().zip(values.iter().copied()).collect();
    let stretches = pairs.split(|(_, value)| value.is_none());
    let measured =
        |stretch: &[(i64, Option<f64>)]| stretch.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect();
    stretches.map(measured).filter(|piece: &Vec<_>| !piece.is_empty()).collect()
}

fn stroke(colour: RGBColor, width: u32) -> ShapeStyle {
    ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: width }
}

const WIDTH: u32 = 600;
const HEIGHT: u32 = 240;
const INK: RGBColor = RGBColor(0x59, 0x63, 0x6e);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
const LINE: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::page::view::tests::assert_strict;

    /// An hour of a destination that goes faster and faster, so many samples of it.
    pub(in crate::control::page::view) fn hour_of(samples: u64) -> DestinationHistory {
        DestinationHistory {
            destination: "splunk".to_owned(),
            sample_every_ms: 10_000,
            at_ms: (0..samples as i64).map(|n| n * 10_000).collect(),
            delivered_events_per_second: (0..samples).map(|n| n as f64 * 10.0).collect(),
            delivered_bytes_per_second: (0..samples).map(|n| n as f64).collect(),
            lag_ms: (0..samples).map(|n| n * 1_000).collect(),
            backlog_events: (0..samples).map(|n| n * 7).collect(),
            latency_p50_ms: (0..samples).map(|n| (n % 5 > 0).then_some(n)).collect(),
            latency_p99_ms: (0..samples).map(|n| (n % 5 > 0).then_some(n * 3)).collect(),
            states: Vec::new(),
        }
    }

    #[test]
    fn the_last_hour_is_lines_with_their_meaning_in_words() {
        let charts = hour(&hour_of(360));
        assert_strict(&charts);
        let text = charts.into_string();
        for words in [
            "At most 3,590 events/s, now 3,590 events/s.",
            "Age of the oldest waiting event. At most 5 m, now 5 m.",
            "Events that wait. At most 2,513, now 2,513.",
            "99 of 100 within 1.0 s at the slowest.",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(text.matches("<svg role=\"img\"").count(), 4);
        for id in ["rates", "lag", "backlog", "latency"] {
            let (named, naming) = (format!("id=\"{id}-words\""), format!("aria-labelledby=\"{id}-words\""));
            assert!(text.contains(&named) && text.contains(&naming), "{id}");
        }
        assert!(text.contains("<polyline") && text.contains("30 min"), "{text}");
    }

    #[test]
    fn where_nothing_was_measured_there_is_no_line_and_what_stands_alone_is_a_point() {
        let values = [Some(1.0), None, Some(2.0), Some(3.0), None, None];
        let at_ms = [0, 10, 20, 30, 40, 50];
        assert_eq!(pieces(&at_ms, &values), [vec![(0, 1.0)], vec![(20, 2.0), (30, 3.0)]]);
        let mut history = hour_of(3);
        history.latency_p99_ms = vec![Some(5), None, None];
        history.latency_p50_ms = vec![None; 3];
        let text = hour(&history).into_string();
        assert!(text.contains("<circle") && text.contains("99 of 100 within 5 ms at the slowest."), "{text}");
        history.latency_p99_ms = vec![None; 3];
        assert!(hour(&history).into_string().contains("Nothing was accepted there in this hour."));
    }

    #[test]
    fn without_samples_there_is_a_sentence_and_no_picture() {
        for samples in [0, 1] {
            assert!(hour(&hour_of(samples)).into_string().starts_with("<p>There is nothing to draw yet"));
        }
    }

    #[test]
    fn a_destination_that_rests_is_drawn_at_nothing() {
        let mut history = hour_of(2);
        history.delivered_events_per_second = vec![0.0; 2];
        let text = hour(&history).into_string();
        assert!(text.contains("At most 0 events/s") && !text.contains("NaN"), "{text}");
    }
}
