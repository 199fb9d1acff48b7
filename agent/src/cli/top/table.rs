//! The columns of `top`: what each shows, and which of them find room.

use ratatui::symbols::bar::NINE_LEVELS;

use super::state::{Sort, waiting};
use crate::cli::words::{count, span};
use crate::control::status::DestinationStatus;

/// A column, in the order from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Name,
    State,
    Lag,
    Waiting,
    Rate,
    Minute,
    Half,
    Most,
    Headroom,
    Trouble,
}

impl Column {
    /// Each of them, the one that is missed least last.
    const BY_WEIGHT: [Column; 10] = [
        Column::Name,
        Column::State,
        Column::Lag,
        Column::Waiting,
        Column::Rate,
        Column::Headroom,
        Column::Most,
        Column::Minute,
        Column::Half,
        Column::Trouble,
    ];

    /// Each of them from left to right.
    pub(super) fn all() -> impl Iterator<Item = Column> + Clone {
        let mut columns = Column::BY_WEIGHT;
        columns.sort_unstable();
        columns.into_iter()
    }

    /// What stands above it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Column::Name => "DESTINATION",
            Column::State => "STATE",
            Column::Lag => "LAG",
            Column::Waiting => "WAITING",
            Column::Rate => "RATE",
            Column::Minute => "LAST LOOKS",
            Column::Half => "P50",
            Column::Most => "P99",
            Column::Headroom => "HEAD-ROOM",
            Column::Trouble => "LAST ERROR",
        }
    }

    /// The order of rows that goes by it.
    pub(super) fn sort(self) -> Option<Sort> {
        match self {
            Column::Name => Some(Sort::Name),
            Column::State => Some(Sort::State),
            Column::Lag => Some(Sort::Lag),
            Column::Waiting => Some(Sort::Waiting),
            Column::Rate => Some(Sort::Rate),
            Column::Headroom => Some(Sort::Headroom),
            Column::Minute | Column::Half | Column::Most | Column::Trouble => None,
        }
    }

    /// Whether it stands to the right, as numbers do.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Column::Lag | Column::Waiting | Column::Rate | Column::Half | Column::Most | Column::Headroom)
    }

    /// What it shows of a destination. The small chart is not text; see [`chart`].
    pub(super) fn cell(self, destination: &DestinationStatus, now_ms: i64) -> String {
        match self {
            Column::Name => destination.name.clone(),
            Column::State => destination.state.clone(),
            Column::Lag => span(destination.lag_ms),
            Column::Waiting => count(waiting(destination)),
            Column::Rate => format!("{:.1}/s", destination.events_per_second),
            Column::Minute => String::new(),
            Column::Half => span(destination.latency.p50_ms),
            Column::Most => span(destination.latency.p99_ms),
            Column::Headroom => span(destination.headroom_ms),
            Column::Trouble => trouble(destination, now_ms),
        }
    }

    /// Characters it takes.
    fn width(self) -> u16 {
        match self {
            Column::Name => NAME_MAX,
            Column::State => 18,
            Column::Lag | Column::Half | Column::Most => 8,
            Column::Waiting => 11,
            Column::Rate => 10,
            Column::Minute => 20,
            Column::Headroom => 11,
            Column::Trouble => TROUBLE_MIN,
        }
    }
}

/// The cause of a state that is not well, else what last went wrong and how long ago.
fn trouble(destination: &DestinationStatus, now_ms: i64) -> String {
    match &destination.last_failure {
        _ if destination.state != "active" => destination.cause.clone(),
        Some(failure) => {
            format!("{} ago: {}", span(now_ms.saturating_sub(failure.at_ms).max(0) as u64), failure.what)
        }
        None => String::new(),
    }
}

/// The columns that find room in `width` characters, each with its own. `name` is the length of the longest name.
pub(super) fn fitting(width: u16, name: usize) -> Vec<(Column, u16)> {
    let name = (name as u16).clamp(Column::Name.title().len() as u16 + 1, NAME_MAX);
    let mut left = width;
    let mut columns = Vec::new();
    for column in Column::BY_WEIGHT {
        let wanted = if column == Column::Name { name } else { column.width() };
        let gap = if columns.is_empty() { 0 } else { GAP };
        if wanted + gap <= left {
            left -= wanted + gap;
            columns.push((column, wanted));
        }
    }
    columns.sort_by_key(|(column, _)| *column);
    // Words take what is left.
    if let Some((Column::Trouble, width)) = columns.last_mut() {
        *width += left;
    }
    columns
}

