//! `top`: the running agent and its destinations in a table that is always new.
//!
//! | file | what it holds |
//! |---|---|
//! | `state.rs` | what was seen last and before, the order of the rows, the row that is marked |
//! | `table.rs` | the columns, and which of them find room |
//! | `view.rs` | the picture, drawn from the state |
//!
//! One thread asks the agent and waits as long as that takes; another reads keys and draws. Where standard output is no
//! terminal one table is printed. An agent that does not answer any more is said, and asked again.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use serde_json::Value;

use self::state::{Sort, State, Wish};
use super::client::{Client, Sockets, path_segment};
use super::{Colour, Exit, Failure, Output, TopArgs, on_end};
use crate::config::Surroundings;
use crate::control::history::DestinationHistory;
use crate::control::status::Status;
use crate::runtime::clock;

mod state;
mod table;
mod view;

/// Watches until it is told to stop.
pub(super) fn run(
    path: &Path,
    args: &TopArgs,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let Some(sockets) = Sockets::find(path, surroundings, output) else { return Ok(Exit::Config) };
    let client = Client::new(&sockets.admin, path);
    let every = Duration::from_secs(args.every);
    if args.json {
        return documents(&client, args.once, every, output);
    }
    // Whoever names the wrong configuration is told so as by any other command.
    let status: Status = client.get(STATUS)?;
    let state = State::new(status, every);
    if args.once || !io::stdout().is_terminal() {
        view::plain(&state, clock::wall_ms()).iter().for_each(|line| output.data(line));
        return Ok(Exit::Ok);
    }
    live(client, state, every).map_err(|problem| Failure {
        exit: Exit::Io,
        what: format!("the table can't be shown: {problem}"),
        place: "this terminal".to_owned(),
        advice: "use --once, or `scaidrive-siem status`".to_owned(),
    })?;
    Ok(Exit::Ok)
}

/// The status at each look as a line of JSON.
fn documents(client: &Client, is_one: bool, every: Duration, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let mut status: Value = client.get(STATUS)?;
    let mut is_away = false;
    loop {
        if !is_away {
            output.data(&status.to_string());
        }
        if is_one || output.is_broken() {
            return Ok(Exit::Ok);
        }
        thread::sleep(every);
        match client.get(STATUS) {
            Ok(next) => (status, is_away) = (next, false),
            Err(failure) => {
                if !is_away {
                    output.failure(&failure);
                    output.talk("it is asked again");
                }
                is_away = true;
            }
        }
    }
}

/// What the loop hears.
enum Word {
    /// The agent has answered, or not.
    Answer(Box<Result<Status, Failure>>),
    /// The last hour of a destination.
    Hour(Box<DestinationHistory>),
    /// It is time to end.
    End,
}

/// Draws and obeys keys until it is time to end.
fn live(client: Client, mut state: State, every: Duration) -> io::Result<()> {
    let (words, heard) = sync_channel(WORDS_MAX);
    let signals = words.clone();
    on_end(move || signals.send(Word::End).is_ok());
    let mut screen = Screen::take()?;
    let marked = Arc::new(Mutex::new(state.marked_name()));
    ask(client, every, Arc::clone(&marked), words)?;
    let has_colour = Colour::here().data;
    let started = Instant::now();
    loop {
        screen.terminal.draw(|frame| view::draw(frame, &mut state, started.elapsed(), clock::wall_ms(), has_colour))?;
        // A key is obeyed at once, an answer is seen at the next turn.
        if event::poll(TURN)? {
            match wish(&event::read()?) {
                Some(Wish::End) => return Ok(()),
                Some(wish) => state.obey(wish),
                None => {}
            }
        }
        for word in heard.try_iter() {
            match word {
                Word::End => return Ok(()),
                Word::Answer(answer) => match *answer {
                    Ok(status) => state.see(status, started.elapsed()),
                    Err(failure) => state.lose(failure.what),
                },
                Word::Hour(hour) => state.see_hour(&hour),
            }
        }
        *marked.lock().unwrap_or_else(PoisonError::into_inner) = state.marked_name();
    }
}

/// Asks the agent again and again on a thread of its own, which ends with the process: how it is, and now and then for the
/// last hour of the destination that is marked.
fn ask(client: Client, every: Duration, marked: Arc<Mutex<Option<String>>>, words: SyncSender<Word>) -> io::Result<()> {
    let turn = move || {
        let mut known: Option<(String, Instant)> = None;
        loop {
            let wanted = marked.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let is_known =
                |name: &String| known.as_ref().is_some_and(|(of, at)| of == name && at.elapsed() < HOUR_EVERY);
            if let Some(name) = wanted.filter(|name| !is_known(name)) {
                let hour = client.get(&format!("/v1/destinations/{}/history", path_segment(&name)));
                known = Some((name, Instant::now()));
                // Where there is none, there is no chart either.
                if let Ok(hour) = hour
                    && words.send(Word::Hour(Box::new(hour))).is_err()
                {
                    return;
                }
            }
            thread::sleep(every);
            if words.send(Word::Answer(Box::new(client.get(STATUS)))).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("top-ask".to_owned()).spawn(turn).map(drop)
}

/// The terminal while it is ours; as it was again when dropped, and when something panics.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn take() -> io::Result<Screen> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Screen { terminal }),
            Err(problem) => {
                give_back();
                Err(problem)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // A terminal that can't be set back is gone.
    let _ = ratatui::try_restore();
}

/// What a key asks for.
fn wish(event: &Event) -> Option<Wish> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Wish::End);
    }
    Some(match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Wish::End,
        KeyCode::Up | KeyCode::Char('k') => Wish::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Wish::Move(1),
        KeyCode::PageUp => Wish::Move(-PAGE),
        KeyCode::PageDown => Wish::Move(PAGE),
        KeyCode::Home => Wish::Move(isize::MIN),
        KeyCode::End => Wish::Move(isize::MAX),
        KeyCode::Char(letter) => Wish::Sort(Sort::of_key(letter)?),
        _ => return None,
    })
}

const STATUS: &str = "/v1/status";
/// How long one turn waits for a key.
const TURN: Duration = Duration::from_millis(100);
/// How often the last hour is asked for: a sample is taken this often.
const HOUR_EVERY: Duration = Duration::from_secs(10);
/// Answers that wait for a turn.
const WORDS_MAX: usize = 4;
/// Rows that page up and page down move by.
const PAGE: isize = 10;

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn keys_end_move_and_sort_and_others_do_nothing() {
        let press = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |code| press(code, KeyModifiers::NONE);
        assert_eq!(plain(KeyCode::Char('q')), Some(Wish::End));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::End));
        assert_eq!(press(KeyCode::Char('l'), KeyModifiers::CONTROL), None);
        assert_eq!(plain(KeyCode::Char('l')), Some(Wish::Sort(Sort::Lag)));
        assert_eq!(plain(KeyCode::PageDown), Some(Wish::Move(PAGE)));
        assert_eq!(plain(KeyCode::Char('c')), None);
        assert_eq!(wish(&Event::Resize(1, 1)), None);
    }
}
