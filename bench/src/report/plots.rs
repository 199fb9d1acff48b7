//! Plots as SVG: bars of medians with their spread, and latency over percentiles.
//!
//! Colours are written as fixed values, each with one meaning; the page's style gives them other values in the dark.

use plotters::element::{PathElement, Rectangle, Text};
use plotters::prelude::{
    ChartBuilder, DrawingArea, IntoDrawingArea, IntoFont, LineSeries, RGBColor, SVGBackend, SeriesLabelPosition,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, ShapeStyle, TextStyle};

use super::{InRun, Report, stem};
use crate::measure::statistics::Summary;
use crate::runner::{CaseResult, Measured};
use crate::scenario::goal::{Bound, Figures, number};
use crate::scenario::{Goal, Metric};

/// One plot.
pub(super) struct Plot {
    pub(super) stem: String,
    pub(super) title: String,
    pub(super) svg: String,
}

/// The plots of one scenario.
pub(super) fn of(measured: &Measured, report: &Report) -> Vec<Plot> {
    let name = measured.scenario.name;
    // What a scenario asks about is plotted; the table has the rest.
    let is_asked = |metric: &&Metric| measured.scenario.goals.iter().any(|goal| goal.metric == **metric);
    let bars = BARS.iter().filter(is_asked).filter_map(|metric| {
        let bars = Bars::of(measured, report, *metric)?;
        let title = format!("{}{}", metric.title(), unit_in_brackets(*metric));
        Some(Plot { stem: stem(&[name, metric.title()]), title, svg: bars.draw() })
    });
    let latency = latency_curves(measured).map(|svg| Plot {
        stem: stem(&[name, "percentiles"]),
        title: "latency over percentiles (ms)".to_owned(),
        svg,
    });
    bars.chain(latency).collect()
}

fn unit_in_brackets(metric: Metric) -> String {
    if metric.unit().is_empty() { String::new() } else { format!(" ({})", metric.unit()) }
}

/// Bars, one for each case.
struct Bars {
    bars: Vec<(String, Summary, RGBColor)>,
    /// Where a promise is.
    goal: Option<f64>,
}

impl Bars {
    /// `None` when there are no two cases to compare.
    fn of(measured: &Measured, report: &Report, metric: Metric) -> Option<Bars> {
        let figures = InRun { measured, machine: &report.machine };
        let bars: Vec<_> = measured
            .cases
            .iter()
            .filter_map(|result| {
                let colour = colour_of(result);
                Some((result.case.label.to_owned(), result.summary(metric)?, colour))
            })
            .collect();
        let goal = measured.scenario.goals.iter().find_map(|goal| promise(goal, metric, &figures));
        (bars.len() > 1 && bars.iter().any(|(_, summary, _)| summary.max > 0.0)).then_some(Bars { bars, goal })
    }

    fn draw(&self) -> String {
        let height = TOP + ROW * self.bars.len() as i32 + BOTTOM;
        draw(height as u32, |area| {
            let most = self.bars.iter().map(|(_, summary, _)| summary.max).chain(self.goal).fold(0.0, f64::max);
            let scale = |value: f64| LEFT + (value / most * f64::from(WIDTH - LEFT - RIGHT)) as i32;
            for (nth, (label, summary, colour)) in self.bars.iter().enumerate() {
                let y = TOP + ROW * nth as i32;
                let middle = y + BAR / 2;
                area.draw(&Text::new(label.clone(), (LEFT - 10, middle), text(HPos::Right)))?;
                area.draw(&Rectangle::new(
                    [(LEFT, y), (scale(summary.median).max(LEFT + 1), y + BAR)],
                    colour.filled(),
                ))?;
                if summary.max > summary.min {
                    let spread = [(scale(summary.min), middle), (scale(summary.max), middle)];
                    area.draw(&PathElement::new(spread.to_vec(), line(INK, 1)))?;
                }
                let end = scale(summary.max.max(summary.median)) + 8;
                area.draw(&Text::new(number(summary.median), (end, middle), text(HPos::Left)))?;
            }
            if let Some(goal) = self.goal {
                let bottom = TOP + ROW * self.bars.len() as i32;
                area.draw(&PathElement::new(vec![(scale(goal), TOP - 6), (scale(goal), bottom)], line(GOAL, 1)))?;
                let words = format!("goal {}", number(goal));
                area.draw(&Text::new(words, (scale(goal), bottom + 8), text(HPos::Center)))?;
            }
            Ok(())
        })
    }
}

/// A goal that is a fixed value of this metric.
fn promise(goal: &Goal, metric: Metric, figures: &impl Figures) -> Option<f64> {
    match goal.bound {
        _ if goal.metric != metric => None,
        Bound::Value(value) if value > 0.0 => Some(value),
        Bound::DiskSyncTimes(factor) => Some(factor * figures.disk_sync_ms()),
        Bound::DiskSyncPlus(ms) => Some(figures.disk_sync_ms() + ms),
        _ => None,
    }
}

