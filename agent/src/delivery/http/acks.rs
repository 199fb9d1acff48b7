//! Splunk's indexer acknowledgement: what was accepted is delivered once an indexer says so, and until then it is parked
//! here. When to ask, and what has waited too long, is decided in [`Pending`].

use std::iter::once;

use scaidrive_codecs::hec::{ACK_PATH, CHANNEL_HEADER, EVENT_PATH, Unanswered, ack_query, acknowledged};
use scaidrive_codecs::http::Reply;
use scaidrive_codecs::{RequestParts, Verdict};

use super::head::Whole;
use super::{HttpCarrier, REPLY_MAX};
use crate::config::{HecAck, Kind};
use crate::delivery::acks::Pending;
use crate::delivery::carrier::{Sent, misconfigured, read_on, settle_late};
use crate::delivery::gate::Hold;
use crate::delivery::outlet::OutletJob;
use crate::delivery::sender::Outcome;
use crate::runtime::Runtime;
use crate::time::Millis;

/// What one carrier has with a destination that acknowledges later: a channel of its own, and cookies that lead to the
/// same indexer again.
pub(super) struct AckSession {
    channel: String,
    cookies: Vec<(String, String)>,
    pending: Pending<OutletJob>,
    /// A token without acknowledgement is a wrong setting.
    is_demanded: bool,
    /// The token has shown that it has acknowledgement.
    is_confirmed: bool,
}

impl HttpCarrier<'_> {
    /// For how long nothing is to be asked; `None` when nothing waits to be acknowledged.
    pub(super) fn until_question(&self) -> Option<Millis> {
        self.acks.as_ref()?.pending.patience(self.shard.runtime.now())
    }

    /// Keeps what was accepted under a number until it is acknowledged.
    pub(super) fn park(&mut self, id: u64, mut job: OutletJob, slow_down: bool) {
        self.place.outlet.borrow_mut().parked(&mut job, slow_down);
        read_on(self.shard, self.place);
        let Some(acks) = &mut self.acks else { return };
        if acks.pending.is_from_another(id) {
            // On a channel of its own no old answer can be taken for a new one.
            let mut lost = acks.pending.give_up();
            lost.push(job);
            acks.channel = guid(self.shard.runtime.entropy(), self.shard.runtime.entropy());
            self.head_of = None;
            return self.send_again(lost, "another indexer answers, which knows nothing of what waited");
        }
        acks.pending.push(id, job, self.shard.runtime.now());
    }

    /// Asks what was acknowledged when it is time, and sends again what has waited too long.
    pub(super) async fn look_after_acks(&mut self) {
        let runtime = &self.shard.runtime;
        let Some(acks) = &mut self.acks else { return };
        let is_ending = self.shard.is_stopping() || self.place.is_closed.get();
        if acks.pending.patience(runtime.now()).is_some_and(|wait| is_ending || wait == Millis::ZERO) {
            let body = ack_query(acks.pending.question());
            let answer = Box::pin(self.ask_for_acks(&body)).await;
            let (now, Some(acks)) = (self.shard.runtime.now(), &mut self.acks) else { return };
            let ids = answer.unwrap_or_else(|unanswered| {
                // The next question may be answered; until then nothing is known.
                tracing::debug!(destination = %self.place.destination.name, "no acknowledgements: {}", unanswered.why);
                Vec::new()
            });
            for job in acks.pending.answered(&ids, now) {
                settle_late(self.shard, self.place, job, Outcome::Accepted { slow_down: false });
            }
        }
        let now = self.shard.runtime.now();
        let overdue = self.acks.as_mut().map(|acks| acks.pending.overdue(now)).unwrap_or_default();
        if !overdue.is_empty() {
            self.send_again(overdue, "it was accepted and not acknowledged within 5 minutes");
        }
        if is_ending {
            self.give_back("it was not acknowledged before the agent ended");
        }
    }

    /// Where acknowledgement is demanded, the token shows that it has it before an event goes out: one that has none would
    /// store every probe.
    ///
    /// # Errors
    /// How whatever was to be sent ends, unsent.
    pub(super) async fn confirm_acks(&mut self) -> Result<(), Sent> {
        if self.acks.as_ref().is_none_or(|acks| !acks.is_demanded || acks.is_confirmed) {
            return Ok(());
        }
        match Box::pin(self.ask_for_acks(&ack_query(once(0)))).await {
            Err(Unanswered { is_disabled: true, why }) => {
                Err(Sent::answered(misconfigured(format!("{NO_ACKNOWLEDGEMENT}: {why}"))))
            }
            // What else is in the way is met again by the event, and judged there.
            Err(_) => Ok(()),
            Ok(_) => {
                self.acks.iter_mut().for_each(|acks| acks.is_confirmed = true);
                Ok(())
            }
        }
    }

    /// Asks one question, on the connection that is open or on a new one. Returns the numbers that are acknowledged.
    async fn ask_for_acks(&mut self, body: &str) -> Result<Vec<u64>, Unanswered> {
        let unasked = |why: String| Unanswered { is_disabled: false, why };
        let mut open = match self.take_connection() {
            Some(open) => open,
            None => match self.connect().await {
                Ok(Ok(open)) => open,
                Ok(Err(outcome)) => return Err(unasked(format!("{outcome:?}"))),
                Err(error) => return Err(unasked(error.to_string())),
            },
        };
        let target = self.format.request().path.replace(EVENT_PATH, ACK_PATH);
        let request = RequestParts { path: target, ..self.format.request().clone() };
        let visit = |visit: &mut dyn FnMut(&[u8])| visit(body.as_bytes());
        let headers = [request.headers.clone(), self.session_headers()].concat();
        let whole = Whole { headers, length: body.len(), coding: None, plain: &visit, sent: &visit };
        let written = self.write_head(open.target, &request, &whole).await;
        written.map_err(|outcome| unasked(format!("{outcome:?}")))?;
        let runtime = &self.shard.runtime;
        let timeout = self.place.destination.timeouts.request;
        let slices = once(body.as_bytes());
        let exchanges = &self.shard.exchanges;
        let reply = exchanges.exchange(runtime, &mut open.connection, &self.head, slices, timeout, REPLY_MAX).await;
        let reply = reply.map_err(|error| unasked(error.to_string()))?;
        if reply.keep_alive {
            self.connection = Some(open);
        }
        self.note_cookies(&reply);
        acknowledged(&reply)
    }

    /// Keeps what a reply says to a carrier that waits for acknowledgements, and says what it means for one.
    pub(super) fn heard(&mut self, reply: &Reply, verdict: Verdict) -> Verdict {
        self.note_cookies(reply);
        let (Some(acks), Verdict::Delivered { .. }) = (&self.acks, &verdict) else { return verdict };
        self.ack_id = self.format.acknowledgement(reply);
        if acks.is_demanded && self.ack_id.is_none() {
            return Verdict::Misconfigured { why: NO_ACKNOWLEDGEMENT.to_owned() };
        }
        verdict
    }

    /// Cookies lead to the indexer that knows the numbers. Balancers change them all the time and still lead there; when
    /// they don't, the numbers show it.
    fn note_cookies(&mut self, reply: &Reply) {
        if self.acks.as_mut().is_some_and(|acks| acks.note_cookies(reply)) {
            self.head_of = None;
        }
    }

    /// What the destination must know about this carrier.
    pub(super) fn session_headers(&self) -> Vec<(String, String)> {
        self.acks.as_ref().map(AckSession::headers).unwrap_or_default()
    }

    fn send_again(&self, jobs: Vec<OutletJob>, why: &str) {
        for job in jobs {
            let outcome = Outcome::Retry { hold: Hold::Trouble, after: None, why: why.to_owned() };
            settle_late(self.shard, self.place, job, outcome);
        }
    }

    /// Nobody will ask for what is still waiting.
    pub(super) fn give_back(&mut self, why: &str) {
        let waiting = self.acks.as_mut().map(|acks| acks.pending.give_up()).unwrap_or_default();
        self.send_again(waiting, why);
    }
}

