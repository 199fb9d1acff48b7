//! A configuration as a list of keys and values: what may be shown, and what changed between two.
//!
//! Values are as people write them. A secret's value is where it is kept; that its content changed is said, the
//! content is not. Nor are certificates, which may be long: their digest is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::destination::{Destination, DestinationId, TlsVersion};
use super::keys::{DESTINATION, DURABILITIES, Key, LOG_FORMATS, LOG_LEVELS, ON_FULLS, ROOT, RUNTIMES, Shape, TARGETS};
use super::kind::keys_of;
use super::secret::Secret;
use super::text::{size_text, span_text};
use super::{Admin, Config, Durability, Ingest};

/// A key with its path, and its value; `None` when it is absent and has no default.
pub(super) type Setting = (&'static str, Option<String>);

impl Config {
    /// Every key of `agent.toml` outside the destinations, with its value.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, Option<String>)> {
        let (agent, buffer) = (&self.agent, &self.buffer);
        let mut settings = vec![
            some("agent.node", &agent.node),
            some("agent.state_dir", agent.state_dir.display()),
            some("agent.shards", agent.shards),
            some("agent.runtime", RUNTIMES[agent.runtime as usize]),
            some("agent.tenant", &agent.tenant),
            some("agent.allow_targets", list(&agent.allow_targets.iter().map(ToString::to_string).collect::<Vec<_>>())),
        ];
        settings.extend(ingest_settings(&self.ingest));
        let (durability, every) = match buffer.durability {
            Durability::Fsync => (0, None),
            Durability::Interval(every) => (1, Some(span_text(every))),
            Durability::Os => (2, None),
        };
        settings.extend([
            some("buffer.window", span_text(buffer.window)),
            some("buffer.max_size", size_text(buffer.max_size)),
            some("buffer.segment_size", size_text(buffer.segment_size)),
            some("buffer.durability", DURABILITIES[durability]),
            ("buffer.sync_every", every),
            some("buffer.on_full", ON_FULLS[buffer.on_full as usize]),
            some("buffer.min_free.percent", buffer.min_free_percent),
            some("buffer.min_free.size", size_text(buffer.min_free_bytes)),
        ]);
        settings.extend(admin_settings(&self.admin));
        settings.extend([
            some("log.format", LOG_FORMATS[self.log.format as usize]),
            some("log.level", LOG_LEVELS[self.log.level as usize]),
        ]);
        settings
    }

    /// What is different in `new`: destination by destination, and key by key outside them.
    #[must_use]
    pub fn differences(old: &Config, new: &Config) -> Changes {
        let mut changes = Changes::default();
        let mut before: HashMap<DestinationId, &Arc<Destination>> =
            old.destinations.iter().map(|before| (before.id, before)).collect();
        for destination in &new.destinations {
            match before.remove(&destination.id) {
                None => changes.added.push(destination.clone()),
                Some(before) => match changed_settings(before, destination) {
                    settings if settings.is_empty() => changes.unchanged.push(before.clone()),
                    settings => {
                        let (old, new) = (before.clone(), destination.clone());
                        changes.changed.push(ChangedDestination { old, new, settings });
                    }
                },
            }
        }
        changes.removed = old.destinations.iter().filter(|one| before.contains_key(&one.id)).cloned().collect();
        let mut agent = compare(old.settings(), new.settings());
        let tokens = |config: &Config| config.ingest.http.as_ref().and_then(|http| http.token.clone());
        agent.extend(changed_secret("ingest.http.token", tokens(old).as_ref(), tokens(new).as_ref()));
        let keys = |config: &Config| config.admin.proxy.as_ref().and_then(|proxy| proxy.key.secret().cloned());
        agent.extend(changed_secret("admin.proxy.jwt_key", keys(old).as_ref(), keys(new).as_ref()));
        (changes.restart, changes.live) = agent.into_iter().partition(|change| needs_restart(change.key));
        changes
    }
}

/// Destinations are equal when all their settings are, the content of their secrets included.
impl PartialEq for Destination {
    fn eq(&self, other: &Destination) -> bool {
        changed_settings(self, other).is_empty()
    }
}

