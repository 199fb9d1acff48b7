//! The dead letters of one destination: events that it will never take, kept with its reply.
//!
//! One file, `deadletters/<destination id>.dl` in the state directory, mode 0600, bounded. Called from a helper
//! thread, because every change waits for the disk.
//!
//! Always true:
//! - A letter that [`DeadLetters::put`] reports as kept survives a power cut, and so does what an edit made of it.
//! - A letter is kept once for each stream and number, however often it is put.
//! - An edit or a drop happens whole or not at all: a fresh file takes the place of the old one.
//! - Opening never fails for what the file holds. A damaged file is kept aside (one at most), and what can be read of
//!   it goes on in a fresh one.
//! - After a sync that failed nothing is appended to that file: all is written into a fresh one first.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod file;
pub mod gone;

use crate::deadletter::file::{
    Form, HEADER_BYTES, Header, Place, Scan, Tenants, begin, beside, framed_len, fresh, make_directory,
    open_for_update, push_frame, read_frame, read_header, remove_if_there, set_aside, settle_tail, take_along,
};
use crate::stored::{self, Decode, Encode};
use crate::stream::notice::cut_to;
use scaidrive_codecs::{Event, Field};

/// The dead letters of one destination.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    file: File,
    form: Form,
    /// Where the next letter goes.
    end: u64,
    max_bytes: u64,
    places: Vec<Place>,
    by_key: HashMap<Key, u64>,
    /// Whose letters they are, so that who may see them is known without reading any.
    tenants: Tenants,
    next_id: u64,
    /// A sync failed: what the file holds on disk is not known.
    is_suspect: bool,
    sync: fn(&File) -> io::Result<()>,
}

/// One event that its destination will never take.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Letter {
    /// Number in this store, from 1, in the order of arrival. Given by [`DeadLetters::put`]; 0 before.
    pub id: u64,
    /// Which event of which stream.
    pub key: Key,
    /// The shard whose log held it.
    pub shard: u16,
    /// The event: as received, or as an operator has edited it.
    pub raw: Vec<u8>,
    /// What the destination answered, cut to [`REPLY_MAX`] bytes.
    pub reply: String,
    /// Why it was refused, cut to [`REASON_MAX`] bytes.
    pub reason: String,
    /// When, in ms since 1970.
    pub wall_ms: i64,
    /// How often it was sent.
    pub attempts: u32,
    /// When an operator last put other bytes in the event's place, in ms since 1970.
    pub edited_ms: Option<i64>,
}

impl Letter {
    /// Whose event it is; nobody's where it can't be read.
    pub fn tenant(&self) -> Option<String> {
        let index = scaidrive_codecs::index(&self.raw).ok()?;
        let mut scratch = String::new();
        Event::new(&self.raw, &index).text(Field::TenantId, &mut scratch).map(str::to_owned)
    }
}

/// What a letter is found by: a stream's epoch is random, so it tells apart the streams of all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Key {
    /// The stream's epoch.
    pub epoch: [u8; 16],
    /// The event's number in it.
    pub n: u64,
}

/// What became of a letter that was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which.
    pub key: Key,
    /// Its last edit before it was sent.
    pub edited_ms: Option<i64>,
    /// Taken, or refused again in these words.
    pub fate: Result<(), String>,
}

/// A store that is only looked at.
#[derive(Debug)]
pub struct Look(DeadLetters);

impl Look {
    /// It; what changes a store needs more than this.
    pub fn store(&self) -> &DeadLetters {
        &self.0
    }
}

/// What opening found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Where the damaged file is kept.
    pub damaged: Option<PathBuf>,
    /// Where a file of a newer version lies, unread, and its version.
    pub newer: Option<(PathBuf, u32)>,
    /// Bytes that a power cut left behind, or that are damaged without a witness.
    pub tail_bytes: u64,
}

