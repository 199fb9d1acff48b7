//! One run from one seed: what is set up, what happens to it, and how it is left to settle.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;

use scaidrive_siem::config::DestinationId;
use scaidrive_siem::delivery::outlet::Flow;
use scaidrive_siem::runtime::virtual_time::{Network, Weather, World};
use scaidrive_siem::shard::Command;
use scaidrive_siem::shard::door::ShardId;
use scaidrive_siem::time::Millis;
use scaidrive_wal::{Disk, Seq};

use crate::agent::{Life, Machine, Setup};
use crate::chance::Dice;
use crate::oracle::{self, Verdict};
use crate::producer::{self, Habit, Produced};
use crate::receiver::Siem;
use crate::sample::{Spec, Wants};

/// What may go wrong in a run.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// Receivers only say what is true, and nothing crashes: then every proof is exact.
    pub is_honest: bool,
    pub crashes: bool,
    pub bad_disk: bool,
    pub damage: bool,
    pub reloads: bool,
    /// Somebody pauses destinations, replays, and sends dead letters again.
    pub operators: bool,
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub trace: u64,
    pub acked: usize,
}

struct Run {
    world: World,
    network: Network,
    dice: Dice,
    machine: Rc<Machine>,
    produced: Rc<Produced>,
    siems: Vec<Rc<Siem>>,
    specs: Vec<Spec>,
    removed: Vec<Spec>,
    trouble: Trouble,
    steps: Cell<u64>,
    /// Drains that were wished, while nobody has wished anything else.
    drains: RefCell<Vec<Drained>>,
}

/// What the node knows of a drain, which it says again after a restart.
struct Drained {
    siem: Rc<Siem>,
    answers: mpsc::Receiver<(ShardId, Seq)>,
    /// By shard, as far as it has answered.
    points: Vec<Option<Seq>>,
}

impl Drained {
    fn id(&self) -> DestinationId {
        DestinationId::from_text(&self.siem.name)
    }

    /// Says it to every shard, when all have answered.
    fn let_through(&self, life: &Life) {
        if self.points.iter().any(Option::is_none) {
            return;
        }
        for (mailbox, point) in life.mailboxes.iter().zip(self.points.iter().flatten()) {
            mailbox.command(Command::Flow { destination: self.id(), flow: Flow::Until(*point) });
        }
    }
}

/// Runs `seed` to its end.
pub fn run(seed: u64) -> Result<Ran, String> {
    let dice = Dice::new(seed);
    let is_honest = dice.happens(25);
    let trouble = Trouble {
        is_honest,
        crashes: !is_honest && dice.happens(60),
        bad_disk: !is_honest && dice.happens(40),
        damage: !is_honest && dice.happens(15),
        reloads: dice.happens(30),
        operators: dice.happens(40),
    };
    let setup = Setup {
        shards: dice.within(1, 3) as usize,
        window: Millis(dice.pick(&[8_000, 15_000, 40_000, 600_000])),
        segments: dice.pick(&[6, 10, 16, 64]),
        dead_letter_bytes: dice.pick(&[3_000, 1 << 20]),
        sync_ms: dice.pick(&[2, 30, 200]),
    };
    let producers = dice.within(1, 4);
    let habit = Habit {
        events: dice.within(20, 250),
        pause_ms: dice.pick(&[10, 60, 250]),
        poison_percent: if dice.happens(40) { 3 } else { 0 },
    };
    if std::env::var_os("SCAIDRIVE_SEED").is_some() {
        eprintln!("seed {seed}: {trouble:?} {setup:?} {producers} producers {habit:?}");
    }
    let world = World::new(seed);
    let specs: Vec<Spec> = (0..dice.within(1, 5)).map(|number| Spec::any(number, &dice)).collect();
    if std::env::var_os("SCAIDRIVE_SEED").is_some() {
        eprintln!("{specs:#?}");
    }
    let siems = specs.iter().map(|spec| Siem::new(spec, &world, &dice)).collect();
    let machine = Machine::new(setup, seed, &dice);
    let network = world.network();
    let produced = Rc::new(Produced::default());
    let mut run = Run {
        world,
        network,
        dice,
        machine,
        produced,
        siems,
        specs,
        removed: Vec::new(),
        trouble,
        steps: Cell::new(0),
        drains: RefCell::default(),
    };
    run.network
        .set_weather(Weather { latency: (Millis(0), Millis(run.dice.pick(&[2, 20, 80]))), ..Weather::default() });
    run.machine.start(&run.world, &run.specs);
    for number in 0..producers {
        producer::start(&run.world, &run.machine, &run.produced, number, habit, &run.dice);
    }
    run.suffer()?;
    let settled = run.settle(producers as usize);
    if settled.is_err() && std::env::var_os("SCAIDRIVE_SEED").is_some() {
        run.siems.iter().for_each(|siem| siem.dump());
    }
    settled?;
    Ok(Ran { trace: run.world.trace(), acked: run.produced.acked.borrow().len() })
}

