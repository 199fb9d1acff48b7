//! The only place that writes to the terminal: data to standard output, talk to standard error.
//!
//! Colour is for terminals, and not where `NO_COLOR` is set to anything (<https://no-color.org>). Each of the two
//! streams is judged by itself.

use std::io::{self, IsTerminal, Write};

use super::exit::Exit;
use super::problem::Failure;
use crate::config::{Problem, Weight};

/// Where a command writes.
pub struct Output<'w> {
    data: &'w mut dyn Write,
    talk: &'w mut dyn Write,
    colour: Colour,
    failed: Option<io::Error>,
}

/// Which streams show colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colour {
    /// Standard output.
    pub data: bool,
    /// Standard error.
    pub talk: bool,
}

impl Colour {
    /// What this process's streams can show.
    #[must_use]
    pub fn here() -> Colour {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Colour { data: wanted && io::stdout().is_terminal(), talk: wanted && io::stderr().is_terminal() }
    }
}

impl<'w> Output<'w> {
    /// Writes to the given streams.
    pub fn new(data: &'w mut dyn Write, talk: &'w mut dyn Write, colour: Colour) -> Output<'w> {
        Output { data, talk, colour, failed: None }
    }

    /// Writes a line of data.
    pub fn data(&mut self, line: &str) {
        let written = writeln!(self.data, "{line}");
        self.note(written);
    }

    /// Writes bytes as they are, as data.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let written = self.data.write_all(bytes);
        self.note(written);
    }

    /// Writes a line of talk.
    pub fn talk(&mut self, line: &str) {
        let written = writeln!(self.talk, "{line}");
        self.note(written);
    }

    /// Writes a value as indented JSON, as data.
    pub fn json(&mut self, value: &serde_json::Value) {
        self.data(&format!("{value:#}"));
    }

    /// The same for a value that holds JSON as text: that stays as it is, to the last digit of its numbers.
    pub fn json_as_kept(&mut self, value: &impl serde::Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.data(&text),
            Err(problem) => self.note(Err(problem.into())),
        }
    }

    /// Writes the help or another text that clap has set, as data or as talk.
    pub(crate) fn styled(&mut self, text: &clap::builder::StyledStr, is_data: bool) {
        let (stream, colour) =
            if is_data { (&mut self.data, self.colour.data) } else { (&mut self.talk, self.colour.talk) };
        let text = if colour { text.ansi().to_string() } else { text.to_string() };
        let written = stream.write_all(text.as_bytes());
        self.note(written);
    }

    /// Writes a problem of the configuration in its three lines, as talk.
    pub fn problem(&mut self, problem: &Problem) {
        self.three_lines(problem.weight, &problem.what, &problem.place.to_string(), &problem.advice);
    }

    /// Writes problems of the configuration, an empty line after each, as talk.
    pub fn problems(&mut self, problems: &[Problem]) {
        for problem in problems {
            self.problem(problem);
            self.talk("");
        }
    }

    /// Whether nobody reads any more, or the disk is full: there is no point in going on.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.failed.is_some()
    }

    /// Writes why a command failed in its three lines, as talk.
    pub fn failure(&mut self, failure: &Failure) {
        self.three_lines(Weight::Error, &failure.what, &failure.place, &failure.advice);
    }

    /// The end of the command. A reader that went away (`| head`) is no failure; any other failed write is.
    #[must_use]
    pub fn finish(mut self, exit: Exit) -> Exit {
        let flushed = self.data.flush();
        self.note(flushed);
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Io,
            _ => exit,
        }
    }

    fn three_lines(&mut self, weight: Weight, what: &str, place: &str, advice: &str) {
        let (word, paint) = match weight {
            Weight::Error => ("error:", RED),
            Weight::Warning => ("warning:", YELLOW),
        };
        let word = if self.colour.talk { format!("{paint}{word}{PLAIN}") } else { word.to_owned() };
        self.talk(&format!("{word} {}\nwhere: {}\ndo:    {}", one_line(what), one_line(place), one_line(advice)));
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }
}

/// Text from a file or a command line may hold anything; a terminal gets no control characters from us.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const PLAIN: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that fails each write.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is_one() {
        for (kind, exit) in [(io::ErrorKind::BrokenPipe, Exit::Ok), (io::ErrorKind::StorageFull, Exit::Io)] {
            let (mut data, mut talk) = (Broken(kind), Vec::new());
            let mut output = Output::new(&mut data, &mut talk, Colour::default());
            output.data("line");
            assert_eq!(output.finish(Exit::Ok), exit);
        }
    }

    #[test]
    fn json_that_is_kept_as_text_keeps_its_numbers_and_the_order_of_its_members() {
        #[derive(serde::Serialize)]
        struct Letter {
            event: Box<serde_json::value::RawValue>,
        }
        let event = r#"{"z":123456789012345678901234567890,"a":1.10}"#;
        let letter = Letter { event: serde_json::from_str(event).unwrap() };
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        Output::new(&mut data, &mut talk, Colour::default()).json_as_kept(&letter);
        assert_eq!(String::from_utf8(data).unwrap(), format!("{{\n  \"event\": {event}\n}}\n"));
    }

    #[test]
    fn three_lines_hold_no_control_characters_and_colour_only_where_it_shows() {
        let failure =
            Failure { exit: Exit::Io, what: "a\x1b[2Jb".to_owned(), place: "x\ny".to_owned(), advice: "z".to_owned() };
        for (colour, expected) in [
            (Colour::default(), "error: a\u{fffd}[2Jb\nwhere: x\u{fffd}y\ndo:    z\n"),
            (
                Colour { data: false, talk: true },
                "\x1b[1;31merror:\x1b[0m a\u{fffd}[2Jb\nwhere: x\u{fffd}y\ndo:    z\n",
            ),
        ] {
            let (mut data, mut talk) = (Vec::new(), Vec::new());
            Output::new(&mut data, &mut talk, colour).failure(&failure);
            assert_eq!(String::from_utf8(talk).unwrap(), expected);
            assert!(data.is_empty());
        }
    }
}
