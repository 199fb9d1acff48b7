//! `scaidrive-siem(8)`: the agent as a daemon. Paths and addresses are the defaults of the configuration's table, exit codes
//! those that it ends with.

use clap_mangen::roff::{bold, italic, roman};

use super::{begun, entry, pages_named};
use crate::cli::{CONFIG_DEFAULT, Exit};
use crate::config::{ADMIN, AGENT, BUFFER, INGEST_UNIX, Key, KeyDefault, LOG};

/// The page.
pub(super) fn page() -> String {
    let mut roff = begun("8", "the agent that ships ScaiDrive audit events to SIEMs");
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("scaidrive-siem run"), roman(" ["), bold("--config"), roman(" "), italic("FILE"), roman("]")]);
    roff.control("SH", ["DESCRIPTION"]);
    for (at, text) in description().iter().enumerate() {
        if at > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(text.as_str())]);
    }
    roff.control("SH", ["SIGNALS"]);
    for (signals, meaning) in SIGNALS {
        entry(&mut roff, vec![bold(signals)], meaning);
    }
    roff.control("SH", ["ADDRESSES"]);
    roff.text([roman(format!("On admin.listen ({}):", default(ADMIN, "listen")))]);
    for (path, meaning) in PATHS {
        entry(&mut roff, vec![bold(path)], meaning);
    }
    roff.control("SH", ["FILES"]);
    for (path, meaning) in files() {
        entry(&mut roff, vec![italic(path)], meaning);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in ENVIRONMENT {
        entry(&mut roff, vec![bold(name)], meaning);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        entry(&mut roff, vec![bold(exit.code().to_string())], exit.meaning());
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text(pages_named(&[
        ("scaidrive-siem", 1),
        ("scaidrive-siem-status", 1),
        ("scaidrive-siem-check", 1),
        ("scaidrive-siem", 5),
    ]));
    roff.render()
}

fn description() -> [String; 3] {
    [
        "It takes audit events on a local socket or over HTTP, keeps each in a log on the disk, acknowledges it when it is \
         durable there, and delivers it to every destination whose tenants and filter fit, at least once and under a stream \
         and number that prove whether anything is missing."
            .to_owned(),
        format!(
            "Events stay in the log for buffer.window ({}) while there is room in buffer.max_size ({}). A destination that \
             is down does not hold up the others, nor the producers unless it is required; what it can't be given any more \
             is announced to it.",
            default(BUFFER, "window"),
            default(BUFFER, "max_size")
        ),
        format!(
            "What the agent says about itself goes to standard error, for people and journald or as JSON lines (log.format); \
             log.level is {} unless set.",
            default(LOG, "level")
        ),
    ]
}

const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT",
        "Stops: nothing new is taken, what was acknowledged stays on the disk for the next start. Takes 5 s at most.",
    ),
    (
        "SIGHUP",
        "Reads the configuration again, whole or not at all. Destinations that are as they were keep their connections; what \
         takes effect with the next start only is said.",
    ),
];

const PATHS: [(&str, &str); 5] = [
    ("/livez", "Whether the loops turn; 503 names the one that does not."),
    ("/readyz", "Whether events can be taken; 503 says why not. A SIEM that is down changes neither."),
    ("/metrics", "Every number, for Prometheus."),
    ("/status", "The agent and its destinations, in JSON."),
    ("/openapi.json", "What else can be asked and done, as OpenAPI 3.1."),
];

const ENVIRONMENT: [(&str, &str); 4] = [
    ("NO_COLOR", "If set to anything, lines for people have no colour."),
    ("CREDENTIALS_DIRECTORY", "Where systemd puts the credentials that secrets may name, see LoadCredential=."),
    ("NOTIFY_SOCKET", "The service manager, which is told of start, reload and stop."),
    ("WATCHDOG_USEC", "How often the service manager wants a sign of life; it gets one while all loops turn."),
];

fn files() -> Vec<(String, &'static str)> {
    let state = |name: &str| format!("{}/{name}", default(AGENT, "state_dir"));
    vec![
        (CONFIG_DEFAULT.to_owned(), "The configuration, and destinations.d/*.toml beside it."),
        (default(INGEST_UNIX, "path").to_owned(), "The socket that takes events."),
        (default(ADMIN, "socket").to_owned(), "The socket that the command line uses; for root and the agent's user."),
        (state("log/NN/"), "The log of shard NN; all of them together keep within buffer.max_size."),
        (state("deadletters/"), "What destinations refused, with their replies; 64 MiB for each."),
        (state("quarantine"), "Lines of producers that were no events; 16 MiB."),
        (state("paused.json"), "Which destinations an operator has paused."),
        (state("identity.json"), "The agent's id."),
        (state("lock"), "Held by the one agent that uses this directory."),
    ]
}

/// What is taken when a key is absent.
fn default(keys: &'static [Key], name: &str) -> &'static str {
    match keys.iter().find(|key| key.name == name).map(|key| key.default) {
        Some(KeyDefault::Text(text)) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_files_addresses_and_exit_codes_are_on_the_page() {
        let page = page().replace("\\-", "-").replace("\\*(Aq", "'");
        for word in ["SIGTERM", "SIGHUP", "/livez", "/readyz", "/metrics", "127.0.0.1:8911", "NOTIFY_SOCKET"] {
            assert!(page.contains(word), "{word}");
        }
        for path in ["/var/lib/scaidrive-siem/deadletters/", "/run/scaidrive-siem/ingest.sock", CONFIG_DEFAULT] {
            assert!(page.contains(path), "{path}: {page}");
        }
        for exit in Exit::ALL {
            assert!(page.contains(&format!("\\fB{}\\fR\n{}", exit.code(), exit.meaning())), "{exit:?}");
        }
    }

    #[test]
    fn every_default_that_the_page_names_is_in_the_table() {
        let named = [
            (ADMIN, "listen"),
            (ADMIN, "socket"),
            (AGENT, "state_dir"),
            (INGEST_UNIX, "path"),
            (BUFFER, "window"),
            (BUFFER, "max_size"),
            (LOG, "level"),
        ];
        assert!(named.iter().all(|(keys, name)| !default(keys, name).is_empty()));
    }
}
