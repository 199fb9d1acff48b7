//! The bytes on disk. All integers are little-endian; all checksums are CRC-32 (IEEE 802.3).
//!
//! A segment file is one header page, then records, then, once sealed, a footer in the file's last
//! [`FOOTER_LEN`] bytes. Files are named after their first sequence number, in 20 decimal digits:
//! `00000000000000000001.seg`. A file called `spare-*.seg` holds nothing that was promised to anyone.
//!
//! **Header** (first page of the file; the rest of the page is zero)
//!
//! | offset | size | field        | meaning                                                     |
//! |-------:|-----:|--------------|-------------------------------------------------------------|
//! |      0 |    8 | magic        | `SCDRVLOG`                                                  |
//! |      8 |    4 | version      | 1; a reader sets a newer one aside                |
//! |     12 |    4 | shard        | the shard that wrote it, for people                         |
//! |     16 |    8 | base         | sequence number of the first record, at least 1             |
//! |     24 |    8 | durable_end  | first seq not known durable when the header was written     |
//! |     32 |    8 | created      | wall time in ms since 1970, signed, for people              |
//! |     40 |    8 | salt         | random; part of every checksum in this file                 |
//! |     48 |    4 | segment_size | the file's length when it was created                       |
//! |     52 |    4 | flags        | bit 0: readers might pass the durable line                  |
//! |     56 |    4 | checksum     | of bytes 0 to 55                                            |
//!
//! **Record** (8-byte aligned; zeros up to the next one)
//!
//! | offset | size      | field       | meaning                                                 |
//! |-------:|----------:|-------------|---------------------------------------------------------|
//! |      0 |         4 | checksum    | of the salt and of all that follows                     |
//! |      4 |         4 | len         | bytes of the whole record without padding, at least 56  |
//! |      8 |         8 | seq         | number of this record                                   |
//! |     16 |         8 | durable_end | first seq not known durable when this was written       |
//! |     24 |         8 | log_time    | ms of the log clock                                     |
//! |     32 |         8 | wall        | ms since 1970, signed                                   |
//! |     40 |         8 | tenant_hash | opaque to this crate                                    |
//! |     48 |         4 | index_len   | bytes of the index                                      |
//! |     52 |         2 | flags       | opaque to this crate                                    |
//! |     54 |         1 | kind        | 1 event, 2 mark (nothing but a durable line), 3 closing |
//! |     55 |         1 | zero        | always 0                                                |
//! |     56 | index_len | index       | opaque to this crate                                    |
//! |      … |         … | payload     | the rest of `len`                                       |
//!
//! **Footer**
//!
//! | offset | size | field    | meaning                                                         |
//! |-------:|-----:|----------|-----------------------------------------------------------------|
//! |      0 |    8 | magic    | `SCDRVEND`                                                      |
//! |      8 |    4 | len      | bytes of the body                                               |
//! |     12 |    4 | checksum | of the salt, the magic, `len` and the body                      |
//! |     16 |  len | body     | a [`Footer`] in bincode's standard configuration                |
//!
//! Why in this order: a record's checksum comes first so that it covers one contiguous stretch. The
//! salt makes what an earlier life of a recycled file left behind fail its checksum. The footer stands
//! at the end of the file so that opening finds it without reading the records.

mod footer;
mod header;
mod record;

pub(crate) use footer::{FOOTER_LEN, Footer, INDEX_MAX, IndexEntry};
pub use header::VERSION;
pub(crate) use header::{HEADER_LEN, Header, HeaderError};
pub(crate) use record::{Kind, RECORD_HEADER, RecordHead};

use crate::number::Seq;

/// Rounds a length up to the alignment of records.
pub(crate) const fn aligned(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// The file name of the segment that starts with `base`.
pub(crate) fn segment_name(base: Seq) -> String {
    format!("{:020}.seg", base.get())
}

/// The file name of spare number `number`.
pub(crate) fn spare_name(number: u64) -> String {
    format!("spare-{number}.seg")
}

/// What a file in the log's directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileKind {
    Segment(Seq),
    Spare(u64),
    Cursors,
    Other,
}

/// Tells what a file is by its name.
pub(crate) fn file_kind(name: &str) -> FileKind {
    if name == CURSORS_NAME {
        return FileKind::Cursors;
    }
    let Some(stem) = name.strip_suffix(".seg") else {
        return FileKind::Other;
    };
    if let Some(number) = stem.strip_prefix("spare-") {
        return number.parse().map_or(FileKind::Other, FileKind::Spare);
    }
    let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    match stem.parse().ok().and_then(Seq::new) {
        Some(base) if digits => FileKind::Segment(base),
        _ => FileKind::Other,
    }
}

/// The checksum state after the salt, from which every checksum of a segment starts.
pub(crate) fn salted(salt: u64) -> u32 {
    crc32fast::hash(&salt.to_le_bytes())
}

/// Checksum of `parts`, one after the other, going on from `start`.
pub(crate) fn checksum(start: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(start);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The cursor file's name.
pub(crate) const CURSORS_NAME: &str = "cursors";
/// The folder for files of newer formats.
pub(crate) const NEWER: &str = "newer/";

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        let base = Seq::from_raw(7);
        assert_eq!(file_kind(&segment_name(base)), FileKind::Segment(base));
        assert_eq!(file_kind(&spare_name(3)), FileKind::Spare(3));
        assert_eq!(file_kind("cursors"), FileKind::Cursors);
        for other in [
            "7.seg",
            "00000000000000000000.seg",
            "99999999999999999999.seg",
            "+0000000000000000001.seg",
            "spare-.seg",
            "notes.txt",
            ".seg",
        ] {
            assert_eq!(file_kind(other), FileKind::Other, "{other}");
        }
    }
}
