//! Which executor the shards run on. The whole suite runs on both: `SCAIDRIVE_RUNTIME=io_uring` and `=epoll` (see `.ci/run`).

use scaidrive_tests::agent_config::RUNTIME;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Workload;
use scaidrive_tests::hec::Hec;
use scaidrive_tests::scenario::{PATIENCE, ordered, settle, write};
use scaidrive_tests::seccomp;
use scaidrive_tests::skip::skip;
use scaidrive_tests::wait::wait_until;

#[test]
fn lesson_51_where_io_uring_is_refused_it_runs_on_epoll_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let launcher = match seccomp::build_launcher(dir.path()) {
        Ok(launcher) => launcher,
        Err(reason) => return skip("lesson_51_where_io_uring_is_refused_it_runs_on_epoll_and_says_why", &reason),
    };
    let hec = Hec::plain();
    let mut agent = Agent::new();
    agent.config.runtime = "auto".to_owned();
    agent.config.shards = 2;
    ordered(&mut agent, "hec", &hec);
    agent.set_wrapper([&launcher]);
    agent.start();
    assert_eq!(agent.metric("runtime_info", &[("backend", "epoll")]), 1.0);
    let output = agent.command(&["status"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("epoll") && text.contains("io_uring"), "status says which and why: {text}");
    let ledger = write(&agent, Workload::new(1, 20, 2_000));
    let report = settle(&ledger, &hec);
    report.assert_exactly_once();
    report.assert_ordered();
    agent.stop();
}

#[test]
fn io_uring_that_was_asked_for_and_is_refused_is_an_error_that_says_why() {
    let name = "io_uring_that_was_asked_for_and_is_refused_is_an_error_that_says_why";
    let dir = tempfile::tempdir().unwrap();
    let launcher = match seccomp::build_launcher(dir.path()) {
        Ok(launcher) => launcher,
        Err(reason) => return skip(name, &reason),
    };
    let mut agent = Agent::new();
    agent.config.runtime = "io_uring".to_owned();
    agent.set_wrapper([&launcher]);
    agent.spawn();
    wait_until("it ends", PATIENCE, || !agent.is_running());
    let text = agent.said();
    assert!(text.contains("error: ") && text.contains("do:") && text.contains("io_uring"), "{text}");
}

#[test]
fn the_runtime_asked_for_is_the_runtime_used() {
    let agent = Agent::with([]);
    let used = |backend| agent.metric("runtime_info", &[("backend", backend)]) == 1.0;
    match std::env::var(RUNTIME).as_deref() {
        Ok("io_uring") => assert!(used("io_uring")),
        Ok("epoll") => assert!(used("epoll")),
        _ => assert!(used("io_uring") || used("epoll")),
    }
}
