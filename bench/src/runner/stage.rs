//! What every run stands on: a folder, receivers, and the started contender between them.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use scaidrive_tests::certificates::Authority;
use scaidrive_tests::ports::free_port;
use tempfile::TempDir;

use super::{Lab, NoFigures, Taken};
use crate::contender::{self, Contender, Destination, Input, Job, Running};
use crate::load::event::tenant_name;
use crate::load::visitor::Visitor;
use crate::load::writer::{self, Flood, blocks};
use crate::receiver::Receiver;
use crate::scenario::{Case, Destinations, Scenario, Shape};

/// A started contender between its input and its receivers.
pub(crate) struct Stage {
    pub(crate) scenario: Scenario,
    pub(crate) case: Case,
    pub(crate) running: Running,
    /// The receivers that are up; each gets every event.
    pub(crate) receivers: Vec<Receiver>,
    /// Marks below this are written.
    pub(crate) next_mark: u64,
    set: Set,
}

/// What outlives a restart of the contender.
struct Set {
    contender: &'static dyn Contender,
    destinations: Vec<Destination>,
    environment: Vec<(OsString, OsString)>,
    server: Option<Arc<ServerConfig>>,
    /// Where the first destination's receiver will be, when it is down at first.
    absent: Option<SocketAddr>,
    /// Ports that take connections and never answer.
    _silent: Vec<TcpListener>,
    /// One that refuses half of all events.
    _refusing: Option<Receiver>,
    dir: TempDir,
}

/// How a stage differs from a usual one.
#[derive(Default)]
pub(crate) struct Unusual {
    /// Variables for the contender's environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The first destination is down at first.
    pub(crate) is_first_down: bool,
    /// There is a second destination for everything.
    pub(crate) has_second: bool,
}

impl Stage {
    /// Starts what a case needs.
    ///
    /// # Errors
    /// What can't be had, or can't be done by this contender.
    pub(crate) fn set(scenario: &Scenario, case: &Case, lab: &Lab) -> Result<Stage, NoFigures> {
        Stage::set_unusually(scenario, case, lab, Unusual::default())
    }

    /// The same with peculiarities.
    pub(crate) fn set_unusually(
        scenario: &Scenario,
        case: &Case,
        lab: &Lab,
        unusual: Unusual,
    ) -> Result<Stage, NoFigures> {
        let contender = contender::find(case.contender).ok_or_else(|| format!("there is no {}", case.contender))?;
        let dir = lab.folder()?;
        let mut places = Places::new(scenario, dir.path(), &unusual);
        places.fill(case, unusual.has_second).map_err(|error| format!("cannot start the receivers: {error}"))?;
        let Places { receivers, destinations, silent, refusing, absent, server, .. } = places;
        let environment = unusual.environment;
        let (_silent, _refusing) = (silent, refusing);
        let set = Set { contender, destinations, environment, server, absent, _silent, _refusing, dir };
        let running = set.start(case)?;
        Ok(Stage { scenario: *scenario, case: *case, running, receivers, next_mark: 0, set })
    }

    /// The folder of this run.
    pub(crate) fn dir(&self) -> &Path {
        self.set.dir.path()
    }

    pub(crate) fn input(&self) -> &Input {
        &self.running.input
    }

