//! The real side of the disk seam: a directory of files, mapped.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::disk::{Access, Disk, FileInfo, PlainFile, RegionFile, Space};
use crate::format::NEWER;
use crate::map::{self, Region};
use crate::report::OpenError;

/// A log's directory on a real file system.
#[derive(Debug)]
pub struct MappedDisk {
    path: PathBuf,
    directory: File,
}

impl MappedDisk {
    /// Opens `path`, made with mode 0700 if missing.
    ///
    /// # Errors
    /// [`OpenError::Directory`] when it can be neither made nor read.
    pub fn open(path: &Path) -> Result<MappedDisk, OpenError> {
        let failed = |source| OpenError::Directory { what: path.display().to_string(), source };
        if !path.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
            }
        }
        let directory = File::open(path).map_err(failed)?;
        Ok(MappedDisk { path: path.to_owned(), directory })
    }

    fn list_folder(&self, prefix: &str, files: &mut Vec<FileInfo>) -> io::Result<()> {
        for entry in fs::read_dir(self.path.join(prefix))? {
            let entry = entry?;
            // A file that goes away while we look is not there.
            let Ok(data) = entry.metadata() else { continue };
            if let (true, Some(name)) = (data.is_file(), entry.file_name().to_str()) {
                files.push(FileInfo { name: format!("{prefix}{name}"), len: data.len() });
            }
        }
        Ok(())
    }
}

impl Disk for MappedDisk {
    fn list(&self) -> io::Result<Vec<FileInfo>> {
        let mut files = Vec::new();
        self.list_folder("", &mut files)?;
        if self.path.join(NEWER).is_dir() {
            self.list_folder(NEWER, &mut files)?;
        }
        Ok(files)
    }

    fn create(&self, name: &str, len: u32) -> io::Result<Region> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let made = map::allocate(&file, u64::from(len)).and_then(|()| {
            let backing = Box::new(MappedFile(Some(file.try_clone()?)));
            Region::map(&file, len as usize, Access::Write, backing)
        });
        if made.is_err() {
            // Best effort: what stays is an ordinary spare to the next opening.
            let _ = fs::remove_file(&path);
        }
        made
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Region> {
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(self.path.join(name))?;
        let len = usize::try_from(u32::try_from(file.metadata()?.len()).unwrap_or(0)).unwrap_or(0);
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty or not smaller than 4 GiB"));
        }
        // A mapping outlives its descriptor; only a writer needs that to sync.
        let kept = match access {
            Access::Read => None,
            Access::Write => Some(file.try_clone()?),
        };
        Region::map(&file, len, access, Box::new(MappedFile(kept)))
    }

    fn open_file(&self, name: &str, create: bool) -> io::Result<Box<dyn PlainFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .mode(0o600)
            .open(self.path.join(name))?;
        Ok(Box::new(OrdinaryFile(file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if to.starts_with(NEWER) && !self.path.join(NEWER).is_dir() {
            fs::DirBuilder::new().mode(0o700).create(self.path.join(NEWER))?;
        }
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync_all()?;
        match File::open(self.path.join(NEWER)) {
            Ok(newer) => newer.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn space(&self) -> io::Result<Space> {
        map::space(&self.directory)
    }
}

/// The descriptor behind a mapping; none where nothing is ever synced.
#[derive(Debug)]
struct MappedFile(Option<File>);

impl RegionFile for MappedFile {
    fn sync(&self) -> io::Result<()> {
        // `sync_data` is `fdatasync`, which also makes a new length durable.
        self.file()?.sync_data()
    }

    #[cfg(any(test, miri, feature = "sim"))]
    fn sync_range(&self, _start: usize, _end: usize) -> io::Result<()> {
        // A mapping syncs its ranges itself.
        self.sync()
    }

    fn truncate(&self, len: u32) -> io::Result<()> {
        self.file()?.set_len(u64::from(len))
    }

    fn stored(&self, _at: usize, _bytes: &[u8]) {}
}

impl MappedFile {
    fn file(&self) -> io::Result<&File> {
        self.0.as_ref().ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    }
}

#[derive(Debug)]
struct OrdinaryFile(File);

impl PlainFile for OrdinaryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
