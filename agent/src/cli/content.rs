//! `content`: the starter content for SIEMs, listed or written out. Needs no configuration and no running agent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{ContentCommand, ContentExportArgs, ContentListArgs};
use super::words::table;
use super::{Exit, Failure, Output};
use crate::content::{SETS, Set};

mod tar;

/// Lists the sets, or writes one of them out.
pub(super) fn run(command: &ContentCommand, output: &mut Output<'_>) -> Result<Exit, Failure> {
    match command {
        ContentCommand::List(args) => list(args, output),
        ContentCommand::Export(args) => export(args, output),
    }
    .map(|()| Exit::Ok)
}

/// The kinds there is content for.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|set| set.kind)
}

fn list(args: &ContentListArgs, output: &mut Output<'_>) -> Result<(), Failure> {
    if args.json {
        let told = |set: &Set| {
            let files: Vec<&str> = set.files.iter().map(|file| file.path).collect();
            json!({ "kind": set.kind, "siem": set.siem, "holds": set.holds, "files": files })
        };
        output.json(&SETS.iter().map(told).collect());
        return Ok(());
    }
    let mut rows = vec![["KIND", "FOR", "WHAT"].map(str::to_owned).to_vec()];
    rows.extend(SETS.iter().map(|set| [set.kind, set.siem, set.holds].map(str::to_owned).to_vec()));
    table(&rows).iter().for_each(|line| output.data(line));
    Ok(())
}

fn export(args: &ContentExportArgs, output: &mut Output<'_>) -> Result<(), Failure> {
    let Some(set) = SETS.iter().find(|set| set.kind == args.kind) else {
        return Err(unknown(&args.kind));
    };
    let folder = args.to.clone().unwrap_or_else(|| PathBuf::from(set.kind));
    if folder.as_os_str() == "-" {
        output.bytes(&tar::archive(set.files));
        return Ok(());
    }
    // Looked at first, so that either all is written or nothing.
    for file in set.files {
        check_free(&folder.join(file.path), file.text)?;
    }
    for file in set.files {
        let path = folder.join(file.path);
        write(&path, file.text).map_err(|problem| cannot("written", &problem, &path))?;
    }
    let how = folder.join(set.files[0].path);
    output.talk(&format!(
        "{} files for {} are in {}; {} says what to do with them",
        set.files.len(),
        set.siem,
        folder.display(),
        how.display()
    ));
    Ok(())
}

/// Whether nothing is there, or already the same: what somebody has changed is theirs.
fn check_free(path: &Path, text: &str) -> Result<(), Failure> {
    match fs::read(path) {
        Ok(found) if found == text.as_bytes() => Ok(()),
        Ok(_) => Err(Failure {
            exit: Exit::Io,
            what: "this file is there already and is another one, so nothing was written".to_owned(),
            place: path.display().to_string(),
            advice: "name another folder with --to, or take the file away".to_owned(),
        }),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(problem) => Err(cannot("read", &problem, path)),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, text)
}

fn cannot(what: &str, problem: &io::Error, path: &Path) -> Failure {
    let exit = if problem.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Io };
    Failure {
        exit,
        what: format!("the content can't be {what}: {problem}"),
        place: path.display().to_string(),
        advice: "name a folder with --to that this user may write to".to_owned(),
    }
}

fn unknown(kind: &str) -> Failure {
    Failure {
        exit: Exit::Usage,
        what: format!("there is no content for \"{kind}\""),
        place: "the command line".to_owned(),
        advice: format!("name one of {}", kinds().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Colour;

    fn ran(command: &ContentCommand) -> (Result<Exit, Failure>, Vec<u8>, String) {
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut data, &mut talk, Colour::default());
        let exit = run(command, &mut output);
        (exit, data, String::from_utf8(talk).unwrap())
    }

    fn exported(kind: &str, to: &Path) -> (Result<Exit, Failure>, Vec<u8>, String) {
        ran(&ContentCommand::Export(ContentExportArgs { kind: kind.to_owned(), to: Some(to.to_owned()) }))
    }

    #[test]
    fn every_set_is_listed_for_people_and_for_programs() {
        let (exit, data, _) = ran(&ContentCommand::List(ContentListArgs { json: false }));
        assert_eq!(exit, Ok(Exit::Ok));
        let text = String::from_utf8(data).unwrap();
        let (_, data, _) = ran(&ContentCommand::List(ContentListArgs { json: true }));
        let json: serde_json::Value = serde_json::from_slice(&data).unwrap();
        assert_eq!(text.lines().count(), SETS.len() + 1);
        for (at, kind) in kinds().enumerate() {
            assert!(text.lines().nth(at + 1).unwrap().starts_with(kind), "{text}");
            assert_eq!(json[at]["kind"], kind);
            assert_eq!(json[at]["files"].as_array().unwrap().len(), SETS[at].files.len());
        }
    }

    #[test]
    fn a_set_is_written_with_its_folders_and_again_only_over_itself() {
        let directory = tempfile::tempdir().unwrap();
        for set in &SETS {
            let folder = directory.path().join("new").join(set.kind);
            let (exit, data, talk) = exported(set.kind, &folder);
            assert_eq!((exit, data.len()), (Ok(Exit::Ok), 0));
            assert!(talk.contains("README.md says what to do"), "{talk}");
            for file in set.files {
                assert_eq!(fs::read_to_string(folder.join(file.path)).unwrap(), file.text, "{}", file.path);
            }
            assert_eq!(exported(set.kind, &folder).0, Ok(Exit::Ok));
        }
    }

    #[test]
    fn what_somebody_has_changed_is_not_overwritten_and_nothing_beside_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let changed = directory.path().join("content.json");
        fs::write(&changed, "{}").unwrap();
        let failure = exported("sumo_logic", directory.path()).0.unwrap_err();
        assert_eq!((failure.exit, failure.place), (Exit::Io, changed.display().to_string()));
        assert_eq!(fs::read_to_string(&changed).unwrap(), "{}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_dash_writes_an_archive_to_standard_output() {
        for set in &SETS {
            let (exit, data, talk) = exported(set.kind, Path::new("-"));
            assert_eq!((exit, talk.as_str()), (Ok(Exit::Ok), ""));
            assert_eq!(data, tar::archive(set.files));
        }
    }
}
