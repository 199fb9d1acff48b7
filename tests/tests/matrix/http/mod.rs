//! Every HTTP destination under every fault. A row is one agent with one destination; each column gets an equal share of
//! the events, written while the stand-in fails in its way, and is judged by what came of exactly those events.
//!
//! | file | what it holds |
//! |---|---|
//! | `rows.rs` | the destinations: how each is set up, and what it does with an event that it will never take |
//! | `columns.rs` | the faults: what the stand-in does, and what that may cost |
//! | `run.rs` | one row's run: a share is written, awaited and compared |
//! | `seen.rs` | what the stand-in saw of one share |

mod columns;
mod rows;
mod run;
mod seen;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use scaidrive_tests::matrix::{Cell, Found};
use scaidrive_tests::rng::{Rng, mix, seed};

use columns::COLUMNS;
use rows::{ROWS, Row};
use run::Run;

/// Fewer events for a destination would not fill the batches of a share.
const EVENTS_MIN: u64 = 8_000;
/// The column behind the faults.
const BOOKS: &str = "books";

/// The whole half of the matrix, with `events` events for each destination, or [`EVENTS_MIN`] if those are more. All rows
/// run at the same time: most of a run is waiting.
pub(crate) fn cells(events: u64) -> Vec<Cell> {
    let (events, seed) = (events.max(EVENTS_MIN), seed(20_261_122));
    thread::scope(|scope| {
        let begin = |(place, row)| scope.spawn(move || fill(row, events, Rng::new(seed ^ mix(place))));
        let rows: Vec<_> = (0..).zip(ROWS).map(begin).collect();
        rows.into_iter().flat_map(|row| row.join().expect("a row's panics are its cells' words")).collect()
    })
}

/// The cells of one row. After a panic the rest of it is not reached.
fn fill(row: &'static Row, events: u64, rng: Rng) -> Vec<Cell> {
    let cell = |fault, found| Cell { destination: row.name.to_owned(), fault, found };
    let shares = COLUMNS.iter().filter(|column| row.exempt(column.name).is_none()).count();
    let mut run = caught(|| Run::start(row, events, shares as u64, rng));
    let mut cells: Vec<Cell> = Vec::new();
    for column in COLUMNS {
        let found = match row.exempt(column.name) {
            Some(why) => Found::DoesNotApply(why),
            None => step(&mut run, |run| run.meet(column)),
        };
        cells.push(cell(column.name, found));
    }
    let mut books = step(&mut run, Run::close);
    if let Err(what) = caught(|| drop(run)) {
        books = Found::Broken(what);
    }
    cells.push(cell(BOOKS, books));
    cells
}

/// What one step of a run found. A panic in it ends the run.
fn step(run: &mut Result<Run, String>, act: impl FnOnce(&mut Run) -> Result<String, String>) -> Found {
    let judged = match run {
        Ok(run) => caught(|| act(run)),
        Err(why) => return Found::Broken(format!("not reached: {}", beginning(why))),
    };
    match judged {
        Ok(Ok(cost)) => Found::Held(cost),
        Ok(Err(what)) => Found::Broken(what),
        Err(what) => {
            let ended = std::mem::replace(run, Err(what.clone()));
            // An agent that panicked says so when it is dropped; what came first is told.
            let _ = caught(|| drop(ended));
            Found::Broken(what)
        }
    }
}

/// Runs something and makes words of a panic.
fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| words(&*panic))
}

/// The first lines, in one.
fn beginning(text: &str) -> String {
    text.lines().take(2).collect::<Vec<_>>().join(" ")
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
