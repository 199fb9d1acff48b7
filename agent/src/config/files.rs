//! Configuration files as they lie on the disk.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::problems::{Place, Problems};
use super::secret::Given;
use super::text::{MIB, size_text};

/// One configuration file.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Secrets that came with the text and lie in no file yet, by the paths that they will have.
    pub(crate) given: Given,
    /// Where each line ends.
    line_ends: Vec<usize>,
}

impl Source {
    pub(crate) fn new(path: PathBuf, text: String) -> Source {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(offset, _)| offset).collect();
        Source { path, text, given: Given::default(), line_ends }
    }

    /// The line, from 1, in which the byte at `offset` stands.
    pub(crate) fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }

    /// Where relative paths in it start.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// The tree of a file, or `None` when it is not TOML, which is reported with each line.
pub(crate) fn tree<'a>(source: &'a Source, problems: &Problems) -> Option<Spanned<DeTable<'a>>> {
    let (tree, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
        let line = error.span().map(|span| source.line(span.start));
        let place = Place { file: source.path.clone(), line, key: String::new() };
        problems.error(
            place,
            format!("this is not TOML: {}", error.message()),
            "look at the quotes, brackets and equals signs of this line",
        );
    }
    errors.is_empty().then_some(tree)
}

/// Reads one file; what keeps it from being read is reported.
pub(crate) fn read_source(path: &Path, problems: &Problems) -> Option<Source> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let advice = "check that the file is there and that this user may read it, or name another with --config";
        problems.error(Place::file(path), format!("the configuration cannot be read: {error}"), advice);
        return None;
    }
    if bytes.len() as u64 > FILE_MAX {
        problems.error(
            Place::file(path),
            "the file is too long for a configuration",
            format!("keep each file under {}", size_text(FILE_MAX)),
        );
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(Source::new(path.to_owned(), text)),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count();
            let place = Place { line: Some(line), ..Place::file(path) };
            problems.error(place, "the file is not UTF-8 text", "save it as UTF-8");
            None
        }
    }
}

/// The `*.toml` files of a directory by name; hidden ones are left out, and so is a directory that isn't there.
pub(crate) fn toml_files(directory: &Path, problems: &Problems) -> Vec<PathBuf> {
    let unreadable = |error: std::io::Error| {
        problems.error(
            Place::file(directory),
            format!("the directory cannot be read: {error}"),
            "let this user read it",
        );
        Vec::new()
    };
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return unreadable(error),
    };
    let wanted = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && path.extension().is_some_and(|extension| extension == "toml")
    };
    // Whoever does not see all of them must not take the others for gone.
    let paths = listing.map(|entry| entry.map(|entry| entry.path()));
    let paths = paths.filter(|path| path.as_ref().map_or(true, &wanted)).take(FILES_MAX + 1);
    let mut files: Vec<PathBuf> = match paths.collect() {
        Ok(files) => files,
        Err(error) => return unreadable(error),
    };
    files.sort();
    if files.len() > FILES_MAX {
        problems.error(
            Place::file(directory),
            format!("there are more than {FILES_MAX} files"),
            "put several destinations into one file",
        );
        files.truncate(FILES_MAX);
    }
    files
}

/// Longest configuration file, in bytes.
const FILE_MAX: u64 = MIB;
/// Most files in `destinations.d`.
const FILES_MAX: usize = 10_000;
/// After one syntax error most of the others are its echo.
const SYNTAX_ERRORS_MAX: usize = 10;
