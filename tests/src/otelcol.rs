//! The real OpenTelemetry Collector as a receiver (`tests/receivers/otelcol`): HEC and syslog, with and without TLS.
//!
//! It writes what it receives to a file every 10 ms and answers before that: what it took in the last moments before
//! [`Otelcol::kill`] may be gone although it answered for it. [`Otelcol::stop`] loses nothing.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::arrival::Arrivals;
use crate::certificates::Identity;
use crate::daemon::Daemon;
use crate::http;
use crate::install::{install, script};
use crate::metrics::Metrics;
use crate::ports::free_port;
use crate::syslog::{Message, STREAM_ELEMENT, number_text, record};
use crate::wait::wait_until;

const RECEIVER: &str = "otelcol";
const START_WITHIN: Duration = Duration::from_secs(60);
const ACCEPTED: &str = "otelcol_receiver_accepted_log_records_total";

/// How a line of the output begins; quotes inside a text are escaped, so it stands nowhere else.
const LINE_START: &str = "{\"resourceLogs\":[";

/// One of the collector's receivers; all listen at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtelcolPort {
    /// HEC over plain HTTP, without acknowledgements.
    Hec,
    /// HEC over plain HTTP that acknowledges what comes on a channel.
    HecAck,
    /// HEC over TLS, without acknowledgements.
    HecTls,
    /// Syslog over TCP with octet counting.
    SyslogTcp,
    /// Syslog over UDP.
    SyslogUdp,
    /// Syslog over TLS with octet counting.
    SyslogTls,
}

/// What the collector listens with when it uses TLS.
pub struct OtelcolTls<'a> {
    /// Its certificate.
    pub identity: &'a Identity,
    /// Where given, clients must show a certificate from the authority in this file.
    pub client_ca: Option<&'a Path>,
}

/// A running collector.
pub struct Otelcol {
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
    daemon: Daemon,
}

impl OtelcolPort {
    const ALL: [OtelcolPort; 6] = [
        OtelcolPort::Hec,
        OtelcolPort::HecAck,
        OtelcolPort::HecTls,
        OtelcolPort::SyslogTcp,
        OtelcolPort::SyslogUdp,
        OtelcolPort::SyslogTls,
    ];

    /// The variable in `collector.yaml` and `tls.yaml` that chooses the port.
    fn variable(self) -> &'static str {
        match self {
            OtelcolPort::Hec => "HEC_PORT",
            OtelcolPort::HecAck => "HEC_ACK_PORT",
            OtelcolPort::HecTls => "HEC_TLS_PORT",
            OtelcolPort::SyslogTcp => "SYSLOG_TCP_PORT",
            OtelcolPort::SyslogUdp => "SYSLOG_UDP_PORT",
            OtelcolPort::SyslogTls => "SYSLOG_TLS_PORT",
        }
    }

    /// What the collector calls it in its counters.
    fn receiver(self) -> &'static str {
        match self {
            OtelcolPort::Hec => "splunk_hec/plain",
            OtelcolPort::HecAck => "splunk_hec/acknowledging",
            OtelcolPort::HecTls => "splunk_hec/tls",
            OtelcolPort::SyslogTcp => "syslog/tcp",
            OtelcolPort::SyslogUdp => "syslog/udp",
            OtelcolPort::SyslogTls => "syslog/tls",
        }
    }
}

impl Otelcol {
    /// Builds it where needed and says why it cannot be used on this machine; `None` when it can.
    pub fn missing() -> Option<String> {
        install(RECEIVER).err()
    }

    /// Starts a collector on free loopback ports, with its files in `folder`. Without `tls` nothing listens with TLS.
    ///
    /// # Panics
    /// When it is not ready in time; the text holds what it said.
    #[track_caller]
    pub fn start(folder: &Path, tls: Option<OtelcolTls<'_>>) -> Otelcol {
        let ports = OtelcolPort::ALL.map(OtelcolPort::variable).into_iter().chain(["HEALTH_PORT", "METRICS_PORT"]);
        let mut environment: Vec<(&'static str, String)> = ports.map(|name| (name, free_port().to_string())).collect();
        if let Some(tls) = tls {
            environment.push(("TLS_CERTIFICATE", tls.identity.certificate_file.display().to_string()));
            environment.push(("TLS_KEY", tls.identity.key_file.display().to_string()));
            environment.extend(tls.client_ca.map(|file| ("TLS_CLIENT_CA", file.display().to_string())));
        }
        let daemon = Daemon::new("the collector", folder.join("otelcol.out"), START_WITHIN);
        let mut collector = Otelcol { folder: folder.to_owned(), environment, daemon };
        collector.come_up();
        collector
    }

    /// Starts it again after [`Otelcol::stop`] or [`Otelcol::kill`], with the same ports and output.
    #[track_caller]
    pub fn come_up(&mut self) {
        let mut command = Command::new(script(RECEIVER, "start"));
        command.arg(&self.folder).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let health = self.port("HEALTH_PORT");
        self.daemon.start(&mut command, || http::get(health, "/").is_ok_and(|reply| reply.status == 200));
    }

    /// Ends it in order (SIGTERM).
    #[track_caller]
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    /// Kills it hard (SIGKILL).
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Its process.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Where a receiver listens.
    pub fn address(&self, port: OtelcolPort) -> SocketAddr {
        self.port(port.variable())
    }

    /// What goes into a HEC destination's `url`.
    pub fn url(&self, port: OtelcolPort) -> String {
        let scheme = if port == OtelcolPort::HecTls { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.address(port).port())
    }

    /// Events that a receiver has taken since the last start, as the collector counts them.
    ///
    /// # Panics
    /// When the collector does not answer.
    #[track_caller]
    pub fn accepted(&self, port: OtelcolPort) -> u64 {
        let reply = http::get(self.port("METRICS_PORT"), "/metrics").expect("the collector answers a scrape");
        let metrics = Metrics::parse(&reply.text());
        // A counter appears with its first event.
        metrics.sum(ACCEPTED, &[("receiver", port.receiver())]).unwrap_or(0.0) as u64
    }

    /// Everything it has written so far, through whichever receiver it came. Syslog messages are read again by our own
    /// strict reader, from the bytes that the collector received.
    ///
    /// # Panics
    /// When a syslog message breaks RFC 5424, or the collector read another number in it than we do.
    pub fn arrivals(&self) -> Arrivals {
        let text = fs::read_to_string(self.output()).unwrap_or_default();
        let mut arrivals = Arrivals::default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            // What a killed collector left half written stands before the first line of the next one.
            let start = line.rfind(LINE_START).unwrap_or(0);
            let Ok(logs) = serde_json::from_str::<Value>(&line[start..]) else { continue };
            for record in log_records(&logs) {
                add(&mut arrivals, record);
            }
        }
        arrivals
    }

