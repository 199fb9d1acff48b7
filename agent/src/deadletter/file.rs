//! How dead letters lie in their file, and how a file takes another's place.
//!
//! All integers little-endian. The file begins with a header:
//!
//! | offset | size | field    | meaning                                 |
//! |-------:|-----:|----------|-----------------------------------------|
//! |      0 |    8 | magic    | `SDSIEMDL`                              |
//! |      8 |    4 | version  | 2                                       |
//! |     12 |    4 | checksum | CRC-32 of all other bytes of the header |
//! |     16 |    8 | salt     | random, so that no event can hold bytes that pass for a letter |
//!
//! Letters follow, each from an offset that 8 divides:
//!
//! | offset | size | field       | meaning                                                       |
//! |-------:|-----:|-------------|---------------------------------------------------------------|
//! |      0 |    4 | len         | bytes of the body, 1 to `STORED_MAX`                          |
//! |      4 |    4 | checksum    | CRC-32 of the salt, of `len` and of all that follows          |
//! |      8 |    8 | durable_end | how much of the file was known to be durable before this one  |
//! |     16 |  len | body        | [`Letter`], in bincode; then zeros up to the next letter      |
//!
//! The largest `durable_end` of any valid letter is the durable line. What is not valid below it is damage; above it, it
//! is what a power cut left of a put that nobody was told had succeeded.
//!
//! Version 1 had letters without their last member, [`Letter::edited_ms`]. Such a file is read as it is, and the first
//! change writes it anew in this version: opening asks for no room on the disk.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::deadletter::{Key, Letter};
use crate::stored::{self, STORED_MAX};

/// Where a letter lies. Places ascend by id and by offset alike.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) id: u64,
    pub(super) key: Key,
    /// Whose event it is; nobody's where it can't be read.
    pub(super) tenant: Option<Arc<str>>,
    pub(super) offset: u64,
    pub(super) body_len: u32,
}

/// How the letters of a file are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) salt: u64,
    version: u32,
}

impl Form {
    /// As this version of the program writes.
    pub(super) fn current(salt: u64) -> Form {
        Form { salt, version: VERSION }
    }

    /// Whether letters may be added to the file.
    pub(super) fn is_current(self) -> bool {
        self.version == VERSION
    }
}

/// What a file holds.
pub(super) struct Scan {
    pub(super) places: Vec<Place>,
    /// The end of the last valid letter.
    pub(super) end: u64,
    pub(super) durable_end: u64,
    /// Bytes that were durable are no letters.
    pub(super) is_damaged: bool,
    /// Letters follow bytes that are none.
    pub(super) has_hole: bool,
}

impl Place {
    /// What the letter takes in the file, in bytes.
    pub(super) fn framed_len(&self) -> u64 {
        framed_len(self.body_len as usize)
    }
}

impl Scan {
    /// Reads every letter. After bytes that are none, looks for the next one at every offset where one can begin.
    pub(super) fn of(file: &File, form: Form) -> io::Result<Scan> {
        let file_end = file.metadata()?.len();
        let mut scan = Scan {
            places: Vec::new(),
            end: HEADER_BYTES,
            durable_end: HEADER_BYTES,
            is_damaged: false,
            has_hole: false,
        };
        let (mut keys, mut tenants) = (HashSet::new(), Tenants::default());
        let mut body = Vec::new();
        let mut offset = HEADER_BYTES;
        // Where bytes that are no letter begin; the durable line is known only at the end.
        let mut first_bad = None;
        while offset + FRAME_BYTES < file_end {
            let framed = read_frame(file, form, offset, file_end, &mut body)?;
            let letter = framed.and_then(|frame| Some((frame, stored::decode::<Letter>(&body).ok()?)));
            let last_id = scan.places.last().map_or(0, |place| place.id);
            let Some((frame, letter)) = letter.filter(|(_, letter)| letter.id > last_id) else {
                first_bad.get_or_insert(offset);
                offset += ALIGN;
                continue;
            };
            scan.durable_end = scan.durable_end.max(frame.durable_end);
            if keys.insert(letter.key) {
                let (body_len, tenant) = (frame.body_len, tenants.of(&letter));
                scan.places.push(Place { id: letter.id, key: letter.key, tenant, offset, body_len });
                tenants.add(&scan.places[scan.places.len() - 1..]);
            }
            offset += framed_len(frame.body_len as usize);
            scan.end = offset;
        }
        scan.has_hole = first_bad.is_some_and(|bad| bad < scan.end);
        scan.is_damaged |= first_bad.unwrap_or(scan.end) < scan.durable_end;
        Ok(scan)
    }
}

