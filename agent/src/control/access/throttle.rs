//! How often a login may fail: from one peer, and from all together. Pure: time comes from outside.
//!
//! Each failure is taken from an allowance that fills again with time. A token has 256 bits and can't be guessed; this
//! bounds what guessing costs the agent and its log, and says so to whoever tries. It holds up nobody who shows a right one,
//! whatever others at the same address do. The allowances of [`PEERS_MAX`] peers
//! are remembered; of an IPv6 network everybody in the same /64 counts as one, because one machine has all of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::time::Millis;

/// See the module.
#[derive(Default)]
pub(super) struct Throttle {
    peers: HashMap<IpAddr, Spent>,
    all: Spent,
}

/// What is taken from an allowance: in ms that have to pass until it is whole again.
#[derive(Clone, Copy, Default)]
struct Spent {
    ms: u64,
    at: Millis,
}

/// An allowance of `burst` failures, of which one comes back `every` so often.
struct Allowance {
    burst: u64,
    every: Millis,
}

impl Throttle {
    /// Somebody at `peer` has tried in vain.
    ///
    /// # Errors
    /// How long to wait, where that was once too often; it does not count then.
    pub(super) fn fail(&mut self, peer: IpAddr, now: Millis) -> Result<(), Millis> {
        self.admit(peer, now)?;
        self.failed(peer, now);
        Ok(())
    }

    /// Whether somebody at `peer` may fail now, or how long to wait.
    fn admit(&self, peer: IpAddr, now: Millis) -> Result<(), Millis> {
        let of_peer = self.peers.get(&network(peer)).copied().unwrap_or_default();
        let wait = of_peer.wait(&FROM_ONE, now).max(self.all.wait(&FROM_ALL, now));
        if wait == Millis::ZERO { Ok(()) } else { Err(wait) }
    }

    fn failed(&mut self, peer: IpAddr, now: Millis) {
        let peer = network(peer);
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            let nearest = self.peers.iter().min_by_key(|(_, spent)| spent.left(now)).map(|(peer, _)| *peer);
            if let Some(peer) = nearest {
                self.peers.remove(&peer);
            }
        }
        self.peers.entry(peer).or_default().take(&FROM_ONE, now);
        self.all.take(&FROM_ALL, now);
    }
}

impl Spent {
    fn left(self, now: Millis) -> u64 {
        self.ms.saturating_sub(now.since(self.at).0)
    }

    fn wait(self, allowance: &Allowance, now: Millis) -> Millis {
        let most = allowance.every.0 * (allowance.burst - 1);
        Millis(self.left(now).saturating_sub(most))
    }

    fn take(&mut self, allowance: &Allowance, now: Millis) {
        *self = Spent { ms: self.left(now) + allowance.every.0, at: now };
    }
}

/// Whom a peer counts as.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Peers that are remembered at most.
const PEERS_MAX: usize = 4_096;
/// From one peer: five at once, then one each ten seconds.
const FROM_ONE: Allowance = Allowance { burst: 5, every: Millis::from_secs(10) };
/// From all together: fifty at once, then one a second.
const FROM_ALL: Allowance = Allowance { burst: 50, every: Millis::from_secs(1) };

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn after_five_failures_a_peer_waits_and_others_do_not() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(throttle.fail(v4(1), Millis::ZERO), Ok(()));
        }
        for _ in 0..5 {
            assert_eq!(throttle.fail(v4(1), Millis::ZERO), Err(Millis::from_secs(10)), "and no longer than that");
        }
        assert_eq!(throttle.admit(v4(2), Millis::ZERO), Ok(()));
        assert_eq!(throttle.admit(v4(1), Millis(9_999)), Err(Millis(1)));
        assert_eq!(throttle.admit(v4(1), Millis(10_000)), Ok(()));
        throttle.failed(v4(1), Millis(10_000));
        assert_eq!(throttle.admit(v4(1), Millis(10_000)), Err(Millis::from_secs(10)));
        assert_eq!(throttle.admit(v4(1), Millis::from_secs(3_600)), Ok(()), "in the end all is forgotten");
    }

    #[test]
    fn many_peers_together_wait_too() {
        let mut throttle = Throttle::default();
        for peer in 0..50 {
            assert_eq!(throttle.admit(v4(peer), Millis::ZERO), Ok(()), "{peer}");
            throttle.failed(v4(peer), Millis::ZERO);
        }
        assert_eq!(throttle.admit(v4(99), Millis::ZERO), Err(Millis::from_secs(1)));
        assert_eq!(throttle.admit(v4(99), Millis::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_machine_with_a_whole_network_is_one_peer_and_memory_is_bounded() {
        let mut throttle = Throttle::default();
        for host in 0..5_u16 {
            throttle.failed(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host).into(), Millis::ZERO);
        }
        let another = |network| Ipv6Addr::new(0x2001, 0xdb8, 0, network, 9, 9, 9, 9).into();
        assert!(throttle.admit(another(1), Millis::ZERO).is_err() && throttle.admit(another(2), Millis::ZERO).is_ok());
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(network(mapped), "10.0.0.1".parse::<IpAddr>().unwrap());
        for peer in 0..2 * PEERS_MAX as u32 {
            throttle.failed(v4(peer), Millis::from_secs(60));
        }
        assert_eq!(throttle.peers.len(), PEERS_MAX);
    }
}
