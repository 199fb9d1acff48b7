//! The picture of `top`, drawn from its state: the agent, a row for each destination, more about the marked one, the keys.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::state::State;
use super::table::{Column, GAP, cell, chart, fitting};
use crate::cli::status::trouble;
use crate::cli::words::{self, size, span};
use crate::control::badness;
use crate::control::status::{DestinationStatus, Status};

/// Draws everything; what finds no room is left out, the keys and the marked destination first.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, now: Duration, now_ms: i64, has_colour: bool) {
    let area = frame.area();
    let paint = Paint { has_colour };
    let more = if area.height >= MORE_FROM { MORE } else { 0 };
    let keys = u16::from(area.height >= KEYS_FROM);
    let [head, notice, table, more, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(more),
        Constraint::Length(keys),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(agent(state, area.width)), head);
    if let Some((since, why)) = state.lost(now) {
        let text = format!("{why}; asked again, what is shown is {} old", span(since.as_millis() as u64));
        frame.render_widget(Line::styled(clean(&text), paint.of(Color::Red)), notice);
    }
    rows(frame, state, table, now_ms, paint);
    let destinations = state.rows();
    if let Some(marked) = destinations.get(state.marked_row(&destinations)) {
        let mut lines = trouble(marked).into_iter().map(|line| Line::raw(clean(&line))).collect::<Vec<_>>();
        lines.extend(state.hour(&marked.name).map(|minutes| Line::raw(hour(minutes))));
        frame.render_widget(Paragraph::new(lines), more);
    }
    frame.render_widget(Line::styled(KEYS, Style::new().add_modifier(Modifier::DIM)), keys);
}

/// The same without a terminal: the agent and all columns but the chart, which needs more than one look.
pub(super) fn plain(state: &State, now_ms: i64) -> Vec<String> {
    let mut lines = summary(state.status()).to_vec();
    lines.push(String::new());
    let columns = Column::all().filter(|column| *column != Column::Minute);
    let mut rows = vec![columns.clone().map(|column| column.title().to_owned()).collect::<Vec<_>>()];
    let row = |destination: &&DestinationStatus| {
        columns.clone().map(|column| clean(&column.cell(destination, now_ms))).collect::<Vec<_>>()
    };
    rows.extend(state.rows().iter().map(row));
    if rows.len() == 1 {
        lines.push(NONE.to_owned());
    } else {
        lines.extend(words::table(&rows));
    }
    lines
}

/// Two lines about the agent, the second with a chart of what came in.
fn agent(state: &State, width: u16) -> Vec<Line<'static>> {
    let [first, second] = summary(state.status());
    let room = usize::from(width).saturating_sub(second.chars().count() + usize::from(GAP)).min(CHART_MAX);
    let bars = chart(state.intake(), room as u16);
    vec![
        Line::styled(clean(&first), Style::new().add_modifier(Modifier::BOLD)),
        Line::raw(format!("{}  {bars}", clean(&second))),
    ]
}

/// The last hour of a destination, a bar for each minute, and the quickest of them.
fn hour(minutes: &[f64]) -> String {
    let peak = minutes.iter().copied().fold(0.0, f64::max);
    let bars = chart(minutes.iter().copied(), minutes.len() as u16);
    format!("  hour: {bars} at most {peak:.1}/s in a minute")
}

/// Who the agent is and whether it takes events; what comes in and what the log holds.
fn summary(status: &Status) -> [String; 2] {
    let (agent, intake, log) = (&status.agent, &status.intake, &status.log);
    let taking = match intake.obstacles.first() {
        _ if intake.is_ready => "takes events".to_owned(),
        Some(why) => format!("takes NO events: {why}"),
        None => "takes NO events".to_owned(),
    };
    let share = log.bytes.saturating_mul(100) / log.max_bytes.max(1);
    [
        format!("{} ({}), version {}, up {}; {taking}", agent.node, agent.id, agent.version, span(agent.uptime_ms)),
        format!(
            "in {:.1}/s; log {} of {} ({share} %), the oldest {} of a window of {}",
            intake.events_per_second,
            size(log.bytes),
            size(log.max_bytes),
            span(log.oldest_age_ms),
            span(log.window_ms)
        ),
    ]
}

