//! Every key of the configuration, once: its name, what it takes, what stands for it when it is absent, what it is for.
//!
//! The parser reads nothing that is not in these tables, and the JSON Schema is written from them.

use super::kind::NAMES;
use super::text::{DAY, GIB, HOUR, KIB, MIB, MINUTE, SECOND, TIB, size_text, span_text};
use crate::time::Millis;

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// As it is written in the file.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) shape: Shape,
    /// What is taken when it is absent.
    pub(crate) default: Default,
    /// Whether a change needs a restart rather than a reload. Of no meaning within a destination.
    pub(crate) restart: bool,
    /// What it is for, in one sentence.
    pub(crate) about: &'static str,
}

/// What a key takes. Bounds are inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Text that is not empty, in the given alphabet, of at most `max` bytes.
    Text { alphabet: Alphabet, max: usize },
    /// One of some words; `later` are words that other versions know.
    Choice { now: &'static [&'static str], later: &'static [&'static str] },
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count { min: u64, max: u64 },
    /// A whole number or `"auto"`.
    AutoOrCount { min: u64, max: u64 },
    /// An amount of bytes with its unit.
    Size { min: u64, max: u64 },
    /// A span of time with its unit, in milliseconds.
    Span { min: u64, max: u64 },
    /// File permission bits.
    Mode,
    /// An IP address and a port.
    Address,
    /// A host name or an IP address.
    Host,
    /// An `http` or `https` address.
    Url,
    /// A path; a relative one starts at the directory of the file it is written in.
    Path,
    /// A list of texts.
    Texts,
    /// A list of user ids.
    Uids,
    /// A list of HTTP statuses.
    Statuses,
    /// A list of tables with keys of their own.
    Tables(&'static [Key]),
    /// Where a secret is kept.
    Secret,
    /// A table with keys of its own.
    Table(&'static [Key]),
    /// A list of destinations, see [`super::kind::KINDS`].
    Destinations,
}

/// Which characters a text may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// Anything but control characters.
    Any,
    /// Letters, digits, `.`, `_` and `-`, with a letter or digit first: safe in file names, labels and headers.
    Name,
    /// As any, and line ends may stand in it.
    Lines,
    /// As a name, and `:` may stand in it too: host names and addresses.
    Label,
}

/// What stands for an absent key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Default {
    /// It must be there.
    Required,
    /// Nothing: what it would switch on is off, or `about` says what happens.
    Absent,
    /// This text, read like any other.
    Text(&'static str),
    /// This number.
    Count(u64),
    /// This flag.
    Flag(bool),
    /// These texts.
    Texts(&'static [&'static str]),
}

