//! What the demo shows: numbers as text. On a terminal one picture is drawn over and over; elsewhere each second is a
//! line.

use std::collections::VecDeque;
use std::time::Duration;

use super::tally::{StreamVerdict, Tally, Verdict, listed};
use crate::cli::Output;

/// The numbers of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// Since the first event was acknowledged.
    pub(super) at: Duration,
    /// Events a second.
    pub(super) rate: u64,
    pub(super) made: u64,
    pub(super) acknowledged: u64,
    /// Different events.
    pub(super) arrived: u64,
    pub(super) delivered_again: u64,
    pub(super) written_again: u64,
    pub(super) median_ms: Option<u32>,
    /// The agent's process id; `None` while there is none.
    pub(super) agent: Option<u32>,
    pub(super) kills: u32,
    pub(super) is_receiver_up: bool,
    /// What the agent says about the receiver, where it answers.
    pub(super) state: Option<String>,
}

impl Moment {
    /// Acknowledged and not yet arrived.
    pub(super) fn waiting(&self) -> u64 {
        self.acknowledged.saturating_sub(self.arrived)
    }

    /// The moment in one line.
    fn line(&self) -> String {
        let agent = if self.agent.is_some() { "" } else { "   (no agent)" };
        let receiver = if self.is_receiver_up { "" } else { "   (no receiver)" };
        format!(
            "{}  written {:>6}   acknowledged {:>6}   waiting {:>5}   arrived {:>6}{agent}{receiver}",
            clock_text(self.at),
            self.made,
            self.acknowledged,
            self.waiting(),
            self.arrived
        )
    }

    /// The moment as a picture, a line each.
    fn picture(&self) -> Vec<String> {
        let row = |name: &str, number: u64, meaning: &str| format!("  {name:<14}{number:>9}   {meaning}");
        let again = self.delivered_again + self.written_again;
        let pace = self.median_ms.map_or(String::new(), |ms| format!("; half within {}", took(ms)));
        let agent = match self.agent {
            Some(pid) => format!("process {pid}, killed {}", times(self.kills)),
            None => format!("killed {}, about to start again", times(self.kills)),
        };
        let receiver = if self.is_receiver_up { "there" } else { "away" };
        let state = self.state.as_ref().map_or(String::new(), |state| format!(", the agent calls it {state}"));
        vec![
            format!("  {}   {} events a second", clock_text(self.at), self.rate),
            String::new(),
            row("written", self.made, "by the generator, to the agent's socket"),
            row("acknowledged", self.acknowledged, "on the disk: the agent owns them now"),
            row("waiting", self.waiting(), "in the agent's log for the receiver"),
            row("arrived", self.arrived, &format!("at the receiver, each once{pace}")),
            row("arrived again", again, "retries, known by their number or id"),
            String::new(),
            format!("  agent     {agent}"),
            format!("  receiver  {receiver}{state}"),
        ]
    }
}

/// Draws.
pub(super) struct Screen {
    /// Whether one picture is redrawn. The terminal is then in raw mode.
    is_live: bool,
    has_colour: bool,
    /// Lines of the picture that stands on the terminal.
    drawn: usize,
    news: VecDeque<String>,
}

impl Screen {
    /// A screen; `is_live` on a terminal.
    pub(super) fn new(is_live: bool, has_colour: bool) -> Screen {
        Screen { is_live, has_colour, drawn: 0, news: VecDeque::new() }
    }

    /// Something happened that deserves a sentence.
    pub(super) fn news(&mut self, at: Duration, text: &str, output: &mut Output<'_>) {
        let line = format!("{}  {text}", clock_text(at));
        if !self.is_live {
            output.data(&self.bold(&line));
            return;
        }
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(line);
    }

    /// Shows the present.
    pub(super) fn show(&mut self, moment: &Moment, width: usize, output: &mut Output<'_>) {
        if !self.is_live {
            output.data(&moment.line());
            return;
        }
        let mut lines = moment.picture();
        lines.push(String::new());
        lines.push("  r receiver away/back   k kill the agent hard   + faster   - slower   q end".to_owned());
        lines.push(String::new());
        lines.extend(self.news.iter().map(|line| format!("  {line}")));
        lines.resize(PICTURE_LINES, String::new());
        let mut text = if self.drawn == 0 { String::new() } else { format!("\x1b[{}A", self.drawn) };
        for (at, line) in lines.iter().enumerate() {
            let cut: String = line.chars().take(width.saturating_sub(1)).collect();
            text.push_str("\r\x1b[2K");
            text.push_str(&cut);
            // In raw mode a line feed goes down and nowhere else. The last one is written by the output.
            text.push_str(if at + 1 < lines.len() { "\r\n" } else { "\r" });
        }
        self.drawn = lines.len();
        output.data(&text);
    }

