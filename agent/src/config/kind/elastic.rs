//! Elasticsearch and OpenSearch.

use scaidrive_codecs::elastic::{self, DocumentId, ElasticSettings, MAX_BYTES, Op};

use super::super::auth::{Auth, Aws, AwsSource};
use super::super::destination::Destination;
use super::super::keys::{Default, Key, Shape, batch, choice, compression, in_flight, key, name, proxy, shape, text};
use super::super::parse_secret::secret;
use super::super::problems::briefly;
use super::super::settings::{Setting, list, some};
use super::super::url::HttpUrl;
use super::super::walk::Section;
use super::{Kind, Parsed, Reading, Row};

/// Elasticsearch or OpenSearch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elastic {
    /// The servers of one cluster, all with the same path.
    pub urls: Vec<HttpUrl>,
    /// The data stream or index.
    pub target: String,
    /// How documents are written.
    pub op: Op,
    /// What documents are called.
    pub id: DocumentId,
    /// What documents are.
    pub shape: scaidrive_codecs::Shape,
}

pub(super) const ROW: Row = Row { name: "elastic", keys: KEYS, is_always_ordered: false, parse };

const KEYS: &[Key] = &[
    key("urls", Shape::Texts, Default::Texts(&[]), "The addresses of the cluster's servers; they are used in turn."),
    key("url", Shape::Url, Default::Absent, "The address, where there is one only."),
    key("target", text(255), Default::Text("logs-scaidrive.audit-default"), "The data stream or index to write to."),
    key(
        "op",
        choice(OPS),
        Default::Text("create"),
        "How documents are written: create for data streams, index for plain indexes.",
    ),
    key(
        "document_id",
        choice(IDS),
        Default::Text("number"),
        "What documents are called: number (stream and number, so that a retry writes the same one), event_id, or none.",
    ),
    key("api_key", Shape::Secret, Default::Absent, "An API key, as it is shown: encoded for Elasticsearch."),
    key("user", text(255), Default::Absent, "A user; together with password."),
    key("password", Shape::Secret, Default::Absent, "The user's password."),
    key("bearer_token", Shape::Secret, Default::Absent, "A bearer token."),
    key("aws", Shape::Table(AWS), Default::Absent, "Signs requests for Amazon OpenSearch."),
    shape(&["canonical", "ecs", "ocsf"]),
    compression(choice(&["gzip", "none"])),
    in_flight(4),
    proxy(),
    key("batch", Shape::Table(BATCH), Default::Absent, "How many events travel together."),
];

pub(super) const AWS: &[Key] = &[
    key("region", name(64), Default::Required, "The region, like eu-central-1."),
    key("service", choice(&["es", "aoss"]), Default::Text("es"), "es for domains, aoss for Serverless."),
    key(
        "access_key_id",
        name(128),
        Default::Absent,
        "An access key; without one the keys come from environment, web identity, container or machine.",
    ),
    key("secret_access_key", Shape::Secret, Default::Absent, "The secret of the access key."),
    key("session_token", Shape::Secret, Default::Absent, "The session token of temporary keys."),
];

const BATCH: &[Key] = &batch(1000, 10_000, "4MiB", MAX_BYTES as u64);
const OPS: &[&str] = &["create", "index"];
const IDS: &[&str] = &["number", "event_id", "none"];

fn parse(reading: &Reading<'_>) -> Option<Parsed> {
    let section = reading.section;
    let urls = urls(reading);
    let target = section.text("target");
    let op = section.choice("op").map(|position| [Op::Create, Op::Index][position]);
    let id = section
        .choice("document_id")
        .map(|position| [DocumentId::StreamAndNumber, DocumentId::EventId, DocumentId::None][position]);
    let shape = reading.shape();
    let auth = auth(reading);
    let elastic = Elastic { urls: urls?, target: target?, op: op?, id: id?, shape: shape? };
    if let Err(problem) = elastic::Elastic::new(&elastic.for_codec()) {
        let advice = "name a data stream like logs-scaidrive.audit-default, or an index";
        section.problems().error(section.place("target"), briefly(&problem.to_string()), advice);
        return None;
    }
    Some(Parsed { events_max: None, usual_request_timeout: None, kind: Kind::Elastic(elastic), auth: auth? })
}