/// Tenants, the name of each kept once however many letters it has.
#[derive(Debug, Default)]
pub(super) struct Tenants(HashSet<Option<Arc<str>>>);

impl Tenants {
    /// Those of these letters.
    pub(super) fn all(places: &[Place]) -> Tenants {
        let mut tenants = Tenants::default();
        tenants.add(places);
        tenants
    }

    /// And those of these.
    pub(super) fn add(&mut self, places: &[Place]) {
        self.0.extend(places.iter().map(|place| place.tenant.clone()));
    }

    /// Whose event a letter holds.
    pub(super) fn of(&self, letter: &Letter) -> Option<Arc<str>> {
        let tenant = letter.tenant().map(Arc::from);
        self.0.get(&tenant).cloned().unwrap_or(tenant)
    }

    /// Each of them once; `None` is nobody.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().map(Option::as_deref)
    }
}

pub(super) struct Frame {
    durable_end: u64,
    /// As it lies in the file.
    body_len: u32,
}

/// The frame at `offset` with its body in `body`, as of the current version; `None` when there is no valid one that ends
/// by `file_end`.
pub(super) fn read_frame(
    file: &File,
    form: Form,
    offset: u64,
    file_end: u64,
    body: &mut Vec<u8>,
) -> io::Result<Option<Frame>> {
    let mut head = [0; FRAME_BYTES as usize];
    if !read_all(file, &mut head, offset)? {
        return Ok(None);
    }
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let checksum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if len == 0 || len as usize > STORED_MAX || offset + FRAME_BYTES + u64::from(len) > file_end {
        return Ok(None);
    }
    body.resize(len as usize, 0);
    if !read_all(file, body, offset + FRAME_BYTES)? || frame_checksum(form.salt, &head, body) != checksum {
        return Ok(None);
    }
    if form.version == 1 {
        // Never edited: the `None` that this version writes last.
        body.push(0);
    }
    let mut durable_end = [0; 8];
    durable_end.copy_from_slice(&head[8..]);
    Ok(Some(Frame { durable_end: u64::from_le_bytes(durable_end), body_len: len }))
}

pub(super) fn push_frame(salt: u64, durable_end: u64, body: &[u8], out: &mut Vec<u8>) {
    let mut head = [0; FRAME_BYTES as usize];
    head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[8..].copy_from_slice(&durable_end.to_le_bytes());
    let checksum = frame_checksum(salt, &head, body);
    head[4..8].copy_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(ALIGN as usize), 0);
}

fn frame_checksum(salt: u64, head: &[u8; FRAME_BYTES as usize], body: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&salt.to_le_bytes());
    checksum.update(&head[..4]);
    checksum.update(&head[8..]);
    checksum.update(body);
    checksum.finalize()
}

pub(super) fn framed_len(body_len: usize) -> u64 {
    (FRAME_BYTES + body_len as u64).next_multiple_of(ALIGN)
}

/// Begins a file without letters, in the place of whatever has its name.
pub(super) fn begin(path: &Path, salt: u64) -> io::Result<File> {
    Ok(fresh(path, salt, std::iter::empty())?.0)
}

/// Makes a file that takes the place of `path`, with these letters: each with the place it had, and its body. When this
/// returns, letters and name are durable; the places they have now come back.
pub(super) fn fresh(
    path: &Path,
    salt: u64,
    letters: impl Iterator<Item = io::Result<(Place, Vec<u8>)>>,
) -> io::Result<(File, Vec<Place>)> {
    let new_path = beside(path, "new");
    remove_if_there(&new_path)?;
    let mut options = OpenOptions::new();
    let new = options.read(true).write(true).create_new(true).mode(0o600).open(&new_path)?;
    new.write_all_at(&header(salt), 0)?;
    let mut places = Vec::new();
    let mut offset = HEADER_BYTES;
    let mut bytes = Vec::new();
    for letter in letters {
        let (place, body) = letter?;
        bytes.clear();
        push_frame(salt, HEADER_BYTES, &body, &mut bytes);
        new.write_all_at(&bytes, offset)?;
        places.push(Place { offset, body_len: body.len() as u32, ..place });
        offset += bytes.len() as u64;
    }
    new.sync_all()?;
    fs::rename(&new_path, path)?;
    sync_directory(path)?;
    Ok((new, places))
}

