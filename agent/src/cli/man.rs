//! `man`: the pages of the manual, from what the program itself works by.
//!
//! | page | what it is written from |
//! |---|---|
//! | section 1, one for each command | the description of the command line, as `--help` is |
//! | `scaidrive-siem.5` (`man/configuration.rs`) | the table of keys that the parser reads by |
//! | `scaidrive-siem.8` (`man/daemon.rs`) | the defaults of that table, the exit codes, and what the daemon promises |

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::{Cli, Exit, Failure, ManArgs, Output};

mod configuration;
mod daemon;

/// Prints a page, or writes all of them.
pub(super) fn run(args: &ManArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let pages = pages().map_err(|problem| cannot_write(&problem, Path::new("memory")))?;
    if let Some(directory) = &args.out {
        for page in &pages {
            page.write(directory).map_err(|problem| cannot_write(&problem, directory))?;
        }
        output.talk(&format!("{} pages are in {}", pages.len(), directory.display()));
        return Ok(Exit::Ok);
    }
    let page = pages.iter().find(|page| page.name == args.page).ok_or_else(|| unknown(&args.page, &pages))?;
    output.data(page.text.trim_end());
    Ok(Exit::Ok)
}

/// A page of the manual.
struct Page {
    /// Of its file: `scaidrive-siem.5`.
    name: String,
    /// In roff.
    text: String,
}

impl Page {
    /// Puts it into the folder of its section.
    fn write(&self, directory: &Path) -> io::Result<()> {
        let section = self.name.rsplit('.').next().unwrap_or_default();
        let place = directory.join(format!("man{section}"));
        fs::create_dir_all(&place)?;
        fs::write(place.join(&self.name), &self.text)
    }
}

fn pages() -> io::Result<Vec<Page>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    commands(&command, &mut pages)?;
    pages.push(Page { name: "scaidrive-siem.5".to_owned(), text: configuration::page() });
    pages.push(Page { name: "scaidrive-siem.8".to_owned(), text: daemon::page() });
    Ok(pages)
}

/// The page of a command, and those of all below it.
fn commands(command: &clap::Command, pages: &mut Vec<Page>) -> io::Result<()> {
    let man = Man::new(command.clone()).date(DATE).source(SOURCE).manual(MANUAL);
    let mut text = Vec::new();
    man.render(&mut text)?;
    let mut also = Roff::new();
    also.control("SH", ["SEE ALSO"]);
    also.text(if command.get_name() == "scaidrive-siem" {
        pages_named(&[("scaidrive-siem", 5), ("scaidrive-siem", 8)])
    } else {
        pages_named(&[("scaidrive-siem", 1)])
    });
    text.extend_from_slice(also.to_roff().as_bytes());
    pages.push(Page { name: man.get_filename(), text: String::from_utf8_lossy(&text).into_owned() });
    command.get_subcommands().try_for_each(|below| commands(below, pages))
}

/// The head of a page that is not a command's: its title and what it is about.
fn begun(section: &str, about: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("TH", ["scaidrive-siem", section, DATE, SOURCE, MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("scaidrive-siem - {about}"))]);
    roff
}

/// A word and what it means, with the word hanging out on the left.
fn entry(roff: &mut Roff, word: Vec<Inline>, meaning: &str) {
    roff.control("TP", []);
    roff.text(word);
    roff.text([roman(meaning)]);
}

/// `name(1), other(5)`.
fn pages_named(names: &[(&str, u8)]) -> Vec<Inline> {
    let mut words = Vec::new();
    for (at, (name, section)) in names.iter().enumerate() {
        words.extend((at > 0).then(|| roman(", ")));
        words.extend([bold(*name), roman(format!("({section})"))]);
    }
    words
}

fn unknown(name: &str, pages: &[Page]) -> Failure {
    let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
    let advice = match crate::config::nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("name one of {}", names.join(", ")),
    };
    Failure {
        exit: Exit::Usage,
        what: format!("the manual has no page \"{name}\""),
        place: "the command line".to_owned(),
        advice,
    }
}