/// The header and as many rows as find room, among them the marked one.
fn rows(frame: &mut Frame<'_>, state: &mut State, area: Rect, now_ms: i64, paint: Paint) {
    let destinations = state.rows();
    let visible = usize::from(area.height.saturating_sub(1));
    let marked = state.marked_row(&destinations);
    let first = shown_from(state.first, marked, visible, destinations.len());
    let longest = destinations.iter().map(|known| known.name.chars().count()).max().unwrap_or(0);
    let columns = fitting(area.width, longest);
    let mut lines = vec![header(state, &columns)];
    if destinations.is_empty() {
        lines.push(Line::raw(NONE));
    }
    for (at, destination) in destinations.iter().enumerate().skip(first).take(visible) {
        let line = row(state, destination, &columns, now_ms, paint);
        let style = if at == marked { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        lines.push(line.style(style));
    }
    state.first = first;
    frame.render_widget(Paragraph::new(lines), area);
}

/// The first row to show so that the marked one is seen, as near to where it was as can be.
fn shown_from(first: usize, marked: usize, visible: usize, total: usize) -> usize {
    let first = first.min(marked).max((marked + 1).saturating_sub(visible));
    first.min(total.saturating_sub(visible))
}

fn header(state: &State, columns: &[(Column, u16)]) -> Line<'static> {
    let (sort, is_reversed) = state.sort();
    let title = |&(column, width): &(Column, u16)| {
        let arrow = if is_reversed { "↑" } else { "↓" };
        let mark = if column.sort() == Some(sort) { arrow } else { "" };
        cell(&format!("{}{mark}", column.title()), width, column.is_number())
    };
    let titles: Vec<String> = columns.iter().map(title).collect();
    Line::styled(titles.join("  "), Style::new().add_modifier(Modifier::BOLD))
}

fn row(
    state: &State,
    destination: &DestinationStatus,
    columns: &[(Column, u16)],
    now_ms: i64,
    paint: Paint,
) -> Line<'static> {
    let mut spans = Vec::new();
    for &(column, width) in columns {
        if !spans.is_empty() {
            spans.push(Span::raw("  "));
        }
        let text = match column {
            Column::Minute => chart(state.accepted(&destination.name), width),
            _ => cell(&column.cell(destination, now_ms), width, column.is_number()),
        };
        let style = if column == Column::State { paint.state(&destination.state) } else { Style::new() };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

/// Colour, where it is wanted.
#[derive(Clone, Copy)]
struct Paint {
    has_colour: bool,
}

impl Paint {
    fn of(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new().add_modifier(Modifier::BOLD) }
    }

    fn state(self, state: &str) -> Style {
        match badness(state) {
            0 if self.has_colour => Style::new().fg(Color::Green),
            0 => Style::new(),
            worse if worse < badness("retrying") => self.of(Color::Yellow),
            _ => self.of(Color::Red),
        }
    }
}

