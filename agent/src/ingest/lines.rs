//! Newline-delimited lines out of a byte stream, over one reused buffer.
//!
//! - A line is handed out as a slice of the buffer it was read into; nothing is copied.
//! - The buffer never grows beyond the longest line allowed plus one read, and shrinks again once it is empty.
//! - A line over the limit is dropped as it arrives; only its first bytes stay, for the quarantine file.
//! - How the stream was cut into reads makes no difference to the lines.

use memchr::memchr;

/// Most bytes asked for in one read.
pub const READ_SIZE: usize = 128 * 1024;

/// How much of a line over the limit is kept for people to recognise it by, in bytes.
pub const HEAD_MAX: usize = 4 * 1024;

/// One line of the stream, without its line break.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Something that should be an event, white space round it taken off. Writable, so that a carriage return between two
    /// tokens can become a space where it lies.
    Text(&'a mut [u8]),
    /// Nothing but white space.
    Blank,
    /// A line over the limit: its first bytes and its whole length, line feed not included.
    TooLong {
        /// The first bytes of the line, at most [`HEAD_MAX`].
        head: &'a [u8],
        /// How long the line was.
        bytes: u64,
    },
    /// What stood after the last line feed when the stream ended. It may be cut, so it is not an event.
    CutOff(&'a [u8]),
}

/// The read buffer of one connection.
pub struct Lines {
    buffer: Vec<u8>,
    /// First byte that was not handed out.
    start: usize,
    /// No line feed lies in `start..scanned`.
    scanned: usize,
    /// End of what was read.
    filled: usize,
    /// Where the line handed out last begins.
    last: usize,
    /// Bytes already dropped from the line that begins at `start`, once it is over the limit.
    dropped: Option<u64>,
    max_line: usize,
    read_size: usize,
}

impl Lines {
    /// An empty buffer for lines of at most `max_line` bytes, line break not included.
    pub fn new(max_line: usize) -> Lines {
        Lines::with_read_size(max_line, READ_SIZE)
    }

    fn with_read_size(max_line: usize, read_size: usize) -> Lines {
        Lines {
            buffer: vec![0; read_size],
            start: 0,
            scanned: 0,
            filled: 0,
            last: 0,
            dropped: None,
            max_line,
            read_size,
        }
    }

    /// Where the next read goes; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.make_space();
        let end = self.buffer.len().min(self.filled + self.read_size);
        &mut self.buffer[self.filled..end]
    }

    /// The first `count` bytes of [`Lines::space`] were read.
    pub fn fill(&mut self, count: usize) {
        self.filled = self.buffer.len().min(self.filled + count);
    }

    /// The next whole line, or `None` when more must be read first.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        let Some(at) = memchr(b'\n', &self.buffer[self.scanned..self.filled]) else {
            self.scanned = self.filled;
            self.drop_excess();
            return None;
        };
        let begin = self.start;
        let end = self.scanned + at;
        self.last = begin;
        self.start = end + 1;
        self.scanned = end + 1;
        let dropped = self.dropped.take();
        let head = self.head_max().min(end - begin);
        let line = &mut self.buffer[begin..end];
        if dropped.is_none() && without_return(line).len() <= self.max_line {
            let text = trim(line);
            return Some(if text.is_empty() { Line::Blank } else { Line::Text(text) });
        }
        let bytes = dropped.unwrap_or(0) + line.len() as u64;
        Some(Line::TooLong { head: &line[..head], bytes })
    }

    /// The line handed out last, which must have been [`Line::Text`], comes again.
    pub fn put_back(&mut self) {
        self.start = self.last;
        self.scanned = self.last;
    }

    /// What is left when the stream has ended; to be asked once [`Lines::next_line`] has nothing more.
    pub fn finish(&mut self) -> Option<Line<'_>> {
        let (begin, end) = (self.start, self.filled);
        self.start = end;
        self.scanned = end;
        let head = self.head_max().min(end - begin);
        let rest = &mut self.buffer[begin..end];
        if let Some(dropped) = self.dropped.take() {
            let bytes = dropped + rest.len() as u64;
            return Some(Line::TooLong { head: &rest[..head], bytes });
        }
        let rest = trim(rest);
        if rest.is_empty() { None } else { Some(Line::CutOff(rest)) }
    }

    /// Lets go of all but the head of a line that is over the limit.
    fn drop_excess(&mut self) {
        let pending = self.filled - self.start;
        // The last byte may be a carriage return that belongs to the line break.
        if self.dropped.is_none() && pending <= self.max_line + 1 {
            return;
        }
        let keep = self.head_max().min(pending);
        self.dropped = Some(self.dropped.unwrap_or(0) + (pending - keep) as u64);
        self.filled = self.start + keep;
        self.scanned = self.filled;
    }

    fn make_space(&mut self) {
        if self.start == self.filled {
            (self.start, self.scanned, self.filled) = (0, 0, 0);
            if self.buffer.len() > self.read_size {
                self.buffer = vec![0; self.read_size];
            }
        }
        // A small remainder is not worth a read of its own.
        let enough = (self.read_size / 4).max(1);
        if self.buffer.len() - self.filled >= enough {
            return;
        }
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.scanned -= self.start;
        self.start = 0;
        if self.buffer.len() - self.filled < enough {
            let limit = self.max_line + 1 + self.read_size;
            self.buffer.resize((self.buffer.len() * 2).min(limit), 0);
        }
    }

    fn head_max(&self) -> usize {
        HEAD_MAX.min(self.max_line)
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Takes JSON's white space off both ends.
fn trim(line: &mut [u8]) -> &mut [u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let Some(begin) = line.iter().position(|byte| !is_space(byte)) else {
        return &mut [];
    };
    let end = line.iter().rposition(|byte| !is_space(byte)).map_or(begin, |last| last + 1);
    &mut line[begin..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Seen {
        Text(Vec<u8>),
        Blank,
        TooLong(Vec<u8>, u64),
        CutOff(Vec<u8>),
    }

    fn seen(line: Line<'_>) -> Seen {
        match line {
            Line::Text(text) => Seen::Text(text.to_vec()),
            Line::Blank => Seen::Blank,
            Line::TooLong { head, bytes } => Seen::TooLong(head.to_vec(), bytes),
            Line::CutOff(rest) => Seen::CutOff(rest.to_vec()),
        }
    }

    /// Reads `input` in pieces of the given sizes, repeated.
    fn read(input: &[u8], sizes: &[usize], max_line: usize, read_size: usize) -> Vec<Seen> {
        let mut lines = Lines::with_read_size(max_line, read_size);
        let mut all = Vec::new();
        let mut rest = input;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let space = lines.space();
            assert!(!space.is_empty());
            let count = space.len().min(rest.len()).min(*sizes.next().unwrap());
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            lines.fill(count);
            while let Some(line) = lines.next_line() {
                all.push(seen(line));
            }
            assert!(lines.buffer.len() <= max_line + 1 + read_size, "the buffer keeps its bound");
        }
        all.extend(lines.finish().map(seen));
        all
    }

    /// What the lines are, said as simply as possible.
    fn model(input: &[u8], max_line: usize) -> Vec<Seen> {
        let mut all = Vec::new();
        let mut parts: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
        let rest = parts.pop().unwrap();
        let space = |byte: &u8| b" \t\r".contains(byte);
        let trimmed = |line: &[u8]| {
            let begin = line.iter().position(|byte| !space(byte)).unwrap_or(line.len());
            let end = line.iter().rposition(|byte| !space(byte)).map_or(begin, |last| last + 1);
            line[begin..end].to_vec()
        };
        for line in parts {
            let bare = line.strip_suffix(b"\r").unwrap_or(line);
            all.push(if bare.len() > max_line {
                Seen::TooLong(line[..max_line.min(HEAD_MAX)].to_vec(), line.len() as u64)
            } else if trimmed(line).is_empty() {
                Seen::Blank
            } else {
                Seen::Text(trimmed(line))
            });
        }
        if rest.len() > max_line + 1 {
            all.push(Seen::TooLong(rest[..max_line.min(HEAD_MAX)].to_vec(), rest.len() as u64));
        } else if !trimmed(rest).is_empty() {
            all.push(Seen::CutOff(trimmed(rest)));
        }
        all
    }

    proptest! {
        #[test]
        fn any_cutting_of_the_stream_gives_the_same_lines(
            input in proptest::collection::vec(prop_oneof![4 => Just(b'a'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => Just(b' '), 1 => any::<u8>()], 0..400),
            sizes in proptest::collection::vec(1_usize..40, 1..6),
            max_line in 1_usize..60,
            read_size in 1_usize..50,
        ) {
            prop_assert_eq!(read(&input, &sizes, max_line, read_size), model(&input, max_line));
        }
    }

    #[test]
    fn windows_line_ends_and_blank_lines_are_understood() {
        let lines = read(b"{}\r\n\r\n \t\n {\"a\":1} \n", &[3], 100, 16);
        let expected = [Seen::Text(b"{}".to_vec()), Seen::Blank, Seen::Blank, Seen::Text(b"{\"a\":1}".to_vec())];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_without_being_kept() {
        let mut input = vec![b'x'; 1_000_000];
        input.extend_from_slice(b"\nshort\n");
        let lines = read(&input, &[1000], 8192, 1024);
        assert_eq!(lines, [Seen::TooLong(vec![b'x'; HEAD_MAX], 1_000_000), Seen::Text(b"short".to_vec())]);
    }

    #[test]
    fn the_longest_line_allowed_passes_and_one_byte_more_does_not() {
        let fits = [b"12345678".as_slice(), b"\r\n"].concat();
        assert_eq!(read(&fits, &[1], 8, 4), [Seen::Text(b"12345678".to_vec())]);
        assert_eq!(read(b"123456789\n", &[1], 8, 4), [Seen::TooLong(b"12345678".to_vec(), 9)]);
    }

    #[test]
    fn a_line_put_back_comes_again() {
        let mut lines = Lines::new(100);
        lines.space()[..6].copy_from_slice(b"one\ntw");
        lines.fill(6);
        assert_eq!(lines.next_line().map(seen), Some(Seen::Text(b"one".to_vec())));
        lines.put_back();
        assert_eq!(lines.next_line().map(seen), Some(Seen::Text(b"one".to_vec())));
        assert_eq!(lines.next_line(), None);
        assert_eq!(lines.finish().map(seen), Some(Seen::CutOff(b"tw".to_vec())));
    }

    #[test]
    fn the_buffer_shrinks_once_a_long_line_is_gone() {
        let mut lines = Lines::with_read_size(1000, 16);
        for _ in 0..60 {
            let space = lines.space();
            space.fill(b'x');
            let count = space.len();
            lines.fill(count);
            assert_eq!(lines.next_line(), None);
        }
        assert!(lines.buffer.len() > 500);
        lines.space()[0] = b'\n';
        lines.fill(1);
        assert!(lines.next_line().is_some());
        lines.space();
        assert_eq!(lines.buffer.len(), 16);
    }
}
