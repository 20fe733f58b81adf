//! How many connections there may be, and who makes room for a new one.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decnet_core::limits::MAX_API_CONNECTIONS;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::Network;

/// All connections.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Default)]
struct Open {
    next: u64,
    taken: HashMap<u64, Taken>,
    /// How many of them each network has, of those that have any.
    of_network: HashMap<Network, usize>,
}

struct Taken {
    network: Network,
    /// Since when it waits for a request; nothing while it is answered one.
    waiting_since: Option<Instant>,
    evicted: CancellationToken,
}

/// The place of one connection, free again once this is dropped.
pub(super) struct Place {
    places: Places,
    id: u64,
    evicted: CancellationToken,
}

impl Places {
    /// A place: a free one, else one of those that wait for a request, else the next that gets free. The network that has
    /// most places gives one up, and of its own the one that has waited longest: who opens many cuts off themselves.
    pub(super) async fn take(&self, network: Network) -> Place {
        loop {
            let freed = self.0.freed.notified();
            if let Some(place) = self.try_take(network) {
                return place;
            }
            freed.await;
        }
    }

    fn try_take(&self, network: Network) -> Option<Place> {
        let mut open = self.open();
        if open.taken.len() >= MAX_API_CONNECTIONS {
            let dispensable = open.most_dispensable()?;
            open.remove(dispensable)?.evicted.cancel();
        }
        let evicted = CancellationToken::new();
        let id = open.add(Taken { network, waiting_since: Some(Instant::now()), evicted: evicted.clone() });
        Some(Place { places: self.clone(), id, evicted })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False where it has made room already.
    fn mark(&self, id: u64, waiting_since: Option<Instant>) -> bool {
        let is_open = match self.open().taken.get_mut(&id) {
            Some(taken) => {
                taken.waiting_since = waiting_since;
                true
            }
            None => false,
        };
        if waiting_since.is_some() {
            self.0.freed.notify_one();
        }
        is_open
    }
}

impl Open {
    fn add(&mut self, taken: Taken) -> u64 {
        *self.of_network.entry(taken.network).or_default() += 1;
        let id = self.next;
        self.next += 1;
        self.taken.insert(id, taken);
        id
    }

    /// None where it has made room already.
    fn remove(&mut self, id: u64) -> Option<Taken> {
        let taken = self.taken.remove(&id)?;
        if let Entry::Occupied(mut count) = self.of_network.entry(taken.network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(taken)
    }

    fn most_dispensable(&self) -> Option<u64> {
        let waiting = self.taken.iter().filter_map(|(id, taken)| {
            let waiting_since = taken.waiting_since?;
            Some((self.of_network.get(&taken.network)?, Reverse((waiting_since, *id))))
        });
        waiting.max().map(|(_, Reverse((_, id)))| id)
    }
}

impl Place {
    /// A request has come; until the guard is dropped this connection makes room for nobody. None where it is to make room
    /// already: then the request must not be begun. One lock decides between the two.
    pub(super) fn busy(&self) -> Option<Busy> {
        let is_open = self.places.mark(self.id, None);
        is_open.then(|| Busy { places: self.places.clone(), id: self.id })
    }

    /// For the body of a request whose head has come.
    pub(super) fn patience(&self) -> Patience {
        Patience { places: self.places.clone(), id: self.id, since: Instant::now(), is_waiting: false }
    }

    /// Waits until this connection is to make room.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

/// How long the body of a request has been waited for. While it is, its connection makes room like one without a request:
/// nothing is begun before the body is whole.
pub(super) struct Patience {
    places: Places,
    id: u64,
    since: Instant,
    is_waiting: bool,
}

impl Patience {
    /// More is waited for.
    pub(super) fn wait(&mut self) {
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.places.mark(self.id, Some(self.since));
        }
    }

    /// More has come, or all of it. False where the connection is to make room already: then nothing must be begun.
    pub(super) fn go_on(&mut self) -> bool {
        !std::mem::take(&mut self.is_waiting) || self.places.mark(self.id, None)
    }
}

/// A request is being answered.
pub(super) struct Busy {
    places: Places,
    id: u64,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.places.mark(self.id, Some(Instant::now()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open().remove(self.id);
        self.places.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn network(last: u8) -> Network {
        Network::of(std::net::Ipv4Addr::new(192, 0, 2, last).into())
    }

    #[tokio::test]
    async fn who_takes_most_places_makes_room() {
        let places = Places::default();
        let mut taken = vec![places.take(network(2)).await, places.take(network(3)).await];
        for _ in 2..MAX_API_CONNECTIONS {
            taken.push(places.take(network(1)).await);
        }
        let more: Vec<_> = [places.take(network(1)).await, places.take(network(4)).await].into();
        let evicted = |place: &Place| place.evicted().now_or_never().is_some();
        assert!(evicted(&taken[2]) && evicted(&taken[3]), "its oldest ones");
        let others = taken[..2].iter().chain(&taken[4..]).chain(&more);
        assert!(others.into_iter().all(|place| !evicted(place)));
        assert_eq!(places.open().of_network[&network(1)], MAX_API_CONNECTIONS - 3);
        drop((taken, more));
        assert!(places.open().of_network.is_empty(), "a network without a place is not remembered");
    }

    #[tokio::test]
    async fn who_waits_longest_makes_room_and_who_is_served_does_not() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            taken.push(places.take(network(1)).await);
        }
        let served = taken[0].busy();
        let new = places.take(network(1)).await;
        assert!(taken[0].evicted().now_or_never().is_none(), "it is being answered");
        assert!(taken[1].evicted().now_or_never().is_some(), "it has waited longest");
        assert!(served.is_some() && taken[1].busy().is_none(), "who makes room begins no request");
        drop((served, new));
    }

    #[tokio::test]
    async fn who_waits_for_a_body_makes_room_and_then_begins_nothing() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            taken.push(places.take(network(1)).await);
        }
        let served: Vec<_> = taken.iter().map(Place::busy).collect();
        let (mut slow, mut quick) = (taken[7].patience(), taken[8].patience());
        slow.wait();
        quick.wait();
        assert!(quick.go_on(), "its body came in time");
        let new = places.take(network(1)).now_or_never();
        assert!(new.is_some() && taken[7].evicted().now_or_never().is_some() && !slow.go_on());
        drop((served, new));
    }

    #[tokio::test]
    async fn when_all_are_served_a_new_one_waits_for_the_first_that_is_done() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            taken.push(places.take(network(1)).await);
        }
        let mut served: Vec<_> = taken.iter().map(Place::busy).collect();
        assert!(places.take(network(1)).now_or_never().is_none());
        assert!(served.iter().all(Option::is_some));
        drop(served.pop());
        assert!(places.take(network(1)).now_or_never().is_some());
    }
}
