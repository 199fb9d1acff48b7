//! `demo`: an agent, a generator and a receiver, all in a temporary folder and on loopback, and the proof at the end.
//!
//! | file | what it holds |
//! |---|---|
//! | `agent.rs` | the agent's process and its folder |
//! | `generator.rs` | writes events to the agent's socket |
//! | `receiver.rs` | takes them as Splunk's HEC would |
//! | `script.rs` | what happens when; the keys |
//! | `tally.rs` | what arrived, and the verdict |
//! | `screen.rs` | what is shown |
//!
//! The agent is the real one, in a process of its own: it is killed with SIGKILL and gets nothing to say about it. All
//! that is shown is counted at the two ends, by the generator and by the receiver; nothing is taken from the agent's
//! word but the state it sees its destination in.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver as Orders, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal;

use self::agent::{Agent, Folder};
use self::generator::Generator;
use self::receiver::Receiver;
use self::screen::{Moment, Screen};
use self::script::{Order, Script};
use self::tally::Verdict;
use crate::cli::{Colour, DemoArgs, Exit, Failure, Output, on_end};
use crate::runtime::clock;

mod agent;
mod generator;
mod receiver;
mod screen;
mod script;
mod tally;

/// Runs the demo. Ends with 0 when nothing is missing and with 1 when something is.
pub(crate) fn run(args: &DemoArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let is_steered = args.seconds.is_none() && io::stdin().is_terminal() && io::stdout().is_terminal();
    let length = Duration::from_secs(args.seconds.unwrap_or(SECONDS_DEFAULT).max(SECONDS_MIN));
    let (sender, orders) = channel();
    // Where signals can't be heard they end the process, and the agent dies with it.
    let signals = sender.clone();
    on_end(move || signals.send(Order::End).is_ok());
    let mut demo = Demo::start(args.rate, is_steered).map_err(|problem| cannot("start", &problem))?;
    greet(&demo, is_steered, length, output);
    demo.wait_for_the_agent(&orders, output)?;
    let keys =
        if is_steered { Some(Keys::take(sender).map_err(|problem| cannot("read keys", &problem))?) } else { None };
    let mut script = if is_steered { Script::empty() } else { Script::over(length) };
    demo.flow(&mut script, &orders, output)?;
    demo.drain(&orders, output)?;
    drop(keys);
    Ok(demo.judge(output))
}

/// All that runs. What is declared first ends first: the agent before its receiver and its folder.
struct Demo {
    generator: Generator,
    agent: Option<Agent>,
    receiver: Receiver,
    folder: Folder,
    screen: Screen,
    /// When the first event was acknowledged.
    started: Instant,
    /// When the agent is started again.
    restart_at: Option<Instant>,
    kills: u32,
    shown_at: Option<Instant>,
    asked_at: Option<Instant>,
    state: Option<String>,
    is_steered: bool,
}

impl Demo {
    fn start(rate: u32, is_steered: bool) -> io::Result<Demo> {
        let started = Instant::now();
        let folder = Folder::new(clock::entropy())?;
        let token = format!("{:016x}", clock::entropy());
        let receiver = Receiver::start(token.clone(), started)?;
        folder.configure(&receiver.url(), &token)?;
        let agent = Some(Agent::start(&folder)?);
        let generator = Generator::start(folder.socket(), rate, started)?;
        let screen = Screen::new(is_steered, Colour::here().data);
        Ok(Demo {
            generator,
            agent,
            receiver,
            folder,
            screen,
            started,
            restart_at: None,
            kills: 0,
            shown_at: None,
            asked_at: None,
            state: None,
            is_steered,
        })
    }

    /// Until the first ack, so that the script does not run ahead of a slow machine.
    fn wait_for_the_agent(&mut self, orders: &Orders<Order>, output: &mut Output<'_>) -> Result<(), Failure> {
        let asked = Instant::now();
        while self.generator.acknowledged_count() == 0 {
            self.look_after_the_agent(output)?;
            if asked.elapsed() > START_MAX || next_order(orders) == Some(Order::End) {
                return Err(self.agent_failed("the agent takes no events"));
            }
        }
        self.started = Instant::now();
        Ok(())
    }

    /// Events flow until the end is asked for.
    fn flow(&mut self, script: &mut Script, orders: &Orders<Order>, output: &mut Output<'_>) -> Result<(), Failure> {
        loop {
            let order = next_order(orders).or_else(|| script.due(self.started.elapsed()));
            match order {
                Some(Order::End) => return Ok(()),
                Some(order) => self.obey(order, output)?,
                None => {}
            }
            self.look_after_the_agent(output)?;
            self.show(output);
        }
    }

