//! Compression of request bodies. The only file that knows flate2.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Appends the slices to `out` as one gzip member, at `level` 1 (fast) to 9 (small).
pub fn gzip<'a>(slices: impl Iterator<Item = &'a [u8]>, level: u32, out: &mut Vec<u8>) {
    let mut encoder = GzEncoder::new(out, Compression::new(level.clamp(1, 9)));
    for slice in slices {
        encoder.write_all(slice).expect("writing to a Vec never fails");
    }
    encoder.finish().expect("writing to a Vec never fails");
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn what_goes_in_comes_out_smaller_and_whole() {
        let events: Vec<String> =
            (0..500).map(|n| format!("{{\"event_id\":\"evt_{n}\",\"action\":\"file.download\"}}\n")).collect();
        for level in [0, 1, 6, 9, 99] {
            let mut out = b"kept".to_vec();
            gzip(events.iter().map(|event| event.as_bytes()), level, &mut out);
            assert_eq!(&out[..4], b"kept");
            let mut back = String::new();
            GzDecoder::new(&out[4..]).read_to_string(&mut back).unwrap();
            assert_eq!(back, events.concat());
            assert!(out.len() < back.len() / 4);
        }
    }

    #[test]
    fn nothing_is_a_valid_member_too() {
        let mut out = Vec::new();
        gzip(std::iter::empty(), 6, &mut out);
        assert_eq!(GzDecoder::new(&out[..]).read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
