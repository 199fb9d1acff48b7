//! Any receiver that takes events by HTTPS.

use std::fs;

use scaidrive_codecs::http::write_head;
use scaidrive_codecs::https::{self, HttpsError, HttpsSettings, Method};
use scaidrive_codecs::oauth::ClientAuth;
use scaidrive_codecs::template::TEMPLATE_BYTES_MAX;

use super::super::auth::{Auth, OAuth};
use super::super::destination::Destination;
use super::super::keys::{
    Alphabet, Default, Key, Shape, batch, choice, compression, in_flight, key, proxy, shape, text,
};
use super::super::parse_secret::secret;
use super::super::problems::briefly;
use super::super::settings::{Setting, list, some};
use super::super::text::MIB;
use super::super::url::HttpUrl;
use super::super::walk::Section;
use super::{Kind, Parsed, Reading, Row, encrypted_url};

/// Any receiver that takes events by HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// Where it is; the path and the query are in the request.
    pub url: HttpUrl,
    /// How requests are made.
    pub request: HttpsSettings,
    /// What follows the question mark, as written.
    pub query: Option<String>,
    /// The file the template was read from.
    pub template_file: Option<String>,
    /// Whether requests carry a name that is the same for the same events, and how many there are.
    pub idempotency: bool,
}

pub(super) const ROW: Row = Row { name: "https", keys: KEYS, is_always_ordered: false, parse };

const KEYS: &[Key] = &[
    key("url", Shape::Url, Default::Required, "The receiver's address, with its path."),
    key("query", text(1024), Default::Absent, "What follows the question mark of the address."),
    key("method", choice(METHODS), Default::Text("post"), "The method of requests."),
    key(
        "body",
        choice(BODIES),
        Default::Text("array"),
        "What stands around events: a JSON array, lines (ndjson), nothing and one event a request (single), or an object (wrapped).",
    ),
    key(
        "wrap_key",
        text(64),
        Default::Text("events"),
        "The member that holds the events; only with body = \"wrapped\".",
    ),
    key(
        "template",
        text(TEMPLATE_BYTES_MAX),
        Default::Absent,
        "What an event is made into; the event as it is when absent.",
    ),
    key("template_file", Shape::Path, Default::Absent, "A file with the template instead."),
    key("content_type", text(128), Default::Absent, "The Content-Type; that of the body's form when absent."),
    key("headers", Shape::Texts, Default::Texts(&[]), "Headers that are no secrets, like \"X-Site: vienna\"."),
    key(
        "secret_headers",
        Shape::Tables(SECRET_HEADER),
        Default::Absent,
        "Headers with secrets, each { name = …, value = { file = … } }.",
    ),
    key("success", Shape::Statuses, Default::Texts(&[]), "Statuses that mean success; every 2xx when empty."),
    key(
        "conflict_is_success",
        Shape::Flag,
        Default::Flag(false),
        "Whether 409 means that the receiver has these events already.",
    ),
    key(
        "idempotency",
        Shape::Flag,
        Default::Flag(true),
        "Whether requests carry an Idempotency-Key and the number of events.",
    ),
    key("bearer_token", Shape::Secret, Default::Absent, "A bearer token."),
    key("user", text(255), Default::Absent, "A user; together with password."),
    key("password", Shape::Secret, Default::Absent, "The user's password."),
    key("oauth", Shape::Table(OAUTH), Default::Absent, "Fetches tokens from an OAuth 2.0 server (client credentials)."),
    key("signing_secret", Shape::Secret, Default::Absent, "Signs each body (HMAC-SHA256) in X-ScaiDrive-Signature."),
    key(
        "signing_secret_next",
        Shape::Secret,
        Default::Absent,
        "Signs beside signing_secret while that is being replaced.",
    ),
    shape(&["canonical", "ecs", "ocsf", "asim", "cef", "leef", "template"]),
    compression(choice(&["gzip", "zstd", "none"])),
    in_flight(4),
    proxy(),
    key("batch", Shape::Table(BATCH), Default::Absent, "How many events travel together."),
];

const SECRET_HEADER: &[Key] = &[
    key("name", Shape::Text { alphabet: Alphabet::Name, max: 64 }, Default::Required, "The header's name."),
    key("value", Shape::Secret, Default::Required, "The value of the header."),
];