    fn obey(&mut self, order: Order, output: &mut Output<'_>) -> Result<(), Failure> {
        let news = match order {
            Order::ToggleReceiver if self.receiver.is_up() => {
                self.receiver.stop();
                "The receiver is gone. Events are acknowledged as before, and wait.".to_owned()
            }
            Order::ToggleReceiver => {
                self.receiver.resume();
                "The receiver is back. What waited goes out.".to_owned()
            }
            Order::Kill => match self.agent.take() {
                Some(mut agent) => {
                    let waiting = self.moment().waiting();
                    agent.kill().map_err(|problem| cannot("kill the agent", &problem))?;
                    self.kills += 1;
                    self.restart_at = Some(Instant::now() + RESTART_AFTER);
                    format!("The agent is killed (SIGKILL) while {waiting} acknowledged events wait.")
                }
                None => return Ok(()),
            },
            Order::Faster => format!("{} events a second.", self.generator.set_rate(self.generator.rate() * 2)),
            Order::Slower => format!("{} events a second.", self.generator.set_rate(self.generator.rate() / 2)),
            Order::End => return Ok(()),
        };
        self.screen.news(self.started.elapsed(), &news, output);
        Ok(())
    }

    /// Starts the agent again after a kill; an agent that ends by itself ends the demo.
    fn look_after_the_agent(&mut self, output: &mut Output<'_>) -> Result<(), Failure> {
        if self.restart_at.is_some_and(|at| at <= Instant::now()) {
            self.restart_at = None;
            let agent = Agent::start(&self.folder).map_err(|problem| cannot("start the agent", &problem))?;
            let news = format!("The agent starts again, as process {}, and goes on with its log.", agent.pid());
            self.agent = Some(agent);
            self.screen.news(self.started.elapsed(), &news, output);
        }
        let Some(agent) = &mut self.agent else { return Ok(()) };
        match agent.ended().map_err(|problem| cannot("watch the agent", &problem))? {
            None => Ok(()),
            Some(status) => Err(self.agent_failed(&format!("the agent ended by itself ({status})"))),
        }
    }

    /// Stops the generator and waits for what is on its way. Ends early when asked a second time.
    fn drain(&mut self, orders: &Orders<Order>, output: &mut Output<'_>) -> Result<(), Failure> {
        self.generator.end();
        if !self.receiver.is_up() {
            self.receiver.resume();
        }
        let text = "The generator stops. What is still on its way arrives.";
        self.screen.news(self.started.elapsed(), text, output);
        let mut progress = (Instant::now(), (0, 0));
        loop {
            let order = next_order(orders);
            self.look_after_the_agent(output)?;
            self.show(output);
            let moment = self.moment();
            let reached = (moment.acknowledged, moment.arrived);
            if reached != progress.1 {
                progress = (Instant::now(), reached);
            }
            let is_given_up = order == Some(Order::End) || progress.0.elapsed() > DRAIN_MAX;
            if is_given_up || self.verdict().is_complete() {
                break;
            }
        }
        self.shown_at = None;
        self.show(output);
        Ok(())
    }

    fn judge(&mut self, output: &mut Output<'_>) -> Exit {
        let mut stopped = None;
        if let Some(agent) = &mut self.agent {
            // An agent that can't be asked is killed when it is dropped.
            stopped = agent.stop().ok().flatten();
        }
        self.agent = None;
        let verdict = self.verdict();
        self.screen.balance(&verdict, &self.receiver.tally(), output);
        let stop = stopped.map_or("by force".to_owned(), |time| format!("{} ms after it was asked", time.as_millis()));
        let kills = screen::times(self.kills);
        output.data(&format!(
            "The receiver answered {} requests. The agent was killed {kills}, and stopped {stop}.",
            self.receiver.requests()
        ));
        output.data("");
        if verdict.is_complete() {
            output.data(
                "Next: README.md shows a configuration; `scaidrive-siem check --config FILE` says what it means.",
            );
            return Exit::Ok;
        }
        self.folder.keep();
        let folder = self.folder.path().display();
        output
            .data(&format!("The agent's log and state are kept in {folder}; `scaidrive-siem log verify` reads them."));
        Exit::CheckFailed
    }

    fn verdict(&self) -> Verdict {
        let acknowledged = self.generator.acknowledged();
        let unacknowledged = self.generator.made().saturating_sub(acknowledged.len());
        Verdict::new(&acknowledged, unacknowledged, &self.receiver.tally())
    }

