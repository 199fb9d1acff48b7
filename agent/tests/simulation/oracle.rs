//! What must be true: of the books at every step, and of what the receivers hold at the end.

use std::collections::BTreeMap;
use std::ops::Range;

use scaidrive_siem::shard::Shard;
use serde_json::Value;

use crate::agent::{Life, Machine};
use crate::producer::Produced;
use crate::receiver::Siem;

/// What was broken, in plain words.
pub type Verdict = Result<(), String>;

/// The books balance, and count what the senders hold.
pub fn check_books(life: &Life) -> Verdict {
    for shard in &life.shards {
        for place in shard.places() {
            let outlet = place.outlet.borrow();
            let (books, held) = (outlet.books(), outlet.sender().held_events() as u64);
            let name = &place.destination.name;
            if books.difference() != 0 {
                return Err(format!("the books of {name} differ: {books:?}"));
            }
            // What is more in hand than the sender holds is on its way to the dead letters.
            if books.in_hand < held {
                return Err(format!("{name} has {} in hand and its sender holds {held}", books.in_hand));
            }
        }
    }
    for published in &life.published {
        for destination in published.report().destinations {
            if destination.books.difference() != 0 {
                return Err(format!("the published books of {} differ: {:?}", destination.name, destination.books));
            }
        }
    }
    Ok(())
}

/// What is left to do, if anything.
pub fn unfinished(life: &Life) -> Option<String> {
    life.shards.iter().find_map(|shard| {
        shard.places().iter().find_map(|place| {
            let outlet = place.outlet.borrow();
            let (books, held) = (outlet.books(), outlet.sender().held_events());
            let name = &place.destination.name;
            let has_read = !outlet.is_replay() && has_read_all(shard, outlet.next_seq().get());
            let is_done = books.in_hand == 0 && held == 0 && outlet.is_empty() && has_read;
            let state = outlet.state();
            (!is_done).then(|| {
                format!(
                    "{name} on shard {}: {held} held, {:?}, reading {:?} at {} of {}, state {state:?}, next message {:?}",
                    shard.id().0,
                    books,
                    outlet.reading,
                    outlet.next_seq(),
                    shard.log().borrow().next_seq(),
                    outlet.announcer().front().map(|front| front.id()),
                )
            })
        })
    })
}

/// The last numbers may be marks of the log's own, which nobody is shown.
fn has_read_all(shard: &Shard, next: u64) -> bool {
    next + 2 >= shard.log().borrow().next_seq().get()
}

/// A notice as it was received.
struct Notice {
    count: u64,
    ranges: Vec<Range<u64>>,
    is_merged: bool,
}

/// What one receiver was told about one stream.
#[derive(Default)]
struct Told {
    notices: Vec<Notice>,
    /// From, end, explained.
    statements: Vec<(u64, u64, u64)>,
}

/// Everything a receiver holds agrees with itself, and nothing that was acknowledged is missing without a word.
pub fn check_siem(siem: &Siem, produced: &Produced, machine: &Machine, is_whole: bool) -> Verdict {
    if let Some(problem) = siem.broken.borrow().as_ref() {
        return Err(problem.clone());
    }
    let (told, damaged) = read_told(siem)?;
    check_streams(siem, &told)?;
    check_dead_letters(siem, produced, machine)?;
    if is_whole { check_acked(siem, produced, &told, damaged) } else { Ok(()) }
}

