//! From a `[[destination]]` table to a [`Destination`].

use std::path::Path;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use scaidrive_codecs::{Filter, FilterSpec, Scope};

use super::Surroundings;
use super::destination::{
    BatchSettings, Compression, Destination, DestinationId, HecAck, Kind, SplunkHec, Timeouts, TlsSettings, TlsVersion,
};
use super::fingerprint::Fingerprint;
use super::keys::{DESTINATION_KEYS_LATER, DESTINATION_TYPES};
use super::parse_secret::{secret, with_cause};
use super::parse_syslog::{syslog, usual_request_timeout};
use super::problems::Place;
use super::url::is_loopback;
use super::walk::Section;

/// Reads one destination and reports all that is wrong with it. `node` is the label of this node.
pub(crate) fn destination(mut section: Section<'_>, node: &str, surroundings: &Surroundings) -> Option<Destination> {
    let Some((type_name, keys)) = section.choice("type").and_then(|position| DESTINATION_TYPES.get(position)) else {
        // Which keys belong here is not known; the common ones can still be looked at.
        common(&section);
        return None;
    };
    section.extend(keys);
    section.report_unknown(DESTINATION_KEYS_LATER);
    let common = common(&section);
    let ordered = ordered(&section, type_name);
    let compression = if section.knows("compression") { section.choice("compression") } else { Some(1) };
    let in_flight = if section.knows("in_flight") { section.count("in_flight") } else { Some(1) };
    let kind = match *type_name {
        "splunk_hec" => splunk_hec(&section, node, surroundings).map(Kind::SplunkHec),
        _ => syslog(&section, node).map(Kind::Syslog),
    };
    let (mut common, ordered, kind) = (common?, ordered?, kind?);
    if let Kind::Syslog(syslog) = &kind
        && let Some(usual) = usual_request_timeout(syslog)
        && !section.table("timeouts").has("request")
    {
        common.timeouts.request = usual;
    }
    if ordered && section.has("in_flight") && in_flight? > 1 {
        return section.refuse(
            "in_flight",
            &in_flight?.to_string(),
            "is more than 1, and ordered = true allows no more",
        );
    }
    Some(Destination {
        kind,
        compression: [Compression::Gzip, Compression::None][compression?],
        ordered,
        in_flight_max: if ordered { 1 } else { in_flight? as usize },
        id: common.id,
        name: common.name,
        tenants: common.tenants,
        scope: common.scope,
        filter_spec: common.filter_spec,
        filter: common.filter,
        batch: common.batch,
        tls: common.tls,
        required: common.required,
        timeouts: common.timeouts,
    })
}

/// What every type of destination has.
struct Common {
    id: DestinationId,
    name: String,
    tenants: Vec<String>,
    scope: Scope,
    filter_spec: FilterSpec,
    filter: Filter,
    batch: BatchSettings,
    tls: TlsSettings,
    required: bool,
    timeouts: Timeouts,
}

fn common(section: &Section<'_>) -> Option<Common> {
    let name = section.text("name");
    let id = section.optional("id", Section::text);
    let scope = scope(section);
    let filter = filter(&section.table("filter"));
    let batch = batch(&section.table("batch"));
    let tls = tls(&section.table("tls"));
    let required = section.flag("required");
    let timeouts = section.table("timeouts");
    let (connect, request) = (timeouts.span("connect"), timeouts.span("request"));
    let name = name?;
    let (tenants, scope) = scope?;
    let (filter_spec, filter) = filter?;
    Some(Common {
        id: DestinationId::from_text(&id?.unwrap_or_else(|| name.clone())),
        name,
        tenants,
        scope,
        filter_spec,
        filter,
        batch: batch?,
        tls: tls?,
        required: required?,
        timeouts: Timeouts { connect: connect?, request: request? },
    })
}

fn splunk_hec(section: &Section<'_>, node: &str, surroundings: &Surroundings) -> Option<SplunkHec> {
    let url = section.url("url");
    let token = secret(section, "token", surroundings);
    let ack = section.choice("ack");
    let host = section.optional("host", Section::text);
    let (source, sourcetype) = (section.text("source"), section.text("sourcetype"));
    let index = section.optional("index", Section::text);
    let mut url = url?;
    check_encryption(section, url.tls, &url.host, "url", "write https:// in url")?;
    // People paste the whole endpoint; what comes before it is the prefix a proxy may want.
    if let Some(prefix) = HEC_ENDPOINTS.iter().find_map(|endpoint| url.path.strip_suffix(endpoint)) {
        url.path = prefix.trim_end_matches('/').to_owned();
    }
    Some(SplunkHec {
        url,
        token: token?,
        ack: [HecAck::Auto, HecAck::Off][ack?],
        host: host?.unwrap_or_else(|| node.to_owned()),
        source: source?,
        sourcetype: sourcetype?,
        index: index?,
    })
}

/// Syslog has one connection, so it is always in order.
fn ordered(section: &Section<'_>, type_name: &str) -> Option<bool> {
    let ordered = section.flag("ordered")?;
    if type_name != "syslog" {
        return Some(ordered);
    }
    if section.has("ordered") && !ordered {
        let what = "`ordered` is false, and syslog is always in order";
        section.problems().error(section.place("ordered"), what, "take the line out");
        return None;
    }
    Some(true)
}

/// Settings for TLS where there is none are a mistake somebody believes in; plain text off this machine is a risk.
pub(super) fn check_encryption(
    section: &Section<'_>,
    encrypted: bool,
    host: &str,
    key: &str,
    advice: &str,
) -> Option<()> {
    if encrypted {
        return Some(());
    }
    if section.has("tls") {
        let what = "`tls` is set, and the connection is not encrypted";
        section.problems().error(section.place("tls"), what, format!("{advice}, or take tls out"));
        return None;
    }
    if !is_loopback(host) {
        let what = format!("events cross the network unencrypted to {host}");
        section.problems().warn(section.place(key), what, advice);
    }
    Some(())
}

