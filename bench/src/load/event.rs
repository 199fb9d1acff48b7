//! Canonical events, the same for the same seed.
//!
//! About 600 bytes each: identity fields that vary, a path and a name with letters from beyond ASCII, escapes in one event
//! of four, and a payload between nothing much and some 300 bytes. The mark (see [`crate::load`]) stands in the payload
//! behind [`MARK`], and once more in the `event_id`.

use std::fmt::Write as _;
use std::io::Write as _;

use scaidrive_tests::rng::Rng;

use super::zipf::Zipf;
use crate::scenario::Tenants;

/// What stands before a mark. No quotes, so that it is found also where a rival sends the event inside a string.
pub(crate) const MARK: &[u8] = b"bench~";
/// Lower-case hexadecimal digits of a mark.
pub(crate) const MARK_DIGITS: usize = 16;
/// What an event has in the middle, in bytes with its line feed.
#[cfg(test)]
const SIZE: usize = 600;

/// Where an event's mark has to be written, from the event's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) id: usize,
    pub(crate) mark: usize,
}

/// A source of events.
pub(crate) struct Events {
    rng: Rng,
    zipf: Zipf,
}

impl Events {
    pub(crate) fn new(tenants: Tenants, seed: u64) -> Events {
        Events { rng: Rng::new(seed), zipf: Zipf::new(tenants) }
    }

    /// Appends the next event without a line feed, its mark still zero.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) -> Places {
        let tenant = tenant_name(self.zipf.next(&mut self.rng));
        self.write_of(&tenant, out)
    }

    /// Appends an event of `tenant`.
    pub(crate) fn write_of(&mut self, tenant: &str, out: &mut Vec<u8>) -> Places {
        let start = out.len();
        let rng = &mut self.rng;
        let (category, action, severity) = *rng.pick(SHAPES);
        let (folder, file) = (*rng.pick(FOLDERS), *rng.pick(FILES));
        let ms = rng.below(86_400_000);
        let user = rng.below(20_000);
        out.extend_from_slice(b"{\"event_id\":\"evt_");
        let id = out.len() - start;
        let written = write!(
            out,
            "0000000000000000\",\"timestamp\":\"2026-05-12T{:02}:{:02}:{:02}.{:03}Z\",\"tenant_id\":\"{tenant}\",\
             \"category\":\"{category}\",\"action\":\"{action}\",\"severity\":\"{severity}\",\"user_id\":\"usr_{user:06}\",\
             \"user_email\":\"user{user}@{tenant}.example\",\"resource_id\":\"fil_{:016x}\",\
             \"resource_path\":\"/{folder}/{}/{file}\",\"ip\":\"203.0.113.{}\",\
             \"user_agent\":\"ScaiDrive-Desktop/1.4.2 (Linux)\",\"session_id\":\"ses_{:012x}\",\"payload\":{{\"mark\":\"bench~",
            ms / 3_600_000,
            ms / 60_000 % 60,
            ms / 1_000 % 60,
            ms % 1_000,
            rng.next_u64(),
            2_000 + rng.below(26),
            rng.below(254) + 1,
            rng.next_u64() >> 16,
        );
        written.expect("writing to a Vec cannot fail");
        let mark = out.len() - start;
        out.extend_from_slice(b"0000000000000000\"");
        write_payload(rng, out);
        out.extend_from_slice(b"}}");
        Places { id, mark }
    }
}

/// The tenant of a rank, the loudest being 0.
pub(crate) fn tenant_name(rank: u32) -> String {
    format!("tnt-{rank:05}")
}

/// Writes `mark` over the sixteen digits at the start of `place`.
pub(crate) fn stamp(mark: u64, place: &mut [u8]) {
    for (nth, digit) in place[..MARK_DIGITS].iter_mut().enumerate() {
        *digit = DIGITS[(mark >> (60 - 4 * nth)) as usize & 0xf];
    }
}

