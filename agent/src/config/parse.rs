//! From files to a [`Config`]: the rules that no single key can know.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::destination::{Destination, DestinationId, bounds};
use super::files::{Source, read_source, toml_files, tree};
use super::keys::{DESTINATION, DESTINATION_FILE, ROOT};
use super::managed::{self, ManagedFile, Origin};
use super::parse_admin::admin;
use super::parse_destination;
use super::parse_secret::secret;
use super::problems::{Place, Problem, Problems, Weight, listed, shown};
use super::text::{KIB, MIB, size_text};
use super::url::parse_host;
use super::walk::Section;
use super::{
    Admin, Agent, Buffer, Config, Durability, HttpIngest, Ingest, LogFormat, LogLevel, LogSettings, OnFull,
    RuntimeSetting, SEGMENTS_PER_SHARD_MIN, Surroundings, UnixIngest,
};
use crate::time::Millis;
use crate::transport::{Allowed, Targets};

/// See [`Config::load`].
pub(crate) fn load(path: &Path, surroundings: &Surroundings) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let (config, problems) = load_what_is_usable(path, surroundings);
    finish(config, problems)
}

/// See [`Config::load_again`].
pub(crate) fn load_again(
    path: &Path,
    surroundings: &Surroundings,
    running: &Config,
) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let (config, problems) = load_beside(path, surroundings, Some(&running.agent.state_dir));
    finish(config, problems)
}

/// See [`Config::load_what_is_usable`].
pub(crate) fn load_what_is_usable(path: &Path, surroundings: &Surroundings) -> (Option<Config>, Vec<Problem>) {
    load_beside(path, surroundings, None)
}

/// With the destinations of the API in `in_use`, or in the state directory that the files name.
fn load_beside(path: &Path, surroundings: &Surroundings, in_use: Option<&Path>) -> (Option<Config>, Vec<Problem>) {
    let problems = Problems::default();
    let main = read_source(path, &problems);
    let beside = path.parent().unwrap_or(Path::new("")).join("destinations.d");
    let others: Vec<Source> =
        toml_files(&beside, &problems).iter().filter_map(|path| read_source(path, &problems)).collect();
    let config = main.and_then(|main| {
        let state_dir = in_use.map(Path::to_owned).or_else(|| state_dir(&main));
        let managed = state_dir.map_or(Ok(Vec::new()), |state_dir| managed::files(&state_dir));
        let are_managed_known = managed.is_ok();
        let managed = managed.unwrap_or_else(|found| {
            found.into_iter().for_each(|problem| problems.note(managed::as_warning(problem)));
            Vec::new()
        });
        let config = assemble(&main, &others, &managed, surroundings, &problems)?;
        Some(Config { are_managed_known, ..config })
    });
    (config, problems.into_vec())
}

/// Where destinations of the API lie, as far as that can be read.
fn state_dir(main: &Source) -> Option<PathBuf> {
    // What is wrong here is told when the file is read as a whole.
    let untold = Problems::default();
    let tree = tree(main, &untold)?;
    Section::root(main, tree.get_ref(), ROOT, &untold).table("agent").path("state_dir")
}

/// See [`Config::unsaved`].
pub(crate) fn unsaved(text: String, path: &Path, surroundings: &Surroundings) -> (Option<Config>, Vec<Problem>) {
    let problems = Problems::default();
    let (main, file) = (Source::new(path.to_owned(), String::new()), Source::new(path.to_owned(), text));
    let config = assemble(&main, &[file], &[], surroundings, &problems);
    (config, problems.into_vec())
}

