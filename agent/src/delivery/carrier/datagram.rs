//! Syslog over UDP: one message, one datagram, in log order.
//!
//! Nothing answers, so delivered means *sent*: the kernel took the datagram. What can be noticed is that nobody listened
//! (ICMP). The batch at hand then goes again after a while; what was sent and settled before is gone, and nobody can
//! know how much that was. After such a refusal each batch waits a moment for the next one before it counts as sent, so
//! that a receiver that is away costs one batch and not one each round trip.

use std::rc::Rc;

use scaidrive_codecs::framing::CountedMessages;
use scaidrive_codecs::{Body, Scratch};
use scaidrive_wal::Record;

use super::{
    IDLE_MAX, Next, Sent, encode_if_needed, failed, lone_body, misconfigured, next_job, payload_of, settle, settle_lone,
};
use crate::alarm::Alarm;
use crate::delivery::outlet::OutletJob;
use crate::delivery::sender::{Item, Outcome};
use crate::shard::{Place, Shard};
use crate::time::Millis;
use crate::transport::{DatagramError, DatagramSocket, Endpoint, TransportError};

/// See the module.
pub(super) struct DatagramCarrier<'a> {
    shard: &'a Rc<Shard>,
    place: &'a Rc<Place>,
    alarm: Alarm,
    /// The socket, and when its receiver's name was looked up.
    socket: Option<(DatagramSocket, Millis)>,
    /// The last batch was refused.
    is_doubtful: bool,
    datagram: Vec<u8>,
    scratch: Scratch,
}

impl<'a> DatagramCarrier<'a> {
    pub(super) fn new(shard: &'a Rc<Shard>, place: &'a Rc<Place>) -> DatagramCarrier<'a> {
        DatagramCarrier {
            shard,
            place,
            alarm: Alarm::new(&shard.runtime),
            socket: None,
            is_doubtful: false,
            datagram: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    pub(super) async fn run(&mut self) {
        loop {
            match next_job(self.shard, self.place, &mut self.alarm, IDLE_MAX, std::future::pending()).await {
                Next::Again => {}
                Next::End => return,
                Next::Job(OutletJob::Events(mut job)) => {
                    if let Err(misfit) = encode_if_needed(self.shard, self.place, &mut job, &mut self.scratch) {
                        settle(self.shard, self.place, job, misfit);
                        continue;
                    }
                    let outcome = self.send(&job.batch.body, &job.batch.items).await;
                    settle(self.shard, self.place, job, outcome);
                }
                Next::Job(OutletJob::Lone(job)) => {
                    let sent = match lone_body(self.shard, self.place, &job, &mut self.scratch) {
                        // Whatever is said of it, it may be there.
                        Ok(body) => Sent { outcome: self.send(&body, &[]).await, may_have_arrived: true },
                        Err(sent) => sent,
                    };
                    settle_lone(self.shard, self.place, &job, sent);
                }
            }
        }
    }

    /// Sends each message of a body. Without items it is one event alone.
    async fn send(&mut self, body: &Body, items: &[Item<Record>]) -> Outcome {
        let endpoint = match self.place.route.endpoint(&self.shard.runtime, 0).await {
            Ok(endpoint) => endpoint,
            Err(why) => return misconfigured(why),
        };
        match self.send_each(&endpoint, body, items).await {
            Ok(too_long) => outcome(too_long, items.len().max(1)),
            Err(error) => {
                self.is_doubtful = true;
                failed(&error)
            }
        }
    }

    /// Returns the messages that no datagram can carry, each with the reason. After a failure there is no socket any more:
    /// it may have the address of yesterday.
    async fn send_each(
        &mut self,
        endpoint: &Endpoint,
        body: &Body,
        items: &[Item<Record>],
    ) -> Result<Vec<(usize, String)>, TransportError> {
        let runtime = &self.shard.runtime;
        let is_fresh = |at: Millis| runtime.now().since(at) < LOOK_UP_AGE;
        let (socket, looked_up) = match self.socket.take().filter(|(_, at)| is_fresh(*at)) {
            Some(socket) => socket,
            None => (DatagramSocket::open(runtime, endpoint).await?, runtime.now()),
        };
        socket.refusal().map_or(Ok(()), Err)?;
        let mut messages = CountedMessages::new(body.slices(payload_of(items)));
        let (mut parts, mut too_long) = (Vec::new(), Vec::new());
        for place in 0.. {
            if messages.next_into(&mut parts).is_none() {
                break;
            }
            self.datagram.clear();
            parts[1..].iter().for_each(|part| self.datagram.extend_from_slice(part));
            match socket.send(runtime, &self.datagram, endpoint.request_timeout).await {
                Ok(()) => {}
                Err(DatagramError::TooLong { why }) => too_long.push((place, why)),
                Err(DatagramError::Failed(error)) => return Err(error),
            }
        }
        if self.is_doubtful {
            runtime.sleep(REFUSAL_WAIT).await;
        }
        socket.refusal().map_or(Ok(()), Err)?;
        self.is_doubtful = false;
        self.socket = Some((socket, looked_up));
        Ok(too_long)
    }
}

/// What it means that these of so many messages were too long, and all others were sent.
fn outcome(mut too_long: Vec<(usize, String)>, messages: usize) -> Outcome {
    if too_long.is_empty() {
        return Outcome::Accepted { slow_down: false };
    }
    // Where none could be sent the way is too narrow for all: the search for the one at fault decides.
    if too_long.len() == messages {
        let why = too_long.pop().map_or_else(String::new, |(_, why)| why);
        return Outcome::Refused { offender: None, why };
    }
    Outcome::AcceptedBut { refused: too_long, again: Vec::new(), slow_down: false, note: None }
}

/// After this the receiver's name is looked up again: nothing else would show that it has moved.
const LOOK_UP_AGE: Millis = Millis::from_secs(300);
/// How long a batch waits for word that nobody listens, when the last one met nobody.
const REFUSAL_WAIT: Millis = Millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connectors_7_4_a_message_too_long_for_a_datagram_is_refused_with_its_reason() {
        assert_eq!(outcome(Vec::new(), 2), Outcome::Accepted { slow_down: false });
        let one = vec![(1, String::from("too long"))];
        assert_eq!(
            outcome(one.clone(), 2),
            Outcome::AcceptedBut { refused: one, again: Vec::new(), slow_down: false, note: None }
        );
        let every = vec![(0, String::from("too long"))];
        assert_eq!(outcome(every, 1), Outcome::Refused { offender: None, why: "too long".into() });
    }
}
