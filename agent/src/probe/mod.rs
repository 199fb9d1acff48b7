//! Testing a destination: one marked event goes the very way that events go, and what happens on it is told stage by stage;
//! what fails has a code, a cause in plain words and a remedy.
//!
//! | file | what it holds |
//! |---|---|
//! | `cause.rs` | every cause with its code, its stage, its words and its remedy |
//! | `report.rs` | what a test found, as a value |
//! | `judge/` | from errors and replies to causes; pure |
//! | `sniff.rs`, `certificate.rs` | who speaks at the other end; what a certificate says of itself; pure |
//! | `watch.rs` | a runtime that looks on |
//! | `trace.rs` | a test under way: stages, time, the connection |
//! | `http.rs`, `syslog.rs` | the loops for HTTP, and for syslog and RELP |
//! | `event.rs` | the event, and what finds it there |
//! | `settings.rs` | settings that are not in use, or can't be |
//!
//! Always true: transports, formats and credentials are those of delivery; the log, the cursors and the numbers of streams
//! have no part in it; every step has an end, and all of them together end within [`TEST_MAX`]; nothing secret is in a
//! report. A stage that nobody has shown to be well is never called well.

pub mod cause;
mod certificate;
mod event;
mod http;
mod judge;
mod report;
mod settings;
mod sniff;
mod syslog;
mod trace;
mod watch;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;

pub use self::cause::{Cause, Stage};
pub use self::report::{Failure, Report, StageReport, StageState, TestEvent, Warning};
pub use self::settings::{Unusable, saved, unsaved};
use self::trace::Trace;
use crate::config::{Destination, Kind};
use crate::delivery::encoder::Encoder;
use crate::runtime::{self, Backend, Runtime};
use crate::time::Millis;

/// What is to be tested, and for whom.
#[derive(Clone)]
pub struct Question {
    /// The destination, from the configuration or not in use yet.
    pub destination: Arc<Destination>,
    /// The label of this node.
    pub node: String,
    /// The tenant of the event, where the destination serves more than one.
    pub tenant: String,
    /// Who asks; it stands in the event.
    pub who: String,
    /// Looks an environment variable up.
    pub lookup: fn(&str) -> Option<String>,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a test of {} for {}", self.destination.name, self.who)
    }
}

/// Tests a destination.
pub async fn probe(runtime: &Rc<dyn Runtime>, question: &Question) -> Report {
    let mut trace = Trace::new(runtime, question);
    let outcome = run(&mut trace).await;
    trace.report(outcome.err())
}

/// The same on a thread of its own; blocks until it is over.
///
/// # Errors
/// When this machine has no thread or no reactor for it.
pub fn probe_here(question: Question) -> io::Result<Report> {
    let (give, take) = mpsc::sync_channel(1);
    let thread = runtime::start(Backend::Epoll, "probe".to_owned(), move |runtime| {
        Box::pin(async move {
            // Whoever asked waits for nothing else.
            let _ = give.send(probe(&runtime, &question).await);
        })
    })?;
    thread.join().map_err(io::Error::other)?;
    take.try_recv().map_err(|_| io::Error::other("the test ended without a word"))
}

async fn run(trace: &mut Trace<'_>) -> Result<(), report::Finding> {
    let destination = Arc::clone(trace.destination());
    let encoder =
        Encoder::new(&destination).map_err(|why| report::Finding::of(&cause::SETTINGS_UNUSABLE).saying(why))?;
    let event = event::Made::new(trace.runtime(), trace.question());
    let body = event.body(&encoder).map_err(|why| report::Finding::of(&cause::EVENT_UNFIT).saying(why))?;
    trace.read_certificates().await?;
    trace.over(Stage::Settings, None);
    trace.event = Some(event.told(&destination));
    match (&encoder, &destination.kind) {
        (Encoder::Http(format), _) => http::send(trace, &**format, &body, &event.id).await,
        (Encoder::Syslog(_), Kind::Syslog(settings)) => syslog::send(trace, settings, &body, &event).await,
        (Encoder::Syslog(_), _) => Err(report::Finding::of(&cause::SETTINGS_UNUSABLE)),
    }
}

/// No test lasts longer, whatever its destination does.
pub const TEST_MAX: Millis = Millis::from_secs(14);
