//! One request's events: judged, given to the shards that own them, and answered when all shards have spoken.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use scaidrive_codecs::{Event, Severity};
use tokio::sync::mpsc;

use crate::ingest::acks::{push, push_refused};
use crate::ingest::http::Http;
use crate::ingest::http::body::Share;
use crate::ingest::http::frames::{Framing, LINES_MAX, Unframed};
use crate::ingest::http::problem::Problem;
use crate::ingest::ledger::{Held, Refusals, RefusedLine};
use crate::ingest::lines::HEAD_MAX;
use crate::ingest::quarantine::Entry;
use crate::ingest::stats::{IngestStats, TOO_LONG};
use crate::ingest::{index_line, short, too_long};
use crate::shard::door::{Batch, Outcome, Packed, ShardId, WhenFull};

/// Most refused lines named in one reply; the rest are a count.
const NAMED_MAX: usize = 10_000;

/// Lines judged before other requests get their turn.
const SLICE_LINES: usize = 256;

/// How long a reply waits for its events to become durable.
const DURABLE_MAX: Duration = Duration::from_secs(30);

/// Takes the events of one body and answers.
///
/// # Errors
/// 400 and 413 before anything was taken; 429 and 503 after the shards have spoken.
pub(super) async fn take(
    http: Arc<Http>,
    sender: SocketAddr,
    body: Vec<u8>,
    share: Share,
    framing: Framing,
) -> Result<Response, Problem> {
    let frames = framing.split(&body).map_err(unframed)?;
    let packed = std::iter::repeat_with(Packed::default).take(http.doors.shards()).collect();
    let mut delivery = Delivery { http, sender, packed, refusals: Refusals::default() };
    delivery.judge_all(body, frames).await;
    let fates = delivery.deliver().await;
    // Held until here, so that what waits for the disk counts.
    drop(share);
    fates.reply(&delivery.refusals)
}

struct Delivery {
    http: Arc<Http>,
    sender: SocketAddr,
    /// By shard.
    packed: Vec<Packed>,
    refusals: Refusals,
}

impl Delivery {
    fn stats(&self) -> &IngestStats {
        &self.http.intake.server
    }

    async fn judge_all(&mut self, mut body: Vec<u8>, frames: Vec<Range<usize>>) {
        for (at, frame) in frames.into_iter().enumerate() {
            if at % SLICE_LINES == SLICE_LINES - 1 {
                tokio::task::yield_now().await;
            }
            self.stats().lines.add(1);
            self.judge(at as u64 + 1, &mut body[frame]);
        }
    }

    fn judge(&mut self, line: u64, frame: &mut [u8]) {
        let raw = trim(frame);
        if raw.is_empty() {
            self.stats().blank.add(1);
            return;
        }
        let max = self.http.intake.max_event_size;
        if raw.len() > max {
            return self.refuse(line, too_long(raw.len() as u64, max), TOO_LONG, raw);
        }
        let index = match index_line(raw) {
            Ok(index) => index,
            Err(refusal) => return self.refuse(line, short(refusal.to_string()), refusal.code(), raw),
        };
        if index.severity() == Severity::Unknown {
            self.stats().unknown_severity.add(1);
        }
        let tenant_hash = Event::new(raw, &index).tenant_hash();
        let owner = self.http.doors.owner(tenant_hash);
        self.packed[owner.index()].push(raw, &index, tenant_hash);
    }

    fn refuse(&mut self, line: u64, reason: String, code: &'static str, raw: &[u8]) {
        self.stats().refuse(code);
        let entry = || Entry {
            wall_ms: wall_ms(),
            peer: format!("http {}", self.sender),
            code,
            reason: reason.clone(),
            bytes: raw.len() as u64,
            head: raw[..raw.len().min(HEAD_MAX)].to_vec(),
        };
        if let Some(drain) = self.http.intake.quarantine.put(entry) {
            tokio::task::spawn_blocking(|| drain.run());
        }
        self.refusals.push(NAMED_MAX, RefusedLine { line, reason, code });
    }

    /// Gives each shard its part and waits for their answers.
    async fn deliver(&mut self) -> Fates {
        // One message a shard at most.
        let (heard, mut hear) = mpsc::unbounded_channel();
        let mut open = Vec::with_capacity(self.packed.len());
        for (shard, packed) in self.packed.iter_mut().enumerate() {
            let events = std::mem::take(packed);
            let held = Held { events: events.len() as u64, bytes: events.bytes() as u64 };
            open.push(held);
            if held.events > 0 {
                let heard = heard.clone();
                let done = Box::new(move |outcome| {
                    // Nobody listens any more once the reply is sent.
                    let _ = heard.send((shard, outcome));
                });
                self.http.doors.deliver(ShardId(shard as u16), Batch { events, when_full: WhenFull::Refuse, done });
            }
        }
        drop(heard);
        let mut fates = Fates::default();
        let hearing = async {
            while let Some((shard, outcome)) = hear.recv().await {
                let held: Held = std::mem::take(&mut open[shard]);
                fates.add(held, outcome, &self.http.intake.server);
            }
        };
        let in_time = tokio::time::timeout(DURABLE_MAX, hearing).await.is_ok();
        let unheard: u64 = open.iter().map(|held| held.events).sum();
        if unheard > 0 {
            self.stats().abandoned.add(unheard);
            let why = if in_time { "a shard has ended" } else { "the disk did not answer in time" };
            fates.failed = Some(why.to_owned());
        }
        fates
    }
}

/// What the shards said.
#[derive(Debug, Default)]
struct Fates {
    accepted: u64,
    failed: Option<String>,
    /// Why, and when to come again.
    refused: Option<(String, u32)>,
}

impl Fates {
    fn add(&mut self, held: Held, outcome: Outcome, stats: &IngestStats) {
        match outcome {
            Outcome::Durable => {
                self.accepted += held.events;
                stats.accepted.add(held.events);
                stats.accepted_bytes.add(held.bytes);
                return;
            }
            Outcome::Failed { why } => self.failed = Some(why),
            Outcome::Refused { why, retry_after_s } => {
                let longest = self.refused.as_ref().map_or(0, |(_, seconds)| *seconds);
                self.refused = Some((why, retry_after_s.max(longest)));
            }
        }
        stats.failed.add(held.events);
    }

    fn reply(self, refusals: &Refusals) -> Result<Response, Problem> {
        if let Some(why) = self.failed {
            return Err(Problem::unavailable(why).with_accepted(self.accepted));
        }
        if let Some((why, retry_after_s)) = self.refused {
            return Err(Problem::too_much(why, retry_after_s).with_accepted(self.accepted));
        }
        let mut body = Vec::new();
        push(&mut body, format_args!("{{\"accepted\":{},\"refused\":", self.accepted));
        push_refused(&mut body, &refusals.named);
        if refusals.more > 0 {
            push(&mut body, format_args!(",\"refused_more\":{}", refusals.more));
        }
        body.extend_from_slice(b"}\n");
        Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
    }
}

fn unframed(why: Unframed) -> Problem {
    match why {
        Unframed::TooMany => {
            Problem::too_large(format!("a request may have {LINES_MAX} lines; send the events in parts"))
        }
        Unframed::Broken { at, why } => Problem::unframed(format!("the JSON array is broken at byte {at}: {why}")),
    }
}

fn trim(frame: &mut [u8]) -> &mut [u8] {
    let start = frame.len() - frame.trim_ascii_start().len();
    let end = start + frame[start..].trim_ascii_end().len();
    &mut frame[start..end]
}

/// For people who read the quarantine file.
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