fn cannot_write(problem: &io::Error, place: &Path) -> Failure {
    let exit = if problem.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Io };
    Failure {
        exit,
        what: format!("the manual can't be written: {problem}"),
        place: place.display().to_string(),
        advice: "name a folder that this user may write to".to_owned(),
    }
}

/// Pages are the same whenever they are made. An empty text would not count as an argument.
const DATE: &str = " ";
const SOURCE: &str = concat!("scaidrive-siem ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "ScaiDrive SIEM";

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::cli::Colour;

    fn page(name: &str) -> String {
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut data, &mut talk, Colour::default());
        run(&ManArgs { page: name.to_owned(), out: None }, &mut output).unwrap();
        // As people see it: roff writes a hyphen that may not become a dash with a backslash.
        String::from_utf8(data).unwrap().replace("\\-", "-")
    }

    #[test]
    fn every_command_has_a_page_with_all_its_options() {
        let mut command = Cli::command();
        command.build();
        let mut left = vec![command];
        while let Some(command) = left.pop() {
            let name = command.get_display_name().unwrap_or(command.get_name());
            if command.get_name() == "help" {
                continue;
            }
            let page = page(&format!("{name}.1"));
            let long = command.get_arguments().filter_map(|known| known.get_long());
            for option in long {
                assert!(page.contains(&format!("--{option}")), "{name}: {option}");
            }
            left.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn all_pages_are_written_into_the_folders_of_their_sections() {
        let directory = tempfile::tempdir().unwrap();
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut data, &mut talk, Colour::default());
        let args = ManArgs { page: String::new(), out: Some(directory.path().to_owned()) };
        assert_eq!(run(&args, &mut output), Ok(Exit::Ok));
        for name in ["man1/scaidrive-siem-destination-list.1", "man5/scaidrive-siem.5", "man8/scaidrive-siem.8"] {
            assert!(directory.path().join(name).is_file(), "{name}");
        }
        assert!(data.is_empty());
    }

    #[test]
    fn a_page_that_is_not_there_is_a_usage_error_with_the_one_that_was_meant() {
        let failure = unknown("scaidrive-siem.6", &pages().unwrap());
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.advice.starts_with("did you mean `scaidrive-siem."), "{}", failure.advice);
    }

    /// A request (`.TP`) that is none is shown as text by some programs and dropped by others, so only these may be used.
    #[test]
    fn pages_use_no_request_that_a_reader_of_man_pages_may_not_know() {
        let known = [".TH", ".SH", ".SS", ".TP", ".IP", ".PP", ".RS", ".RE", ".br", ".ie", ".el", ".nf", ".fi"];
        for page in pages().unwrap() {
            let source = format!("\" \" \"{SOURCE}\" \"{MANUAL}\"");
            assert!(page.text.lines().any(|line| line.starts_with(".TH ") && line.ends_with(&source)), "{}", page.name);
            for line in page.text.lines().filter(|line| line.starts_with(['.', '\''])) {
                let request = line.split_whitespace().next().unwrap_or_default();
                assert!(known.contains(&request), "{}: {line}", page.name);
            }
        }
    }

    /// Where there is a roff on this machine, it has nothing to say against any page.
    #[test]
    fn groff_takes_every_page_without_a_warning() {
        for page in pages().unwrap() {
            let groff = Command::new("groff")
                .args(["-Kutf8", "-man", "-Tutf8", "-ww"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn();
            // The structure is tested above; not every machine has groff.
            let Ok(mut groff) = groff else { return };
            io::Write::write_all(&mut groff.stdin.take().unwrap(), page.text.as_bytes()).unwrap();
            let said = groff.wait_with_output().unwrap();
            assert!(
                said.status.success() && said.stderr.is_empty(),
                "{}: {}",
                page.name,
                String::from_utf8_lossy(&said.stderr)
            );
        }
    }
}
