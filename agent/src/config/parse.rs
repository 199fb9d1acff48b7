//! From files to a [`Config`]: the rules that no single key can know.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::destination::Destination;
use super::files::{Source, read_source, toml_files, tree};
use super::keys::{DESTINATION, DESTINATION_FILE, ROOT};
use super::parse_destination;
use super::problems::{Place, Problem, Problems, Weight, listed};
use super::secret::{Secret, SecretSource};
use super::text::{KIB, MIB, size_text};
use super::walk::Section;
use super::{
    Admin, Agent, Buffer, Config, Durability, HttpIngest, Ingest, LogFormat, LogLevel, LogSettings, OnFull,
    RuntimeSetting, SEGMENTS_PER_SHARD_MIN, Surroundings, UnixIngest,
};
use crate::time::Millis;

/// See [`Config::load`].
pub(crate) fn load(path: &Path, surroundings: &Surroundings) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let problems = Problems::default();
    let main = read_source(path, &problems);
    let beside = path.parent().unwrap_or(Path::new("")).join("destinations.d");
    let others: Vec<Source> =
        toml_files(&beside, &problems).iter().filter_map(|path| read_source(path, &problems)).collect();
    let config = main.and_then(|main| assemble(&main, &others, surroundings, &problems));
    finish(config, problems)
}

/// Makes a configuration of files that were read.
pub(crate) fn assemble(
    main: &Source,
    others: &[Source],
    surroundings: &Surroundings,
    problems: &Problems,
) -> Option<Config> {
    let trees: Vec<Option<Spanned<DeTable<'_>>>> = others.iter().map(|source| tree(source, problems)).collect();
    let main_tree = tree(main, problems);
    let root = main_tree.as_ref().map(|tree| Section::root(main, tree.get_ref(), ROOT, problems));

    let agent = root.as_ref().and_then(|root| agent(&root.table("agent"), surroundings));
    let buffer_section = root.as_ref().map(|root| root.table("buffer"));
    let buffer = buffer_section.as_ref().and_then(|section| buffer(section, agent.as_ref()));
    let ingest = root.as_ref().and_then(|root| ingest(root, buffer.as_ref(), surroundings));
    let admin = root.as_ref().and_then(|root| admin(&root.table("admin"), ingest.as_ref()));
    let log = root.as_ref().and_then(|root| log(&root.table("log")));

    let node = agent.as_ref().map(|agent| agent.node.clone()).unwrap_or_default();
    let mut sections = root.as_ref().map(destinations_of).unwrap_or_default();
    for (source, tree) in others.iter().zip(&trees) {
        let Some(tree) = tree else { continue };
        sections.extend(destinations_of(&Section::root(source, tree.get_ref(), DESTINATION_FILE, problems)));
    }
    let destinations = destinations(sections, &node, surroundings);
    if let (Some(section), Some(buffer)) = (&buffer_section, &buffer) {
        warn_of_roles(section, buffer.on_full, &destinations, main);
    }
    let config = Config {
        file: main.path.clone(),
        agent: agent?,
        ingest: ingest?,
        buffer: buffer?,
        admin: admin?,
        log: log?,
        destinations,
    };
    Some(config)
}

/// The end of the reading: a configuration with warnings, or every problem.
pub(crate) fn finish(config: Option<Config>, problems: Problems) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let problems = problems.into_vec();
    match config {
        Some(config) if problems.iter().all(|problem| problem.weight == Weight::Warning) => Ok((config, problems)),
        _ => Err(problems),
    }
}

fn agent(section: &Section<'_>, surroundings: &Surroundings) -> Option<Agent> {
    let node = section.optional("node", Section::text);
    let state_dir = section.path("state_dir");
    let shards = section.auto_or_count("shards");
    let runtime = section.choice("runtime");
    let tenant = section.text("tenant");
    let automatic = surroundings.cpus.clamp(1, SHARDS_AUTO_MAX);
    Some(Agent {
        node: node?.unwrap_or_else(|| as_label(&surroundings.host_name)),
        state_dir: state_dir?,
        shards: shards?.map_or(automatic, |count| count as usize),
        runtime: [RuntimeSetting::Auto, RuntimeSetting::IoUring, RuntimeSetting::Epoll][runtime?],
        tenant: tenant?,
    })
}

