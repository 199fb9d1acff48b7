//! RELP: messages over one connection, in log order, each with an answer.
//!
//! A batch is settled by the answers to its messages. What has no answer when the session ends goes again in another
//! one, in order and before anything newer; what was answered does not.

use std::rc::Rc;

use scaidrive_codecs::{Body, Scratch};
use scaidrive_wal::Record;

use super::{
    FINISH_MAX, IDLE_MAX, Next, Sent, encode_if_needed, failed, lone_body, misconfigured, next_job, payload_of,
    poll_now, settle, settle_lone,
};
use crate::alarm::Alarm;
use crate::delivery::outlet::OutletJob;
use crate::delivery::sender::{Item, Outcome};
use crate::shard::{Place, Shard};
use crate::transport::{self, Answers, RelpConnection};

/// See the module.
pub(super) struct RelpCarrier<'a> {
    shard: &'a Rc<Shard>,
    place: &'a Rc<Place>,
    alarm: Alarm,
    connection: Option<RelpConnection>,
    scratch: Scratch,
}

impl<'a> RelpCarrier<'a> {
    pub(super) fn new(shard: &'a Rc<Shard>, place: &'a Rc<Place>) -> RelpCarrier<'a> {
        RelpCarrier { shard, place, alarm: Alarm::new(&shard.runtime), connection: None, scratch: Scratch::default() }
    }

    pub(super) async fn run(&mut self) {
        loop {
            if self.shard.is_stopping() || self.place.is_closed.get() {
                return self.finish().await;
            }
            let closed = closed(&mut self.connection);
            match next_job(self.shard, self.place, &mut self.alarm, IDLE_MAX, closed).await {
                Next::Again => self.notice_close(),
                Next::End => return self.finish().await,
                Next::Job(OutletJob::Events(mut job)) => {
                    if let Err(misfit) = encode_if_needed(self.shard, self.place, &mut job, &mut self.scratch) {
                        settle(self.shard, self.place, job, misfit);
                        continue;
                    }
                    let outcome = match self.exchange(&job.batch.body, &job.batch.items).await {
                        Ok(answers) => outcome(answers, job.batch.items.len()),
                        Err(outcome) => outcome,
                    };
                    settle(self.shard, self.place, job, outcome);
                }
                Next::Job(OutletJob::Lone(job)) => {
                    let sent = match lone_body(self.shard, self.place, &job, &mut self.scratch) {
                        Ok(body) => self.send_lone(&body).await,
                        Err(sent) => sent,
                    };
                    settle_lone(self.shard, self.place, &job, sent);
                }
            }
        }
    }

    async fn send_lone(&mut self, body: &Body) -> Sent {
        match self.exchange(body, &[]).await {
            Ok(answers) => {
                let may_have_arrived = !answers.unanswered.is_empty();
                Sent { outcome: outcome(answers, 1), may_have_arrived }
            }
            Err(outcome) => Sent::answered(outcome),
        }
    }

    /// Sends one body and waits for its answers. Without items it is one event alone.
    async fn exchange(&mut self, body: &Body, items: &[Item<Record>]) -> Result<Answers, Outcome> {
        self.notice_close();
        let runtime = &self.shard.runtime;
        let endpoint = self.place.route.endpoint(runtime, 0).await.map_err(misconfigured)?;
        let timeout = endpoint.request_timeout;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let fresh = Box::pin(transport::connect(runtime, &endpoint)).await.map_err(|error| failed(&error))?;
                RelpConnection::open(runtime, fresh, timeout).await.map_err(|error| failed(&error))?
            }
        };
        let slices = body.slices(payload_of(items));
        let answers = connection.exchange(runtime, slices, items.len().max(1), timeout).await;
        if answers.ended.is_none() {
            self.connection = Some(connection);
        }
        Ok(answers)
    }

    /// The server ended the session while nothing was under way: nothing is lost, the next message opens another one.
    fn notice_close(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        // The poll looks at the socket once; it neither waits nor wakes.
        if poll_now(connection.closed()).is_some() {
            self.connection = None;
        }
    }

    async fn finish(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.finish(&self.shard.runtime, FINISH_MAX).await;
        }
    }
}

/// What the answers to a batch of `messages` messages mean.
fn outcome(answers: Answers, messages: usize) -> Outcome {
    let Answers { accepted, mut refused, unanswered, ended } = answers;
    match ended {
        // Nothing was achieved: the next try waits.
        Some(error) if unanswered.len() == messages => failed(&error),
        // Something was, so the rest goes again at once, and the words about the end come with the next failure.
        Some(_) => Outcome::AcceptedBut { refused, again: unanswered, slow_down: false, note: None },
        None if refused.is_empty() => Outcome::Accepted { slow_down: false },
        // Answers that refuse every message blame the batch: the search for the one at fault decides.
        None if accepted == 0 => {
            let why = refused.pop().map_or_else(String::new, |(_, why)| why);
            Outcome::Refused { offender: None, why }
        }
        None => Outcome::AcceptedBut { refused, again: Vec::new(), slow_down: false, note: None },
    }
}

/// Resolves when the server ends the session or the connection.
async fn closed(connection: &mut Option<RelpConnection>) {
    match connection {
        Some(connection) => drop(connection.closed().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::gate::Hold;
    use crate::transport::{FailureKind, Stage, TransportError};

    fn ended() -> Option<TransportError> {
        let what = String::from("the receiver closed the RELP session");
        Some(TransportError { stage: Stage::Reply, kind: FailureKind::Closed, outcome_unknown: false, what, tls: None })
    }

    #[test]
    fn what_was_answered_never_goes_again_and_what_was_not_always_does() {
        let all = Answers { accepted: 3, ..Answers::default() };
        assert_eq!(outcome(all, 3), Outcome::Accepted { slow_down: false });
        let some = Answers { accepted: 1, refused: vec![(1, "500 no".into())], unanswered: vec![2], ended: ended() };
        let refused = vec![(1, String::from("500 no"))];
        assert_eq!(outcome(some, 3), Outcome::AcceptedBut { refused, again: vec![2], slow_down: false, note: None });
        let none = Answers { unanswered: vec![0, 1], ended: ended(), ..Answers::default() };
        let Outcome::Retry { hold, why, .. } = outcome(none, 2) else { panic!("nothing was answered") };
        assert!(hold == Hold::Unreachable && why.contains("closed the RELP session"));
    }

    #[test]
    fn connectors_8_2_a_refused_message_is_named_and_a_refused_batch_is_searched() {
        let one = Answers { accepted: 1, refused: vec![(0, "500 no".into())], ..Answers::default() };
        let refused = vec![(0, String::from("500 no"))];
        assert_eq!(outcome(one, 2), Outcome::AcceptedBut { refused, again: Vec::new(), slow_down: false, note: None });
        let every = Answers { refused: vec![(0, "500 no".into()), (1, "500 never".into())], ..Answers::default() };
        assert_eq!(outcome(every, 2), Outcome::Refused { offender: None, why: "500 never".into() });
    }
}
