//! Notices and statements as the agent's own events.
//!
//! The event's id is the message's id ([`id_text`]), so a message that is sent again is recognised in the SIEM.

use scaidrive_codecs::loss::{NumberRanges, TenantLoss, TenantLosses};
use scaidrive_codecs::own::{BufferOverflow, EventsRefused, LogDamaged, OwnEvent, PreviousLast, StreamStatement};
use scaidrive_codecs::time::write_rfc3339;

use crate::stream::announce::Announcement;
use crate::stream::notice::{Cause, Found, GapNotice, Losses, Ranges};
use crate::stream::statement::{Previous, Statement};

/// What a stream is called outside.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The destination's name.
    pub destination: &'a str,
    /// The shard.
    pub shard: u16,
    /// The stream's name in an epoch: a message may be about an earlier one.
    pub stream: &'a dyn Fn(&[u8; 16]) -> String,
}

impl Announcement<'_> {
    /// The message as an own event.
    pub fn to_own(&self, names: &Names<'_>) -> OwnEvent {
        match self {
            Announcement::Gap(notice) => gap_event(notice, names),
            Announcement::Statement(statement) => statement_event(statement, names),
        }
    }
}

/// A message's id as text: a UUID.
pub fn id_text(id: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

fn gap_event(notice: &GapNotice, names: &Names<'_>) -> OwnEvent {
    let GapNotice { losses, .. } = notice;
    let (destination, shard) = (names.destination.to_owned(), names.shard);
    let stream = (names.stream)(&notice.epoch);
    let ranges = number_ranges(&losses.ranges);
    // What an earlier epoch left over is in the sum of all notices too, and no range of this stream names it.
    let count = losses.count + notice.earlier_epochs;
    let merged = losses.ranges.is_merged() || notice.earlier_epochs > 0;
    match (notice.cause, &notice.damage) {
        (Cause::Damaged, Some(damage)) => OwnEvent::LogDamaged(LogDamaged {
            shard,
            segment: damage.segment.clone(),
            bytes: damage.bytes,
            from_seq: damage.seqs.start,
            end_seq: Some(damage.seqs.end),
            found_while: match damage.found {
                Found::Opening => "opening".into(),
                Found::Reading => "reading".into(),
            },
        }),
        (Cause::Refused, _) => OwnEvent::EventsRefused(EventsRefused {
            destination,
            stream,
            shard,
            refused_count: count,
            ranges,
            merged,
            reason: losses.reason.clone(),
            losses: tenant_losses(losses),
        }),
        (Cause::Overflow | Cause::Damaged, _) => OwnEvent::BufferOverflow(BufferOverflow {
            destination,
            stream,
            shard,
            episode: id_text(&notice.episode),
            notice: notice.notice,
            is_final: notice.is_final,
            dropped_count: count,
            dropped_bytes: losses.bytes,
            ranges,
            merged,
            first_timestamp: timestamp(losses.times_ms.map(|(first, _)| first)),
            last_timestamp: timestamp(losses.times_ms.map(|(_, last)| last)),
            first_event_id: losses.first_event_id.clone(),
            last_event_id: losses.last_event_id.clone(),
            losses: tenant_losses(losses),
        }),
    }
}

fn statement_event(statement: &Statement, names: &Names<'_>) -> OwnEvent {
    OwnEvent::StreamStatement(StreamStatement {
        destination: names.destination.to_owned(),
        stream: (names.stream)(&statement.epoch),
        shard: names.shard,
        from: statement.from,
        end: statement.end,
        explained: statement.explained,
        previous_stream: statement.previous_epoch().map(|epoch| (names.stream)(&epoch)),
        previous_last: match statement.previous {
            Previous::None => PreviousLast::NoEpoch,
            Previous::Lost | Previous::Epoch { last: None, .. } => PreviousLast::Unknown,
            Previous::Epoch { last: Some(last), .. } => PreviousLast::Settled(last),
        },
        is_final: statement.is_final,
        abandoned: statement.abandoned,
    })
}

fn number_ranges(ranges: &Ranges) -> NumberRanges {
    let mut numbers = NumberRanges::new();
    for range in ranges.as_slice() {
        numbers.push(range.clone());
    }
    numbers
}

fn tenant_losses(losses: &Losses) -> TenantLosses {
    let named = |(tenant, dropped): &(String, u64)| TenantLoss { tenant_id: tenant.clone(), dropped: *dropped };
    TenantLosses { tenants: losses.tenants.iter().map(named).collect(), other_tenants_dropped: losses.tenants_rest }
}

/// Empty for a final notice without losses.
fn timestamp(ms: Option<i64>) -> String {
    let mut text = Vec::new();
    if let Some(ms) = ms {
        write_rfc3339(ms, &mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::episode::Episodes;
    use crate::stream::notice::tests::loss;
    use crate::stream::settled::Lost;
    use crate::time::{Entropy, Millis};
    use scaidrive_codecs::own::Envelope;

    struct Sevens;

    impl Entropy for Sevens {
        fn next_u64(&mut self) -> u64 {
            0x7777_7777_7777_7777
        }
    }

    fn names() -> Names<'static> {
        Names { destination: "splunk-prod", shard: 3, stream: &|epoch| format!("stream-{}", epoch[0]) }
    }

    fn payload(own: &OwnEvent) -> serde_json::Value {
        let envelope = Envelope { event_id: "e", timestamp_ms: 0, tenant_id: "_agent", node: "node-7" };
        let line = own.to_json(&envelope);
        scaidrive_codecs::index(&line).unwrap();
        let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
        event["payload"].clone()
    }

    fn notice(lost: Lost) -> GapNotice {
        let mut episodes = Episodes::new([9; 16]);
        for n in [3, 4, 8] {
            episodes.pass_over(lost, n, &loss("acme", 1000 * n as i64), Millis(0)).unwrap();
        }
        episodes.make_due(Millis(0), false, &mut Sevens);
        episodes.front().unwrap().clone()
    }

    #[test]
    fn an_overflow_tells_what_an_auditor_needs() {
        let own = Announcement::Gap(&notice(Lost::Overflowed)).to_own(&names());
        assert_eq!(own.action(), "siem.buffer_overflow");
        let payload = payload(&own);
        assert_eq!(payload["destination"], "splunk-prod");
        assert_eq!(payload["stream"], "stream-9");
        assert_eq!(payload["dropped_count"], 3);
        assert_eq!(payload["dropped_bytes"], 300);
        assert_eq!(payload["ranges"], serde_json::json!([{"from_n":3,"to_n":4},{"from_n":8,"to_n":8}]));
        assert_eq!(payload["first_timestamp"], "1970-01-01T00:00:03.000Z");
        assert_eq!(payload["last_event_id"], "event-8000");
        assert_eq!(payload["tenants"], serde_json::json!([{"tenant_id":"acme","dropped":3}]));
        assert_eq!((&payload["notice"], &payload["final"]), (&1.into(), &false.into()));
        assert_eq!(payload["episode"], "77777777-7777-4777-b777-777777777777");
    }

    #[test]
    fn refused_events_are_told_with_the_first_reason() {
        let own = Announcement::Gap(&notice(Lost::DeadLettered)).to_own(&names());
        assert_eq!(own.action(), "siem.events_refused");
        let payload = payload(&own);
        assert_eq!((&payload["refused_count"], &payload["reason"]), (&3.into(), &"no".into()));
    }

    #[test]
    fn counts_of_earlier_epochs_stay_in_the_sum() {
        let mut later = notice(Lost::Overflowed);
        later.absorb(&notice(Lost::Overflowed));
        let payload = payload(&Announcement::Gap(&later).to_own(&names()));
        assert_eq!((&payload["dropped_count"], &payload["merged"]), (&6.into(), &true.into()));
    }

    #[test]
    fn a_statement_names_the_epoch_before_or_says_that_it_is_not_known() {
        let mut statement = Statement {
            id: [1; 16],
            epoch: [2; 16],
            from: 5,
            end: 9,
            explained: 1,
            previous: Previous::Epoch { epoch: [1; 16], last: Some(77) },
            is_final: true,
            abandoned: 4,
        };
        let told = payload(&Announcement::Statement(&statement).to_own(&names()));
        assert_eq!((&told["from"], &told["end"], &told["explained"]), (&5.into(), &9.into(), &1.into()));
        assert_eq!((&told["previous_stream"], &told["previous_last"]), (&"stream-1".into(), &77.into()));
        assert_eq!((&told["final"], &told["abandoned"]), (&true.into(), &4.into()));
        statement.previous = Previous::Lost;
        let told = payload(&Announcement::Statement(&statement).to_own(&names()));
        assert_eq!(told["previous_last"], "unknown");
        statement.previous = Previous::None;
        let told = payload(&Announcement::Statement(&statement).to_own(&names()));
        assert!(told["previous_last"].is_null() && told["previous_stream"].is_null());
    }
}
