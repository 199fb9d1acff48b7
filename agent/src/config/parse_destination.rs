//! From a `[[destination]]` table to a [`Destination`].

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use scaidrive_codecs::{Filter, FilterSpec, Redaction, RedactionSpec, Scope};

use super::Surroundings;
use super::authorities::Authorities;
use super::destination::{
    BatchSettings, Compression, Destination, DestinationId, ProxySettings, RateLimit, RedactSettings, Timeouts,
    TlsSettings, TlsVersion,
};
use super::fingerprint::Fingerprint;
use super::kind::{KINDS, Reading, Row};
use super::parse_secret::{secret, with_cause};
use super::problems::{About, Place, briefly, shown};
use super::walk::Section;
use crate::transport::Targets;

/// Reads one destination and reports all that is wrong with it. `node` is the label of this node.
pub(crate) fn destination(mut section: Section<'_>, node: &str, surroundings: &Surroundings) -> Option<Destination> {
    let Some(row) = section.choice("type").and_then(|position| KINDS.get(position)) else {
        // Which keys belong here is not known; the common ones can still be looked at.
        common(&section);
        return None;
    };
    section.extend(row.keys);
    section.report_unknown(&[]);
    let common = common(&section);
    let batch = batch(&section.table("batch"));
    let ordered = ordered(&section, row);
    let compression = compression(&section);
    let in_flight = if section.knows("in_flight") { section.count("in_flight") } else { Some(1) };
    let proxy = if section.has("proxy") && section.knows("proxy") {
        proxy(&section, surroundings).map(Some)
    } else {
        Some(None)
    };
    let rate_limit = rate_limit(&section);
    let redact = redact(&section.table("redact"), surroundings);
    let parsed = (row.parse)(&Reading { section: &section, node, surroundings });
    let (mut common, ordered, parsed, batch) = (common?, ordered?, parsed?, batch?);
    if let Some(usual) = parsed.usual_request_timeout.filter(|_| !section.table("timeouts").has("request")) {
        common.timeouts.request = usual;
    }
    if ordered && section.has("in_flight") && in_flight? > 1 {
        let what = format!("`in_flight` is {}, and ordered = true allows one request at a time", in_flight?);
        section.problems().error(section.place("in_flight"), what, "take it out, or write ordered = false");
        return None;
    }
    let compression = if parsed.kind.reads_compressed() { compression? } else { Compression::None };
    Some(Destination {
        kind: parsed.kind,
        auth: parsed.auth,
        compression,
        ordered,
        in_flight_max: if ordered { 1 } else { in_flight? as usize },
        id: common.id,
        name: common.name,
        tenants: common.tenants,
        scope: common.scope,
        filter_spec: common.filter_spec,
        filter: common.filter,
        batch: BatchSettings {
            max_events: parsed.events_max.map_or(batch.max_events, |max| batch.max_events.min(max)),
            ..batch
        },
        tls: common.tls,
        required: common.required,
        targets: common.targets,
        timeouts: common.timeouts,
        proxy: proxy?,
        rate_limit: rate_limit?,
        redact: redact?,
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
    tls: TlsSettings,
    required: bool,
    targets: Arc<Targets>,
    timeouts: Timeouts,
}

fn common(section: &Section<'_>) -> Option<Common> {
    let name = section.text("name");
    let id = section.optional("id", Section::text);
    let scope = scope(section);
    let filter = filter(&section.table("filter"));
    let tls = tls(&section.table("tls"));
    let required = section.flag("required");
    let targets =
        section.choice("targets").map(|position| Targets { public_only: position == 1, ..Targets::default() });
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
        tls: tls?,
        required: required?,
        targets: Arc::new(targets?),
        timeouts: Timeouts { connect: connect?, request: request? },
    })
}