    fn show(&mut self, output: &mut Output<'_>) {
        let every = if self.is_steered { PICTURE_EVERY } else { LINE_EVERY };
        if self.shown_at.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.shown_at = Some(Instant::now());
        if self.is_steered && self.asked_at.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            self.asked_at = Some(Instant::now());
            self.state = agent::destination_state(&self.folder);
        }
        let mut moment = self.moment();
        moment.median_ms = self.receiver.tally().take_median_ms();
        let width = terminal::size().map_or(WIDTH_DEFAULT, |(columns, _)| usize::from(columns));
        self.screen.show(&moment, width, output);
    }

    fn moment(&self) -> Moment {
        let tally = self.receiver.tally();
        Moment {
            at: self.started.elapsed(),
            rate: self.generator.rate(),
            made: self.generator.made(),
            acknowledged: self.generator.acknowledged_count(),
            arrived: tally.events.len(),
            delivered_again: tally.delivered_again,
            written_again: tally.written_again,
            median_ms: None,
            agent: self.agent.as_ref().map(Agent::pid),
            kills: self.kills,
            is_receiver_up: self.receiver.is_up(),
            state: self.state.clone(),
        }
    }

    fn agent_failed(&mut self, what: &str) -> Failure {
        let refused =
            self.generator.refused().map_or(String::new(), |reason| format!("; it refused an event: {reason}"));
        let last = agent::last_words(&self.folder);
        self.folder.keep();
        Failure {
            exit: Exit::Unavailable,
            what: format!("{what}{refused}; its last words: {last}"),
            place: self.folder.log().display().to_string(),
            advice:
                "read what it says there; is there room and a writable disk under the folder? (TMPDIR names another)"
                    .to_owned(),
        }
    }
}

fn greet(demo: &Demo, is_steered: bool, length: Duration, output: &mut Output<'_>) {
    output.data("generator  -- unix socket -->  agent, with its log on the disk  -- Splunk HEC -->  receiver");
    output
        .data(&format!("All of it is on this machine, in {}, and goes away at the end.", demo.folder.path().display()));
    output.data(&format!(
        "Its page is http://{}/ and opens with the token that stands in {}.",
        demo.folder.page(),
        demo.folder.admin_token().display()
    ));
    if !is_steered {
        let seconds = length.as_secs();
        output.data(&format!(
            "For {seconds} seconds: the receiver goes away, the agent is killed, the receiver comes back, all is counted."
        ));
    }
    output.data("");
}

/// Waits a moment for an order.
fn next_order(orders: &Orders<Order>) -> Option<Order> {
    match orders.recv_timeout(TICK) {
        Ok(order) => Some(order),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(TICK);
            None
        }
    }
}

/// Keys, and a terminal that gives them as they are pressed; as it was again when dropped.
struct Keys {
    is_over: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Keys {
    fn take(orders: Sender<Order>) -> io::Result<Keys> {
        terminal::enable_raw_mode()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut keys = Keys { is_over: Arc::clone(&is_over), reader: None };
        let read = move || {
            while !is_over.load(Ordering::Relaxed) {
                let order = match event::poll(TICK) {
                    Ok(true) => event::read().map(|event| order_of(&event)),
                    Ok(false) => Ok(None),
                    Err(problem) => Err(problem),
                };
                // A terminal that is gone is a wish to end.
                let order = order.unwrap_or(Some(Order::End));
                if order.is_some_and(|order| orders.send(order).is_err() || order == Order::End) {
                    thread::sleep(TICK);
                }
            }
        };
        keys.reader = Some(thread::Builder::new().name("demo-keys".to_owned()).spawn(read)?);
        Ok(keys)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // A panic of the reader has told its story already.
            let _ = reader.join();
        }
        // A terminal that can't be set back is gone.
        let _ = terminal::disable_raw_mode();
    }
}

fn order_of(event: &Event) -> Option<Order> {
    let Event::Key(key) = event else { return None };
    match key.code {
        _ if key.kind != KeyEventKind::Press => None,
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Order::End),
        KeyCode::Esc => Some(Order::End),
        KeyCode::Char(key) => Order::of_key(key),
        _ => None,
    }
}

fn cannot(do_what: &str, problem: &io::Error) -> Failure {
    Failure {
        exit: Exit::Io,
        what: format!("cannot {do_what}: {problem}"),
        place: std::env::temp_dir().display().to_string(),
        advice: "see that the folder for temporary files can be written to, or name another in TMPDIR".to_owned(),
    }
}

/// How long a demo takes that nobody steers.
const SECONDS_DEFAULT: u64 = 20;
/// The script needs a few seconds for what it shows.
const SECONDS_MIN: u64 = 4;
const TICK: Duration = Duration::from_millis(50);
const PICTURE_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(1);
/// From a kill to the next start, so that one sees it.
const RESTART_AFTER: Duration = Duration::from_millis(700);
/// From the start of the agent to its first ack.
const START_MAX: Duration = Duration::from_secs(30);
/// How long nothing may move before the demo stops waiting for the rest.
const DRAIN_MAX: Duration = Duration::from_secs(30);
const WIDTH_DEFAULT: usize = 80;
