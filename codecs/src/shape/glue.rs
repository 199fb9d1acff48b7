//! Short constant texts between values: keys with what stands around them, put together when this is compiled.

/// A text of at most [`GLUE_MAX`] bytes. It is copied as a block of that size, which takes two steps, where a copy of its own
/// length would have to find out first how to go about it.
pub(super) struct Glue {
    /// The text, and zeros behind it. One longer than what is copied, so that a copy may begin at the second byte.
    block: [u8; GLUE_MAX + 1],
    length: u8,
}

impl Glue {
    /// Puts a text together.
    ///
    /// # Panics
    /// When it is too long: then it does not compile.
    pub(super) const fn new<const COUNT: usize>(parts: [&str; COUNT]) -> Glue {
        let mut glue = Glue { block: [0; GLUE_MAX + 1], length: 0 };
        let mut nth = 0;
        while nth < COUNT {
            let part = parts[nth].as_bytes();
            let mut at = 0;
            while at < part.len() {
                assert!((glue.length as usize) < GLUE_MAX, "glue is short");
                glue.block[glue.length as usize] = part[at];
                glue.length += 1;
                at += 1;
            }
            nth += 1;
        }
        glue
    }

    /// This one and another behind it, but for the comma that the other begins with.
    pub(super) const fn followed_by(mut self, other: &Glue) -> Glue {
        let mut at = 1;
        while at < other.length as usize {
            self.block[self.length as usize] = other.block[at];
            self.length += 1;
            at += 1;
        }
        assert!(self.length as usize <= GLUE_MAX, "glue is short");
        self
    }

    /// Appends it.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_but(false, out);
    }

    /// Appends it, but for its first byte where there is nothing that it has to part from what came before.
    #[inline]
    pub(super) fn write_but(&self, is_first_left_out: bool, out: &mut Vec<u8>) {
        let start = usize::from(is_first_left_out);
        let end = out.len() + usize::from(self.length) - start;
        out.extend_from_slice(&self.block[start..start + GLUE_MAX]);
        out.truncate(end);
    }

    /// Appends a key to an object that is open: with its comma, unless it is the first.
    #[inline]
    pub(super) fn write_key(&self, out: &mut Vec<u8>) {
        self.write_but(out.last() == Some(&b'{'), out);
    }

    /// What stands between the first quotes.
    #[cfg(test)]
    pub(super) fn key(&self) -> &str {
        std::str::from_utf8(&self.block).unwrap().split('"').nth(1).unwrap()
    }
}

/// The longest text that is glue.
const GLUE_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glue_is_written_as_it_was_put_together_and_the_comma_only_behind_a_member() {
        const KEY: Glue = Glue::new([",\"", "key", "\":"]);
        const LONGEST: Glue = Glue::new(["0123456789abcdef", "0123456789abcdef"]);
        let mut out = b"{".to_vec();
        KEY.write_key(&mut out);
        out.push(b'1');
        KEY.write_key(&mut out);
        KEY.write(&mut out);
        LONGEST.write(&mut out);
        assert_eq!(out, br#"{"key":1,"key":,"key":0123456789abcdef0123456789abcdef"#);
    }
}
