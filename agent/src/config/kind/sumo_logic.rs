//! Sumo Logic's HTTP source.

use scaidrive_codecs::sumo::{self, LabelError, MAX_BYTES};

use super::super::auth::Auth;
use super::super::destination::Destination;
use super::super::keys::{Default, Key, Shape, batch, choice, compression, in_flight, key, proxy, shape, text};
use super::super::parse_secret::secret;
use super::super::problems::{briefly, shown};
use super::super::settings::{Setting, list, some};
use super::super::url::HttpUrl;
use super::super::walk::Section;
use super::{Kind, Parsed, Reading, Row};

/// Sumo Logic's HTTP source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumoLogic {
    /// The source's address; without its path where the whole address is a secret, which is with the credentials then.
    pub url: HttpUrl,
    /// Its `_sourceName`; the source's own when `None`.
    pub source_name: Option<String>,
    /// Its `_sourceHost`.
    pub source_host: Option<String>,
    /// Its `_sourceCategory`.
    pub source_category: Option<String>,
    /// Fields of every message, as written.
    pub fields: Vec<(String, String)>,
    /// What a message is.
    pub shape: scaidrive_codecs::Shape,
}

pub(super) const ROW: Row = Row { name: "sumo_logic", keys: KEYS, is_always_ordered: false, parse };

const KEYS: &[Key] = &[
    key(
        "secret_url",
        Shape::Secret,
        Default::Absent,
        "The source's whole address, which is a secret; or url and token.",
    ),
    key("url", Shape::Url, Default::Absent, "The source's address without its code; together with token."),
    key("token", Shape::Secret, Default::Absent, "The source's token; together with url."),
    key("source_name", text(255), Default::Absent, "The _sourceName of every message; the source's own when absent."),
    key("source_host", text(255), Default::Absent, "The _sourceHost; agent.node when absent."),
    key(
        "source_category",
        text(255),
        Default::Text("scaidrive/audit"),
        "The _sourceCategory; the starter content expects the default.",
    ),
    key(
        "fields",
        Shape::Texts,
        Default::Texts(&[]),
        "Fields of every message, like \"env=prod\"; the account must know them.",
    ),
    shape(&["canonical", "ecs", "ocsf", "cef", "leef"]),
    compression(choice(&["gzip", "none"])),
    in_flight(2),
    proxy(),
    key("batch", Shape::Table(BATCH), Default::Absent, "How many events travel together."),
];

const BATCH: &[Key] = &batch(1000, 10_000, "1000000B", MAX_BYTES as u64);

fn parse(reading: &Reading<'_>) -> Option<Parsed> {
    let section = reading.section;
    let address = address(reading);
    let source_name = section.optional("source_name", Section::text);
    let source_host = section.optional("source_host", Section::text);
    let source_category = section.text("source_category");
    let fields = fields(section);
    let shape = reading.shape();
    let (url, auth) = address?;
    let sumo = SumoLogic {
        url,
        source_name: source_name?,
        source_host: Some(source_host?.unwrap_or_else(|| reading.node.to_owned())),
        source_category: Some(source_category?),
        fields: fields?,
        shape: shape?,
    };
    if let Err(problem) = sumo::Sumo::new(&sumo.for_codec()) {
        let key = match &problem {
            LabelError::Field { .. } => "fields",
            _ => "source_name",
        };
        let what = briefly(&problem.to_string());
        section.problems().error(section.place(key), what, "write printable ASCII characters only");
        return None;
    }
    Some(Parsed { events_max: None, usual_request_timeout: None, kind: Kind::SumoLogic(sumo), auth: vec![auth] })
}

/// Either one secret, or an address and a token.
fn address(reading: &Reading<'_>) -> Option<(HttpUrl, Auth)> {
    let section = reading.section;
    match (section.has("secret_url"), section.has("url") || section.has("token")) {
        (true, false) => {
            let secret = secret(section, "secret_url", reading.surroundings)?;
            let place = || section.place("secret_url");
            let advice = "paste the whole address that Sumo Logic shows for the source";
            let url = match HttpUrl::parse(secret.reveal()) {
                Ok(url) => url,
                Err(why) => {
                    section.problems().error(place(), format!("`secret_url` holds an address which {why}"), advice);
                    return None;
                }
            };
            reading.check_encryption(url.tls, &url.host, "secret_url", "use an address that begins with https://")?;
            Some((HttpUrl { path: String::new(), ..url }, Auth::SecretUrl(secret)))
        }
        (false, true) => {
            let url = reading.url("url");
            let token = secret(section, "token", reading.surroundings);
            Some((url?, Auth::header("token", "x-sumo-token", "", token?)))
        }
        (both, _) => {
            let what = if both { "`secret_url` stands beside url or token" } else { "`secret_url` is missing" };
            let advice = "write secret_url = { file = \"/path\" } with the source's whole address, or url and token";
            section.problems().error(section.place("secret_url"), what, advice);
            None
        }
    }
}

fn fields(section: &Section<'_>) -> Option<Vec<(String, String)>> {
    let texts = section.texts("fields")?;
    let count = texts.len();
    let pairs: Vec<(String, String)> = texts
        .into_iter()
        .filter_map(|(text, place)| match text.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => {
                section.problems().error(
                    place,
                    format!("`fields` holds {}, which has no `=`", shown(&text)),
                    "write \"name=value\"",
                );
                None
            }
        })
        .collect();
    (pairs.len() == count).then_some(pairs)
}

impl SumoLogic {
    /// The same for the codec.
    #[must_use]
    pub fn for_codec(&self) -> sumo::SumoSettings {
        sumo::SumoSettings {
            // A secret path takes its place when a request is sent.
            path: if self.url.path.is_empty() { "/".to_owned() } else { self.url.path.clone() },
            name: self.source_name.clone(),
            host: self.source_host.clone(),
            category: self.source_category.clone(),
            fields: self.fields.clone(),
            shape: self.shape,
        }
    }

    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        let secret_url = destination.secret_setting("secret_url");
        let fields: Vec<String> = self.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        vec![
            ("url", secret_url.1.is_none().then(|| self.url.to_string())),
            secret_url,
            destination.secret_setting("token"),
            ("source_name", self.source_name.clone()),
            ("source_host", self.source_host.clone()),
            ("source_category", self.source_category.clone()),
            ("fields", Some(list(&fields))),
            some("shape", self.shape.name()),
        ]
    }
}