impl Run {
    /// Lets time pass, with the books checked at every step.
    fn pass(&self, until: Millis) -> Verdict {
        self.pass_steps(until, u64::MAX)
    }

    fn pass_steps(&self, until: Millis, mut steps: u64) -> Verdict {
        let mut verdict = Ok(());
        self.world.run_while(until, || {
            self.steps.set(self.steps.get() + 1);
            steps -= 1;
            verdict = self.check();
            verdict.is_ok() && steps > 0
        });
        verdict.map_err(|problem| format!("{problem} (at {})", self.world.now()))
    }

    fn check(&self) -> Verdict {
        for siem in &self.siems {
            if let Some(problem) = siem.broken.borrow().as_ref() {
                return Err(problem.clone());
            }
        }
        let Some(life) = self.machine.life() else { return Ok(()) };
        self.hear_points(&life)?;
        oracle::check_books(&life)
    }

    /// What the shards say of where drains end is kept, and once all have said it nothing later may arrive.
    fn hear_points(&self, life: &Life) -> Verdict {
        for drained in self.drains.borrow_mut().iter_mut() {
            let was_known = drained.points.iter().all(Option::is_some);
            while let Ok((shard, point)) = drained.answers.try_recv() {
                let shard = usize::from(shard.0);
                let durable = life.shards[shard].log().borrow().durable_end();
                if point > durable {
                    return Err(format!("{} drains to {point}, and {durable} is durable", drained.siem.name));
                }
                drained.points[shard] = Some(point);
            }
            if !was_known && drained.points.iter().all(Option::is_some) {
                *drained.siem.drains.borrow_mut() = Some(self.produced.sent.borrow().keys().cloned().collect());
                drained.let_through(life);
            }
        }
        Ok(())
    }

    /// Somebody wishes something else of it.
    fn forget_drain(&self, siem: &Siem) {
        *siem.drains.borrow_mut() = None;
        self.drains.borrow_mut().retain(|drained| drained.siem.name != siem.name);
    }

    fn start(&self) {
        self.machine.start(&self.world, &self.specs);
        // A wish that was not answered was not written down.
        self.drains.borrow_mut().retain(|drained| drained.points.iter().all(Option::is_some));
        if let Some(life) = self.machine.life() {
            self.drains.borrow().iter().for_each(|drained| drained.let_through(&life));
        }
    }

    /// Everything that may happen happens.
    fn suffer(&mut self) -> Verdict {
        let end = Millis(self.dice.within(10_000, 90_000));
        let mut moods: Vec<Millis> = self.siems.iter().map(|_| Millis(self.dice.within(0, 4_000))).collect();
        let mut next_accident = Millis(self.dice.within(500, 15_000));
        while self.world.now() < end {
            let next_mood = moods.iter().min().copied().unwrap_or(end);
            self.pass(next_mood.min(next_accident).min(end))?;
            let now = self.world.now();
            for (siem, mood) in self.siems.iter().zip(&mut moods) {
                if *mood <= now {
                    *mood = now.plus(siem.change_mood(&self.world, self.trouble.is_honest));
                }
            }
            if next_accident <= now {
                next_accident = now.plus(Millis(self.dice.within(500, 20_000)));
                self.accident()?;
            }
        }
        Ok(())
    }

    fn accident(&mut self) -> Verdict {
        let Trouble { crashes, bad_disk, reloads, damage, operators, .. } = self.trouble;
        if operators && self.dice.happens(50) {
            self.operate();
            return Ok(());
        }
        match self.dice.within(0, 8) {
            0..=2 if crashes => self.crash(damage)?,
            3 if crashes => self.stop_in_good_order()?,
            4 if bad_disk => {
                let disk = &self.machine.disks[self.dice.within(0, self.machine.disks.len() as u64) as usize];
                disk.fail_next_syncs(self.dice.within(1, 3) as u32);
            }
            5 if bad_disk => {
                let full = self.dice.happens(60);
                self.machine.disks.iter().for_each(|disk| disk.fill(full));
            }
            6..=7 if reloads => self.reload(),
            _ => self.machine.disks.iter().for_each(|disk| disk.write_back()),
        }
        Ok(())
    }

    fn crash(&mut self, may_damage: bool) -> Verdict {
        self.pass_steps(Millis(u64::MAX), self.dice.within(1, 300))?;
        self.siems.iter().for_each(|siem| siem.is_inexact.set(true));
        if self.dice.happens(50) {
            self.machine.cut_power(&self.world);
        } else {
            self.machine.kill(&self.world);
        }
        if may_damage {
            self.damage();
        }
        self.restart()
    }