fn urls(reading: &Reading<'_>) -> Option<Vec<HttpUrl>> {
    let section = reading.section;
    let problem = |key: &str, what: &str| {
        let advice = "write url = \"https://…:9200\", or urls = [\"https://…\", …] for several servers of one cluster";
        section.problems().error(section.place(key), what, advice);
        None
    };
    match (section.has("url"), section.has("urls")) {
        (true, true) => problem("url", "`url` stands beside urls"),
        (true, false) => Some(vec![reading.url("url")?]),
        (false, false) => problem("url", "`url` is missing"),
        (false, true) => {
            let mut urls: Vec<HttpUrl> = Vec::new();
            let texts = section.texts("urls")?;
            let count = texts.len();
            for (text, place) in texts {
                match HttpUrl::parse(&text) {
                    Ok(url) if urls.first().is_none_or(|first| first.path == url.path) => urls.push(url),
                    Ok(_) => section.problems().error(
                        place,
                        "`urls` holds addresses with different paths",
                        "the servers of one cluster take the same requests: give each a destination of its own otherwise",
                    ),
                    Err(why) => section.problems().error(
                        place,
                        format!("`urls` holds an address which {why}"),
                        "write them like \"https://elastic-1.example.com:9200\"",
                    ),
                }
            }
            if count == 0 {
                return problem("urls", "`urls` is empty");
            }
            for url in &urls {
                reading.check_encryption(url.tls, &url.host, "urls", "write https:// in urls")?;
            }
            (urls.len() == count).then_some(urls)
        }
    }
}

fn auth(reading: &Reading<'_>) -> Option<Vec<Auth>> {
    let section = reading.section;
    match reading.one_of(&["api_key", "user", "bearer_token", "aws"])? {
        None => {
            if section.has("password") {
                reading.basic()?;
            }
            Some(Vec::new())
        }
        Some("api_key") => {
            let key = secret(section, "api_key", reading.surroundings)?;
            Some(vec![Auth::header("api_key", "Authorization", "ApiKey ", key)])
        }
        Some("user") => Some(vec![reading.basic()?]),
        Some("bearer_token") => {
            let token = secret(section, "bearer_token", reading.surroundings)?;
            Some(vec![Auth::header("bearer_token", "Authorization", "Bearer ", token)])
        }
        Some(_) => Some(vec![Auth::Aws(aws(reading)?)]),
    }
}

fn aws(reading: &Reading<'_>) -> Option<Aws> {
    let section = reading.section.table("aws");
    let (region, service) = (section.text("region"), section.word("service"));
    let access_key_id = section.optional("access_key_id", Section::text);
    let secret_of = |section: &Section<'_>, name: &str| secret(section, name, reading.surroundings);
    let secret_access_key = section.optional("secret_access_key", secret_of);
    let session_token = section.optional("session_token", secret_of);
    let source = match (access_key_id?, secret_access_key?) {
        (Some(access_key_id), Some(secret_access_key)) => {
            AwsSource::Keys { access_key_id, secret_access_key, session_token: session_token? }
        }
        (None, None) => AwsSource::Surroundings,
        (id, _) => {
            let (there, missing) = match id {
                Some(_) => ("access_key_id", "secret_access_key"),
                None => ("secret_access_key", "access_key_id"),
            };
            let what = format!("`{there}` is set without `{missing}`");
            section.problems().error(section.place(there), what, format!("add {missing}"));
            return None;
        }
    };
    Some(Aws { region: region?, service: service?.to_owned(), source })
}

impl Elastic {
    /// The same for the codec.
    #[must_use]
    pub fn for_codec(&self) -> ElasticSettings {
        let base = self.urls.first().map(|url| url.path.clone()).unwrap_or_default();
        ElasticSettings { base, target: self.target.clone(), op: self.op, id: self.id, shape: self.shape }
    }

    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        let urls: Vec<String> = self.urls.iter().map(HttpUrl::to_string).collect();
        let (one, several) = match urls.as_slice() {
            [one] => (Some(one.clone()), None),
            several => (None, Some(list(several))),
        };
        let basic = destination.auth.iter().find_map(|auth| match auth {
            Auth::Basic { user, .. } => Some(user.clone()),
            _ => None,
        });
        let aws = destination.auth.iter().find_map(|auth| match auth {
            Auth::Aws(aws) => Some(aws),
            _ => None,
        });
        let access_key_id = aws.and_then(|aws| match &aws.source {
            AwsSource::Keys { access_key_id, .. } => Some(access_key_id.clone()),
            AwsSource::Surroundings => None,
        });
        vec![
            ("url", one),
            ("urls", several),
            some("target", &self.target),
            some("op", OPS[self.op as usize]),
            some("document_id", IDS[self.id as usize]),
            some("shape", self.shape.name()),
            destination.secret_setting("api_key"),
            ("user", basic),
            destination.secret_setting("password"),
            destination.secret_setting("bearer_token"),
            ("aws.region", aws.map(|aws| aws.region.clone())),
            ("aws.service", aws.map(|aws| aws.service.clone())),
            ("aws.access_key_id", access_key_id),
            destination.secret_setting("aws.secret_access_key"),
            destination.secret_setting("aws.session_token"),
        ]
    }
}
