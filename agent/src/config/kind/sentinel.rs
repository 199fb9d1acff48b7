//! Microsoft Sentinel: the Logs Ingestion API, and for those who still have it the retired Data Collector API.

use scaidrive_codecs::data_collector::{self, DataCollectorSettings};
use scaidrive_codecs::oauth::{Cloud, Identity};
use scaidrive_codecs::sentinel::{self, ASIM_STREAM, MAX_BYTES, STREAM, SentinelSettings};
use scaidrive_codecs::signature::SigningKey;

use super::super::auth::{Auth, Entra, EntraIdentity};
use super::super::destination::Destination;
use super::super::keys::{Default, Key, Shape, batch, choice, compression, in_flight, key, name, proxy, shape, text};
use super::super::parse_secret::secret;
use super::super::problems::briefly;
use super::super::settings::{Setting, some};
use super::super::url::HttpUrl;
use super::super::walk::Section;
use super::{Kind, Parsed, Reading, Row, encrypted_url};

/// Microsoft Sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// Where requests go.
    pub url: HttpUrl,
    /// Which cloud it is in.
    pub cloud: Cloud,
    /// By which of its interfaces.
    pub api: SentinelApi,
}

/// The interfaces of a Log Analytics workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentinelApi {
    /// The Logs Ingestion API.
    LogsIngestion(SentinelSettings),
    /// The HTTP Data Collector API, whose support ended on 14 September 2026.
    DataCollector(DataCollectorSettings),
}

pub(super) const ROW: Row = Row { name: "sentinel", keys: KEYS, is_always_ordered: false, parse };

const KEYS: &[Key] = &[
    key(
        "api",
        choice(APIS),
        Default::Text("logs_ingestion"),
        "The interface; data_collector is retired and may stop any day.",
    ),
    key("cloud", choice(CLOUDS), Default::Text("public"), "Which of Microsoft's clouds."),
    key(
        "url",
        Shape::Url,
        Default::Absent,
        "The ingestion endpoint of the data collection rule, or of a data collection endpoint.",
    ),
    key("rule", text(64), Default::Absent, "The immutable id of the data collection rule: dcr- and 32 digits."),
    key(
        "stream",
        text(128),
        Default::Text(STREAM),
        "The stream that the rule declares; Custom-ScaiDriveAsim when absent with shape = \"asim\".",
    ),
    key(
        "tenant_id",
        text(128),
        Default::Absent,
        "The tenant of the application in Entra ID; $AZURE_TENANT_ID when absent.",
    ),
    key(
        "client_id",
        text(128),
        Default::Absent,
        "The application, or the user-assigned identity; $AZURE_CLIENT_ID when absent.",
    ),
    key("client_secret", Shape::Secret, Default::Absent, "The application's secret."),
    key(
        "client_certificate",
        Shape::Table(CERTIFICATE),
        Default::Absent,
        "The application's certificate instead of a secret.",
    ),
    key(
        "federated_token_file",
        Shape::Path,
        Default::Absent,
        "A token of another issuer that the application trusts, rotated by others.",
    ),
    key(
        "managed_identity",
        choice(MANAGED),
        Default::Text("off"),
        "Use this machine's identity: its own (system), or the one that client_id names (user).",
    ),
    key("authority", Shape::Url, Default::Absent, "Where tokens are asked for; the cloud's own when absent."),
    key("workspace_id", text(64), Default::Absent, "The workspace; only with api = \"data_collector\"."),
    key(
        "workspace_key",
        Shape::Secret,
        Default::Absent,
        "One of the workspace's keys; only with api = \"data_collector\".",
    ),
    key("log_type", name(100), Default::Text("ScaiDriveAudit"), "The record type; only with api = \"data_collector\"."),
    key(
        "resource_id",
        text(1024),
        Default::Absent,
        "The Azure resource the records are about; only with api = \"data_collector\".",
    ),
    shape(&["canonical", "asim"]),
    compression(choice(&["gzip", "none"])),
    in_flight(4),
    proxy(),
    key("batch", Shape::Table(BATCH), Default::Absent, "How many events travel together."),
];

const CERTIFICATE: &[Key] = &[
    key("cert_file", Shape::Path, Default::Required, "The certificate, in PEM."),
    key("key_file", Shape::Path, Default::Required, "Its private key, RSA, in PEM."),
];