impl Shape {
    /// What is allowed, as advice: "write …".
    pub(crate) fn allowed(&self) -> String {
        match self {
            Shape::Text { alphabet: Alphabet::Any, max } => {
                format!("write a text of 1 to {max} bytes without control characters")
            }
            Shape::Text { alphabet: Alphabet::Lines, max } => {
                format!("write a text of 1 to {max} bytes; line ends may stand in it")
            }
            Shape::Text { alphabet: Alphabet::Name, max } => {
                format!("write 1 to {max} letters, digits, `.`, `_` or `-`, with a letter, a digit or `_` first")
            }
            Shape::Text { alphabet: Alphabet::Label, max } => {
                format!("write 1 to {max} letters, digits, `.`, `_`, `-` or `:`")
            }
            Shape::Choice { now, .. } => {
                let quoted: Vec<String> = now.iter().map(|word| format!("\"{word}\"")).collect();
                format!("write one of {}", quoted.join(", "))
            }
            Shape::Flag => "write true or false, without quotes".to_owned(),
            Shape::Count { min, max } => {
                format!("write a whole number from {min} to {max}, without quotes")
            }
            Shape::AutoOrCount { min, max } => {
                format!("write \"auto\" or a whole number from {min} to {max}")
            }
            Shape::Size { min, max } => format!(
                "write a whole number and B, KiB, MiB, GiB or TiB in quotes, from \"{}\" to \"{}\"",
                size_text(*min),
                size_text(*max)
            ),
            Shape::Span { min, max } => format!(
                "write a whole number and ms, s, m, h or d in quotes, from \"{}\" to \"{}\"",
                span_text(Millis(*min)),
                span_text(Millis(*max))
            ),
            Shape::Mode => "write file permissions as three octal digits after a zero, like \"0660\"".to_owned(),
            Shape::Address => "write an IP address and a port, like \"127.0.0.1:8910\" or \"[::1]:8910\"".to_owned(),
            Shape::Host => "write a host name or an IP address, without a scheme or a port".to_owned(),
            Shape::Url => "write it like \"https://siem.example.com:8088\"".to_owned(),
            Shape::Path => "write a path in quotes".to_owned(),
            Shape::Texts => "write a list of texts, like [\"a\", \"b\"]".to_owned(),
            Shape::Uids => "write a list of user ids, like [1001, 1002]".to_owned(),
            Shape::Statuses => "write a list of HTTP statuses from 100 to 599, like [200, 202]".to_owned(),
            Shape::Tables(_) => "write a list of tables, like [{ … }, { … }]".to_owned(),
            Shape::Secret => SECRET_ADVICE.to_owned(),
            Shape::Table(_) => "write a table: its keys in braces, or under a heading in brackets".to_owned(),
            Shape::Destinations => "write each destination under a heading [[destination]]".to_owned(),
        }
    }
}

pub(super) const fn key(name: &'static str, shape: Shape, default: Default, about: &'static str) -> Key {
    Key { name, shape, default, restart: true, about }
}

impl Key {
    /// A key whose change a reload carries out.
    const fn live(mut self) -> Key {
        self.restart = false;
        self
    }
}

pub(super) const fn text(max: usize) -> Shape {
    Shape::Text { alphabet: Alphabet::Any, max }
}
pub(super) const fn name(max: usize) -> Shape {
    Shape::Text { alphabet: Alphabet::Name, max }
}
pub(super) const fn choice(now: &'static [&'static str]) -> Shape {
    Shape::Choice { now, later: &[] }
}
pub(super) const fn size(min: u64, max: u64) -> Shape {
    Shape::Size { min, max }
}
pub(super) const fn span(min: u64, max: u64) -> Shape {
    Shape::Span { min, max }
}

/// How requests are compressed; the first of the choices is the default.
pub(super) const fn compression(shape: Shape) -> Key {
    let first = match shape {
        Shape::Choice { now, .. } => now[0],
        _ => "none",
    };
    key("compression", shape, Default::Text(first), "How requests are compressed.")
}

/// What an event is made into; the first of the choices is the default.
pub(super) const fn shape(words: &'static [&'static str]) -> Key {
    key("shape", choice(words), Default::Text(words[0]), "Whose words an event goes out in; canonical is as it came.")
}

/// Requests under way at the same time.
pub(super) const fn in_flight(usual: u64) -> Key {
    key(
        "in_flight",
        Shape::Count { min: 1, max: 64 },
        Default::Count(usual),
        "Requests under way at the same time, for each shard; one when ordered.",
    )
}

/// What `agent.toml` holds.
pub(crate) const ROOT: &[Key] = &[
    key("agent", Shape::Table(AGENT), Default::Absent, "The agent itself."),
    key("ingest", Shape::Table(INGEST), Default::Absent, "How events come in."),
    key("buffer", Shape::Table(BUFFER), Default::Absent, "The log that keeps events until they are delivered."),
    key("admin", Shape::Table(ADMIN), Default::Absent, "How the agent is asked and controlled."),
    key("log", Shape::Table(LOG), Default::Absent, "What the agent says about itself, on standard error."),
    key(
        "destination",
        Shape::Destinations,
        Default::Absent,
        "Where events go; also in files of their own under destinations.d.",
    ),
];