    /// Waits until at least `count` different generated events are in its output.
    #[track_caller]
    pub fn wait_distinct(&self, count: usize, within: Duration) {
        let mut seen_bytes = 0;
        wait_until(&format!("{count} different events in the collector's output"), within, || {
            let bytes = fs::metadata(self.output()).map_or(0, |metadata| metadata.len());
            let has_grown = bytes != seen_bytes;
            seen_bytes = bytes;
            has_grown && self.arrivals().distinct() >= count
        });
    }

    fn output(&self) -> PathBuf {
        self.folder.join("received.jsonl")
    }

    fn port(&self, variable: &str) -> SocketAddr {
        let found = self.environment.iter().find(|(name, _)| *name == variable);
        let port = found.and_then(|(_, value)| value.parse().ok()).expect("`start` chose every port");
        SocketAddr::from(([127, 0, 0, 1], port))
    }
}

/// The log records of one line of the file exporter: an `ExportLogsServiceRequest` of OTLP in its JSON form.
fn log_records(logs: &Value) -> impl Iterator<Item = &Value> {
    let scopes = members(logs, "resourceLogs").flat_map(|resource| members(resource, "scopeLogs"));
    scopes.flat_map(|scope| members(scope, "logRecords"))
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn add(arrivals: &mut Arrivals, log: &Value) {
    let attributes = plain(&serde_json::json!({ "kvlistValue": { "values": log["attributes"] } }));
    match plain(&log["body"]) {
        Value::String(raw) => {
            let text = without_count(&raw);
            let message = Message::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {raw}"));
            let theirs = attributes["structured_data"][STREAM_ELEMENT]["n"].as_str();
            let ours = number_text(&message);
            assert_eq!(theirs, ours, "the collector reads another number in {raw}");
            record(arrivals, &message, 0, true);
        }
        event => {
            let event_id = event["event_id"].as_str();
            let n = attributes["siem_n"].as_f64().map(|n| n as u64);
            let stream = attributes["siem_stream"].as_str();
            arrivals.push_stored(event_id, stream, n, event.to_string().as_bytes());
        }
    }
}

/// A message without the octet count that the collector keeps before those that came over TCP.
///
/// # Panics
/// When the count is not the length of what follows.
fn without_count(raw: &str) -> &str {
    let Some((count, message)) = raw.split_once(' ').filter(|_| !raw.starts_with('<')) else { return raw };
    assert_eq!(count.parse(), Ok(message.len()), "a wrong count: {raw}");
    message
}

/// An `AnyValue` of OTLP as the JSON that it stands for.
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        // 64-bit integers are texts in protobuf's JSON.
        "intValue" => inner.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(inner.clone(), Value::from),
        "arrayValue" => members(inner, "values").map(plain).collect(),
        "kvlistValue" => {
            let pair = |pair: &Value| Some((pair["key"].as_str()?.to_owned(), plain(&pair["value"])));
            Value::Object(members(inner, "values").filter_map(pair).collect::<Map<String, Value>>())
        }
        _ => inner.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_protocol_become_plain_json() {
        let value = serde_json::json!({ "kvlistValue": { "values": [
            { "key": "a", "value": { "intValue": "7" } },
            { "key": "b", "value": { "arrayValue": { "values": [{ "boolValue": true }, { "stringValue": "x" }, {}] } } },
            { "key": "c", "value": { "doubleValue": 1.5 } },
        ] } });
        assert_eq!(plain(&value), serde_json::json!({ "a": 7, "b": [true, "x", null], "c": 1.5 }));
    }

    #[test]
    fn a_count_before_a_message_goes() {
        assert_eq!(without_count("8 <1>1 - -"), "<1>1 - -");
        assert_eq!(without_count("<1>1 - -"), "<1>1 - -");
    }
}