/// What a destination answered may hold anything; a terminal gets no control characters from it.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const NONE: &str = "no destinations are configured";
const KEYS: &str = "q end   ↑ ↓ move   sort by: n name  s state  l lag  w waiting  r rate  h head-room";
/// Lines about the marked destination.
const MORE: u16 = 7;
/// Lines of a terminal from which on they, and the keys, are shown.
const MORE_FROM: u16 = 16;
const KEYS_FROM: u16 = 8;
/// Bars about what came in, at most.
const CHART_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::state::Wish;
    use super::super::state::tests::{hour as hour_of, status};
    use super::*;

    const EVERY: Duration = Duration::from_secs(4);

    fn drawn(state: &mut State, width: u16, height: u16, has_colour: bool) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state, Duration::from_secs(9), 13_000, has_colour)).unwrap();
        terminal
    }

    fn text(state: &mut State, width: u16, height: u16) -> Vec<String> {
        let terminal = drawn(state, width, height, false);
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    fn seen() -> State {
        let mut state = State::new(status(&["splunk", "elastic-prod"]), EVERY);
        for look in 1..=4 {
            let mut next = status(&["splunk", "elastic-prod"]);
            next.destinations[1].state = "circuit_open".to_owned();
            next.destinations[0].books.delivered += look * look;
            next.intake.accepted += look * 10;
            state.see(next, Duration::from_secs(look));
        }
        state
    }

    #[test]
    fn a_wide_terminal_shows_the_agent_every_column_the_marked_destination_and_the_keys() {
        let lines = text(&mut seen(), 150, 16);
        assert_eq!(
            lines,
            [
                "n1 (3b1b), version 0.1.0, up 61 s; takes NO events: shard 0: the disk is full",
                "in 4.2/s; log 4.0 MiB of 64.0 MiB (6 %), the oldest 3.0 s of a window of 30 m                                                          ████",
                "",
                "DESTINATION   STATE↓                   LAG      WAITING        RATE  LAST LOOKS                 P50       P99    HEAD-ROOM  LAST ERROR",
                "elastic-prod  circuit_open           1.0 s            4       1.0/s                            3 ms      3 ms         16 m  cannot connect: refused",
                "splunk        active                   0 s            3       0.0/s                  ▁▃▆█      3 ms      3 ms         16 m",
                "",
                "",
                "elastic-prod: cannot connect: refused",
                "  last success 1970-01-01T00:00:00.000Z",
                "  room: 12 of 30 m used; not filling",
                "  next: it is tried again by itself",
                "  do:   `scaidrive-siem destination test splunk` says more",
                "",
                "",
                "q end   ↑ ↓ move   sort by: n name  s state  l lag  w waiting  r rate  h head-room",
            ]
        );
    }

    #[test]
    fn the_marked_destination_has_its_last_hour_as_a_bar_for_each_minute() {
        let mut state = seen();
        state.see_hour(&hour_of("elastic-prod", 16));
        let lines = text(&mut state, 150, 16);
        let line = lines.iter().find(|line| line.starts_with("  hour: ")).unwrap();
        assert!(line.ends_with("▁▁▂▄▅▆▇█ at most 14.5/s in a minute"), "{lines:#?}");
        state.obey(Wish::Move(1));
        assert!(!text(&mut state, 150, 16).iter().any(|line| line.starts_with("  hour: ")), "that was another one's");
    }

    #[test]
    fn no_size_is_too_small_and_what_matters_most_is_left() {
        for (width, height) in [(1, 1), (1, 40), (200, 1), (200, 2), (80, 3), (20, 5), (40, 8), (60, 13)] {
            text(&mut seen(), width, height);
        }
        let lines = text(&mut seen(), 40, 6);
        assert!(lines[4].starts_with("elastic-prod  circuit_open"), "{lines:?}");
    }

    #[test]
    fn the_marked_row_is_always_seen() {
        let names: Vec<String> = (0..200).map(|number| format!("siem-{number:03}")).collect();
        let mut state = State::new(status(&names.iter().map(String::as_str).collect::<Vec<_>>()), EVERY);
        for (by, name) in
            [(0, "siem-000"), (57, "siem-057"), (isize::MAX, "siem-199"), (-1, "siem-198"), (-150, "siem-048")]
        {
            state.obey(Wish::Move(by));
            let lines = text(&mut state, 80, 20);
            assert!(lines.iter().any(|line| line.starts_with(name) && line.contains("active")), "{by}: {lines:?}");
        }
        assert_eq!(shown_from(7, 3, 0, 10), 4, "no room at all");
    }

    #[test]
    fn a_lost_agent_is_said_above_what_was_seen_last() {
        let mut state = seen();
        state.lose("no agent answers on /x: nobody listens".to_owned());
        let lines = text(&mut state, 120, 14);
        assert_eq!(lines[2], "no agent answers on /x: nobody listens; asked again, what is shown is 5.0 s old");
        assert!(lines[4].starts_with("elastic-prod"));
    }

    #[test]
    fn there_is_colour_only_where_it_is_wanted() {
        let colours = |has_colour| {
            let terminal = drawn(&mut seen(), 120, 14, has_colour);
            terminal.backend().buffer().content.iter().filter(|cell| cell.fg != Color::Reset).count()
        };
        assert_eq!(colours(false), 0);
        assert!(colours(true) > 0);
    }

    #[test]
    fn without_a_terminal_the_table_is_plain_text() {
        let lines = plain(&seen(), 13_000);
        assert_eq!(
            lines[3..],
            [
                "DESTINATION   STATE           LAG  WAITING   RATE   P50   P99  HEAD-ROOM  LAST ERROR",
                "elastic-prod  circuit_open  1.0 s        4  1.0/s  3 ms  3 ms       16 m  cannot connect: refused",
                "splunk        active          0 s        3  0.0/s  3 ms  3 ms       16 m",
            ]
        );
        assert_eq!(plain(&State::new(status(&[]), EVERY), 0)[3], NONE);
    }
}
