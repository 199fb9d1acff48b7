//! Mapped segments: the one file of this crate with unsafe code.
//!
//! A [`Region`] is a mapped file, or under miri and on the simulated disk a block of the heap. Its
//! *frontier* divides it: below lie bytes that no longer change and that anyone may read, above it only
//! the one [`Writer`] writes. So a reader and the writer never meet in the same byte, and no lock is
//! needed.
//!
//! A mapped page whose file was cut short or whose disk cannot be read faults with SIGBUS. The handler
//! here puts a page of zeros in its place and marks the region bad: whoever looks next finds a record
//! that fails its checksum, not a dead process.
//!
//! What the compiler cannot see is that the file stays as it is: the state directory's lock keeps other
//! agents out, and a file that some record still points into is unlinked, never written again.

#[cfg(any(test, miri, feature = "sim"))]
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

use crate::disk::{Access, RegionFile, Space};

/// A mapped segment file.
///
/// Invariant: `base..base + len` is mapped and readable until drop, and writable if it was made so.
/// Bytes below `frontier` do not change while a `Region` is shared; bytes at or above it are touched by
/// the region's one [`Writer`] alone. `frontier <= len`.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    frontier: AtomicUsize,
    is_writable: bool,
    memory: Memory,
    bad: AtomicBool,
    file: Box<dyn RegionFile>,
}

#[derive(Debug)]
enum Memory {
    /// A file's mapping, known to the SIGBUS handler by its place in the table.
    Mapped { slot: usize, map: MmapRaw },
    #[cfg(any(test, miri, feature = "sim"))]
    Heap,
}

// SAFETY: the pointer is to memory that this value owns; shared access goes through the frontier.
unsafe impl Send for Region {}
// SAFETY: `bytes` reads only below the frontier, where nothing is written while the value is shared.
unsafe impl Sync for Region {}

impl Region {
    /// Maps all `len` bytes of `file`, which `backing` stands for from then on.
    ///
    /// # Errors
    /// What `mmap` says, or `OutOfMemory` when [`MAPPINGS_MAX`] files are mapped already.
    pub(crate) fn map(file: &File, len: usize, access: Access, backing: Box<dyn RegionFile>) -> io::Result<Region> {
        let mut options = MmapOptions::new();
        options.len(len);
        let map = match access {
            Access::Read => options.map_raw_read_only(file)?,
            Access::Write => options.map_raw(file)?,
        };
        let base = NonNull::new(map.as_mut_ptr()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let slot = MAPPINGS.enter(base.as_ptr() as usize, len).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Region {
            base,
            len,
            frontier: AtomicUsize::new(len),
            is_writable: access == Access::Write,
            memory: Memory::Mapped { slot, map },
            bad: AtomicBool::new(false),
            file: backing,
        })
    }

    #[cfg(any(test, miri, feature = "sim"))]
    /// A block of the heap that holds `bytes`, in the place of a mapping.
    pub(crate) fn heap(bytes: &[u8], backing: Box<dyn RegionFile>) -> Region {
        let layout = heap_layout(bytes.len());
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        // SAFETY: the block was just made, is at least `bytes.len()` long and overlaps nothing.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), base.as_ptr(), bytes.len()) };
        Region {
            base,
            len: bytes.len(),
            frontier: AtomicUsize::new(bytes.len()),
            is_writable: true,
            memory: Memory::Heap,
            bad: AtomicBool::new(false),
            file: backing,
        }
    }

    /// Bytes mapped.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is mapped; never the case.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// End of what may be read.
    pub fn frontier(&self) -> usize {
        self.frontier.load(Ordering::Acquire)
    }

    /// The bytes `start..end`.
    ///
    /// # Panics
    /// When the range goes beyond the frontier.
    pub fn bytes(&self, start: usize, end: usize) -> &[u8] {
        assert!(start <= end);
        assert!(end <= self.frontier());
        // SAFETY: the lines above keep the range below the frontier, inside the mapping, where no byte
        // changes while `self` is borrowed.
        unsafe { slice::from_raw_parts(self.base.as_ptr().add(start), end - start) }
    }

