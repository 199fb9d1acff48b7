//! Indexer acknowledgement: ids, channels, cookies (Splunk, "About HTTP Event Collector Indexer Acknowledgment").
//!
//! Ids count from 0 on each channel. `true` is given once; unknown, lost and not yet indexed all read `false`.

use std::collections::{BTreeMap, HashMap};

use crate::rng::mix;

/// What becomes of batches that were answered with 200 and an ack id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The indexer died with it: it is not there, and its id never becomes true.
    Lost,
    /// It is there, but its id never becomes true.
    Silent,
}

/// The acknowledgement state of one token.
#[derive(Debug, Default)]
pub(super) struct Acks {
    channels: HashMap<String, Channel>,
    fates: Vec<Fate>,
    /// While true, no id becomes true.
    pub(super) held: bool,
    pub(super) demands_cookie: bool,
    sessions: u64,
    cookies: u64,
}

#[derive(Debug)]
struct Channel {
    cookie: String,
    next: u64,
    /// Ids that were not yet read as true, and whether they ever will be.
    pending: BTreeMap<u64, bool>,
}

pub(super) const COOKIE: &str = "AWSALB";

impl Acks {
    /// The next batches meet these fates, in this order.
    pub(super) fn meet(&mut self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.extend(fates);
    }

    /// Gives out the channel's next id; also what becomes of the batch.
    pub(super) fn issue(&mut self, channel: &str) -> (u64, Option<Fate>) {
        let fate = (!self.fates.is_empty()).then(|| self.fates.remove(0));
        let channel = self.channel(channel);
        let id = channel.next;
        channel.next += 1;
        channel.pending.insert(id, fate.is_none());
        (id, fate)
    }

    /// What the cookies of a channel that was used before begin with.
    pub(super) fn cookie(&self, channel: &str) -> Option<&str> {
        self.channels.get(channel).map(|channel| channel.cookie.as_str())
    }

    /// What the next reply on the channel sets, where a cookie is demanded: the channel's own and something that changes.
    pub(super) fn next_cookie(&mut self, channel: &str) -> Option<String> {
        let own = self.channels.get(channel).filter(|_| self.demands_cookie)?;
        self.cookies += 1;
        Some(format!("{}.{}", own.cookie, self.cookies))
    }

    /// Whether `id` was ever given out on the channel.
    pub(super) fn knows(&self, channel: &str, id: u64) -> bool {
        self.channels.get(channel).is_some_and(|channel| id < channel.next)
    }

    /// Reads an id's status; a `true` is forgotten with it.
    pub(super) fn read(&mut self, channel: &str, id: u64) -> bool {
        let held = self.held;
        let Some(channel) = self.channels.get_mut(channel) else { return false };
        let is_indexed = !held && channel.pending.get(&id) == Some(&true);
        if is_indexed {
            channel.pending.remove(&id);
        }
        is_indexed
    }

    /// The balancer forgets whom it sent where: each channel begins anew on another indexer.
    pub(super) fn expire_sessions(&mut self) {
        self.channels.clear();
    }

    fn channel(&mut self, name: &str) -> &mut Channel {
        let sessions = &mut self.sessions;
        self.channels.entry(name.to_owned()).or_insert_with(|| {
            *sessions += 1;
            Channel { cookie: format!("{:016x}", mix(*sessions)), next: 0, pending: BTreeMap::new() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_true_once_and_lost_ones_never() {
        let mut acks = Acks::default();
        acks.meet([Fate::Lost]);
        assert_eq!(acks.issue("a"), (0, Some(Fate::Lost)));
        assert_eq!((acks.issue("a"), acks.issue("b")), ((1, None), (0, None)));
        assert!(!acks.read("a", 0) && acks.read("a", 1) && !acks.read("a", 1));
        acks.held = true;
        assert!(!acks.read("b", 0));
        acks.held = false;
        assert!(acks.read("b", 0));
        assert!(acks.knows("a", 1) && !acks.knows("a", 2) && !acks.knows("c", 0));
    }

    #[test]
    fn a_channel_has_its_own_cookie_until_the_session_ends() {
        let mut acks = Acks::default();
        acks.issue("a");
        acks.issue("b");
        assert_ne!(acks.cookie("a"), acks.cookie("b"));
        acks.expire_sessions();
        assert_eq!(acks.cookie("a"), None);
        assert!(!acks.read("a", 0));
    }
}