const OAUTH: &[Key] = &[
    key("token_url", Shape::Url, Default::Required, "Where tokens are asked for."),
    key("client_id", text(255), Default::Required, "Who asks for tokens."),
    key("client_secret", Shape::Secret, Default::Required, "What shows who asks."),
    key(
        "client_auth",
        choice(CLIENT_AUTHS),
        Default::Text("basic"),
        "How it is shown: in a header (basic) or in the form.",
    ),
    key("scope", text(1024), Default::Absent, "What the tokens are for."),
    key("audience", text(1024), Default::Absent, "For whom, where the server wants to know."),
];

const BATCH: &[Key] = &batch(500, 10_000, "1MiB", 8 * MIB);
const METHODS: &[&str] = &["post", "put", "patch"];
const BODIES: &[&str] = &["array", "ndjson", "single", "wrapped"];
const CLIENT_AUTHS: &[&str] = &["basic", "form"];

fn parse(reading: &Reading<'_>) -> Option<Parsed> {
    let section = reading.section;
    let url = reading.url("url");
    let query = section.optional("query", Section::text);
    let method = section.choice("method").map(|position| [Method::Post, Method::Put, Method::Patch][position]);
    let form = form(section);
    let template = template(section);
    let content_type = section.optional("content_type", Section::text);
    let headers = headers(section);
    let success = section.statuses("success");
    let conflict_is_success = section.flag("conflict_is_success");
    let idempotency = section.flag("idempotency");
    let auth = auth(reading, headers.as_deref().unwrap_or_default());
    let (url, query) = (url?, query?);
    let (template, template_file) = template?;
    let shape = shape_beside(section, template.is_some());
    // Some receivers tell a path that ends in a slash from one that does not.
    let is_ended = section.written_text("url").is_some_and(|text| text.ends_with('/'));
    let path = format!("{}{}", url.path, if is_ended || url.path.is_empty() { "/" } else { "" });
    let request = HttpsSettings {
        method: method?,
        path: query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}")),
        headers: headers?,
        form: form?,
        shape: shape?,
        content_type: content_type?,
        template,
        success: success?,
        conflict_is_success: conflict_is_success?,
    };
    let codec = match https::Https::new(&request) {
        Ok(codec) => codec,
        Err(problem) => {
            let key = match &problem {
                HttpsError::Head { .. } if query.is_some() => "query",
                HttpsError::Head { .. } | HttpsError::Header { .. } => "headers",
                HttpsError::Success { .. } => "success",
                HttpsError::ContentType { .. } => "content_type",
                _ if template_file.is_some() => "template_file",
                _ => "template",
            };
            let what = briefly(&super::super::parse_secret::with_cause(&problem));
            section.problems().error(section.place(key), what, "correct it, or take the line out");
            return None;
        }
    };
    let https = Https { url, request, query, template_file, idempotency: idempotency? };
    Some(Parsed { events_max: codec.events_max(), usual_request_timeout: None, kind: Kind::Https(https), auth: auth? })
}

fn form(section: &Section<'_>) -> Option<https::BodyForm> {
    let form = section.choice("body")?;
    let key = section.text("wrap_key")?;
    if section.has("wrap_key") && form != 3 {
        let what = "`wrap_key` is set, and body is not \"wrapped\"";
        section.problems().error(section.place("wrap_key"), what, "take it out, or write body = \"wrapped\"");
        return None;
    }
    Some(match form {
        0 => https::BodyForm::Array,
        1 => https::BodyForm::Ndjson,
        2 => https::BodyForm::Single,
        _ => https::BodyForm::Wrapped { key },
    })
}

/// What an event is made into. A template is a shape of its own, so there is no other beside it.
fn shape_beside(section: &Section<'_>, has_template: bool) -> Option<scaidrive_codecs::Shape> {
    let written = section.word("shape")?;
    let is_written = section.has("shape");
    match (scaidrive_codecs::Shape::named(written), has_template) {
        (Some(_), true) if is_written => {
            let what = format!("`shape` is \"{written}\", and there is a template");
            section.problems().error(
                section.place("shape"),
                what,
                "write shape = \"template\", or take the template out",
            );
            None
        }
        (None, false) => {
            let what = "`shape` is \"template\", and there is none";
            section.problems().error(section.place("shape"), what, "add template or template_file");
            None
        }
        (shape, _) => Some(shape.unwrap_or_default()),
    }
}

