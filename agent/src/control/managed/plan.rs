//! From a wish to what has to be written, or why it can't be.
//!
//! A plan is checked by reading the configuration as it would be afterwards, with the parser of files: what it refuses is
//! refused here, in its words. Nothing is written.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use crate::config::managed::{ManagedFile, folder, secrets_folder};
use crate::config::{
    About, Auth, AwsSource, Config, Destination, DestinationId, EntraIdentity, Given, HttpUrl, Kept, Kind, Origin,
    Place, Problem, SecretPlaces, Surroundings, Trust, Weight, Written, table_of, written,
};
use crate::control::access::{Person, Reach, Via};
use crate::control::destinations::{Unknown, find_for};
use crate::transport::{is_allowed, is_here, known_address};

/// What somebody wishes. Has no `Debug`: it holds secrets, which are wiped when it is dropped.
pub(in crate::control) enum Wish {
    /// Another destination.
    Create(Value),
    /// The destination of this name is to be as the value says.
    Change(String, Value),
    /// The destination of this name is to go.
    Delete(String),
    /// These, and no others.
    Set(Vec<Value>),
}

impl Drop for Wish {
    fn drop(&mut self) {
        match self {
            Wish::Create(value) | Wish::Change(_, value) => wipe(value),
            Wish::Set(values) => values.iter_mut().for_each(wipe),
            Wish::Delete(_) => {}
        }
    }
}

/// Wipes every text in a value: which of them are secret is known to the tables of keys, and not to what was misspelt.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(entries) => entries.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What has to be written. Has no `Debug`: it holds secrets.
pub(in crate::control) struct Plan {
    /// Files by what they are named after; `None` where one goes. What stays as it is does not stand here.
    pub(in crate::control) changes: BTreeMap<String, Option<String>>,
    /// Secrets that came with it.
    pub(in crate::control) given: Given,
    /// The configuration as it will be.
    pub(in crate::control) config: Config,
    /// Which of the files are there already.
    pub(in crate::control) existed: BTreeSet<String>,
    /// What the file of the one destination is named after that the wish is about.
    pub(in crate::control) subject: Option<String>,
    /// Whether the wish is about all of them.
    pub(in crate::control) is_set: bool,
    /// What somebody should know about what is written.
    pub(in crate::control) warnings: Vec<Problem>,
}

/// Why a wish is not carried out.
#[derive(Debug)]
pub(in crate::control) enum Refusal {
    /// There is no such destination, for this person.
    Unknown(Unknown),
    /// It stands in a file of the operator; which one is for those who administer all tenants.
    Operators(Option<PathBuf>),
    /// What was sent can't be used.
    Invalid(Vec<Problem>),
    /// Only those who administer all tenants may do this.
    Scoped,
}

/// How far somebody is trusted with this machine.
fn trust(person: &Person) -> Trust {
    match person.reach {
        Reach::Tenants(_) => Trust::Tenants,
        Reach::All if person.via == Via::Cli => Trust::Machine,
        Reach::All => Trust::Network,
    }
}

/// Plans what `person` wishes, where `config` is in force and `files` are on the disk. Blocks on the disk.
///
/// # Errors
/// See [`Refusal`].
pub(in crate::control) fn plan(
    config: &Config,
    files: &[ManagedFile],
    person: &Person,
    wish: &Wish,
    surroundings: &Surroundings,
) -> Result<Plan, Refusal> {
    let (folder, secrets) = (folder(&config.agent.state_dir), secrets_folder(&config.agent.state_dir));
    let content = |path: &Path| std::fs::read_to_string(path).ok().map(Zeroizing::new);
    let used = std::fs::read_dir(secrets).into_iter().flatten().flatten();
    let used = used.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let mut places = SecretPlaces { folder: &folder, used, content: &content };
    let draft = Draft { config, files, person, places: &mut places };
    let (mut changes, given, subject) = draft.of(wish)?;
    let (after, problems) = after(config, files, &changes, &given, surroundings);
    let is_named = |key: &str| matches!(wish, Wish::Set(_)) || subject.as_deref() == Some(key);
    for (key, text) in not_in_force(config, &after, files).into_iter().filter(|(key, _)| is_named(key)) {
        changes.entry(key).or_insert(text);
    }
    let existed = files.iter().map(|file| file.key.clone()).filter(|key| changes.contains_key(key)).collect();
    check(config, &after, &changes, person)?;
    let of_changed = |problem: &Problem| {
        let stem = problem.place.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.is_some_and(|stem| changes.contains_key(&stem))
    };
    let warnings = problems.into_iter().filter(of_changed).collect();
    let is_set = matches!(wish, Wish::Set(_));
    Ok(Plan { changes, given, config: after, existed, subject, is_set, warnings })
}

