//! The page *Compliance → SIEM* in a real browser, as those see it who work with it.
//!
//! `tests/browser/run` installs the browser, runs these tests and keeps pictures of every page. Nothing here waits for
//! more than a person would: what a page is to show by itself is waited for, never reloaded.

mod in_chromium;