/// What a file under `destinations.d` holds.
pub(crate) const DESTINATION_FILE: &[Key] =
    &[key("destination", Shape::Destinations, Default::Absent, "Where events go.")];

pub(crate) const AGENT: &[Key] = &[
    key(
        "node",
        Shape::Text { alphabet: Alphabet::Label, max: 255 },
        Default::Absent,
        "A label for this node, carried by every event; the host name when absent.",
    ),
    key(
        "state_dir",
        Shape::Path,
        Default::Text("/var/lib/scaidrive-siem"),
        "Where the log, the cursors and the dead letters are.",
    ),
    key(
        "shards",
        Shape::AutoOrCount { min: 1, max: 64 },
        Default::Text("auto"),
        "How many threads share the work, each with a log of its own; auto is one a processor, at most 4.",
    ),
    key(
        "runtime",
        choice(RUNTIMES),
        Default::Text("auto"),
        "What drives the threads; auto takes io_uring where the system allows it.",
    ),
    key(
        "tenant",
        text(256),
        Default::Text("_agent"),
        "The tenant of the agent's own events where a destination serves more than one.",
    ),
    key(
        "allow_targets",
        Shape::Texts,
        Default::Texts(&[]),
        "Addresses that destinations may connect to although clouds tell machines their secrets there or the agent listens there.",
    ),
];

pub(crate) const INGEST: &[Key] = &[
    key("unix", Shape::Table(INGEST_UNIX), Default::Absent, "The local socket that takes events."),
    key("http", Shape::Table(INGEST_HTTP), Default::Absent, "The HTTP listener that takes events; off when absent."),
    key(
        "max_event_size",
        size(KIB, 16 * MIB),
        Default::Text("256KiB"),
        "The longest event accepted; a quarter of a segment at most.",
    ),
    key(
        "window",
        Shape::Table(INGEST_WINDOW),
        Default::Absent,
        "What one connection may have sent without it being durable yet; then it waits.",
    ),
];

pub(crate) const INGEST_UNIX: &[Key] = &[
    key("enabled", Shape::Flag, Default::Flag(true), "Whether there is such a socket."),
    key("path", Shape::Path, Default::Text("/run/scaidrive-siem/ingest.sock"), "Where the socket is."),
    key("mode", Shape::Mode, Default::Text("0660"), "Who may connect, as file permissions."),
    key("group", name(32), Default::Absent, "The group the socket belongs to; the agent's own when absent."),
    key(
        "allow_uids",
        Shape::Uids,
        Default::Texts(&[]),
        "The users who may connect; everyone the file permissions let in when empty.",
    ),
];

pub(crate) const INGEST_HTTP: &[Key] = &[
    key("listen", Shape::Address, Default::Required, "The address to listen on."),
    key(
        "token",
        Shape::Secret,
        Default::Absent,
        "What a producer must show; required when the address is not loopback.",
    ),
    key(
        "hosts",
        Shape::Texts,
        Default::Texts(&[]),
        "Host names by which producers may call it, beside localhost and addresses.",
    ),
];

pub(crate) const INGEST_WINDOW: &[Key] = &[
    key("max_size", size(4 * KIB, GIB), Default::Text("4MiB"), "Bytes; at least one event of the longest size."),
    key("max_lines", Shape::Count { min: 1, max: 1_000_000 }, Default::Count(8192), "Lines, events or not."),
];

pub(crate) const BUFFER: &[Key] = &[
    key("window", span(SECOND, 30 * DAY), Default::Text("30m"), "How long an event stays, delivered or not, while there is room.").live(),
    key("max_size", size(4 * MIB, 64 * TIB), Default::Text("8GiB"), "The budget of all shards together; four segments a shard at least.").live(),
    key("segment_size", size(MIB, GIB), Default::Text("64MiB"), "The size of one log file, a multiple of 4 KiB; existing files keep theirs."),
    key("durability", choice(DURABILITIES), Default::Text("fsync"), "What an acknowledgement means: synced to the disk (fsync), synced within sync_every (interval), or handed to the system (os)."),
    key("sync_every", span(1, MINUTE), Default::Absent, "How often the log is synced; only with durability = \"interval\", 200ms when absent."),
    key("on_full", choice(ON_FULLS), Default::Text("drop_oldest"), "What gives way when events come faster than they go: the oldest, announced as a gap, or the producers, who wait.").live(),
    key("min_free", Shape::Table(MIN_FREE), Default::Absent, "What is left free on the disk; below the larger of the two no segment is made."),
];