/// Makes a configuration of files that were read: the main one, the others of the operator, and those of the API.
pub(crate) fn assemble(
    main: &Source,
    others: &[Source],
    managed: &[ManagedFile],
    surroundings: &Surroundings,
    problems: &Problems,
) -> Option<Config> {
    let trees: Vec<Option<Spanned<DeTable<'_>>>> = others.iter().map(|source| tree(source, problems)).collect();
    let main_tree = tree(main, problems);
    let root = main_tree.as_ref().map(|tree| Section::root(main, tree.get_ref(), ROOT, problems));
    let tables = root.as_ref().map(|root| Tables::read(root, surroundings));
    let mut sections = root.as_ref().map(destinations_of).unwrap_or_default();
    for (source, tree) in others.iter().zip(&trees) {
        let Some(tree) = tree else { continue };
        sections.extend(destinations_of(&Section::root(source, tree.get_ref(), DESTINATION_FILE, problems)));
    }
    // What can't be read is told elsewhere, and may hold destinations.
    let is_whole = root.as_ref().is_some_and(|root| !root.has("destination")) && trees.iter().all(Option::is_some);
    if sections.is_empty() && managed.is_empty() && is_whole {
        let place = Place { key: "destination".to_owned(), ..Place::file(&main.path) };
        let what = "no destination is configured: events are taken in, kept for the window and sent nowhere";
        problems.warn(place, what, "add a [[destination]]");
    }
    let node = tables.as_ref().map(Tables::node).unwrap_or_default();
    let bounds = tables.as_ref().map(Tables::bounds).unwrap_or_default();
    let (destinations, origins) = destinations(sections, node, &bounds, surroundings);
    let Tables { agent, buffer, buffer_section, ingest, admin, log } = tables?;
    let mut config = Config {
        file: main.path.clone(),
        agent: agent?,
        ingest: ingest?,
        buffer: buffer?,
        admin: admin?,
        log: log?,
        destinations,
        origins,
        misconfigured: Vec::new(),
        are_managed_known: true,
    };
    managed::add(&mut config, managed, surroundings, problems);
    warn_of_roles(&buffer_section, config.buffer.on_full, &config.destinations);
    Some(config)
}

/// The tables beside the destinations, each as far as it can be used.
struct Tables<'a> {
    agent: Option<Agent>,
    buffer: Option<Buffer>,
    buffer_section: Section<'a>,
    ingest: Option<Ingest>,
    admin: Option<Admin>,
    log: Option<LogSettings>,
}

impl<'a> Tables<'a> {
    fn read(root: &Section<'a>, surroundings: &Surroundings) -> Tables<'a> {
        let section = root.table("agent");
        let shards = shards(&section, surroundings);
        let agent = agent(&section, shards, surroundings);
        let buffer_section = root.table("buffer");
        let (segment_size, buffer) = buffer(&buffer_section, shards);
        let ingest = ingest(root, segment_size, surroundings);
        let admin = admin(&root.table("admin"), ingest.as_ref(), surroundings);
        let log = log(&root.table("log"));
        Tables { agent, buffer, buffer_section, ingest, admin, log }
    }

    /// The label of this node; empty where there is none that can be used.
    fn node(&self) -> &str {
        self.agent.as_ref().map_or("", |agent| &agent.node)
    }

    /// Where destinations may connect to.
    fn bounds(&self) -> Targets {
        let allowed = self.agent.as_ref().map(|agent| agent.allow_targets.clone()).unwrap_or_default();
        bounds(self.admin.as_ref(), self.ingest.as_ref(), allowed)
    }
}

/// The end of the reading: a configuration with warnings, or every problem.
pub(crate) fn finish(config: Option<Config>, problems: Vec<Problem>) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    match config {
        Some(config) if problems.iter().all(|problem| problem.weight == Weight::Warning) => Ok((config, problems)),
        _ => Err(problems),
    }
}

fn shards(section: &Section<'_>, surroundings: &Surroundings) -> Option<usize> {
    let automatic = surroundings.cpus.clamp(1, SHARDS_AUTO_MAX);
    Some(section.auto_or_count("shards")?.map_or(automatic, |count| count as usize))
}

