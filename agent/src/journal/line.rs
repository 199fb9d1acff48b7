//! One line of the log: what it says, and how it looks in each style.

use std::fmt::{self, Write};

use scaidrive_codecs::time::write_rfc3339;
use serde_json::{Map, Value};
use tracing::Level;
use tracing::field::{Field, Visit};

use super::LineStyle;
use crate::config::LogLevel;

/// One line while it is put together.
pub(super) struct Line<'a> {
    pub(super) level: LogLevel,
    target: &'a str,
    wall_ms: i64,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl<'a> Line<'a> {
    pub(super) fn new(level: LogLevel, target: &'a str, wall_ms: i64) -> Line<'a> {
        Line { level, target, wall_ms, message: String::new(), fields: Vec::new() }
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }

    pub(super) fn render(&self, style: LineStyle) -> String {
        match style {
            LineStyle::Json => self.json(),
            LineStyle::Journald => self.text(&format!("<{}>", priority(self.level))),
            LineStyle::Text { colour } => {
                let (paint, plain) = if colour { (paint(self.level), "\x1b[0m") } else { ("", "") };
                let name = level_name(self.level).to_uppercase();
                self.text(&format!("{} {paint}{name:<5}{plain} ", self.time()))
            }
        }
    }

    fn text(&self, head: &str) -> String {
        let mut line = format!("{head}{}", one_line(&self.message));
        for (name, value) in &self.fields {
            let value = match value {
                Value::String(text) if is_plain(text) => text.clone(),
                other => other.to_string(),
            };
            // Writing to a string does not fail.
            let _ = write!(line, " {name}={}", one_line(&value));
        }
        line.push('\n');
        line
    }

    fn json(&self) -> String {
        let mut line = Map::new();
        line.insert("ts".to_owned(), Value::String(self.time()));
        line.insert("level".to_owned(), Value::from(level_name(self.level)));
        line.insert("msg".to_owned(), Value::String(self.message.clone()));
        line.insert("target".to_owned(), Value::from(self.target));
        for (name, value) in &self.fields {
            line.entry(*name).or_insert_with(|| value.clone());
        }
        format!("{}\n", Value::Object(line))
    }

    fn time(&self) -> String {
        let mut text = Vec::new();
        write_rfc3339(self.wall_ms, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Cut(String::new());
        // A value that is too long stops here, which is what the error says.
        let _ = write!(text, "{value:?}");
        self.add(field, Value::String(text.0));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Cut(String::new());
        let _ = text.write_str(value);
        self.add(field, Value::String(text.0));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::from(value));
    }
    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        let mut text = Cut(String::new());
        let _ = write!(text, "{error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            if write!(text, ": {error}").is_err() {
                break;
            }
            cause = error.source();
        }
        self.add(field, Value::String(text.0));
    }
}

/// A text that takes [`VALUE_MAX`] bytes and then no more.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = VALUE_MAX - self.0.len().min(VALUE_MAX);
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        if room > 0 {
            let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            self.0.push_str(&text[..end]);
            self.0.push('…');
        }
        Err(fmt::Error)
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=')
}

/// A message is one line: whoever can put a line break into a value must not be able to forge another line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A level of tracing's as ours.
pub(super) fn importance(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

/// Syslog's numbers, which journald reads.
fn priority(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 3,
        LogLevel::Warn => 4,
        LogLevel::Info => 6,
        LogLevel::Debug | LogLevel::Trace => 7,
    }
}

fn paint(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "\x1b[1;31m",
        LogLevel::Warn => "\x1b[1;33m",
        LogLevel::Info => "\x1b[32m",
        LogLevel::Debug | LogLevel::Trace => "\x1b[2m",
    }
}

/// Longest value or message, in bytes.
pub const VALUE_MAX: usize = 1024;
