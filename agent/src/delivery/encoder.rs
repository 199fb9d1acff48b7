//! What turns a batch into one destination's bytes, and its replies into outcomes.

use scaidrive_codecs::data_collector::DataCollector;
use scaidrive_codecs::datadog::Datadog;
use scaidrive_codecs::elastic::Elastic;
use scaidrive_codecs::hec::Hec;
use scaidrive_codecs::https::Https;
use scaidrive_codecs::sentinel::Sentinel;
use scaidrive_codecs::sumo::Sumo;
use scaidrive_codecs::syslog::{self, Syslog, SyslogSettings};
use scaidrive_codecs::{Body, Entry, Event, Format, Index, Redacted, Redaction, Scratch, Verdict};
use scaidrive_wal::Record;

use super::gate::Hold;
use super::sender::{Batch, Outcome};
use crate::config::{Destination, Kind, SentinelApi};
use crate::stream::name::StreamName;
use crate::time::Millis;

/// One destination's format.
#[derive(Debug)]
pub enum Encoder {
    /// Bodies of HTTP requests.
    Http(Box<dyn Format>),
    /// Syslog messages, and what is redacted in them.
    Syslog(Box<Syslog>, Redaction),
}

/// An event that does not fit its format any more, though it did when it was selected.
#[derive(Debug)]
pub struct Misfit {
    /// Its place in the batch.
    pub position: usize,
    /// In plain words.
    pub why: String,
}

impl Encoder {
    /// The format of a destination. Its settings have been checked, so what is left to fail is told as text.
    ///
    /// # Errors
    /// What the codec said of the settings.
    pub fn new(destination: &Destination) -> Result<Encoder, String> {
        let words = |problem: &dyn std::fmt::Display| problem.to_string();
        let format: Box<dyn Format> = match &destination.kind {
            Kind::SplunkHec(hec) => Box::new(Hec::new(&hec.for_codec()).map_err(|problem| words(&problem))?),
            Kind::Sentinel(sentinel) => match &sentinel.api {
                SentinelApi::LogsIngestion(settings) => {
                    Box::new(Sentinel::new(settings).map_err(|problem| words(&problem))?)
                }
                SentinelApi::DataCollector(settings) => {
                    Box::new(DataCollector::new(settings).map_err(|problem| words(&problem))?)
                }
            },
            Kind::Elastic(elastic) => Box::new(Elastic::new(&elastic.for_codec()).map_err(|problem| words(&problem))?),
            Kind::Datadog(datadog) => Box::new(Datadog::new(&datadog.labels).map_err(|problem| words(&problem))?),
            Kind::SumoLogic(sumo) => Box::new(Sumo::new(&sumo.for_codec()).map_err(|problem| words(&problem))?),
            Kind::Https(https) => Box::new(Https::new(&https.request).map_err(|problem| words(&problem))?),
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
                    shape: settings.shape,
                };
                let encoder = Syslog::new(&settings).map_err(|problem| words(&problem))?;
                return Ok(Encoder::Syslog(Box::new(encoder), destination.redact.redaction.clone()));
            }
        };
        Ok(Encoder::Http(Redacted::wrap(format, &destination.redact.redaction)))
    }

    /// How long an encoding stays right, if not for ever.
    pub fn encoded_for(&self) -> Option<Millis> {
        match self {
            Encoder::Http(format) => format.encoded_for().map(Millis),
            Encoder::Syslog(..) => None,
        }
    }

    /// Bytes that stand round the events of a body.
    pub fn frame_len(&self) -> usize {
        match self {
            Encoder::Http(format) => format.frame().len(),
            Encoder::Syslog(..) => 0,
        }
    }

    /// Appends one event to the body, as its entry says.
    ///
    /// # Errors
    /// Why the format can't carry it.
    pub fn encode(
        &self,
        event: &Event<'_>,
        entry: &Entry<'_>,
        body: &mut Body,
        scratch: &mut Scratch,
    ) -> Result<(), String> {
        match (self, entry.stamp) {
            (Encoder::Http(format), _) => {
                format.encode(event, entry, body, scratch).map_err(|problem| problem.to_string())
            }
            (Encoder::Syslog(syslog, redaction), Some(stamp)) if redaction.is_empty() => {
                syslog.encode(event, stamp, entry.item, body, scratch).map_err(|problem| problem.to_string())
            }
            (Encoder::Syslog(syslog, redaction), Some(stamp)) => redaction
                .hiding(event, scratch, |event, scratch| syslog.encode(event, stamp, entry.item, body, scratch))
                .map_err(|problem| problem.to_string()),
            (Encoder::Syslog(syslog, _), None) => {
                syslog.encode_own(event, body, scratch).map_err(|problem| problem.to_string())
            }
        }
    }

    /// Encodes a batch that was put together anew, as of `wall_ms`.
    ///
    /// # Errors
    /// The first event that the format does not carry any more: some look at the clock.
    pub fn encode_again(
        &self,
        batch: &mut Batch<Record>,
        stream: &StreamName,
        wall_ms: i64,
        scratch: &mut Scratch,
    ) -> Result<(), Misfit> {
        // Whatever stops this half-way, nobody may take the half for the whole.
        batch.is_encoded = false;
        batch.body.clear();
        for (position, item) in batch.items.iter().enumerate() {
            // It was decoded once, so this can't fail now; leaving the event out would be a silent gap.
            let index = Index::decode(item.load.index()).expect("an index that was decoded before");
            let event = Event::new(item.load.payload(), &index);
            let stamp = stream.stamp(item.n);
            let entry = Entry { item: position as u32, stamp: Some(&stamp), now_ms: wall_ms };
            self.encode(&event, &entry, &mut batch.body, scratch).map_err(|why| Misfit { position, why })?;
        }
        batch.encoded_ms = wall_ms;
        batch.is_encoded = true;
        Ok(())
    }
}