/// The template's text, and the file it is from.
fn template(section: &Section<'_>) -> Option<(Option<String>, Option<String>)> {
    let inline = section.optional("template", Section::text)?;
    let Some(path) = section.optional("template_file", Section::path)? else { return Some((inline, None)) };
    let problem = |what: String, advice: &str| {
        section.problems().error(section.place("template_file"), what, advice);
        None
    };
    if inline.is_some() {
        return problem("`template_file` stands beside template".to_owned(), "take one of them out");
    }
    match fs::read_to_string(&path) {
        Ok(text) => Some((Some(text.trim_end().to_owned()), Some(path.display().to_string()))),
        Err(error) => {
            let what = format!("the template in {} cannot be read: {error}", path.display());
            problem(what, "name a file that this user may read")
        }
    }
}

fn headers(section: &Section<'_>) -> Option<Vec<(String, String)>> {
    let texts = section.texts("headers")?;
    let count = texts.len();
    let pairs: Vec<(String, String)> = texts
        .into_iter()
        .enumerate()
        .filter_map(|(at, (text, place))| match text.split_once(':') {
            Some((name, value)) => Some((name.trim().to_owned(), value.trim().to_owned())),
            None => {
                // It may be one that lets somebody in.
                let what = format!("`headers` has no colon in its number {}", at + 1);
                section.problems().error(place, what, "write \"Name: value\"");
                None
            }
        })
        .collect();
    (pairs.len() == count).then_some(pairs)
}

/// What lets us in, beside `headers` that are no secrets.
fn auth(reading: &Reading<'_>, headers: &[(String, String)]) -> Option<Vec<Auth>> {
    let section = reading.section;
    let mut all = Vec::new();
    match reading.one_of(&["bearer_token", "user", "oauth"])? {
        None => {
            if section.has("password") {
                reading.basic()?;
            }
        }
        Some("bearer_token") => {
            let token = secret(section, "bearer_token", reading.surroundings)?;
            all.push(Auth::header("bearer_token", "Authorization", "Bearer ", token));
        }
        Some("user") => all.push(reading.basic()?),
        Some(_) => all.push(Auth::OAuth(oauth(reading)?)),
    }
    secret_headers(reading, headers, &mut all)?;
    all.extend(signature(reading)?);
    Some(all)
}

/// Adds the headers that are secrets. Each of them comes from one place: another credential,
/// `plain`, or here.
fn secret_headers(reading: &Reading<'_>, plain: &[(String, String)], all: &mut Vec<Auth>) -> Option<()> {
    let section = reading.section;
    for header in section.tables("secret_headers", SECRET_HEADER, |at, _| format!("secret_headers number {}", at + 1)) {
        header.report_unknown(&[]);
        let (name, value) = (header.text("name"), secret(&header, "value", reading.surroundings));
        let (name, value) = (name?, value?);
        if let Err(problem) = write_head(&mut Vec::new(), "POST", "/", "host", [(name.as_str(), "")], 0) {
            // The value may stand behind the name.
            let is_name = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            let (what, advice) = if is_name {
                (briefly(&problem.to_string()), "each request has this header already; name another")
            } else {
                ("`name` is no name of a header".to_owned(), "write the name alone, and what it is to hold under value")
            };
            section.problems().error(header.place("name"), what, advice);
            return None;
        }
        // A secret for it may well be one that no other key makes.
        let is_credential = name.eq_ignore_ascii_case("authorization");
        if let Some(advice) = https::set_elsewhere(&name).filter(|_| !is_credential) {
            let what = format!("the header `{name}` can't be set here");
            section.problems().error(header.place("name"), what, advice);
            return None;
        }
        let credentials = all.iter().filter_map(Auth::header_name).map(|other| ("another credential sets", other));
        // A name that `headers` must not have is told of there.
        let shown = plain
            .iter()
            .map(|(other, _)| ("`headers` sets", other.as_str()))
            .filter(|(_, other)| https::set_elsewhere(other).is_none());
        if let Some((who_sets, _)) = credentials.chain(shown).find(|(_, other)| other.eq_ignore_ascii_case(&name)) {
            let what = format!("`name` is \"{name}\", and {who_sets} that header");
            section.problems().error(header.place("name"), what, "take one of them out");
            return None;
        }
        all.push(Auth::header("secret_headers", &name, "", value));
    }
    Some(())
}

