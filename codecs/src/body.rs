//! A request body as pieces: a few bytes of glue, and between them ranges of events that are borrowed only when sent.
//!
//! What is always true: [`Body::len`] is the exact number of bytes that [`Body::slices`] yields; two pieces of glue
//! never stand side by side; no piece is empty.

use crate::lead::Leads;

/// A body under construction. Keeps its buffers when cleared.
#[derive(Clone, Debug, Default)]
pub struct Body {
    glue: Vec<u8>,
    pieces: Vec<Piece>,
    len: usize,
    leads: Leads,
}

/// One piece of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// A range of the body's own glue.
    Glue { start: u32, end: u32 },
    /// A range of the payload of one item.
    Item { item: u32, start: u32, end: u32 },
}

/// A state of a body to come back to with [`Body::rewind`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    glue: usize,
    pieces: usize,
    len: usize,
}

/// The number of an event in its stream, as the destination will see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The label of the node.
    pub node: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The event's number in it, from 1.
    pub n: u64,
}

impl Body {
    /// An empty body.
    pub fn new() -> Body {
        Body::default()
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.glue.clear();
        self.pieces.clear();
        self.len = 0;
    }

    /// Its length in bytes, as it will be sent.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that it fills: its glue, and its list of pieces. What items lend is not among them.
    pub fn memory(&self) -> usize {
        self.glue.len() + self.pieces.len() * size_of::<Piece>()
    }

    /// Bytes of memory that it could fill before it needs more.
    pub fn capacity(&self) -> usize {
        self.glue.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// How many slices [`Body::slices`] yields.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Appends bytes that the body keeps itself.
    ///
    /// # Panics
    /// When the glue of one body exceeds 4 GiB; batches are bounded far below.
    #[inline]
    pub fn push_glue(&mut self, bytes: &[u8]) {
        self.write_glue(|glue| glue.extend_from_slice(bytes));
    }

    /// Appends what `write` appends to the buffer it is given. It must not touch what is there already.
    ///
    /// # Panics
    /// When the buffer got shorter, or exceeds 4 GiB.
    #[inline]
    pub fn write_glue(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = position(self.glue.len());
        write(&mut self.glue);
        let after = position(self.glue.len());
        assert!(before <= after);
        self.len += (after - before) as usize;
        match self.pieces.last_mut() {
            _ if before == after => {}
            Some(Piece::Glue { end, .. }) => *end = after,
            _ => self.pieces.push(Piece::Glue { start: before, end: after }),
        }
    }

    /// Like [`Body::write_glue`], for glue with stamps in it.
    pub(crate) fn write_stamped(&mut self, write: impl FnOnce(&mut Vec<u8>, &mut Leads)) {
        let mut leads = std::mem::take(&mut self.leads);
        self.write_glue(|glue| write(glue, &mut leads));
        self.leads = leads;
    }

    /// The stamps as they were last spelt here.
    pub(crate) fn leads(&mut self) -> &mut Leads {
        &mut self.leads
    }

    /// Appends a range of the payload of item number `item`, which is lent when the body is sent.
    ///
    /// # Panics
    /// When `start` lies behind `end`.
    pub fn push_item(&mut self, item: u32, start: u32, end: u32) {
        assert!(start <= end);
        if start < end {
            self.pieces.push(Piece::Item { item, start, end });
            self.len += (end - start) as usize;
        }
    }

    /// Appends what another body holds.
    pub fn append(&mut self, other: &Body) {
        for piece in &other.pieces {
            match *piece {
                Piece::Glue { start, end } => self.push_glue(&other.glue[start as usize..end as usize]),
                Piece::Item { item, start, end } => self.push_item(item, start, end),
            }
        }
    }

    /// Notes the present state.
    pub fn mark(&self) -> Mark {
        Mark { glue: self.glue.len(), pieces: self.pieces.len(), len: self.len }
    }

    /// Takes back everything pushed since `mark`, which must be a mark of this body, made since it was last cleared.
    pub fn rewind(&mut self, mark: Mark) {
        self.glue.truncate(mark.glue);
        self.pieces.truncate(mark.pieces);
        self.len = mark.len;
        // Glue pushed after the mark may have lengthened the piece before it.
        if let Some(Piece::Glue { end, .. }) = self.pieces.last_mut() {
            *end = position(mark.glue);
        }
    }

    /// The body as slices, in order. `payload_of` lends the payload of an item by its number.
    ///
    /// # Panics
    /// When a payload is shorter than the range pushed for it: sending fewer bytes than announced would be worse.
    pub fn slices<'a, F>(&'a self, payload_of: F) -> impl Iterator<Item = &'a [u8]>
    where
        F: Fn(u32) -> &'a [u8],
    {
        self.pieces.iter().map(move |piece| match *piece {
            Piece::Glue { start, end } => &self.glue[start as usize..end as usize],
            Piece::Item { item, start, end } => &payload_of(item)[start as usize..end as usize],
        })
    }
}

