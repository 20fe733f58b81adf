//! How many connections there may be, and who makes room for a new one.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decnet_core::limits::{MAX_API_CONNECTIONS, MAX_API_PROVEN_CONNECTIONS};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::{Asker, Network, PrincipalId};

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
    /// How many connections each holder has, of those that have any.
    of_holder: HashMap<Holder, usize>,
    /// How many connections principals hold.
    proven: usize,
}

struct Taken {
    network: Network,
    holder: Holder,
    /// Since when it waits for a request; nothing while it is answered one.
    waiting_since: Option<Instant>,
    evicted: CancellationToken,
}

/// Whom a connection is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    /// The network of a client whose last request, if there was one, showed no good credential.
    Network(Network),
    /// The owner of the good credential that the last request showed.
    Principal(PrincipalId),
}

/// The place of one connection, free again once this is dropped.
pub(super) struct Place {
    places: Places,
    id: u64,
    evicted: CancellationToken,
}

impl Places {
    /// Takes a place: a free one, else that of a connection that waits for a request, else the next that gets free.
    /// Connections whose last request showed a good credential are evicted last, as long as they are at most
    /// [`MAX_API_PROVEN_CONNECTIONS`]. Within a kind the network, or principal, with most connections loses the one that has
    /// waited longest: whoever opens many cuts off themselves.
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
        let holder = Holder::Network(network);
        let waiting_since = Some(Instant::now());
        let id = open.add(Taken { network, holder, waiting_since, evicted: evicted.clone() });
        Some(Place { places: self.clone(), id, evicted })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a connection as busy with a request. Returns false if it was evicted.
    fn mark_busy(&self, id: u64) -> bool {
        self.open().taken.get_mut(&id).map(|taken| taken.waiting_since = None).is_some()
    }

    /// Marks a connection as waiting for its client, whose current or last request was `asker`'s.
    fn mark_waiting(&self, id: u64, since: Instant, asker: &Asker) {
        self.open().wait(id, since, asker);
        self.0.freed.notify_one();
    }
}

impl Open {
    fn add(&mut self, taken: Taken) -> u64 {
        self.count(&taken.holder);
        let id = self.next;
        self.next += 1;
        self.taken.insert(id, taken);
        id
    }

    /// None where it has made room already.
    fn remove(&mut self, id: u64) -> Option<Taken> {
        let taken = self.taken.remove(&id)?;
        self.uncount(taken.holder.clone());
        Some(taken)
    }

    fn wait(&mut self, id: u64, since: Instant, asker: &Asker) {
        let Some(taken) = self.taken.get_mut(&id) else { return };
        taken.waiting_since = Some(since);
        let principal = asker.principal().map(|principal| &principal.id);
        if taken.holder.is(principal) {
            return;
        }
        let holder = principal.cloned().map_or(Holder::Network(taken.network), Holder::Principal);
        let before = std::mem::replace(&mut taken.holder, holder.clone());
        self.uncount(before);
        self.count(&holder);
    }

    fn count(&mut self, holder: &Holder) {
        self.proven += usize::from(holder.is_proven());
        *self.of_holder.entry(holder.clone()).or_default() += 1;
    }

    fn uncount(&mut self, holder: Holder) {
        self.proven -= usize::from(holder.is_proven());
        if let Entry::Occupied(mut count) = self.of_holder.entry(holder) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Returns the connection to evict, if one waits for its client.
    fn most_dispensable(&self) -> Option<u64> {
        let proven_first = self.proven > MAX_API_PROVEN_CONNECTIONS;
        self.longest_waiting(proven_first).or_else(|| self.longest_waiting(!proven_first))
    }

    /// Returns the longest waiting connection of the holder with most, among those that are `proven`, or not.
    fn longest_waiting(&self, proven: bool) -> Option<u64> {
        let of_kind = self.taken.iter().filter(|(_, taken)| taken.holder.is_proven() == proven);
        let waiting = of_kind.filter_map(|(id, taken)| {
            let waiting_since = taken.waiting_since?;
            Some((self.of_holder.get(&taken.holder)?, Reverse((waiting_since, *id))))
        });
        waiting.max().map(|(_, Reverse((_, id)))| id)
    }
}

impl Holder {
    fn is_proven(&self) -> bool {
        matches!(self, Self::Principal(_))
    }

    /// Returns whether this is `principal`, or a network where that is none.
    fn is(&self, principal: Option<&PrincipalId>) -> bool {
        match self {
            Self::Network(_) => principal.is_none(),
            Self::Principal(id) => principal == Some(id),
        }
    }
}

impl Place {
    /// Marks a request of `asker`'s as begun; until the guard is dropped this connection is not evicted. Returns nothing if it
    /// was evicted before: then the request must not be begun. One lock decides between the two.
    pub(super) fn busy(&self, asker: Asker) -> Option<Busy> {
        let is_open = self.places.mark_busy(self.id);
        is_open.then(|| Busy { places: self.places.clone(), id: self.id, asker })
    }

    /// Returns how long the body of a request of `asker`'s, whose head has come, is waited for.
    pub(super) fn patience(&self, asker: Asker) -> Patience {
        let since = Instant::now();
        Patience { places: self.places.clone(), id: self.id, since, is_waiting: false, asker }
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
    /// Whose request it is. Known by now: a body is read only after the credential was judged.
    asker: Asker,
}

impl Patience {
    /// More is waited for.
    pub(super) fn wait(&mut self) {
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.places.mark_waiting(self.id, self.since, &self.asker);
        }
    }