fn scope(section: &Section<'_>) -> Option<(Vec<String>, Scope)> {
    let tenants: Vec<String> = section.texts("tenants")?.into_iter().map(|(tenant, _)| tenant).collect();
    match Scope::compile(&tenants) {
        Ok(scope) => Some((tenants, scope)),
        Err(error) => {
            let advice = "write tenants = [\"*\"] for everyone's events, or the tenants' ids in full";
            section.problems().error(section.place("tenants"), error.to_string(), advice);
            None
        }
    }
}

fn filter(section: &Section<'_>) -> Option<(FilterSpec, Filter)> {
    let lists =
        ["categories", "actions", "severities", "excluded_users", "excluded_paths"].map(|name| section.texts(name));
    let [categories, actions, severities, users, paths] = lists;
    let lists = [categories?, actions?, severities?, users?, paths?];
    let places: Vec<(String, Place)> = lists.iter().flatten().cloned().collect();
    let [categories, actions, severities, excluded_users, excluded_paths] =
        lists.map(|list| list.into_iter().map(|(text, _)| text).collect::<Vec<String>>());
    let spec = FilterSpec { categories, actions, severities, excluded_users, excluded_paths };
    match Filter::compile(&spec) {
        Ok(filter) => Some((spec, filter)),
        Err(errors) => {
            for error in errors {
                let at = |(text, place): &&(String, Place)| *text == error.found && place.key.ends_with(error.list);
                let place =
                    places.iter().find(at).map_or_else(|| section.place(error.list), |(_, place)| place.clone());
                let what = format!("`{}`: {}", error.list, error.problem);
                section.problems().error(place, what, "correct the entry, or take it out");
            }
            None
        }
    }
}

fn batch(section: &Section<'_>) -> Option<BatchSettings> {
    let (max_events, max_size, linger) =
        (section.count("max_events"), section.size("max_size"), section.span("linger"));
    Some(BatchSettings { max_events: max_events? as usize, max_size: max_size? as usize, linger: linger? })
}

fn tls(section: &Section<'_>) -> Option<TlsSettings> {
    let ca_file = section.optional("ca_file", Section::path);
    let server_name = section.optional("server_name", Section::host);
    let cert_file = section.optional("cert_file", Section::path);
    let key_file = section.optional("key_file", Section::path);
    let fingerprints = fingerprints(section);
    let min_version = section.choice("min_version").map(|position| [TlsVersion::Tls12, TlsVersion::Tls13][position]);
    let (ca_file, cert_file, key_file) = (ca_file?, cert_file?, key_file?);
    let ca = ca_file.as_deref().map_or(Some(()), |path| check_certificates(section, "ca_file", path));
    let cert = cert_file.as_deref().map_or(Some(()), |path| check_certificates(section, "cert_file", path));
    let key = key_file.as_deref().map_or(Some(()), |path| check_key(section, path));
    let identity = match (cert_file, key_file) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (cert, _) => {
            let (there, missing) = if cert.is_some() { ("cert_file", "key_file") } else { ("key_file", "cert_file") };
            section.problems().error(
                section.place(there),
                format!("`{there}` is set without `{missing}`"),
                format!("add {missing}"),
            );
            return None;
        }
    };
    // Each was looked at, whatever was wrong with the others.
    ca.and(cert).and(key)?;
    Some(TlsSettings {
        ca_file,
        server_name: server_name?,
        identity,
        fingerprints: fingerprints?,
        min_version: min_version?,
    })
}

fn fingerprints(section: &Section<'_>) -> Option<Vec<Fingerprint>> {
    let written = section.texts("fingerprints")?;
    let count = written.len();
    let mut found = Vec::new();
    for (text, place) in written {
        match Fingerprint::parse(&text) {
            Some(fingerprint) => {
                if matches!(fingerprint, Fingerprint::Sha1(_)) {
                    let what =
                        "`fingerprints` holds one of SHA-1, and another certificate with the same one can be made";
                    section.problems().warn(place, what, "write the certificate's SHA-256 fingerprint");
                }
                found.push(fingerprint);
            }
            None => {
                let what = format!("`fingerprints` holds \"{text}\", which is not a fingerprint");
                let advice = "write \"sha-256:\" and 32 pairs of hexadecimal digits with colons between them";
                section.problems().error(place, what, advice);
            }
        }
    }
    (found.len() == count).then_some(found)
}

fn check_certificates(section: &Section<'_>, name: &str, path: &Path) -> Option<()> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(found) if !found.is_empty() => Some(()),
        Ok(_) => pem_problem(section, name, format!("{} holds no certificate in PEM", path.display())),
        Err(error) => pem_problem(
            section,
            name,
            format!("the certificates in {} cannot be read: {}", path.display(), with_cause(&error)),
        ),
    }
}

fn check_key(section: &Section<'_>, path: &Path) -> Option<()> {
    // The error is left out: nothing about a private key's bytes belongs on a screen.
    match PrivateKeyDer::from_pem_file(path) {
        Ok(_) => Some(()),
        Err(_) => pem_problem(
            section,
            "key_file",
            format!("{} cannot be read, or holds no private key in PEM", path.display()),
        ),
    }
}

fn pem_problem(section: &Section<'_>, name: &str, what: String) -> Option<()> {
    section.problems().error(section.place(name), what, "name a file in PEM that this user may read");
    None
}

/// The documented spellings of the endpoint, longest first.
const HEC_ENDPOINTS: [&str; 3] = ["/services/collector/event/1.0", "/services/collector/event", "/services/collector"];
