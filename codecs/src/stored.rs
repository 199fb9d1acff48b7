//! An index as bytes, as it lies in a log record. The one place in this crate with bincode.
//!
//! bincode's standard configuration, little-endian variable-length integers, at most [`INDEX_BYTES_MAX`] bytes. The
//! record around it carries the checksum; still no bytes panic here and none allocate.
//!
//! | part | type | meaning |
//! |------|------|---------|
//! | format | u8 | [`FORMAT`] |
//! | severity | u8 | place in `Severity::ALL` |
//! | width | u8 | 2 or 4: bytes of each number in `spans`; 4 when a number does not fit 2 |
//! | present | u16 | one bit for each field, in the order of `Field::ALL` |
//! | escaped | u16 | likewise, a subset of `present` |
//! | timestamp | i64 | epoch milliseconds |
//! | spans | bytes | start and length of each present field, in the order of `Field::ALL`, fixed little-endian numbers |
//!
//! The spans are plain bytes because thirty variable-length integers took longer to read than everything else.

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::event::Field;
use crate::index::{Index, Span};
use crate::severity::Severity;

/// The number of the layout above.
pub const FORMAT: u8 = 1;
/// No stored index is longer.
pub const INDEX_BYTES_MAX: usize = 192;

/// Why bytes are not an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Not what bincode or the table says.
    #[error("the stored index is damaged")]
    Damaged {
        /// What bincode says.
        source: DecodeError,
    },
    /// Something follows the index.
    #[error("the stored index has {bytes} bytes too many")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl Index {
    /// Appends the index to `out`, at most [`INDEX_BYTES_MAX`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; INDEX_BYTES_MAX];
        let used = bincode::encode_into_slice(self, &mut bytes, CONFIG);
        out.extend_from_slice(&bytes[..used.expect("the largest index fits INDEX_BYTES_MAX")]);
    }

    /// Reads an index back.
    ///
    /// # Errors
    /// When the bytes are not exactly one index of a format that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<Index, IndexError> {
        let (index, used) =
            bincode::decode_from_slice(bytes, CONFIG).map_err(|source| IndexError::Damaged { source })?;
        if used < bytes.len() {
            return Err(IndexError::Trailing { bytes: bytes.len() - used });
        }
        Ok(index)
    }
}

impl Encode for Index {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let mut block = [0u8; BLOCK_MAX];
        let is_narrow = self.spans.iter().all(|span| span.end <= u32::from(u16::MAX));
        let (width, used) = match is_narrow {
            true => (NARROW, put_spans::<NARROW>(self, &mut block)),
            false => (WIDE, put_spans::<WIDE>(self, &mut block)),
        };
        FORMAT.encode(encoder)?;
        self.severity.code().encode(encoder)?;
        (width as u8).encode(encoder)?;
        self.present.encode(encoder)?;
        self.escaped.encode(encoder)?;
        self.timestamp_ms.encode(encoder)?;
        encoder.writer().write(&block[..used])
    }
}

impl<Context> Decode<Context> for Index {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        if u8::decode(decoder)? != FORMAT {
            return Err(DecodeError::Other("an unknown format"));
        }
        let Some(severity) = Severity::from_code(u8::decode(decoder)?) else {
            return Err(DecodeError::Other("an unknown severity"));
        };
        let width = usize::from(u8::decode(decoder)?);
        if width != NARROW && width != WIDE {
            return Err(DecodeError::Other("an unknown width"));
        }
        let (present, escaped) = (u16::decode(decoder)?, u16::decode(decoder)?);
        if present >> Field::COUNT != 0 || present & REQUIRED != REQUIRED || escaped & !present != 0 {
            return Err(DecodeError::Other("fields that cannot be"));
        }
        let timestamp_ms = i64::decode(decoder)?;
        let used = present.count_ones() as usize * 2 * width;
        decoder.claim_bytes_read(used)?;
        // Indexes are read from slices, whose reader can always show what comes.
        let Some(block) = decoder.reader().peek_read(used) else {
            return Err(DecodeError::UnexpectedEnd { additional: used });
        };
        let mut spans = [Span::default(); Field::COUNT];
        let filled = match width {
            NARROW => fill(&mut spans, block, present, narrow_pair),
            _ => fill(&mut spans, block, present, wide_pair),
        };
        if filled.is_none() {
            return Err(DecodeError::Other("a span that overflows"));
        }
        decoder.reader().consume(used);
        Ok(Index { spans, present, escaped, severity, timestamp_ms })
    }
}

