//! The tokens on the disk, and the one that is made at the first start.
//!
//! `tokens.json` in the state directory, mode 0600, is replaced as a whole by each change. One that can't be read is kept
//! aside. Where there is none an admin token is made, and its secret lies in `admin-token` beside it, mode 0600, for root
//! and the agent's user; the log says where, never what. An empty list is not "none": who revoked the last token wanted
//! that, and still has the admin socket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::person::{Person, Role};
use super::tokens::{Digest, Refused, TokenLine, TokenMade, TokenWish, Tokens};
use crate::node::identity::write_durably;

/// See the module.
pub(super) struct TokenFile {
    state_dir: PathBuf,
    tokens: Mutex<Tokens>,
    /// Held by a change while it waits for the disk, so that nobody who shows a token has to.
    changing: Mutex<()>,
}

/// Why a change of the tokens did not happen.
#[derive(Debug, thiserror::Error)]
pub(in crate::control) enum ChangeError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the tokens cannot be written to the disk")]
    Disk(#[from] io::Error),
}

impl TokenFile {
    /// Reads the tokens, and makes the first one out of `chance` where there are none. Blocks on the disk; one that
    /// refuses is told of, and keeps nobody from starting.
    pub(super) fn open(state_dir: &Path, now_ms: i64, chance: impl FnOnce() -> io::Result<[u8; 32]>) -> TokenFile {
        let path = state_dir.join(FILE);
        let read = read(&path).unwrap_or_else(|why| {
            let aside = path.with_extension("json.damaged");
            let kept = match fs::rename(&path, &aside) {
                Ok(()) => format!("it is kept as {}", aside.display()),
                Err(problem) => format!("it can't be kept aside: {problem}"),
            };
            tracing::error!("{} can't be read, so no token is known any more: {why}; {kept}", path.display());
            None
        });
        let is_first = read.is_none();
        let tokens = Mutex::new(read.unwrap_or_default());
        let file = TokenFile { state_dir: state_dir.to_owned(), tokens, changing: Mutex::new(()) };
        if is_first {
            let secret_file = state_dir.join(SECRET_FILE);
            match chance().map_err(ChangeError::from).and_then(|chance| file.make_first(&secret_file, now_ms, &chance))
            {
                Ok(()) => tracing::info!(
                    "the first admin token lies in {}, for root and the agent's user; `scaidrive-siem token` makes more",
                    secret_file.display()
                ),
                Err(problem) => tracing::error!(
                    "no first admin token could be made: {}; `scaidrive-siem token create` makes one",
                    crate::cli::chain(&problem)
                ),
            }
        }
        file
    }

    /// The secret is durable before the token counts: a crash between them makes another one at the next start.
    fn make_first(&self, secret_file: &Path, now_ms: i64, chance: &[u8; 32]) -> Result<(), ChangeError> {
        let wish = TokenWish { name: FIRST.to_owned(), role: Role::Admin, tenants: None, expires_ms: None };
        let mut tokens = Tokens::default();
        let made = tokens.add(wish, "the first start", now_ms, chance)?;
        write_durably(&self.state_dir, secret_file, format!("{}\n", made.secret).as_bytes())?;
        self.put(&tokens)?;
        Ok(())
    }