impl Destination {
    /// Every key of the destination, with its value.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, Option<String>)> {
        let (filter, tls) = (&self.filter_spec, &self.tls);
        let identity = tls.identity.as_ref();
        let mut settings = vec![some("name", &self.name), some("type", self.kind.name()), some("id", self.id)];
        settings.extend(self.kind.settings(self));
        settings.extend([
            some("tenants", list(&self.tenants)),
            some("filter.categories", list(&filter.categories)),
            some("filter.actions", list(&filter.actions)),
            some("filter.severities", list(&filter.severities)),
            some("filter.excluded_users", list(&filter.excluded_users)),
            some("filter.excluded_paths", list(&filter.excluded_paths)),
            some("batch.max_events", self.batch.max_events),
            some("batch.max_size", size_text(self.batch.max_size as u64)),
            some("batch.linger", span_text(self.batch.linger)),
            some("ordered", self.ordered),
            some("required", self.required),
            some("targets", TARGETS[usize::from(self.targets.public_only)]),
            some("timeouts.connect", span_text(self.timeouts.connect)),
            some("timeouts.request", span_text(self.timeouts.request)),
            ("tls.ca_file", tls.ca_file.as_ref().map(|path| path.display().to_string())),
            ("tls.ca", tls.ca.as_ref().map(ToString::to_string)),
            ("tls.server_name", tls.server_name.clone()),
            ("tls.cert_file", identity.map(|(cert, _)| cert.display().to_string())),
            ("tls.key_file", identity.map(|(_, key)| key.display().to_string())),
            some("tls.fingerprints", list(&tls.fingerprints.iter().map(ToString::to_string).collect::<Vec<_>>())),
            some("tls.min_version", if tls.min_version == TlsVersion::Tls13 { "1.3" } else { "1.2" }),
        ]);
        let limit = self.rate_limit.as_ref();
        settings.extend([
            ("rate_limit.events", limit.and_then(|limit| limit.events).map(|events| events.to_string())),
            ("rate_limit.bytes", limit.and_then(|limit| limit.bytes).map(size_text)),
            ("rate_limit.bytes_per_day", limit.and_then(|limit| limit.bytes_per_day).map(size_text)),
            ("rate_limit.warn_at", limit.map(|limit| limit.warn_at_percent.to_string())),
            some("redact.drop", list(&self.redact.spec.drop)),
            some("redact.mask", list(&self.redact.spec.mask)),
            some("redact.hash", list(&self.redact.spec.hash)),
            self.secret_setting("redact.key"),
        ]);
        settings
    }

    /// The same for whoever has no business with the machine: that a secret or a file is kept there, and not where.
    #[must_use]
    pub fn settings_without_places(&self) -> Vec<Setting> {
        let own = keys_of(self.kind.name()).map(|(_, keys)| keys).unwrap_or_default();
        let is_place = |key: &str| {
            let found = key_at(&[DESTINATION, own], key);
            found.is_none_or(|key| matches!(key.shape, Shape::Path | Shape::Secret))
        };
        let masked = |(key, value): Setting| match value {
            Some(_) if is_place(key) => some(key, KEPT_ON_THE_MACHINE),
            value => (key, value),
        };
        self.settings().into_iter().map(masked).collect()
    }

    /// Where the secret under `key` is kept, as a setting.
    pub(super) fn secret_setting(&self, key: &'static str) -> Setting {
        let secrets = self.secrets();
        (key, secrets.iter().find(|(name, _)| *name == key).map(|(_, secret)| secret.source().to_string()))
    }
}

/// What a reload has to do.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Destinations that are new.
    pub added: Vec<Arc<Destination>>,
    /// Destinations that are gone.
    pub removed: Vec<Arc<Destination>>,
    /// Destinations that go on under the same id with other settings.
    pub changed: Vec<ChangedDestination>,
    /// Destinations that go on as they are, as they were in the old configuration.
    pub unchanged: Vec<Arc<Destination>>,
    /// Keys outside the destinations that a reload carries out.
    pub live: Vec<ChangedSetting>,
    /// Keys outside the destinations that take effect with the next start only.
    pub restart: Vec<ChangedSetting>,
}

impl Changes {
    /// Whether both configurations say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let same_destinations = self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty();
        same_destinations && self.live.is_empty() && self.restart.is_empty()
    }

    /// What an operator must be told after a reload: the keys that wait for a restart, each with both values.
    #[must_use]
    pub fn restart_in_words(&self) -> Option<String> {
        if self.restart.is_empty() {
            return None;
        }
        let all: Vec<String> = self.restart.iter().map(ToString::to_string).collect();
        Some(format!("takes effect with the next start of the agent: {}", all.join("; ")))
    }
}

/// A destination whose settings changed.
#[derive(Clone, Debug)]
pub struct ChangedDestination {
    /// As it was.
    pub old: Arc<Destination>,
    /// As it is to be.
    pub new: Arc<Destination>,
    /// What changed; never empty.
    pub settings: Vec<ChangedSetting>,
}

/// A key whose value changed. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSetting {
    /// The key with its path.
    pub key: &'static str,
    /// The old value; `None` when it was absent.
    pub before: Option<String>,
    /// The new value; `None` when it is absent.
    pub after: Option<String>,
}

impl fmt::Display for ChangedSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{} from {} to {}", self.key, or_none(&self.before), or_none(&self.after))
    }
}

