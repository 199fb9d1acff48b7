//! The rows: each HTTP destination, how it is set up with its stand-in, and what it does with an event that it will never
//! take.

use std::sync::Arc;

use scaidrive_tests::agent_config::{Destination, quoted};
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::data_collector::{DataCollector, KEY, WORKSPACE};
use scaidrive_tests::datadog::{API_KEY, Datadog};
use scaidrive_tests::elastic::{Elastic, Target};
use scaidrive_tests::hec::{Hec, TOKEN};
use scaidrive_tests::https::{Contract, Https, Proof, Shape};
use scaidrive_tests::receiver::{Credentials, Receiver, Rules, Settings};
use scaidrive_tests::scenario::ONLY_GENERATED;
use scaidrive_tests::sentinel::entra::{CLIENT, SECRET, TENANT};
use scaidrive_tests::sentinel::{ColumnType, Entra, RULE_ID, Sentinel};
use scaidrive_tests::sumo::{CODE, Sumo};

use super::columns::{REQUEST_TIMEOUT, TOO_LARGE};

/// One destination.
pub(super) struct Row {
    /// Its type, and what sets it apart from others of that type.
    pub(super) name: &'static str,
    /// Starts the stand-in and makes it the agent's destination.
    pub(super) start: fn(&mut Agent) -> StandIn,
    /// Its words for an event that it will never take.
    pub(super) bad_event: &'static str,
    /// What its refusal tells.
    pub(super) tells: Tells,
    /// What becomes of an event that is too long for it.
    pub(super) too_long: TooLong,
    /// It takes the events before a bad one although it refuses the batch, so they come twice.
    pub(super) keeps_prefix: bool,
    /// It knows again what it has taken, so nothing is there twice.
    pub(super) knows_repeats: bool,
    /// Columns that cannot happen to it, and why.
    exempt: &'static [(&'static str, &'static str)],
}

/// What a refusal tells of the bad event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// Each event's own fate: the others are taken.
    Each,
    /// Which event of the batch it is; the batch is refused.
    Which,
    /// That there is one; the batch is refused.
    Nothing,
}

/// What becomes of an event that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooLong {
    /// The receiver refuses the request in these words.
    Refused(&'static str),
    /// The receiver would cut it in silence, so it is sent shortened, with this mark.
    Shortened(&'static str),
}

/// A stand-in and its credential.
pub(super) struct StandIn {
    /// What takes the events.
    pub(super) receiver: Receiver<dyn Rules>,
    /// What gives out tokens for it.
    pub(super) issuer: Option<Receiver<dyn Rules>>,
    /// Ends the credential in use; from now on only `renewed` is valid.
    pub(super) expire: Box<dyn Fn()>,
    /// What takes the place of the text in [`SECRET_FILE`].
    pub(super) renewed: String,
}

/// What the destination is called.
pub(super) const NAME: &str = "receiver";
/// The file of the agent's folder with the secret.
pub(super) const SECRET_FILE: &str = "secret";
/// Events in a request at most.
const BATCH: &str = "{ max_events = 200 }";
/// A key of the usual form that nobody knows at first.
const RENEWED: &str = "ffffffff-2222-3333-4444-555555555555";

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "splunk_hec",
        start: |agent| splunk(agent, Hec::plain(), "auto"),
        bad_event: "Invalid data format",
        tells: Tells::Which,
        too_long: TooLong::Refused("Request entity too large"),
        keeps_prefix: true,
        knows_repeats: false,
        exempt: &[],
    },
    Row {
        name: "splunk_hec, indexer acks",
        start: |agent| {
            let hec = Hec::plain();
            hec.rules().use_acks(true);
            splunk(agent, hec, "on")
        },
        bad_event: "Invalid data format",
        tells: Tells::Nothing,
        too_long: TooLong::Refused("Request entity too large"),
        keeps_prefix: true,
        knows_repeats: false,
        exempt: &[],
    },
    Row {
        name: "sentinel",
        start: sentinel,
        bad_event: "The request body is not valid.",
        tells: Tells::Nothing,
        too_long: TooLong::Shortened("\"Truncated\":true"),
        keeps_prefix: false,
        knows_repeats: false,
        exempt: &[],
    },
    Row {
        name: "sentinel, data_collector",
        start: data_collector,
        bad_event: "InvalidDataFormat",
        tells: Tells::Nothing,
        too_long: TooLong::Shortened("\"truncated\":true"),
        keeps_prefix: false,
        knows_repeats: false,
        exempt: &[(TOO_LARGE, "it says 404 to bodies over 30 MB, and ours have 4 MB at most")],
    },
    Row {
        name: "elastic",
        start: elastic,
        bad_event: "document_parsing_exception",
        tells: Tells::Each,
        // The server says no more than the status.
        too_long: TooLong::Refused("413"),
        keeps_prefix: false,
        knows_repeats: true,
        exempt: &[],
    },
    Row {
        name: "datadog",
        start: datadog,
        bad_event: "Bad Request",
        tells: Tells::Nothing,
        too_long: TooLong::Shortened("\"truncated\":true"),
        keeps_prefix: false,
        knows_repeats: false,
        exempt: &[],
    },
    Row {
        name: "sumo_logic",
        start: sumo,
        bad_event: "The request was refused.",
        tells: Tells::Nothing,
        too_long: TooLong::Shortened("\"truncated\":true"),
        keeps_prefix: false,
        knows_repeats: false,
        exempt: &[],
    },
    Row {
        name: "https, ndjson",
        start: https,
        bad_event: "refused",
        tells: Tells::Nothing,
        too_long: TooLong::Refused("refused"),
        keeps_prefix: false,
        knows_repeats: true,
        exempt: &[],
    },
];

