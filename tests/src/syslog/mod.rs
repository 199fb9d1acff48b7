//! Syslog receivers: our own strict one, and the real rsyslog.

mod message;
mod rsyslog;
mod sink;

pub use message::{Element, Message, MessageError};
pub use rsyslog::{Rsyslog, RsyslogMode};
pub use sink::{Framing, Sink};

use serde::Deserialize;

use crate::arrival::{Arrival, Arrivals};
use crate::generator::Key;

/// Name of the structured data element that carries the stream and the number.
const STREAM_ELEMENT: &str = "siem@32473";

/// Records a message as an arrival. `keep` says whether the event's bytes are kept (the agent's own events always are).
fn record(arrivals: &mut Arrivals, message: &Message, request: u64, keep: bool) {
    #[derive(Deserialize)]
    struct Id {
        event_id: String,
    }
    let body = message.text();
    let stated = message.param("event_id").map(str::to_owned);
    let id = stated.or_else(|| serde_json::from_slice::<Id>(body).ok().map(|id| id.event_id));
    let key = id.as_deref().and_then(Key::parse);
    let element = message.elements.iter().find(|element| element.id == STREAM_ELEMENT);
    let stream = element.and_then(|element| element.param("stream")).map(|name| arrivals.stream(name));
    let n = element.and_then(|element| element.param("n")).and_then(|text| text.parse().ok());
    let raw = (keep || key.is_none()).then(|| body.into());
    arrivals.list.push(Arrival { at: std::time::Instant::now(), request, key, stream, n, raw });
}
