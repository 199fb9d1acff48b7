//! Compression of request bodies with zstd (RFC 8878). The only file that knows the library.

use std::io::Write;

use zstd::stream::write::Encoder;

/// Appends the slices to `out` as one frame, at `level` 1 (fast) to 19 (small).
pub fn zstd<'a>(slices: impl Iterator<Item = &'a [u8]>, level: i32, out: &mut Vec<u8>) {
    let mut encoder = Encoder::new(out, level.clamp(1, 19)).expect("the levels are those the library knows");
    for slice in slices {
        encoder.write_all(slice).expect("writing to a Vec never fails");
    }
    encoder.finish().expect("writing to a Vec never fails");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_smaller_and_whole() {
        let events: Vec<String> = (0..500).map(|n| format!("{{\"event_id\":\"evt_{n}\"}}\n")).collect();
        for level in [0, 1, 3, 99] {
            let mut out = b"kept".to_vec();
            zstd(events.iter().map(|event| event.as_bytes()), level, &mut out);
            assert_eq!(&out[..4], b"kept");
            assert_eq!(::zstd::decode_all(&out[4..]).unwrap(), events.concat().as_bytes());
            assert!(out.len() < events.concat().len() / 4);
        }
    }
}