/// A letter on its way into a fresh file.
pub(super) fn take_along(file: &File, form: Form, place: &Place) -> io::Result<(Place, Vec<u8>)> {
    let mut body = Vec::new();
    match read_frame(file, form, place.offset, u64::MAX, &mut body)? {
        Some(_) => Ok((place.clone(), body)),
        None => {
            let words = format!("dead letter {} is damaged", place.id);
            Err(io::Error::new(io::ErrorKind::InvalidData, words))
        }
    }
}

/// Cuts off what is no letter, and writes what lies above the durable line again: the cache may hold what the disk
/// does not.
pub(super) fn settle_tail(file: &File, scan: &Scan) -> io::Result<()> {
    let file_end = file.metadata()?.len();
    if file_end == scan.durable_end {
        return Ok(());
    }
    file.set_len(scan.end)?;
    let mut bytes = vec![0; COPY_BYTES];
    let mut offset = scan.durable_end;
    while offset < scan.end {
        let part = &mut bytes[..(scan.end - offset).min(COPY_BYTES as u64) as usize];
        file.read_exact_at(part, offset)?;
        file.write_all_at(part, offset)?;
        offset += part.len() as u64;
    }
    file.sync_data()
}

/// Gives the damaged file a second name, in place of one set aside earlier; the first name goes to the fresh file.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let (directory, name) = split(path)?;
    let prefix = format!("{name}.damaged-");
    let mut last = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<u64>().ok());
        if let Some(number) = number {
            last = last.max(number);
            fs::remove_file(entry.path())?;
        }
    }
    let aside = directory.join(format!("{prefix}{}", last.saturating_add(1)));
    fs::hard_link(path, &aside)?;
    Ok(aside)
}

/// What a file's header says.
pub(super) enum Header {
    /// A file that this version reads.
    Known(Form),
    /// A file of a newer version.
    Newer(u32),
    /// No header.
    None,
}

pub(super) fn read_header(file: &File) -> io::Result<Header> {
    let mut found = [0; HEADER_BYTES as usize];
    if !read_all(file, &mut found, 0)? || found[..8] != *MAGIC || found[12..16] != header_checksum(&found) {
        return Ok(Header::None);
    }
    let version = u32::from_le_bytes([found[8], found[9], found[10], found[11]]);
    let mut salt = [0; 8];
    salt.copy_from_slice(&found[16..]);
    Ok(match version {
        1..=VERSION => Header::Known(Form { salt: u64::from_le_bytes(salt), version }),
        newer if newer > VERSION => Header::Newer(newer),
        _ => Header::None,
    })
}

fn header(salt: u64) -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..].copy_from_slice(&salt.to_le_bytes());
    let checksum = header_checksum(&header);
    header[12..16].copy_from_slice(&checksum);
    header
}

fn header_checksum(header: &[u8; HEADER_BYTES as usize]) -> [u8; 4] {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&header[..12]);
    checksum.update(&header[16..]);
    checksum.finalize().to_le_bytes()
}

/// Fills `bytes` from `offset`; false when the file ends before.
fn read_all(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn open_for_update(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    let (directory, _) = split(path)?;
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    sync_directory(directory)
}

/// Syncs the directory that holds `path`: a new name is durable only then.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(split(path)?.0)?.sync_all()
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file in a directory"))
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

const MAGIC: &[u8; 8] = b"SDSIEMDL";
const VERSION: u32 = 2;
pub(super) const HEADER_BYTES: u64 = 24;
const FRAME_BYTES: u64 = 16;
const ALIGN: u64 = 8;
const COPY_BYTES: usize = 64 << 10;
