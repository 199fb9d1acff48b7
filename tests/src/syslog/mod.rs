//! Syslog receivers: our own strict ones, and the real rsyslog and syslog-ng.

mod datagrams;
mod frames;
mod message;
mod relp;
mod rsyslog;
mod sink;
mod syslog_ng;
mod taken;
mod wire;

pub use datagrams::DatagramSink;
pub use frames::Framing;
pub use message::{Element, Message, MessageError};
pub use relp::RELP_WINDOW;
pub use rsyslog::{Rsyslog, RsyslogCounters, RsyslogMode};
pub use sink::{Sink, SinkFault};
pub use syslog_ng::{SyslogNg, SyslogNgCounters, SyslogNgTls};

use serde::Deserialize;

use crate::arrival::{Arrival, Arrivals};
use crate::generator::Key;

/// Name of the structured data element that carries the stream and the number.
pub(crate) const STREAM_ELEMENT: &str = "siem@32473";

/// Records a message as an arrival. `keep` says whether the event's bytes are kept (the agent's own events always are).
pub(crate) fn record(arrivals: &mut Arrivals, message: &Message, request: u64, keep: bool) {
    #[derive(Deserialize)]
    struct Id {
        event_id: String,
    }
    let body = message.text();
    let stated = message.param("event_id").map(str::to_owned);
    let id = stated.or_else(|| serde_json::from_slice::<Id>(body).ok().map(|id| id.event_id));
    let key = id.as_deref().and_then(Key::parse);
    let stream = stream_element(message).and_then(|element| element.param("stream")).map(|name| arrivals.stream(name));
    let n = number_text(message).and_then(|text| text.parse().ok());
    let raw = (keep || key.is_none()).then(|| body.into());
    arrivals.list.push(Arrival { at: std::time::Instant::now(), request, key, stream, n, raw });
}

/// The number that a message carries, as it is written there.
pub(crate) fn number_text(message: &Message) -> Option<&str> {
    stream_element(message).and_then(|element| element.param("n"))
}

fn stream_element(message: &Message) -> Option<&Element> {
    message.elements.iter().find(|element| element.id == STREAM_ELEMENT)
}