    /// Stores `bytes` at `at`, anywhere: nobody else can see a region that is borrowed for writing.
    ///
    /// # Panics
    /// When the range goes beyond the mapping or the region is not writable.
    pub(crate) fn store(&mut self, at: usize, bytes: &[u8]) {
        self.copy_in(at, bytes);
    }

    /// Stores the pages that hold `start..end` again, byte for byte, so that the next sync writes them
    /// whatever the page cache believes about them.
    pub(crate) fn store_again(&mut self, start: usize, end: usize) {
        let mut page = [0; PAGE];
        let mut at = start - start % PAGE;
        while at < end.min(self.len) {
            let stop = (at + PAGE).min(self.len);
            let copy = &mut page[..stop - at];
            copy.copy_from_slice(self.bytes(at, stop));
            self.copy_in(at, copy);
            at = stop;
        }
    }

    /// Shares the region: everything below `frontier` for reading, the rest for the writer alone.
    pub(crate) fn into_writer(mut self, frontier: usize) -> Writer {
        assert!(frontier <= self.len);
        *self.frontier.get_mut() = frontier;
        Writer { region: Arc::new(self) }
    }

    /// Makes everything stored so far durable.
    ///
    /// # Errors
    /// When the disk refuses, or the region turned bad: bytes stored since may have gone nowhere.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        if self.is_bad() { Err(io::Error::other(BAD_TEXT)) } else { Ok(()) }
    }

    /// Makes what was stored in `start..end` durable, and leaves pages far from it alone: most of what the keeper made
    /// present ahead of the writer is neither written nor protected against writing, as a sync of the whole file would.
    /// The range must end at or below the frontier.
    ///
    /// # Errors
    /// As for [`Region::sync`].
    pub(crate) fn sync_range(&self, start: usize, end: usize) -> io::Result<()> {
        match &self.memory {
            Memory::Mapped { map, .. } => {
                assert!(end <= self.frontier());
                let first = start - start % PAGE;
                // Cleaning a page that is mapped for writing interrupts every processor that runs a thread of ours, page by
                // page. The pages are let go of first, with one interrupt for all of them; their bytes stay in the page
                // cache, where the sync finds them. So are the pages right ahead of the writer: the folio in which the range
                // ends is cleaned whole, and the writer faults on them once either way.
                self.forget(first, end + FOLIO);
                // `msync` with MS_SYNC is `fdatasync` for the bytes of a range: the same path in the kernel, the same errors.
                map.flush_range(start, end - start)?;
                self.populate_read(first, end / PAGE * PAGE);
            }
            #[cfg(any(test, miri, feature = "sim"))]
            Memory::Heap => self.file.sync_range(start, end)?,
        }
        self.check()
    }

    /// Cuts the file; nobody may have been shown bytes beyond `len`.
    pub(crate) fn truncate(&mut self, len: usize) -> io::Result<()> {
        let frontier = self.frontier.get_mut();
        *frontier = len.min(*frontier);
        self.file.truncate(len as u32)
    }

    /// Whether a page of this region could not be read or written.
    pub fn is_bad(&self) -> bool {
        let faulted = match &self.memory {
            Memory::Mapped { slot, .. } => MAPPINGS.slots[*slot].bad.load(Ordering::Acquire),
            #[cfg(any(test, miri, feature = "sim"))]
            Memory::Heap => false,
        };
        faulted || self.bad.load(Ordering::Acquire)
    }

    /// Notes that a page of this region could not be read or written.
    fn mark_bad(&self) {
        self.bad.store(true, Ordering::Release);
    }

    /// Makes the pages of `start..end` present for writing, so that the writer does not fault on them.
    /// The range must lie above everything the writer may be writing.
    pub(crate) fn populate_write(&self, start: usize, end: usize) {
        self.populate(start, end, Advice::PopulateWrite, |page| {
            // SAFETY: the page is mapped and writable. Nobody else touches it: the writer stays below
            // what was populated, and this is the only thread that populates.
            unsafe { page.write_volatile(page.read_volatile()) }
        });
    }

    /// Makes the pages of `start..end` present for reading.
    pub(crate) fn populate_read(&self, start: usize, end: usize) {
        self.populate(start, end, Advice::PopulateRead, |page| {
            // SAFETY: the page is mapped and readable, and below the frontier nothing changes.
            unsafe { page.read_volatile() };
        });
    }

    /// Lets go of the pages of `start..end`. They stay in the page cache and come back when they are
    /// touched; until then they do not count as this process's memory.
    pub(crate) fn forget(&self, start: usize, end: usize) {
        let start = start.next_multiple_of(PAGE);
        let end = end.min(self.len) / PAGE * PAGE;
        if start >= end {
            return;
        }
        match &self.memory {
            Memory::Mapped { map, .. } => {
                // SAFETY: the mapping is shared with its file, so what was stored is in the page cache
                // and every later access finds the same bytes there.
                let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start) };
            }
            #[cfg(any(test, miri, feature = "sim"))]
            Memory::Heap => {}
        }
    }

    fn populate(&self, start: usize, end: usize, advice: Advice, touch: impl Fn(*mut u8)) {
        let end = end.min(self.len);
        let start = start - start % PAGE;
        if start >= end {
            return;
        }
        let map = match &self.memory {
            Memory::Mapped { map, .. } => map,
            #[cfg(any(test, miri, feature = "sim"))]
            Memory::Heap => return,
        };
        let Err(error) = map.advise_range(advice, start, end - start) else { return };
        match error.raw_os_error() {
            // Kernels before 5.14 do not know the advice: touch each page instead.
            Some(libc::EINVAL) => {
                for at in (start..end).step_by(PAGE) {
                    // SAFETY: `at` lies inside the mapping.
                    touch(unsafe { self.base.as_ptr().add(at) });
                }
            }
            Some(libc::EFAULT | libc::EHWPOISON | libc::EIO) => self.mark_bad(),
            // Short of memory, or interrupted: the pages come when they are touched.
            _ => {}
        }
    }

    fn copy_in(&self, at: usize, bytes: &[u8]) {
        assert!(self.is_writable);
        assert!(at <= self.len && bytes.len() <= self.len - at);
        // SAFETY: the lines above keep the range inside a writable mapping. The callers are `store` and
        // `store_again`, which own the region alone, and the writer above the frontier. `bytes` cannot
        // overlap the range: it is borrowed from elsewhere or from below the frontier.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(at), bytes.len());
        }
        self.file.stored(at, bytes);
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match &self.memory {
            // The handler must not know the addresses once the kernel may give them to others; they are
            // unmapped after this, with the field.
            Memory::Mapped { slot, .. } => MAPPINGS.leave(*slot),
            #[cfg(any(test, miri, feature = "sim"))]
            // SAFETY: allocated in `heap` with this very layout.
            Memory::Heap => unsafe { dealloc(self.base.as_ptr(), heap_layout(self.len)) },
        }
    }
}

