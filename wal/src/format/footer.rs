//! What closes a segment. The one place in this crate that knows bincode.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

use super::{checksum, u32_at};

/// Bytes reserved for the footer in every segment.
pub(crate) const FOOTER_LEN: usize = 8192;

/// Most entries of the sparse index.
pub(crate) const INDEX_MAX: usize = 256;

/// Most holes that are remembered; further ones are merged into the last.
pub(crate) const HOLES_MAX: usize = 64;

/// What is known of a sealed segment without reading its records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Footer {
    /// First sequence number after this segment.
    pub(crate) end: u64,
    /// Valid records in it, marks included.
    pub(crate) records: u64,
    /// Offset after the last record, with its padding.
    pub(crate) records_end: u32,
    /// Log and wall times of the first and last record, in ms; zero without records.
    pub(crate) first_log: u64,
    pub(crate) last_log: u64,
    pub(crate) first_wall: i64,
    pub(crate) last_wall: i64,
    /// Checksum of all records' checksums, in order.
    pub(crate) digest: u32,
    /// The last record says that the log was closed in order.
    pub(crate) is_clean: bool,
    /// Numbers whose records a power cut took before anyone was promised them: not damage.
    pub(crate) holes: Vec<(u64, u64)>,
    /// Some records by position, ascending.
    pub(crate) index: Vec<IndexEntry>,
}

/// One entry of the sparse index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct IndexEntry {
    pub(crate) offset: u32,
    pub(crate) seq: u64,
    pub(crate) log_time: u64,
}

impl Footer {
    /// The footer's area, zeros at its end.
    pub(crate) fn encode(&self, salted: u32) -> Vec<u8> {
        let mut area = vec![0; FOOTER_LEN];
        area[0..8].copy_from_slice(&MAGIC);
        let body = bincode::encode_into_slice(self, &mut area[BODY..], CONFIG)
            .expect("the reserve holds INDEX_MAX entries and HOLES_MAX holes; a test adds them up");
        area[8..12].copy_from_slice(&(body as u32).to_le_bytes());
        let sum = checksum(salted, &[&area[0..12], &area[BODY..BODY + body]]);
        area[12..16].copy_from_slice(&sum.to_le_bytes());
        area
    }

    /// Reads a footer from its area; `None` if it is not one, or not one of this segment's life.
    pub(crate) fn decode(salted: u32, area: &[u8]) -> Option<Footer> {
        if area.len() < FOOTER_LEN || area[0..8] != MAGIC {
            return None;
        }
        let body = area.get(BODY..BODY.checked_add(u32_at(area, 8) as usize)?)?;
        if u32_at(area, 12) != checksum(salted, &[&area[0..12], body]) {
            return None;
        }
        let (footer, used): (Footer, usize) = bincode::decode_from_slice(body, CONFIG).ok()?;
        (used == body.len()).then_some(footer)
    }

    /// Remembers that `start..end` was lost without having been promised.
    pub(crate) fn add_hole(&mut self, start: u64, end: u64) {
        let is_full = self.holes.len() == HOLES_MAX;
        match self.holes.last_mut() {
            Some(last) if is_full => last.1 = end,
            _ => self.holes.push((start, end)),
        }
    }
}

const MAGIC: [u8; 8] = *b"SCDRVEND";
/// Where the body starts.
const BODY: usize = 16;
/// The limit also bounds what a forged length can make the decoder allocate.
const CONFIG: Configuration<LittleEndian, Varint, Limit<FOOTER_LEN>> = bincode::config::standard().with_limit();

#[cfg(test)]
mod tests {
    use super::super::salted;
    use super::*;

    #[test]
    fn the_fullest_footer_fits_its_reserve() {
        let entry = IndexEntry { offset: u32::MAX, seq: u64::MAX, log_time: u64::MAX };
        let full = Footer {
            end: u64::MAX,
            records: u64::MAX,
            records_end: u32::MAX,
            first_log: u64::MAX,
            last_log: u64::MAX,
            first_wall: i64::MIN,
            last_wall: i64::MIN,
            digest: u32::MAX,
            is_clean: true,
            holes: vec![(u64::MAX, u64::MAX); HOLES_MAX],
            index: vec![entry; INDEX_MAX],
        };
        let area = full.encode(salted(1));
        assert_eq!(Footer::decode(salted(1), &area), Some(full));
    }

    #[test]
    fn a_footer_of_another_life_of_the_file_is_not_believed() {
        let area = Footer::default().encode(salted(1));
        assert_eq!(Footer::decode(salted(2), &area), None);
        assert_eq!(Footer::decode(salted(1), &area[1..]), None);
    }

    #[test]
    fn any_flipped_bit_in_a_footer_is_noticed() {
        let footer = Footer { end: 9, records: 8, ..Footer::default() };
        let mut area = footer.encode(salted(1));
        for bit in 0..(BODY + 16) * 8 {
            let used = BODY + u32_at(&area, 8) as usize;
            if bit / 8 >= used {
                break;
            }
            area[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Footer::decode(salted(1), &area), None, "bit {bit}");
            area[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn holes_beyond_the_bound_are_merged_into_the_last() {
        let mut footer = Footer::default();
        for hole in 0..200 {
            footer.add_hole(hole * 10, hole * 10 + 1);
        }
        assert_eq!(footer.holes.len(), HOLES_MAX);
        assert_eq!(footer.holes.last(), Some(&(630, 1991)));
    }
}