/// How much of a put was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Every letter is durable.
    All,
    /// The first `kept` letters are durable; the store has no room for the one after them. The caller counts the
    /// others as overflow.
    Full {
        /// How many.
        kept: usize,
    },
}

/// A page of letters, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The letters.
    pub letters: Vec<Letter>,
    /// What to ask for next: letters after this id. `None` at the end.
    pub next_after: Option<u64>,
}

/// Why the store could not be opened: the directory or the disk, never what the file holds.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the dead letters {}", path.display())]
pub struct OpenError {
    /// The store's file.
    pub path: PathBuf,
    /// The system's words.
    pub source: io::Error,
}

/// Why letters could not be kept, read, edited or dropped. The store goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk did not do it. Nothing of a put is kept.
    #[error("the dead letters {} cannot be used", path.display())]
    Disk {
        /// The store's file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A letter on disk is not what was written.
    #[error("dead letter {id} in {} is damaged", path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// The letter.
        id: u64,
    },
    /// A letter is longer than any event.
    #[error("an event is too long to be a dead letter")]
    TooLong {
        /// What is too long.
        source: stored::StoredError,
    },
    /// An edited event is longer than what it replaces, and the file has no room for it.
    #[error("the dead letters {} have no room for a longer event: they may take {max_bytes} bytes", path.display())]
    NoRoom {
        /// The store's file.
        path: PathBuf,
        /// What it may take.
        max_bytes: u64,
    },
}

impl DeadLetters {
    /// Opens or begins the store of the destination with this id. `directory` is made when it is not there; the file
    /// takes at most `max_bytes`; `salt` is random, for a file that begins.
    ///
    /// # Errors
    /// When the directory or the disk refuses.
    pub fn open(
        directory: &Path,
        destination: &[u8; 16],
        max_bytes: u64,
        salt: u64,
    ) -> Result<(DeadLetters, Opened), OpenError> {
        let path = directory.join(file_name(destination));
        DeadLetters::open_file(&path, max_bytes, salt).map_err(|source| OpenError { path, source })
    }

