//! What a shard says about the agent: as events in its log, and in the chronicle.
//!
//! An own event belongs to the tenant of the destination that it is about where that has exactly one, and to the agent's
//! own tenant otherwise; then the chronicle says as well whom it concerns (`concern.rs`). Notices of losses are in the chronicle alone: in the log those of one destination that is down
//! would be lost by the next, and be a loss to tell of.

use std::ops::Range;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use scaidrive_codecs::own::{Envelope, IntakeChanged, LogDamaged, OwnEvent};
use scaidrive_codecs::{Event, Index, Scope};
use scaidrive_wal::{Log, Seq};
use serde_json::{Value, json};

use super::door::{Done, NoRoom, Outcome};
use super::intake::{Intake, Moment};
use super::{Chance, Place, Shard};
use crate::concern;
use crate::config::Destination;
use crate::delivery::outlet::FLAG_OWN;
use crate::stream::announce::Announcement;
use crate::stream::tell::{Names, id_text};

impl Shard {
    /// Says something about the agent itself.
    pub fn tell(&self, event: OwnEvent) {
        self.tell_under(self.planned(&event).map(|known| known.scope.clone()).as_ref(), &event);
    }

    /// The same about a destination of this scope, or about none, whatever the plan says of it.
    pub(super) fn tell_under(&self, scope: Option<&Scope>, event: &OwnEvent) {
        let line = self.line(scope.and_then(Scope::only_tenant), event, &self.own_id());
        self.say(line, scope.and_then(Scope::exact).unwrap_or_default(), None);
    }

    /// The same, filed under this tenant or the agent's own, for somebody who has to know when it is durable in the log.
    pub(super) fn tell_durably(&self, tenant: Option<&str>, event: &OwnEvent, done: Done) {
        let line = self.line(tenant, event, &self.own_id());
        let tenants = if tenant.is_none() { self.concerned(event) } else { Vec::new() };
        self.say(line, &tenants, Some(done));
    }

    /// The destination that an event is about, as the plan has it.
    fn planned(&self, event: &OwnEvent) -> Option<Arc<Destination>> {
        let (plan, name) = (self.plan.borrow(), event.destination()?);
        let mut planned = plan.destinations.iter().map(|planned| &planned.destination);
        planned.find(|known| known.name == name).cloned()
    }

    /// The tenants that an event concerns: those that it names itself, for it may be why the plan has others or none.
    fn concerned(&self, event: &OwnEvent) -> Vec<String> {
        let told = concern::set_up_for(event);
        if !told.is_empty() {
            return told;
        }
        let planned = self.planned(event);
        planned.and_then(|known| known.scope.exact().map(<[String]>::to_vec)).unwrap_or_default()
    }

    fn own_id(&self) -> String {
        format!("siem_{:016x}{:016x}", self.runtime.entropy(), self.runtime.entropy())
    }

    /// Those for whom somebody waits have room of their own: what destinations have to say must not take it.
    fn say(&self, line: Vec<u8>, tenants: &[String], done: Option<Done>) {
        let line = short(line);
        let mut waiting = self.own_waiting.borrow_mut();
        let alike = waiting.iter().filter(|(_, known)| known.is_some() == done.is_some());
        let (count, bytes) = alike.fold((0, 0), |(count, bytes), (line, _)| (count + 1, bytes + line.len()));
        let has_room = count < OWN_WAITING_MAX && bytes < OWN_WAITING_BYTES_MAX;
        // Who waits for one without room says it again, and not each time to the chronicle.
        if has_room || done.is_none() {
            self.chronicle.note(concern::name(line.clone(), tenants));
        }
        if has_room {
            waiting.push((line, done));
        }
    }

    fn line(&self, tenant: Option<&str>, event: &OwnEvent, event_id: &str) -> Vec<u8> {
        event.to_json(&Envelope {
            event_id,
            timestamp_ms: self.runtime.wall_ms(),
            tenant_id: tenant.unwrap_or(&self.identity.tenant),
            node: &self.identity.node,
        })
    }

    /// Appends what waits for room in the log.
    pub(super) fn append_own(&self, log: &mut Log, intake: &mut Intake, moment: Moment) {
        let mut lines = self.own_waiting.take().into_iter();
        while let Some((line, done)) = lines.next() {
            let index = match scaidrive_codecs::index(&line) {
                Ok(index) if fits(log, &line, &index) => index,
                // It never will, and what comes behind it must not wait for that.
                refused => {
                    let too_long = || String::from("it is longer than a segment");
                    let why = refused.err().map_or_else(too_long, |problem| problem.to_string());
                    tracing::error!(shard = self.id.0, "the log can't have an event of the agent's own: {why}");
                    if let Some(done) = done {
                        done(Outcome::Refused { why, retry_after_s: 0 });
                    }
                    continue;
                }
            };
            if self.append_one(log, intake, moment, &line, &index).is_err() {
                // Where this one has no room, no other is looked at.
                let mut waiting = self.own_waiting.borrow_mut();
                waiting.push((line, done));
                waiting.extend(lines);
                return;
            }
            intake.end_group(log, done.unwrap_or_else(|| Box::new(|_| {})));
        }
    }

