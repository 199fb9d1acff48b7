//! The demo as a newcomer meets it: one command, no terminal, an answer at the end.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn the_demo_kills_the_agent_loses_nothing_says_so_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_scaidrive-siem"))
        .args(["demo", "--seconds", "12"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (text, talk) = (String::from_utf8(demo.stdout).unwrap(), String::from_utf8(demo.stderr).unwrap());
    assert!(demo.status.success(), "{}\n{text}\n{talk}", demo.status);
    assert!(!text.contains('\x1b'), "no colour and no redrawing without a terminal: {text:?}");
    for said in [
        "The receiver is gone.",
        "The agent is killed (SIGKILL) while",
        "The receiver is back.",
        "\nNothing is missing.\n",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    let number = |name: &str| -> u64 {
        let line =
            text.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or_else(|| panic!("{name}\n{text}"));
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let acknowledged = number("acknowledged by the agent");
    assert!(acknowledged >= 50, "events flowed: {acknowledged}\n{text}");
    assert_eq!((number("arrived, each counted once"), number("missing")), (acknowledged, 0), "{text}");
    let streams: Vec<&str> = text.lines().filter(|line| line.starts_with("  stream ")).collect();
    assert!(!streams.is_empty() && streams.iter().all(|line| line.ends_with("missing 0")), "{text}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_demo_that_is_interrupted_still_judges_and_takes_its_agent_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_scaidrive-siem"))
        .args(["demo", "--seconds", "600"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let config = wait_for(|| {
        let made = fs::read_dir(folder.path()).unwrap().flatten().next()?.path();
        // The agent runs when its socket is there.
        made.join("ingest.sock").exists().then(|| made.join("agent.toml").display().to_string())
    });
    assert_eq!(processes_with(&config), 1);
    std::thread::sleep(Duration::from_secs(1));
    scaidrive_siem::sys::ask_to_stop(demo.id()).unwrap();
    let status = wait_for(|| demo.try_wait().unwrap());
    let text = std::io::read_to_string(demo.stdout.take().unwrap()).unwrap();
    assert!(status.success() && text.contains("\nNothing is missing.\n"), "{status}\n{text}");
    assert_eq!(processes_with(&config), 0);
}

#[test]
fn an_agent_dies_with_a_demo_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_scaidrive-siem"))
        .args(["demo", "--seconds", "600"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let config = wait_for(|| {
        let made = fs::read_dir(folder.path()).unwrap().flatten().next()?.path();
        made.join("ingest.sock").exists().then(|| made.join("agent.toml").display().to_string())
    });
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_for(|| (processes_with(&config) == 0).then_some(()));
}

/// Processes, zombies left out, that have `argument` on their command line.
fn processes_with(argument: &str) -> usize {
    let lines =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|part| part == argument.as_bytes())).count()
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}
