//! Where one syslog message ends on a byte stream (RFC 6587).
//!
//! [`split_counted`] and [`split_line`] are the receiver's side: they borrow from what was received so far and say "not
//! yet" by `Ok(None)`. [`CountedMessages`] is for a sender that has a body of many messages and must send them one by one.

/// The stream is not framed as expected and cannot be followed any further; close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// What should be a byte count is not one.
    #[error("the message does not begin with its length")]
    BadCount,
    /// The message is longer than the limit.
    #[error("the message is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

/// A message and the bytes after it.
pub type Frame<'a> = (&'a [u8], &'a [u8]);

/// Takes one octet-counted message off the front (RFC 6587, section 3.4.1; RFC 5425, section 4.3).
///
/// The count is 1 to [`COUNT_DIGITS_MAX`] digits, the first of them not zero, and one space. `limit` is the longest
/// message taken, in bytes.
///
/// # Errors
/// When the count is malformed or above `limit`.
pub fn split_counted(input: &[u8], limit: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let mut count = 0usize;
    for (nth, byte) in input.iter().enumerate().take(COUNT_DIGITS_MAX + 1) {
        match byte {
            b'0' if nth == 0 => return Err(FrameError::BadCount),
            b'0'..=b'9' if nth < COUNT_DIGITS_MAX => count = count * 10 + usize::from(byte - b'0'),
            b' ' if nth > 0 => return Ok(input[nth + 1..].split_at_checked(count)),
            _ => return Err(FrameError::BadCount),
        }
        if count > limit {
            return Err(FrameError::TooLong { limit });
        }
    }
    Ok(None)
}

/// Takes one message that ends in a line feed off the front (RFC 6587, section 3.4.2). The line feed belongs to neither
/// part. `limit` is the longest message taken, in bytes.
///
/// # Errors
/// When no line feed stands in the first `limit + 1` bytes.
pub fn split_line(input: &[u8], limit: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let window = &input[..input.len().min(limit.saturating_add(1))];
    match memchr::memchr(b'\n', window) {
        Some(end) => Ok(Some((&input[..end], &input[end + 1..]))),
        None if window.len() > limit => Err(FrameError::TooLong { limit }),
        None => Ok(None),
    }
}

/// A body of octet-counted messages, cut into messages again. Nothing is copied.
#[derive(Debug)]
pub struct CountedMessages<'a, S> {
    slices: S,
    rest: &'a [u8],
}

impl<'a, S: Iterator<Item = &'a [u8]>> CountedMessages<'a, S> {
    /// Cuts what `slices` make together. A count and its space lie in one slice, as the encoder writes them.
    pub fn new(slices: S) -> CountedMessages<'a, S> {
        CountedMessages { slices, rest: &[] }
    }

    /// Puts the next message into `parts`: first its count with the space, then the slices that it is made of. Returns
    /// its length without the count; `None` when there is no further message, or what follows is not one.
    pub fn next_into(&mut self, parts: &mut Vec<&'a [u8]>) -> Option<usize> {
        parts.clear();
        while self.rest.is_empty() {
            self.rest = self.slices.next()?;
        }
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (count, after) = self.rest.split_at_checked(digits + 1)?;
        let length = count.strip_suffix(b" ").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())?;
        parts.push(count);
        self.rest = after;
        let mut left: usize = length;
        while left > 0 {
            while self.rest.is_empty() {
                self.rest = self.slices.next()?;
            }
            let (part, after) = self.rest.split_at(left.min(self.rest.len()));
            parts.push(part);
            self.rest = after;
            left -= part.len();
        }
        Some(length)
    }
}

/// Digits of the longest count: messages below 1 GB.
pub const COUNT_DIGITS_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_counted_message_is_split_where_its_count_says() {
        assert_eq!(split_counted(b"3 abcdef", 9), Ok(Some((&b"abc"[..], &b"def"[..]))));
        assert_eq!(split_counted(b"3 abc", 3), Ok(Some((&b"abc"[..], &b""[..]))));
        for partial in ["", "3", "3 ", "3 ab", "123456789"] {
            assert_eq!(split_counted(partial.as_bytes(), 999_999_999), Ok(None), "{partial}");
        }
    }

    #[test]
    fn a_malformed_count_is_an_error_at_once() {
        for wrong in ["0 ", "03 abc", " 3", "<13>1", "3abc", "-3 a", "1234567890"] {
            assert_eq!(split_counted(wrong.as_bytes(), usize::MAX), Err(FrameError::BadCount), "{wrong}");
        }
        assert_eq!(split_counted(b"4", 3), Err(FrameError::TooLong { limit: 3 }));
    }

    #[test]
    fn a_line_ends_before_its_line_feed() {
        assert_eq!(split_line(b"abc\ndef", 3), Ok(Some((&b"abc"[..], &b"def"[..]))));
        assert_eq!(split_line(b"\n", 0), Ok(Some((&b""[..], &b""[..]))));
        assert_eq!(split_line(b"abc", 3), Ok(None));
        assert_eq!(split_line(b"abcd", 3), Err(FrameError::TooLong { limit: 3 }));
    }

    proptest! {
        #[test]
        fn counted_messages_come_out_as_they_went_in(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 0..8)) {
            let mut stream = Vec::new();
            for message in &messages {
                stream.extend(format!("{} ", message.len()).bytes());
                stream.extend(message);
            }
            let mut rest = &stream[..];
            for message in &messages {
                let (found, after) = split_counted(rest, 30).unwrap().unwrap();
                prop_assert_eq!(found, &message[..]);
                for cut in 0..rest.len() - after.len() {
                    prop_assert_eq!(split_counted(&rest[..cut], 30), Ok(None));
                }
                rest = after;
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn a_body_in_any_slices_is_cut_into_its_messages(
            messages in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..5), 0..8),
        ) {
            // Each message lies in several slices; its count is in front of the first, behind the end of the one before.
            let mut slices: Vec<Vec<u8>> = vec![Vec::new()];
            for message in &messages {
                slices.last_mut().unwrap().extend(format!("{} ", message.concat().len()).bytes());
                for part in message {
                    slices.push(part.clone());
                }
            }
            let mut cutter = CountedMessages::new(slices.iter().map(Vec::as_slice));
            let mut parts = Vec::new();
            for message in &messages {
                let whole = message.concat();
                prop_assert_eq!(cutter.next_into(&mut parts), Some(whole.len()));
                let count = format!("{} ", whole.len());
                prop_assert_eq!(parts[0], count.as_bytes());
                prop_assert_eq!(parts[1..].concat(), whole);
            }
            prop_assert_eq!(cutter.next_into(&mut parts), None);
        }
    }
}