fn ingest_settings(ingest: &Ingest) -> Vec<Setting> {
    let (unix, http) = (ingest.unix.as_ref(), ingest.http.as_ref());
    let token = http.and_then(|http| http.token.as_ref());
    vec![
        some("ingest.unix.enabled", unix.is_some()),
        ("ingest.unix.path", unix.map(|unix| unix.path.display().to_string())),
        ("ingest.unix.mode", unix.map(|unix| format!("{:04o}", unix.mode))),
        ("ingest.unix.group", unix.and_then(|unix| unix.group.clone())),
        ("ingest.unix.allow_uids", unix.map(|unix| format!("{:?}", unix.allow_uids))),
        ("ingest.http.listen", http.map(|http| http.listen.to_string())),
        ("ingest.http.token", token.map(|token| token.source().to_string())),
        ("ingest.http.hosts", http.map(|http| list(&http.hosts))),
        some("ingest.max_event_size", size_text(ingest.max_event_size as u64)),
        some("ingest.window.max_size", size_text(ingest.window_bytes as u64)),
        some("ingest.window.max_lines", ingest.window_lines),
    ]
}

fn admin_settings(admin: &Admin) -> Vec<Setting> {
    let (tls, proxy) = (admin.tls.as_ref(), admin.proxy.as_ref());
    let secret = proxy.and_then(|proxy| proxy.key.secret());
    let file = proxy.and_then(|proxy| proxy.key.file());
    vec![
        some("admin.listen", admin.listen),
        some("admin.socket", admin.socket.display()),
        ("admin.tls.cert_file", tls.map(|tls| tls.cert_file.display().to_string())),
        ("admin.tls.key_file", tls.map(|tls| tls.key_file.display().to_string())),
        some("admin.hosts", list(&admin.hosts)),
        ("admin.base_path", (!admin.base_path.is_empty()).then(|| admin.base_path.clone())),
        some("admin.frame_ancestors", list(&admin.frame_ancestors)),
        some("admin.metrics_need_token", admin.metrics_need_token),
        ("admin.proxy.jwt_key", secret.map(|secret| secret.source().to_string())),
        ("admin.proxy.public_key_file", file.map(|file| file.display().to_string())),
        ("admin.proxy.header", proxy.map(|proxy| proxy.header.clone())),
        ("admin.proxy.issuer", proxy.and_then(|proxy| proxy.issuer.clone())),
        ("admin.proxy.audience", proxy.map(|proxy| proxy.audience.clone())),
        ("admin.proxy.max_life", proxy.map(|proxy| span_text(proxy.max_life))),
        ("admin.proxy.from", proxy.map(|proxy| list(&proxy.from.iter().map(ToString::to_string).collect::<Vec<_>>()))),
    ]
}

fn changed_settings(old: &Destination, new: &Destination) -> Vec<ChangedSetting> {
    let mut changed = compare(old.settings(), new.settings());
    let (before, after) = (old.secrets(), new.secrets());
    changed.extend(
        before
            .iter()
            .zip(&after)
            .filter_map(|((key, before), (_, after))| changed_secret(key, Some(before), Some(after))),
    );
    changed
}

/// The keys whose values differ; one that only one of them has counts as absent in the other.
fn compare(old: Vec<Setting>, new: Vec<Setting>) -> Vec<ChangedSetting> {
    let value = |settings: &[Setting], key: &str| {
        settings.iter().find(|(name, _)| *name == key).and_then(|(_, value)| value.clone())
    };
    let only_old = old.iter().filter(|(key, _)| new.iter().all(|(name, _)| name != key));
    new.iter()
        .chain(only_old)
        .map(|(key, _)| ChangedSetting { key, before: value(&old, key), after: value(&new, key) })
        .filter(|change| change.before != change.after)
        .collect()
}

/// A secret that stayed in its place and has another content.
fn changed_secret(key: &'static str, old: Option<&Secret>, new: Option<&Secret>) -> Option<ChangedSetting> {
    let (old, new) = (old?, new?);
    let rotated = old.source() == new.source() && old != new;
    let after = Some(format!("{} with another content", new.source()));
    rotated.then(|| ChangedSetting { key, before: Some(old.source().to_string()), after })
}

fn needs_restart(path: &str) -> bool {
    key_at(&[ROOT], path).is_none_or(|key| key.restart)
}

/// The key of this path, which begins in one of `tables`.
fn key_at(tables: &[&'static [Key]], path: &str) -> Option<&'static Key> {
    let (name, below) = path.split_once('.').unwrap_or((path, ""));
    let key = tables.iter().flat_map(|keys| keys.iter()).find(|key| key.name == name)?;
    match key.shape {
        Shape::Table(keys) if !below.is_empty() => key_at(&[keys], below),
        _ => Some(key),
    }
}

/// What stands in place of the place of a secret or a file.
const KEPT_ON_THE_MACHINE: &str = "kept on the machine";

pub(super) fn some(key: &'static str, value: impl fmt::Display) -> Setting {
    (key, Some(value.to_string()))
}

pub(super) fn list(texts: &[String]) -> String {
    format!("{texts:?}")
}