fn proxy(section: &Section<'_>, surroundings: &Surroundings) -> Option<ProxySettings> {
    let section = section.table("proxy");
    let url = section.url("url");
    let user = section.optional("user", Section::text);
    let password = section.optional("password", |section, name| secret(section, name, surroundings));
    let no_proxy = section.texts("no_proxy");
    let problem = |key: &str, what: &str, advice: &str| {
        section.problems().error(section.place(key), what, advice);
        None
    };
    let (url, user, password) = (url?, user?, password?);
    if url.tls || !url.path.is_empty() {
        return problem(
            "url",
            "`url` is not the address of an HTTP proxy",
            "write it like \"http://proxy.example.com:3128\"",
        );
    }
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => return problem("user", "`user` is set without `password`", "add password"),
        (None, Some(_)) => return problem("password", "`password` is set without `user`", "add user"),
    };
    let no_proxy = no_proxy?.into_iter().map(|(host, _)| host).collect();
    Some(ProxySettings { url, login, no_proxy })
}

fn redact(section: &Section<'_>, surroundings: &Surroundings) -> Option<RedactSettings> {
    let lists = redacted(section);
    let key = section.optional("key", |section, name| secret(section, name, surroundings));
    let ((spec, places), key) = (lists?, key?);
    if let (Some(_), true) = (&key, spec.hash.is_empty()) {
        let what = "`key` is set, and nothing is hashed with it";
        section.problems().error(section.place("key"), what, "name values in hash, or take it out");
        return None;
    }
    let redaction = redaction(section, &spec, key.as_ref().map(|key| key.reveal().as_bytes()), &places)?;
    Some(RedactSettings { spec, key, redaction })
}

/// Reads the lists of a `redact` table, with the place of each entry.
pub(super) fn redacted(section: &Section<'_>) -> Option<(RedactionSpec, Vec<(String, Place)>)> {
    let [drop, mask, hash] = ["drop", "mask", "hash"].map(|name| section.texts(name));
    let lists = [drop?, mask?, hash?];
    let places = lists.iter().flatten().cloned().collect();
    let [drop, mask, hash] = lists.map(|list| list.into_iter().map(|(path, _)| path).collect::<Vec<String>>());
    Some((RedactionSpec { drop, mask, hash }, places))
}

/// Compiles what a `redact` table says.
pub(super) fn redaction(
    section: &Section<'_>,
    spec: &RedactionSpec,
    key: Option<&[u8]>,
    places: &[(String, Place)],
) -> Option<Redaction> {
    match Redaction::compile(spec, key) {
        Ok(redaction) => Some(redaction),
        Err(errors) => {
            for error in errors {
                let place = place_of(section, error.list, &error.found, places);
                let advice = match error.list {
                    "key" => "write key = { file = \"/path\" }, with at least 16 random bytes in the file",
                    _ => "correct the entry, or take it out",
                };
                section.problems().error(place, briefly(&error.problem), advice);
            }
            None
        }
    }
}

fn rate_limit(section: &Section<'_>) -> Option<Option<RateLimit>> {
    let is_written = section.has("rate_limit");
    let section = section.table("rate_limit");
    let events = section.optional("events", Section::count);
    let (bytes, bytes_per_day) =
        (section.optional("bytes", Section::size), section.optional("bytes_per_day", Section::size));
    let warn_at = section.count("warn_at");
    if section.has("warn_at") && !section.has("bytes_per_day") {
        let what = "`warn_at` is set without `bytes_per_day`, of which it is a share";
        section.problems().error(section.place("warn_at"), what, "add bytes_per_day, or take it out");
        return None;
    }
    let limit =
        RateLimit { events: events?, bytes: bytes?, bytes_per_day: bytes_per_day?, warn_at_percent: warn_at? as u8 };
    Some(is_written.then_some(limit))
}

fn compression(section: &Section<'_>) -> Option<Compression> {
    if section.knows("compression") {
        section.word("compression").and_then(Compression::named)
    } else {
        Some(Compression::None)
    }
}

/// Syslog has one connection, so it is always in order.
fn ordered(section: &Section<'_>, row: &Row) -> Option<bool> {
    let ordered = section.flag("ordered")?;
    if !row.is_always_ordered {
        return Some(ordered);
    }
    if section.has("ordered") && !ordered {
        let what = "`ordered` is false, and syslog is always in order";
        section.problems().error(section.place("ordered"), what, "take the line out");
        return None;
    }
    Some(true)
}

