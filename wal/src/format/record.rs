//! What frames a record.

use super::{checksum, u32_at, u64_at};
use crate::number::{LogTime, Seq, WallTime};

/// Bytes before the index and the payload.
pub(crate) const RECORD_HEADER: usize = 56;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something a caller appended.
    Event = 1,
    /// Carries nothing but the durable line.
    Mark = 2,
    /// The last record of a log that was closed in order.
    Closing = 3,
}

/// The fixed part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) checksum: u32,
    /// Bytes of the whole record, without padding.
    pub(crate) len: u32,
    pub(crate) seq: Seq,
    pub(crate) durable_end: Seq,
    pub(crate) log_time: LogTime,
    pub(crate) wall: WallTime,
    pub(crate) tenant_hash: u64,
    pub(crate) index_len: u32,
    pub(crate) flags: u16,
    pub(crate) kind: Kind,
}

impl RecordHead {
    /// The header's bytes with the checksum filled in, for a body of `index` and `payload`.
    pub(crate) fn encode(&mut self, salted: u32, index: &[u8], payload: &[u8]) -> [u8; RECORD_HEADER] {
        let mut bytes = [0; RECORD_HEADER];
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.seq.get().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.durable_end.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.log_time.as_ms().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.wall.as_ms().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.tenant_hash.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.index_len.to_le_bytes());
        bytes[52..54].copy_from_slice(&self.flags.to_le_bytes());
        bytes[54] = self.kind as u8;
        self.checksum = checksum(salted, &[&bytes[4..], index, payload]);
        bytes[0..4].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// Reads a header that could be one; whether it is, only [`RecordHead::is_sound`] says.
    /// `None` unless every field is one that [`RecordHead::encode`] may have written.
    pub(crate) fn decode(bytes: &[u8]) -> Option<RecordHead> {
        if bytes.len() < RECORD_HEADER || bytes[55] != 0 {
            return None;
        }
        let kind = match bytes[54] {
            1 => Kind::Event,
            2 => Kind::Mark,
            3 => Kind::Closing,
            _ => return None,
        };
        let head = RecordHead {
            checksum: u32_at(bytes, 0),
            len: u32_at(bytes, 4),
            seq: Seq::new(u64_at(bytes, 8))?,
            durable_end: Seq::new(u64_at(bytes, 16))?,
            log_time: LogTime::from_ms(u64_at(bytes, 24)),
            wall: WallTime::from_ms(u64_at(bytes, 32) as i64),
            tenant_hash: u64_at(bytes, 40),
            index_len: u32_at(bytes, 48),
            flags: u16::from_le_bytes([bytes[52], bytes[53]]),
            kind,
        };
        let body = (head.len as usize).checked_sub(RECORD_HEADER)?;
        let plausible = head.index_len as usize <= body && head.durable_end <= head.seq;
        // The last number has no successor.
        (plausible && head.seq.get() < u64::MAX).then_some(head)
    }

    /// Whether `record`, the whole record without padding, is what was written under this salt.
    pub(crate) fn is_sound(&self, salted: u32, record: &[u8]) -> bool {
        record.len() == self.len as usize && self.checksum == checksum(salted, &[&record[4..]])
    }

    /// Where the payload starts, from the start of the record.
    pub(crate) fn payload_at(&self) -> usize {
        RECORD_HEADER + self.index_len as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::salted;
    use super::*;

    fn sample(index: &[u8], payload: &[u8]) -> RecordHead {
        RecordHead {
            checksum: 0,
            len: (RECORD_HEADER + index.len() + payload.len()) as u32,
            seq: Seq::from_raw(12),
            durable_end: Seq::from_raw(9),
            log_time: LogTime::from_ms(1_000),
            wall: WallTime::from_ms(-1),
            tenant_hash: 0xfeed,
            index_len: index.len() as u32,
            flags: 0x8001,
            kind: Kind::Event,
        }
    }

    #[test]
    fn any_flipped_bit_in_a_record_is_noticed() {
        let mut head = sample(b"index", b"payload");
        let mut record = head.encode(salted(5), b"index", b"payload").to_vec();
        record.extend(b"indexpayload");
        let read = |record: &[u8], salt| RecordHead::decode(record).filter(|head| head.is_sound(salted(salt), record));
        assert_eq!(read(&record, 5), Some(head));
        for bit in 0..record.len() * 8 {
            record[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&record, 5), None, "bit {bit}");
            record[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_record_of_another_life_of_the_file_is_not_believed() {
        let mut head = sample(b"", b"x");
        let mut record = head.encode(salted(1), b"", b"x").to_vec();
        record.push(b'x');
        assert!(head.is_sound(salted(1), &record));
        assert!(!head.is_sound(salted(2), &record));
    }

    #[test]
    fn zeros_are_not_a_record() {
        assert_eq!(RecordHead::decode(&[0; 4096]), None);
        assert_eq!(RecordHead::decode(&[0xff; 4096]), None);
        assert_eq!(RecordHead::decode(&[]), None);
    }
}
