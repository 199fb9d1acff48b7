//! The simulated side of the disk seam: what a Linux file system may do, at the command of one seed.
//!
//! Stores land in a volatile page cache. The kernel may write any dirty page back at any time, in any
//! order. A sync makes what was stored before it durable; a failed one leaves each page old or new and
//! *clean*, so that the cache holds what the disk does not. Names are durable after a directory sync. A
//! power cut leaves each unsynced page old, new or torn (each 512-byte sector for itself) and each
//! unsynced name old or new. Everything that must be chosen comes from the seed, or from a list of
//! choices so that all of them can be tried.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Access, Disk, FileInfo, PlainFile, RegionFile, Space};
use crate::map::{PAGE, Region};

/// A simulated log directory. Cloning shares it; [`SimDisk::fork`] copies it.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What a power cut leaves of something that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it was at the last sync.
    Old,
    /// As it was last stored.
    New,
    /// Each sector for itself, by the seed. Names cannot tear and count as new.
    Torn,
}

impl SimDisk {
    /// An empty directory on a large file system.
    pub fn new(seed: u64) -> SimDisk {
        let state = State {
            prng: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            free: 1 << 40,
            total: 1 << 40,
            ..State::default()
        };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// A copy that goes its own way.
    pub fn fork(&self) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// Cuts the power; each unsynced page and name meets a fate by the seed. Handles from before are dead.
    pub fn power_cut(&self) {
        let mut state = self.lock();
        let count = state.unsynced();
        let fates: Vec<Fate> = (0..count)
            .map(|_| match state.below(3) {
                0 => Fate::Old,
                1 => Fate::New,
                _ => Fate::Torn,
            })
            .collect();
        state.power_cut(&fates);
    }

    /// Cuts the power with a fate for each of [`SimDisk::unsynced`] things; missing ones are old.
    pub fn power_cut_with(&self, fates: &[Fate]) {
        self.lock().power_cut(fates);
    }

    /// How many pages, names and lengths a power cut would decide about now.
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced()
    }

    /// The process ends and the machine does not: the cache stays. Handles from before are dead.
    pub fn kill(&self) {
        self.lock().boot += 1;
    }

    /// The kernel writes some dirty pages back, by the seed.
    pub fn write_back(&self) {
        let mut state = self.lock();
        let dirty: Vec<(u64, usize)> = state.dirty_pages();
        for (file, page) in dirty {
            if state.below(3) == 0 {
                state.store_page(file, page, Fate::New);
            }
        }
    }

    /// The kernel writes all dirty pages back; names stay as they are.
    pub fn write_back_all(&self) {
        let mut state = self.lock();
        for (file, page) in state.dirty_pages() {
            state.store_page(file, page, Fate::New);
        }
    }

    /// Sets how many bytes may still be allocated.
    pub fn set_free_space(&self, bytes: u64) {
        self.lock().free = bytes;
    }

    /// Whether nothing more can be allocated (`true`), or plenty.
    pub fn fill(&self, full: bool) {
        self.set_free_space(if full { 0 } else { 1 << 40 });
    }

    /// The next `count` file syncs fail.
    pub fn fail_next_syncs(&self, count: u32) {
        self.lock().failing_syncs = count;
    }

    /// The machine stops before the next sync after `count` more: from there on every sync
    /// fails, and what is stored may or may not survive the power cut that must follow. `None` takes it back.
    pub fn stop_after_syncs(&self, count: Option<u64>) {
        self.lock().stop_after = count;
    }

    /// The next `count` directory syncs fail.
    pub fn fail_next_directory_syncs(&self, count: u32) {
        self.lock().failing_directory_syncs = count;
    }