fn position(length: usize) -> u32 {
    u32::try_from(length).expect("batches are bounded far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static PAYLOADS: [&[u8]; 2] = [b"first payload", b"second"];

    fn joined(body: &Body) -> Vec<u8> {
        body.slices(|item| PAYLOADS[item as usize]).flatten().copied().collect()
    }

    #[test]
    fn adjacent_glue_is_one_piece_and_items_are_borrowed() {
        let mut body = Body::new();
        body.push_glue(b"a");
        body.push_glue(b"b");
        body.push_item(1, 0, 6);
        body.push_item(0, 3, 3);
        body.push_glue(b"c");
        body.push_glue(b"");
        let slices: Vec<&[u8]> = body.slices(|item| PAYLOADS[item as usize]).collect();
        assert_eq!(slices, [&b"ab"[..], b"second", b"c"]);
        assert!(std::ptr::eq(slices[1].as_ptr(), PAYLOADS[1].as_ptr()));
        assert_eq!((body.len(), body.pieces()), (9, 3));
        assert_eq!(body.memory(), 3 + 3 * size_of::<Piece>(), "what is borrowed takes none");
        body.clear();
        assert!(body.memory() == 0 && body.capacity() > 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Glue(Vec<u8>),
        Item(u32, u32, u32),
        Mark,
        Rewind,
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..5).prop_map(Step::Glue),
            4 => (0u32..2, 0u32..4, 4u32..7).prop_map(|(item, start, end)| Step::Item(item, start, end)),
            2 => Just(Step::Mark),
            2 => Just(Step::Rewind),
            1 => Just(Step::Clear),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn a_body_is_the_bytes_pushed_and_not_taken_back(steps in steps()) {
            let mut body = Body::new();
            let mut naive: Vec<u8> = Vec::new();
            let mut mark = (body.mark(), 0);
            for step in steps {
                match step {
                    Step::Glue(bytes) => {
                        body.push_glue(&bytes);
                        naive.extend(bytes);
                    }
                    Step::Item(item, start, end) => {
                        body.push_item(item, start, end);
                        naive.extend(&PAYLOADS[item as usize][start as usize..end as usize]);
                    }
                    Step::Mark => mark = (body.mark(), naive.len()),
                    Step::Rewind => {
                        body.rewind(mark.0);
                        naive.truncate(mark.1);
                    }
                    Step::Clear => {
                        body.clear();
                        naive.clear();
                        mark = (body.mark(), 0);
                    }
                }
                prop_assert_eq!(joined(&body), naive.clone());
                prop_assert_eq!(body.len(), naive.len());
                prop_assert_eq!(body.slices(|item| PAYLOADS[item as usize]).count(), body.pieces());
                prop_assert!(body.slices(|item| PAYLOADS[item as usize]).all(|slice| !slice.is_empty()));
            }
        }
    }
}
