//! The agent's own log, on standard error: lines for people, for journald, or in JSON.
//!
//! Always true: a line is one write; a line of code writes at most [`LINES_PER_WINDOW`] lines in [`WINDOW`], and how
//! many it held back is said in a line of its own; a value is cut at [`VALUE_MAX`] bytes, so that no event gets out
//! through an error text; other libraries are heard from [`LogLevel::Warn`] upwards only.
//!
//! In JSON a line has `ts` (RFC 3339, UTC), `level`, `msg`, `target` and the fields it was given, among them
//! `destination`, `shard`, `seq` and `error.code`.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tracing::callsite::Identifier;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::config::{LogFormat, LogLevel, LogSettings};
use crate::time::Millis;

mod limiter;
mod line;

pub use limiter::{LINES_PER_WINDOW, WINDOW};
pub use line::VALUE_MAX;

use limiter::Limiter;
use line::{Line, importance};

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

/// Standard error as `JOURNAL_STREAM` writes it (`systemd.exec(5)`): device and inode. A redirected stream differs.
fn stderr_identity() -> Option<String> {
    let stderr = io::stderr().as_fd().try_clone_to_owned().ok()?;
    let facts = std::fs::File::from(stderr).metadata().ok()?;
    Some(format!("{}:{}", facts.dev(), facts.ino()))
}

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