impl Row {
    /// Why a column cannot happen to this destination, if so.
    pub(super) fn exempt(&self, column: &str) -> Option<&'static str> {
        self.exempt.iter().find(|(name, _)| *name == column).map(|(_, why)| *why)
    }
}

impl StandIn {
    /// A receiver whose credential is renewed by `expire`.
    fn new(receiver: Receiver<dyn Rules>, renewed: impl Into<String>, expire: impl Fn() + 'static) -> StandIn {
        StandIn { receiver, issuer: None, expire: Box::new(expire), renewed: renewed.into() }
    }

    /// All that listens here.
    pub(super) fn all(&self) -> impl Iterator<Item = &Receiver<dyn Rules>> {
        std::iter::once(&self.receiver).chain(&self.issuer)
    }
}

/// Makes the receiver the agent's destination.
fn add(agent: &mut Agent, kind: &str, settings: &[(&str, &str)]) {
    let timeouts = format!("{{ request = \"{}s\" }}", REQUEST_TIMEOUT.as_secs());
    let mut destination = Destination { name: NAME.to_owned(), lines: Vec::new() };
    destination.set("type", &quoted(kind)).set("filter", ONLY_GENERATED);
    destination.set("batch", BATCH).set("timeouts", &timeouts);
    for (key, value) in settings {
        destination.set(key, value);
    }
    agent.config.add(destination);
}

fn splunk(agent: &mut Agent, hec: Hec, ack: &str) -> StandIn {
    let token = agent.put_secret(SECRET_FILE, TOKEN);
    add(agent, "splunk_hec", &[("url", &quoted(&hec.url())), ("token", &token), ("ack", &quoted(ack))]);
    let (receiver, rules) = hec.any();
    StandIn::new(receiver, RENEWED, move || rules.tokens().only(RENEWED))
}

fn sentinel(agent: &mut Agent) -> StandIn {
    let tokens = Arc::new(Credentials::default());
    let sentinel = Sentinel::start(&tokens, Settings::default());
    // What the shipped data collection rule declares beside the stand-in's own columns.
    for (name, column) in
        [("EventTime", ColumnType::Datetime), ("Extra", ColumnType::Dynamic), ("Truncated", ColumnType::Boolean)]
    {
        sentinel.rules().declare(name, column);
    }
    let entra = Entra::start(&tokens, Settings::default());
    let secret = agent.put_secret(SECRET_FILE, SECRET);
    let settings = [
        ("url", quoted(&sentinel.url())),
        ("rule", quoted(RULE_ID)),
        ("tenant_id", quoted(TENANT)),
        ("client_id", quoted(CLIENT)),
        ("client_secret", secret),
        ("authority", quoted(&entra.url())),
    ];
    add(agent, "sentinel", &settings.each_ref().map(|(key, value)| (*key, value.as_str())));
    let (issuer, rules) = entra.any();
    let expire = move || {
        tokens.revoke_all();
        rules.secrets().only(RENEWED);
    };
    StandIn { issuer: Some(issuer), ..StandIn::new(sentinel.any().0, RENEWED, expire) }
}

fn data_collector(agent: &mut Agent) -> StandIn {
    /// Another key of 32 bytes.
    const RENEWED: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
    let workspace = DataCollector::start(Settings::default());
    let key = agent.put_secret(SECRET_FILE, KEY);
    let settings = [
        ("api", "\"data_collector\""),
        ("url", &quoted(&workspace.url())),
        ("workspace_id", &quoted(WORKSPACE)),
        ("workspace_key", &key),
    ];
    add(agent, "sentinel", &settings);
    let (receiver, rules) = workspace.any();
    StandIn::new(receiver, RENEWED, move || rules.keys().only(RENEWED))
}

fn elastic(agent: &mut Agent) -> StandIn {
    let elastic = Elastic::start(Target::DataStream, Settings::default());
    elastic.rules().authorizations().only("ApiKey first");
    let key = agent.put_secret(SECRET_FILE, "first");
    add(agent, "elastic", &[("url", &quoted(&elastic.url())), ("api_key", &key)]);
    let (receiver, rules) = elastic.any();
    StandIn::new(receiver, "second", move || rules.authorizations().only("ApiKey second"))
}

fn datadog(agent: &mut Agent) -> StandIn {
    const RENEWED: &str = "ffffffffffffffffffffffffffffffff";
    let datadog = Datadog::start(Settings::default());
    let key = agent.put_secret(SECRET_FILE, API_KEY);
    add(agent, "datadog", &[("url", &quoted(&datadog.url())), ("api_key", &key)]);
    let (receiver, rules) = datadog.any();
    StandIn::new(receiver, RENEWED, move || rules.keys().only(RENEWED))
}

fn sumo(agent: &mut Agent) -> StandIn {
    let sumo = Sumo::start(Settings::default());
    let url = agent.put_secret(SECRET_FILE, &sumo.source_url());
    add(agent, "sumo_logic", &[("secret_url", &url)]);
    let renewed = sumo.source_url().replace(CODE, RENEWED);
    let (receiver, rules) = sumo.any();
    StandIn::new(receiver, renewed, move || rules.codes().only(RENEWED))
}

fn https(agent: &mut Agent) -> StandIn {
    let tokens = Arc::new(Credentials::of(TOKEN));
    let receiver = Https::start(Contract::new(Shape::Lines, Proof::Bearer(Arc::clone(&tokens))), Settings::default());
    let token = agent.put_secret(SECRET_FILE, TOKEN);
    let url = quoted(&format!("{}/events", receiver.url()));
    add(agent, "https", &[("url", &url), ("body", "\"ndjson\""), ("bearer_token", &token)]);
    StandIn::new(receiver.any().0, RENEWED, move || tokens.only(RENEWED))
}