    /// Somebody who is logged in at the agent's page.
    ///
    /// # Errors
    /// When this contender has none, or lets nobody in.
    pub(crate) fn visitor(&self) -> Result<Visitor, String> {
        let admin = self.running.admin.ok_or("this contender has no page")?;
        Visitor::log_in(admin, &self.dir().join("state"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.process.pid()
    }

    /// Starts the receiver that was down.
    pub(crate) fn raise_first(&mut self) -> Result<(), String> {
        let address = self.set.absent.take().ok_or("the first destination is up")?;
        let receiver = Receiver::start(address, self.scenario.wire, self.set.server.clone());
        let receiver = receiver.map_err(|error| format!("cannot start the receiver: {error}"))?;
        receiver.tally.stop_reading_numbers();
        self.receivers.insert(0, receiver);
        Ok(())
    }

    /// Stops the contender and starts it again in the same folder. Returns how long the start took.
    pub(crate) fn restart(self, between: impl FnOnce()) -> Result<(Stage, Duration), NoFigures> {
        let Stage { scenario, case, running, receivers, next_mark, set } = self;
        running.process.stop();
        between();
        let began = Instant::now();
        let running = set.start(&case)?;
        Ok((Stage { scenario, case, running, receivers, next_mark, set }, began.elapsed()))
    }

    /// Producers for `events` further events.
    pub(crate) fn producers(&mut self, events: u64, per_write: u32, producers: u32) -> Flood {
        let blocks = blocks(self.scenario.tenants, producers, self.input().framing);
        let first = self.take_marks(events);
        Flood { first, events, per_write: per_write as usize, blocks }
    }

    /// The first of `events` fresh marks.
    pub(crate) fn take_marks(&mut self, events: u64) -> u64 {
        let first = self.next_mark;
        self.next_mark += events;
        first
    }

    /// Writes everything, waits for its arrival, and checks that each stream's numbers are whole.
    pub(crate) fn warm_up(&mut self, flood: &mut Flood) -> Result<(), String> {
        let expected = self.next_mark;
        flood.run(self.input()).map_err(|error| self.explained(&error))?;
        self.wait(expected)?;
        for receiver in &self.receivers {
            // Stream and number stand side by side only where the shape leaves them together.
            let is_together = !matches!(self.case.setup.shape, Shape::Ecs | Shape::Cef | Shape::Leef);
            let is_numbered = self.case.contender == "agent" && is_together;
            settle_numbers(receiver, if is_numbered { expected } else { 0 })?;
        }
        self.stop_reading_numbers();
        Ok(())
    }

    /// For what comes now, and where there is no warm-up: only marks are counted.
    pub(crate) fn stop_reading_numbers(&self) {
        self.receivers.iter().for_each(|receiver| receiver.tally.stop_reading_numbers());
    }

    /// A warm-up of the usual size for loads that measure times.
    pub(crate) fn warm_up_briefly(&mut self) -> Result<(), String> {
        let mut flood = self.producers(BRIEF, 64, 1);
        self.warm_up(&mut flood)
    }

    /// Waits until every receiver has `events` different events.
    pub(crate) fn wait(&mut self, events: u64) -> Result<(), String> {
        let lost = self.lost(events);
        if lost > 0 {
            return Err(format!("{lost} of {events} events did not arrive; {}", self.running.process.said()));
        }
        Ok(())
    }

    /// Waits until every receiver has `events` different events or nothing comes any more. Returns how many are missing at
    /// the one that misses most.
    pub(crate) fn lost(&mut self, events: u64) -> u64 {
        let missing = self.receivers.iter().map(|receiver| {
            receiver.wait(events, PATIENCE);
            events.saturating_sub(receiver.tally.distinct())
        });
        missing.max().unwrap_or(0)
    }

    /// Waits until the destination that came back gets its first event, and tells when that was.
    pub(crate) fn wait_for_first(&self) -> Result<Instant, String> {
        let deadline = Instant::now() + BACK_WITHIN;
        while self.receivers[0].tally.distinct() == 0 {
            if Instant::now() > deadline {
                return Err("the destination that came back got nothing".to_owned());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Instant::now())
    }

    /// Bytes of all bodies and messages so far, as they were sent, at all receivers together.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.receivers.iter().map(|receiver| receiver.tally.bytes()).sum()
    }

    /// How many events have arrived again, at all receivers together.
    pub(crate) fn repeated(&self) -> u64 {
        self.receivers.iter().map(|receiver| receiver.tally.repeated()).sum()
    }

    /// When the last event arrived.
    pub(crate) fn last_arrival(&self) -> Option<Instant> {
        self.receivers.iter().map(|receiver| receiver.tally.last()).max()
    }

    /// An error of the load, with the contender's last words when it is gone.
    pub(crate) fn explained(&mut self, error: &io::Error) -> String {
        match self.running.process.ended() {
            Some(end) => format!("{error}; {end}"),
            None => error.to_string(),
        }
    }

    /// What is known of the contender, for the report.
    pub(crate) fn taken(&self) -> Taken {
        let files = self.running.files.clone();
        Taken { files, command: self.running.process.command.clone(), ..Taken::default() }
    }
}

impl Set {
    fn start(&self, case: &Case) -> Result<Running, NoFigures> {
        let job = Job {
            dir: self.dir.path(),
            durability: case.durability,
            setup: case.setup,
            aim: case.load.aim(),
            destinations: self.destinations.clone(),
            environment: self.environment.clone(),
        };
        match self.contender.cannot(&job) {
            Some(reason) => Err(NoFigures::Cannot(reason)),
            None => Ok(self.contender.start(&job)?),
        }
    }
}

/// Receivers and destinations while they are put up.
struct Places<'a> {
    scenario: &'a Scenario,
    dir: &'a Path,
    server: Option<Arc<ServerConfig>>,
    is_first_down: bool,
    receivers: Vec<Receiver>,
    destinations: Vec<Destination>,
    silent: Vec<TcpListener>,
    refusing: Option<Receiver>,
    absent: Option<SocketAddr>,
}

impl<'a> Places<'a> {
    fn new(scenario: &'a Scenario, dir: &'a Path, unusual: &Unusual) -> Places<'a> {
        let server = scenario.wire.tls.then(|| Authority::new(dir).issue(dir, "localhost", &["localhost"]).server);
        Places {
            scenario,
            dir,
            server,
            is_first_down: unusual.is_first_down,
            receivers: Vec::new(),
            destinations: Vec::new(),
            silent: Vec::new(),
            refusing: None,
            absent: None,
        }
    }