fn buffer(section: &Section<'_>, agent: Option<&Agent>) -> Option<Buffer> {
    let window = section.span("window");
    let max_size = section.size("max_size");
    let segment_size = section.size("segment_size");
    let durability = durability(section);
    let on_full = section.choice("on_full");
    let min_free = section.table("min_free");
    let (percent, bytes) = (min_free.count("percent"), min_free.size("size"));
    let (max_size, segment_size) = (max_size?, segment_size?);
    if segment_size % PAGE != 0 {
        return section.refuse("segment_size", &size_text(segment_size), "is not a multiple of 4KiB");
    }
    if let Some(agent) = agent {
        check_segments(section, max_size, segment_size, agent.shards as u64)?;
    }
    Some(Buffer {
        window: window?,
        max_size,
        segment_size,
        durability: durability?,
        on_full: [OnFull::DropOldest, OnFull::Block][on_full?],
        min_free_percent: percent? as u8,
        min_free_bytes: bytes?,
    })
}

fn durability(section: &Section<'_>) -> Option<Durability> {
    let choice = section.choice("durability")?;
    let every = section.optional("sync_every", Section::span)?;
    let (place, problems) = (section.place("durability"), section.problems());
    let advice = "take the default, fsync, where the loss of an acknowledged event matters";
    match (choice, every) {
        (1, every) => {
            let every = every.unwrap_or(SYNC_EVERY_DEFAULT);
            problems.warn(
                place,
                format!("a power cut loses up to {every} of acknowledged events with durability = \"interval\""),
                advice,
            );
            Some(Durability::Interval(every))
        }
        (_, Some(_)) => {
            let place = section.place("sync_every");
            problems.error(
                place,
                "`sync_every` is set, and durability is not \"interval\"",
                "take it out, or write durability = \"interval\"",
            );
            None
        }
        (2, None) => {
            problems.warn(place, "a power cut loses acknowledged events with durability = \"os\"", advice);
            Some(Durability::Os)
        }
        _ => Some(Durability::Fsync),
    }
}

/// A log that can't turn over would stop; the advice names a value for each key that would do.
fn check_segments(section: &Section<'_>, max_size: u64, segment_size: u64, shards: u64) -> Option<()> {
    let (segments, needed) = (max_size / segment_size, shards * SEGMENTS_PER_SHARD_MIN);
    if segments >= needed {
        return Some(());
    }
    let mut ways = vec![format!("set max_size to at least \"{}\"", size_text(needed * segment_size))];
    let smaller = max_size / needed / MIB * MIB;
    if smaller >= MIB {
        ways.push(format!("or segment_size to at most \"{}\"", size_text(smaller)));
    }
    let fewer = segments / SEGMENTS_PER_SHARD_MIN;
    if fewer >= 1 {
        ways.push(format!("or agent.shards to at most {fewer}"));
    }
    let what = format!(
        "`max_size` of {} holds {segments} segments of {}, and {shards} shards need {needed}: {SEGMENTS_PER_SHARD_MIN} each",
        size_text(max_size),
        size_text(segment_size)
    );
    section.problems().error(section.place("max_size"), what, ways.join(", "));
    None
}

fn ingest(root: &Section<'_>, buffer: Option<&Buffer>, surroundings: &Surroundings) -> Option<Ingest> {
    let section = root.table("ingest");
    let unix = unix_ingest(&section.table("unix"));
    let http = section.optional("http", |section, name| http_ingest(&section.table(name), surroundings));
    let max_event_size = section.size("max_event_size");
    let window = section.table("window");
    let (bytes, lines) = (window.size("max_size"), window.count("max_lines"));
    let max_event_size = max_event_size?;
    check_event_size(&section, &window, max_event_size, bytes?, buffer)?;
    let (unix, http) = (unix?, http?);
    if unix.is_none() && http.is_none() {
        let what = "neither a socket nor HTTP takes events in";
        section.problems().error(
            section.place("unix"),
            what,
            "take enabled = false out, or write http = { listen = \"127.0.0.1:8910\" }",
        );
        return None;
    }
    Some(Ingest {
        unix,
        http,
        max_event_size: max_event_size as usize,
        window_bytes: bytes? as usize,
        window_lines: lines? as usize,
    })
}

fn check_event_size(
    section: &Section<'_>,
    window: &Section<'_>,
    max_event_size: u64,
    window_size: u64,
    buffer: Option<&Buffer>,
) -> Option<()> {
    let place = section.place("max_event_size");
    if let Some(buffer) = buffer
        && max_event_size > buffer.segment_size / EVENTS_PER_SEGMENT_MIN
    {
        let (event, segment) = (size_text(max_event_size), size_text(buffer.segment_size));
        let what = format!("`max_event_size` of {event} is more than a quarter of a segment of {segment}");
        let advice = format!(
            "set max_event_size to at most \"{}\", or buffer.segment_size to at least \"{}\"",
            size_text(buffer.segment_size / EVENTS_PER_SEGMENT_MIN),
            size_text(max_event_size * EVENTS_PER_SEGMENT_MIN)
        );
        section.problems().error(place, what, advice);
        return None;
    }
    if window_size < max_event_size {
        let what =
            format!("`max_size` of {} is less than one event of {}", size_text(window_size), size_text(max_event_size));
        let advice = format!("set ingest.window.max_size to at least \"{}\"", size_text(max_event_size));
        section.problems().error(window.place("max_size"), what, advice);
        return None;
    }
    Some(())
}

