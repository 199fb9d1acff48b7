//! The heap of the program: what is freed where secrets pass is written over first.
//!
//! A secret that somebody sends goes through buffers that are not ours: the connection's, the parser's, those of the reply,
//! of a table of headers, of a text that grew. Each of them is given back as it is, and a secret stays in the free memory
//! until something else happens to need the place. So the allocator itself wipes, on the threads that ask for it: all that
//! serve the control plane and the command line ([`wipe_here`]). Shards carry events, and pay a look at a flag for each
//! block that they free; where they handle a secret, they ask for that while ([`wiping`], [`Wiped`]).
//!
//! Always true, where it is asked for: a block is zero before anybody else can get it, also where a text grows, shrinks or
//! moves. Not covered: what is still in use, which is wiped by its owner or by the end of the process; stacks, which the next
//! calls write over; and what a thread frees that does not wipe.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::poll_fn;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::Poll;

thread_local! {
    // An allocator is told an address and a size, so what a thread is for has to be known to the thread itself.
    static WIPES: Cell<bool> = const { Cell::new(false) };
}

/// See the module. Passes everything on to `A`.
#[derive(Debug, Default)]
pub struct Heap<A = System>(A);

impl Heap {
    /// The system's heap, wiped where that is asked for.
    pub const fn of_the_system() -> Heap {
        Heap(System)
    }
}

/// From now on this thread wipes what it frees.
pub fn wipe_here() {
    WIPES.set(true);
}

/// Does `work` so that what it frees meanwhile is wiped, whatever its thread does else, and it itself when it is done or given
/// up: what it has in hand between two steps is in its own block.
pub async fn wiping<T>(work: impl Future<Output = T> + Unpin) -> T {
    let mut work = Wiped(Some(work));
    poll_fn(|context| {
        let _while = While::begin();
        // There until it goes.
        work.as_mut().map_or(Poll::Pending, |work| Pin::new(work).poll(context))
    })
    .await
}

/// A value that is wiped when it is dropped, on whatever thread that happens.
#[derive(Default)]
pub struct Wiped<T: Default>(T);

impl<T: Default> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Default> DerefMut for Wiped<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Default> From<T> for Wiped<T> {
    fn from(value: T) -> Wiped<T> {
        Wiped(value)
    }
}

impl<T: Default> Drop for Wiped<T> {
    fn drop(&mut self) {
        let _while = While::begin();
        drop(mem::take(&mut self.0));
    }
}

/// While it lives its thread wipes.
struct While {
    did_before: bool,
}

impl While {
    fn begin() -> While {
        While { did_before: WIPES.replace(true) }
    }
}

impl Drop for While {
    fn drop(&mut self) {
        WIPES.set(self.did_before);
    }
}

