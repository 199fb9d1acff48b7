//! Testing a destination: one marked event goes the very way that events go, and what happens on it is told stage by stage;
//! what fails has a code, a cause in plain words and a remedy.
//!
//! | file | what it holds |
//! |---|---|
//! | `stage.rs` | the parts of an event's way, in order |
//! | `cause.rs` | every cause with its code, its stage, its words and its remedy |
//! | `report.rs` | what a test found, as a value |
//! | `judge/` | from errors and replies to causes; pure |
//! | `sniff.rs`, `certificate.rs` | who speaks at the other end; what a certificate says of itself; pure |
//! | `watch.rs` | a runtime that looks on |
//! | `trace.rs` | a test under way: stages, time, the connection |
//! | `http.rs`, `syslog.rs` | the loops for HTTP, and for syslog and RELP |
//! | `event.rs` | the event, and what finds it there |
//! | `completeness.rs` | what shows there whether a number is missing |
//! | `settings.rs` | settings that are not in use, or can't be |
//!
//! Always true: transports, formats and credentials are those of delivery; the log, the cursors and the numbers of streams
//! have no part in it; every step has an end, and all of them together end within [`TEST_MAX`]; nothing secret is in a
//! report. A stage that nobody has shown to be well is never called well.

pub mod cause;
mod certificate;
mod completeness;
mod event;
mod http;
mod judge;
mod report;
mod settings;
mod sniff;
mod stage;
mod syslog;
mod trace;
mod watch;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;

pub use self::cause::Cause;
pub(crate) use self::completeness::completeness;
pub(crate) use self::event::query;
pub use self::report::{Failure, Report, StageReport, StageState, TestEvent, Warning};
pub use self::settings::{Unusable, saved, unsaved};
pub use self::stage::Stage;
use self::trace::Trace;
use crate::config::{Destination, Kind};
use crate::delivery::encoder::Encoder;
use crate::heap;
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
        // Here secrets pass, and no events.
        heap::wipe_here();
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
        (Encoder::Syslog(..), Kind::Syslog(settings)) => syslog::send(trace, settings, &body, &event).await,
        (Encoder::Syslog(..), _) => Err(report::Finding::of(&cause::SETTINGS_UNUSABLE)),
    }
}

