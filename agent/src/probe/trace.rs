//! A test under way: which stages are behind, what time is left, and the connection with everything seen on it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use scaidrive_codecs::time::write_rfc3339;

use super::cause::{WARNING_CERTIFICATE, WARNING_CLOCK};
use super::certificate::Certificate;
use super::judge::{Way, of_certificate_file, of_connect};
use super::report::{Failure, Finding, Names, Report, StageReport, StageState, TestEvent, Warning};
use super::sniff::Speech;
use super::stage::Stage;
use super::watch::{Seen, Watch};
use super::{Question, TEST_MAX, cause};
use crate::config::{Destination, HttpUrl, Kind, SentinelApi};
use crate::credentials::Credentials;
use crate::runtime::{Runtime, offload_value};
use crate::time::Millis;
use crate::transport::{self, Connection, Endpoint, TlsClient, TransportError, Witness};

/// See the module.
pub(super) struct Trace<'q> {
    question: &'q Question,
    runtime: Rc<dyn Runtime>,
    watch: Rc<Watch>,
    pub(super) credentials: Arc<Credentials>,
    tls: Option<(Arc<TlsClient>, Arc<Witness>)>,
    pub(super) way: Way,
    names: Names,
    stages: Vec<StageReport>,
    pub(super) warnings: Vec<Warning>,
    pub(super) event: Option<TestEvent>,
    begun: Millis,
    /// When the last stage was over.
    mark: Millis,
}

impl<'q> Trace<'q> {
    pub(super) fn new(runtime: &Rc<dyn Runtime>, question: &'q Question) -> Trace<'q> {
        let destination = &question.destination;
        let (host, port, has_tls) = address(&destination.kind);
        let proxy = destination.proxy.as_ref().filter(|proxy| proxy.leads_to(&host));
        let way = Way {
            has_proxy: proxy.is_some(),
            has_proxy_login: proxy.is_some_and(|proxy| proxy.login.is_some()),
            has_tls,
            has_ca_file: destination.tls.ca_file.is_some() || destination.tls.ca.is_some(),
            has_fingerprints: !destination.tls.fingerprints.is_empty(),
            has_identity: destination.tls.identity.is_some(),
            ..Way::default()
        };
        let names = Names {
            at: format!("{host}:{port}"),
            proxy: proxy.map_or_else(String::new, |proxy| format!("{}:{}", proxy.url.host, proxy.url.port)),
            secret: secret(destination),
            target: target(&destination.kind),
            host,
        };
        Trace {
            question,
            runtime: Rc::clone(runtime),
            watch: Watch::new(runtime),
            credentials: Credentials::new(destination, question.lookup),
            tls: None,
            way,
            names,
            stages: Vec::new(),
            warnings: Vec::new(),
            event: None,
            begun: runtime.now(),
            mark: runtime.now(),
        }
    }

    pub(super) fn question(&self) -> &'q Question {
        self.question
    }

