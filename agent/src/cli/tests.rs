//! The command line from outside: arguments in; data, talk and an exit code out.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use clap::CommandFactory;

use super::*;

/// What a command wrote and how it ended.
struct Ran {
    exit: Exit,
    data: String,
    talk: String,
}

fn run_here(args: &[&str]) -> Ran {
    let (mut data, mut talk) = (Vec::new(), Vec::new());
    let here = Surroundings {
        host_name: "node-7".to_owned(),
        cpus: 8,
        credentials: None,
        lookup: |name| (name == "TOKEN").then(|| "hush".to_owned()),
    };
    let args = ["scaidrive-siem"].iter().chain(args).map(OsString::from);
    let mut output = Output::new(&mut data, &mut talk, Colour::default());
    let exit = run_with(args, &here, &mut output);
    let exit = output.finish(exit);
    Ran { exit, data: String::from_utf8(data).unwrap(), talk: String::from_utf8(talk).unwrap() }
}

/// Runs `check` on an `agent.toml` and one file of destinations; the directory is written as `DIR` in what comes back.
fn check(main: &str, beside: &str, options: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    fs::write(&path, main).unwrap();
    fs::create_dir(directory.path().join("destinations.d")).unwrap();
    fs::write(directory.path().join("destinations.d/siem.toml"), beside).unwrap();
    let secret = directory.path().join("token");
    fs::write(&secret, "hush\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = run_here(&[&["check", "--config", path.to_str().unwrap()], options].concat());
    let hide = |text: String| text.replace(directory.path().to_str().unwrap(), "DIR");
    Ran { exit: ran.exit, data: hide(ran.data), talk: hide(ran.talk) }
}

const MANY_PROBLEMS: &str = r#"[agent]
shards = 16
runtime = "uring"

[bufer]
window = "30m"

[buffer]
max_size = "2GiB"
window = "30 minutes"
durability = "os"

[ingest]
http = { listen = "0.0.0.0:8910" }
"#;

const MANY_PROBLEMS_BESIDE: &str = r#"[[destination]]
name = "splunk"
type = "splunk_hec"
url = "http://splunk.example.com:8088"
token = "hush"
filter = { severities = ["warning", "loud"] }
linger = "1s"

[[destination]]
name = "lake"
type = "kafka"

[[destination]]
name = "splunk"
type = "syslog"
transport = "relp_tsl"
host = "https://syslog.example.com"
"#;

#[test]
fn check_tells_every_problem_at_once_in_three_lines_each() {
    let ran = check(MANY_PROBLEMS, MANY_PROBLEMS_BESIDE, &[]);
    assert_eq!(ran.exit, Exit::Config);
    assert_eq!(ran.data, "");
    assert_eq!(ran.talk, include_str!("check_golden.txt"));
    assert!(!ran.talk.contains("hush"), "a secret is never shown");
}

#[test]
fn check_says_what_it_understood() {
    let beside = r#"[[destination]]
name = "splunk"
type = "splunk_hec"
url = "https://splunk.example.com:8088"
token = { file = "../token" }
tenants = ["tnt_1", "tnt_2"]
filter = { categories = ["SECURITY"], excluded_paths = ["/tmp/**"] }

[[destination]]
name = "syslog"
type = "syslog"
host = "syslog.example.com"
"#;
    let ran = check("[agent]\nshards = 2\n", beside, &[]);
    assert_eq!(ran.exit, Exit::Ok);
    assert_eq!(ran.talk, "DIR/agent.toml can be used\n");
    let (settings, destinations) = ran.data.split_once("\n\n").unwrap();
    assert!(settings.contains("agent.shards             2\n") && settings.contains("buffer.window            30m\n"));
    assert_eq!(
        destinations,
        r#"destination "splunk": splunk_hec at https://splunk.example.com:8088, token from file DIR/destinations.d/../token
  gets   tenants tnt_1, tnt_2; categories SECURITY; not paths /tmp/**
  sends  sourcetype scaidrive:audit, the token's own index, gzip compression; nearly in order, 4 requests at a time for each shard
  batch  500 events or 512KiB, linger 1s

destination "syslog": syslog at tls://syslog.example.com:6514
  gets   every tenant
  sends  octet_counting framing, facility local0, json; in order
  batch  500 events or 512KiB, linger 1s
"#
    );
}

#[test]
fn check_names_the_indexes_and_no_framing_where_there_is_none_to_choose() {
    let beside = r#"[[destination]]
name = "splunk"
type = "splunk_hec"
url = "https://splunk.example.com:8088"
token = { file = "../token" }
index = "main"
indexes = [{ index = "acme", tenants = ["acme"] }]

[[destination]]
name = "relp"
type = "syslog"
transport = "relp_tls"
host = "syslog.example.com"

[[destination]]
name = "elastic"
type = "elastic"
url = "https://elastic.example.com"
document_id = "none"
compression = "none"
"#;
    let ran = check("", beside, &[]);
    for words in [
        "sends  sourcetype scaidrive:audit, index main and 1 rule for others, gzip compression;",
        "sends  facility local0, json;",
        "documents without ids, so that a retry may write twice, no compression;",
    ] {
        assert!(ran.data.contains(words), "{words}: {}", ran.data);
    }
}

#[test]
fn check_does_not_miss_destinations_in_a_file_that_cannot_be_read() {
    for main in ["[[destination]\n", "[destination]\nname = \"a\"\n"] {
        let ran = check(main, "", &[]);
        assert!(ran.exit == Exit::Config && !ran.talk.contains("no destination is configured"), "{}", ran.talk);
    }
}

#[test]
fn check_answers_in_json_on_standard_output_alone() {
    let ran = check(MANY_PROBLEMS, MANY_PROBLEMS_BESIDE, &["--json"]);
    assert_eq!((ran.exit, ran.talk.as_str()), (Exit::Config, ""));
    let answer: serde_json::Value = serde_json::from_str(&ran.data).unwrap();
    assert_eq!(answer["usable"], false);
    assert_eq!(
        answer["problems"][1],
        serde_json::json!({
            "weight": "error", "what": "`bufer` is not a key that is known here", "file": "DIR/agent.toml",
            "line": 5, "key": "bufer", "do": "did you mean `buffer`?",
        })
    );
    let ran = check("", "", &["--json"]);
    let answer: serde_json::Value = serde_json::from_str(&ran.data).unwrap();
    assert_eq!((ran.exit, &answer["usable"]), (Exit::Ok, &serde_json::json!(true)));
    assert_eq!(answer["settings"]["buffer.window"], "30m");
    assert_eq!(answer["problems"][0]["weight"], "warning");
}

#[test]
fn a_command_line_that_cannot_be_understood_exits_64_in_three_lines() {
    for (args, what, advice) in [
        (&["chekc"][..], "there is no command `chekc`", "did you mean `check`?"),
        (&["deadleter", "list"], "there is no command `deadleter`", "did you mean `deadletter`?"),
        (&["check", "--jsno"], "`--jsno` is not known here", "did you mean `--json`?"),
        (
            &["deadletter", "show", "a"],
            "something is missing: <STREAM>, <N>",
            "`scaidrive-siem deadletter show --help`",
        ),
        (&["deadletter", "show", "a", "b", "c"], "<N> can't be \"c\"", "--help"),
        (&["destination", "puase", "a"], "there is no command `puase`", "did you mean `pause`?"),
        (
            &["destination", "template", "a", "--flavor", "lucene"],
            "--flavor <FLAVOR> can't be \"lucene\"",
            "opensearch",
        ),
        (&["deadletter", "drop", "a", "s"], "something is missing: <N>...", "--help"),
        (&["deadletter", "drop", "a"], "something is missing: <STREAM>, <N>...", "--help"),
        (&["deadletter", "edit", "a", "s", "1"], "something is missing: --file <FILE>", "--help"),
        (&["destination", "show", ""], "<DESTINATION> needs a value", "--help"),
        (&["demo", "--rate", "0"], "--rate <N> can't be \"0\"", "--help"),
        (&["check", "--config"], "--config <FILE> needs a value", "--help"),
    ] {
        let ran = run_here(args);
        assert_eq!(ran.exit.code(), 64, "{args:?}");
        let lines: Vec<&str> = ran.talk.lines().collect();
        let [first, "where: the command line", third] = lines.as_slice() else { panic!("{args:?}: {}", ran.talk) };
        assert_eq!(*first, format!("error: {what}"), "{args:?}");
        assert!(third.starts_with("do:    ") && third.contains(advice), "{args:?}: {third}");
        assert!(ran.data.is_empty());
    }
    assert_eq!(run_here(&[]).exit, Exit::Usage);
    assert!(run_here(&[]).talk.contains("Usage: scaidrive-siem"));
}

#[test]
fn help_version_and_schema_are_data() {
    let ran = run_here(&["--version"]);
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.data.starts_with(concat!("scaidrive-siem ", env!("CARGO_PKG_VERSION"))));
    assert!(ran.data.contains("io_uring") && ran.data.contains("epoll"), "{}", ran.data);
    let ran = run_here(&["--help"]);
    for command in [
        "run",
        "demo",
        "check",
        "status",
        "reload",
        "emit",
        "destination",
        "deadletter",
        "log",
        "content",
        "schema",
        "completions",
        "man",
    ] {
        assert!(ran.data.contains(&format!("\n  {command} ")), "{command}: {}", ran.data);
    }
    let ran = run_here(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ran.data).unwrap();
    assert_eq!((schema, ran.exit), (crate::config::json_schema(), Exit::Ok));
}

/// Each command that has no commands below it, with the words that lead to it.
fn leaves(command: &clap::Command, words: &[&str]) -> Vec<(String, clap::Command)> {
    if !command.has_subcommands() {
        return vec![(words.join(" "), command.clone())];
    }
    let below = |next: &clap::Command| leaves(next, &[words, &[next.get_name()]].concat());
    command.get_subcommands().flat_map(below).collect()
}

#[test]
fn every_command_answers_in_json_but_those_that_answer_nothing_or_always_the_same() {
    // The first two run until they are told to stop; what the others write is data without being asked.
    let others =
        ["run", "demo", "schema", "completions", "man", "content export", "destination template", "log export"];
    let command = Cli::command();
    let leaves = leaves(&command, &[]);
    let has_json = |command: &clap::Command| command.get_arguments().any(|known| known.get_long() == Some("json"));
    for (words, command) in &leaves {
        assert_eq!(has_json(command), !others.contains(&words.as_str()), "{words}");
    }
    assert!(others.iter().all(|other| leaves.iter().any(|(words, _)| words == other)));
}

#[test]
fn every_command_takes_config() {
    Cli::command().debug_assert();
    for args in [&["--config", "/x", "check"][..], &["log", "export", "--config", "/x"], &["demo", "--config", "/x"]] {
        let cli = Cli::try_parse_from([&["scaidrive-siem"], args].concat());
        let cli = cli.unwrap_or_else(|error| panic!("{args:?}: {error}"));
        assert_eq!(cli.config, std::path::PathBuf::from("/x"));
    }
    let cli = Cli::try_parse_from(["scaidrive-siem", "run"]).unwrap();
    assert_eq!(cli.config, std::path::PathBuf::from("/etc/scaidrive-siem/agent.toml"));
}

/// Each command line that a text tells people to type: between backticks, in markup for code, or on a line of its own.
fn told_to_type(text: &str) -> Vec<String> {
    // A text of several lines in a source is one.
    let joined: Vec<&str> =
        text.split("\\\n").enumerate().map(|(at, part)| if at > 0 { part.trim_start() } else { part }).collect();
    let text = joined.concat();
    let mut told = Vec::new();
    for (before, after) in [("`", "`"), ("code { \"", "\"")] {
        let opening = format!("{before}{NAME} ");
        let starts = text.match_indices(&opening).map(|(at, _)| at + before.len());
        told.extend(starts.filter_map(|at| Some(text[at..].split_once(after)?.0.to_owned())));
    }
    let own = text.lines().map(str::trim).filter(|line| line.starts_with(&format!("{NAME} ")));
    told.extend(
        own.map(|line| line.split([';', '>', '|', '#']).next().unwrap_or(line).trim_end_matches(['"', ',']).to_owned()),
    );
    told
}

/// The words of a command line; what stands for something is a word that may be a number as well.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, piece) in line.replace("\\\"", "\"").split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    let stands_for = |word: &str| word == "N" || word == "…" || word.starts_with('{');
    words.into_iter().map(|word| if stands_for(&word) { "1".to_owned() } else { word }).collect()
}

/// The text files below `path`, with their paths.
fn texts(path: &std::path::Path) -> Vec<(std::path::PathBuf, String)> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries.flat_map(|entry| texts(&entry.unwrap().path())).collect();
    }
    fs::read_to_string(path).ok().map(|text| (path.to_owned(), text)).into_iter().collect()
}

#[test]
fn every_command_that_a_message_a_page_or_a_document_names_is_one() {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand,
    };
    // Who is told of a command need not be told all of its arguments.
    let is_one = |line: &str| {
        let shortened =
            [DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand];
        Cli::try_parse_from(words(line)).map_or_else(|error| shortened.contains(&error.kind()), |_| true)
    };
    assert!(is_one("scaidrive-siem destination show NAME") && !is_one("scaidrive-siem relaod"));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = 0;
    for place in ["agent/src", "codecs/src", "wal/src", "packaging", "README.md", "ARCHITECTURE.md"] {
        for (path, text) in texts(&root.join(place)) {
            for line in told_to_type(&text) {
                found += 1;
                assert!(is_one(&line), "{}: {line}", path.display());
            }
        }
    }
    assert!(found > 60, "{found} were found: where are the others?");
    // The manual of those who begin leaves the program's name out now and then.
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let commands: Vec<String> = Cli::command().get_subcommands().map(|known| known.get_name().to_owned()).collect();
    let quoted = readme.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let lines = quoted.filter(|code| !code.contains('='));
    for line in
        lines.filter(|code| code.split(' ').next().is_some_and(|first| commands.iter().any(|known| known == first)))
    {
        assert!(is_one(&format!("{NAME} {line}")), "README.md: {line}");
    }
}

const NAME: &str = "scaidrive-siem";

#[test]
fn each_exit_code_is_explained_once() {
    let help = run_here(&["--help"]).data;
    for exit in Exit::ALL {
        assert_eq!(help.matches(&format!("\n  {:>2}  {}", exit.code(), exit.meaning())).count(), 1, "{exit:?}");
    }
    let codes = Exit::ALL.map(Exit::code);
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
}
