//! `log`: the log's files, looked at from outside, beside a running agent or without one. Nothing is written.

use std::io;
use std::path::{Path, PathBuf};

use scaidrive_codecs::time::parse_rfc3339;
use scaidrive_wal::inspect::{self, Export, OwnedRecord, ProblemKind, SegmentReport, SegmentState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{LogCommand, LogExportArgs, LogInspectArgs, LogVerifyArgs};
use super::words::{count, moment, size, table};
use super::{Exit, Failure, Output, chain};
use crate::config::Surroundings;
use crate::node::log_directories;

/// Inspects, verifies or exports.
pub(super) fn run(
    path: &Path,
    command: &LogCommand,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let given = match command {
        LogCommand::Inspect(LogInspectArgs { directory, .. })
        | LogCommand::Verify(LogVerifyArgs { directory, .. })
        | LogCommand::Export(LogExportArgs { directory, .. }) => directory,
    };
    let logs = match given {
        Some(directory) => vec![directory.clone()],
        None => {
            let Some(config) = super::configuration(path, surroundings, output) else { return Ok(Exit::Config) };
            let state_dir = &config.agent.state_dir;
            let logs = log_directories(state_dir).map_err(|problem| unreadable(&problem, state_dir))?;
            if logs.is_empty() {
                return Err(Failure {
                    exit: Exit::Unavailable,
                    what: format!("there is no log in {}", state_dir.display()),
                    place: format!("agent.state_dir in {}", path.display()),
                    advice: "start the agent once, or name the directory of a log".to_owned(),
                });
            }
            logs
        }
    };
    match command {
        LogCommand::Inspect(args) => show(&logs, args, output),
        LogCommand::Verify(args) => verify(&logs, args, output),
        LogCommand::Export(args) => export(&logs, args, output),
    }
}

fn show(logs: &[PathBuf], args: &LogInspectArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let mut whole = Vec::new();
    for log in logs {
        let segments = inspect::inspect(log).map_err(|problem| unreadable(&problem, log))?;
        if args.json {
            whole.push(json!({ "log": log, "segments": segments.iter().map(segment_json).collect::<Vec<_>>() }));
            continue;
        }
        let bytes: u64 = segments.iter().map(|segment| segment.len.get()).sum();
        output.data(&format!("{}: {} files, {}", log.display(), segments.len(), size(bytes)));
        let head = ["SEGMENT", "STATE", "SIZE", "FROM", "TO", "RECORDS", "CREATED"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(segments.iter().map(segment_row));
        table(&rows).iter().for_each(|line| output.data(&format!("  {line}")));
    }
    if args.json {
        output.json(&json!(whole));
    }
    Ok(Exit::Ok)
}

fn state_name(state: &SegmentState) -> &'static str {
    match state {
        SegmentState::Sealed(_) => "sealed",
        SegmentState::Open(_) => "open",
        SegmentState::Newer { .. } => "newer format",
        SegmentState::Spare => "spare",
        SegmentState::Unreadable => "UNREADABLE",
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn segment_row(segment: &SegmentReport) -> Vec<String> {
    let mut row = vec![file_name(&segment.path), state_name(&segment.state).to_owned(), size(segment.len.get())];
    if let SegmentState::Sealed(summary) | SegmentState::Open(summary) = &segment.state {
        let known = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let last = summary.end.map(|end| end.get().saturating_sub(1));
        row.extend([summary.base.get().to_string(), known(last), known(summary.records)]);
        row.push(moment(summary.created.as_ms()));
    }
    row
}

fn segment_json(segment: &SegmentReport) -> Value {
    let mut value = json!({
        "file": file_name(&segment.path), "bytes": segment.len.get(), "state": state_name(&segment.state),
    });
    if let SegmentState::Sealed(summary) | SegmentState::Open(summary) = &segment.state {
        value["shard"] = json!(summary.shard);
        value["base"] = json!(summary.base.get());
        value["end"] = json!(summary.end.map(|end| end.get()));
        value["records"] = json!(summary.records);
        value["created_ms"] = json!(summary.created.as_ms());
    }
    value
}

fn verify(logs: &[PathBuf], args: &LogVerifyArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let mut problems = Vec::new();
    let (mut segments, mut records) = (0, 0);
    for log in logs {
        let found = inspect::verify(log, |problem| problems.push(problem)).map_err(|problem| unreadable(&problem, log))?;
        segments += found.segments;
        records += found.records;
    }
    let words = |what: &ProblemKind| match what {
        ProblemKind::Missing(seqs) => {
            format!("records {} to {} can't be read", seqs.start.get(), seqs.end.get().saturating_sub(1))
        }
        ProblemKind::Unreadable => "the header can't be read, so nothing in it can".to_owned(),
        ProblemKind::FooterDisagrees => "the footer does not agree with the records".to_owned(),
        _ => "it is damaged".to_owned(),
    };
    if args.json {
        let problems: Vec<Value> =
            problems.iter().map(|problem| json!({ "file": problem.path, "what": words(&problem.what) })).collect();
        output.json(&json!({ "segments": segments, "records": records, "problems": problems }));
    } else {
        for problem in &problems {
            output.data(&format!("{}: {}", problem.path.display(), words(&problem.what)));
        }
        let verdict = if problems.is_empty() { "all sound".to_owned() } else { format!("problems: {}", problems.len()) };
        output.talk(&format!("{} records in {} segments; {verdict}", count(records), count(segments)));
    }
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::CheckFailed })
}

/// Which events to export.
struct Wanted {
    from: u64,
    to: Option<u64>,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
    /// Each tenant with its hash; empty means all.
    tenants: Vec<(u64, String)>,
}

impl Wanted {
    fn new(args: &LogExportArgs) -> Result<Wanted, Failure> {
        let tenants = args.tenant.iter().map(|tenant| (scaidrive_codecs::tenant_hash(tenant), tenant.clone()));
        Ok(Wanted {
            from: args.from,
            to: args.to,
            since_ms: time("--since", args.since.as_deref())?,
            until_ms: time("--until", args.until.as_deref())?,
            tenants: tenants.collect(),
        })
    }

    fn takes(&self, record: &OwnedRecord) -> bool {
        let (seq, wall_ms) = (record.seq.get(), record.wall.as_ms());
        let is_in_range = seq >= self.from && self.to.is_none_or(|to| seq < to);
        let is_in_time =
            self.since_ms.is_none_or(|since| wall_ms >= since) && self.until_ms.is_none_or(|until| wall_ms < until);
        is_in_range && is_in_time && self.takes_tenant(record)
    }

    fn takes_tenant(&self, record: &OwnedRecord) -> bool {
        #[derive(Deserialize)]
        struct Tenant {
            tenant_id: String,
        }
        if self.tenants.is_empty() {
            return true;
        }
        // Two tenants may share a hash, so it only saves looking.
        let mut alike = self.tenants.iter().filter(|(hash, _)| *hash == record.tenant_hash).peekable();
        if alike.peek().is_none() {
            return false;
        }
        let found = serde_json::from_slice::<Tenant>(&record.payload);
        found.is_ok_and(|found| alike.any(|(_, tenant)| *tenant == found.tenant_id))
    }
}

fn time(option: &str, text: Option<&str>) -> Result<Option<i64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let parsed = parse_rfc3339(text.as_bytes()).map(Some);
    parsed.ok_or_else(|| Failure {
        exit: Exit::Usage,
        what: format!("{option} is \"{text}\", which is not a time"),
        place: "the command line".to_owned(),
        advice: "write it like 2026-03-14T09:26:53Z".to_owned(),
    })
}

