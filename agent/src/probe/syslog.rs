//! The loops for syslog and RELP: one message, and all that can be learned of it.

use std::rc::Rc;

use futures_lite::future::or;
use scaidrive_codecs::Body;
use scaidrive_codecs::framing::CountedMessages;
use scaidrive_codecs::syslog::Framing;

use super::cause;
use super::event::Made;
use super::judge::{of_answers, of_connect, of_open, of_pipe};
use super::report::Finding;
use super::sniff::Speech;
use super::stage::Stage;
use super::trace::{Trace, strange};
use crate::config::{Destination, Kind, Syslog, SyslogTransport};
use crate::delivery::encoder::Encoder;
use crate::runtime::Runtime;
use crate::time::Millis;
use crate::transport::{DatagramError, DatagramSocket, FailureKind, RelpConnection, SyslogConnection, TransportError};

/// Sends the event and finds out what became of it.
pub(super) async fn send(trace: &mut Trace<'_>, settings: &Syslog, body: &Body, event: &Made) -> Result<(), Finding> {
    match settings.transport {
        SyslogTransport::Udp => datagram(trace, body).await,
        SyslogTransport::Relp | SyslogTransport::RelpTls => relp(trace, body).await,
        SyslogTransport::Tcp | SyslogTransport::Tls => pipe(trace, settings, body, event).await,
    }
}

async fn pipe(trace: &mut Trace<'_>, settings: &Syslog, body: &Body, event: &Made) -> Result<(), Finding> {
    let outcome = message(trace, body).await;
    if let Err(finding) = &outcome
        && finding.cause == &cause::RECEIVER_CLOSES_AT_MESSAGE
        && settings.framing == Framing::OctetCounting
        && takes_line_feeds(trace, settings, event).await
    {
        let said = finding.said.clone().unwrap_or_default();
        return Err(Finding::of(&cause::FRAMING_NOT_UNDERSTOOD).saying(said));
    }
    outcome?;
    nothing_is_answered(trace);
    Ok(())
}

/// Writes a message, and listens whether the receiver minds.
async fn message(trace: &mut Trace<'_>, body: &Body) -> Result<(), Finding> {
    let connection = trace.connect().await?;
    let (runtime, patience) = (trace.watched(), trace.patience());
    let judge = |trace: &mut Trace<'_>, error: &TransportError, was_written| {
        trace.look_at_witness();
        of_pipe(error, &trace.seen(), &trace.way, was_written)
    };
    let mut syslog = match SyslogConnection::new(connection, patience) {
        Ok(syslog) => syslog,
        Err(error) => return Err(judge(trace, &error, false)),
    };
    if let Some(error) = ends_within(&runtime, &mut syslog, AT_ONCE).await {
        return Err(judge(trace, &error, false));
    }
    if let Err(error) = syslog.write(&runtime, body.slices(|_| &[]), patience).await {
        return Err(judge(trace, &error, true));
    }
    if let Some(error) = ends_within(&runtime, &mut syslog, AFTER_MESSAGE).await {
        return Err(judge(trace, &error, true));
    }
    match syslog.finish(&runtime, FINISH).await {
        Ok(()) => trace.over(Stage::Accepted, Some("written, and read by the receiver".to_owned())),
        // Without TLS only a receiver that leaves something unread resets.
        Err(error) if error.kind == FailureKind::Closed && !trace.way.has_tls => {
            return Err(judge(trace, &error, true));
        }
        Err(_) => {
            trace.over(Stage::Accepted, Some("written; nothing says whether it was read".to_owned()));
            not_confirmed(
                trace,
                "plain syslog has no answers, so nobody can say that the receiver has taken the event",
                "look for it there; if a number stands before it, set framing = \"line_feed\". RELP answers each message",
            );
        }
    }
    Ok(())
}

/// Why the connection ends within `wait`, if it does.
async fn ends_within(runtime: &Rc<dyn Runtime>, syslog: &mut SyslogConnection, wait: Millis) -> Option<TransportError> {
    let quiet = async {
        runtime.sleep(wait).await;
        None
    };
    or(async { Some(syslog.closed().await) }, quiet).await
}

/// Whether the same message is taken when a line feed ends it.
async fn takes_line_feeds(trace: &mut Trace<'_>, settings: &Syslog, event: &Made) -> bool {
    let kind = Kind::Syslog(Syslog { framing: Framing::LineFeed, ..settings.clone() });
    let other = Destination { kind, ..Destination::clone(trace.destination()) };
    let Ok(body) = Encoder::new(&other).and_then(|encoder| event.body(&encoder)) else { return false };
    message(trace, &body).await.is_ok()
}