    fn append_one(
        &self,
        log: &mut Log,
        intake: &mut Intake,
        moment: Moment,
        raw: &[u8],
        index: &Index,
    ) -> Result<(), NoRoom> {
        let hash = Event::new(raw, index).tenant_hash();
        intake.append(log, moment, raw, index, hash, FLAG_OWN)
    }

    /// Notes what a stream has lost, when it is time to; `is_last` says that nobody will ask again.
    pub(super) fn overhear(&self, place: &Place, is_last: bool) {
        let notices = place.outlet.borrow_mut().overhear(is_last, self.runtime.now(), &mut Chance(&*self.runtime));
        if notices.is_empty() {
            return;
        }
        let outlet = place.outlet.borrow();
        let stream = |epoch: &[u8; 16]| outlet.stream().of_epoch(*epoch);
        let names = Names { destination: &place.destination.name, shard: self.id.0, stream: &stream };
        for notice in &notices {
            let event = Announcement::Gap(notice).to_own(&names);
            // As the destination was when it lost them: the plan may know another of this name by now.
            let scope = &place.destination.scope;
            let line = self.line(scope.only_tenant(), &event, &id_text(&notice.id));
            self.chronicle.note(concern::name(line, scope.exact().unwrap_or_default()));
        }
    }

    /// Says when producers have to wait because there is no room, and when they need not any more.
    pub(super) fn tell_intake(&self) {
        let why = self.intake.borrow().why_no_room().map(str::to_owned);
        if self.is_accepting.replace(why.is_none()) == why.is_none() {
            return;
        }
        match &why {
            Some(why) => tracing::error!(shard = self.id.0, "no events are taken: {why}"),
            None => tracing::info!(shard = self.id.0, "events are taken again"),
        }
        self.tell(OwnEvent::IntakeChanged(IntakeChanged {
            shard: self.id.0,
            accepting: why.is_none(),
            cause: why.unwrap_or_else(|| String::from("there is room again")),
        }));
    }

    pub(super) fn tell_damage(&self, missing: &Range<Seq>) {
        if self.told_damage.iter().any(|told| told.start < missing.end && missing.start < told.end) {
            return;
        }
        tracing::error!(
            shard = self.id.0,
            "records {} to {} of the log are damaged",
            missing.start.get(),
            missing.end.get()
        );
        self.tell(OwnEvent::LogDamaged(LogDamaged {
            shard: self.id.0,
            segment: String::new(),
            bytes: 0,
            from_seq: missing.start.get(),
            end_seq: Some(missing.end.get()),
            found_while: String::from("reading"),
        }));
    }
}

/// Whether the log can have a line when it has room.
fn fits(log: &Log, line: &[u8], index: &Index) -> bool {
    let mut encoded = Vec::new();
    index.encode(&mut encoded);
    encoded.len() + line.len() <= log.max_body()
}

/// A line as it is, or where it is longer than [`LINE_BYTES_MAX`] with a sum in place of each member of the payload that is
/// long.
fn short(line: Vec<u8>) -> Vec<u8> {
    if line.len() <= LINE_BYTES_MAX {
        return line;
    }
    let Ok(mut event) = serde_json::from_slice::<Value>(&line) else { return line };
    let payload = event.get_mut("payload").and_then(Value::as_object_mut);
    for (_, member) in payload.into_iter().flatten() {
        let text = member.to_string();
        if text.len() > MEMBER_BYTES_MAX {
            let sum = digest(&SHA256, text.as_bytes());
            let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            *member = json!({"bytes": text.len(), "sha256": sum});
        }
    }
    tracing::warn!("an event of the agent's own of {} bytes is told without what is long in it", line.len());
    event.to_string().into_bytes()
}

/// Own events that wait for room in the log, of those that somebody waits for and of the others each.
const OWN_WAITING_MAX: usize = 4_096;
/// Their bytes, but for the last one's.
const OWN_WAITING_BYTES_MAX: usize = 16 << 20;
/// Bytes of an own event: the smallest segment and the chronicle's inbox have room for it.
const LINE_BYTES_MAX: usize = 512 << 10;
/// Bytes of a member of one that is longer.
const MEMBER_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_event_is_told_with_sums_in_place_of_what_is_long_in_it() {
        let of =
            |bytes: usize| json!({"action": "a", "payload": {"who": "x", "before": null, "after": "y".repeat(bytes)}});
        let whole = of(LINE_BYTES_MAX / 2).to_string().into_bytes();
        assert_eq!(short(whole.clone()), whole);
        let cut = short(of(LINE_BYTES_MAX).to_string().into_bytes());
        let told: Value = serde_json::from_slice(&cut).unwrap();
        assert_eq!((&told["action"], &told["payload"]["who"]), (&json!("a"), &json!("x")));
        assert_eq!(told["payload"]["after"]["bytes"], LINE_BYTES_MAX + 2);
        assert_eq!(told["payload"]["after"]["sha256"].as_str().map(str::len), Some(64));
    }
}