    pub(super) fn destination(&self) -> &'q Arc<Destination> {
        &self.question.destination
    }

    pub(super) fn runtime(&self) -> &Rc<dyn Runtime> {
        &self.runtime
    }

    /// The destination's host, without its port.
    pub(super) fn host(&self) -> &str {
        &self.names.host
    }

    /// The runtime for what is looked on at.
    pub(super) fn watched(&self) -> Rc<dyn Runtime> {
        Rc::clone(&self.watch) as Rc<dyn Runtime>
    }

    pub(super) fn seen(&self) -> Seen {
        self.watch.seen()
    }

    /// `bound`, or what is left of the whole test if that is less.
    pub(super) fn at_most(&self, bound: Millis) -> Millis {
        let end = self.begun.plus(TEST_MAX);
        bound.min(end.since(self.runtime.now()))
    }

    /// How long an answer is waited for: as long as events wait, and no longer than a person.
    pub(super) fn patience(&self) -> Millis {
        self.at_most(self.destination().timeouts.request.min(ANSWER_MAX))
    }

    /// A stage is over and well; it began when the last one was over.
    pub(super) fn over(&mut self, stage: Stage, note: Option<String>) {
        let now = self.runtime.now();
        self.over_at(stage, now, note);
    }

    fn over_at(&mut self, stage: Stage, at: Millis, note: Option<String>) {
        let took_ms = Some(at.since(self.mark).0);
        self.mark = at;
        self.note(stage, StageState::Ok, took_ms, note);
    }

    /// What was done for another stage shows that this one is well too.
    pub(super) fn passed(&mut self, stage: Stage, note: Option<String>) {
        self.note(stage, StageState::Ok, None, note);
    }

    /// There is nothing to look at, or no way to.
    pub(super) fn skipped(&mut self, stage: Stage, why: &str) {
        self.note(stage, StageState::Skipped, None, Some(why.to_owned()));
    }

    fn note(&mut self, stage: Stage, state: StageState, took_ms: Option<u64>, note: Option<String>) {
        // The way may be gone twice; the first time is the one to tell of.
        if self.stages.iter().all(|known| known.stage != stage) {
            self.stages.push(StageReport { stage, state, took_ms, note });
        }
    }

    pub(super) fn warn(&mut self, code: &'static str, what: String, remedy: &str) {
        if self.warnings.iter().all(|warning| warning.code != code) {
            self.warnings.push(Warning { code, what, remedy: self.names.fill(remedy) });
        }
    }

    /// Reads what the settings of TLS name.
    pub(super) async fn read_certificates(&mut self) -> Result<(), Finding> {
        if !self.way.has_tls {
            return Ok(());
        }
        let settings = self.destination().tls.clone();
        match offload_value(&self.runtime, move || TlsClient::witnessed(&settings)).await {
            Ok(Ok((client, witness))) => {
                self.tls = Some((Arc::new(client), witness));
                Ok(())
            }
            Ok(Err(problem)) => Err(of_certificate_file(&problem)),
            Err(panicked) => Err(Finding::of(&cause::CERTIFICATE_FILE_UNUSABLE).saying(panicked.to_string())),
        }
    }

    /// Where to connect, and how long that may take.
    pub(super) fn endpoint(&self) -> Endpoint {
        let (host, port, _) = address(&self.destination().kind);
        let is_http = !self.destination().kind.urls().is_empty();
        Endpoint {
            proxy: if is_http { self.credentials.proxy_to(&host) } else { None },
            host,
            port,
            targets: Arc::clone(&self.destination().targets),
            tls: self.tls.as_ref().map(|(client, _)| Arc::clone(client)),
            connect_timeout: self.at_most(self.destination().timeouts.connect.min(CONNECT_MAX)),
            request_timeout: self.patience(),
        }
    }

    /// A connection, the way events get theirs.
    pub(super) async fn connect(&mut self) -> Result<Connection, Finding> {
        let (endpoint, watch, mut ends) = (self.endpoint(), Rc::clone(&self.watch), Vec::new());
        let mut over = |step| {
            ends.push((step, self.runtime.now()));
            if step == transport::Stage::Proxy {
                watch.forget_bytes();
            }
        };
        let connected = transport::connect_in_steps(&self.watched(), &endpoint, &mut over).await;
        self.look_at_witness();
        let seen = self.seen();
        for (step, at) in ends {
            match step {
                transport::Stage::Resolve => self.over_at(Stage::Resolve, at, Some(listed(&seen.addresses))),
                transport::Stage::Connect => {
                    self.over_at(Stage::Connect, at, seen.connected.map(|address| address.to_string()));
                    if !self.way.has_proxy {
                        self.skipped(Stage::Proxy, "none on the way");
                    }
                }
                transport::Stage::Proxy => self.over_at(Stage::Proxy, at, Some(self.names.proxy.clone())),
                _ => {
                    let version = connected.as_ref().ok().and_then(Connection::tls_version);
                    self.over_at(Stage::Tls, at, Some(self.about_tls(version)));
                }
            }
        }
        let connection = connected.map_err(|error| of_connect(&error, &seen, &self.way))?;
        if !self.way.has_tls {
            self.skipped(Stage::Tls, "not encrypted");
        }
        self.warn_of_certificate();
        Ok(connection)
    }

    /// The other servers of a cluster: events go to them in turn, so each has to let us in. One that does not is no failure,
    /// because the others take over.
    pub(super) async fn look_at_others(&mut self) {
        let destination = self.destination();
        for url in destination.kind.urls().iter().skip(1).take(OTHERS_MAX) {
            let watch = Watch::new(&self.runtime);
            let bound = self.at_most(destination.timeouts.connect.min(OTHER_MAX));
            let endpoint = Endpoint {
                host: url.host.clone(),
                port: url.port,
                tls: self.tls.as_ref().filter(|_| url.tls).map(|(client, _)| Arc::clone(client)),
                connect_timeout: bound,
                ..self.endpoint()
            };
            let watched = Rc::clone(&watch) as Rc<dyn Runtime>;
            if let Err(error) = transport::connect(&watched, &endpoint).await {
                self.look_at_witness();
                let finding = of_connect(&error, &watch.seen(), &self.way);
                let names = Names { at: endpoint.to_string(), host: url.host.clone(), ..self.names.clone() };
                let what = format!("another server of this destination fails: {}", names.fill(finding.cause.what));
                self.warn(finding.cause.code, what, &names.fill(finding.cause.remedy));
            }
        }
    }

    /// What the witness of the handshake saw goes into what is known of the way.
    pub(super) fn look_at_witness(&mut self) {
        let Some((_, witness)) = &self.tls else { return };
        self.way.was_asked = witness.was_asked();
        self.way.chain = witness.chain().iter().map(|der| Certificate::parse(der).unwrap_or_default()).collect();
    }

    fn about_tls(&self, version: Option<&str>) -> String {
        let version = version.unwrap_or("TLS");
        let Some(own) = self.way.chain.first() else { return version.to_owned() };
        let names = if own.names.is_empty() { own.subject.clone() } else { own.names.join(", ") };
        let until = own.not_after_ms.map_or_else(String::new, |at_ms| format!(", until {}", day(at_ms)));
        format!("{version}, certificate for {names} from {}{until}", own.issuer)
    }

    fn warn_of_certificate(&mut self) {
        let Some(at_ms) = self.way.chain.first().and_then(|own| own.not_after_ms) else { return };
        let left_ms = at_ms.saturating_sub(self.runtime.wall_ms());
        if (0..CERTIFICATE_NEAR_MS).contains(&left_ms) {
            let what = format!(
                "the certificate of {} expires in {} days, at {}",
                self.names.host,
                left_ms / DAY_MS,
                day(at_ms)
            );
            self.warn(WARNING_CERTIFICATE, what, "renew it there before that; from then on nothing is delivered");
        }
    }

    /// The other side says what time it is, if it does.
    pub(super) fn compare_clocks(&mut self, ahead_ms: Option<i64>) {
        let Some(ahead_ms) = ahead_ms.filter(|ahead| ahead.unsigned_abs() > CLOCK_NEAR_MS) else { return };
        let (minutes, rest) = (ahead_ms.unsigned_abs() / 60_000, ahead_ms.unsigned_abs() % 60_000 / 1000);
        let way = if ahead_ms > 0 { "behind" } else { "ahead of" };
        let what = format!("this machine's clock is {minutes} min {rest} s {way} that of {}", self.names.host);
        self.warn(WARNING_CLOCK, what, "set this machine's clock, and keep it right with NTP");
    }

    /// Resolves when whoever is at the other end has begun to speak something else than `expected`, and has had a moment to
    /// finish by itself.
    pub(super) async fn stranger_speaks(&self, expected: Speech) {
        loop {
            self.runtime.sleep(STRANGER_LOOK).await;
            let speech = Speech::of(&self.watch.seen().first);
            if !self.way.has_tls && speech.is_some_and(|speech| speech != expected) {
                return self.runtime.sleep(STRANGER_WAIT).await;
            }
        }
    }

    /// What has become of the test. Stages that nothing was heard of say nothing.
    pub(super) fn report(mut self, finding: Option<Finding>) -> Report {
        let now = self.runtime.now();
        if let Some(finding) = &finding {
            self.stages.retain(|known| known.stage < finding.stage);
            self.mark_failed(finding, now);
        }
        let failure = finding.map(|finding| Failure::new(finding, &self.names));
        let stages = Stage::ALL.map(|stage| {
            let known = self.stages.iter().find(|known| known.stage == stage).cloned();
            known.unwrap_or(StageReport { stage, state: StageState::Skipped, took_ms: None, note: None })
        });
        let destination = &self.question.destination;
        Report {
            destination: destination.name.clone(),
            kind: destination.kind.name().to_owned(),
            address: destination.kind.address(),
            ok: failure.is_none(),
            stages: stages.into(),
            event: self.event.filter(|_| failure.as_ref().is_none_or(|failure| may_have_arrived(failure.stage))),
            failure,
            warnings: self.warnings,
            took_ms: now.since(self.begun).0,
        }
    }

    fn mark_failed(&mut self, finding: &Finding, now: Millis) {
        let took_ms = Some(now.since(self.mark).0);
        self.stages.push(StageReport { stage: finding.stage, state: StageState::Failed, took_ms, note: None });
    }
}