async fn datagram(trace: &mut Trace<'_>, body: &Body) -> Result<(), Finding> {
    let (runtime, endpoint) = (trace.watched(), trace.endpoint());
    let opened = DatagramSocket::open(&runtime, &endpoint).await;
    let socket = opened.map_err(|error| of_connect(&error, &trace.seen(), &trace.way))?;
    let addresses: Vec<String> = trace.seen().addresses.iter().map(|address| address.ip().to_string()).collect();
    trace.over(Stage::Resolve, Some(addresses.join(", ")));
    trace.skipped(Stage::Connect, "datagrams need none");
    trace.skipped(Stage::Proxy, "none on the way");
    trace.skipped(Stage::Tls, "not encrypted");
    let mut parts = Vec::new();
    if CountedMessages::new(body.slices(|_| &[])).next_into(&mut parts).is_none() {
        return Err(Finding::of(&cause::EVENT_UNFIT));
    }
    // Inside the agent a count stands before each message.
    let datagram = parts[1..].concat();
    let refused = match socket.send(&runtime, &datagram, endpoint.request_timeout).await {
        Ok(()) => {
            runtime.sleep(ICMP_WAIT).await;
            socket.refusal()
        }
        Err(DatagramError::TooLong { why }) => return Err(Finding::of(&cause::DATAGRAM_TOO_LONG).saying(why)),
        Err(DatagramError::Failed(error)) => Some(error),
    };
    if let Some(error) = refused {
        let cause = match error.kind {
            FailureKind::Unreachable => &cause::DATAGRAM_PORT_CLOSED,
            _ => &cause::RECEIVER_STOPS_READING,
        };
        return Err(Finding::of(cause).saying(error.what));
    }
    trace.over(Stage::Accepted, Some("sent; nobody said that nobody listens".to_owned()));
    nothing_is_answered(trace);
    not_confirmed(
        trace,
        "datagrams have no answers, so nobody can say that the receiver has got the event",
        "look for it there; where that matters take RELP, which answers each message",
    );
    Ok(())
}

async fn relp(trace: &mut Trace<'_>, body: &Body) -> Result<(), Finding> {
    let connection = trace.connect().await?;
    let (runtime, patience) = (trace.watched(), trace.patience());
    let stranger = async {
        trace.stranger_speaks(Speech::Relp).await;
        Err(strange())
    };
    let opened = or(RelpConnection::open(&runtime, connection, patience), stranger).await;
    trace.look_at_witness();
    let mut relp = opened.map_err(|error| of_open(&error, &trace.seen(), &trace.way))?;
    trace.over(Stage::Answer, Some("RELP session open".to_owned()));
    trace.skipped(Stage::Authentication, "RELP knows none beside certificates");
    trace.passed(Stage::Permission, None);
    let patience = trace.patience();
    let answers = relp.exchange(&runtime, body.slices(|_| &[]), 1, patience).await;
    if let Some(finding) = of_answers(&answers, &trace.seen(), &trace.way) {
        return Err(finding);
    }
    trace.over(Stage::Accepted, Some("the receiver answers that it has it".to_owned()));
    trace.skipped(Stage::Found, "there is no way to ask this receiver");
    relp.finish(&runtime, FINISH).await;
    Ok(())
}

/// Stages that plain syslog has nothing to say about.
fn nothing_is_answered(trace: &mut Trace<'_>) {
    for stage in [Stage::Answer, Stage::Authentication, Stage::Permission] {
        trace.skipped(stage, "syslog has no answers");
    }
    trace.skipped(Stage::Found, "there is no way to ask this receiver");
}

fn not_confirmed(trace: &mut Trace<'_>, what: &str, remedy: &str) {
    trace.warn(cause::WARNING_NOT_CONFIRMED, what.to_owned(), remedy);
}

/// A receiver that lets nobody in closes within this, also one on another continent.
const AT_ONCE: Millis = Millis(300);
/// One that does not like a message closes within this.
const AFTER_MESSAGE: Millis = Millis(600);
/// How long a receiver may take to confirm the end.
const FINISH: Millis = Millis(1_000);
/// How long the answer that nobody listens takes at most, from anywhere.
const ICMP_WAIT: Millis = Millis(400);
