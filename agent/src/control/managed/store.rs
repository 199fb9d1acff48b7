//! The files of the API's destinations: `destinations/` with a file for each, and `secrets/` with a file for each secret.
//!
//! Always true: folders have mode 0700 and files 0600; a file is there whole or not at all. A destination's file is what
//! counts: secrets are written before it, under names that no file has used, and removed when no file names them any more. So
//! a power cut leaves the old destination with its old secrets, or the new one with its new ones.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use crate::config::managed::{self, folder, secrets_folder};
use crate::config::{Config, Given, secret_files_of};
use crate::node::write_durably;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::control) struct Store {
    state_dir: PathBuf,
}

/// What a change has replaced, to put it back.
#[derive(Debug)]
pub(in crate::control) struct Undo {
    /// Each file as it was; `None` where there was none.
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// Secrets that are new.
    secrets: Vec<PathBuf>,
}

impl Store {
    pub(in crate::control) fn new(state_dir: &Path) -> Store {
        Store { state_dir: state_dir.to_owned() }
    }

    /// Writes what has changed, `None` for what is gone, and the secrets that came with it. Durable on return. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When the disk refuses; all is as it was then.
    pub(in crate::control) fn commit(
        &self,
        changes: &BTreeMap<String, Option<String>>,
        given: &Given,
    ) -> io::Result<Undo> {
        let mut undo = Undo { files: Vec::new(), secrets: Vec::new() };
        match self.write(changes, given, &mut undo) {
            Ok(()) => Ok(undo),
            Err(problem) => {
                self.restore(undo)?;
                Err(problem)
            }
        }
    }

    fn write(&self, changes: &BTreeMap<String, Option<String>>, given: &Given, undo: &mut Undo) -> io::Result<()> {
        let (folder, secrets) = (folder(&self.state_dir), secrets_folder(&self.state_dir));
        for path in [&folder, &secrets] {
            make_folder(path)?;
        }
        fs::File::open(&self.state_dir)?.sync_all()?;
        for (path, secret) in given {
            undo.secrets.push(path.clone());
            write_durably(&secrets, path, secret.as_bytes())?;
        }
        for (key, text) in changes {
            let path = folder.join(format!("{key}.toml"));
            let before = match fs::read(&path) {
                Ok(bytes) => Some(bytes),
                Err(problem) if problem.kind() == io::ErrorKind::NotFound => None,
                Err(problem) => return Err(problem),
            };
            undo.files.push((path.clone(), before));
            put(&folder, &path, text.as_ref().map(String::as_bytes))?;
        }
        Ok(())
    }

    /// Puts back what a change has replaced. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses: then some of the change may be there at the next start.
    pub(in crate::control) fn restore(&self, undo: Undo) -> io::Result<()> {
        let folder = folder(&self.state_dir);
        let mut outcome = Ok(());
        for (path, before) in undo.files.into_iter().rev() {
            outcome = outcome.and(put(&folder, &path, before.as_deref()));
        }
        for path in undo.secrets {
            outcome = outcome.and(remove(&path));
        }
        outcome
    }

    /// Removes secrets that no destination names, neither in its file nor as it runs by `running`: one whose file somebody
    /// has edited or moved away may be put back as it was. Where a destination's file can't be read, everything that may be
    /// its own stays. Blocks on the disk.
    pub(in crate::control) fn sweep(&self, running: &Config) {
        let (mut named, mut unclear) = (secret_files_by(running), Vec::new());
        let Ok(files) = managed::files(&self.state_dir) else { return };
        for file in files {
            match secret_files_of(file.text()) {
                Some(paths) => named.extend(paths),
                None => unclear.push(format!("{}.", file.key)),
            }
        }
        for entry in fs::read_dir(secrets_folder(&self.state_dir)).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let may_be_needed = named.contains(&name) || unclear.iter().any(|prefix| name.starts_with(prefix));
            if may_be_needed {
                continue;
            }
            if let Err(problem) = remove(&path) {
                tracing::warn!("{}, which no destination names any more, can't be removed: {problem}", path.display());
            }
        }
    }
}

/// The names of the files that destinations have their secrets from, as they run.
fn secret_files_by(running: &Config) -> HashSet<String> {
    let secrets = running.destinations.iter().flat_map(|known| known.secrets());
    let names =
        secrets.filter_map(|(_, secret)| Some(secret.source().path()?.file_name()?.to_string_lossy().into_owned()));
    names.collect()
}

/// What stands for a destination's settings in `ETag`: a hash of its file, which names secrets' files and no secrets.
pub(in crate::control) fn tag_of_one(text: &str) -> String {
    tag(text.as_bytes())
}

