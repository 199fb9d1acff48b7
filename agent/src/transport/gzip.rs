//! Compression of request bodies with gzip (RFC 1952). The only file that compresses with flate2.
//!
//! A body is bounded, so it is joined and then compressed in one go: fed slice by slice the compressor takes half as long
//! again, and a new one has a quarter of a megabyte to clear, so one is used again and again.

use flate2::{Compress, Compression, FlushCompress, Status};

/// Makes gzip members, one after another.
#[derive(Debug, Default)]
pub struct Gzip {
    /// With the level that it was made for; there is none until something is compressed.
    deflate: Option<(u32, Compress)>,
    whole: Vec<u8>,
}

impl Gzip {
    /// Appends the slices to `out` as one member, at `level` 1 (fast) to 9 (small).
    pub fn pack<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>, level: u32, out: &mut Vec<u8>) {
        self.whole.clear();
        slices.for_each(|slice| self.whole.extend_from_slice(slice));
        out.extend_from_slice(&HEADER);
        self.deflate(level.clamp(1, 9), out);
        out.extend_from_slice(&crc32fast::hash(&self.whole).to_le_bytes());
        out.extend_from_slice(&(self.whole.len() as u32).to_le_bytes());
        self.whole.truncate(KEPT_MAX);
        self.whole.shrink_to(KEPT_MAX);
    }

    fn deflate(&mut self, level: u32, out: &mut Vec<u8>) {
        let (made_for, deflate) =
            self.deflate.get_or_insert_with(|| (level, Compress::new(Compression::new(level), false)));
        if *made_for == level {
            deflate.reset();
        } else {
            (*made_for, *deflate) = (level, Compress::new(Compression::new(level), false));
        }
        loop {
            let rest = &self.whole[deflate.total_in() as usize..];
            out.reserve(rest.len() / 4 + ROOM_MIN);
            match deflate.compress_vec(rest, out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => return,
                Ok(Status::Ok | Status::BufError) => {}
                Err(problem) => unreachable!("compressing has no wrong input: {problem}"),
            }
        }
    }
}

/// What a member begins with: deflate, no name, no time, made for speed, on any system (RFC 1952, section 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// Room for output that is made at least, in bytes.
const ROOM_MIN: usize = 1024;
/// What is kept of the memory for joined bodies, in bytes.
const KEPT_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn unpacked(member: &[u8]) -> Vec<u8> {
        let mut back = Vec::new();
        GzDecoder::new(member).read_to_end(&mut back).unwrap();
        back
    }

    #[test]
    fn what_goes_in_comes_out_smaller_and_whole_whatever_went_before() {
        let events: Vec<String> =
            (0..500).map(|n| format!("{{\"event_id\":\"evt_{n}\",\"action\":\"file.download\"}}\n")).collect();
        let mut gzip = Gzip::default();
        for level in [0, 1, 1, 6, 9, 99, 1] {
            let mut out = b"kept".to_vec();
            gzip.pack(events.iter().map(|event| event.as_bytes()), level, &mut out);
            assert_eq!(&out[..4], b"kept");
            assert_eq!(unpacked(&out[4..]), events.concat().as_bytes());
            assert!(out.len() < events.concat().len() / 4);
        }
    }

    #[test]
    fn what_cannot_be_made_smaller_comes_out_whole_too() {
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let (mut gzip, mut out) = (Gzip::default(), Vec::new());
        for length in [1, 100, 3 << 20] {
            let bytes: Vec<u8> = (0..length).map(|_| noise()).collect();
            out.clear();
            gzip.pack(bytes.chunks(700), 1, &mut out);
            assert!(unpacked(&out) == bytes, "{length} bytes");
        }
    }

    #[test]
    fn nothing_is_a_valid_member_too() {
        let mut out = Vec::new();
        Gzip::default().pack(std::iter::empty(), 6, &mut out);
        assert_eq!(unpacked(&out), b"");
    }
}