    /// Opens a store only to look at it, beside an agent that uses it or without one: nothing is made, repaired or
    /// written. `None` where there is none.
    ///
    /// # Errors
    /// When the file can't be read or does not begin as one that this version writes.
    pub fn look(directory: &Path, destination: &[u8; 16]) -> Result<Option<Look>, OpenError> {
        let path = directory.join(file_name(destination));
        match DeadLetters::look_at(&path) {
            Ok(store) => Ok(Some(Look(store))),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OpenError { path, source }),
        }
    }

    fn look_at(path: &Path) -> io::Result<DeadLetters> {
        let file = File::open(path)?;
        let other = |words: String| io::Error::new(io::ErrorKind::InvalidData, words);
        let form = match read_header(&file)? {
            Header::Known(form) => form,
            Header::Newer(version) => return Err(other(format!("its format {version} is newer than this program"))),
            Header::None => return Err(other("its header is damaged".to_owned())),
        };
        let scan = Scan::of(&file, form)?;
        Ok(DeadLetters {
            path: path.to_owned(),
            file,
            form,
            end: scan.end,
            max_bytes: MAX_BYTES_DEFAULT,
            by_key: scan.places.iter().map(|place| (place.key, place.id)).collect(),
            next_id: scan.places.last().map_or(1, |place| place.id.saturating_add(1)),
            tenants: Tenants::all(&scan.places),
            places: scan.places,
            is_suspect: false,
            sync: File::sync_data,
        })
    }

    fn open_file(path: &Path, max_bytes: u64, new_salt: u64) -> io::Result<(DeadLetters, Opened)> {
        make_directory(path)?;
        remove_if_there(&beside(path, "new"))?;
        if !path.exists() {
            begin(path, new_salt)?;
        }
        let mut opened = Opened::default();
        let mut file = open_for_update(path)?;
        let mut form = Form::current(new_salt);
        match read_header(&file)? {
            Header::Known(found) => form = found,
            Header::Newer(version) => {
                let aside = beside(path, &format!("newer-{version}"));
                fs::rename(path, &aside)?;
                opened.newer = Some((aside, version));
                file = begin(path, new_salt)?;
            }
            Header::None => {
                opened.damaged = Some(set_aside(path)?);
                file = begin(path, new_salt)?;
            }
        }
        let mut scan = Scan::of(&file, form)?;
        if scan.is_damaged {
            opened.damaged = Some(set_aside(path)?);
        } else {
            // The zeros after the last letter may be missing.
            opened.tail_bytes = file.metadata()?.len().saturating_sub(scan.end);
        }
        if scan.is_damaged || scan.has_hole {
            let letters = scan.places.iter().map(|place| take_along(&file, form, place));
            (file, _) = fresh(path, form.salt, letters)?;
            form = Form::current(form.salt);
            scan = Scan::of(&file, form)?;
        }
        settle_tail(&file, &scan)?;
        let store = DeadLetters {
            path: path.to_owned(),
            file,
            form,
            end: scan.end,
            max_bytes,
            by_key: scan.places.iter().map(|place| (place.key, place.id)).collect(),
            next_id: scan.places.last().map_or(1, |place| place.id.saturating_add(1)),
            tenants: Tenants::all(&scan.places),
            places: scan.places,
            is_suspect: false,
            sync: File::sync_data,
        };
        Ok((store, opened))
    }

    /// Keeps letters, in order; those that are kept already are passed over. When this returns, what was kept is
    /// durable. One wait for the disk, however many letters.
    ///
    /// # Errors
    /// When the disk refuses or a letter is too long; then none of them is kept.
    pub fn put(&mut self, letters: &[Letter]) -> Result<Kept, StoreError> {
        if self.is_suspect || !self.form.is_current() {
            self.rewrite(|_| true, &HashMap::new())?;
        }
        let mut bytes = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        let mut keys = HashSet::new();
        let mut outcome = Kept::All;
        for (at, letter) in letters.iter().enumerate() {
            if self.by_key.contains_key(&letter.key) || !keys.insert(letter.key) {
                continue;
            }
            let id = self.next_id + places.len() as u64;
            let offset = self.end + bytes.len() as u64;
            let before = bytes.len();
            let body_len = self.frame(id, letter, &mut bytes)?;
            if self.end + bytes.len() as u64 > self.max_bytes {
                bytes.truncate(before);
                outcome = Kept::Full { kept: at };
                break;
            }
            places.push(Place { id, key: letter.key, tenant: self.tenants.of(letter), offset, body_len });
        }
        self.append(&bytes)?;
        self.tenants.add(&places);
        self.next_id += places.len() as u64;
        self.by_key.extend(places.iter().map(|place| (place.key, place.id)));
        self.places.extend(places);
        Ok(outcome)
    }

    /// Whether a letter is kept for this event.
    pub fn contains(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    /// The letter kept for this event.
    ///
    /// # Errors
    /// When the disk can't be read, or gives something else than was written.
    pub fn find(&self, key: &Key) -> Result<Option<Letter>, StoreError> {
        self.by_key.get(key).map_or(Ok(None), |id| self.letter(*id))
    }

    /// Each letter's id and what it is found by, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = (u64, Key)> {
        self.places.iter().map(|place| (place.id, place.key))
    }

    /// Whose letters there are, each tenant once; `None` is nobody, whose events can't be read.
    pub fn tenants(&self) -> impl Iterator<Item = Option<&str>> {
        self.tenants.iter()
    }

    /// The letter with this id.
    ///
    /// # Errors
    /// As [`DeadLetters::find`].
    pub fn letter(&self, id: u64) -> Result<Option<Letter>, StoreError> {
        let Ok(at) = self.places.binary_search_by_key(&id, |place| place.id) else {
            return Ok(None);
        };
        self.read(&self.places[at]).map(Some)
    }

    /// Up to `limit` letters after the one with id `after` (0 for the first page), oldest first. A page ends early
    /// once its events take [`PAGE_BYTES`].
    ///
    /// # Errors
    /// As [`DeadLetters::find`].
    pub fn page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        let start = self.places.partition_point(|place| place.id <= after);
        let mut letters = Vec::new();
        let mut bytes = 0;
        for place in self.places[start..].iter().take(limit) {
            bytes += u64::from(place.body_len);
            if bytes > PAGE_BYTES && !letters.is_empty() {
                break;
            }
            letters.push(self.read(place)?);
        }
        let next_after = letters.last().filter(|_| start + letters.len() < self.places.len());
        Ok(Page { next_after: next_after.map(|letter: &Letter| letter.id), letters })
    }

    /// Drops the letters with these ids and gives their room back. Returns how many there were.
    ///
    /// # Errors
    /// When the disk refuses; then none is dropped.
    pub fn drop_letters(&mut self, ids: &HashSet<u64>) -> Result<usize, StoreError> {
        let before = self.places.len();
        if self.places.iter().any(|place| ids.contains(&place.id)) {
            self.rewrite(|place| !ids.contains(&place.id), &HashMap::new())?;
        }
        Ok(before - self.places.len())
    }

    /// What became of letters that were sent again: those that were taken are dropped, and the others get the newest reply.
    /// One that was edited after it was sent stays as it is.
    ///
    /// # Errors
    /// When the disk refuses; then all are as they were.
    pub fn tried(&mut self, tried: &[Tried], wall_ms: i64) -> Result<(), StoreError> {
        let mut taken = HashSet::new();
        let mut refused = HashMap::new();
        for Tried { key, edited_ms, fate } in tried {
            let Some(letter) = self.find(key)?.filter(|letter| letter.edited_ms == *edited_ms) else { continue };
            match fate {
                Ok(()) => drop(taken.insert(letter.id)),
                Err(why) => {
                    let attempts = letter.attempts.saturating_add(1);
                    let (id, reply, reason) = (letter.id, why.clone(), why.clone());
                    let letter = Letter { reply, reason, attempts, wall_ms, ..letter };
                    refused.insert(id, body_of(&bounded(id, &letter))?);
                }
            }
        }
        let kept = self.places.iter().filter(|place| !taken.contains(&place.id));
        let len = |place: &Place| refused.get(&place.id).map_or(place.framed_len(), |body| framed_len(body.len()));
        if HEADER_BYTES + kept.map(len).sum::<u64>() > self.max_bytes.max(self.end) {
            // Longer words than before are not worth more room than the file may take.
            refused.clear();
        }
        if taken.is_empty() && refused.is_empty() {
            return Ok(());
        }
        self.rewrite(|place| !taken.contains(&place.id), &refused)
    }

    /// Puts `raw` in the place of the event of the letter with this id, which keeps everything else, its number above
    /// all. Returns the letter as it is now; `None` when there is none with this id.
    ///
    /// # Errors
    /// When the disk refuses, or a longer event finds no room; then the letter is as it was.
    pub fn edit(&mut self, id: u64, raw: Vec<u8>, wall_ms: i64) -> Result<Option<Letter>, StoreError> {
        let Some(letter) = self.letter(id)? else { return Ok(None) };
        let letter = Letter { raw, edited_ms: Some(wall_ms), ..letter };
        let body = body_of(&letter)?;
        let others = self.places.iter().filter(|place| place.id != id).map(Place::framed_len).sum::<u64>();
        let end = HEADER_BYTES + others + framed_len(body.len());
        if end > self.max_bytes.max(self.end) {
            return Err(StoreError::NoRoom { path: self.path.clone(), max_bytes: self.max_bytes });
        }
        self.rewrite(|_| true, &HashMap::from([(id, body)]))?;
        Ok(Some(letter))
    }

    /// The id of the newest letter; 0 where there is none.
    pub fn newest(&self) -> u64 {
        self.places.last().map_or(0, |place| place.id)
    }

    /// How many letters are kept.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes the file takes.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Bytes the file may take.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Appends the letter's frame to `bytes`; returns the length of its body.
    fn frame(&self, id: u64, letter: &Letter, bytes: &mut Vec<u8>) -> Result<u32, StoreError> {
        let body = body_of(&bounded(id, letter))?;
        push_frame(self.form.salt, self.end, &body, bytes);
        Ok(body.len() as u32)
    }

    /// Writes and syncs. After an error the file is as it was, or suspect.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all_at(bytes, self.end) {
            self.is_suspect = self.file.set_len(self.end).is_err();
            return Err(self.disk(source));
        }
        if let Err(source) = (self.sync)(&self.file) {
            self.is_suspect = true;
            return Err(self.disk(source));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Writes the letters that `keep` names into a fresh file that takes this one's place; those whose ids `edited` has get
    /// the bodies there.
    fn rewrite(&mut self, keep: impl Fn(&Place) -> bool, edited: &HashMap<u64, Vec<u8>>) -> Result<(), StoreError> {
        // Should this fail halfway, the name may be the new file's while letters would go to the old one.
        self.is_suspect = true;
        let letters = self.places.iter().filter(|place| keep(place)).map(|place| match edited.get(&place.id) {
            Some(body) => {
                let tenant = stored::decode::<Letter>(body).ok().and_then(|letter| letter.tenant());
                Ok((Place { tenant: tenant.map(Arc::from), ..place.clone() }, body.clone()))
            }
            None => take_along(&self.file, self.form, place),
        });
        let made = fresh(&self.path, self.form.salt, letters);
        (self.file, self.places) = made.map_err(|source| self.disk(source))?;
        self.tenants = Tenants::all(&self.places);
        self.form = Form::current(self.form.salt);
        self.end = self.places.iter().fold(HEADER_BYTES, |end, place| end + place.framed_len());
        self.by_key = self.places.iter().map(|place| (place.key, place.id)).collect();
        self.is_suspect = false;
        Ok(())
    }

    fn read(&self, place: &Place) -> Result<Letter, StoreError> {
        let mut body = Vec::new();
        let framed =
            read_frame(&self.file, self.form, place.offset, u64::MAX, &mut body).map_err(|source| self.disk(source))?;
        let letter = framed.and_then(|_| stored::decode::<Letter>(&body).ok());
        letter
            .filter(|letter| letter.id == place.id)
            .ok_or_else(|| StoreError::Damaged { path: self.path.clone(), id: place.id })
    }

    fn disk(&self, source: io::Error) -> StoreError {
        StoreError::Disk { path: self.path.clone(), source }
    }
}

/// The letter under this id, with a reply and a reason that are short enough to be kept.
fn bounded(id: u64, letter: &Letter) -> Letter {
    Letter {
        id,
        reply: cut_to(&letter.reply, REPLY_MAX).to_owned(),
        reason: cut_to(&letter.reason, REASON_MAX).to_owned(),
        ..letter.clone()
    }
}

fn body_of(letter: &Letter) -> Result<Vec<u8>, StoreError> {
    let mut body = Vec::new();
    stored::encode(letter, &mut body).map_err(|source| StoreError::TooLong { source })?;
    Ok(body)
}

fn file_name(destination: &[u8; 16]) -> String {
    let mut name: String = destination.iter().map(|byte| format!("{byte:02x}")).collect();
    name.push_str(".dl");
    name
}

/// What a destination's store takes at most unless told otherwise, in bytes.
pub const MAX_BYTES_DEFAULT: u64 = 64 << 20;
/// The longest reply that is kept, in bytes.
pub const REPLY_MAX: usize = 4 << 10;
/// The longest reason that is kept, in bytes.
pub const REASON_MAX: usize = 240;
/// What the events of a page take together, in bytes, unless one alone takes more.
pub const PAGE_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests;