/// The same for all of them.
pub(in crate::control) fn tag_of_all(texts: &BTreeMap<&str, &str>) -> String {
    let all: String = texts.iter().map(|(key, text)| format!("{key}\0{}\0{text}\0", text.len())).collect();
    tag(all.as_bytes())
}

fn tag(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    let hex: String = hash.as_ref().iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// A folder for the agent's user alone, unless it is there.
pub(in crate::control) fn make_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn put(folder: &Path, path: &Path, bytes: Option<&[u8]>) -> io::Result<()> {
    match bytes {
        Some(bytes) => write_durably(folder, path, bytes),
        None => {
            remove(path)?;
            fs::File::open(folder)?.sync_all()
        }
    }
}

/// Removes a file, unless it is gone.
pub(in crate::control) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// As much of a hash as no two settings share by chance.
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use zeroize::Zeroizing;

    use super::*;
    use crate::config::Surroundings;

    fn text(name: &str, secret: Option<&str>) -> String {
        let token = secret.map(|name| format!("token = {{ file = \"../secrets/{name}\" }}\n"));
        format!("[[destination]]\nname = \"{name}\"\n{}", token.unwrap_or_default())
    }

    /// What runs without any destination.
    fn running(directory: &Path) -> Config {
        let here = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None };
        Config::unsaved(String::new(), &directory.join("d.toml"), &here).0.unwrap()
    }

    #[test]
    fn files_are_for_nobody_else_and_secrets_go_with_the_last_file_that_names_them() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        let nothing = running(directory.path());
        let secret = secrets_folder(directory.path()).join("a.token.1");
        let given = Given::from([(secret.clone(), Zeroizing::new("hush".to_owned()))]);
        let changes = BTreeMap::from([("a".to_owned(), Some(text("a", Some("a.token.1"))))]);
        store.commit(&changes, &given).unwrap();
        store.sweep(&nothing);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = folder(directory.path()).join("a.toml");
        assert_eq!((mode(&file), mode(&secret)), (0o600, 0o600));
        assert_eq!((mode(&folder(directory.path())), mode(&secrets_folder(directory.path()))), (0o700, 0o700));
        assert_eq!(fs::read_to_string(&secret).unwrap(), "hush");
        fs::write(&file, "{ torn").unwrap();
        store.sweep(&nothing);
        assert!(secret.exists(), "whose file can't be read keeps its secrets");
        store.commit(&BTreeMap::from([("a".to_owned(), None)]), &Given::new()).unwrap();
        store.sweep(&nothing);
        assert!(!secret.exists() && !file.exists());
    }

    #[test]
    fn what_is_undone_is_byte_for_byte_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        store.commit(&BTreeMap::from([("a".to_owned(), Some("old".to_owned()))]), &Given::new()).unwrap();
        let path = secrets_folder(directory.path()).join("b.token.1");
        let given = Given::from([(path.clone(), Zeroizing::new("hush".to_owned()))]);
        let changes = ["a", "b"].map(|key| (key.to_owned(), Some("new".to_owned()))).into();
        let undo = store.commit(&changes, &given).unwrap();
        assert!(path.exists());
        store.restore(undo).unwrap();
        let read = |key: &str| fs::read_to_string(folder(directory.path()).join(format!("{key}.toml"))).ok();
        assert_eq!((read("a").as_deref(), read("b"), path.exists()), (Some("old"), None, false));
    }

    #[test]
    fn a_disk_that_refuses_in_the_middle_leaves_all_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        store.commit(&BTreeMap::from([("a".to_owned(), Some("old".to_owned()))]), &Given::new()).unwrap();
        // A folder has the name that the new file needs.
        fs::create_dir(folder(directory.path()).join("b.new")).unwrap();
        let changes = ["a", "b"].map(|key| (key.to_owned(), Some("new".to_owned()))).into();
        assert!(store.commit(&changes, &Given::new()).is_err());
        assert_eq!(fs::read_to_string(folder(directory.path()).join("a.toml")).unwrap(), "old");
    }

    #[test]
    fn a_tag_is_of_the_whole_and_no_two_sets_are_run_together() {
        let tag = |texts: &[(&'static str, &'static str)]| tag_of_all(&texts.iter().copied().collect());
        assert_eq!(tag(&[("a", "1"), ("b", "2")]), tag(&[("b", "2"), ("a", "1")]));
        assert_ne!(tag(&[("a", "1\0b")]), tag(&[("a", "1"), ("b", "")]));
        assert!(tag_of_one("x").starts_with('"') && tag_of_one("x") != tag_of_one("y"));
    }
}