fn unix_ingest(section: &Section<'_>) -> Option<Option<UnixIngest>> {
    let enabled = section.flag("enabled");
    let path = socket_path(section, "path");
    let mode = section.mode("mode");
    let group = section.optional("group", Section::text);
    let allow_uids = section.uids("allow_uids");
    let unix = UnixIngest { path: path?, mode: mode?, group: group?, allow_uids: allow_uids? };
    Some(enabled?.then_some(unix))
}

fn http_ingest(section: &Section<'_>, surroundings: &Surroundings) -> Option<HttpIngest> {
    let listen = section.address("listen");
    let token = section.optional("token", |section, name| secret(section, name, surroundings));
    let (listen, token) = (listen?, token?);
    if !listen.ip().to_canonical().is_loopback() {
        let (place, problems) = (section.place("listen"), section.problems());
        if token.is_none() {
            let what = format!("`listen` is {listen}, which others can reach, and no token is required of them");
            problems.error(place, what, "add token = { file = \"/path\" }, or listen on 127.0.0.1");
            return None;
        }
        let what = format!("events and the token cross the network unencrypted to {listen}");
        problems.warn(place, what, "listen on 127.0.0.1, or put a proxy that speaks TLS before it");
    }
    Some(HttpIngest { listen, token })
}

fn admin(section: &Section<'_>, ingest: Option<&Ingest>) -> Option<Admin> {
    let (listen, socket) = (section.address("listen"), socket_path(section, "socket"));
    let (listen, socket) = (listen?, socket?);
    let problems = section.problems();
    if !listen.ip().to_canonical().is_loopback() {
        let what = format!("`listen` is {listen}, which others can reach");
        problems.error(
            section.place("listen"),
            what,
            "listen on 127.0.0.1 or [::1]: this version has no other protection",
        );
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
    Some(Admin { listen, socket })
}

fn log(section: &Section<'_>) -> Option<LogSettings> {
    let (format, level) = (section.choice("format"), section.choice("level"));
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    Some(LogSettings { format: [LogFormat::Text, LogFormat::Json][format?], level: levels[level?] })
}

/// The tables of a file's destinations, each named by its name or by its number in the file.
fn destinations_of<'a>(root: &Section<'a>) -> Vec<Section<'a>> {
    root.tables("destination", DESTINATION, |position, entries| {
        match entries.get("name").and_then(|name| name.get_ref().as_str()) {
            Some(name) if name.len() <= NAME_SHOWN_MAX => format!("destination {name:?}"),
            _ => format!("destination number {}", position + 1),
        }
    })
}

fn destinations(sections: Vec<Section<'_>>, node: &str, surroundings: &Surroundings) -> Vec<Arc<Destination>> {
    let mut all: Vec<(Arc<Destination>, Place)> = Vec::new();
    for section in sections {
        let Some(destination) = parse_destination::destination(section.clone(), node, surroundings) else {
            continue;
        };
        let place = section.place("name");
        let same = |other: &Destination| other.name == destination.name || other.id == destination.id;
        let Some((other, first)) = all.iter().find(|(other, _)| same(other)) else {
            all.push((Arc::new(destination), place));
            continue;
        };
        let line = first.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let at = format!("in {}{line}", first.file.display());
        if other.name == destination.name {
            let what = format!("there is another destination named \"{}\" {at}", destination.name);
            section.problems().error(place, what, "give one of them another name");
        } else {
            let what = format!("\"{}\" has the same id as \"{}\" {at}", destination.name, other.name);
            section.problems().error(
                section.place("id"),
                what,
                "give one of them another id: cursors are kept under it",
            );
        }
    }
    all.into_iter().map(|(destination, _)| destination).collect()
}

/// What each setting allows and both together make useless.
fn warn_of_roles(section: &Section<'_>, on_full: OnFull, destinations: &[Arc<Destination>], main: &Source) {
    let problems = section.problems();
    if destinations.is_empty() {
        let place = Place { key: "destination".to_owned(), ..Place::file(&main.path) };
        problems.warn(
            place,
            "no destination is configured: events are taken in, kept for the window and sent nowhere",
            "add a [[destination]]",
        );
        return;
    }
    let required: Vec<&str> = destinations.iter().filter(|one| one.required).map(|one| one.name.as_str()).collect();
    let place = section.place("on_full");
    match on_full {
        OnFull::Block if required.is_empty() => {
            let what = "on_full = \"block\" waits for destinations with required = true, and there is none";
            problems.warn(place, what, "add required = true to the destination that producers are to wait for");
        }
        OnFull::DropOldest if !required.is_empty() => {
            let what = format!(
                "{} is marked as required, which has no effect with on_full = \"drop_oldest\"",
                listed(required, "and")
            );
            problems.warn(place, what, "write on_full = \"block\", or take required out");
        }
        _ => {}
    }
}

