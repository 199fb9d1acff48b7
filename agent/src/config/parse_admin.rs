//! The rules of `[admin]` that no single key can know.

use std::net::IpAddr;
use std::path::PathBuf;

use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use super::Ingest;
use super::Surroundings;
use super::admin::{Admin, ProxyKey, SHARED_KEY_MIN, ServerTls, TrustedProxy};
use super::parse::{hosts, socket_path};
use super::parse_destination::{check_certificates, check_key};
use super::parse_secret::secret;
use super::problems::shown;
use super::walk::Section;

/// Reads `[admin]`; what it must not share with `ingest` is known when that is.
pub(super) fn admin(section: &Section<'_>, ingest: Option<&Ingest>, surroundings: &Surroundings) -> Option<Admin> {
    let (listen, socket) = (section.address("listen"), socket_path(section, "socket"));
    let tls = section.optional("tls", |section, name| tls(&section.table(name)));
    let (hosts, frame_ancestors) = (hosts(section), frame_ancestors(section));
    let base_path = section.optional("base_path", base_path);
    let metrics_need_token = section.optional("metrics_need_token", Section::flag);
    let proxy = section.optional("proxy", |section, name| proxy(&section.table(name), surroundings));
    let (listen, socket, tls, proxy) = (listen?, socket?, tls?, proxy?);
    let (is_loopback, problems) = (listen.ip().to_canonical().is_loopback(), section.problems());
    if !is_loopback && tls.is_none() {
        let what =
            format!("`listen` is {listen}, which others can reach, and tokens would cross the network unencrypted");
        let advice = "add tls = { cert_file = \"/path\", key_file = \"/path\" }, or listen on 127.0.0.1 or [::1]";
        problems.error(section.place("listen"), what, advice);
        return None;
    }
    let http = ingest.and_then(|ingest| ingest.http.as_ref());
    if listen.port() != 0 && http.is_some_and(|http| http.listen == listen) {
        problems.error(
            section.place("listen"),
            format!("`listen` is {listen}, which ingest.http listens on"),
            "give one of them another port",
        );
        return None;
    }
    let unix = ingest.and_then(|ingest| ingest.unix.as_ref());
    if unix.is_some_and(|unix| unix.path == socket) {
        problems.error(section.place("socket"), "`socket` is the path of ingest.unix", "give one of them another path");
        return None;
    }
    let hosts = hosts?;
    if !is_loopback && hosts.is_empty() {
        let what = "`hosts` names nothing, so others can call the page by its address alone";
        problems.warn(section.place("hosts"), what, "add hosts = [\"…\"], the names that its certificate has");
    }
    Some(Admin {
        listen,
        socket,
        tls,
        hosts,
        base_path: base_path?.unwrap_or_default(),
        frame_ancestors: frame_ancestors?,
        metrics_need_token: metrics_need_token?.unwrap_or(!is_loopback || proxy.is_some()),
        proxy,
    })
}

fn tls(section: &Section<'_>) -> Option<ServerTls> {
    let cert_file = section.optional("cert_file", Section::path);
    let key_file = section.optional("key_file", Section::path);
    match (cert_file?, key_file?) {
        (Some(cert_file), Some(key_file)) => {
            let cert = check_certificates(section, "cert_file", &cert_file);
            // Each is looked at, whatever is wrong with the other.
            let key = check_key(section, &key_file);
            cert.and(key)?;
            Some(ServerTls { cert_file, key_file })
        }
        (cert, _) => {
            let missing = if cert.is_some() { "key_file" } else { "cert_file" };
            section.problems().error(
                section.place(missing),
                format!("`{missing}` is missing"),
                "name both the certificate with its chain and its private key, in PEM",
            );
            None
        }
    }
}