/// The right to write into a region above its frontier; there is one for each region.
#[derive(Debug)]
pub(crate) struct Writer {
    region: Arc<Region>,
}

impl Writer {
    /// The region, for reading below the frontier.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Stores `bytes` at `at`, which must not be below the frontier.
    pub(crate) fn store(&mut self, at: usize, bytes: &[u8]) {
        assert!(at >= self.region.frontier.load(Ordering::Relaxed));
        self.region.copy_in(at, bytes);
    }

    /// Asks for the `len` bytes at `at` to be in this processor's cache when they are written in a moment.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    pub(crate) fn fetch(&self, at: usize, len: usize) {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        for line in (at..self.region.len.min(at + len)).step_by(CACHE_LINE) {
            // SAFETY: `line` lies inside the mapping; a hint reads and writes nothing.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(self.region.base.as_ptr().add(line).cast()) };
        }
    }

    /// No such hint is known here.
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    pub(crate) fn fetch(&self, _at: usize, _len: usize) {}

    /// Lets everyone read up to `frontier`, which does not go back.
    pub(crate) fn publish(&mut self, frontier: usize) {
        assert!(frontier <= self.region.len);
        assert!(frontier >= self.region.frontier.load(Ordering::Relaxed));
        self.region.frontier.store(frontier, Ordering::Release);
    }

    /// Cuts the file to `len`, which must not be below what may be read.
    pub(crate) fn truncate(&mut self, len: usize) -> io::Result<()> {
        assert!(len >= self.region.frontier.load(Ordering::Relaxed));
        self.region.file.truncate(len as u32)
    }
}