/// Files that say something else than is in force, because somebody has edited them by hand. Who names them in a wish that
/// they fulfil already wishes them in force.
fn not_in_force(config: &Config, after: &Config, files: &[ManagedFile]) -> BTreeMap<String, Option<String>> {
    let named = |of: &'_ Config, id| of.destinations.iter().find(|known| known.id == id).cloned();
    let edited = files.iter().filter(|file| {
        let id = DestinationId::from_text(&file.key);
        named(after, id).is_some_and(|found| named(config, id).is_none_or(|running| running != found))
    });
    let gone = config.destinations.iter().filter(|known| named(after, known.id).is_none());
    let removed = gone.filter_map(|known| config.managed_key(known.id));
    let removed = removed.filter(|key| files.iter().all(|file| file.key != *key));
    let edited = edited.map(|file| (file.key.clone(), Some(file.text().to_owned())));
    removed.map(|key| (key.to_owned(), None)).chain(edited).collect()
}

/// The destination that a plan makes of its subject.
pub(in crate::control) fn made_by(plan: &Plan) -> Option<&std::sync::Arc<Destination>> {
    let id = DestinationId::from_text(plan.subject.as_ref()?);
    plan.config.destinations.iter().find(|known| known.id == id)
}

type Drafted = (BTreeMap<String, Option<String>>, Given, Option<String>);

struct Draft<'d, 'p> {
    config: &'d Config,
    files: &'d [ManagedFile],
    person: &'d Person,
    places: &'d mut SecretPlaces<'p>,
}

impl<'d> Draft<'d, '_> {
    fn of(self, wish: &Wish) -> Result<Drafted, Refusal> {
        match wish {
            Wish::Create(value) => self.create(value),
            Wish::Change(name, value) => self.change(name, value),
            Wish::Delete(name) => {
                let key = self.find(name)?.key.clone();
                Ok(([(key.clone(), None)].into(), Given::new(), Some(key)))
            }
            Wish::Set(_) if self.person.reach != Reach::All => Err(Refusal::Scoped),
            Wish::Set(values) => self.set(values),
        }
    }

    fn create(self, value: &Value) -> Result<Drafted, Refusal> {
        let made = written(value, None, trust(self.person), self.places).map_err(Refusal::Invalid)?;
        if self.files.iter().any(|file| file.key == made.key) {
            return Err(taken(&made));
        }
        let Written { key, text, given, .. } = made;
        Ok(([(key.clone(), Some(text))].into(), given, Some(key)))
    }

    fn change(self, name: &str, value: &Value) -> Result<Drafted, Refusal> {
        let file = self.find(name)?;
        let made = written(value, Some(&kept(file)), trust(self.person), self.places).map_err(Refusal::Invalid)?;
        let changes = changed(file, made.text).map(|text| (made.key.clone(), Some(text)));
        Ok((changes.into_iter().collect(), made.given, Some(made.key)))
    }

    fn set(self, values: &[Value]) -> Result<Drafted, Refusal> {
        let (mut changes, mut given, mut problems) = (BTreeMap::new(), Given::new(), Vec::new());
        let mut seen = HashSet::new();
        for value in values {
            let of = |key: &str| value.get(key).and_then(Value::as_str);
            let (id, name) = (of("id").or(of("name")), of("name"));
            let by_name = || self.files.iter().find(|file| name.is_some() && name_of(file).as_deref() == name);
            let file = self.files.iter().find(|file| Some(file.key.as_str()) == id).or_else(by_name);
            match written(value, file.map(kept).as_ref(), trust(self.person), self.places) {
                Ok(made) if !seen.insert(made.key.clone()) => match taken(&made) {
                    Refusal::Invalid(found) => problems.extend(found),
                    other => return Err(other),
                },
                Ok(made) => {
                    given.extend(made.given);
                    let text = file.map_or(Some(made.text.clone()), |file| changed(file, made.text));
                    changes.extend(text.map(|text| (made.key, Some(text))));
                }
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(Refusal::Invalid(problems));
        }
        let gone = self.files.iter().map(|file| &file.key).filter(|key| !seen.contains(*key));
        changes.extend(gone.map(|key| (key.clone(), None)));
        Ok((changes, given, None))
    }

    /// The file of the destination of this name.
    fn find(&self, name: &str) -> Result<&'d ManagedFile, Refusal> {
        let unknown = || match find_for(self.person, self.config, name) {
            Ok(known) => match self.config.origins.get(&known.id) {
                Some(Origin::File(path)) => {
                    let may_know = self.person.reach == Reach::All;
                    Refusal::Operators(may_know.then(|| path.clone()))
                }
                // Its file is gone, and nobody has told the agent.
                _ => {
                    Refusal::Unknown(Unknown { what: format!("the file of \"{name}\" is gone"), advice: RELOAD.into() })
                }
            },
            Err(unknown) => Refusal::Unknown(unknown),
        };
        let file = self.files.iter().find(|file| name_of(file).as_deref() == Some(name)).ok_or_else(unknown)?;
        let id = DestinationId::from_text(&file.key);
        let known = self.config.destinations.iter().find(|known| known.id == id && self.config.is_managed(id));
        // What can't be used has no tenants, so it is for those who see all of them.
        let sees = known.map_or(self.person.reach == Reach::All, |known| self.person.sees(known));
        if sees { Ok(file) } else { Err(unknown()) }
    }
}