pub(crate) const MIN_FREE: &[Key] = &[
    key("percent", Shape::Count { min: 0, max: 90 }, Default::Count(5), "A share of the disk, in percent."),
    key("size", size(0, TIB), Default::Text("256MiB"), "An amount of bytes."),
];

pub(crate) const ADMIN: &[Key] = &[
    key(
        "listen",
        Shape::Address,
        Default::Text("127.0.0.1:8911"),
        "The address of the page, the API, the metrics and the health checks; tls is required when it is not loopback.",
    ),
    key(
        "socket",
        Shape::Path,
        Default::Text("/run/scaidrive-siem/admin.sock"),
        "The socket that the command line uses.",
    ),
    key(
        "tls",
        Shape::Table(ADMIN_TLS),
        Default::Absent,
        "What the address shows; without it the address is plain HTTP.",
    ),
    key(
        "hosts",
        Shape::Texts,
        Default::Texts(&[]),
        "Host names by which browsers and programs may call it, beside localhost and addresses.",
    )
    .live(),
    key(
        "base_path",
        text(64),
        Default::Absent,
        "Where everything lies below the address, like \"/siem\"; the health checks and the metrics are beside it too.",
    ),
    key(
        "frame_ancestors",
        Shape::Texts,
        Default::Texts(&[]),
        "Who may show the page in a frame, like \"https://drive.example.com\" or \"'self'\"; nobody when empty.",
    )
    .live(),
    key(
        "metrics_need_token",
        Shape::Flag,
        Default::Absent,
        "Whether /metrics and /status ask for a token; when absent, they do off loopback and with a proxy.",
    )
    .live(),
    key(
        "proxy",
        Shape::Table(ADMIN_PROXY),
        Default::Absent,
        "A proxy that says in a signed header who asks; the header means nothing without it.",
    )
    .live(),
];

pub(crate) const ADMIN_TLS: &[Key] = &[
    key(
        "cert_file",
        Shape::Path,
        Default::Absent,
        "The certificate with its chain, in PEM; read again when it changes.",
    ),
    key("key_file", Shape::Path, Default::Absent, "The private key of cert_file, in PEM."),
];

pub(crate) const ADMIN_PROXY: &[Key] = &[
    key(
        "jwt_key",
        Shape::Secret,
        Default::Absent,
        "The key that it signs with (HS256), 32 bytes at least; this or public_key_file.",
    )
    .live(),
    key(
        "public_key_file",
        Shape::Path,
        Default::Absent,
        "The public half of the key that it signs with, in PEM: Ed25519 (EdDSA) or P-256 (ES256).",
    )
    .live(),
    key("header", name(64), Default::Text("X-ScaiDrive-Identity"), "The header that carries the signed token.").live(),
    key("issuer", text(256), Default::Absent, "What the token's iss must be; it is not asked for when absent.").live(),
    key("audience", text(256), Default::Text("scaidrive-siem"), "What the token's aud must be or contain.").live(),
    key(
        "max_life",
        span(SECOND, HOUR),
        Default::Text("2m"),
        "How far ahead the token's exp may lie; the proxy signs one for each request, so little is enough.",
    )
    .live(),
    key(
        "from",
        Shape::Texts,
        Default::Texts(&[]),
        "The IP addresses that the header is taken from, like \"10.0.0.7\"; any address when empty.",
    )
    .live(),
];

pub(crate) const LOG: &[Key] = &[
    key("format", choice(LOG_FORMATS), Default::Text("text"), "Lines for people and journald, or JSON lines."),
    key("level", choice(LOG_LEVELS), Default::Text("info"), "The least important lines that are written.").live(),
];

