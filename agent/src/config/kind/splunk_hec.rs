//! Splunk's HTTP Event Collector.

use scaidrive_codecs::filter::FilterSpec;
use scaidrive_codecs::hec::{EVENT_PATH, HecSettings, IndexRule};

use super::super::auth::Auth;
use super::super::destination::Destination;
use super::super::keys::{
    BATCH, Default, FILTER, Key, Shape, choice, compression, in_flight, key, name, proxy, shape, text,
};
use super::super::parse_destination::{filter, scope};
use super::super::parse_secret::secret;
use super::super::settings::{Setting, list, some};
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
    /// Which events go to another index; the first rule that fits counts.
    pub indexes: Vec<IndexRule>,
    /// What an event is.
    pub shape: scaidrive_codecs::Shape,
    /// Whether what it says in Splunk's own words is indexed beside it.
    pub cim_fields: bool,
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
    key("index", name(INDEX_BYTES_MAX), Default::Absent, "The index to write to; the token's own when absent."),
    key(
        "indexes",
        Shape::Tables(INDEX_RULE),
        Default::Absent,
        "Which events go to another index, each { index = …, tenants = […], filter = { … } }; the first that fits counts.",
    ),
    shape(&["canonical", "ecs", "ocsf", "cef"]),
    key(
        "cim_fields",
        Shape::Flag,
        Default::Flag(false),
        "Whether fields of Splunk's Common Information Model are indexed beside each event.",
    ),
    compression(choice(&["gzip", "none"])),
    in_flight(4),
    proxy(),
    key("batch", Shape::Table(BATCH), Default::Absent, "How many events travel together."),
];

const INDEX_RULE: &[Key] = &[
    key("index", name(INDEX_BYTES_MAX), Default::Required, "The index, which the token must be allowed to write to."),
    key(
        "tenants",
        Shape::Texts,
        Default::Texts(&["*"]),
        "The tenants whose events go there; \"*\" alone for everyone's.",
    ),
    key(
        "filter",
        Shape::Table(FILTER),
        Default::Absent,
        "Which of their events, in the words of a destination's filter.",
    ),
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
    let indexes = indexes(section);
    let (shape, cim_fields) = (reading.shape(), section.flag("cim_fields"));
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
        indexes: indexes?,
        shape: shape?,
        cim_fields: cim_fields?,
    };
    Some(Parsed {
        events_max: None,
        usual_request_timeout: None,
        kind: Kind::SplunkHec(hec),
        auth: vec![Auth::header("token", "Authorization", "Splunk ", token?)],
    })
}

fn indexes(section: &Section<'_>) -> Option<Vec<IndexRule>> {
    let rules = section.tables("indexes", INDEX_RULE, |at, _| format!("indexes number {}", at + 1));
    let count = rules.len();
    if count > INDEX_RULES_MAX {
        let what = format!("`indexes` has {count} rules");
        let advice = format!("write at most {INDEX_RULES_MAX}; one rule may name several tenants");
        section.problems().error(section.place("indexes"), what, advice);
        return None;
    }
    let read: Vec<IndexRule> = rules.iter().filter_map(index_rule).collect();
    if read.len() < count {
        return None;
    }
    if let Some(all) = read.iter().position(takes_all)
        && let Some(unreached) = rules.get(all + 1)
    {
        let what = format!("no event gets as far as this rule: number {} takes them all", all + 1);
        section.problems().warn(unreached.place("index"), what, "put the rule for all events last");
    }
    Some(read)
}

fn takes_all(rule: &IndexRule) -> bool {
    rule.tenants == ["*"] && narrowed_by(&rule.filter).next().is_none()
}

/// The entries of a filter that leave something out.
fn narrowed_by(filter: &FilterSpec) -> impl Iterator<Item = (&'static str, &[String])> {
    [
        ("categories", &filter.categories),
        ("actions", &filter.actions),
        ("severities", &filter.severities),
        ("excluded_users", &filter.excluded_users),
        ("excluded_paths", &filter.excluded_paths),
    ]
    .into_iter()
    .map(|(name, entries)| (name, entries.as_slice()))
    .filter(|(_, entries)| !entries.is_empty() && *entries != ["*"])
}

fn index_rule(section: &Section<'_>) -> Option<IndexRule> {
    section.report_unknown(&[]);
    let (index, tenants, filter) = (section.text("index"), scope(section), filter(&section.table("filter")));
    Some(IndexRule { index: index?, tenants: tenants?.0, filter: filter?.0 })
}

/// A rule as people read it.
fn rule_text(rule: &IndexRule) -> String {
    let mut text = format!("{} for tenants {}", rule.index, list(&rule.tenants));
    for (name, entries) in narrowed_by(&rule.filter) {
        text = format!("{text}, {name} {}", list(entries));
    }
    text
}

impl SplunkHec {
    /// The same for the codec.
    #[must_use]
    pub fn for_codec(&self) -> HecSettings {
        HecSettings {
            path: format!("{}{EVENT_PATH}", self.url.path),
            host: self.host.clone(),
            source: self.source.clone(),
            sourcetype: self.sourcetype.clone(),
            index: self.index.clone(),
            indexes: self.indexes.clone(),
            shape: self.shape,
            cim_fields: self.cim_fields,
        }
    }

    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        vec![
            some("url", &self.url),
            destination.secret_setting("token"),
            some("ack", ACKS[self.ack as usize]),
            some("host", &self.host),
            some("source", &self.source),
            some("sourcetype", &self.sourcetype),
            ("index", self.index.clone()),
            (
                "indexes",
                (!self.indexes.is_empty()).then(|| self.indexes.iter().map(rule_text).collect::<Vec<_>>().join("; ")),
            ),
            some("shape", self.shape.name()),
            some("cim_fields", self.cim_fields),
        ]
    }
}

/// Bytes of an index's name (Splunk, "Create custom indexes").
const INDEX_BYTES_MAX: usize = 80;
/// Rules are tried one by one for each event.
const INDEX_RULES_MAX: usize = 1_000;
/// The documented spellings of the endpoint, longest first.
const ENDPOINTS: [&str; 3] = ["/services/collector/event/1.0", "/services/collector/event", "/services/collector"];
