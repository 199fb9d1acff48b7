//! Where each destination has read to: small bodies under a key, two slots for each.
//!
//! A cursor is a hint for whoever keeps it; this file only promises that after any crash each key has
//! the body of its last completed write, or of one that was under way. The slot that holds the newest
//! durable body is never the one that is written. A slot that fails its checksum does not count, and a
//! file that cannot be read at all counts as empty.
//!
//! The file starts with a page: magic `SCDRVCUR`, version (u32), checksum of both (u32). Then follow
//! pairs of slots of [`SLOT_LEN`] bytes each; unwritten parts take no room on the disk.
//!
//! | offset | size | field      | meaning                                                       |
//! |-------:|-----:|------------|---------------------------------------------------------------|
//! |      0 |    4 | checksum   | of bytes 4 to 31 and the body                                 |
//! |      4 |    4 | len        | bytes of the body; 2^32-1 says that the key was removed       |
//! |      8 |    8 | generation | grows with every write to the file                            |
//! |     16 |   16 | key        |                                                               |
//! |     32 |  len | body       | opaque to this crate                                          |

use std::collections::BTreeMap;
use std::io;

use crate::disk::{Disk, PlainFile};
use crate::format::{CURSORS_NAME, NEWER, checksum};

/// Names a cursor: a destination's stable id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorKey(pub [u8; 16]);

/// Says which call of `write_cursors` something is about; grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CursorTicket(pub(crate) u64);

/// Why cursors were not taken for writing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// One body is too long.
    #[error("a cursor of {len} bytes is longer than {CURSOR_BODY_MAX}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// Too many keys.
    #[error("a log keeps at most {CURSORS_MAX} cursors")]
    TooMany,
}

/// Longest body of a cursor, in bytes.
pub const CURSOR_BODY_MAX: usize = 60 << 10;
/// Most cursors in a log.
pub const CURSORS_MAX: usize = 16 << 10;

/// The cursor file: which pair belongs to which key, and which slot of it is the durable one.
#[derive(Debug, Default)]
pub(crate) struct CursorFile {
    file: Option<Box<dyn PlainFile>>,
    places: BTreeMap<CursorKey, Place>,
    /// Pairs that no key has.
    free: Vec<Place>,
    pairs: u64,
    generation: u64,
    has_header: bool,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    pair: u64,
    /// The slot that must not be overwritten, if one was ever made durable.
    durable: Option<u64>,
}

/// What was found at opening.
pub(crate) type Bodies = BTreeMap<CursorKey, Vec<u8>>;

impl CursorFile {
    /// Reads the cursor file. One of a newer format is set aside, and its new name is returned.
    pub(crate) fn open(disk: &dyn Disk) -> io::Result<(CursorFile, Bodies, Option<String>)> {
        let mut this = CursorFile::default();
        let file = match disk.open_file(CURSORS_NAME, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((this, Bodies::new(), None));
            }
            Err(error) => return Err(error),
        };
        let mut header = [0; 16];
        let read = file.read_at(0, &mut header)?;
        let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if read == header.len() && header[..8] == MAGIC && version > VERSION {
            let aside = format!("{NEWER}{CURSORS_NAME}");
            disk.rename(CURSORS_NAME, &aside)?;
            return Ok((this, Bodies::new(), Some(aside)));
        }
        this.has_header = header == file_header();
        let bodies = this.read_slots(&*file)?;
        this.file = Some(file);
        Ok((this, bodies, None))
    }

    /// Writes again what was read, byte for byte, and makes it durable: after a failed sync the cache may
    /// hold what the disk does not, and nobody may act on a cursor that a power cut can take back.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !self.places.is_empty()) else {
            return Ok(());
        };
        let outcome = rewrite(&mut **file, self.places.values());
        if outcome.is_err() {
            // What is not known durable is what is overwritten next.
            for place in self.places.values_mut() {
                place.durable = place.durable.map(|slot| 1 - slot);
            }
        }
        outcome
    }

    fn read_slots(&mut self, file: &dyn PlainFile) -> io::Result<Bodies> {
        let len = file.len()?.saturating_sub(FIRST_SLOT);
        self.pairs = len.div_ceil(2 * SLOT_LEN).min(CURSORS_MAX as u64);
        let mut newest: BTreeMap<CursorKey, (u64, Vec<u8>)> = BTreeMap::new();
        for pair in 0..self.pairs {
            let slots = [read_slot(file, pair, 0), read_slot(file, pair, 1)];
            let generation = |slot: &Option<Slot>| slot.as_ref().map(|slot| slot.generation);
            let durable = u64::from(generation(&slots[1]) > generation(&slots[0]));
            let [first, second] = slots;
            let Some(slot) = (if durable == 0 { first } else { second }) else {
                self.free.push(Place { pair, durable: None });
                continue;
            };
            let place = Place { pair, durable: Some(durable) };
            self.generation = self.generation.max(slot.generation);
            let Some(body) = slot.body else {
                self.free.push(place);
                continue;
            };
            // The same key twice: it was removed and came back, and the removal did not get through.
            if newest.get(&slot.key).is_some_and(|(generation, _)| *generation > slot.generation) {
                self.free.push(place);
                continue;
            }
            if let Some(older) = self.places.insert(slot.key, place) {
                self.free.push(older);
            }
            newest.insert(slot.key, (slot.generation, body));
        }
        let without_generation = |(key, (_, body))| (key, body);
        Ok(newest.into_iter().map(without_generation).collect())
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn contains(&self, key: &CursorKey) -> bool {
        self.places.contains_key(key)
    }

    /// Writes what changed (`None` removes a key) and makes it durable. On an error the durable bodies
    /// are still there, and the same call may be made again.
    pub(crate) fn write(&mut self, disk: &dyn Disk, changed: &BTreeMap<CursorKey, Option<Vec<u8>>>) -> io::Result<()> {
        let is_new = self.file.is_none();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(disk.open_file(CURSORS_NAME, true)?),
        };
        let lacks_header = !self.has_header;
        if lacks_header {
            file.write_at(0, &file_header())?;
        }
        let mut written = Vec::with_capacity(changed.len());
        for (key, body) in changed {
            let place = match self.places.get(key) {
                Some(place) => *place,
                // A key that is not there is removed already.
                None if body.is_none() => continue,
                None => {
                    let place = self.free.pop().unwrap_or_else(|| {
                        self.pairs += 1;
                        Place { pair: self.pairs - 1, durable: None }
                    });
                    self.places.insert(*key, place);
                    place
                }
            };
            self.generation += 1;
            let slot = place.durable.map_or(0, |durable| 1 - durable);
            let bytes = encode_slot(key, body.as_deref(), self.generation);
            file.write_at(slot_at(place.pair, slot), &bytes)?;
            written.push((*key, place.pair, slot, body.is_none()));
        }
        file.sync()?;
        if is_new || lacks_header {
            disk.sync_directory()?;
        }
        self.has_header = true;
        for (key, pair, slot, is_removed) in written {
            // What was just made durable, if only a removal, is not what is overwritten next.
            let durable = Some(slot);
            if is_removed {
                self.places.remove(&key);
                self.free.push(Place { pair, durable });
            } else {
                self.places.insert(key, Place { pair, durable });
            }
        }
        Ok(())
    }
}