/// Writes the spans to the front of `block` and says how many bytes they take. The width is a constant, so that each
/// number is one store.
fn put_spans<const WIDTH: usize>(index: &Index, block: &mut [u8; BLOCK_MAX]) -> usize {
    let (numbers, _) = block.as_chunks_mut::<WIDTH>();
    let (pairs, _) = numbers.as_chunks_mut::<2>();
    let present = Field::ALL.iter().filter_map(|field| index.span(*field));
    let mut count = 0;
    for (pair, span) in pairs.iter_mut().zip(present) {
        for (place, number) in pair.iter_mut().zip([span.start, span.end - span.start]) {
            place.copy_from_slice(&number.to_le_bytes()[..WIDTH]);
        }
        count += 1;
    }
    count * 2 * WIDTH
}

/// Reads the spans of the fields that are `present`: the next pair of numbers is for the lowest bit that is left.
fn fill<const PAIR: usize>(
    spans: &mut [Span; Field::COUNT],
    block: &[u8],
    present: u16,
    pair: impl Fn([u8; PAIR]) -> (u32, u32),
) -> Option<()> {
    let mut left = u32::from(present);
    for bytes in block.as_chunks::<PAIR>().0 {
        let (start, length) = pair(*bytes);
        *spans.get_mut(left.trailing_zeros() as usize)? = Span { start, end: start.checked_add(length)? };
        left &= left - 1;
    }
    Some(())
}

fn narrow_pair(bytes: [u8; 2 * NARROW]) -> (u32, u32) {
    let pair = u32::from_le_bytes(bytes);
    (pair & 0xffff, pair >> 16)
}

fn wide_pair(bytes: [u8; 2 * WIDE]) -> (u32, u32) {
    let pair = u64::from_le_bytes(bytes);
    (pair as u32, (pair >> 32) as u32)
}

const NARROW: usize = 2;
const WIDE: usize = 4;
const BLOCK_MAX: usize = Field::COUNT * 2 * WIDE;

const CONFIG: Configuration<LittleEndian, Varint, Limit<INDEX_BYTES_MAX>> =
    config::standard().with_limit::<INDEX_BYTES_MAX>();

/// One bit for each field that an event must have.
const REQUIRED: u16 = (1 << (Field::Severity as u16 + 1)) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_index() -> impl Strategy<Value = Index> {
        let span = (0u32..1 << 24, 0u32..1 << 20);
        (prop::array::uniform15(span), any::<u16>(), any::<u16>(), 0usize..7, any::<i64>()).prop_map(
            |(starts, present, escaped, severity, timestamp_ms)| {
                let present = present & ((1 << Field::COUNT) - 1) | REQUIRED;
                let mut spans = starts.map(|(start, length)| Span { start, end: start + length });
                let absent = spans.iter_mut().enumerate().filter(|(nth, _)| present >> nth & 1 == 0);
                absent.for_each(|(_, span)| *span = Span::default());
                Index { spans, present, escaped: escaped & present, severity: Severity::ALL[severity], timestamp_ms }
            },
        )
    }

    proptest! {
        #[test]
        fn an_index_reads_back_as_it_was_and_no_part_of_it_does(index in any_index()) {
            let mut bytes = Vec::new();
            index.encode(&mut bytes);
            prop_assert_eq!(Index::decode(&bytes).unwrap(), index);
            for end in 0..bytes.len() {
                prop_assert!(Index::decode(&bytes[..end]).is_err());
            }
            bytes.push(0);
            let trailing = matches!(Index::decode(&bytes), Err(IndexError::Trailing { bytes: 1 }));
            prop_assert!(trailing);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Index::decode(&bytes);
        }
    }

    #[test]
    fn the_largest_index_fits_its_bound() {
        let spans = [Span { start: u32::MAX / 2, end: u32::MAX }; Field::COUNT];
        let all = (1 << Field::COUNT) - 1;
        let index = Index { spans, present: all, escaped: all, severity: Severity::Unknown, timestamp_ms: i64::MIN };
        let mut bytes = b"before".to_vec();
        index.encode(&mut bytes);
        assert!(bytes.len() - 6 <= INDEX_BYTES_MAX);
        assert_eq!(Index::decode(&bytes[6..]).unwrap(), index);
    }

    #[test]
    fn a_format_or_a_field_that_is_not_known_is_refused() {
        let raw = br#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info"}"#;
        let mut bytes = Vec::new();
        crate::index(raw).unwrap().encode(&mut bytes);
        for (at, value) in [(0, 2), (1, 7), (2, 3), (3, 0x1f), (4, 0x40)] {
            let mut wrong = bytes.clone();
            wrong[at] = value;
            assert!(matches!(Index::decode(&wrong), Err(IndexError::Damaged { .. })), "byte {at}");
        }
    }
}