const BATCH: &[Key] = &batch(1000, 10_000, "1000000B", MAX_BYTES as u64);
const APIS: &[&str] = &["logs_ingestion", "data_collector"];
const CLOUDS: &[&str] = &["public", "us_government", "china"];
const MANAGED: &[&str] = &["off", "system", "user"];
/// Keys that have no meaning with the other interface.
const ONLY_LOGS_INGESTION: &[&str] = &[
    "shape",
    "rule",
    "stream",
    "tenant_id",
    "client_id",
    "client_secret",
    "client_certificate",
    "federated_token_file",
    "managed_identity",
    "authority",
];
const ONLY_DATA_COLLECTOR: &[&str] = &["workspace_id", "workspace_key", "log_type", "resource_id"];

fn parse(reading: &Reading<'_>) -> Option<Parsed> {
    let section = reading.section;
    let cloud = section.choice("cloud").map(|position| [Cloud::Public, Cloud::UsGov, Cloud::China][position]);
    match section.choice("api")? {
        0 => {
            reading.refuse_beside("api", "\"logs_ingestion\"", ONLY_DATA_COLLECTOR)?;
            logs_ingestion(reading, cloud?)
        }
        _ => {
            reading.refuse_beside("api", "\"data_collector\"", ONLY_LOGS_INGESTION)?;
            data_collector(reading, cloud?)
        }
    }
}

fn logs_ingestion(reading: &Reading<'_>, cloud: Cloud) -> Option<Parsed> {
    let section = reading.section;
    let url = reading.required("url", Reading::url);
    let rule = reading.required("rule", |reading, name| reading.section.text(name));
    let shape = reading.shape();
    let stream = match shape {
        Some(scaidrive_codecs::Shape::Asim) if !section.has("stream") => Some(ASIM_STREAM.to_owned()),
        _ => section.text("stream"),
    };
    let authority = section.optional("authority", encrypted_url);
    let identity = identity(reading);
    let settings = SentinelSettings { dcr: rule?, stream: stream?, shape: shape? };
    if let Err(problem) = sentinel::Sentinel::new(&settings) {
        let key = match &problem {
            sentinel::SentinelError::Dcr { .. } => "rule",
            _ => "stream",
        };
        let what = briefly(&problem.to_string());
        section.problems().error(section.place(key), what, "copy it from the rule's JSON view");
        return None;
    }
    let entra = Entra { cloud, authority: authority?, identity: identity? };
    let sentinel = Sentinel { url: url?, cloud, api: SentinelApi::LogsIngestion(settings) };
    Some(Parsed {
        events_max: None,
        usual_request_timeout: None,
        kind: Kind::Sentinel(sentinel),
        auth: vec![Auth::Entra(entra)],
    })
}

fn identity(reading: &Reading<'_>) -> Option<EntraIdentity> {
    let section = reading.section;
    let managed = section.choice("managed_identity")?;
    let shown = reading.one_of(&["client_secret", "client_certificate", "federated_token_file"])?;
    // The machine's own identity has none.
    let client_id = || reading.text_or_variable("client_id", "AZURE_CLIENT_ID");
    if managed > 0 {
        if let Some(other) = shown {
            let what = format!("`{other}` stands beside managed_identity");
            section.problems().error(section.place(other), what, "take one of them out");
            return None;
        }
        return match managed {
            1 => Some(EntraIdentity::Managed(Identity::System)),
            _ => Some(EntraIdentity::Managed(Identity::ClientId(client_id()?))),
        };
    }
    let tenant = reading.text_or_variable("tenant_id", "AZURE_TENANT_ID");
    let client_id = client_id();
    match shown {
        Some("client_secret") => {
            let secret = secret(section, "client_secret", reading.surroundings);
            Some(EntraIdentity::Secret { tenant: tenant?, client_id: client_id?, secret: secret? })
        }
        Some("client_certificate") => {
            let files = section.table("client_certificate");
            let (certificate, key) = (files.path("cert_file"), files.path("key_file"));
            Some(EntraIdentity::Certificate {
                tenant: tenant?,
                client_id: client_id?,
                certificate: certificate?,
                key: key?,
            })
        }
        Some(_) => {
            let token_file = section.path("federated_token_file");
            Some(EntraIdentity::Workload { tenant: tenant?, client_id: client_id?, token_file: token_file? })
        }
        None => {
            if let Some(file) = (reading.surroundings.lookup)("AZURE_FEDERATED_TOKEN_FILE") {
                return Some(EntraIdentity::Workload {
                    tenant: tenant?,
                    client_id: client_id?,
                    token_file: file.into(),
                });
            }
            let advice =
                "add client_secret, client_certificate, federated_token_file, or managed_identity = \"system\"";
            section.problems().error(section.place("client_secret"), "nothing says who asks for tokens", advice);
            None
        }
    }
}

