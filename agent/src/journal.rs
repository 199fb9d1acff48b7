//! The agent's own log, on standard error: lines for people, for journald, or in JSON.
//!
//! Always true: a line is one write; a line of code writes at most [`LINES_PER_WINDOW`] lines in [`WINDOW`], and how
//! many it held back is said in a line of its own; a value is cut at [`VALUE_MAX`] bytes, so that no event gets out
//! through an error text; other libraries are heard from [`LogLevel::Warn`] upwards only.
//!
//! In JSON a line has `ts` (RFC 3339, UTC), `level`, `msg`, `target` and the fields it was given, among them
//! `destination`, `shard`, `seq` and `error.code`.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use scaidrive_codecs::time::write_rfc3339;
use serde_json::{Map, Value};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::config::{LogFormat, LogLevel, LogSettings};
use crate::time::Millis;

/// Makes the journal of this process and lets everything that is logged go to it.
///
/// `now` answers with the time since the process started and the wall time in epoch milliseconds.
///
/// # Errors
/// When the process has a journal already.
pub fn start(
    settings: LogSettings,
    now: impl Fn() -> (Millis, i64) + Send + Sync + 'static,
) -> Result<Journal, tracing::dispatcher::SetGlobalDefaultError> {
    let journal = Journal::new(LineStyle::for_stderr(settings.format), settings.level, io::stderr(), now);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(journal.clone()))?;
    Ok(journal)
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStyle {
    /// For people: time, level, message, fields.
    Text {
        /// Whether the level is coloured.
        colour: bool,
    },
    /// For journald: the priority in angle brackets (`sd-daemon(3)`), message, fields. It adds the time itself.
    Journald,
    /// One JSON object.
    Json,
}

impl LineStyle {
    /// What suits this process's standard error.
    #[must_use]
    pub fn for_stderr(format: LogFormat) -> LineStyle {
        if format == LogFormat::Json {
            return LineStyle::Json;
        }
        if io::stderr().is_terminal() {
            return LineStyle::Text { colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
        }
        let stream = std::env::var("JOURNAL_STREAM").ok();
        match stream.zip(stderr_identity()) {
            Some((stream, identity)) if stream == identity => LineStyle::Journald,
            _ => LineStyle::Text { colour: false },
        }
    }
}

/// The agent's own log. Clones are the same journal.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

struct Shared {
    style: LineStyle,
    level: AtomicU8,
    now: Box<dyn Fn() -> (Millis, i64) + Send + Sync>,
    inner: Mutex<Inner>,
}

struct Inner {
    writer: Box<dyn Write + Send>,
    limiter: Limiter<Site>,
    /// Lines that could not be written.
    lost: u64,
}

impl Journal {
    /// A journal that writes to `writer`; see [`start`] for `now`.
    pub fn new(
        style: LineStyle,
        level: LogLevel,
        writer: impl Write + Send + 'static,
        now: impl Fn() -> (Millis, i64) + Send + Sync + 'static,
    ) -> Journal {
        let inner = Inner { writer: Box::new(writer), limiter: Limiter::default(), lost: 0 };
        Journal(Arc::new(Shared {
            style,
            level: AtomicU8::new(level as u8),
            now: Box::new(now),
            inner: Mutex::new(inner),
        }))
    }

    /// From now on writes lines of this level and above.
    pub fn set_level(&self, level: LogLevel) {
        self.0.level.store(level as u8, Relaxed);
    }

    /// Says what was held back in windows that are over; for a timer, and before the process ends.
    pub fn settle(&self) {
        let (now, wall_ms) = (self.0.now)();
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.say_held_back(self.0.style, now, wall_ms);
    }

    /// Lines that could not be written: the reader of standard error is gone or stuck.
    #[must_use]
    pub fn lost_lines(&self) -> u64 {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner).lost
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let limit = self.0.level.load(Relaxed);
        let limit = if metadata.target().starts_with(OWN_TARGETS) { limit } else { limit.min(LogLevel::Warn as u8) };
        importance(*metadata.level()) as u8 <= limit
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level can change, so no answer may be kept.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let (now, wall_ms) = (self.0.now)();
        let mut line = Line::new(importance(*metadata.level()), metadata.target(), wall_ms);
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.say_held_back(self.0.style, now, wall_ms);
        let site = Site { id: metadata.callsite(), target: metadata.target(), level: line.level };
        if inner.limiter.admits(site, now) {
            event.record(&mut line);
            inner.write(&line.render(self.0.style));
        }
    }
}

impl Inner {
    fn say_held_back(&mut self, style: LineStyle, now: Millis, wall_ms: i64) {
        for (site, count) in self.limiter.settle(now) {
            let mut line = Line::new(site.level, site.target, wall_ms);
            line.message = format!("{count} more lines like the last ones were held back within {WINDOW}");
            line.fields.push(("held_back", Value::from(count)));
            self.write(&line.render(style));
        }
    }