/// Latency of each case that has one: times against percentiles, both by their logarithm, so that nines are equally wide.
fn latency_curves(measured: &Measured) -> Option<String> {
    let cases: Vec<&CaseResult> = measured.cases.iter().filter(|result| !result.latency.is_empty()).collect();
    let curves: Vec<Vec<(f64, f64)>> = cases.iter().map(|result| curve(result)).collect();
    let values = || curves.iter().flatten().map(|(_, y)| *y);
    let (low, high) = (values().reduce(f64::min)?.floor(), values().reduce(f64::max)?.ceil());
    let nines = curves.iter().flatten().map(|(x, _)| *x).fold(1.0, f64::max).ceil();
    let svg = draw(LATENCY_HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(40)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..nines, low..high.max(low + 1.0))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(line(GRID, 1))
            .axis_style(line(GRID, 1))
            .x_labels(nines as usize + 1)
            .y_labels((high - low) as usize + 1)
            .x_label_formatter(&|nines| percentile(*nines))
            .y_label_formatter(&|log| format!("{} ms", number(10_f64.powf(*log))))
            .label_style(text(HPos::Left))
            .draw()?;
        for (nth, (result, curve)) in cases.iter().zip(&curves).enumerate() {
            let style = line(LINES[nth % LINES.len()], 2);
            let series = LineSeries::new(curve.iter().copied(), style);
            let drawn = chart.draw_series(series)?;
            drawn.label(result.case.label).legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style));
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).label_font(text(HPos::Left)).draw()?;
        Ok(())
    });
    Some(svg)
}

/// Points of a distribution: the number of nines, and the logarithm of the time in milliseconds.
fn curve(result: &CaseResult) -> Vec<(f64, f64)> {
    let latency = &result.latency;
    let nines_most = (latency.len() as f64).log10();
    let steps = (nines_most * POINTS_FOR_EACH_NINE) as usize;
    (0..=steps)
        .map(|step| {
            let nines = step as f64 / POINTS_FOR_EACH_NINE;
            let value = latency.value_at_quantile(1.0 - 10_f64.powf(-nines)).max(1_000);
            (nines, (value as f64 / 1e6).log10())
        })
        .collect()
}

/// `90 %` for one nine, `99.9 %` for three.
fn percentile(nines: f64) -> String {
    match nines.round() as usize {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        nines => format!("99.{} %", "9".repeat(nines - 2)),
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(height: u32, paint: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, height)).into_drawing_area();
        paint(&area).and_then(|()| area.present().map_err(Into::into))
    };
    match drawn {
        // A picture as wide as its place, on any screen.
        Ok(()) => svg.replacen("<svg width=", "<svg role=\"img\" data-width=", 1),
        Err(error) => format!("<!-- {error} -->"),
    }
}

fn text(horizontal: HPos) -> TextStyle<'static> {
    let font = ("sans-serif", 16).into_font();
    TextStyle::from(font).color(&INK).pos(Pos::new(horizontal, VPos::Center))
}

fn line(colour: RGBColor, width: u32) -> ShapeStyle {
    ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: width }
}

fn colour_of(result: &CaseResult) -> RGBColor {
    match result.case.contender {
        "agent" => AGENT,
        "naive loop" => FLOOR,
        _ => RIVAL,
    }
}

/// The metrics that get bars, where cases can be compared.
const BARS: [Metric; 11] = [
    Metric::CpuPerEvent,
    Metric::EventsPerSecond,
    Metric::LatencyP50,
    Metric::LatencyP99,
    Metric::CpuShare,
    Metric::Memory,
    Metric::DiskPerEvent,
    Metric::Syscalls,
    Metric::Allocations,
    Metric::PageP99,
    Metric::FirstView,
];
const WIDTH: i32 = 760;
const LEFT: i32 = 170;
const RIGHT: i32 = 90;
const TOP: i32 = 12;
const BOTTOM: i32 = 22;
const ROW: i32 = 28;
const BAR: i32 = 18;
const LATENCY_HEIGHT: u32 = 340;
const POINTS_FOR_EACH_NINE: f64 = 40.0;

const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
const AGENT: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const FLOOR: RGBColor = RGBColor(0x8b, 0x94, 0x9e);
const RIVAL: RGBColor = RGBColor(0xc9, 0x9a, 0x4b);
const GOAL: RGBColor = RGBColor(0xb3, 0x3a, 0x3a);
const LINES: [RGBColor; 6] = [AGENT, RIVAL, RGBColor(0x4a, 0x8f, 0x5b), GOAL, RGBColor(0x7a, 0x5c, 0xa8), FLOOR];
const TRANSPARENT: plotters::style::RGBAColor = plotters::style::RGBAColor(0, 0, 0, 0.0);