fn read_told(siem: &Siem) -> Result<(BTreeMap<String, Told>, u64), String> {
    let mut streams: BTreeMap<String, Told> = BTreeMap::new();
    let mut damaged = 0;
    for event in siem.held.borrow().told.values() {
        let payload = &event["payload"];
        let number = |key: &str| payload[key].as_u64().ok_or_else(|| format!("no {key} in {event}"));
        match event["action"].as_str() {
            Some("siem.buffer_overflow" | "siem.events_refused") => {
                let key = if event["action"] == "siem.events_refused" { "refused_count" } else { "dropped_count" };
                let ranges = payload["ranges"].as_array().ok_or("no ranges")?;
                let range = |range: &Value| Some(range["from_n"].as_u64()?..range["to_n"].as_u64()? + 1);
                let ranges = ranges.iter().map(range).collect::<Option<_>>().ok_or("odd ranges")?;
                let is_merged = payload["merged"] == true;
                let notice = Notice { count: number(key)?, ranges, is_merged };
                streams.entry(text(&payload["stream"])).or_default().notices.push(notice);
            }
            Some("siem.stream_statement") => {
                let statement = (number("from")?, number("end")?, number("explained")?);
                streams.entry(text(&payload["stream"])).or_default().statements.push(statement);
            }
            Some("siem.log_damaged") => damaged += number("end_seq")? - number("from_seq")?,
            _ => return Err(format!("an unexpected announcement: {event}")),
        }
    }
    Ok((streams, damaged))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The proof of completeness, as a reader of the SIEM would do it.
fn check_streams(siem: &Siem, told: &BTreeMap<String, Told>) -> Verdict {
    let held = siem.held.borrow();
    let none = BTreeMap::new();
    // A notice may also carry the count of an earlier epoch, without its numbers; then only the sums tell.
    let is_folded = told.values().flat_map(|told| &told.notices).any(|notice| notice.is_merged);
    for (stream, Told { notices, statements }) in told {
        let numbers = held.streams.get(stream).unwrap_or(&none);
        let mut named: Vec<Range<u64>> = notices.iter().flat_map(|notice| notice.ranges.iter().cloned()).collect();
        named.sort_by_key(|range| range.start);
        let is_merged = notices.iter().any(|notice| notice.is_merged) || is_folded;
        if let Some(pair) = named.windows(2).find(|pair| pair[1].start < pair[0].end && !is_merged) {
            return Err(format!("{}: two notices about {stream} name the same numbers: {pair:?}", siem.name));
        }
        for notice in notices.iter().filter(|notice| !notice.is_merged) {
            let named: u64 = notice.ranges.iter().map(|range| range.end - range.start).sum();
            if named != notice.count {
                return Err(format!(
                    "{}: a notice about {stream} counts {} and names {named}",
                    siem.name, notice.count
                ));
            }
        }
        let both = named.iter().flat_map(|range| numbers.range(range.clone())).count();
        if both > 0 && !siem.is_inexact.get() && !is_merged {
            return Err(format!("{}: {both} numbers of {stream} are there and told as lost", siem.name));
        }
        let mut statements = statements.clone();
        statements.sort_unstable();
        let mut next = 1;
        for (from, end, explained) in statements {
            if from != next {
                return Err(format!("{}: a statement about {stream} goes from {from} where {next} is due", siem.name));
            }
            next = end;
            let distinct = numbers.range(from..end).count() as u64;
            let is_exact = distinct + explained == end - from;
            let is_more = distinct + explained > end - from && siem.is_inexact.get();
            if !is_exact && !is_more {
                return Err(format!(
                    "{}: {stream} states {from}..{end} with {explained} explained, and {distinct} are there",
                    siem.name
                ));
            }
            let overlap = |range: &Range<u64>| range.end.min(end).saturating_sub(range.start.max(from));
            let in_notices: u64 = named.iter().map(overlap).sum();
            if in_notices != explained && !is_merged {
                return Err(format!(
                    "{}: {stream} states {explained} explained in {from}..{end}, notices name {in_notices}",
                    siem.name
                ));
            }
        }
    }
    Ok(())
}

/// Every number of the streams that are in force is there or explained, and stated.
pub fn check_all_stated(siem: &Siem, life: &Life) -> Verdict {
    let (told, _) = read_told(siem)?;
    for shard in &life.shards {
        for place in shard.places() {
            if place.destination.name != siem.name || place.is_replay() {
                continue;
            }
            let outlet = place.outlet.borrow();
            let (stream, selected) = (outlet.stream().text(), outlet.books().selected);
            let stated = told.get(stream).and_then(|told| told.statements.iter().map(|(_, end, _)| *end).max());
            if selected > 0 && stated != Some(selected + 1) {
                return Err(format!(
                    "{}: {stream} has selected {selected} and stated up to {stated:?}; {:?}",
                    siem.name,
                    outlet.announcer()
                ));
            }
        }
    }
    Ok(())
}

fn check_dead_letters(siem: &Siem, produced: &Produced, machine: &Machine) -> Verdict {
    let held = siem.held.borrow();
    let sent = produced.sent.borrow();
    for letter in machine.letters(&siem.name) {
        let event: Value = serde_json::from_slice(&letter.raw).map_err(|problem| problem.to_string())?;
        let id = event["event_id"].as_str().unwrap_or_default();
        let is_poison = sent.get(id).is_some_and(|sample| sample.is_poison);
        if !is_poison && !held.refused_unjustly.contains(id) {
            return Err(format!("{}: {id} is a dead letter and was never refused", siem.name));
        }
    }
    Ok(())
}

/// Every acknowledged event that every setting selected is there, or one of the lost that were told.
fn check_acked(siem: &Siem, produced: &Produced, told: &BTreeMap<String, Told>, damaged: u64) -> Verdict {
    let held = siem.held.borrow();
    let specs = siem.specs.borrow();
    let acked = produced.acked.borrow();
    let is_due = |id: &String| specs.iter().all(|spec| spec.selects(&acked[id])) && !held.ids.contains_key(id);
    let missing: Vec<&String> = acked.keys().filter(|id| is_due(id)).collect();
    let explained: u64 = told.values().flat_map(|told| &told.notices).map(|notice| notice.count).sum();
    if missing.len() as u64 > explained + damaged && !siem.was_removed.get() {
        let first: Vec<_> = missing.iter().take(5).collect();
        return Err(format!(
            "{}: {} acknowledged events are missing and {explained} are explained ({damaged} may be damaged): {first:?}",
            siem.name,
            missing.len()
        ));
    }
    Ok(())
}