fn data_collector(reading: &Reading<'_>, cloud: Cloud) -> Option<Parsed> {
    let section = reading.section;
    let what =
        "the Data Collector API is retired: Microsoft's support ended on 14 September 2026, and it may stop any day";
    section.problems().warn(
        section.place("api"),
        what,
        "move to the Logs Ingestion API: leave api out, and set url and rule",
    );
    if section.has("compression") && section.word("compression").is_some_and(|coding| coding != "none") {
        let what = "`compression` has no meaning with api = \"data_collector\", which documents none";
        section.problems().error(section.place("compression"), what, "take it out");
        return None;
    }
    let url = section.optional("url", |_, name| reading.url(name));
    let workspace = reading.required("workspace_id", |reading, name| reading.section.text(name));
    let key = secret(section, "workspace_key", reading.surroundings);
    let log_type = section.text("log_type");
    let resource_id = section.optional("resource_id", Section::text);
    let (workspace, key) = (workspace?, key?);
    if let Err(problem) = SigningKey::from_base64(key.reveal()) {
        section.problems().error(
            section.place("workspace_key"),
            problem.to_string(),
            "copy the primary or secondary key",
        );
        return None;
    }
    let settings = DataCollectorSettings { workspace, log_type: log_type?, resource_id: resource_id? };
    if let Err(problem) = data_collector::DataCollector::new(&settings) {
        let key = match &problem {
            data_collector::DataCollectorError::Workspace { .. } => "workspace_id",
            data_collector::DataCollectorError::LogType { .. } => "log_type",
            _ => "resource_id",
        };
        let what = briefly(&problem.to_string());
        section.problems().error(section.place(key), what, "copy it from the Azure portal");
        return None;
    }
    let usual =
        || HttpUrl { tls: true, host: cloud.data_collector_host(&settings.workspace), port: 443, path: String::new() };
    let url = url?.unwrap_or_else(usual);
    let auth = vec![Auth::SharedKey { workspace: settings.workspace.clone(), key }];
    let sentinel = Sentinel { url, cloud, api: SentinelApi::DataCollector(settings) };
    Some(Parsed { events_max: None, usual_request_timeout: None, kind: Kind::Sentinel(sentinel), auth })
}

impl Sentinel {
    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        let (ingestion, collector) = match &self.api {
            SentinelApi::LogsIngestion(settings) => (Some(settings), None),
            SentinelApi::DataCollector(settings) => (None, Some(settings)),
        };
        let entra = destination.auth.iter().find_map(|auth| match auth {
            Auth::Entra(entra) => Some(entra),
            _ => None,
        });
        let mut tenant = None;
        let mut client = None;
        let mut certificate = (None, None);
        let mut token_file = None;
        let mut managed = 0;
        match entra.map(|entra| &entra.identity) {
            Some(EntraIdentity::Secret { tenant: found, client_id, .. }) => {
                (tenant, client) = (Some(found.clone()), Some(client_id.clone()));
            }
            Some(EntraIdentity::Certificate { tenant: found, client_id, certificate: cert, key }) => {
                (tenant, client) = (Some(found.clone()), Some(client_id.clone()));
                certificate = (Some(cert.display().to_string()), Some(key.display().to_string()));
            }
            Some(EntraIdentity::Workload { tenant: found, client_id, token_file: file }) => {
                (tenant, client) = (Some(found.clone()), Some(client_id.clone()));
                token_file = Some(file.display().to_string());
            }
            Some(EntraIdentity::Managed(Identity::ClientId(id))) => (client, managed) = (Some(id.clone()), 2),
            Some(EntraIdentity::Managed(_)) => managed = 1,
            None => {}
        }
        vec![
            some("api", APIS[usize::from(collector.is_some())]),
            some("cloud", CLOUDS[self.cloud as usize]),
            some("url", &self.url),
            ("rule", ingestion.map(|settings| settings.dcr.clone())),
            ("stream", ingestion.map(|settings| settings.stream.clone())),
            ("tenant_id", tenant),
            ("client_id", client),
            destination.secret_setting("client_secret"),
            ("client_certificate.cert_file", certificate.0),
            ("client_certificate.key_file", certificate.1),
            ("federated_token_file", token_file),
            some("managed_identity", MANAGED[managed]),
            ("authority", entra.and_then(|entra| entra.authority.as_ref()).map(HttpUrl::to_string)),
            ("workspace_id", collector.map(|settings| settings.workspace.clone())),
            destination.secret_setting("workspace_key"),
            ("log_type", collector.map(|settings| settings.log_type.clone())),
            ("resource_id", collector.and_then(|settings| settings.resource_id.clone())),
            ("shape", ingestion.map(|settings| settings.shape.name().to_owned())),
        ]
    }
}