/// What every destination has.
pub(crate) const DESTINATION: &[Key] = &[
    key("name", name(64), Default::Required, "What people call it; unique."),
    key("type", choice(NAMES), Default::Required, "What kind of SIEM it is."),
    key(
        "id",
        name(64),
        Default::Absent,
        "What its cursors and streams are kept under; the name when absent. Set it to the old name when renaming.",
    ),
    TENANTS,
    FILTER_TABLE,
    key(
        "ordered",
        Shape::Flag,
        Default::Flag(false),
        "Whether events arrive strictly in the order of the log; syslog always does.",
    ),
    key("required", Shape::Flag, Default::Flag(false), "Whether producers wait for it with on_full = \"block\"."),
    key(
        "targets",
        choice(TARGETS),
        Default::Text("any"),
        "Which addresses it may be at: any, or those in the internet alone (public), whatever its name leads to.",
    ),
    key("timeouts", Shape::Table(TIMEOUTS), Default::Absent, "How long it may take."),
    key("tls", Shape::Table(TLS), Default::Absent, "How it is recognised, and this agent by it."),
    key("rate_limit", Shape::Table(RATE_LIMIT), Default::Absent, "How much it may get from this node."),
    REDACT_TABLE,
];

/// What of a destination decides which events it gets, and what of them.
pub(crate) const SELECTION: &[Key] = &[TENANTS, FILTER_TABLE, REDACT_TABLE];

const TENANTS: Key = key("tenants", Shape::Texts, Default::Texts(&["*"]), "Whose events it gets; \"*\" is everyone's.");
const FILTER_TABLE: Key = key("filter", Shape::Table(FILTER), Default::Absent, "Which of their events it gets.");
const REDACT_TABLE: Key =
    key("redact", Shape::Table(REDACT), Default::Absent, "What it does not get of the events it gets.");

pub(crate) const REDACT: &[Key] = &[
    key(
        "drop",
        Shape::Texts,
        Default::Texts(&[]),
        "Values that are left out: fields like \"user_agent\", or members like \"payload.a.b\".",
    ),
    key("mask", Shape::Texts, Default::Texts(&[]), "Values that become \"***\"."),
    key(
        "hash",
        Shape::Texts,
        Default::Texts(&[]),
        "Values that become a hash, the same for the same value; together with key.",
    ),
    key(
        "key",
        Shape::Secret,
        Default::Absent,
        "What values are hashed with, 16 bytes at least; read with the configuration.",
    ),
];

pub(crate) const RATE_LIMIT: &[Key] = &[
    key("events", Shape::Count { min: 1, max: 100_000_000 }, Default::Absent, "Events a second."),
    key("bytes", size(KIB, TIB), Default::Absent, "Bytes of events a second."),
    key(
        "bytes_per_day",
        size(MIB, 1024 * TIB),
        Default::Absent,
        "Bytes of events a day (UTC), as licences count them.",
    ),
    key(
        "warn_at",
        Shape::Count { min: 1, max: 100 },
        Default::Count(80),
        "From this share of the day's bytes on, in percent, the log and the state say so.",
    ),
];

pub(super) const PROXY: &[Key] = &[
    key("url", Shape::Url, Default::Required, "The proxy's address, like http://proxy.example.com:3128."),
    key("user", text(255), Default::Absent, "A user of the proxy; together with password."),
    key("password", Shape::Secret, Default::Absent, "The user's password."),
    key("no_proxy", Shape::Texts, Default::Texts(&[]), "Hosts that are reached without it, subdomains included."),
];

/// The HTTP proxy on the way.
pub(super) const fn proxy() -> Key {
    key("proxy", Shape::Table(PROXY), Default::Absent, "The HTTP proxy on the way to it and to whoever issues tokens.")
}