    /// Makes a token. `keep` is called with it and with what writes it, so that others can do what belongs before that and
    /// after it. Blocks on the disk.
    ///
    /// # Errors
    /// When it may not be, or the disk or `keep` refuses; nothing is changed then.
    pub(super) fn create(
        &self,
        wish: TokenWish,
        who: &str,
        now_ms: i64,
        chance: &[u8; 32],
        keep: impl FnOnce(&TokenLine, &dyn Fn() -> io::Result<()>) -> io::Result<()>,
    ) -> Result<TokenMade, ChangeError> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = self.lock().clone();
        let made = tokens.add(wish, who, now_ms, chance)?;
        keep(&made.token, &|| self.put(&tokens))?;
        Ok(made)
    }

    /// Takes a token away; `None` when there is none of this name. `keep` is as for [`TokenFile::create`]. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When the disk or `keep` refuses; nothing is changed then.
    pub(super) fn revoke(
        &self,
        name: &str,
        keep: impl FnOnce(&TokenLine, &dyn Fn() -> io::Result<()>) -> io::Result<()>,
    ) -> Result<Option<TokenLine>, ChangeError> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = self.lock().clone();
        let Some(gone) = tokens.remove(name) else { return Ok(None) };
        keep(&gone, &|| self.put(&tokens))?;
        Ok(Some(gone))
    }

    /// See [`Tokens::of_secret`].
    pub(super) fn of_secret(&self, secret: &str, now_ms: i64) -> Option<(Digest, Person)> {
        self.lock().of_secret(secret, now_ms)
    }

    /// See [`Tokens::of_session`].
    pub(super) fn of_session(&self, digest: Digest, now_ms: i64) -> Option<Person> {
        self.lock().of_session(digest, now_ms)
    }

    /// All of them, as they may be shown.
    pub(super) fn lines(&self) -> Vec<TokenLine> {
        self.lock().lines().cloned().collect()
    }

    fn put(&self, tokens: &Tokens) -> io::Result<()> {
        write_durably(&self.state_dir, &self.state_dir.join(FILE), &tokens.to_bytes()?)?;
        *self.lock() = tokens.clone();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Name of each token that is kept in `state_dir`, and when it was made, ms since 1970; `None` where nobody can read that.
/// Blocks on the disk.
pub(in crate::control) fn kept(state_dir: &Path) -> Option<Vec<(String, i64)>> {
    let tokens = read(&state_dir.join(FILE)).ok()?.unwrap_or_default();
    Some(tokens.lines().map(|line| (line.name.clone(), line.created_ms)).collect())
}

/// What the file says; `None` when there is none, or in words why it says nothing.
fn read(path: &Path) -> Result<Option<Tokens>, String> {
    match fs::read(path) {
        Ok(bytes) => Tokens::from_bytes(&bytes).map(Some),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(problem.to_string()),
    }
}

const FILE: &str = "tokens.json";
const SECRET_FILE: &str = "admin-token";
/// The name of the token that is made at the first start.
const FIRST: &str = "first-admin";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn open(directory: &Path, chance: u8) -> TokenFile {
        TokenFile::open(directory, 1_000, || Ok([chance; 32]))
    }

    fn first_secret(directory: &Path) -> String {
        fs::read_to_string(directory.join(SECRET_FILE)).unwrap().trim().to_owned()
    }

    fn wish(name: &str) -> TokenWish {
        TokenWish { name: name.to_owned(), role: Role::Viewer, tenants: None, expires_ms: None }
    }

    #[test]
    fn the_first_start_makes_an_admin_token_for_root_and_the_agents_user_and_no_other_start_does() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = open(directory.path(), 1);
        let secret = first_secret(directory.path());
        assert_eq!(tokens.of_secret(&secret, 2_000).map(|(_, person)| person.role), Some(Role::Admin));
        for file in [FILE, SECRET_FILE] {
            let mode = fs::metadata(directory.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let again = open(directory.path(), 2);
        assert!(again.of_secret(&secret, 2_000).is_some());
        assert_eq!(first_secret(directory.path()), secret);
        again.revoke(FIRST, |_, write| write()).unwrap();
        let empty = open(directory.path(), 3);
        assert_eq!((empty.lines(), empty.of_secret(&secret, 2_000)), (Vec::new(), None));
    }

    #[test]
    fn a_token_outlives_the_agent_until_it_is_revoked() {
        let directory = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        let made = open(directory.path(), 1).create(wish("a"), "uid 0", 5, &[7; 32], |line, write| {
            assert_eq!(kept(directory.path()).unwrap().len(), 1, "nothing is written before");
            write()?;
            told.push(line.clone());
            Ok(())
        });
        let made = made.unwrap();
        assert_eq!(told, [made.token]);
        assert_eq!(kept(directory.path()).unwrap()[1], ("a".to_owned(), 5));
        let again = open(directory.path(), 1);
        assert!(again.of_secret(&made.secret, 2_000).is_some());
        assert!(matches!(
            again.create(wish("a"), "uid 0", 5, &[8; 32], |_, _| panic!("told of what was refused")),
            Err(ChangeError::Refused(Refused::Taken(_)))
        ));
        assert_eq!(again.revoke("b", |_, _| panic!("told of nothing")).unwrap(), None);
        let not_noted = again.revoke("a", |_, _| Err(io::Error::other("it can't be noted")));
        assert!(matches!(not_noted, Err(ChangeError::Disk(_))));
        assert!(again.of_secret(&made.secret, 2_000).is_some(), "what can't be noted is not done");
        assert!(again.revoke("a", |_, write| write()).unwrap().is_some());
        assert!(open(directory.path(), 1).of_secret(&made.secret, 2_000).is_none());
    }

    #[test]
    fn lesson_01_a_damaged_file_lets_nobody_in_and_is_kept_aside() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), 1);
        let before = first_secret(directory.path());
        fs::write(directory.path().join(FILE), "{ torn").unwrap();
        let tokens = open(directory.path(), 2);
        assert!(tokens.of_secret(&before, 2_000).is_none());
        assert!(tokens.of_secret(&first_secret(directory.path()), 2_000).is_some());
        assert_eq!(fs::read_to_string(directory.path().join("tokens.json.damaged")).unwrap(), "{ torn");
    }

    #[test]
    fn what_the_disk_refuses_is_not_in_force_and_keeps_nobody_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        // A folder has the name that the new file needs.
        fs::create_dir(directory.path().join("tokens.new")).unwrap();
        let tokens = open(directory.path(), 1);
        assert_eq!(tokens.lines(), []);
        assert!(tokens.of_secret(&first_secret(directory.path()), 2_000).is_none());
        let made = tokens.create(wish("a"), "uid 0", 5, &[7; 32], |_, write| write());
        assert!(matches!(made, Err(ChangeError::Disk(_))));
        assert_eq!(tokens.lines(), []);
    }
}
