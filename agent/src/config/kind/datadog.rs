//! Datadog's logs intake.

use scaidrive_codecs::datadog::{self, DatadogSettings, MAX_BYTES, SITES, intake_host};

use super::super::auth::Auth;
use super::super::destination::Destination;
use super::super::keys::{Default, Key, Shape, batch, choice, compression, in_flight, key, proxy, shape, text};
use super::super::parse_secret::secret;
use super::super::problems::briefly;
use super::super::settings::{Setting, list, some};
use super::super::url::HttpUrl;
use super::super::walk::Section;
use super::{Kind, Parsed, Reading, Row};

/// Datadog's logs intake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datadog {
    /// The intake.
    pub url: HttpUrl,
    /// The site whose intake it is; another address when `None`.
    pub site: Option<&'static str>,
    /// How logs are labelled.
    pub labels: DatadogSettings,
}

pub(super) const ROW: Row = Row { name: "datadog", keys: KEYS, is_always_ordered: false, parse };

const KEYS: &[Key] = &[
    key("site", choice(&SITES), Default::Text(SITES[0]), "The Datadog site; a key works only on its own."),
    key(
        "url",
        Shape::Url,
        Default::Absent,
        "The intake's address, where a proxy stands for it; that of the site when absent.",
    ),
    key("api_key", Shape::Secret, Default::Required, "An API key, not an application key."),
    key("source", text(100), Default::Text("scaidrive"), "Datadog's source, which chooses the pipeline."),
    key("service", text(100), Default::Text("scaidrive"), "Datadog's service."),
    key("hostname", text(255), Default::Absent, "Datadog's host; agent.node when absent."),
    key(
        "tags",
        Shape::Texts,
        Default::Texts(&[]),
        "Tags of every log, like \"env:prod\"; the tenant's comes by itself.",
    ),
    // Logs have Datadog's own attributes; there is nothing to choose.
    shape(&["canonical"]),
    compression(choice(&["gzip", "zstd", "none"])),
    in_flight(4),
    proxy(),
    key("batch", Shape::Table(BATCH), Default::Absent, "How many events travel together."),
];

// What other agents found to work well below the limit of 5 MB.
const BATCH: &[Key] = &batch(datadog::MAX_EVENTS as u64, datadog::MAX_EVENTS as u64, "4250000B", MAX_BYTES as u64);

fn parse(reading: &Reading<'_>) -> Option<Parsed> {
    let section = reading.section;
    let site = section.word("site");
    let url = section.optional("url", |_, name| reading.url(name));
    let api_key = secret(section, "api_key", reading.surroundings);
    let (source, service) = (section.text("source"), section.text("service"));
    let hostname = section.optional("hostname", Section::text);
    let tags = section.texts("tags");
    let shape = reading.shape();
    let (site, url, _) = (site?, url?, shape?);
    let url = match url {
        Some(url) => url,
        None => HttpUrl { tls: true, host: intake_host(site).ok()?, port: 443, path: String::new() },
    };
    let labels = DatadogSettings {
        source: source?,
        service: service?,
        hostname: hostname?.unwrap_or_else(|| reading.node.to_owned()),
        tags: tags?.into_iter().map(|(tag, _)| tag).collect(),
    };
    if let Err(problem) = datadog::Datadog::new(&labels) {
        section.problems().error(section.place("tags"), briefly(&problem.to_string()), "write tags like \"env:prod\"");
        return None;
    }
    let site = (!section.has("url")).then_some(site);
    let auth = vec![Auth::header("api_key", "DD-API-KEY", "", api_key?)];
    Some(Parsed {
        events_max: None,
        usual_request_timeout: None,
        kind: Kind::Datadog(Datadog { url, site, labels }),
        auth,
    })
}

impl Datadog {
    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        vec![
            ("site", self.site.map(str::to_owned)),
            ("url", self.site.is_none().then(|| self.url.to_string())),
            destination.secret_setting("api_key"),
            some("source", &self.labels.source),
            some("service", &self.labels.service),
            some("hostname", &self.labels.hostname),
            some("tags", list(&self.labels.tags)),
            some("shape", scaidrive_codecs::Shape::Canonical.name()),
        ]
    }
}