pub(crate) const FILTER: &[Key] = &[
    key("categories", Shape::Texts, Default::Texts(&["*"]), "Categories to send; all when absent or empty."),
    key(
        "actions",
        Shape::Texts,
        Default::Texts(&["*"]),
        "Actions to send, `*` standing for any part; all when absent or empty.",
    ),
    key(
        "severities",
        Shape::Texts,
        Default::Texts(&["*"]),
        "Severities to send; all when absent or empty. One that nobody knows always passes.",
    ),
    key(
        "excluded_users",
        Shape::Texts,
        Default::Texts(&[]),
        "Users whose events are not sent: user id, e-mail or service account.",
    ),
    key("excluded_paths", Shape::Texts, Default::Texts(&[]), "Paths whose events are not sent, like \"/tmp/**\"."),
];

pub(super) const BATCH: &[Key] = &batch(500, 10_000, "512KiB", 8 * MIB);

/// How many events travel together: what is usual, and what the destination's limits allow.
pub(super) const fn batch(events: u64, events_max: u64, bytes: &'static str, bytes_max: u64) -> [Key; 3] {
    [
        key(
            "max_events",
            Shape::Count { min: 1, max: events_max },
            Default::Count(events),
            "Events in one request or write.",
        ),
        key(
            "max_size",
            size(KIB, bytes_max),
            Default::Text(bytes),
            "Bytes of one request or write before compression; a longer event travels alone.",
        ),
        key(
            "linger",
            span(0, MINUTE),
            Default::Text("1s"),
            "How long an event waits for company while requests are under way.",
        ),
    ]
}

pub(crate) const TIMEOUTS: &[Key] = &[
    key("connect", span(100, 5 * MINUTE), Default::Text("10s"), "To resolve, connect and agree on TLS."),
    key(
        "request",
        span(SECOND, HOUR),
        Default::Text("60s"),
        "For the reply to a request, or for a blocked write; 90s with RELP when absent.",
    ),
];

pub(crate) const TLS: &[Key] = &[
    key(
        "ca_file",
        Shape::Path,
        Default::Absent,
        "Certificates of the authorities to trust, in PEM; the system's when absent.",
    ),
    key(
        "ca",
        Shape::Text { alphabet: Alphabet::Lines, max: 64 << 10 },
        Default::Absent,
        "The same certificates themselves, in place of `ca_file`: from -----BEGIN CERTIFICATE----- on.",
    ),
    key("server_name", Shape::Host, Default::Absent, "The name its certificate must have; its host name when absent."),
    key("cert_file", Shape::Path, Default::Absent, "The certificate to show, in PEM; together with key_file."),
    key("key_file", Shape::Path, Default::Absent, "The private key of cert_file, in PEM."),
    key(
        "fingerprints",
        Shape::Texts,
        Default::Texts(&[]),
        "Its certificate must have one of these, like \"sha-256:0A:1B\" and so on; authorities then count only with ca_file or ca.",
    ),
    key("min_version", choice(&["1.2", "1.3"]), Default::Text("1.2"), "No older version of TLS is spoken."),
];

/// The ways to name a secret's place; exactly one is written.
pub(crate) const SECRET: &[Key] = &[
    key("file", Shape::Path, Default::Absent, "A file that holds the secret and nothing else."),
    key("env", text(256), Default::Absent, "An environment variable; visible to more than a file is."),
    key("credential", name(255), Default::Absent, "A systemd credential, from LoadCredential=."),
];

pub(crate) const SECRET_ADVICE: &str = "put the secret into a file of mode 0600 and write { file = \"/path\" }, or { credential = \"name\" }, or { env = \"NAME\" }";

pub(crate) const TARGETS: &[&str] = &["any", "public"];
pub(crate) const RUNTIMES: &[&str] = &["auto", "io_uring", "epoll"];
pub(crate) const DURABILITIES: &[&str] = &["fsync", "interval", "os"];
pub(crate) const ON_FULLS: &[&str] = &["drop_oldest", "block"];
pub(crate) const LOG_FORMATS: &[&str] = &["text", "json"];
pub(crate) const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