/// The secrets that bodies are signed with, if there are any.
fn signature(reading: &Reading<'_>) -> Option<Option<Auth>> {
    let section = reading.section;
    let signing = |name| section.optional(name, |section, name| secret(section, name, reading.surroundings));
    match (signing("signing_secret")?, signing("signing_secret_next")?) {
        (Some(first), next) => Some(Some(Auth::Signature(std::iter::once(first).chain(next).collect()))),
        (None, None) => Some(None),
        (None, Some(_)) => {
            let place = section.place("signing_secret_next");
            section.problems().error(
                place,
                "`signing_secret_next` is set without `signing_secret`",
                "add signing_secret",
            );
            None
        }
    }
}

fn oauth(reading: &Reading<'_>) -> Option<OAuth> {
    let section = reading.section.table("oauth");
    let token_url = encrypted_url(&section, "token_url");
    let (client_id, client_auth) = (section.text("client_id"), section.choice("client_auth"));
    let client_secret = secret(&section, "client_secret", reading.surroundings);
    let (scope, audience) = (section.optional("scope", Section::text), section.optional("audience", Section::text));
    Some(OAuth {
        token_url: token_url?.to_string(),
        client_id: client_id?,
        client_secret: client_secret?,
        client_auth: [ClientAuth::Basic, ClientAuth::Form][client_auth?],
        scope: scope?,
        audience: audience?,
    })
}

impl Https {
    pub(super) fn settings(&self, destination: &Destination) -> Vec<Setting> {
        let request = &self.request;
        let wrap_key = match &request.form {
            https::BodyForm::Wrapped { key } => Some(key.clone()),
            _ => None,
        };
        let body = match &request.form {
            https::BodyForm::Array => 0,
            https::BodyForm::Ndjson => 1,
            https::BodyForm::Single => 2,
            https::BodyForm::Wrapped { .. } => 3,
        };
        let headers: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let (mut secret_headers, mut user, mut oauth) = (Vec::new(), None, None);
        for auth in &destination.auth {
            match auth {
                Auth::Header { key: "secret_headers", name, secret, .. } => {
                    secret_headers.push(format!("{name} from {}", secret.source()));
                }
                Auth::Basic { user: found, .. } => user = Some(found.clone()),
                Auth::OAuth(found) => oauth = Some(found),
                _ => {}
            }
        }
        vec![
            some("url", &self.url),
            ("query", self.query.clone()),
            some("method", METHODS[request.method as usize]),
            some("body", BODIES[body]),
            ("wrap_key", wrap_key),
            ("template", request.template.clone()),
            ("template_file", self.template_file.clone()),
            ("content_type", request.content_type.clone()),
            some("headers", list(&headers)),
            ("secret_headers", (!secret_headers.is_empty()).then(|| list(&secret_headers))),
            some("success", format!("{:?}", request.success)),
            some("conflict_is_success", request.conflict_is_success),
            some("idempotency", self.idempotency),
            destination.secret_setting("bearer_token"),
            ("user", user),
            destination.secret_setting("password"),
            ("oauth.token_url", oauth.map(|oauth| oauth.token_url.clone())),
            ("oauth.client_id", oauth.map(|oauth| oauth.client_id.clone())),
            destination.secret_setting("oauth.client_secret"),
            ("oauth.client_auth", oauth.map(|oauth| CLIENT_AUTHS[oauth.client_auth as usize].to_owned())),
            ("oauth.scope", oauth.and_then(|oauth| oauth.scope.clone())),
            ("oauth.audience", oauth.and_then(|oauth| oauth.audience.clone())),
            some("shape", if request.template.is_some() { "template" } else { request.shape.name() }),
            destination.secret_setting("signing_secret"),
            destination.secret_setting("signing_secret_next"),
        ]
    }
}