/// What a file's destination is called: as it says, or as the file is named where it says nothing.
pub(in crate::control) fn name_of(file: &ManagedFile) -> Option<String> {
    let table = table_of(file.text());
    let name = table.and_then(|table| Some(table.get("name")?.as_str()?.to_owned()));
    Some(name.unwrap_or_else(|| file.key.clone()))
}

fn kept(file: &ManagedFile) -> Kept {
    Kept { key: file.key.clone(), table: table_of(file.text()).unwrap_or_default() }
}

/// The new text, if it says anything else than what is there.
fn changed(file: &ManagedFile, text: String) -> Option<String> {
    let (before, after) = (table_of(file.text()), table_of(&text));
    (before.is_none() || before != after).then_some(text)
}

/// The configuration as it will be.
fn after(
    config: &Config,
    files: &[ManagedFile],
    changes: &BTreeMap<String, Option<String>>,
    given: &Given,
    surroundings: &Surroundings,
) -> (Config, Vec<Problem>) {
    let state_dir = &config.agent.state_dir;
    let stays = files.iter().filter(|file| !changes.contains_key(&file.key)).cloned();
    let written =
        changes.iter().filter_map(|(key, text)| Some(ManagedFile::made(state_dir, key, text.as_ref()?, given)));
    let mut all: Vec<ManagedFile> = stays.chain(written).collect();
    // What is there already has the older right to its name.
    all.sort_by_key(|file| (changes.contains_key(&file.key), file.path.clone()));
    config.with_managed(&all, surroundings)
}

/// Whether all that was written can be used, and is the person's business.
fn check(
    before: &Config,
    after: &Config,
    changes: &BTreeMap<String, Option<String>>,
    person: &Person,
) -> Result<(), Refusal> {
    let changing: BTreeSet<DestinationId> = changes.keys().map(|key| DestinationId::from_text(key)).collect();
    // One that runs by a file which can't be used any more has its name all the same.
    let is_held = |made: &Destination| {
        before.destinations.iter().any(|other| other.name == made.name && !changing.contains(&other.id))
    };
    let unusable = after.misconfigured.iter().filter(|known| matches!(changes.get(&known.key), Some(Some(_))));
    let mut problems: Vec<Problem> = unusable.flat_map(|known| known.problems.clone()).collect();
    for (key, text) in changes {
        let id = DestinationId::from_text(key);
        let made = after.destinations.iter().find(|known| text.is_some() && known.id == id);
        if let Some(made) = made.filter(|made| !person.sees(made)) {
            problems.push(beyond_reach(made));
        }
        problems.extend(made.into_iter().filter_map(|made| barred(made)));
        problems.extend(made.filter(|made| is_held(made)).map(|made| held(made)));
        let tells = made.filter(|made| trust(person) != Trust::Machine && tells_the_machines_token(made));
        problems.extend(tells.map(by_the_machine));
        problems.extend(made.filter(|made| person.reach != Reach::All && is_by_the_machine(made)).map(by_the_machine));
    }
    if problems.is_empty() { Ok(()) } else { Err(Refusal::Invalid(problems)) }
}