impl AckSession {
    /// Where the kind and its settings have acknowledgement.
    pub(super) fn new(kind: &Kind, runtime: &dyn Runtime) -> Option<AckSession> {
        let Kind::SplunkHec(hec) = kind else { return None };
        (hec.ack != HecAck::Off).then(|| AckSession {
            channel: guid(runtime.entropy(), runtime.entropy()),
            cookies: Vec::new(),
            pending: Pending::default(),
            is_demanded: hec.ack == HecAck::On,
            is_confirmed: false,
        })
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![(CHANNEL_HEADER.to_owned(), self.channel.clone())];
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers.push(("Cookie".to_owned(), pairs.join("; ")));
        }
        headers
    }

    /// Keeps the cookies of a reply (RFC 6265, section 5.2, without their attributes). Returns whether one is new.
    fn note_cookies(&mut self, reply: &Reply) -> bool {
        let mut is_new = false;
        for (_, value) in reply.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let pair = value.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
                continue;
            };
            let is_sendable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
            if name.is_empty() || !is_sendable(name) || !is_sendable(value) {
                continue;
            }
            match self.cookies.iter().position(|(known, _)| known == name) {
                Some(at) if self.cookies[at].1 == value => {}
                Some(at) => {
                    self.cookies[at].1 = value.to_owned();
                    is_new = true;
                }
                None if self.cookies.len() < COOKIES_MAX => {
                    self.cookies.push((name.to_owned(), value.to_owned()));
                    is_new = true;
                }
                None => {}
            }
        }
        is_new
    }
}

/// A random GUID (RFC 9562, section 5.4).
pub(crate) fn guid(high: u64, low: u64) -> String {
    let bits = (u128::from(high) << 64) | u128::from(low);
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{bits:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

const NO_ACKNOWLEDGEMENT: &str = "the token has no indexer acknowledgement, which ack = \"on\" demands";
/// Cookies that are kept; a balancer sets one or two.
const COOKIES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_guid_of_the_random_kind() {
        assert_eq!(guid(0, 0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(guid(u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn lesson_21_cookies_are_kept_and_the_newest_of_each_name_is_sent() {
        let mut session = AckSession {
            channel: "c".into(),
            cookies: Vec::new(),
            pending: Pending::default(),
            is_demanded: false,
            is_confirmed: false,
        };
        let reply = |value: &str| Reply { headers: vec![("set-cookie".into(), value.into())], ..Reply::default() };
        for value in ["AWSALB=one; Path=/; Secure", "AWSALB=one", "other = x"] {
            session.note_cookies(&reply(value));
        }
        assert_eq!(session.headers()[1], ("Cookie".to_owned(), "AWSALB=one; other=x".to_owned()));
        assert!(session.note_cookies(&reply("AWSALB=two")), "the next head says so");
        for value in ["AWSALB=two", "bad=a\tb", "nothing"] {
            assert!(!session.note_cookies(&reply(value)));
        }
        assert_eq!(session.headers()[1], ("Cookie".to_owned(), "AWSALB=two; other=x".to_owned()));
    }
}