/// Really allocates the blocks of `0..len`, which also sets the file's length.
///
/// # Errors
/// `StorageFull` when they are not there.
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<()> {
    // SAFETY: a plain system call on a descriptor that `file` keeps open.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len as libc::off_t) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Room on the file system that `file` lies on.
pub(crate) fn space(file: &File) -> io::Result<Space> {
    // SAFETY: all zeros is a valid `statvfs`, which the call overwrites; the descriptor is open.
    let stat = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        if libc::fstatvfs(file.as_raw_fd(), &mut stat) != 0 {
            return Err(io::Error::last_os_error());
        }
        stat
    };
    let block = stat.f_frsize;
    Ok(Space { free: stat.f_bavail.saturating_mul(block), total: stat.f_blocks.saturating_mul(block) })
}

/// Installs the SIGBUS handler in front of the one that was there. Call it before any thread is
/// started; further calls do nothing. A fault outside our mappings goes to the previous handler.
pub fn install_sigbus_handler() {
    if INSTALLED.swap(true, Ordering::SeqCst) {
        return;
    }
    // SAFETY: both structs are plain data for which zeros are valid; `on_sigbus` has the signature that
    // SA_SIGINFO asks for and makes only system calls. `PREVIOUS` is written before the handler can run.
    unsafe {
        let size = libc::sysconf(libc::_SC_PAGESIZE);
        PAGE_SIZE.store(usize::try_from(size).unwrap_or(PAGE), Ordering::SeqCst);
        let mut previous: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGBUS, ptr::null(), &mut previous);
        PREVIOUS_HANDLER.store(previous.sa_sigaction, Ordering::SeqCst);
        PREVIOUS_FLAGS.store(previous.sa_flags as usize, Ordering::SeqCst);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &action, ptr::null_mut());
    }
}

extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands SA_SIGINFO handlers a valid `info`.
    let address = unsafe { (*info).si_addr() } as usize;
    if let Some(slot) = MAPPINGS.find(address) {
        let size = PAGE_SIZE.load(Ordering::Relaxed);
        let page = address - address % size;
        // SAFETY: the page lies in a mapping of ours, which outlives the faulting access; a page of
        // zeros takes its place and the access is made again.
        let mapped = unsafe {
            libc::mmap(
                page as *mut libc::c_void,
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        slot.bad.store(true, Ordering::Release);
        if mapped != libc::MAP_FAILED {
            return;
        }
    }
    let previous = PREVIOUS_HANDLER.load(Ordering::SeqCst);
    let takes_info = PREVIOUS_FLAGS.load(Ordering::SeqCst) & libc::SA_SIGINFO as usize != 0;
    if previous == libc::SIG_DFL || previous == libc::SIG_IGN {
        // SAFETY: resetting a disposition is a system call. The access faults again and the process
        // ends the way it would have without us.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    } else if takes_info {
        // SAFETY: `sigaction` said that this address is a handler of three arguments.
        unsafe {
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(previous);
            handler(signal, info, context);
        }
    } else {
        // SAFETY: `sigaction` said that this address is a handler of one argument.
        unsafe {
            let handler: extern "C" fn(libc::c_int) = std::mem::transmute(previous);
            handler(signal);
        }
    }
}

/// The mappings that the handler knows. A signal handler can reach nothing but statics.
struct Mappings {
    slots: [Slot; MAPPINGS_MAX],
}

struct Slot {
    taken: AtomicBool,
    base: AtomicUsize,
    /// Zero while the slot stands for nothing.
    len: AtomicUsize,
    bad: AtomicBool,
}

impl Mappings {
    fn enter(&self, base: usize, len: usize) -> Option<usize> {
        let free = |slot: &Slot| !slot.taken.swap(true, Ordering::AcqRel);
        let index = self.slots.iter().position(free)?;
        let slot = &self.slots[index];
        slot.bad.store(false, Ordering::Relaxed);
        slot.base.store(base, Ordering::Relaxed);
        slot.len.store(len, Ordering::Release);
        Some(index)
    }

    fn leave(&self, index: usize) {
        self.slots[index].len.store(0, Ordering::Release);
        self.slots[index].taken.store(false, Ordering::Release);
    }

    fn find(&self, address: usize) -> Option<&Slot> {
        self.slots.iter().find(|slot| {
            let len = slot.len.load(Ordering::Acquire);
            let base = slot.base.load(Ordering::Relaxed);
            address >= base && address - base < len
        })
    }
}

#[cfg(any(test, miri, feature = "sim"))]
fn heap_layout(len: usize) -> Layout {
    Layout::from_size_align(len.max(1), 8).expect("a segment's length is below 4 GiB")
}

static MAPPINGS: Mappings = Mappings {
    slots: [const {
        Slot {
            taken: AtomicBool::new(false),
            base: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            bad: AtomicBool::new(false),
        }
    }; MAPPINGS_MAX],
};
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(PAGE);
static INSTALLED: AtomicBool = AtomicBool::new(false);
static PREVIOUS_HANDLER: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static PREVIOUS_FLAGS: AtomicUsize = AtomicUsize::new(0);

/// Most files mapped at once by a process. A log maps its active segment, its spare and a few that are
/// being read.
const MAPPINGS_MAX: usize = 4096;
/// Bytes in a page, on every machine this runs on or smaller than there.
pub(crate) const PAGE: usize = 4096;
/// Pages that the page cache keeps, and cleans, together: with the usual read-ahead of 128 KiB no folio of a file is larger.
const FOLIO: usize = 128 << 10;
#[cfg(all(target_arch = "x86_64", not(miri)))]
const CACHE_LINE: usize = 64;
const BAD_TEXT: &str = "a page of the mapped segment could not be read or written";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct NoFile;

    impl RegionFile for NoFile {
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn sync_range(&self, _start: usize, _end: usize) -> io::Result<()> {
            Ok(())
        }

        fn truncate(&self, _len: u32) -> io::Result<()> {
            Ok(())
        }

        fn stored(&self, _at: usize, _bytes: &[u8]) {}
    }

    fn writer(frontier: usize) -> Writer {
        Region::heap(&[7; 3 * PAGE], Box::new(NoFile)).into_writer(frontier)
    }

    #[test]
    fn readers_see_what_was_published_while_the_writer_goes_on() {
        let mut writer = writer(0);
        writer.store(0, b"first");
        writer.publish(5);
        let region = writer.region().clone();
        let held = region.bytes(0, 5);
        writer.store(5, b"second");
        assert_eq!(held, b"first");
        writer.publish(11);
        assert_eq!(region.bytes(5, 11), b"second");
        let reader = std::thread::spawn(move || region.bytes(0, 11).to_vec());
        writer.store(11, b"third");
        assert_eq!(reader.join().unwrap(), b"firstsecond");
    }

    #[test]
    fn storing_again_changes_no_byte() {
        let mut region = Region::heap(&[7; 3 * PAGE], Box::new(NoFile));
        region.store(PAGE, b"x");
        region.store_again(PAGE + 1, 2 * PAGE + 1);
        assert_eq!(region.bytes(PAGE, PAGE + 2), b"x\x07");
    }

    #[test]
    #[should_panic(expected = "end <= self.frontier()")]
    fn nobody_reads_beyond_the_frontier() {
        writer(10).region().bytes(5, 11);
    }

    #[test]
    #[should_panic(expected = "at >= self.region")]
    fn the_writer_does_not_go_back() {
        writer(10).store(9, b"x");
    }

    #[test]
    #[should_panic(expected = "self.len")]
    fn nothing_is_stored_beyond_the_end() {
        writer(10).store(3 * PAGE, b"x");
    }
}
