//! The matrix of destinations and faults: what a cell says, and how the whole of it is printed.

use std::fmt::Write;

/// What a destination did under a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Every promise held; what it cost, in a few words.
    Held(String),
    /// The fault cannot happen to this destination, and why.
    DoesNotApply(&'static str),
    /// A promise was broken, and which.
    Broken(String),
}

/// One destination under one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The row: a destination, as the configuration names its type, and what sets it apart from others of that type.
    pub destination: String,
    /// The column.
    pub fault: &'static str,
    /// What was found.
    pub found: Found,
}

/// The matrix as text: a line for each destination, a column for each fault, and below it each cell in words.
pub fn table(title: &str, cells: &[Cell]) -> String {
    let faults = in_order(cells.iter().map(|cell| cell.fault));
    let rows = in_order(cells.iter().map(|cell| cell.destination.as_str()));
    let first = rows.iter().map(|row| row.len()).chain([title.len()]).max().unwrap_or(0);
    let mut text = format!("{title:first$}");
    faults.iter().for_each(|fault| write!(text, "  {fault}").expect("a string takes text"));
    text.push('\n');
    for row in &rows {
        write!(text, "{row:first$}").expect("a string takes text");
        for fault in &faults {
            let mark = match find(cells, row, fault) {
                Some(Found::Held(_)) => "ok",
                Some(Found::DoesNotApply(_)) => "-",
                Some(Found::Broken(_)) => "BROKEN",
                None => "not run",
            };
            write!(text, "  {mark:width$}", width = fault.len()).expect("a string takes text");
        }
        text.push('\n');
    }
    for cell in cells {
        let words = match &cell.found {
            Found::Held(cost) => format!("ok: {cost}"),
            Found::DoesNotApply(why) => format!("does not apply: {why}"),
            Found::Broken(what) => format!("BROKEN: {what}"),
        };
        writeln!(text, "{} / {}: {words}", cell.destination, cell.fault).expect("a string takes text");
    }
    text
}

/// Cells that fall short: broken ones, and those that no one has filled.
pub fn short(cells: &[Cell]) -> Vec<String> {
    let faults = in_order(cells.iter().map(|cell| cell.fault));
    let rows = in_order(cells.iter().map(|cell| cell.destination.as_str()));
    let mut short = Vec::new();
    for row in &rows {
        for fault in &faults {
            match find(cells, row, fault) {
                Some(Found::Broken(what)) => short.push(format!("{row} / {fault}: {what}")),
                None => short.push(format!("{row} / {fault}: not run")),
                Some(Found::Held(_) | Found::DoesNotApply(_)) => {}
            }
        }
    }
    short
}

fn find<'a>(cells: &'a [Cell], row: &str, fault: &str) -> Option<&'a Found> {
    cells.iter().find(|cell| cell.destination == row && cell.fault == fault).map(|cell| &cell.found)
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(destination: &str, fault: &'static str, found: Found) -> Cell {
        Cell { destination: destination.to_owned(), fault, found }
    }

    #[test]
    fn a_matrix_names_what_is_broken_and_what_was_not_run() {
        let cells = [
            cell("a", "413", Found::Held("2 requests more".into())),
            cell("b", "500", Found::DoesNotApply("it has no replies")),
            cell("a", "500", Found::Broken("3 events are missing".into())),
        ];
        assert_eq!(short(&cells), ["a / 500: 3 events are missing", "b / 413: not run"]);
        let text = table("HTTP", &cells);
        assert!(text.starts_with("HTTP  413  500\n"), "{text}");
        assert!(text.contains("b / 500: does not apply: it has no replies"), "{text}");
    }
}