/// Writes the newest slot of each place over itself, and syncs.
fn rewrite<'a>(file: &mut dyn PlainFile, places: impl Iterator<Item = &'a Place>) -> io::Result<()> {
    let mut bytes = vec![0; SLOT_HEADER + CURSOR_BODY_MAX];
    for place in places {
        let Some(slot) = place.durable else { continue };
        let at = slot_at(place.pair, slot);
        let read = file.read_at(at, &mut bytes[..SLOT_HEADER])?;
        let len = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        let used = (SLOT_HEADER + len).min(bytes.len());
        if read == SLOT_HEADER && file.read_at(at, &mut bytes[..used])? == used {
            file.write_at(at, &bytes[..used])?;
        }
    }
    file.sync()
}

struct Slot {
    key: CursorKey,
    generation: u64,
    /// `None` for a removed key.
    body: Option<Vec<u8>>,
}

fn read_slot(file: &dyn PlainFile, pair: u64, slot: u64) -> Option<Slot> {
    let mut head = [0; SLOT_HEADER];
    let at = slot_at(pair, slot);
    if file.read_at(at, &mut head).ok()? != SLOT_HEADER {
        return None;
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let len = word(4);
    let is_removed = len == REMOVED;
    let mut body = vec![0; if is_removed { 0 } else { len as usize }.min(CURSOR_BODY_MAX + 1)];
    if body.len() > CURSOR_BODY_MAX || (len == 0 && word(0) == 0) {
        return None;
    }
    if file.read_at(at + SLOT_HEADER as u64, &mut body).ok()? != body.len() {
        return None;
    }
    let mut key = [0; 16];
    key.copy_from_slice(&head[16..]);
    let sound = word(0) == checksum(0, &[&head[4..], &body]);
    sound.then(|| Slot {
        key: CursorKey(key),
        generation: u64::from(word(8)) | u64::from(word(12)) << 32,
        body: (!is_removed).then_some(body),
    })
}

fn encode_slot(key: &CursorKey, body: Option<&[u8]>, generation: u64) -> Vec<u8> {
    let mut bytes = vec![0; SLOT_HEADER];
    let len = body.map_or(REMOVED, |body| body.len() as u32);
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    bytes[8..16].copy_from_slice(&generation.to_le_bytes());
    bytes[16..32].copy_from_slice(&key.0);
    bytes.extend_from_slice(body.unwrap_or_default());
    let sum = checksum(0, &[&bytes[4..]]);
    bytes[0..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn slot_at(pair: u64, slot: u64) -> u64 {
    FIRST_SLOT + (2 * pair + slot) * SLOT_LEN
}

fn file_header() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let sum = checksum(0, &[&bytes[..12]]);
    bytes[12..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

const MAGIC: [u8; 8] = *b"SCDRVCUR";
const VERSION: u32 = 1;
const FIRST_SLOT: u64 = 4096;
const SLOT_LEN: u64 = 64 << 10;
const SLOT_HEADER: usize = 32;
const REMOVED: u32 = u32::MAX;
const _: () = assert!(SLOT_HEADER + CURSOR_BODY_MAX <= SLOT_LEN as usize);