    fn restart(&mut self) -> Verdict {
        self.pass(self.world.now().plus(Millis(self.dice.within(0, 3_000))))?;
        // A crash loop now and then.
        if self.dice.happens(15) {
            self.start();
            self.pass_steps(Millis(u64::MAX), self.dice.within(1, 60))?;
            self.machine.cut_power(&self.world);
        }
        self.start();
        Ok(())
    }

    fn stop_in_good_order(&mut self) -> Verdict {
        let Some(life) = self.machine.life() else { return Ok(()) };
        // A syslog server whose end of the connection crosses ours on the way has not read what we wrote last, and nothing
        // that a sender sees tells it from one that has.
        self.siems.iter().filter(|siem| siem.is_syslog()).for_each(|siem| siem.mend(&self.world));
        self.pass(self.world.now().plus(Millis(1_000)))?;
        life.intake.stop.request();
        for mailbox in &life.mailboxes {
            mailbox.command(Command::Stop { grace: Millis(1_500) });
        }
        let begun = self.world.now();
        self.pass(begun.plus(Millis(4_500)))?;
        if life.ended.get() != life.shards.len() {
            return Err(format!("a shard did not end within 4.5 s of {begun}"));
        }
        drop(life);
        self.siems.iter().for_each(|siem| siem.is_inexact.set(true));
        self.machine.kill(&self.world);
        self.restart()
    }

    /// Flips a byte of a segment at rest.
    fn damage(&self) {
        let disk = &self.machine.disks[self.dice.within(0, self.machine.disks.len() as u64) as usize];
        let files = disk.list().unwrap_or_default();
        let segments: Vec<_> = files.iter().filter(|file| file.name.ends_with(".seg") && file.len > 20_000).collect();
        if segments.len() > 1 {
            let file = segments[self.dice.within(0, segments.len() as u64 - 1) as usize];
            disk.damage(&file.name, self.dice.within(5_000, file.len - 9_000) as usize, 0x10);
        }
    }

    fn reload(&mut self) {
        if self.dice.happens(30) {
            return self.remove_or_return();
        }
        let at = self.dice.within(0, self.specs.len() as u64) as usize;
        let spec = &mut self.specs[at];
        match self.dice.within(0, 2) {
            0 => spec.wants = Wants::any(&self.dice),
            _ => spec.max_events = self.dice.within(1, 40),
        }
        let spec = spec.clone();
        let siem = self.siems.iter().find(|siem| siem.name == spec.name).expect("every destination has a receiver");
        siem.expect(&spec);
        self.machine.reload(&self.specs);
    }

    /// Somebody at the command line.
    fn operate(&self) {
        let Some(life) = self.machine.life() else { return };
        let spec = &self.specs[self.dice.within(0, self.specs.len() as u64) as usize];
        let siem = self.siems.iter().find(|siem| siem.name == spec.name).expect("every destination has a receiver");
        let destination = DestinationId::from_text(&spec.name);
        match self.dice.within(0, 4) {
            0 => match self.dice.within(0, 3) {
                0 => self.drain(&life, siem),
                1 => self.rest(&life, siem, Flow::Paused),
                _ => self.rest(&life, siem, Flow::Free),
            },
            1..=2 => {
                // What was given up behind the point is sent again too.
                *siem.drains.borrow_mut() = None;
                // What was told as lost may come after all.
                siem.is_inexact.set(true);
                siem.is_ordered.set(false);
                // Producers write most of what they write early.
                let since_start = self.world.now().0.saturating_sub(self.dice.within(0, 10_000)) as i64;
                let from_wall_ms = life.runtime.wall_ms() - since_start;
                self.machine.command(&life, || Command::Replay { destination, from_wall_ms });
            }
            _ => {
                siem.is_inexact.set(true);
                siem.is_ordered.set(false);
                let letters = self.machine.letters(&spec.name);
                for (shard, mailbox) in life.mailboxes.iter().enumerate() {
                    let of_shard = letters.iter().filter(|letter| usize::from(letter.shard) == shard);
                    let letters = of_shard.map(|letter| letter.key).collect();
                    mailbox.command(Command::Resend { destination, letters });
                }
            }
        }
    }

    fn rest(&self, life: &Life, siem: &Siem, flow: Flow) {
        self.forget_drain(siem);
        let destination = DestinationId::from_text(&siem.name);
        self.machine.command(life, || Command::Flow { destination, flow });
    }