/// Whether the event may be there although this stage failed: it was sent, and nobody has said that we may not.
fn may_have_arrived(failed: Stage) -> bool {
    matches!(failed, Stage::Answer | Stage::Accepted | Stage::Found)
}

/// Where a destination is: the first of its servers, where it has several.
fn address(kind: &Kind) -> (String, u16, bool) {
    match (kind, kind.urls().first()) {
        (Kind::Syslog(syslog), _) => (syslog.host.clone(), syslog.port, syslog.transport.is_encrypted()),
        (_, Some(HttpUrl { host, port, tls, .. })) => (host.clone(), *port, *tls),
        (_, None) => (String::new(), 0, false),
    }
}

/// The key that names what lets us in.
fn secret(destination: &Destination) -> String {
    let mut keys = destination.auth.iter().flat_map(|way| way.secrets()).map(|(key, _)| key);
    keys.next().map_or_else(|| "the settings".to_owned(), str::to_owned)
}

/// What is written to there.
fn target(kind: &Kind) -> String {
    match kind {
        Kind::SplunkHec(hec) => hec.index.clone().unwrap_or_else(|| "that is the token's default".to_owned()),
        Kind::Elastic(elastic) => elastic.target.clone(),
        Kind::Sentinel(sentinel) => match &sentinel.api {
            SentinelApi::LogsIngestion(settings) => settings.stream.clone(),
            SentinelApi::DataCollector(settings) => settings.log_type.clone(),
        },
        _ => String::new(),
    }
}

