//! `check`: what a configuration means, what to think about, what is wrong.
//!
//! What was understood is data; warnings and problems are talk. With `--json` all of it is one JSON object on standard
//! output. Ends with 0 or with 78.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::args::CheckArgs;
use super::exit::Exit;
use super::output::Output;
use crate::config::{Config, Destination, Kind, Problem, SplunkHec, Surroundings, SyslogTransport, Weight};

/// Checks the configuration at `path`.
pub(crate) fn run(path: &Path, args: &CheckArgs, surroundings: &Surroundings, output: &mut Output<'_>) -> Exit {
    let (config, problems) = match Config::load(path, surroundings) {
        Ok((config, warnings)) => (Some(config), warnings),
        Err(problems) => (None, problems),
    };
    if args.json {
        output.json(&as_json(path, config.as_ref(), &problems));
    } else {
        if let Some(config) = &config {
            summary(config).iter().for_each(|line| output.data(line));
        }
        output.problems(&problems);
        output.talk(&verdict(path, &problems));
    }
    if config.is_some() { Exit::Ok } else { Exit::Config }
}

/// What it comes to, in one line.
pub(super) fn verdict(path: &Path, problems: &[Problem]) -> String {
    let count = |weight| problems.iter().filter(|problem| problem.weight == weight).count();
    let (errors, warnings) = (count(Weight::Error), count(Weight::Warning));
    let path = path.display();
    match (errors, warnings) {
        (0, 0) => format!("{path} can be used"),
        (0, _) => format!("{path} can be used, with {}", counted(warnings, "warning")),
        (_, 0) => format!("{path} can't be used: {}", counted(errors, "problem")),
        _ => format!("{path} can't be used: {}, {}", counted(errors, "problem"), counted(warnings, "warning")),
    }
}

fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Every key with its value, then each destination in a few lines.
fn summary(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in config.settings() {
        if let Some(value) = value {
            lines.push(format!("{key:<24} {value}"));
        }
    }
    for destination in &config.destinations {
        lines.push(String::new());
        lines.extend(described(destination));
    }
    lines
}

fn described(destination: &Destination) -> Vec<String> {
    let batch = destination.batch;
    let value = |key: &str| {
        let settings = destination.settings();
        settings.into_iter().find(|(name, _)| *name == key).and_then(|(_, value)| value).unwrap_or_default()
    };
    let secrets = destination.secrets();
    let secret: String = secrets.iter().map(|(key, secret)| format!(", {key} from {}", secret.source())).collect();
    let compression = match value("compression").as_str() {
        "none" => "no compression".to_owned(),
        by => format!("{by} compression"),
    };
    let how = match &destination.kind {
        Kind::SplunkHec(hec) => format!("sourcetype {}, {}, {compression}", hec.sourcetype, index(hec)),
        Kind::Sentinel(_) => format!(
            "{}, {}, {compression}",
            value("api"),
            if value("api") == "data_collector" { value("log_type") } else { value("stream") },
        ),
        Kind::Elastic(elastic) => {
            let ids = match value("document_id").as_str() {
                "none" => "without ids, so that a retry may write twice".to_owned(),
                by => format!("called by {by}"),
            };
            format!("{} in {}, documents {ids}, {compression}", value("op"), elastic.target)
        }
        Kind::Datadog(_) => format!("service {}, {compression}", value("service")),
        Kind::SumoLogic(_) => format!("category {}, {compression}", value("source_category")),
        Kind::Https(_) => format!("{}, body {}, {compression}", value("method"), value("body")),
        Kind::Syslog(syslog) => {
            let framing = match syslog.transport {
                SyslogTransport::Tcp | SyslogTransport::Tls => format!("{} framing, ", value("framing")),
                SyslogTransport::Udp | SyslogTransport::Relp | SyslogTransport::RelpTls => String::new(),
            };
            format!("{framing}facility {}, {}", value("facility"), value("msg"))
        }
    };
    let order = if destination.ordered {
        "in order".to_owned()
    } else {
        format!("nearly in order, {} requests at a time for each shard", destination.in_flight_max)
    };
    let mut lines = vec![
        format!(
            "destination \"{}\": {} at {}{secret}",
            destination.name,
            destination.kind.name(),
            destination.kind.address()
        ),
        format!("  gets   {}", selection(destination)),
        format!("  sends  {how}; {order}"),
        format!(
            "  batch  {} events or {}, linger {}",
            batch.max_events,
            value("batch.max_size"),
            value("batch.linger")
        ),
    ];
    let redacted = destination.redact.in_words();
    if !redacted.is_empty() {
        lines.push(format!("  hides  {}", redacted.join(", ")));
    }
    if destination.required {
        lines.push("  required: producers wait for it with on_full = \"block\"".to_owned());
    }
    lines
}

/// Where Splunk keeps the events.
fn index(hec: &SplunkHec) -> String {
    let usual = hec.index.as_ref().map_or_else(|| "the token's own index".to_owned(), |index| format!("index {index}"));
    match hec.indexes.len() {
        0 => usual,
        1 => format!("{usual} and 1 rule for others"),
        rules => format!("{usual} and {rules} rules for others"),
    }
}

/// Scope and filter in words.
fn selection(destination: &Destination) -> String {
    let filter = &destination.filter_spec;
    let mut words = Vec::new();
    words.push(match destination.scope.exact() {
        None => "every tenant".to_owned(),
        Some(tenants) => named("tenants", tenants),
    });
    for (word, wanted) in
        [("categories", &filter.categories), ("actions", &filter.actions), ("severities", &filter.severities)]
    {
        if !wanted.is_empty() && wanted.iter().all(|entry| entry != "*") {
            words.push(named(word, wanted));
        }
    }
    for (word, excluded) in [("not users", &filter.excluded_users), ("not paths", &filter.excluded_paths)] {
        if !excluded.is_empty() {
            words.push(named(word, excluded));
        }
    }
    words.join("; ")
}

/// The first few of a list, and how many more there are.
fn named(word: &str, texts: &[String]) -> String {
    let shown = texts.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(NAMED_MAX) {
        0 => format!("{word} {shown}"),
        more => format!("{word} {shown} and {more} more"),
    }
}

fn as_json(path: &Path, config: Option<&Config>, problems: &[Problem]) -> Value {
    let problem = |problem: &Problem| {
        json!({
            "weight": match problem.weight { Weight::Error => "error", Weight::Warning => "warning" },
            "what": problem.what,
            "file": problem.place.file,
            "line": problem.place.line,
            "key": problem.place.key,
            "do": problem.advice,
        })
    };
    let destinations = |config: &Config| -> Vec<Value> {
        config.destinations.iter().map(|destination| settings_json(destination.settings())).collect()
    };
    json!({
        "file": path,
        "usable": config.is_some(),
        "settings": config.map(|config| settings_json(config.settings())),
        "destinations": config.map(destinations),
        "problems": problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn settings_json(settings: Vec<(&'static str, Option<String>)>) -> Value {
    settings.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>().into()
}

/// Entries of a list that a summary shows.
const NAMED_MAX: usize = 8;