/// `text` in `width` characters, cut where it is longer, to the right if it is a number.
pub(super) fn cell(text: &str, width: u16, is_number: bool) -> String {
    let width = usize::from(width);
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let text: String = match text.chars().count() {
        length if length > width => clean.take(width.saturating_sub(1)).chain(['…']).take(width).collect(),
        _ => clean.collect(),
    };
    if is_number { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

/// The newest of `rates` as bars, `width` of them at most, to the right; the highest of them is a full one.
pub(super) fn chart(rates: impl DoubleEndedIterator<Item = f64>, width: u16) -> String {
    let mut shown: Vec<f64> = rates.rev().take(usize::from(width)).collect();
    shown.reverse();
    let highest = shown.iter().copied().fold(0.0, f64::max);
    let bars: String = shown.iter().map(|rate| bar(*rate, highest)).collect();
    format!("{bars:>width$}", width = usize::from(width))
}

/// A bar of eight steps; whatever is not nothing is seen.
fn bar(rate: f64, highest: f64) -> &'static str {
    let steps = [
        NINE_LEVELS.empty,
        NINE_LEVELS.one_eighth,
        NINE_LEVELS.one_quarter,
        NINE_LEVELS.three_eighths,
        NINE_LEVELS.half,
        NINE_LEVELS.five_eighths,
        NINE_LEVELS.three_quarters,
        NINE_LEVELS.seven_eighths,
        NINE_LEVELS.full,
    ];
    if rate <= 0.0 || highest <= 0.0 {
        return steps[0];
    }
    steps[((rate / highest * 8.0).round() as usize).clamp(1, 8)]
}

/// Characters between two columns.
pub(super) const GAP: u16 = 2;
/// Characters of a name at most.
const NAME_MAX: u16 = 24;
/// Fewer characters of an error say nothing.
const TROUBLE_MIN: u16 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::sample;
    use crate::control::status::FailureStatus;

    #[test]
    fn what_matters_most_finds_room_first_and_nothing_is_wider_than_the_screen() {
        for width in 0..300 {
            let columns = fitting(width, 40);
            let taken: u16 = columns.iter().map(|(_, width)| width + GAP).sum();
            assert!(taken <= width + GAP, "{width}: {columns:?}");
            assert!(columns.is_sorted_by_key(|(column, _)| *column), "{width}");
        }
        let shown = |width| fitting(width, 8).into_iter().map(|(column, _)| column).collect::<Vec<_>>();
        assert_eq!(
            shown(80),
            [Column::Name, Column::State, Column::Lag, Column::Waiting, Column::Rate, Column::Headroom]
        );
        assert_eq!(shown(160).len(), 10);
        assert_eq!(shown(12), [Column::Name]);
    }

    #[test]
    fn a_chart_shows_the_newest_on_the_right_and_a_little_as_something() {
        assert_eq!(chart([0.0, 0.001, 4.0, 8.0].into_iter(), 6), "   ▁▄█");
        assert_eq!(chart([1.0, 0.0, 8.0].into_iter(), 2), " █");
        assert_eq!(chart([].into_iter(), 3), "   ");
        assert_eq!(chart([0.0, 0.0].into_iter(), 3), "   ");
    }

    #[test]
    fn a_cell_is_as_wide_as_its_column_and_says_when_it_is_cut() {
        assert_eq!(cell("abcdef", 4, false), "abc…");
        assert_eq!(cell("ab", 4, false), "ab  ");
        assert_eq!(cell("12", 4, true), "  12");
        assert_eq!(cell("a\x1b[2J", 5, false), "a [2J");
        assert_eq!(cell("ab", 0, false), "");
    }

    #[test]
    fn the_last_error_is_the_cause_of_a_bad_state_or_what_went_wrong_before() {
        let mut destination = sample("circuit_open").destinations.remove(0);
        assert_eq!(Column::Trouble.cell(&destination, 0), "cannot connect: refused");
        destination.state = "active".to_owned();
        assert_eq!(Column::Trouble.cell(&destination, 0), "");
        destination.last_failure = Some(FailureStatus { at_ms: 1_000, what: "503".to_owned() });
        assert_eq!(Column::Trouble.cell(&destination, 13_000), "12 s ago: 503");
    }
}