    fn fill(&mut self, case: &Case, has_second: bool) -> io::Result<()> {
        let tenants = self.scenario.tenants.count;
        let first = self.first()?;
        match case.setup.destinations {
            Destinations::One => self.add(first, Vec::new()),
            Destinations::Copies(count) => {
                self.add(first, Vec::new());
                for _ in 1..count {
                    let further = self.receiver()?;
                    self.add(further, Vec::new());
                }
            }
            Destinations::OneAndDown(down) => {
                self.add(first, Vec::new());
                for nth in 0..down {
                    let dead = self.dead(nth % 2 == 1)?;
                    self.add(dead, Vec::new());
                }
            }
            Destinations::ForEachTenant => {
                (0..tenants).for_each(|rank| self.add(first, vec![tenant_name(rank)]));
            }
            Destinations::Varied => {
                let refusing = Receiver::refusing_half()?;
                for rank in 0..tenants {
                    let address = match rank % 8 {
                        6 => self.dead(false)?,
                        7 => refusing.address,
                        _ => first,
                    };
                    self.add(address, vec![tenant_name(rank)]);
                }
                self.refusing = Some(refusing);
            }
            Destinations::LoudestApart => {
                self.add(first, (1..tenants + 1).map(tenant_name).collect());
                let dead = self.dead(false)?;
                self.add(dead, vec![tenant_name(0)]);
            }
        }
        if has_second {
            let second = self.receiver()?;
            self.add(second, Vec::new());
        }
        Ok(())
    }

    fn first(&mut self) -> io::Result<SocketAddr> {
        if self.is_first_down {
            let address = self.dead(false)?;
            self.absent = Some(address);
            return Ok(address);
        }
        self.receiver()
    }

    fn receiver(&mut self) -> io::Result<SocketAddr> {
        let receiver = Receiver::start(loopback(0), self.scenario.wire, self.server.clone())?;
        let address = receiver.address;
        self.receivers.push(receiver);
        Ok(address)
    }

    /// An address where nobody is, or where nobody answers.
    fn dead(&mut self, is_silent: bool) -> io::Result<SocketAddr> {
        if !is_silent {
            return Ok(loopback(free_port()));
        }
        let listener = TcpListener::bind(loopback(0))?;
        let address = listener.local_addr()?;
        self.silent.push(listener);
        Ok(address)
    }

    fn add(&mut self, address: SocketAddr, tenants: Vec<String>) {
        let wire = self.scenario.wire;
        let name = format!("bench-{}", self.destinations.len());
        let ca_file = wire.tls.then(|| self.dir.join("ca.pem"));
        self.destinations.push(Destination { name, wire, address, ca_file, tenants });
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Waits until the numbers at a receiver are whole and at least `expected`; one of the agent's own events may still be on
/// its way.
fn settle_numbers(receiver: &Receiver, expected: u64) -> Result<(), String> {
    let deadline = Instant::now() + NUMBERS_WITHIN;
    loop {
        let problem = match receiver.tally.numbers() {
            Ok(count) if count >= expected => return Ok(()),
            Ok(count) => format!("{count} events of {expected} have a number"),
            Err(problem) => problem,
        };
        if Instant::now() > deadline {
            return Err(problem);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Drops the page cache where this process may. Says whether it did.
pub(crate) fn drop_page_cache() -> bool {
    // What is still dirty stays, so it is written first.
    let synced = std::process::Command::new("sync").status().is_ok_and(|status| status.success());
    synced && std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}

pub(crate) use writer::paced as write_paced;

/// How long nothing may arrive before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than the longest pause between attempts of anyone.
const BACK_WITHIN: Duration = Duration::from_secs(90);
const NUMBERS_WITHIN: Duration = Duration::from_secs(3);
/// Events of a brief warm-up.
const BRIEF: u64 = 20_000;