fn beyond_reach(destination: &Destination) -> Problem {
    let what = format!("`tenants` is {:?}, and not all of these are yours", destination.tenants);
    problem(&destination.name, "tenants", what, "name tenants that you administer")
}

/// An address, written as such or by a name that everybody knows, that may not be connected to. What any other name leads to
/// is looked at by each connection; behind a proxy by the proxy alone.
fn barred(destination: &Destination) -> Option<Problem> {
    written_hosts(destination).into_iter().find_map(|(host, port, key)| {
        let ip = known_address(&host)?;
        let why = is_allowed(ip, port, &destination.targets, is_here).err()?;
        let at = if host.trim_matches(['[', ']']).parse() == Ok(ip) { String::new() } else { format!("{host}, ") };
        let what = format!("`{key}` is at {at}{ip}, which may not be connected to: {why}");
        Some(problem(&destination.name, key, what, "name another address, or ask the operator for agent.allow_targets"))
    })
}

/// Every host that a destination names on the way of its events or of what lets it in: with its port and its key.
fn written_hosts(destination: &Destination) -> Vec<(String, u16, &'static str)> {
    let of = |url: &HttpUrl, key| (url.host.clone(), url.port, key);
    let mut hosts: Vec<_> = destination.kind.urls().iter().map(|url| of(url, "url")).collect();
    if let Kind::Syslog(syslog) = &destination.kind {
        hosts.push((syslog.host.clone(), syslog.port, "host"));
    }
    hosts.extend(destination.proxy.iter().map(|proxy| of(&proxy.url, "proxy.url")));
    hosts.extend(destination.auth.iter().filter_map(|auth| match auth {
        Auth::OAuth(oauth) => Some(of(&HttpUrl::parse(&oauth.token_url).ok()?, "oauth.token_url")),
        Auth::Entra(entra) => Some(of(entra.authority.as_ref()?, "authority")),
        _ => None,
    }));
    hosts
}

/// Whether it is let in for what the machine is, rather than for what its owner knows.
fn is_by_the_machine(destination: &Destination) -> bool {
    destination.auth.iter().any(|auth| match auth {
        Auth::Entra(entra) => matches!(entra.identity, EntraIdentity::Workload { .. } | EntraIdentity::Managed(_)),
        Auth::Aws(aws) => aws.source == AwsSource::Surroundings,
        _ => false,
    })
}

/// Whether a token of the machine would be told to an address that somebody wrote.
fn tells_the_machines_token(destination: &Destination) -> bool {
    destination.auth.iter().any(|auth| {
        matches!(auth, Auth::Entra(entra)
            if entra.authority.is_some() && matches!(entra.identity, EntraIdentity::Workload { .. }))
    })
}

fn held(made: &Destination) -> Problem {
    let what = format!("there is another destination named {:?}", made.name);
    problem(&made.name, "name", what, "give one of them another name")
}

fn by_the_machine(destination: &std::sync::Arc<Destination>) -> Problem {
    let what = "it would be let in with the identity of the agent's machine".to_owned();
    problem(&destination.name, "type", what, "give the keys or the secret of an identity of your own")
}

fn taken(made: &Written) -> Refusal {
    let what = format!("there is another destination with the id {:?}", made.key);
    Refusal::Invalid(vec![problem(&made.name, "name", what, "give one of them another name")])
}

fn problem(name: &str, key: &str, what: String, advice: &str) -> Problem {
    let place = Place { file: PathBuf::from("the request"), line: None, key: format!("destination {name:?} {key}") };
    Problem { weight: Weight::Error, what, place, advice: advice.to_owned(), about: About::Setting }
}

/// What to do when files were removed by hand.
const RELOAD: &str = "reload the configuration: `scaidrive-siem reload`, or SIGHUP";