/// No test lasts longer, whatever its destination does.
pub const TEST_MAX: Millis = Millis::from_secs(14);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use scaidrive_codecs::http::{Progress, RequestReader};

    use super::*;
    use crate::runtime::Stream;
    use crate::runtime::virtual_time::{Fault, World};

    /// Status and body of the answer to a request for a path.
    type Answer = fn(&str) -> (u16, &'static str);

    /// What a test of the destination of `lines` comes to in a world where each request is answered after `wait`, and how
    /// long it took there.
    fn in_a_world(lines: &str, wait: Millis, answer: Answer) -> (Report, Millis) {
        let world = World::new(3);
        let server = world.runtime("server");
        let serve = move |stream| Box::pin(answer_slowly(stream, Rc::clone(&server), wait, answer)) as runtime::Task;
        world.network().serve("192.0.2.80:8088".parse().unwrap(), serve);
        world.network().set_fault(SILENT.parse().unwrap(), Fault::Silent);
        let question = Question {
            destination: judge::destination(lines),
            node: "n".into(),
            tenant: "t".into(),
            who: "w".into(),
            lookup: |_| None,
        };
        let (runtime, outcome) = (world.runtime("a"), Rc::new(RefCell::new(None)));
        let given = Rc::clone(&outcome);
        world.spawn(Box::pin(async move {
            let begun = runtime.now();
            let report = probe(&runtime, &question).await;
            *given.borrow_mut() = Some((report, runtime.now().since(begun)));
        }));
        world.run_until(Millis::from_secs(120));
        outcome.take().expect("a test ends")
    }

    async fn answer_slowly(mut stream: Box<dyn Stream>, runtime: Rc<dyn Runtime>, wait: Millis, answer: Answer) {
        let (mut reader, mut block) = (RequestReader::new(1 << 20), vec![0; 4096]);
        while let Ok(size @ 1..) = stream.read(&mut block).await {
            let Ok(Progress::Done { message, .. }) = reader.push(&block[..size]) else { continue };
            runtime.sleep(wait).await;
            let (status, body) = answer(&message.path);
            let reply = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    const ELASTIC: &str = "type = \"elastic\"\nurl = \"http://192.0.2.80:8088\"";
    const SPLUNK: &str =
        "type = \"splunk_hec\"\nurl = \"http://192.0.2.80:8088\"\ntoken = { env = \"T\" }\nack = \"on\"";
    /// Where connections get no answer.
    const SILENT: &str = "127.0.0.1:8089";
    const RELP: &str = "type = \"syslog\"\ntransport = \"relp\"\nhost = \"192.0.2.80\"\nport = 8088";

    fn loses_documents(path: &str) -> (u16, &'static str) {
        match path {
            path if path.contains("/_bulk") => (200, r#"{"errors":false,"items":[{"create":{"status":201}}]}"#),
            path if path.ends_with("/_refresh") => (200, "{}"),
            _ => (200, r#"{"hits":{"hits":[]}}"#),
        }
    }

    #[test]
    fn no_test_lasts_longer_than_it_may_whatever_answers_slowly() {
        for wait in [0, 900, 4_000, 6_900, 60_000].map(Millis) {
            let cases: [(&str, Answer); 3] = [
                (ELASTIC, loses_documents),
                (SPLUNK, |_| (200, r#"{"text":"Success","code":0,"ackId":7,"acks":{"7":false}}"#)),
                (RELP, |_| (200, "")),
            ];
            for (lines, answer) in cases {
                let (report, took) = in_a_world(lines, wait, answer);
                assert!(took <= TEST_MAX, "{lines} with {wait}: {took}: {report:#?}");
            }
        }
    }

    #[test]
    fn what_is_not_found_is_a_failure_only_where_the_index_was_refreshed() {
        let (report, _) = in_a_world(ELASTIC, Millis(1), loses_documents);
        assert_eq!(report.failure.unwrap().code, "accepted_and_not_found");
        let (report, _) = in_a_world(ELASTIC, Millis(1), |path| match path.ends_with("/_refresh") {
            true => (403, "{}"),
            false => loses_documents(path),
        });
        assert!(report.ok && report.warnings[0].code == "not_found_yet", "{report:#?}");
        let (report, _) = in_a_world(ELASTIC, Millis(1), |path| match path.contains("/_bulk") {
            true => loses_documents(path),
            false => (403, "{}"),
        });
        assert!(report.ok && report.warnings.is_empty(), "{report:#?}");
    }

    #[test]
    fn an_acknowledgement_that_does_not_come_is_a_warning() {
        let (report, _) = in_a_world(SPLUNK, Millis(1), |path| match path.contains("/ack") {
            true => (200, r#"{"acks":{"0":false,"7":false}}"#),
            false => (200, r#"{"text":"Success","code":0,"ackId":7}"#),
        });
        assert!(report.ok && report.warnings[0].code == "not_found_yet", "{report:#?}");
    }

    #[test]
    fn whoever_issues_tokens_is_not_waited_for_longer_than_for_anybody_else() {
        let lines = format!(
            "type = \"sentinel\"\nurl = \"http://192.0.2.80:8088\"\nrule = \"dcr-00000000000000000000000000000000\"\n\
             tenant_id = \"t\"\nclient_id = \"c\"\nclient_secret = {{ env = \"T\" }}\nauthority = \"http://{SILENT}\""
        );
        let (report, took) = in_a_world(&lines, Millis(1), |_| (204, ""));
        let failure = report.failure.unwrap();
        assert_eq!((failure.stage, failure.code), (Stage::Authentication, "token_server_silent"));
        assert!(took < Millis::from_secs(6), "{took}");
        assert!(report.stages.iter().any(|known| known.stage == Stage::Connect && known.state == StageState::Ok));
    }

    #[test]
    fn a_server_of_a_cluster_that_does_not_let_us_in_is_a_warning_while_another_does() {
        let urls = "type = \"elastic\"\nurls = [\"http://192.0.2.80:8088\", \"http://192.0.2.81:8088\"]";
        let (report, _) = in_a_world(urls, Millis(1), |path| match path.ends_with("/_search") {
            true => (200, r#"{"hits":{"hits":[{"_id":"x"}]}}"#),
            false => loses_documents(path),
        });
        assert!(report.ok, "{report:#?}");
        let [warning] = report.warnings.as_slice() else { panic!("{report:#?}") };
        assert_eq!(warning.code, "connection_refused");
        assert!(warning.what.contains("192.0.2.81:8088") && !warning.remedy.contains('{'), "{warning:?}");
    }
}
