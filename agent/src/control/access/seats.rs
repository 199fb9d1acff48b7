//! The connections to the address: so many at most, and no peer has so many that the next one finds none.
//!
//! A peer may have another seat while it has fewer than are free: alone half of them, with one that is as greedy a third.
//! Whoever comes newly sits as long as any is free. Who asks for more than that is hung up on at once, rather than left to
//! wait before everybody else. Of an IPv6 network everybody in the same /64 is one peer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

use super::throttle::network;
use crate::ingest::http::seats::Seated;

/// A listener with a bounded number of seats.
pub(in crate::control) struct Seats {
    listener: TcpListener,
    room: Arc<Mutex<Room>>,
}

/// Who sits.
#[derive(Default)]
struct Room {
    taken: usize,
    of: HashMap<IpAddr, usize>,
}

/// A seat; whoever drops it gives it back.
pub(super) struct Seat {
    room: Arc<Mutex<Room>>,
    peer: IpAddr,
}

impl Seats {
    pub(in crate::control) fn new(listener: TcpListener) -> Seats {
        Seats { listener, room: Arc::default() }
    }

    /// The next connection that has a seat.
    pub(super) async fn accept(&mut self) -> (Seated<Seat>, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    if let Some(seat) = self.seat(address.ip()) {
                        return (Seated::new(stream, seat), address);
                    }
                    tracing::debug!("{} has as many connections as it may, or there are no more", address.ip());
                }
                // Out of descriptors, or the peer was gone already.
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    }

    fn seat(&self, peer: IpAddr) -> Option<Seat> {
        let peer = network(peer);
        lock(&self.room).take(peer).then(|| Seat { room: Arc::clone(&self.room), peer })
    }
}

impl Room {
    fn take(&mut self, peer: IpAddr) -> bool {
        let held = self.of.get(&peer).copied().unwrap_or_default();
        if held >= SEATS_MAX - self.taken {
            return false;
        }
        self.taken += 1;
        self.of.insert(peer, held + 1);
        true
    }

    fn give_back(&mut self, peer: IpAddr) {
        self.taken -= 1;
        match self.of.get_mut(&peer) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(self.of.remove(&peer)),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.room).give_back(self.peer);
    }
}

// Nothing panics while it is held.
fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections at once. Behind a proxy everybody is one peer, so half of them are enough for all live tails and all who wait.
const SEATS_MAX: usize = 256;
/// How long to wait before accepting again after an error.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Takes as many seats as it gets.
    fn greedy(room: &mut Room, peer: u32) -> usize {
        (0..).take_while(|_| room.take(Ipv4Addr::from_bits(peer).into())).count()
    }

    #[test]
    fn however_greedy_a_few_are_the_next_one_finds_a_seat() {
        let mut room = Room::default();
        let shares: Vec<usize> = (0..6).map(|peer| greedy(&mut room, peer)).collect();
        assert_eq!(shares, [128, 64, 32, 16, 8, 4]);
        assert!(room.take(Ipv4Addr::from_bits(99).into()));
    }

    #[test]
    fn there_is_an_end_and_a_seat_that_is_given_back_is_free() {
        let mut room = Room::default();
        let all = (0..).take_while(|peer| room.take(Ipv4Addr::from_bits(*peer).into())).count();
        assert_eq!((all, room.taken, room.of.len()), (SEATS_MAX, SEATS_MAX, SEATS_MAX));
        let (first, next) = (IpAddr::from(Ipv4Addr::from_bits(0)), IpAddr::from(Ipv4Addr::from_bits(9_999)));
        room.give_back(first);
        assert!(room.take(next) && !room.take(first));
        assert_eq!(room.of.len(), SEATS_MAX, "who is gone is forgotten");
    }
}
