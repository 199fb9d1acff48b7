//! The first part of opening: what each file in the directory is, by its name and its header.

use std::io;

use super::{Found, Opening, attempt};
use crate::disk::{Access, Disk, FileInfo};
use crate::format::{FileKind, HEADER_LEN, Header, HeaderError, NEWER, RECORD_HEADER, file_kind, salted, segment_name};
use crate::number::Seq;
use crate::report::OpenError;
use crate::scan::scan;

impl Opening {
    /// Finds out what each file is.
    pub(super) fn survey(&mut self) -> Result<(), OpenError> {
        self.take_back()?;
        // Names that only the cache knows must not be built upon.
        let disk = self.disk.clone();
        attempt("making its names durable", || disk.sync_directory())?;
        let files = attempt("listing it", || disk.list())?;
        for file in files {
            match file_kind(&file.name) {
                FileKind::Segment(base) => self.judge_segment(file, base)?,
                FileKind::Spare(number) => {
                    self.next_spare = self.next_spare.max(number);
                    self.spares.push(file);
                }
                FileKind::Cursors => {}
                FileKind::Other => self.note_aside(&file),
            }
        }
        self.found.sort_by_key(|found| found.base);
        self.adopt_spares()?;
        attempt("making its names durable", || self.disk.sync_directory())
    }

    /// Moves back what an older version set aside and this one knows.
    fn take_back(&mut self) -> Result<(), OpenError> {
        for file in attempt("listing it", || self.disk.list())? {
            let Some(name) = file.name.strip_prefix(NEWER) else { continue };
            let known = match file_kind(name) {
                FileKind::Segment(_) => read_header(&*self.disk, &file.name).is_ok(),
                FileKind::Cursors => false,
                FileKind::Spare(_) | FileKind::Other => false,
            };
            if known {
                attempt("taking a segment back", || self.disk.rename(&file.name, name))?;
                self.taken_back.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn note_aside(&mut self, file: &FileInfo) {
        let Some(name) = file.name.strip_prefix(NEWER) else { return };
        self.set_aside.push(file.name.clone());
        if let FileKind::Segment(base) = file_kind(name) {
            self.reserve(base, file.len);
        }
    }

    /// Keeps away from every number that an unreadable segment may use.
    fn reserve(&mut self, base: Seq, len: u64) {
        let most = len / RECORD_HEADER as u64 + 1;
        self.reserved = self.reserved.max(base.plus(most));
    }

    fn judge_segment(&mut self, file: FileInfo, base: Seq) -> Result<(), OpenError> {
        let header = match read_header(&*self.disk, &file.name) {
            Err(HeaderError::Newer { .. }) => {
                let aside = format!("{NEWER}{}", file.name);
                attempt("setting a newer segment aside", || self.disk.rename(&file.name, &aside))?;
                self.reserve(base, file.len);
                self.set_aside.push(aside);
                return Ok(());
            }
            Ok(header) if header.base == base => Some(header),
            Ok(_) | Err(HeaderError::Invalid) => None,
        };
        if header.is_none() {
            self.reserve(base, file.len);
        }
        let was_aside = self.taken_back.contains(&file.name);
        self.found.push(Found {
            was_aside,
            is_sealed: false,
            name: file.name,
            base,
            len: file.len,
            header,
            footer: None,
            scanned: None,
            holes: Vec::new(),
        });
        Ok(())
    }

    /// A spare with records behind every segment is one whose renaming did not get to the disk.
    fn adopt_spares(&mut self) -> Result<(), OpenError> {
        let above = self.found.last().map(|found| found.base);
        let mut adopted = Vec::new();
        let mut spares = Vec::new();
        for file in std::mem::take(&mut self.spares) {
            match read_header(&*self.disk, &file.name) {
                Ok(header) if Some(header.base) > above && self.has_record(&file, &header) => {
                    adopted.push((file, header));
                }
                // A torn record must not be made whole by the next one written over it.
                Ok(header) if Some(header.base) > above => {
                    if self.forget_header(&file.name).is_ok() {
                        spares.push(file);
                    }
                }
                _ => spares.push(file),
            }
        }
        // Spares are used in the order of their numbers. One that begins at or before an older one was
        // made after a failed sync, to take the older one's place.
        adopted.sort_by_key(|(file, _)| std::cmp::Reverse(file_kind(&file.name)));
        let mut newer: Option<Seq> = None;
        let mut current = Vec::new();
        for (file, header) in adopted {
            if newer.is_none_or(|newer| header.base < newer) {
                newer = Some(header.base);
                current.push((file, header));
            } else if self.forget_header(&file.name).is_ok() {
                spares.push(file);
            }
        }
        for (file, header) in current.into_iter().rev() {
            let name = segment_name(header.base);
            attempt("naming a segment", || self.disk.rename(&file.name, &name))?;
            self.found.push(Found {
                was_aside: false,
                is_sealed: false,
                name,
                base: header.base,
                len: file.len,
                header: Some(header),
                footer: None,
                scanned: None,
                holes: Vec::new(),
            });
        }
        self.spares = spares;
        Ok(())
    }

    /// Durably clears a spare's header. A spare that refuses is removed instead of used.
    fn forget_header(&self, name: &str) -> io::Result<()> {
        let cleared = self.disk.open(name, Access::Write).and_then(|mut region| {
            let len = HEADER_LEN.min(region.len());
            region.store(0, &[0; HEADER_LEN][..len]);
            region.sync()
        });
        cleared.inspect_err(|_| {
            // If this fails too, the next opening meets the same file again.
            let _ = self.disk.remove(name);
        })
    }

    fn has_record(&self, file: &FileInfo, header: &Header) -> bool {
        self.disk.open(&file.name, Access::Read).is_ok_and(|region| {
            let salted = salted(header.salt);
            scan(&mut &region, salted, header.base, None, |_, _| {}).tally.footer().records > 0
        })
    }
}

fn read_header(disk: &dyn Disk, name: &str) -> Result<Header, HeaderError> {
    let mut bytes = [0; 64];
    let file = disk.open_file(name, false).map_err(|_| HeaderError::Invalid)?;
    let read = file.read_at(0, &mut bytes).map_err(|_| HeaderError::Invalid)?;
    Header::decode(&bytes[..read])
}
