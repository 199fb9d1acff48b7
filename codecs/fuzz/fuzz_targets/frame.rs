//! Frames are parts of the input in order, within the limit, and more input never changes a frame once it is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scaidrive_codecs::framing::{FrameError, split_counted, split_line};

type Split = fn(&[u8], usize) -> Result<Option<(&[u8], &[u8])>, FrameError>;

fuzz_target!(|input: (u16, &[u8])| {
    let (limit, stream) = (usize::from(input.0), input.1);
    for split in [split_counted as Split, split_line as Split] {
        let mut rest = stream;
        while let Ok(Some((message, after))) = split(rest, limit) {
            assert!(message.len() <= limit);
            let taken = rest.len() - after.len();
            assert!(taken >= message.len() && taken > 0);
            assert_eq!(split(&rest[..taken], limit), Ok(Some((message, &[][..]))));
            assert_eq!(split(&rest[..taken - 1], limit), Ok(None));
            rest = after;
        }
    }
});
