//! Events that name themselves: from an arrived event the oracle knows which one it is.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::rng::{Rng, mix};

/// What every generated tenant id begins with.
pub const TENANT_PREFIX: &str = "tnt-";

const ID_PREFIX: &str = "gen-";
/// 2026-05-12T00:00:00Z, in epoch milliseconds: the time of the first generated event.
const EPOCH_MS: u64 = 1_778_544_000_000;
const SHAPES: &[(&str, &str, &str)] = &[
    ("FILE_ACCESS", "file.download", "info"),
    ("FILE_ACCESS", "file.upload", "info"),
    ("AUTHENTICATION", "user.login", "notice"),
    ("AUTHENTICATION", "user.login_failed", "warning"),
    ("SHARING", "link.created", "notice"),
    ("ADMINISTRATION", "role.changed", "error"),
    ("SECURITY", "malware.found", "critical"),
];

/// Which event this is: the `count`-th (from 0) of one tenant in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Tells the producers of one test apart.
    pub run: u32,
    /// Index of the tenant.
    pub tenant: u32,
    /// Position among the events of this run and tenant.
    pub count: u32,
}

impl Key {
    /// The `event_id` of this event.
    pub fn event_id(self) -> String {
        format!("{ID_PREFIX}{:08x}-{:05}-{:08}", self.run, self.tenant, self.count)
    }

    /// The `tenant_id` of this event.
    pub fn tenant_id(self) -> String {
        format!("{TENANT_PREFIX}{:05}", self.tenant)
    }

    /// Reads an `event_id`; `None` when no generator made it.
    pub fn parse(event_id: &str) -> Option<Key> {
        let mut parts = event_id.strip_prefix(ID_PREFIX)?.split('-');
        let run = u32::from_str_radix(parts.next()?, 16).ok()?;
        let tenant = parts.next()?.parse().ok()?;
        let count = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Key { run, tenant, count })
    }
}

/// The keys of one producer in the order in which it writes them: tenants at random, each with its own counter.
pub struct Sequence {
    run: u32,
    counts: Vec<u32>,
    rng: Rng,
}

impl Sequence {
    /// A sequence over `tenants` tenants (at least one), the same for the same `run` and `seed`.
    pub fn new(run: u32, tenants: u32, seed: u64) -> Sequence {
        Sequence { run, counts: vec![0; tenants.max(1) as usize], rng: Rng::new(seed ^ mix(u64::from(run))) }
    }

    /// The next event's key.
    pub fn next_key(&mut self) -> Key {
        let tenant = self.rng.below(self.counts.len() as u64) as usize;
        let count = self.counts[tenant];
        self.counts[tenant] += 1;
        Key { run: self.run, tenant: tenant as u32, count }
    }
}

/// Appends the event `key` as one line with its line feed, about `size` bytes long (at least some 460).
///
/// The same key and size give the same bytes.
pub fn write_event(key: Key, size: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let chance = mix(u64::from(key.run) << 40 ^ u64::from(key.tenant) << 24 ^ u64::from(key.count));
    let (category, action, severity) = SHAPES[(chance % SHAPES.len() as u64) as usize];
    let ms = (EPOCH_MS + u64::from(key.count)) % 86_400_000;
    let written = write!(
        out,
        "{{\"event_id\":\"{}\",\"timestamp\":\"2026-05-12T{:02}:{:02}:{:02}.{:03}Z\",\"tenant_id\":\"{}\",\
         \"category\":\"{category}\",\"action\":\"{action}\",\"severity\":\"{severity}\",\"user_id\":\"usr_{:06x}\",\
         \"user_email\":\"user{}@tenant{}.example\",\"resource_id\":\"fil_{chance:016x}\",\
         \"resource_path\":\"/projects/{}/report-{}.pdf\",\"ip\":\"203.0.113.{}\",\
         \"user_agent\":\"ScaiDrive-Desktop/1.4.2 (Linux)\",\"session_id\":\"ses_{:012x}\",\
         \"payload\":{{\"count\":{},\"filler\":\"",
        key.event_id(),
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1_000 % 60,
        ms % 1_000,
        key.tenant_id(),
        chance & 0xff_ffff,
        chance % 977,
        key.tenant,
        chance % 89,
        chance % 1_009,
        chance % 254 + 1,
        chance >> 16,
        key.count,
    );
    written.expect("writing to a Vec cannot fail");
    let target = (start + size).saturating_sub("\"}}\n".len());
    let mut word = chance;
    while out.len() < target {
        word = mix(word.wrapping_add(1));
        let mut text = String::with_capacity(16);
        let _ = write!(text, "{word:016x}");
        let room = (target - out.len()).min(text.len());
        out.extend_from_slice(&text.as_bytes()[..room]);
    }
    out.extend_from_slice(b"\"}}\n");
}

/// The event `key` as [`write_event`] writes it, without the line feed.
pub fn event_line(key: Key, size: usize) -> Vec<u8> {
    let mut line = Vec::with_capacity(size + 16);
    write_event(key, size, &mut line);
    line.pop();
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_itself_and_has_its_size() {
        let key = Key { run: 7, tenant: 499, count: 123_456 };
        let line = event_line(key, 600);
        assert_eq!(line.len() + 1, 600);
        let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(Key::parse(event["event_id"].as_str().unwrap()), Some(key));
        assert_eq!(event["tenant_id"], key.tenant_id());
        assert_eq!(event["payload"]["count"], key.count);
        assert_eq!(line, event_line(key, 600));
    }

    #[test]
    fn what_no_generator_made_has_no_key() {
        for id in ["", "gen-", "gen-1-2", "gen-1-2-3-4", "evt-00000001-00001-00000001", "gen-xyz-1-1"] {
            assert_eq!(Key::parse(id), None, "{id}");
        }
    }

    #[test]
    fn a_sequence_counts_each_tenant_from_zero_without_holes() {
        let mut sequence = Sequence::new(1, 5, 42);
        let mut seen = [0_u32; 5];
        for _ in 0..1_000 {
            let key = sequence.next_key();
            assert_eq!(key.count, seen[key.tenant as usize]);
            seen[key.tenant as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 100));
    }
}
