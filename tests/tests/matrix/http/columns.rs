//! The columns: what a stand-in does to the requests of a share, which event it never takes, and what that may cost.

use std::time::Duration;

use scaidrive_tests::generator::Key;
use scaidrive_tests::receiver::{Fault, Predicate, Receiver, Request, RequestLog, RetryAfter, Rules};

use super::rows::{Row, Tells, TooLong};
use super::run::Share;
use super::seen::Seen;

/// One fault.
pub(super) struct Column {
    /// What it is called.
    pub(super) name: &'static str,
    /// What the stand-in does; nothing where the fault is another.
    pub(super) plan: fn(&Row, &Share) -> Option<Plan>,
    /// The event that the receiver never takes, and its words for that.
    pub(super) refuses: fn(&Row, &Share) -> Option<(Key, &'static str)>,
    /// The share has an event of [`LONG_BYTES`] in it.
    pub(super) has_long_event: bool,
    /// The credential ends before the share is written, and is replaced when the agent has noticed.
    pub(super) ends_credential: bool,
    /// Whether an event may come twice.
    pub(super) repeats: fn(&Row) -> bool,
    /// What it cost, or the promise that it broke.
    pub(super) judge: fn(&Row, &Share, &Seen) -> Result<String, String>,
}

/// What a stand-in does.
pub(super) struct Plan {
    fault: Fault,
    to: To,
}

/// To which requests.
enum To {
    /// To this many with events.
    Some(u32),
    /// To all with events.
    All,
    /// To those with a body longer than this, in bytes.
    Longer(usize),
}

/// A column about bodies that are too large.
pub(super) const TOO_LARGE: &str = "413";
/// How long the agent waits for an answer: long enough for a stand-in on a busy machine.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Length of the long event: more than any of these receivers takes in one event or, where it has no such limit, in a body.
pub(super) const LONG_BYTES: usize = 1_100_000;
const LONG_BODY_BYTES: usize = 1_000_000;
/// Less than 200 events take in any format, and more than 100.
const LARGE_BODY_BYTES: usize = 110_000;
const RETRY_AFTER: Duration = Duration::from_secs(4);
/// Within this, an answer is read, also on a busy machine; until then requests may begin.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// Requests that an agent has under way at most.
const UNDER_WAY_MAX: usize = 4;

/// A receiver that is well.
const WELL: Column = Column {
    name: "",
    plan: |_, _| None,
    refuses: |_, _| None,
    has_long_event: false,
    ends_credential: false,
    repeats: |_| false,
    judge: |_, _, seen| at_most(seen.more(), 1, ""),
};

pub(super) const COLUMNS: &[Column] = &[
    Column {
        name: "poison event",
        plan: |row, share| {
            let when = Predicate::contains(&share.poison.event_id());
            let names_event = row.tells == Tells::Which;
            Some(Plan { fault: Fault::RefuseEvents { when, names_event, keeps_prefix: row.keeps_prefix }, to: To::All })
        },
        refuses: |row, share| Some((share.poison, row.bad_event)),
        repeats: |row| row.keeps_prefix,
        judge: judge_poison,
        ..WELL
    },
    Column {
        name: "oversize event",
        plan: |row, _| match row.too_long {
            TooLong::Refused(_) => Some(Plan { fault: status(413, None), to: To::Longer(LONG_BODY_BYTES) }),
            TooLong::Shortened(_) => None,
        },
        refuses: |row, share| match row.too_long {
            TooLong::Refused(words) => Some((share.long, words)),
            TooLong::Shortened(_) => None,
        },
        has_long_event: true,
        judge: judge_long,
        ..WELL
    },
    Column {
        name: "429",
        plan: |_, _| {
            let wait = RetryAfter::Seconds(RETRY_AFTER.as_secs() as u32);
            Some(Plan { fault: status(429, Some(wait)), to: To::Some(1) })
        },
        judge: judge_throttled,
        ..WELL
    },
    Column {
        name: TOO_LARGE,
        plan: |_, _| Some(Plan { fault: status(413, None), to: To::Longer(LARGE_BODY_BYTES) }),
        judge: judge_large,
        ..WELL
    },
    Column { name: "500", plan: |_, _| Some(Plan { fault: Fault::internal_error(), to: To::Some(1) }), ..WELL },
    Column {
        name: "timeout after the body",
        plan: |_, _| {
            let beyond = REQUEST_TIMEOUT + Duration::from_secs(1);
            Some(Plan { fault: Fault::SlowReply(beyond), to: To::Some(1) })
        },
        repeats: |row| !row.knows_repeats,
        judge: judge_timeout,
        ..WELL
    },
    Column {
        name: "cut in the body",
        plan: |_, _| Some(Plan { fault: Fault::CutBody { after: 1_000 }, to: To::Some(1) }),
        ..WELL
    },
    Column { name: "expired credential", ends_credential: true, judge: judge_credential, ..WELL },
];

impl Plan {
    /// From now on the receiver does it.
    pub(super) fn arm(self, receiver: &Receiver<dyn Rules>) {
        match self.to {
            To::Some(times) => receiver.set_fault_times(times, self.fault),
            To::All => receiver.set_fault(self.fault),
            To::Longer(bytes) => {
                receiver.set_fault(Fault::None);
                receiver.add_fault(None, move |request: &Request| request.body.len() > bytes, self.fault);
            }
        }
    }
}

fn status(status: u16, retry_after: Option<RetryAfter>) -> Fault {
    Fault::Status { status, retry_after }
}

/// A bad event in a batch of `n` costs what its receiver makes the agent search.
fn judge_poison(row: &Row, share: &Share, seen: &Seen) -> Result<String, String> {
    let n = seen.batch_of(share.poison).ok_or("no request with the poison event was refused")?;
    match row.tells {
        Tells::Each => at_most(seen.more(), 0, ", the reply judges each event"),
        Tells::Which => at_most(seen.more(), 3, &format!(", n = {n}, the reply names the event")),
        Tells::Nothing => at_most(seen.more(), search_bound(n), &format!(", n = {n}")),
    }
}

fn judge_long(row: &Row, share: &Share, seen: &Seen) -> Result<String, String> {
    match row.too_long {
        TooLong::Refused(_) => {
            let n = seen.batch_of(share.long).ok_or("no request with the long event was refused")?;
            at_most(seen.more(), search_bound(n), &format!(", n = {n}"))
        }
        TooLong::Shortened(mark) if seen.bytes_of(share.long).is_some_and(|bytes| contains(bytes, mark)) => {
            at_most(seen.more(), 0, &format!(", it is shortened and says so: {mark}"))
        }
        TooLong::Shortened(mark) => Err(format!("the long event came without the mark {mark}")),
    }
}

/// No request begins before the time that the answer named.
fn judge_throttled(_: &Row, _: &Share, seen: &Seen) -> Result<String, String> {
    let refused = seen.requests.iter().find(|request| request.status == 429).ok_or("nothing was answered with 429")?;
    // The answer was written, and may have been read, between these two moments.
    let named = refused.ended + READ_WITHIN..refused.at + RETRY_AFTER;
    let is_early = |request: &&RequestLog| request.generated > 0 && named.contains(&request.at);
    match seen.requests.iter().filter(is_early).count() {
        0 => at_most(seen.more(), 1, ", Retry-After was kept"),
        early => Err(format!("{early} requests came before Retry-After was over")),
    }
}

/// What was under way is too large too, then a half of each, and what was put by beside that half; after that the agent has
/// learned its lesson.
fn judge_large(_: &Row, _: &Share, seen: &Seen) -> Result<String, String> {
    let refused: Vec<usize> =
        seen.requests.iter().filter(|request| request.status == 413).map(|request| request.events).collect();
    if refused.len() > 3 * UNDER_WAY_MAX {
        return Err(format!("{} requests were too large", refused.len()));
    }
    let bound = refused.iter().map(|n| search_bound(*n)).sum();
    at_most(seen.more(), bound, &format!(", {} were too large", refused.len()))
}

fn judge_timeout(_: &Row, _: &Share, seen: &Seen) -> Result<String, String> {
    at_most(seen.more(), 1, &format!(", {} events are there twice", seen.duplicates))
}

/// It knocks and does not hammer: what was under way, then one probe every two seconds at most.
fn judge_credential(_: &Row, _: &Share, seen: &Seen) -> Result<String, String> {
    let refused = seen.refused_credentials;
    let bound = UNDER_WAY_MAX + 1 + seen.took.as_secs() as usize / 2;
    if refused == 0 {
        return Err("no request was refused for its credential".to_owned());
    }
    if refused > bound {
        return Err(format!("{refused} requests with the old credential in {} s", seen.took.as_secs()));
    }
    Ok(format!("auth_hold, {refused} requests with the old credential, the new one is read without a restart"))
}

/// What a search for one event among `n` may cost: log2(n) + 1.
fn search_bound(n: usize) -> usize {
    n.next_power_of_two().trailing_zeros() as usize + 1
}

fn at_most(more: usize, bound: usize, note: &str) -> Result<String, String> {
    let requests = if more == 1 { "request" } else { "requests" };
    let text = format!("{more} {requests} more (bound {bound}{note})");
    if more <= bound { Ok(text) } else { Err(text) }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}