/// Reads `tenants`.
pub(super) fn scope(section: &Section<'_>) -> Option<(Vec<String>, Scope)> {
    let tenants: Vec<String> = section.texts("tenants")?.into_iter().map(|(tenant, _)| tenant).collect();
    match Scope::compile(&tenants) {
        Ok(scope) => Some((tenants, scope)),
        Err(error) => {
            let advice = "write tenants = [\"*\"] for everyone's events, or the tenants' ids in full";
            section.problems().error(section.place("tenants"), briefly(&error.to_string()), advice);
            None
        }
    }
}

/// Reads a `filter` table.
pub(super) fn filter(section: &Section<'_>) -> Option<(FilterSpec, Filter)> {
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
                let place = place_of(section, error.list, &error.found, &places);
                let what = format!("`{}`: {}", error.list, briefly(&error.problem));
                section.problems().error(place, what, "correct the entry, or take it out");
            }
            None
        }
    }
}

/// Where an entry of one of several lists stands; the list itself where the entry is none.
fn place_of(section: &Section<'_>, list: &str, entry: &str, places: &[(String, Place)]) -> Place {
    let found = places.iter().find(|(text, place)| text == entry && place.key.ends_with(list));
    found.map_or_else(|| section.place(list), |(_, place)| place.clone())
}

fn batch(section: &Section<'_>) -> Option<BatchSettings> {
    let (max_events, max_size, linger) =
        (section.count("max_events"), section.size("max_size"), section.span("linger"));
    Some(BatchSettings { max_events: max_events? as usize, max_size: max_size? as usize, linger: linger? })
}

fn tls(section: &Section<'_>) -> Option<TlsSettings> {
    let ca_file = section.optional("ca_file", Section::path);
    let ca = section.optional("ca", Section::text);
    let server_name = section.optional("server_name", Section::host);
    let cert_file = section.optional("cert_file", Section::path);
    let key_file = section.optional("key_file", Section::path);
    let fingerprints = fingerprints(section);
    let min_version = section.choice("min_version").map(|position| [TlsVersion::Tls12, TlsVersion::Tls13][position]);
    let (ca_file, ca, cert_file, key_file) = (ca_file?, ca?, cert_file?, key_file?);
    let authorities = authorities(section, ca_file.as_deref(), ca.as_deref());
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
    let (ca, (), ()) = (authorities?, cert?, key?);
    Some(TlsSettings {
        ca_file,
        ca,
        server_name: server_name?,
        identity,
        fingerprints: fingerprints?,
        min_version: min_version?,
    })
}

/// Looks at the certificates of authorities in a file, and reads those that are given as text.
fn authorities(section: &Section<'_>, file: Option<&Path>, pem: Option<&str>) -> Option<Option<Authorities>> {
    let (what, advice) = match (file, pem.map(Authorities::parse)) {
        (None, None) => return Some(None),
        (Some(path), None) => return check_certificates(section, "ca_file", path).map(|()| None),
        (Some(_), Some(_)) => ("`ca` is set beside `ca_file`".to_owned(), "take one of them out"),
        (None, Some(Ok(authorities))) => return Some(Some(authorities)),
        (None, Some(Err(unfit))) => unfit,
    };
    section.problems().error_about(About::Certificates, section.place("ca"), what, advice);
    None
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
                let what = format!("`fingerprints` holds {}, which is not a fingerprint", shown(&text));
                let advice = "write \"sha-256:\" and 32 pairs of hexadecimal digits with colons between them";
                section.problems().error(place, what, advice);
            }
        }
    }
    (found.len() == count).then_some(found)
}

pub(super) fn check_certificates(section: &Section<'_>, name: &str, path: &Path) -> Option<()> {
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

pub(super) fn check_key(section: &Section<'_>, path: &Path) -> Option<()> {
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
    let advice = "name a file in PEM that this user may read";
    section.problems().error_about(About::Certificates, section.place(name), what, advice);
    None
}
