//! What the README shows is true: its configuration passes `check` and its event is an event.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const README: &str = include_str!("../../README.md");

#[test]
fn the_configuration_in_the_readme_can_be_used_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "hush\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let shown = "/etc/scaidrive-siem/secrets/splunk";
    let text = block("toml");
    assert!(text.contains(shown));
    let config = folder.path().join("agent.toml");
    fs::write(&config, text.replace(shown, token.to_str().unwrap())).unwrap();
    let check =
        Command::new(env!("CARGO_BIN_EXE_scaidrive-siem")).arg("check").arg("--config").arg(&config).output().unwrap();
    let talk = String::from_utf8(check.stderr).unwrap();
    assert!(check.status.success() && talk.ends_with("agent.toml can be used\n"), "{talk}");
}

#[test]
fn the_event_in_the_readme_is_accepted() {
    scaidrive_codecs::index(block("json").trim_end().as_bytes()).unwrap();
}

#[test]
fn the_readme_shows_a_demo_that_lost_nothing_and_two_commands_to_begin_with() {
    let demo =
        README.split_once("<!-- demo output begins -->").unwrap().1.split_once("<!-- demo output ends -->").unwrap().0;
    assert!(demo.contains("\nNothing is missing.\n"), "{demo}");
    let set_up = README.split_once("## Writing events").unwrap().0;
    let commands: Vec<&str> = set_up.split("```sh\n").skip(1).map(|block| block.lines().next().unwrap()).collect();
    assert_eq!(commands, ["cargo run --release -p scaidrive-siem -- demo", "cargo test --workspace"]);
}

/// The first fenced block of this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}