fn agent(section: &Section<'_>, shards: Option<usize>, surroundings: &Surroundings) -> Option<Agent> {
    let node = section.optional("node", Section::text);
    let state_dir = section.path("state_dir");
    let runtime = section.choice("runtime");
    let tenant = section.text("tenant");
    let allow_targets = allow_targets(section);
    Some(Agent {
        node: node?.unwrap_or_else(|| as_label(&surroundings.host_name)),
        state_dir: state_dir?,
        shards: shards?,
        runtime: [RuntimeSetting::Auto, RuntimeSetting::IoUring, RuntimeSetting::Epoll][runtime?],
        tenant: tenant?,
        allow_targets: allow_targets?,
    })
}

fn allow_targets(section: &Section<'_>) -> Option<Vec<Allowed>> {
    let mut allowed = Vec::new();
    for (text, place) in section.texts("allow_targets")? {
        let Some(one) = Allowed::parse(&text) else {
            let what = format!("`allow_targets` holds {}, which is not an address", shown(&text));
            section.problems().error(place, what, "write an IP address, with a port if only that one is meant");
            return None;
        };
        allowed.push(one);
    }
    Some(allowed)
}

/// The size of a segment, which other rules need even if the rest is not usable, and the whole.
fn buffer(section: &Section<'_>, shards: Option<usize>) -> (Option<u64>, Option<Buffer>) {
    let max_size = section.size("max_size");
    let segment_size = section.size("segment_size").and_then(|size| match size % PAGE {
        0 => Some(size),
        _ => section.refuse("segment_size", &size_text(size), "is not a multiple of 4KiB"),
    });
    let fits = match (max_size, segment_size, shards) {
        (Some(max_size), Some(segment_size), Some(shards)) => {
            check_segments(section, max_size, segment_size, shards as u64)
        }
        _ => None,
    };
    let rest = rest_of_buffer(section);
    let whole = || {
        fits?;
        Some(Buffer { max_size: max_size?, segment_size: segment_size?, ..rest? })
    };
    (segment_size, whole())
}