    /// Flips bits of one byte, on the disk and in the cache, as damage at rest does.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn damage(&self, name: &str, offset: usize, mask: u8) {
        let mut state = self.lock();
        let id = state.names[name];
        let file = state.files.get_mut(&id).expect("named files exist");
        file.cache[offset] ^= mask;
        if let Some(byte) = file.durable.get_mut(offset) {
            *byte ^= mask;
        }
    }

    /// The bytes of a file as the cache has them, or `None` if there is no such name.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let id = state.names.get(name)?;
        state.files.get(id).map(|file| file.cache.clone())
    }

    /// Puts a durable file there, as if it had always been.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.lock();
        let id = state.new_file(bytes.to_vec());
        state.names.insert(name.to_owned(), id);
        state.durable_names.insert(name.to_owned(), id);
        if let Some(file) = state.files.get_mut(&id) {
            file.durable.clone_from(&file.cache);
            file.durable_len = file.cache.len();
            file.dirty.clear();
        }
    }

    /// How often files and the directory were synced so far: `(files, directory)`.
    pub fn syncs(&self) -> (u64, u64) {
        let state = self.lock();
        (state.file_syncs, state.directory_syncs)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, file: u64) -> SimFile {
        SimFile { disk: self.clone(), file, boot: self.lock().boot }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<FileInfo>> {
        let state = self.lock();
        let info =
            |(name, id): (&String, &u64)| FileInfo { name: name.clone(), len: state.files[id].cache.len() as u64 };
        Ok(state.names.iter().map(info).collect())
    }

    fn create(&self, name: &str, len: u32) -> io::Result<Region> {
        let bytes = vec![0; len as usize];
        let id = {
            let mut state = self.lock();
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.allocate(u64::from(len))?;
            let id = state.new_file(bytes.clone());
            state.change(Change::Set(name.to_owned(), id));
            id
        };
        Ok(Region::heap(&bytes, Box::new(self.handle(id))))
    }

    fn open(&self, name: &str, _access: Access) -> io::Result<Region> {
        let (id, bytes) = {
            let state = self.lock();
            let id = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
            (id, state.files[&id].cache.clone())
        };
        if bytes.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Region::heap(&bytes, Box::new(self.handle(id))))
    }

    fn open_file(&self, name: &str, create: bool) -> io::Result<Box<dyn PlainFile>> {
        let id = {
            let mut state = self.lock();
            match state.names.get(name) {
                Some(id) => *id,
                None if create => {
                    let id = state.new_file(Vec::new());
                    state.change(Change::Set(name.to_owned(), id));
                    id
                }
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        };
        Ok(Box::new(self.handle(id)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        let id = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let len = state.files[&id].cache.len() as u64;
        state.free = state.free.saturating_add(len);
        state.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.directory_syncs += 1;
        state.count_down()?;
        if state.failing_directory_syncs > 0 {
            state.failing_directory_syncs -= 1;
            return Err(io::Error::other("the simulated directory sync failed"));
        }
        state.changes.clear();
        state.durable_names = state.names.clone();
        state.forget_unnamed();
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        let state = self.lock();
        Ok(Space { free: state.free, total: state.total })
    }
}

/// An open file of the simulated disk, dead after the next power cut or kill.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: u64,
    boot: u64,
}

impl SimFile {
    /// Runs `work` on the file, unless the machine or the process has gone since it was opened.
    fn with<T>(&self, work: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock();
        if state.boot != self.boot || !state.files.contains_key(&self.file) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        work(&mut state, self.file)
    }
}

impl RegionFile for SimFile {
    fn sync(&self) -> io::Result<()> {
        self.with(State::sync)
    }

    fn sync_range(&self, start: usize, end: usize) -> io::Result<()> {
        self.with(|state, id| state.sync_pages(id, start / PAGE..end.div_ceil(PAGE)))
    }

    fn truncate(&self, len: u32) -> io::Result<()> {
        self.with(|state, id| {
            let file = state.file(id);
            let cut = file.cache.len().saturating_sub(len as usize);
            file.cache.truncate(len as usize);
            let pages = (len as usize).div_ceil(PAGE);
            file.dirty.retain(|page| *page < pages);
            state.free = state.free.saturating_add(cut as u64);
            Ok(())
        })
    }

    fn stored(&self, at: usize, bytes: &[u8]) {
        // A store through a dead handle goes nowhere, like the process that made it.
        let _ = self.with(|state, id| {
            state.file(id).write(at, bytes);
            Ok(())
        });
    }
}

impl PlainFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|state, id| Ok(state.file(id).cache.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|state, id| {
            let bytes = &state.file(id).cache;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let count = buffer.len().min(bytes.len() - start);
            buffer[..count].copy_from_slice(&bytes[start..start + count]);
            Ok(count)
        })
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state, id| {
            let at = usize::try_from(offset).map_err(|_| io::ErrorKind::StorageFull)?;
            let grown = (at + bytes.len()).saturating_sub(state.file(id).cache.len());
            state.allocate(grown as u64)?;
            state.file(id).write(at, bytes);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(State::sync)
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    prng: u64,
    boot: u64,
    next_file: u64,
    files: BTreeMap<u64, File>,
    /// Names as the running kernel sees them, and as the disk has them.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    changes: Vec<Change>,
    free: u64,
    total: u64,
    failing_syncs: u32,
    failing_directory_syncs: u32,
    file_syncs: u64,
    directory_syncs: u64,
    stop_after: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct File {
    cache: Vec<u8>,
    /// What the disk holds; not shortened before the power cut, so that a lost cut of the file shows.
    durable: Vec<u8>,
    durable_len: usize,
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Set(String, u64),
    Remove(String),
    Rename(String, String),
}

impl State {
    fn next(&mut self) -> u64 {
        self.prng ^= self.prng << 13;
        self.prng ^= self.prng >> 7;
        self.prng ^= self.prng << 17;
        self.prng
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    fn file(&mut self, id: u64) -> &mut File {
        self.files.entry(id).or_default()
    }

    /// Fails when the machine has stopped.
    fn count_down(&mut self) -> io::Result<()> {
        match &mut self.stop_after {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the simulated machine has stopped")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        self.free = self.free.checked_sub(bytes).ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn new_file(&mut self, cache: Vec<u8>) -> u64 {
        self.next_file += 1;
        let file = File {
            durable: vec![0; cache.len()],
            // Blocks are allocated and the length is set by a call that is journalled with the name.
            durable_len: cache.len(),
            cache,
            dirty: BTreeSet::new(),
        };
        self.files.insert(self.next_file, file);
        self.next_file
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    fn forget_unnamed(&mut self) {
        let named: BTreeSet<u64> = self.names.values().chain(self.durable_names.values()).copied().collect();
        self.files.retain(|id, _| named.contains(id));
    }

    fn sync(&mut self, id: u64) -> io::Result<()> {
        self.sync_pages(id, 0..usize::MAX)
    }

    /// Syncs the pages of a range; lengths are synced with any of them.
    fn sync_pages(&mut self, id: u64, range: Range<usize>) -> io::Result<()> {
        self.file_syncs += 1;
        self.count_down()?;
        let failing = self.failing_syncs > 0;
        let pages: Vec<usize> = self.file(id).dirty.range(range).copied().collect();
        for page in pages {
            let fate = if failing && self.below(2) == 0 { Fate::Old } else { Fate::New };
            self.store_page(id, page, fate);
        }
        if failing {
            self.failing_syncs -= 1;
            return Err(io::Error::other("the simulated sync failed"));
        }
        let file = self.file(id);
        file.durable_len = file.cache.len();
        Ok(())
    }

    /// Takes a page out of the dirty set; what the disk then holds of it is `fate`.
    fn store_page(&mut self, id: u64, page: usize, fate: Fate) {
        let sectors: Vec<bool> = (0..PAGE / SECTOR)
            .map(|_| match fate {
                Fate::Old => false,
                Fate::New => true,
                Fate::Torn => self.below(2) == 0,
            })
            .collect();
        let file = self.file(id);
        file.dirty.remove(&page);
        if file.durable.len() < file.cache.len() {
            file.durable.resize(file.cache.len(), 0);
        }
        for (sector, _) in sectors.iter().enumerate().filter(|(_, kept)| **kept) {
            let start = (page * PAGE + sector * SECTOR).min(file.cache.len());
            let end = (start + SECTOR).min(file.cache.len());
            file.durable[start..end].copy_from_slice(&file.cache[start..end]);
        }
    }

    fn dirty_pages(&self) -> Vec<(u64, usize)> {
        let pages = |(id, file): (&u64, &File)| {
            let id = *id;
            file.dirty.iter().map(move |page| (id, *page)).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(pages).collect()
    }

    fn resized(&self) -> Vec<u64> {
        let is_resized = |(_, file): &(&u64, &File)| file.durable_len != file.cache.len();
        self.files.iter().filter(is_resized).map(|(id, _)| *id).collect()
    }

    fn unsynced(&self) -> usize {
        self.dirty_pages().len() + self.changes.len() + self.resized().len()
    }

    fn power_cut(&mut self, fates: &[Fate]) {
        self.boot += 1;
        let mut fates = fates.iter().copied().chain(std::iter::repeat(Fate::Old));
        let mut next = || fates.next().unwrap_or(Fate::Old);
        for (id, page) in self.dirty_pages() {
            self.store_page(id, page, next());
        }
        for change in std::mem::take(&mut self.changes) {
            if next() != Fate::Old {
                apply(&mut self.durable_names, &change);
            }
        }
        for id in self.resized() {
            let file = self.file(id);
            if next() != Fate::Old {
                file.durable_len = file.cache.len();
            }
        }
        self.names = self.durable_names.clone();
        self.forget_unnamed();
        for file in self.files.values_mut() {
            // What lay behind the end of the file reads as zeros if it grows again.
            file.durable.resize(file.durable_len, 0);
            file.cache = file.durable[..file.durable_len].to_vec();
        }
    }
}

/// Applies a change of names; one whose source is not there has nothing to change.
fn apply(names: &mut BTreeMap<String, u64>, change: &Change) {
    match change {
        Change::Set(name, id) => {
            names.insert(name.clone(), *id);
        }
        Change::Remove(name) => {
            names.remove(name);
        }
        Change::Rename(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
    }
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[at..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(at / PAGE..=(end - 1) / PAGE);
        }
    }
}

/// What a disk writes whole.
const SECTOR: usize = 512;