fn listed(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().take(ADDRESSES_SHOWN).map(|address| address.ip().to_string()).collect();
    let more = addresses.len().saturating_sub(ADDRESSES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &more
}

/// The day of a moment, in UTC.
fn day(at_ms: i64) -> String {
    let mut text = Vec::new();
    write_rfc3339(at_ms, &mut text);
    String::from_utf8_lossy(&text[..text.len().min(10)]).into_owned()
}

/// An error that no transport has seen: somebody else speaks.
pub(super) fn strange() -> TransportError {
    TransportError {
        stage: transport::Stage::Reply,
        kind: transport::FailureKind::Protocol,
        outcome_unknown: true,
        what: String::from("what comes back is of another protocol"),
        tls: None,
    }
}

/// For look-up, connection, proxy and TLS together.
const CONNECT_MAX: Millis = Millis::from_secs(5);
/// For a connection to one of the other servers, and how many of them are looked at.
const OTHER_MAX: Millis = Millis::from_secs(2);
const OTHERS_MAX: usize = 3;
/// For one answer.
const ANSWER_MAX: Millis = Millis::from_secs(7);
const STRANGER_LOOK: Millis = Millis(50);
const STRANGER_WAIT: Millis = Millis(200);
const ADDRESSES_SHOWN: usize = 4;
const DAY_MS: i64 = 86_400_000;
/// From so long before its end on a certificate is warned about.
const CERTIFICATE_NEAR_MS: i64 = 30 * DAY_MS;
/// A difference of clocks beyond this is warned about.
const CLOCK_NEAR_MS: u64 = 60_000;