/// A secret from the place that a table names, read.
pub(crate) fn secret(section: &Section<'_>, name: &str, surroundings: &Surroundings) -> Option<Secret> {
    let problems = section.problems();
    if section.is_text(name) {
        let what = format!("`{name}` stands in the configuration itself, where it would be copied and shown");
        problems.error(section.place(name), what, super::keys::SECRET_ADVICE);
        return None;
    }
    if !section.has(name) {
        problems.error(section.place(name), format!("`{name}` is missing"), super::keys::SECRET_ADVICE);
        return None;
    }
    let inner = section.table(name);
    let file = inner.optional("file", Section::path)?.map(SecretSource::File);
    let env = inner.optional("env", Section::text)?.map(SecretSource::Env);
    let credential = match inner.optional("credential", Section::text)? {
        Some(name) => Some(credential(&inner, name, surroundings)?),
        None => None,
    };
    let mut sources = [file, env, credential].into_iter().flatten();
    let (Some(source), None) = (sources.next(), sources.next()) else {
        // A table of another shape was reported when it was opened.
        if section.is_table(name) {
            problems.error(
                section.place(name),
                format!("`{name}` names no place, or more than one"),
                super::keys::SECRET_ADVICE,
            );
        }
        return None;
    };
    let place = section.place(name);
    match &source {
        SecretSource::Env(variable) => {
            let what =
                format!("`{name}` comes from the environment variable {variable}, which other processes may see");
            problems.warn(place.clone(), what, "prefer { file = \"/path\" } or { credential = \"name\" }");
        }
        _ if source.is_open_to_all() => {
            let what = format!("every user of this machine can read the secret's {source}");
            problems.warn(place.clone(), what, "take their permission away: chmod 0640, or 0600");
        }
        _ => {}
    }
    match Secret::read(source.clone(), surroundings.lookup) {
        Ok(secret) if secret.fits_a_header() => Some(secret),
        Ok(_) => {
            let what = format!("`{name}` holds spaces or characters outside ASCII, which no token has");
            problems.error(place, what, format!("check the {source}"));
            None
        }
        Err(error) => {
            problems.error(place, with_cause(&error), format!("check the {source}"));
            None
        }
    }
}

fn credential(section: &Section<'_>, name: String, surroundings: &Surroundings) -> Option<SecretSource> {
    let Some(directory) = &surroundings.credentials else {
        let what = format!("the credential {name} was not passed: $CREDENTIALS_DIRECTORY is not set");
        let advice = format!("add LoadCredential={name}:/path to the unit, or write {{ file = \"/path\" }}");
        section.problems().error(section.place("credential"), what, advice);
        return None;
    };
    Some(SecretSource::Credential { path: directory.join(&name), name })
}

/// A path that fits into the address of a Unix socket.
fn socket_path(section: &Section<'_>, name: &str) -> Option<PathBuf> {
    let path = section.path(name)?;
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        let what = format!("`{name}` is {} bytes long", path.as_os_str().len());
        section.problems().error(
            section.place(name),
            what,
            format!("a socket's path has at most {SOCKET_PATH_MAX} bytes"),
        );
        return None;
    }
    Some(path)
}

/// An error with its cause, for people.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// A host name as a label: what may not stand in one becomes `-`.
fn as_label(host_name: &str) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || "._-:".contains(c) { c } else { '-' }
    };
    let label: String = host_name.chars().take(255).map(allowed).collect();
    if label.is_empty() { "localhost".to_owned() } else { label }
}

/// The default of `buffer.sync_every`.
const SYNC_EVERY_DEFAULT: Millis = Millis(200);
/// As many threads as a sidecar takes without being asked.
const SHARDS_AUTO_MAX: usize = 4;
/// Segments are cut and allocated in pages.
const PAGE: u64 = 4 * KIB;
/// A segment holds this many of the longest event, with their headers and its footer.
const EVENTS_PER_SEGMENT_MIN: u64 = 4;
/// What fits into `sun_path` with its final zero.
const SOCKET_PATH_MAX: usize = 107;
/// A longer destination name is a problem of its own and stays out of the others.
const NAME_SHOWN_MAX: usize = 64;