    /// The balance, and whether anything is missing.
    pub(super) fn balance(&self, verdict: &Verdict, tally: &Tally, output: &mut Output<'_>) {
        let mut line = |text: String| output.data(&text);
        let row = |name: &str, number: u64, meaning: &str| {
            format!("  {name:<28}{number:>9}   {meaning}").trim_end().to_owned()
        };
        line(String::new());
        line(self.bold("The balance"));
        line(row("acknowledged by the agent", verdict.acknowledged, ""));
        line(row("arrived, each counted once", tally.events.len(), ""));
        line(row("delivered again", tally.delivered_again, "same stream, same number: not noted as delivered yet"));
        line(row("written again", tally.written_again, "same event_id, next number: the ack got lost"));
        line(row("the agent's own events", tally.own, "starts, stops, notices"));
        if verdict.unacknowledged > 0 {
            line(row(
                "never acknowledged",
                verdict.unacknowledged,
                "still the generator's, which would write them again",
            ));
        }
        if tally.given_up > 0 {
            line(row("given up, and announced", tally.given_up, "the log was full: siem.buffer_overflow says which"));
        }
        line(row("missing", verdict.missing_events(), ""));
        if !verdict.missing.is_empty() {
            line(format!("  the generator's events {}", listed(&verdict.missing)));
        }
        line(String::new());
        line(self.bold("The same from the receiver's side, by the numbers in the events alone"));
        verdict.streams.iter().for_each(|stream| line(stream_line(stream)));
        line(String::new());
        line(if verdict.is_complete() {
            self.painted(GREEN, "Nothing is missing.")
        } else if verdict.missing_events() + verdict.missing_numbers() > 0 {
            self.painted(RED, "Something is missing.")
        } else {
            self.painted(RED, "Nothing that was acknowledged is missing, but not everything was acknowledged.")
        });
    }

    fn bold(&self, text: &str) -> String {
        self.painted(BOLD, text)
    }

    fn painted(&self, paint: &str, text: &str) -> String {
        if self.has_colour { format!("{paint}{text}{PLAIN}") } else { text.to_owned() }
    }
}

fn stream_line(stream: &StreamVerdict) -> String {
    let (first, last) = (stream.span.start, stream.span.end.saturating_sub(1));
    let missing: u64 = super::tally::total(&stream.missing);
    let which = if missing == 0 { String::new() } else { format!(": {}", listed(&stream.missing)) };
    format!(
        "  stream {}   n from {first} to {last}, {} different, missing {missing}{which}",
        stream.stream, stream.distinct
    )
}

fn clock_text(at: Duration) -> String {
    format!("{:02}:{:02}", at.as_secs() / 60, at.as_secs() % 60)
}

fn took(ms: u32) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format!("{} s", ms / 1000) }
}

/// How often, in words.
pub(super) fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        more => format!("{more} times"),
    }
}

/// Sentences on the screen at one time.
const NEWS_MAX: usize = 5;
/// The picture, the keys and the news; fits a terminal of 24 lines.
const PICTURE_LINES: usize = 10 + 3 + NEWS_MAX;

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[1;32m";
const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::super::tally::Numbers;
    use super::*;
    use crate::cli::Colour;

    fn written(write: impl FnOnce(&mut Output<'_>)) -> String {
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        write(&mut Output::new(&mut data, &mut talk, Colour::default()));
        assert!(talk.is_empty());
        String::from_utf8(data).unwrap()
    }

    #[test]
    fn a_live_picture_is_drawn_over_itself_and_never_wider_than_the_terminal() {
        let mut screen = Screen::new(true, false);
        let moment = Moment { made: 12, acknowledged: 10, arrived: 7, ..Moment::default() };
        for turn in 0..20 {
            written(|output| screen.news(Duration::ZERO, &format!("news {turn} {}", "long ".repeat(50)), output));
            let text = written(|output| screen.show(&moment, 60, output));
            assert_eq!(text.contains(&format!("\x1b[{PICTURE_LINES}A")), turn > 0);
            let lines: Vec<&str> = text.trim_end_matches('\n').split("\r\n").collect();
            assert_eq!(lines.len(), PICTURE_LINES);
            for line in lines {
                let (_, seen) = line.rsplit_once("\x1b[2K").unwrap();
                assert!(seen.trim_end().chars().count() < 60, "{seen}");
            }
        }
        assert!(moment.picture().iter().any(|line| line.contains("waiting") && line.contains(" 3 ")));
    }

    #[test]
    fn without_a_terminal_there_is_not_one_control_character() {
        let mut screen = Screen::new(false, false);
        let mut tally = Tally::default();
        tally.streams.entry("s".to_owned()).or_default().insert(2);
        let mut acknowledged = Numbers::default();
        acknowledged.insert(4);
        let verdict = Verdict::new(&acknowledged, 0, &tally);
        let text = written(|output| {
            screen.news(Duration::from_secs(61), "news", output);
            screen.show(&Moment::default(), 80, output);
            screen.balance(&verdict, &tally, output);
        });
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.starts_with("01:01  news\n"), "{text}");
        assert!(text.contains("the generator's events 4\n"), "{text}");
        assert!(text.contains("n from 2 to 2, 1 different, missing 1: 1\n"), "{text}");
        assert!(text.ends_with("Something is missing.\n"), "{text}");
    }
}