fn export(logs: &[PathBuf], args: &LogExportArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let wanted = Wanted::new(args)?;
    let mut exported = 0_u64;
    for log in logs {
        let shard = file_name(log);
        for record in Export::open(log).map_err(|problem| unreadable(&problem, log))? {
            let record = record.map_err(|problem| unreadable(&problem, log))?;
            if !wanted.takes(&record) {
                continue;
            }
            // What was stored was validated; in its place a damaged text would not have passed its checksum.
            let event = String::from_utf8_lossy(&record.payload);
            if args.meta {
                let (seq, received) = (record.seq.get(), moment(record.wall.as_ms()));
                output.data(&format!(
                    "{{\"log\":{},\"seq\":{seq},\"received\":\"{received}\",\"event\":{event}}}",
                    json!(shard)
                ));
            } else {
                output.data(&event);
            }
            exported += 1;
            if output.is_broken() {
                return Ok(Exit::Ok);
            }
        }
    }
    output.talk(&format!("{} events", count(exported)));
    Ok(Exit::Ok)
}

fn unreadable(problem: &io::Error, log: &Path) -> Failure {
    let denied = problem.kind() == io::ErrorKind::PermissionDenied;
    Failure {
        exit: if denied { Exit::Permission } else { Exit::Io },
        what: format!("cannot read the log: {}", chain(problem)),
        place: log.display().to_string(),
        advice: "run this as root or as the agent's user, and name an existing directory".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaidrive_wal::{LogTime, Seq, WallTime};

    fn record(seq: u64, wall_ms: i64, tenant: &str) -> OwnedRecord {
        OwnedRecord {
            seq: Seq::from_raw(seq),
            wall: WallTime::from_ms(wall_ms),
            log_time: LogTime::from_ms(0),
            tenant_hash: scaidrive_codecs::tenant_hash(tenant),
            flags: 0,
            index: Vec::new(),
            payload: format!("{{\"tenant_id\":\"{tenant}\"}}").into_bytes(),
        }
    }

    fn wanted(change: impl FnOnce(&mut LogExportArgs)) -> Wanted {
        let mut args = LogExportArgs {
            directory: None,
            from: 1,
            to: None,
            since: None,
            until: None,
            tenant: Vec::new(),
            meta: false,
        };
        change(&mut args);
        Wanted::new(&args).unwrap()
    }

    #[test]
    fn numbers_times_and_tenants_choose_what_is_exported() {
        let all = wanted(|_| {});
        assert!(all.takes(&record(1, 0, "a")));
        let range = wanted(|args| (args.from, args.to) = (3, Some(5)));
        assert_eq!([2, 3, 4, 5].map(|seq| range.takes(&record(seq, 0, "a"))), [false, true, true, false]);
        let day = wanted(|args| {
            args.since = Some("1970-01-01T00:00:01Z".to_owned());
            args.until = Some("1970-01-01T00:00:02Z".to_owned());
        });
        assert_eq!([999, 1000, 1999, 2000].map(|ms| day.takes(&record(1, ms, "a"))), [false, true, true, false]);
        let tenants = wanted(|args| args.tenant = vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(["a", "b", "c"].map(|tenant| tenants.takes(&record(1, 0, tenant))), [true, true, false]);
    }

    #[test]
    fn a_tenant_with_the_same_hash_is_not_taken_for_another() {
        let tenants = wanted(|args| args.tenant = vec!["a".to_owned()]);
        let mut other = record(1, 0, "b");
        other.tenant_hash = scaidrive_codecs::tenant_hash("a");
        assert!(!tenants.takes(&other));
    }

    #[test]
    fn a_time_that_is_none_is_a_usage_error() {
        assert_eq!(time("--since", Some("yesterday")).unwrap_err().exit, Exit::Usage);
    }
}