/// `/` and segments that mean themselves in every router, proxy and browser, and are none of the paths beside it.
fn base_path(section: &Section<'_>, name: &str) -> Option<String> {
    let path = section.text(name)?;
    let is_plain = |segment: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !segment.is_empty() && segment.bytes().all(allowed) && segment.bytes().any(|byte| byte != b'.')
    };
    let segments = path.strip_prefix('/').map(|rest| rest.split('/').collect::<Vec<_>>()).unwrap_or_default();
    if segments.is_empty() || !segments.iter().all(|segment| is_plain(segment)) {
        let advice = "write it like \"/siem\": a slash first and none last, then letters, digits, `.`, `_` and `-`";
        section.problems().error(
            section.place(name),
            format!("`{name}` is {}, which is not a path", shown(&path)),
            advice,
        );
        return None;
    }
    if BESIDE.contains(&segments[0]) {
        return section.refuse(name, &path, "begins with a path that machines ask for");
    }
    Some(path)
}

fn frame_ancestors(section: &Section<'_>) -> Option<Vec<String>> {
    let mut sources = Vec::new();
    for (source, place) in section.texts("frame_ancestors")? {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:/*[]_".contains(&byte);
        if source != "'self'" && !source.bytes().all(is_plain) {
            let what = format!("`frame_ancestors` holds {}, which is not the origin of a page", shown(&source));
            section.problems().error(place, what, "write origins, like \"https://drive.example.com\", or \"'self'\"");
            return None;
        }
        sources.push(source);
    }
    Some(sources)
}

fn proxy(section: &Section<'_>, surroundings: &Surroundings) -> Option<TrustedProxy> {
    let shared = section.optional("jwt_key", |section, name| secret(section, name, surroundings));
    let public = section.optional("public_key_file", Section::path);
    let header = section.text("header");
    let issuer = section.optional("issuer", Section::text);
    let audience = section.text("audience");
    let (max_life, from) = (section.span("max_life"), addresses(section, "from"));
    let problems = section.problems();
    let key = match (shared?, public?) {
        (Some(secret), None) if secret.reveal().len() < SHARED_KEY_MIN => {
            let what = format!("`jwt_key` has {} bytes, and HS256 needs {SHARED_KEY_MIN}", secret.reveal().len());
            problems.error(section.place("jwt_key"), what, "make a longer one: `openssl rand -base64 48`");
            return None;
        }
        (Some(secret), None) => ProxyKey::Shared(secret),
        (None, Some(file)) => public_key(section, file)?,
        _ => {
            let what = "a proxy needs exactly one of `jwt_key` and `public_key_file`";
            let advice = "name the key that it signs with, or the public half of it; without either take `proxy` out";
            problems.error(section.place("jwt_key"), what, advice);
            return None;
        }
    };
    let header = header?.to_ascii_lowercase();
    Some(TrustedProxy { key, header, issuer: issuer?, audience: audience?, max_life: max_life?, from: from? })
}

fn addresses(section: &Section<'_>, name: &str) -> Option<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for (text, place) in section.texts(name)? {
        let Ok(address) = text.parse::<IpAddr>() else {
            let what = format!("`{name}` holds {text:?}, which is not an IP address");
            section.problems().error(place, what, "write addresses without a port, like \"10.0.0.7\" or \"fd00::7\"");
            return None;
        };
        addresses.push(address.to_canonical());
    }
    Some(addresses)
}

fn public_key(section: &Section<'_>, file: PathBuf) -> Option<ProxyKey> {
    let found = SubjectPublicKeyInfoDer::from_pem_file(&file).ok();
    let point = |prefix: &[u8], len: usize| {
        let key = found.as_ref()?.strip_prefix(prefix)?;
        (key.len() == len).then(|| key.to_vec())
    };
    if let Some(key) = point(ED25519_SPKI, 32) {
        return Some(ProxyKey::Ed25519 { file, key });
    }
    if let Some(key) = point(P256_SPKI, 65) {
        return Some(ProxyKey::P256 { file, key });
    }
    let what = format!("{} cannot be read, or holds no public key of Ed25519 or P-256 in PEM", file.display());
    let advice = "name a file that begins with -----BEGIN PUBLIC KEY-----; `openssl pkey -pubout` writes one";
    section.problems().error(section.place("public_key_file"), what, advice);
    None
}

/// What answers beside the base path.
const BESIDE: [&str; 4] = ["metrics", "livez", "readyz", "status"];
/// What stands before the point in a `SubjectPublicKeyInfo` of Ed25519 (RFC 8410, section 4).
const ED25519_SPKI: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The same for an uncompressed point on P-256 (RFC 5480, section 2).
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
