//! Splunk's HTTP Event Collector.

use super::super::auth::Auth;
use super::super::destination::Destination;
use super::super::keys::{BATCH, Default, Key, Shape, choice, compression, in_flight, key, name, proxy, text};
use super::super::parse_secret::secret;
use super::super::settings::{Setting, some};
use super::super::url::HttpUrl;
use super::super::walk::Section;
use super::{Kind, Parsed, Reading, Row};

/// Splunk's HTTP Event Collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplunkHec {
    /// Its address; the path is what comes before `/services/collector`.
    pub url: HttpUrl,
    /// Whether indexer acknowledgement is used.
    pub ack: HecAck,
    /// Splunk's host field; the node's label unless something else is written.
    pub host: String,
    /// Splunk's source field.
    pub source: String,
    /// Splunk's sourcetype.
    pub sourcetype: String,
    /// Index to write to; the token's own when `None`.
    pub index: Option<String>,
}

/// Whether Splunk's indexer acknowledgement is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HecAck {
    /// If the token has it.
    Auto,
    /// Always: a token without it is a wrong setting.
    On,
    /// Never asked for.
    Off,
}

pub(super) const ROW: Row = Row { name: "splunk_hec", keys: KEYS, is_always_ordered: false, parse };

const KEYS: &[Key] = &[
    key("url", Shape::Url, Default::Required, "The collector's address, without /services/collector."),
    key("token", Shape::Secret, Default::Required, "The collector's token."),
    key(
        "ack",
        choice(ACKS),
        Default::Text("auto"),
        "Indexer acknowledgement: used if the token has it (auto), demanded of it (on), or never asked for (off).",
    ),
    key("host", text(255), Default::Absent, "Splunk's host field; agent.node when absent."),
    key("source", text(255), Default::Text("scaidrive:audit"), "Splunk's source field."),
    key(
        "sourcetype",
        text(255),
        Default::Text("scaidrive:audit"),
        "Splunk's sourcetype; the starter content expects the default.",
    ),
    key("index", name(80), Default::Absent, "The index to write to; the token's own when absent."),
    compression(choice(&["gzip", "none"])),
    in_flight(4),
    proxy(),
    key("batch", Shape::Table(BATCH), Default::Absent, "How many events travel together."),
];

const ACKS: &[&str] = &["auto", "on", "off"];

fn parse(reading: &Reading<'_>) -> Option<Parsed> {
    let section = reading.section;
    let url = reading.url("url");
    let token = secret(section, "token", reading.surroundings);
    let ack = section.choice("ack");
    let host = section.optional("host", Section::text);
    let (source, sourcetype) = (section.text("source"), section.text("sourcetype"));
    let index = section.optional("index", Section::text);
    let mut url = url?;
    // People paste the whole endpoint; what comes before it is the prefix a proxy may want.
    if let Some(prefix) = ENDPOINTS.iter().find_map(|endpoint| url.path.strip_suffix(endpoint)) {
        url.path = prefix.trim_end_matches('/').to_owned();
    }
    let hec = SplunkHec {
        url,
        ack: [HecAck::Auto, HecAck::On, HecAck::Off][ack?],
        host: host?.unwrap_or_else(|| reading.node.to_owned()),
        source: source?,
        sourcetype: sourcetype?,
        index: index?,
    };
    Some(Parsed {
        events_max: None,
        usual_request_timeout: None,
        kind: Kind::SplunkHec(hec),
        auth: vec![Auth::header("token", "Authorization", "Splunk ", token?)],
    })
}

impl SplunkHec {
    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        vec![
            some("url", &self.url),
            destination.secret_setting("token"),
            some("ack", ACKS[self.ack as usize]),
            some("host", &self.host),
            some("source", &self.source),
            some("sourcetype", &self.sourcetype),
            ("index", self.index.clone()),
        ]
    }
}

/// The documented spellings of the endpoint, longest first.
const ENDPOINTS: [&str; 3] = ["/services/collector/event/1.0", "/services/collector/event", "/services/collector"];
