//! Every destination under every fault that can happen to it: `SCAIDRIVE_EVENTS` events for each destination (10,000 unless
//! told otherwise, 100,000 for the promise). Prints the matrix; a cell that cannot apply says why.

mod http;
mod syslog;

use std::io::{self, Write};

use scaidrive_tests::matrix::{Cell, short, table};
use scaidrive_tests::rng::count_from_env;

fn events() -> u64 {
    count_from_env("SCAIDRIVE_EVENTS", 10_000)
}

#[track_caller]
fn print_and_judge(title: &str, cells: &[Cell]) {
    // Straight to the descriptor: the harness captures what the print macros write.
    let _ = io::stderr().write_all(table(title, cells).as_bytes());
    assert_eq!(short(cells), Vec::<String>::new(), "cells fall short");
}

#[test]
fn every_http_destination_survives_every_fault() {
    print_and_judge("HTTP", &http::cells(events()));
}

#[test]
fn every_syslog_destination_survives_every_fault() {
    print_and_judge("syslog", &syslog::cells(events()));
}
