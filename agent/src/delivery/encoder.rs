//! What turns a batch into one destination's bytes, and its replies into outcomes.

use scaidrive_codecs::hec::{EVENT_PATH, Hec, HecHead, HecSettings};
use scaidrive_codecs::http::Reply;
use scaidrive_codecs::syslog::{self, Syslog, SyslogSettings};
use scaidrive_codecs::{Body, Event, Index, Scratch, Stamp, Verdict};
use scaidrive_wal::Record;

use super::gate::Hold;
use super::sender::{Batch, Outcome};
use crate::config::{Destination, Kind};
use crate::stream::name::StreamName;
use crate::time::Millis;

/// One destination's format.
#[derive(Debug)]
pub enum Encoder {
    /// Splunk's HTTP Event Collector.
    Hec {
        /// Bodies and verdicts.
        hec: Box<Hec>,
        /// The request target.
        path: String,
        /// The `Host` header.
        host: String,
    },
    /// Syslog messages.
    Syslog(Box<Syslog>),
}

impl Encoder {
    /// The format of a destination. Its settings have been checked, so what is left to fail is told as text.
    ///
    /// # Errors
    /// What the codec said of the settings.
    pub fn new(destination: &Destination) -> Result<Encoder, String> {
        match &destination.kind {
            Kind::SplunkHec(settings) => {
                let hec = Hec::new(&HecSettings {
                    host: settings.host.clone(),
                    source: settings.source.clone(),
                    sourcetype: settings.sourcetype.clone(),
                    index: settings.index.clone(),
                });
                let path = format!("{}{EVENT_PATH}", settings.url.path.trim_end_matches('/'));
                Ok(Encoder::Hec { hec: Box::new(hec), path, host: settings.url.host_header() })
            }
            Kind::Syslog(settings) => {
                let settings = SyslogSettings {
                    header: settings.header,
                    facility: settings.facility,
                    hostname: settings.hostname.clone(),
                    app_name: settings.app_name.clone(),
                    procid: String::from("-"),
                    msg: settings.msg,
                    framing: settings.framing,
                    bom: settings.bom,
                    max_len: settings.max_len,
                    enterprise_id: syslog::ENTERPRISE_ID_DEFAULT,
                };
                let encoder = Syslog::new(&settings).map_err(|problem| problem.to_string())?;
                Ok(Encoder::Syslog(Box::new(encoder)))
            }
        }
    }

    /// Appends one event as item number `item` of the body.
    ///
    /// # Errors
    /// Why the format can't carry it.
    pub fn encode(
        &self,
        event: &Event<'_>,
        stamp: &Stamp<'_>,
        item: u32,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), String> {
        match self {
            Encoder::Hec { hec, .. } => {
                hec.encode(event, stamp, item, body);
                Ok(())
            }
            Encoder::Syslog(syslog) => {
                syslog.encode(event, stamp, item, body, scratch).map_err(|problem| problem.to_string())
            }
        }
    }

    /// Encodes a batch that was put together anew.
    pub fn encode_again(&self, batch: &mut Batch<Record>, stream: &StreamName, scratch: &mut Scratch) {
        batch.body.clear();
        for (position, item) in batch.items.iter().enumerate() {
            // Each of them was encoded once, so neither step can fail now; leaving one out would be a silent gap.
            let index = Index::decode(item.load.index()).expect("an index that was decoded before");
            let event = Event::new(item.load.payload(), &index);
            let encoded = self.encode(&event, &stream.stamp(item.n), position as u32, &mut batch.body, scratch);
            encoded.expect("an event that was encoded before");
        }
        batch.is_encoded = true;
    }

    /// The bytes of one event of the agent's own, which has no number.
    ///
    /// # Errors
    /// Why the format can't carry it.
    pub fn encode_own(&self, event: &Event<'_>, body: &mut Body, scratch: &mut Scratch) -> Result<(), String> {
        match self {
            Encoder::Hec { hec, .. } => {
                hec.encode_own(event, body);
                Ok(())
            }
            Encoder::Syslog(syslog) => syslog.encode_own(event, body, scratch).map_err(|problem| problem.to_string()),
        }
    }

    /// The head of a request with a body of `length` bytes.
    ///
    /// # Errors
    /// Why there is none: a header value that would break the request, or a format without requests.
    pub fn request_head(&self, token: &str, gzip: bool, length: usize, out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Encoder::Hec { hec, path, host } => {
                let content_length = length as u64;
                let head = HecHead { path, host, token, channel: None, gzip, content_length };
                hec.request_head(&head, out).map_err(|problem| problem.to_string())
            }
            Encoder::Syslog(_) => Err(String::from("syslog has no requests")),
        }
    }

    /// What a reply means for a batch of `events` events.
    pub fn outcome(&self, reply: &Reply, events: usize, wall_ms: i64) -> Outcome {
        let verdict = match self {
            Encoder::Hec { hec, .. } => hec.verdict(reply, events, wall_ms),
            Encoder::Syslog(_) => Verdict::Misconfigured { why: String::from("a syslog server sent a reply") },
        };
        outcome(verdict, reply.status, events)
    }
}

fn outcome(verdict: Verdict, status: u16, events: usize) -> Outcome {
    match verdict {
        Verdict::Delivered { slow_down } => Outcome::Accepted { slow_down },
        Verdict::Retry { after_ms, why, slow_down, .. } => {
            let hold = if slow_down { Hold::Throttled } else { Hold::Trouble };
            Outcome::Retry { hold, after: after_ms.map(Millis), why }
        }
        Verdict::Split { why, .. } if status == 413 => Outcome::TooLarge { why },
        Verdict::Split { offender, why } => Outcome::Refused { offender, why },
        Verdict::HoldForCredentials { why } => Outcome::Retry { hold: Hold::Credentials, after: None, why },
        Verdict::Misconfigured { why } => Outcome::Retry { hold: Hold::Misconfigured, after: None, why },
        // A reply that blames every event blames the batch: the search for the one at fault decides.
        Verdict::Judged { mut refused, .. } if refused.len() == events => {
            let why = refused.pop().map_or_else(String::new, |item| item.reason);
            Outcome::Refused { offender: None, why }
        }
        Verdict::Judged { refused, again, .. } => {
            Outcome::AcceptedBut { refused: refused.into_iter().map(|item| (item.item, item.reason)).collect(), again }
        }
    }
}
