//! How messages are told apart on a connection.

/// How messages are told apart on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `MSG-LEN SP SYSLOG-MSG` (RFC 6587, section 3.4.1).
    OctetCounting,
    /// Each message ends in a line feed (RFC 6587, section 3.4.2).
    LineFeed,
    /// The frames of RELP, each with an answer.
    Relp,
}

const COUNT_DIGITS_MAX: usize = 7;
const MESSAGE_MAX: usize = 1 << 20;

/// The message behind its count at the front of `bytes`, and the frame's length. `None` while it is not whole.
///
/// # Errors
/// When there is no such count.
pub(super) fn split_counted(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let wrong = || format!("no octet count: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
    if bytes.first() == Some(&b'0') || digits > COUNT_DIGITS_MAX {
        return Err(wrong());
    }
    match bytes.get(digits) {
        None => Ok(None),
        Some(b' ') if digits > 0 => {
            let count: usize = String::from_utf8_lossy(&bytes[..digits]).parse().map_err(|_| wrong())?;
            if count > MESSAGE_MAX {
                return Err(wrong());
            }
            let (start, end) = (digits + 1, digits + 1 + count);
            Ok(bytes.get(start..end).map(|message| (message, end)))
        }
        Some(_) => Err(wrong()),
    }
}

/// The line at the front of `bytes` without its line feed, and the frame's length. `None` while it is not whole.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    memchr::memchr(b'\n', bytes).map(|end| (&bytes[..end], end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_count_is_an_error() {
        for frame in ["x", "0 ", " 12", "99999999 "] {
            assert!(split_counted(frame.as_bytes()).is_err(), "{frame}");
        }
        assert_eq!(split_counted(b"12"), Ok(None));
        assert_eq!(split_counted(b"2 abc"), Ok(Some((&b"ab"[..], 4))));
    }
}
