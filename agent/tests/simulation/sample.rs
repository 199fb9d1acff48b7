//! Events as producers make them, and what each destination wants of them, written independently of the agent's filter.

use crate::chance::Dice;

/// An event of a producer.
#[derive(Clone, Debug)]
pub struct Sample {
    pub id: String,
    pub tenant: &'static str,
    pub category: &'static str,
    pub severity: &'static str,
    pub user: &'static str,
    /// No receiver ever takes it.
    pub is_poison: bool,
    pub pad: usize,
}

pub const TENANTS: [&str; 3] = ["acme", "bolt", "cork"];
const CATEGORIES: [&str; 3] = ["AUTHENTICATION", "FILE", "SHARING"];
const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];
const USERS: [&str; 3] = ["ann", "bob", "svc_backup"];

impl Sample {
    pub fn new(id: String, dice: &Dice, poison_percent: u64) -> Sample {
        Sample {
            id,
            tenant: dice.pick(&TENANTS),
            category: dice.pick(&CATEGORIES),
            severity: dice.pick(&SEVERITIES),
            user: dice.pick(&USERS),
            is_poison: dice.happens(poison_percent),
            pad: if dice.happens(5) { dice.within(1_000, 6_000) } else { dice.within(0, 600) } as usize,
        }
    }

    /// As a line of a producer's stream.
    pub fn line(&self) -> Vec<u8> {
        let Sample { id, tenant, category, severity, user, .. } = self;
        let action = if self.is_poison { "poison" } else { "did" };
        let pad = "x".repeat(self.pad);
        format!(
            "{{\"event_id\":\"{id}\",\"timestamp\":\"2026-05-12T14:23:01Z\",\"tenant_id\":\"{tenant}\",\
             \"category\":\"{category}\",\"action\":\"{action}\",\"severity\":\"{severity}\",\"user_id\":\"{user}\",\
             \"payload\":{{\"pad\":\"{pad}\"}}}}\n"
        )
        .into_bytes()
    }
}

/// A destination as configured.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: String,
    pub port: u16,
    pub is_syslog: bool,
    pub is_ordered: bool,
    pub is_gzip: bool,
    pub in_flight: u64,
    pub max_events: u64,
    pub bytes_per_day: Option<&'static str>,
    /// Empty for everyone's.
    pub tenants: Vec<&'static str>,
    pub wants: Wants,
}

/// A filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wants {
    All,
    Category(&'static str),
    Severity(&'static str),
    NotUser(&'static str),
}

impl Wants {
    pub fn any(dice: &Dice) -> Wants {
        match dice.within(0, 5) {
            0 => Wants::Category(dice.pick(&CATEGORIES)),
            1 => Wants::Severity(dice.pick(&SEVERITIES)),
            2 => Wants::NotUser("svc_backup"),
            _ => Wants::All,
        }
    }
}

impl Spec {
    pub fn any(number: u64, dice: &Dice) -> Spec {
        let is_syslog = dice.happens(25);
        Spec {
            name: format!("{}-{number}", if is_syslog { "syslog" } else { "hec" }),
            port: 9000 + number as u16,
            is_syslog,
            is_ordered: !is_syslog && dice.happens(30),
            is_gzip: dice.happens(40),
            in_flight: dice.within(1, 5),
            max_events: dice.within(1, 40),
            bytes_per_day: None,
            tenants: if dice.happens(30) { vec![dice.pick(&TENANTS)] } else { Vec::new() },
            wants: Wants::any(dice),
        }
    }

    pub fn in_scope(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.contains(&tenant)
    }

    pub fn selects(&self, event: &Sample) -> bool {
        let is_wanted = match self.wants {
            Wants::All => true,
            Wants::Category(category) => event.category == category,
            Wants::Severity(severity) => event.severity == severity,
            Wants::NotUser(user) => event.user != user,
        };
        is_wanted && self.in_scope(event.tenant)
    }

    /// As a section of the agent's configuration.
    pub fn toml(&self) -> String {
        let Spec { name, port, max_events, in_flight, is_ordered, .. } = self;
        let filter = match self.wants {
            Wants::All => String::new(),
            Wants::Category(category) => format!("filter = {{ categories = [\"{category}\"] }}\n"),
            Wants::Severity(severity) => format!("filter = {{ severities = [\"{severity}\"] }}\n"),
            Wants::NotUser(user) => format!("filter = {{ excluded_users = [\"{user}\"] }}\n"),
        };
        let tenants = match self.tenants.as_slice() {
            [] => String::new(),
            tenants => format!("tenants = {tenants:?}\n"),
        };
        let kind = if self.is_syslog {
            format!("type = \"syslog\"\ntransport = \"tcp\"\nhost = \"127.0.0.1\"\nport = {port}\n")
        } else {
            let compression = if self.is_gzip { "gzip" } else { "none" };
            format!(
                "type = \"splunk_hec\"\nurl = \"http://127.0.0.1:{port}\"\ntoken = {{ env = \"TOKEN\" }}\n\
                 compression = \"{compression}\"\nordered = {is_ordered}\n"
            ) + &if *is_ordered { String::new() } else { format!("in_flight = {in_flight}\n") }
        };
        let rate_limit = match self.bytes_per_day {
            None => String::new(),
            Some(bytes) => format!("rate_limit = {{ bytes_per_day = \"{bytes}\" }}\n"),
        };
        format!(
            "[[destination]]\nname = \"{name}\"\n{kind}{tenants}{filter}{rate_limit}\
             batch = {{ max_events = {max_events}, max_size = \"16KiB\", linger = \"50ms\" }}\n\
             timeouts = {{ connect = \"1s\", request = \"3s\" }}\n"
        )
    }
}