/// Words that say what was done, of varying number.
fn write_payload(rng: &mut Rng, out: &mut Vec<u8>) {
    let mut text = format!(",\"bytes\":{},\"note\":\"", rng.below(1 << 40));
    for _ in 0..rng.below(PAYLOAD_WORDS_MAX) {
        let word = *rng.pick(WORDS);
        let _ = write!(text, "{word} ");
    }
    text.push('"');
    out.extend_from_slice(text.as_bytes());
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Twice the words of a payload in the middle.
const PAYLOAD_WORDS_MAX: u64 = 29;
const SHAPES: &[(&str, &str, &str)] = &[
    ("FILE_ACCESS", "file.download", "info"),
    ("FILE_ACCESS", "file.upload", "info"),
    ("FILE_ACCESS", "file.preview", "info"),
    ("AUTHENTICATION", "user.login", "notice"),
    ("AUTHENTICATION", "user.login_failed", "warning"),
    ("SHARING", "link.created", "notice"),
    ("ADMINISTRATION", "role.changed", "error"),
    ("SECURITY", "malware.found", "critical"),
];
const FOLDERS: &[&str] = &["projects", "Verträge", "财务", "Équipe", "общие", "hr"];
const FILES: &[&str] = &[
    "report.pdf",
    "Übersicht Q3.xlsx",
    "plan \\\"final\\\".docx",
    "預算.csv",
    "notes.md",
    "C:\\\\scans\\\\0042.tif",
    "smörgåsbord 🍞.png",
    "minutes.txt",
];
const WORDS: &[&str] = &[
    "opened",
    "shared",
    "by",
    "policy",
    "external",
    "retention",
    "größer",
    "\\u00e9t\\u00e9",
    "version",
    "路径",
    "link",
    "with",
    "password",
    "until",
    "moved\\nto",
    "label",
    "confidential",
    "checksum",
    "👍",
    "quota",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: usize, seed: u64) -> Vec<Vec<u8>> {
        let mut events = Events::new(Tenants::ZIPF, seed);
        (0..count)
            .map(|_| {
                let mut out = Vec::new();
                events.write(&mut out);
                out
            })
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_events_and_another_seed_gives_others() {
        assert_eq!(some(100, 1), some(100, 1));
        assert_ne!(some(100, 1), some(100, 2));
    }

    #[test]
    fn events_are_valid_json_in_one_line_with_every_field_the_agent_knows_to_be_required() {
        for event in some(2_000, 3) {
            assert!(!event.contains(&b'\n'));
            let value: serde_json::Value = serde_json::from_slice(&event).unwrap();
            for field in ["event_id", "timestamp", "tenant_id", "category", "action", "severity"] {
                assert!(value[field].is_string(), "{field} in {value}");
            }
            assert!(value["payload"].is_object());
        }
    }

    #[test]
    fn an_event_has_about_600_bytes_and_payloads_vary() {
        let sizes: Vec<usize> = some(10_000, 4).iter().map(|event| event.len() + 1).collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!(mean.abs_diff(SIZE) <= 10, "{mean}");
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() > 200);
    }

    #[test]
    fn unicode_and_escapes_are_there() {
        let all = some(200, 5).concat();
        let text = String::from_utf8(all).unwrap();
        assert!(text.contains('财') && text.contains("\\\"final") && text.contains("\\u00e9") && text.contains('👍'));
    }

    #[test]
    fn a_stamp_is_written_where_the_places_say() {
        let mut out = b"before".to_vec();
        let start = out.len();
        let places = Events::new(Tenants::even(1), 1).write(&mut out);
        stamp(0xfeed, &mut out[start + places.id..]);
        stamp(0xfeed, &mut out[start + places.mark..]);
        let value: serde_json::Value = serde_json::from_slice(&out[start..]).unwrap();
        assert_eq!(value["event_id"], "evt_000000000000feed");
        assert_eq!(value["payload"]["mark"], "bench~000000000000feed");
    }
}
