//! Taking a chunked body apart as it arrives (RFC 9112, section 7.1).

/// Where in a chunked body the next byte belongs. Chunk extensions and trailers are read and dropped.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    /// Bytes of the present line (size, extension, trailers) so far.
    line: usize,
}

/// The bytes are not a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed")]
pub struct ChunkError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the size; no digit of it seen yet, or some.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size, before its line feed.
    Extension {
        size: u64,
    },
    /// This much of the data is missing.
    Data {
        left: u64,
    },
    /// Behind the data: its line break, of which CR may have been seen.
    DataEnd {
        seen_cr: bool,
    },
    /// In the trailers; `is_blank` while the present line has nothing but CR.
    Trailer {
        is_blank: bool,
    },
    Done,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked::new()
    }
}

impl Chunked {
    /// At the beginning of a body.
    pub fn new() -> Chunked {
        Chunked { state: START, line: 0 }
    }

    /// Whether the last byte of the body was taken.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes bytes from `input`, hands the data in them to `data`, and says how many it took: all of them, unless the
    /// body ends before.
    ///
    /// # Errors
    /// When the bytes cannot be a chunked body, or a size line or all trailers together exceed [`LINE_MAX`].
    pub fn push(&mut self, input: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, ChunkError> {
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            if let State::Data { left } = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                data(&input[at..at + here]);
                at += here;
                let left = left - here as u64;
                self.state = if left == 0 { State::DataEnd { seen_cr: false } } else { State::Data { left } };
            } else {
                self.line += 1;
                self.state = self.byte(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        if self.line > LINE_MAX {
            return Err(ChunkError);
        }
        let state = match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < SIZE_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).ok_or(ChunkError)?;
                State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(ChunkError),
            (State::Size { size, .. } | State::Extension { size }, b'\n') => self.after_size(size),
            (State::Size { size, .. }, b'\r' | b';' | b' ' | b'\t') => State::Extension { size },
            (State::Size { .. }, _) => return Err(ChunkError),
            (extension @ State::Extension { .. }, _) => extension,
            (State::DataEnd { seen_cr: false }, b'\r') => State::DataEnd { seen_cr: true },
            (State::DataEnd { .. }, b'\n') => {
                self.line = 0;
                START
            }
            (State::Trailer { is_blank: true }, b'\n') => State::Done,
            (State::Trailer { .. }, b'\n') => State::Trailer { is_blank: true },
            (State::Trailer { is_blank }, b'\r') => State::Trailer { is_blank },
            (State::Trailer { .. }, _) => State::Trailer { is_blank: false },
            (State::DataEnd { .. } | State::Data { .. } | State::Done, _) => return Err(ChunkError),
        };
        Ok(state)
    }

    fn after_size(&mut self, size: u64) -> State {
        self.line = 0;
        if size == 0 { State::Trailer { is_blank: true } } else { State::Data { left: size } }
    }
}

const START: State = State::Size { size: 0, digits: 0 };
/// Hexadecimal digits of a chunk size: below 2^60, so nothing overflows.
const SIZE_DIGITS_MAX: u8 = 15;
/// Bytes of one size line, and of all trailers together.
pub const LINE_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), ChunkError> {
        let (mut chunked, mut body, mut used) = (Chunked::new(), Vec::new(), 0);
        for part in input.chunks(step) {
            used += chunked.push(part, |data| body.extend_from_slice(data))?;
        }
        Ok((body, used, chunked.is_done()))
    }

    #[test]
    fn extensions_and_trailers_are_dropped_and_what_follows_is_left() {
        let input = b"4;a=\"b\"\r\nWiki\r\n005 \r\npedia\r\n0\r\nExpires: never\r\n\r\nnext";
        for step in [1, 2, 3, 100] {
            assert_eq!(read(input, step), Ok((b"Wikipedia".to_vec(), input.len() - 4, true)), "{step}");
        }
    }

    #[test]
    fn what_is_not_chunked_is_an_error() {
        let long_line = format!("1;{}", "x".repeat(LINE_MAX));
        let long_trailers = format!("0\r\n{}", "a: b\r\n".repeat(LINE_MAX / 6 + 1));
        let wrong = [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "0x4\r\n",
            "1\r\nab\r\n",
            "1\r\na\rb",
            "1000000000000000\r\n",
            &long_line,
            &long_trailers,
        ];
        for text in wrong {
            assert_eq!(read(text.as_bytes(), 7), Err(ChunkError), "{}", &text[..text.len().min(20)]);
        }
    }

    proptest! {
        #[test]
        fn any_division_into_chunks_and_pushes_gives_the_same_body(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), step in 1usize..50) {
            let mut wire = Vec::new();
            for part in &parts {
                wire.extend(format!("{:x}\r\n", part.len()).bytes());
                wire.extend(part);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            prop_assert_eq!(read(&wire, step), Ok((parts.concat(), wire.len(), true)));
        }
    }
}
