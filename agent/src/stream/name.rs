//! What a stream is called on the wire.
//!
//! Always true: a name says agent, destination, shard and epoch, so no two streams share one.

use std::rc::Rc;

use scaidrive_codecs::Stamp;

use crate::config::DestinationId;

/// What is needed to name a stream on the wire.
#[derive(Clone, Debug)]
pub struct StreamName {
    node: Rc<str>,
    prefix: Rc<str>,
    epoch: [u8; 16],
    text: Rc<str>,
}

impl StreamName {
    /// Names the stream of an epoch. `prefix` says agent, destination and shard.
    pub fn new(node: Rc<str>, prefix: Rc<str>, epoch: [u8; 16]) -> StreamName {
        let text = stream_text(&prefix, epoch).into();
        StreamName { node, prefix, epoch, text }
    }

    /// What says agent, destination and shard.
    pub fn prefix(agent: &str, destination: DestinationId, shard: u16) -> Rc<str> {
        format!("{agent}.{:.8}.{shard}", destination.to_string()).into()
    }

    /// The name of the same destination's stream on the same shard in another epoch.
    pub fn in_epoch(&self, epoch: [u8; 16]) -> StreamName {
        StreamName::new(Rc::clone(&self.node), Rc::clone(&self.prefix), epoch)
    }

    /// What marks event number `n`.
    pub fn stamp(&self, n: u64) -> Stamp<'_> {
        Stamp { node: &self.node, stream: &self.text, n }
    }

    /// The epoch.
    pub fn epoch(&self) -> [u8; 16] {
        self.epoch
    }

    /// The stream's name.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the same destination's stream in another epoch.
    pub fn of_epoch(&self, epoch: [u8; 16]) -> String {
        stream_text(&self.prefix, epoch)
    }
}

fn stream_text(prefix: &str, epoch: [u8; 16]) -> String {
    format!("{prefix}.{:016x}", u128::from_be_bytes(epoch) >> 64)
}
