//! Producers: they write events through the agent's own connection task, read acknowledgements, and send again after a
//! lost connection what was not acknowledged.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use futures_lite::future::or;
use futures_lite::io::split;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use scaidrive_siem::ingest::connection::{Peer, serve};
use scaidrive_siem::runtime::virtual_time::{Network, World};
use scaidrive_siem::runtime::{Runtime, TaskName};
use scaidrive_siem::time::Millis;
use serde_json::Value;

use crate::agent::Machine;
use crate::chance::Dice;
use crate::sample::Sample;

/// What producers know.
#[derive(Default)]
pub struct Produced {
    /// Every event that was acknowledged.
    pub acked: RefCell<BTreeMap<String, Sample>>,
    /// Every event that was ever sent.
    pub sent: RefCell<BTreeMap<String, Sample>>,
    /// Producers that have everything acknowledged.
    pub finished: Cell<usize>,
    /// Producers hold back while this is set.
    pub is_paused: Cell<bool>,
}

/// How a producer works.
#[derive(Clone, Copy, Debug)]
pub struct Habit {
    pub events: u64,
    /// The longest pause between two events, in milliseconds.
    pub pause_ms: u64,
    pub poison_percent: u64,
}

struct Producer {
    number: u64,
    habit: Habit,
    machine: Rc<Machine>,
    network: Network,
    runtime: Rc<dyn Runtime>,
    dice: Dice,
    produced: Rc<Produced>,
    made: Cell<u64>,
    /// Not acknowledged, from connections that ended.
    again: RefCell<VecDeque<Sample>>,
    /// On the present connection.
    on_the_way: RefCell<VecDeque<Sample>>,
}

/// Starts a producer.
pub fn start(world: &World, machine: &Rc<Machine>, produced: &Rc<Produced>, number: u64, habit: Habit, dice: &Dice) {
    let producer = Producer {
        number,
        habit,
        machine: Rc::clone(machine),
        network: world.network(),
        runtime: world.runtime(&format!("producer-{number}")),
        dice: dice.clone(),
        produced: Rc::clone(produced),
        made: Cell::new(0),
        again: RefCell::default(),
        on_the_way: RefCell::default(),
    };
    world.spawn(Box::pin(async move { producer.run().await }));
}

impl Producer {
    async fn run(&self) {
        while !self.is_done() {
            self.runtime.sleep(Millis(self.dice.within(5, 100))).await;
            let Some(life) = self.machine.life() else { continue };
            let (near, far) = self.network.pair();
            let shard = self.dice.within(0, life.shards.len() as u64) as usize;
            let peer = Peer { uid: 7, pid: None };
            let door = life.shards[shard].door();
            life.runtime.spawn(TaskName::Ingest, Box::pin(serve(door, far, peer, life.intake.clone())));
            drop(life);
            let (from, to) = split(near);
            or(self.hear(from), self.write(to)).await;
            let mut unsure: VecDeque<Sample> = self.on_the_way.take();
            unsure.append(&mut self.again.borrow_mut());
            *self.again.borrow_mut() = unsure;
        }
        self.produced.finished.set(self.produced.finished.get() + 1);
    }

    fn is_done(&self) -> bool {
        self.made.get() >= self.habit.events && self.again.borrow().is_empty() && self.on_the_way.borrow().is_empty()
    }

    fn next(&self) -> Option<Sample> {
        if let Some(sample) = self.again.borrow_mut().pop_front() {
            return Some(sample);
        }
        let number = self.made.get();
        if number >= self.habit.events || self.produced.is_paused.get() {
            return None;
        }
        self.made.set(number + 1);
        Some(Sample::new(format!("e-{}-{number}", self.number), &self.dice, self.habit.poison_percent))
    }

    async fn write(&self, mut to: impl futures_lite::AsyncWrite + Unpin) {
        loop {
            match self.next() {
                Some(sample) => {
                    let line = sample.line();
                    self.produced.sent.borrow_mut().insert(sample.id.clone(), sample.clone());
                    self.on_the_way.borrow_mut().push_back(sample);
                    if to.write_all(&line).await.is_err() {
                        return;
                    }
                }
                None if self.is_done() => return,
                None => {}
            }
            let is_burst = self.dice.happens(30);
            self.runtime.sleep(Millis(if is_burst { 0 } else { self.dice.within(0, self.habit.pause_ms) })).await;
        }
    }

    async fn hear(&self, mut from: impl futures_lite::AsyncRead + Unpin) {
        let mut text = Vec::new();
        let mut block = [0; 512];
        let mut acked = 0;
        loop {
            let Ok(size) = from.read(&mut block).await else { return };
            if size == 0 {
                return;
            }
            text.extend_from_slice(&block[..size]);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let said: Value = serde_json::from_slice(&line).unwrap();
                assert!(said["refused"].is_null(), "a good event was refused: {said}");
                let up_to = said["acked"].as_u64().unwrap();
                for _ in acked..up_to {
                    let sample = self.on_the_way.borrow_mut().pop_front().expect("only what was sent is acknowledged");
                    self.produced.acked.borrow_mut().insert(sample.id.clone(), sample);
                }
                acked = acked.max(up_to);
            }
        }
    }
}
