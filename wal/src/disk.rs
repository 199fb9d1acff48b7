//! The disk is a seam with two sides: files that are really mapped, and the simulated disk of the tests.
//!
//! A [`Disk`] is one log's directory. It knows names and bytes, nothing of records. What both sides
//! promise is what a Linux file system promises, no more: stored bytes may reach the disk at any time
//! and in any order until a sync of their file returns; the same goes for names until the directory is
//! synced; a failed sync says nothing about which bytes arrived.

use std::fmt;
use std::io;

use crate::map::Region;

/// One log's directory.
pub trait Disk: Send + Sync + fmt::Debug {
    /// All files, those in `newer/` with that prefix, in no particular order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<FileInfo>>;

    /// Makes a file of `len` bytes whose blocks are really allocated, and maps it.
    ///
    /// # Errors
    /// `StorageFull` when the blocks are not there; no file is left behind.
    fn create(&self, name: &str, len: u32) -> io::Result<Region>;

    /// Maps the whole of an existing file.
    ///
    /// # Errors
    /// When the file is missing, cannot be read, or is too large or empty to be a segment.
    fn open(&self, name: &str, access: Access) -> io::Result<Region>;

    /// Opens a plain file for reading and writing, made if missing and allowed.
    ///
    /// # Errors
    /// When the file cannot be opened or made.
    fn open_file(&self, name: &str, create: bool) -> io::Result<Box<dyn PlainFile>>;

    /// Removes a name. A file that is mapped lives on until it is unmapped.
    ///
    /// # Errors
    /// When there is no such name or the directory cannot be written.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Renames a file, replacing `to` if it exists. `newer/` in front of a name puts it there.
    ///
    /// # Errors
    /// When there is no such name or the directory cannot be written.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes all names durable as they are.
    ///
    /// # Errors
    /// When the disk refuses; nothing is known then.
    fn sync_directory(&self) -> io::Result<()>;

    /// Room on the file system.
    ///
    /// # Errors
    /// When the file system does not say.
    fn space(&self) -> io::Result<Space>;
}

/// The file behind a mapped [`Region`].
pub trait RegionFile: Send + Sync + fmt::Debug {
    /// Makes every byte that was stored before the call durable.
    ///
    /// # Errors
    /// When the disk refuses. What arrived is unknown, and asking again proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Makes every byte of `start..end` that was stored before the call durable; of other bytes nothing is known.
    ///
    /// # Errors
    /// As for [`RegionFile::sync`].
    #[cfg(any(test, miri, feature = "sim"))]
    fn sync_range(&self, start: usize, end: usize) -> io::Result<()>;

    /// Cuts the file to `len` bytes. The mapping stays; its bytes beyond `len` may not be touched.
    ///
    /// # Errors
    /// When the file system refuses.
    fn truncate(&self, len: u32) -> io::Result<()>;

    /// Told after each store into the mapping; only a simulation cares.
    fn stored(&self, at: usize, bytes: &[u8]);
}

/// A file that is read and written by calls.
pub trait PlainFile: Send + fmt::Debug {
    /// Length in bytes.
    ///
    /// # Errors
    /// When the file system does not say.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// When the file system does not say.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads into `buffer` from `offset`; fewer bytes only at the file's end.
    ///
    /// # Errors
    /// When the disk cannot read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`, growing the file if needed.
    ///
    /// # Errors
    /// `StorageFull` or what the disk says; some bytes may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything written before the call durable.
    ///
    /// # Errors
    /// When the disk refuses; write the bytes again before asking again.
    fn sync(&self) -> io::Result<()>;
}

/// What a mapping is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Records are read.
    Read,
    /// Records are written, and the file can be synced.
    Write,
}

/// A file in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name, relative to the log's directory.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this process may still allocate.
    pub free: u64,
    /// All of it.
    pub total: u64,
}