/// What a verdict means for a batch of `events` events.
pub(super) fn outcome(verdict: Verdict, events: usize) -> Outcome {
    match verdict {
        Verdict::Delivered { slow_down } => Outcome::Accepted { slow_down },
        Verdict::Retry { after_ms, why, slow_down, .. } => {
            let hold = if slow_down { Hold::Throttled } else { Hold::Trouble };
            Outcome::Retry { hold, after: after_ms.map(Millis), why }
        }
        Verdict::Smaller { why } => Outcome::TooLarge { why },
        Verdict::Split { offender, why } => Outcome::Refused { offender, why },
        Verdict::HoldForCredentials { why } => Outcome::Retry { hold: Hold::Credentials, after: None, why },
        // Events in groups are told apart before this; here is only what has none.
        Verdict::Misconfigured { why } | Verdict::Uncompressed { why } | Verdict::Apart { why } => {
            Outcome::Retry { hold: Hold::Misconfigured, after: None, why }
        }
        // A reply that blames every event blames the batch: the search for the one at fault decides.
        Verdict::Judged { mut refused, .. } if refused.len() == events => {
            let why = refused.pop().map_or_else(String::new, |item| item.reason);
            Outcome::Refused { offender: None, why }
        }
        Verdict::Judged { refused, again, slow_down, note } => {
            let refused = refused.into_iter().map(|item| (item.item, item.reason)).collect();
            Outcome::AcceptedBut { refused, again, slow_down, note }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_is_too_much_at_once_is_not_an_event_at_fault() {
        let why = String::from("slow");
        let smaller = outcome(Verdict::Smaller { why: why.clone() }, 3);
        assert!(matches!(smaller, Outcome::TooLarge { .. }), "{smaller:?}");
        let split = outcome(Verdict::Split { offender: Some(1), why }, 3);
        assert!(matches!(split, Outcome::Refused { offender: Some(1), .. }), "{split:?}");
    }
}