    fn write(&mut self, line: &str) {
        // There is nowhere to complain that the place for complaints is gone.
        if self.writer.write_all(line.as_bytes()).is_err() {
            self.lost += 1;
        }
    }
}

/// A line of code that logs.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Site {
    id: Identifier,
    target: &'static str,
    level: LogLevel,
}

/// Counts lines by the code they come from. Bounded by the number of such places in the program.
struct Limiter<K> {
    windows: HashMap<K, Counted>,
    held_back: bool,
}

#[derive(Clone, Copy)]
struct Counted {
    start: Millis,
    lines: u64,
}

impl<K> Default for Limiter<K> {
    fn default() -> Limiter<K> {
        Limiter { windows: HashMap::new(), held_back: false }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Limiter<K> {
    /// Whether one more line from `site` may be written at `now`. Settle first: a window that is over starts anew.
    fn admits(&mut self, site: K, now: Millis) -> bool {
        let window = self.windows.entry(site).or_insert(Counted { start: now, lines: 0 });
        if now.since(window.start) >= WINDOW {
            *window = Counted { start: now, lines: 0 };
        }
        window.lines += 1;
        self.held_back |= window.lines > LINES_PER_WINDOW;
        window.lines <= LINES_PER_WINDOW
    }

    /// The windows that are over with lines held back, each with how many, once.
    fn settle(&mut self, now: Millis) -> Vec<(K, u64)> {
        if !self.held_back {
            return Vec::new();
        }
        let mut over = Vec::new();
        self.held_back = false;
        for (site, window) in &mut self.windows {
            let count = window.lines.saturating_sub(LINES_PER_WINDOW);
            if count > 0 && now.since(window.start) >= WINDOW {
                over.push((site.clone(), count));
                *window = Counted { start: now, lines: 0 };
            }
            self.held_back |= window.lines > LINES_PER_WINDOW;
        }
        over
    }
}

/// One line while it is put together.
struct Line<'a> {
    level: LogLevel,
    target: &'a str,
    wall_ms: i64,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl<'a> Line<'a> {
    fn new(level: LogLevel, target: &'a str, wall_ms: i64) -> Line<'a> {
        Line { level, target, wall_ms, message: String::new(), fields: Vec::new() }
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }

    fn render(&self, style: LineStyle) -> String {
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

fn importance(level: Level) -> LogLevel {
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

/// Standard error as `JOURNAL_STREAM` writes it (`systemd.exec(5)`): device and inode. A redirected stream differs.
fn stderr_identity() -> Option<String> {
    let stderr = io::stderr().as_fd().try_clone_to_owned().ok()?;
    let facts = std::fs::File::from(stderr).metadata().ok()?;
    Some(format!("{}:{}", facts.dev(), facts.ino()))
}

/// Lines from one line of code within one [`WINDOW`].
pub const LINES_PER_WINDOW: u64 = 20;
/// How long lines are counted before the count starts over.
pub const WINDOW: Millis = Millis::from_secs(10);
/// Longest value or message, in bytes.
pub const VALUE_MAX: usize = 1024;
/// What the agent's own lines come from: all its crates are named so.
const OWN_TARGETS: &str = "scaidrive";

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use tracing::{debug, error, info, warn};

    use super::*;

    /// What a journal wrote, and the clock it reads.
    #[derive(Clone, Default)]
    struct Desk {
        paper: Arc<Mutex<Vec<u8>>>,
        now_ms: Arc<AtomicU64>,
    }

    impl Write for Desk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.paper.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Desk {
        fn journal(&self, style: LineStyle, level: LogLevel) -> Journal {
            let now_ms = self.now_ms.clone();
            Journal::new(style, level, self.clone(), move || {
                let now = now_ms.load(Relaxed);
                (Millis(now), 1_778_595_781_453 + now as i64)
            })
        }

        fn lines(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.paper.lock().unwrap());
            String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
        }
    }

    /// The lines that `work` leaves in a journal of this style and level.
    fn lines(style: LineStyle, level: LogLevel, work: impl FnOnce(&Journal, &Desk)) -> Vec<String> {
        let desk = Desk::default();
        let journal = desk.journal(style, level);
        let subscriber = tracing_subscriber::registry().with(journal.clone());
        tracing::subscriber::with_default(subscriber, || work(&journal, &desk));
        desk.lines()
    }

    #[test]
    fn a_json_line_has_the_fields_that_tools_read() {
        let found = lines(LineStyle::Json, LogLevel::Info, |_, _| {
            warn!(destination = "splunk", shard = 2, seq = 7_u64, error.code = "refused", "a \"request\" failed");
        });
        let line: Value = serde_json::from_str(&found[0]).unwrap();
        let expected = serde_json::json!({
            "ts": "2026-05-12T14:23:01.453Z", "level": "warn", "msg": "a \"request\" failed",
            "target": "scaidrive_siem::journal::tests",
            "destination": "splunk", "shard": 2, "seq": 7, "error.code": "refused",
        });
        assert_eq!(line, expected);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn journald_reads_the_priority_and_people_the_time() {
        let found = lines(LineStyle::Journald, LogLevel::Trace, |_, _| {
            error!("a");
            warn!("b");
            info!(shard = 1, why = "two words", "c");
            debug!("d");
        });
        assert_eq!(found, ["<3>a", "<4>b", "<6>c shard=1 why=\"two words\"", "<7>d"]);
        let found = lines(LineStyle::Text { colour: false }, LogLevel::Info, |_, _| info!("started"));
        assert_eq!(found, ["2026-05-12T14:23:01.453Z INFO  started"]);
    }

    #[test]
    fn a_value_cannot_forge_another_line() {
        let found = lines(LineStyle::Journald, LogLevel::Info, |_, _| {
            info!(path = "/a\n<0>panic", "moved\n<0>all is lost");
        });
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("<6>moved <0>all is lost path="));
    }

    #[test]
    fn a_long_value_is_cut() {
        let event = format!("{{\"event_id\":\"{}é\"}}", "x".repeat(4000));
        let found = lines(LineStyle::Json, LogLevel::Info, |_, _| {
            info!(a = event.as_str(), b = ?event, c = %event, "{event}");
        });
        let line: Value = serde_json::from_str(&found[0]).unwrap();
        for key in ["a", "b", "c", "msg"] {
            let text = line[key].as_str().unwrap();
            assert!(text.len() <= VALUE_MAX + '…'.len_utf8() && text.ends_with('…'), "{key}: {}", text.len());
        }
    }

    #[test]
    fn an_error_is_written_with_its_causes() {
        let cause = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = crate::config::SecretError::Read { path: "/secret".into(), source: cause };
        let found = lines(LineStyle::Json, LogLevel::Info, |_, _| {
            error!(error = &error as &(dyn std::error::Error + 'static), "no token");
        });
        assert!(found[0].contains("the secret's file /secret cannot be read: permission denied"), "{}", found[0]);
    }

    #[test]
    fn the_level_can_change_while_the_agent_runs_and_libraries_are_heard_only_in_need() {
        let found = lines(LineStyle::Journald, LogLevel::Info, |journal, _| {
            debug!("not yet");
            journal.set_level(LogLevel::Debug);
            debug!("now");
            info!(target: "rustls::client", "chatter");
            warn!(target: "rustls::client", "trouble");
            journal.set_level(LogLevel::Error);
            warn!(target: "rustls::client", "not any more");
        });
        assert_eq!(found, ["<7>now", "<4>trouble"]);
    }

    #[test]
    fn a_line_of_code_in_a_loop_is_held_back_and_counted() {
        let found = lines(LineStyle::Journald, LogLevel::Info, |journal, desk| {
            let tick = |ms: u64| desk.now_ms.store(ms, Relaxed);
            for round in 0..100 {
                tick(round * 10);
                warn!("again");
            }
            info!("something else");
            tick(WINDOW.0 - 1);
            journal.settle();
            tick(WINDOW.0);
            info!("later");
            journal.settle();
        });
        let again = found.iter().filter(|line| *line == "<4>again").count() as u64;
        assert_eq!(again, LINES_PER_WINDOW);
        let rest: Vec<&str> = found.iter().map(String::as_str).filter(|line| *line != "<4>again").collect();
        let summary = "<4>80 more lines like the last ones were held back within 10 s held_back=80";
        assert_eq!(rest, ["<6>something else", summary, "<6>later"]);
    }

    #[test]
    fn every_line_is_written_or_counted_as_held_back() {
        let mut limiter = Limiter::default();
        let (mut written, mut held_back) = (0, 0);
        for ms in 0..200_000_u64 {
            let now = Millis(ms);
            held_back += limiter.settle(now).iter().map(|(_, count)| count).sum::<u64>();
            if ms % 7 == 0 {
                written += u64::from(limiter.admits(ms % 3, now));
            }
        }
        held_back += limiter.settle(Millis(1_000_000)).iter().map(|(_, count)| count).sum::<u64>();
        assert_eq!(written + held_back, 200_000_u64.div_ceil(7));
        assert!(held_back > written, "{held_back} held back, {written} written");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let journal = Journal::new(LineStyle::Json, LogLevel::Info, Gone, || (Millis::ZERO, 0));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal.clone()), || info!("hello"));
        assert_eq!(journal.lost_lines(), 1);
    }
}