    /// One that drains keeps its point.
    fn drain(&self, life: &Life, siem: &Rc<Siem>) {
        if self.drains.borrow().iter().any(|drained| drained.siem.name == siem.name) {
            return;
        }
        let (answer, answers) = mpsc::channel();
        let drained = Drained { siem: Rc::clone(siem), answers, points: vec![None; life.shards.len()] };
        let destination = drained.id();
        self.drains.borrow_mut().push(drained);
        self.machine.command(life, || Command::Drain { destination, answer: answer.clone() });
    }

    /// A destination is removed, or one that was removed is there again.
    fn remove_or_return(&mut self) {
        if let Some(spec) = self.removed.pop() {
            self.specs.push(spec);
        } else if self.specs.len() > 1 {
            let spec = self.specs.remove(self.dice.within(0, self.specs.len() as u64) as usize);
            let siem = self.siems.iter().find(|siem| siem.name == spec.name).expect("every destination has a receiver");
            siem.was_removed.set(true);
            self.removed.push(spec);
        }
        self.machine.reload(&self.specs);
    }

    /// Everything is mended; what was promised must come true within a bounded time.
    fn settle(&mut self, producers: usize) -> Verdict {
        self.machine.disks.iter().for_each(|disk| {
            disk.fill(false);
            disk.fail_next_syncs(0);
        });
        self.siems.iter().for_each(|siem| siem.mend(&self.world));
        if self.machine.life().is_none() {
            self.start();
        }
        let life = self.machine.life().expect("it was started");
        self.siems.iter().for_each(|siem| self.rest(&life, siem, Flow::Free));
        let has_syslog = self.specs.iter().any(|spec| spec.is_syslog);
        // Nothing answers for syslog, so what is written last is taken as read after half the window, and not given up
        // before, whoever waits for its room. An epoch that ends, and a second notice, wait for that one after another.
        let patience = if has_syslog { Millis(self.machine.setup.window.0 * 5 / 2) } else { Millis::ZERO };
        let deadline = self.world.now().plus(PRODUCED_WITHIN).plus(patience);
        while self.produced.finished.get() < producers && self.world.now() < deadline {
            self.pass(self.world.now().plus(Millis(1_000)))?;
        }
        if self.produced.finished.get() < producers {
            let why: Vec<_> = life.published.iter().map(|published| published.report().why_no_room).collect();
            return Err(format!("producers wait for acknowledgements; no room: {why:?}"));
        }
        self.trickle();
        self.pass(self.world.now().plus(TRICKLE))?;
        let deadline = self.world.now().plus(DELIVERED_WITHIN).plus(patience);
        while oracle::unfinished(&life).is_some() && self.world.now() < deadline {
            self.pass(self.world.now().plus(Millis(1_000)))?;
        }
        if let Some(left) = oracle::unfinished(&life) {
            return Err(format!("not everything is delivered at {}: {left}", self.world.now()));
        }
        for siem in &self.siems {
            oracle::check_siem(siem, &self.produced, &self.machine, false)?;
        }
        self.idle(STATED_WITHIN.plus(patience).plus(patience))?;
        for siem in &self.siems {
            oracle::check_siem(siem, &self.produced, &self.machine, true)?;
            oracle::check_all_stated(siem, &life)?;
        }
        drop(life);
        self.machine.kill(&self.world);

        Ok(())
    }

    /// A little good traffic: without it nothing shows that an event which is refused alone is to blame itself.
    fn trickle(&self) {
        let habit = Habit { events: 60, pause_ms: 1_000, poison_percent: 0 };
        producer::start(&self.world, &self.machine, &self.produced, 99, habit, &self.dice);
    }

    /// Nothing is to be done, and next to nothing is done.
    fn idle(&self, span: Millis) -> Verdict {
        let (steps, helpers) = (self.steps.get(), self.machine.helper_steps.get());
        self.pass(self.world.now().plus(span))?;
        let own = (self.steps.get() - steps).saturating_sub(2 * (self.machine.helper_steps.get() - helpers));
        let per_second = own / (span.0 / 1_000);
        if per_second > IDLE_STEPS_MAX {
            Err(format!("{per_second} steps a second although all is done"))
        } else {
            Ok(())
        }
    }
}

/// Producers have everything acknowledged this long after everything was mended.
const PRODUCED_WITHIN: Millis = Millis::from_secs(120);
/// The little traffic at the end takes no longer than this.
const TRICKLE: Millis = Millis::from_secs(60);
/// Then everything is delivered within this.
const DELIVERED_WITHIN: Millis = Millis::from_secs(120);
/// And stated.
const STATED_WITHIN: Millis = Millis::from_secs(420);
/// Steps of tasks in a second without work, for all shards and carriers together.
const IDLE_STEPS_MAX: u64 = 60;