// SAFETY: every call is passed on to an allocator with what the caller has promised, and every block comes from it and goes
// back to it with the layout that it was made with. A block is written over only while it is still the caller's.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Heap<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised by the caller.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised by the caller.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WIPES.get() {
            // A plain write before a block is freed is one that compilers leave out.
            // SAFETY: the block has `layout.size()` bytes and is the caller's until the next line.
            unsafe { libc::explicit_bzero(block.cast(), layout.size()) };
        }
        // SAFETY: as promised by the caller.
        unsafe { self.0.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !WIPES.get() {
            // SAFETY: as promised by the caller.
            return unsafe { self.0.realloc(block, layout, size) };
        }
        // Never in place: what is cut off would stay as it is, and so would the old place of what moves.
        // SAFETY: the caller has promised that `size` is not zero and does not overflow with this alignment.
        let moved = unsafe { self.0.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks have at least that many bytes, and the new one is nobody else's.
            unsafe { moved.copy_from_nonoverlapping(block, layout.size().min(size)) };
            // SAFETY: the block is the caller's, with this layout, and is not used any more.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::slice;
    use std::sync::Mutex;

    use futures_lite::future::{block_on, poll_once, yield_now};

    use super::*;

    /// The system's heap, which notes what is in the blocks that come back.
    #[derive(Default)]
    struct Watched(Mutex<Vec<Vec<u8>>>);

    // SAFETY: every call is passed on to the system's heap as it came.
    unsafe impl GlobalAlloc for Watched {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as promised by the caller.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the tests below fill every block that they make.
            let bytes = unsafe { slice::from_raw_parts(block, layout.size()) };
            self.0.lock().unwrap().push(bytes.to_vec());
            // SAFETY: as promised by the caller.
            unsafe { System.dealloc(block, layout) };
        }
    }

    const LAYOUT: Layout = Layout::new::<[u8; 32]>();

    /// Makes a block full of sevens, of another size if one is given, frees it, and returns what came back.
    fn come_back(resized: Option<usize>) -> Vec<Vec<u8>> {
        let heap = Heap(Watched::default());
        // SAFETY: the block is made, filled, resized and freed with the layouts that it has, and used by nobody else.
        unsafe {
            let mut block = heap.alloc(LAYOUT);
            block.write_bytes(7, LAYOUT.size());
            let mut layout = LAYOUT;
            if let Some(size) = resized {
                block = heap.realloc(block, layout, size);
                layout = Layout::from_size_align(size, LAYOUT.align()).unwrap();
                let kept = slice::from_raw_parts(block, size.min(LAYOUT.size()));
                assert!(kept.iter().all(|byte| *byte == 7), "what it held is there still");
                block.write_bytes(7, size);
            }
            heap.dealloc(block, layout);
        }
        heap.0.0.into_inner().unwrap()
    }

    #[test]
    fn a_thread_that_wipes_gives_nothing_back_as_it_was() {
        assert_eq!(come_back(None), [[7; 32]], "others pay nothing for it");
        for resized in [None, Some(80), Some(5)] {
            let wiped = std::thread::spawn(move || {
                wipe_here();
                come_back(resized)
            });
            let sizes = [Some(LAYOUT.size()), resized];
            let zeros: Vec<Vec<u8>> = sizes.into_iter().flatten().map(|size| vec![0; size]).collect();
            assert_eq!(wiped.join().unwrap(), zeros, "{resized:?}");
        }
    }

    #[test]
    fn a_piece_of_work_is_wiped_and_what_its_thread_does_else_is_not() {
        let work = async {
            let first = come_back(None);
            yield_now().await;
            (first, come_back(None))
        };
        let mut work = pin!(wiping(Box::pin(work)));
        let once = block_on(poll_once(&mut work));
        assert!(once.is_none(), "it waits");
        assert_eq!(come_back(None), [[7; 32]]);
        assert_eq!(block_on(work), (vec![vec![0; 32]], vec![vec![0; 32]]));
        assert_eq!(come_back(None), [[7; 32]]);
    }

    #[test]
    fn a_piece_of_work_is_wiped_when_it_goes_done_or_given_up() {
        /// Notes what comes back when it goes.
        struct Work {
            is_done: bool,
            note: std::sync::mpsc::Sender<Vec<Vec<u8>>>,
        }
        impl Future for Work {
            type Output = ();

            fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
                if self.is_done { Poll::Ready(()) } else { Poll::Pending }
            }
        }
        impl Drop for Work {
            fn drop(&mut self) {
                self.note.send(come_back(None)).unwrap();
            }
        }
        let (note, noted) = std::sync::mpsc::channel();
        for is_done in [true, false] {
            let work = Box::pin(wiping(Work { is_done, note: note.clone() }));
            assert_eq!(block_on(poll_once(work)).is_some(), is_done);
            assert_eq!(noted.recv().unwrap(), [[0; 32]]);
        }
        assert_eq!(come_back(None), [[7; 32]]);
    }

    #[test]
    fn a_wiped_value_is_wiped_when_it_goes() {
        /// Notes what comes back when it goes.
        #[derive(Default)]
        struct Goes(Option<std::sync::mpsc::Sender<Vec<Vec<u8>>>>);
        impl Drop for Goes {
            fn drop(&mut self) {
                self.0.iter().for_each(|note| note.send(come_back(None)).unwrap());
            }
        }
        let (note, noted) = std::sync::mpsc::channel();
        drop(Wiped::from(Goes(Some(note))));
        assert_eq!(noted.recv().unwrap(), [[0; 32]]);
        assert_eq!(come_back(None), [[7; 32]], "and no longer than that");
    }
}
