//! The last hour as a line, drawn as SVG.
//!
//! Colours are fixed values in presentation attributes, each with one meaning; the page's style gives them other values in
//! the dark. What the line says is said in words beside it.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::{ChartBuilder, IntoDrawingArea, IntoFont, LineSeries, RGBColor, SVGBackend};
use plotters::style::{Color, RGBAColor, ShapeStyle, TextStyle};

use super::words::rate;

/// How fast a destination accepted events at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::control::page) struct Sample {
    /// When, ms since 1970.
    pub(in crate::control::page) at_ms: i64,
    /// Events accepted a second, since the sample before.
    pub(in crate::control::page) events_per_second: f64,
}

/// The rate over the hour before `now_ms`; `samples` are in the order of time.
pub(in crate::control::page) fn rates(samples: &[Sample], now_ms: i64) -> Markup {
    let (Some(last), true) = (samples.last(), samples.len() > 1) else {
        return html! { p { "There is nothing to draw yet: the last hour is kept from the agent's start on." } };
    };
    let peak = samples.iter().map(|sample| sample.events_per_second).fold(0.0, f64::max);
    let words = format!("At most {}, now {}.", rate(peak), rate(last.events_per_second));
    html! {
        figure {
            figcaption #rates-words { "Events accepted a second over the last hour. " (words) }
            (PreEscaped(draw(samples, peak, now_ms).unwrap_or_default()))
        }
    }
}

fn draw(samples: &[Sample], peak: f64, now_ms: i64) -> Option<String> {
    let minutes = |at_ms: i64| (at_ms - now_ms) as f64 / 60_000.0;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
            .margin_right(20)
            .x_label_area_size(28)
            .y_label_area_size(56)
            .build_cartesian_2d(-60.0..0.0, 0.0..(peak * 1.1).max(1.0))
            .ok()?;
        let text = || TextStyle::from(("sans-serif", 15).into_font()).color(&INK);
        chart
            .configure_mesh()
            .light_line_style(RGBAColor(0, 0, 0, 0.0))
            .bold_line_style(line(GRID, 1))
            .axis_style(line(GRID, 1))
            .x_labels(7)
            .y_labels(5)
            .x_label_formatter(&|at| if *at > -0.5 { "now".to_owned() } else { format!("{:.0} min", -at) })
            .y_label_formatter(&|value| rate(*value).trim_end_matches(" events/s").to_owned())
            .x_label_style(text())
            .y_label_style(text())
            .draw()
            .ok()?;
        let shown = samples.iter().filter(|sample| minutes(sample.at_ms) >= -60.0);
        let points = shown.map(|sample| (minutes(sample.at_ms), sample.events_per_second));
        chart.draw_series(LineSeries::new(points, line(LINE, 2))).ok()?;
        area.present().ok()?;
    }
    // A picture as wide as its place, on any screen, with its words as its name.
    Some(svg.replacen("<svg width=", "<svg role=\"img\" aria-labelledby=\"rates-words\" data-width=", 1))
}

fn line(colour: RGBColor, width: u32) -> ShapeStyle {
    ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: width }
}

const WIDTH: u32 = 600;
const HEIGHT: u32 = 240;
const INK: RGBColor = RGBColor(0x59, 0x63, 0x6e);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
const LINE: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::page::view::tests::assert_strict;

    #[test]
    fn the_last_hour_is_a_line_with_its_meaning_in_words() {
        let samples: Vec<Sample> =
            (0..360).map(|n| Sample { at_ms: n * 10_000, events_per_second: n as f64 * 10.0 }).collect();
        let chart = rates(&samples, 3_600_000);
        assert_strict(&chart);
        let text = chart.into_string();
        assert!(text.contains("At most 3,590 events/s, now 3,590 events/s."), "{text}");
        assert!(text.contains("<svg role=\"img\"") && text.contains("<polyline") && text.contains("30 min"), "{text}");
    }

    #[test]
    fn without_samples_there_is_a_sentence_and_no_picture() {
        let one = [Sample { at_ms: 0, events_per_second: 1.0 }];
        for samples in [&[][..], &one[..]] {
            assert!(rates(samples, 0).into_string().starts_with("<p>There is nothing to draw yet"));
        }
    }

    #[test]
    fn a_destination_that_rests_is_drawn_at_nothing() {
        let samples = [0, 10_000].map(|at_ms| Sample { at_ms, events_per_second: 0.0 });
        let text = rates(&samples, 10_000).into_string();
        assert!(text.contains("At most 0 events/s") && !text.contains("NaN"), "{text}");
    }
}