/// A buffer with everything but its sizes.
fn rest_of_buffer(section: &Section<'_>) -> Option<Buffer> {
    let window = section.span("window");
    let durability = durability(section);
    let on_full = section.choice("on_full");
    let min_free = section.table("min_free");
    let (percent, bytes) = (min_free.count("percent"), min_free.size("size"));
    Some(Buffer {
        window: window?,
        max_size: 0,
        segment_size: 0,
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

fn ingest(root: &Section<'_>, segment_size: Option<u64>, surroundings: &Surroundings) -> Option<Ingest> {
    let section = root.table("ingest");
    let unix = unix_ingest(&section.table("unix"));
    let http = section.optional("http", |section, name| http_ingest(&section.table(name), surroundings));
    let max_event_size = section.size("max_event_size");
    let window = section.table("window");
    let (bytes, lines) = (window.size("max_size"), window.count("max_lines"));
    let max_event_size = max_event_size?;
    check_event_size(&section, &window, max_event_size, bytes?, segment_size)?;
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
    segment_size: Option<u64>,
) -> Option<()> {
    let place = section.place("max_event_size");
    if let Some(segment_size) = segment_size
        && max_event_size > segment_size / EVENTS_PER_SEGMENT_MIN
    {
        let (event, segment) = (size_text(max_event_size), size_text(segment_size));
        let what = format!("`max_event_size` of {event} is more than a quarter of a segment of {segment}");
        let advice = format!(
            "set max_event_size to at most \"{}\", or buffer.segment_size to at least \"{}\"",
            size_text(segment_size / EVENTS_PER_SEGMENT_MIN),
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
    let hosts = hosts(section);
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
    Some(HttpIngest { listen, token, hosts: hosts? })
}

pub(super) fn hosts(section: &Section<'_>) -> Option<Vec<String>> {
    let mut hosts = Vec::new();
    for (text, place) in section.texts("hosts")? {
        match parse_host(&text) {
            Ok(host) => hosts.push(host),
            Err(_) => {
                let what = format!("`hosts` holds {}, which is not a host name", shown(&text));
                section.problems().error(place, what, "write host names without a scheme or a port");
                return None;
            }
        }
    }
    Some(hosts)
}

fn log(section: &Section<'_>) -> Option<LogSettings> {
    let (format, level) = (section.choice("format"), section.choice("level"));
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    Some(LogSettings { format: [LogFormat::Text, LogFormat::Json][format?], level: levels[level?] })
}

/// The tables of a file's destinations, each named by its name or by its number in the file.
pub(super) fn destinations_of<'a>(root: &Section<'a>) -> Vec<Section<'a>> {
    root.tables("destination", DESTINATION, |position, entries| {
        match entries.get("name").and_then(|name| name.get_ref().as_str()) {
            Some(name) if name.len() <= NAME_SHOWN_MAX => format!("destination {name:?}"),
            _ => format!("destination number {}", position + 1),
        }
    })
}

/// The destinations of the operator's files, and where each of them stands.
fn destinations(
    sections: Vec<Section<'_>>,
    node: &str,
    bounds: &Targets,
    surroundings: &Surroundings,
) -> (Vec<Arc<Destination>>, HashMap<DestinationId, Origin>) {
    if let Some(section) = sections.get(DESTINATIONS_MAX) {
        let what = format!("this is destination number {}", DESTINATIONS_MAX + 1);
        section.problems().error(section.place("name"), what, format!("configure at most {DESTINATIONS_MAX}"));
        return (Vec::new(), HashMap::new());
    }
    report_doubles(&sections);
    let parse = |section: Section<'_>| {
        let origin = Origin::File(section.place("name").file);
        let destination = parse_destination::destination(section, node, surroundings)?.within(bounds);
        Some((Arc::new(destination), origin))
    };
    let parsed: Vec<_> = sections.into_iter().filter_map(parse).collect();
    let origins = parsed.iter().map(|(destination, origin)| (destination.id, origin.clone())).collect();
    (parsed.into_iter().map(|(destination, _)| destination).collect(), origins)
}

/// Reports names and ids that two destinations share, whatever else is wrong with them.
fn report_doubles(sections: &[Section<'_>]) {
    let (mut names, mut ids) = (HashMap::new(), HashMap::new());
    for section in sections {
        let Some(name) = section.written_text("name") else { continue };
        let id = section.written_text("id").unwrap_or_else(|| name.clone());
        let (named, identified) = (section.place("name"), section.place("id"));
        if let Some(first) = names.insert(name.clone(), named.clone()) {
            let what = format!("there is another destination named {name:?} {}", at(&first));
            section.problems().error(named, what, "give one of them another name");
        } else if let Some(first) = ids.insert(id, identified.clone()) {
            let what = format!("{name:?} has the same id as the destination {}", at(&first));
            section.problems().error(identified, what, "give one of them another id: cursors are kept under it");
        }
    }
}

fn at(place: &Place) -> String {
    let line = place.line.map(|line| format!(", line {line}")).unwrap_or_default();
    format!("in {}{line}", place.file.display())
}

/// What each setting allows and both together make useless.
fn warn_of_roles(section: &Section<'_>, on_full: OnFull, destinations: &[Arc<Destination>]) {
    let problems = section.problems();
    let required: Vec<&str> = destinations.iter().filter(|one| one.required).map(|one| one.name.as_str()).collect();
    let place = section.place("on_full");
    match on_full {
        OnFull::Block if required.is_empty() && !destinations.is_empty() => {
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

/// A path that fits into the address of a Unix socket.
pub(super) fn socket_path(section: &Section<'_>, name: &str) -> Option<PathBuf> {
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
/// Most destinations, all files together.
pub(super) const DESTINATIONS_MAX: usize = 10_000;
/// A longer destination name is a problem of its own and stays out of the others.
pub(super) const NAME_SHOWN_MAX: usize = 64;