    /// More has come, or all of it. False where the connection is to make room already: then nothing must be begun.
    pub(super) fn go_on(&mut self) -> bool {
        !std::mem::take(&mut self.is_waiting) || self.places.mark_busy(self.id)
    }
}

/// A request is being answered.
pub(super) struct Busy {
    places: Places,
    id: u64,
    asker: Asker,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.places.mark_waiting(self.id, Instant::now(), &self.asker);
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
    use crate::auth::Principal;

    fn network(last: u8) -> Network {
        Network::of(std::net::Ipv4Addr::new(192, 0, 2, last).into())
    }

    fn asker(token: Option<&str>) -> Asker {
        let asker = Asker::default();
        if let Some(token) = token {
            let id = PrincipalId::Token(token.into());
            asker.note(Principal { id, name: token.into(), scopes: None });
        }
        asker
    }

    fn begin(place: &Place) -> Option<Busy> {
        place.busy(asker(None))
    }

    fn patience(place: &Place) -> Patience {
        place.patience(asker(None))
    }

    /// Answers a request that showed this token, or none.
    fn answer(place: &Place, token: Option<&str>) {
        drop(place.busy(asker(token)).unwrap());
    }

    /// Takes connections of network 1, each of which has shown this token.
    async fn proven(places: &Places, count: usize, token: &str) -> Vec<Place> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let place = places.take(network(1)).await;
            answer(&place, Some(token));
            taken.push(place);
        }
        taken
    }

    fn evicted(taken: &[Place]) -> usize {
        taken.iter().filter(|place| place.evicted().now_or_never().is_some()).count()
    }

    #[tokio::test]
    async fn connections_with_a_good_credential_are_evicted_last() {
        let places = Places::default();
        // The longest waiting, all of one network, and many.
        let good = proven(&places, 300, "a").await;
        let mut others = Vec::new();
        for _ in 300..MAX_API_CONNECTIONS + 500 {
            others.push(places.take(network(2)).await);
        }
        assert_eq!((evicted(&good), evicted(&others)), (0, 500));
    }

    #[tokio::test]
    async fn a_slow_body_of_a_good_credential_is_evicted_last() {
        let places = Places::default();
        let good = places.take(network(1)).await;
        let busy = good.busy(asker(Some("a")));
        let mut slow = good.patience(asker(Some("a")));
        slow.wait();
        let mut others = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            others.push(places.take(network(2)).await);
        }
        assert!(slow.go_on() && evicted(&others) == 1);
        drop(busy);
    }

    #[tokio::test]
    async fn good_credentials_leave_places_to_new_clients() {
        let places = Places::default();
        let good = proven(&places, MAX_API_CONNECTIONS, "a").await;
        let spare = MAX_API_CONNECTIONS - MAX_API_PROVEN_CONNECTIONS;
        let mut others = Vec::new();
        for _ in 0..spare + 10 {
            others.push(places.take(network(2)).await);
        }
        assert_eq!((evicted(&good), evicted(&others)), (spare, 10));
    }

    #[tokio::test]
    async fn the_credential_with_most_connections_makes_room() {
        let places = Places::default();
        let few = proven(&places, 2, "b").await;
        let many = proven(&places, MAX_API_CONNECTIONS - 2, "a").await;
        // Each newcomer shows a third token at once.
        let third = proven(&places, 200, "c").await;
        assert_eq!((evicted(&few), evicted(&many), evicted(&third)), (0, 200, 0));
    }

    #[tokio::test]
    async fn the_last_request_of_a_connection_decides_for_whom_it_counts() {
        let places = Places::default();
        let place = places.take(network(1)).await;
        let holders = || places.open().of_holder.keys().cloned().collect::<Vec<_>>();
        for (token, proven) in [(None, 0), (Some("a"), 1), (Some("a"), 1), (Some("b"), 1), (None, 0)] {
            answer(&place, token);
            let expected = token.map(|token| PrincipalId::Token(token.into()));
            let expected = expected.map_or(Holder::Network(network(1)), Holder::Principal);
            assert_eq!((holders(), places.open().proven), (vec![expected], proven));
        }
        answer(&place, Some("a"));
        drop(place);
        assert_eq!((holders(), places.open().proven), (vec![], 0));
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
        assert_eq!(places.open().of_holder[&Holder::Network(network(1))], MAX_API_CONNECTIONS - 3);
        drop((taken, more));
        assert!(places.open().of_holder.is_empty(), "a network without a connection is not counted");
    }

    #[tokio::test]
    async fn who_waits_longest_makes_room_and_who_is_served_does_not() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            taken.push(places.take(network(1)).await);
        }
        let served = begin(&taken[0]);
        let new = places.take(network(1)).await;
        assert!(taken[0].evicted().now_or_never().is_none(), "it is being answered");
        assert!(taken[1].evicted().now_or_never().is_some(), "it has waited longest");
        assert!(served.is_some() && begin(&taken[1]).is_none(), "who makes room begins no request");
        drop((served, new));
    }

    #[tokio::test]
    async fn who_waits_for_a_body_makes_room_and_then_begins_nothing() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            taken.push(places.take(network(1)).await);
        }
        let served: Vec<_> = taken.iter().map(begin).collect();
        let (mut slow, mut quick) = (patience(&taken[7]), patience(&taken[8]));
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
        let mut served: Vec<_> = taken.iter().map(begin).collect();
        assert!(places.take(network(1)).now_or_never().is_none());
        assert!(served.iter().all(Option::is_some));
        drop(served.pop());
        assert!(places.take(network(1)).now_or_never().is_some());
    }
}
