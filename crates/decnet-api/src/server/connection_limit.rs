//! The limit on open connections, and the choice of the connection that is evicted for a new connection.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use decnet_core::limits::{MAX_API_CONNECTIONS, MAX_API_PROVEN_CONNECTIONS};
use decnet_runtime::sync::lock;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::{Network, PrincipalId, Requester};

/// The limit on open connections, shared by clones.
#[derive(Clone, Default)]
pub(super) struct ConnectionLimit(Arc<Inner>);

#[derive(Default)]
struct Inner {
    connections: Mutex<Connections>,
    freed: Notify,
}

#[derive(Default)]
struct Connections {
    next: u64,
    by_id: HashMap<u64, Connection>,
}

struct Connection {
    network: Network,
    holder: Holder,
    /// The time since which the connection has waited for its client; `None` while a request is processed.
    waiting_since: Option<Instant>,
    evicted: CancellationToken,
}

/// The party that a connection counts against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    /// The client's network, if its last request had no valid credential or it has not sent a request yet.
    Network(Network),
    /// The owner of the valid credential in the last request.
    Principal(PrincipalId),
}

/// The permit of one connection, released on drop.
pub(super) struct ConnectionPermit {
    limit: ConnectionLimit,
    id: u64,
    /// Cancelled when the connection is evicted, or when its client does not read a response without an end.
    pub(super) evicted: CancellationToken,
}

impl ConnectionLimit {
    /// Waits for a permit. If no permit is free, evicts a connection that waits for its client. If none waits, waits for the next
    /// released permit.
    ///
    /// Connections whose last request had a valid credential are evicted last, unless there are more than
    /// [`MAX_API_PROVEN_CONNECTIONS`] of them. Of the candidates, the holder with the most connections loses the connection that
    /// has waited longest.
    pub(super) async fn acquire(&self, network: Network) -> ConnectionPermit {
        loop {
            let freed = self.0.freed.notified();
            if let Some(permit) = self.try_acquire(network) {
                return permit;
            }
            freed.await;
        }
    }

    fn try_acquire(&self, network: Network) -> Option<ConnectionPermit> {
        let mut connections = lock(&self.0.connections);
        if connections.by_id.len() >= MAX_API_CONNECTIONS {
            let candidate = connections.eviction_candidate()?;
            connections.by_id.remove(&candidate)?.evicted.cancel();
        }
        let (id, evicted) = (connections.next, CancellationToken::new());
        connections.next += 1;
        let (holder, waiting_since) = (Holder::Network(network), Some(Instant::now()));
        connections.by_id.insert(id, Connection { network, holder, waiting_since, evicted: evicted.clone() });
        Some(ConnectionPermit { limit: self.clone(), id, evicted })
    }

    /// Marks a connection as busy with a request. Returns false if it was evicted.
    fn mark_busy(&self, id: u64) -> bool {
        let mut connections = lock(&self.0.connections);
        connections.by_id.get_mut(&id).map(|connection| connection.waiting_since = None).is_some()
    }

    /// Marks a connection as waiting for its client. `requester` sent its current or last request.
    fn mark_waiting(&self, id: u64, since: Instant, requester: &Requester) {
        if let Some(connection) = lock(&self.0.connections).by_id.get_mut(&id) {
            connection.waiting_since = Some(since);
            let principal = requester.principal().map(|principal| principal.id.clone());
            connection.holder = principal.map_or(Holder::Network(connection.network), Holder::Principal);
        }
        self.0.freed.notify_one();
    }
}

impl Connections {
    /// Returns the connection to evict, if one waits for its client.
    fn eviction_candidate(&self) -> Option<u64> {
        let authenticated = self.by_id.values().filter(|connection| connection.holder.is_authenticated());
        let authenticated_first = authenticated.count() > MAX_API_PROVEN_CONNECTIONS;
        self.longest_waiting(authenticated_first).or_else(|| self.longest_waiting(!authenticated_first))
    }

    /// Returns the longest waiting connection of the holder with the most connections, among either the
    /// authenticated or the other connections.
    fn longest_waiting(&self, authenticated: bool) -> Option<u64> {
        // Of each holder: its number of connections, and the connection that has waited longest.
        let mut holders =
            HashMap::<&Holder, (usize, Option<Reverse<(Instant, u64)>>)>::with_capacity(self.by_id.len());
        for (id, Connection { holder, waiting_since, .. }) in &self.by_id {
            if holder.is_authenticated() == authenticated {
                let (count, longest) = holders.entry(holder).or_default();
                *count += 1;
                *longest = (*longest).max(waiting_since.map(|since| Reverse((since, *id))));
            }
        }
        let waiting = holders.into_values().filter_map(|(count, longest)| Some((count, longest?)));
        waiting.max().map(|(_, Reverse((_, id)))| id)
    }
}

impl Holder {
    fn is_authenticated(&self) -> bool {
        matches!(self, Self::Principal(_))
    }
}

impl ConnectionPermit {
    /// Marks a request of `requester` as begun. The connection is not evicted until the guard is dropped. Returns `None` if it
    /// was evicted before; the request must then not be processed. One lock decides between the two.
    pub(super) fn begin_request(&self, requester: Requester) -> Option<RequestGuard> {
        let is_open = self.limit.mark_busy(self.id);
        is_open.then(|| RequestGuard { limit: self.limit.clone(), id: self.id, requester })
    }

    /// Starts the wait for the body of a request of `requester` whose head has arrived.
    pub(super) fn body_wait(&self, requester: Requester) -> BodyWait {
        let since = Instant::now();
        BodyWait { limit: self.limit.clone(), id: self.id, since, is_waiting: false, requester }
    }
}

/// The wait for a request body. Meanwhile the connection can be evicted like an idle connection: no request is processed before
/// its body is complete.
pub(super) struct BodyWait {
    limit: ConnectionLimit,
    id: u64,
    since: Instant,
    is_waiting: bool,
    /// The requester. Known here, because a body is read only after authentication.
    requester: Requester,
}

impl BodyWait {
    /// Marks the connection as waiting for more of the body.
    pub(super) fn wait(&mut self) {
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.limit.mark_waiting(self.id, self.since, &self.requester);
        }
    }

    /// Ends the wait. Returns false if the connection was evicted; the request must then not be processed.
    pub(super) fn resume(&mut self) -> bool {
        !std::mem::take(&mut self.is_waiting) || self.limit.mark_busy(self.id)
    }
}

/// Marks a request as in progress until it is dropped.
pub(super) struct RequestGuard {
    limit: ConnectionLimit,
    id: u64,
    requester: Requester,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.limit.mark_waiting(self.id, Instant::now(), &self.requester);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        lock(&self.limit.0.connections).by_id.remove(&self.id);
        self.limit.0.freed.notify_one();
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

    fn requester(token: Option<&str>) -> Requester {
        let requester = Requester::default();
        if let Some(token) = token {
            let id = PrincipalId::Token(token.into());
            requester.set(Principal { id, name: token.into(), scopes: None });
        }
        requester
    }

    fn begin(permit: &ConnectionPermit) -> Option<RequestGuard> {
        permit.begin_request(requester(None))
    }

    fn body_wait(permit: &ConnectionPermit) -> BodyWait {
        permit.body_wait(requester(None))
    }

    /// Answers a request with this token, or without a token.
    fn answer(permit: &ConnectionPermit, token: Option<&str>) {
        drop(permit.begin_request(requester(token)).unwrap());
    }

    /// Opens connections from network 1, each of which authenticates with this token.
    async fn authenticated(limit: &ConnectionLimit, count: usize, token: &str) -> Vec<ConnectionPermit> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let permit = limit.acquire(network(1)).await;
            answer(&permit, Some(token));
            taken.push(permit);
        }
        taken
    }

    fn evicted(taken: &[ConnectionPermit]) -> usize {
        taken.iter().filter(|permit| permit.evicted.cancelled().now_or_never().is_some()).count()
    }

    #[tokio::test]
    async fn authenticated_connections_are_evicted_last() {
        let limit = ConnectionLimit::default();
        // Many connections of one network that have waited longest.
        let good = authenticated(&limit, 300, "a").await;
        let mut others = Vec::new();
        for _ in 300..MAX_API_CONNECTIONS + 500 {
            others.push(limit.acquire(network(2)).await);
        }
        assert_eq!((evicted(&good), evicted(&others)), (0, 500));
    }

    #[tokio::test]
    async fn slow_body_of_an_authenticated_client_is_evicted_last() {
        let limit = ConnectionLimit::default();
        let good = limit.acquire(network(1)).await;
        let busy = good.begin_request(requester(Some("a")));
        let mut slow = good.body_wait(requester(Some("a")));
        slow.wait();
        let mut others = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            others.push(limit.acquire(network(2)).await);
        }
        assert!(slow.resume() && evicted(&others) == 1);
        drop(busy);
    }

    #[tokio::test]
    async fn authenticated_clients_leave_permits_to_new_ones() {
        let limit = ConnectionLimit::default();
        let good = authenticated(&limit, MAX_API_CONNECTIONS, "a").await;
        let spare = MAX_API_CONNECTIONS - MAX_API_PROVEN_CONNECTIONS;
        let mut others = Vec::new();
        for _ in 0..spare + 10 {
            others.push(limit.acquire(network(2)).await);
        }
        assert_eq!((evicted(&good), evicted(&others)), (spare, 10));
    }

    #[tokio::test]
    async fn credential_with_most_connections_loses_connections() {
        let limit = ConnectionLimit::default();
        let few = authenticated(&limit, 2, "b").await;
        let many = authenticated(&limit, MAX_API_CONNECTIONS - 2, "a").await;
        // Each new connection authenticates with a third token.
        let third = authenticated(&limit, 200, "c").await;
        assert_eq!((evicted(&few), evicted(&many), evicted(&third)), (0, 200, 0));
    }

    #[tokio::test]
    async fn connection_counts_against_the_sender_of_its_last_request() {
        let limit = ConnectionLimit::default();
        let permit = limit.acquire(network(1)).await;
        let holders = || {
            let connections = lock(&limit.0.connections);
            connections.by_id.values().map(|connection| connection.holder.clone()).collect::<Vec<_>>()
        };
        for token in [None, Some("a"), Some("a"), Some("b"), None] {
            answer(&permit, token);
            let expected = token.map(|token| PrincipalId::Token(token.into()));
            let expected = expected.map_or(Holder::Network(network(1)), Holder::Principal);
            assert_eq!(holders(), [expected]);
        }
        answer(&permit, Some("a"));
        drop(permit);
        assert_eq!(holders(), []);
    }

    #[tokio::test]
    async fn network_with_most_connections_loses_connections() {
        let limit = ConnectionLimit::default();
        let mut taken = vec![limit.acquire(network(2)).await, limit.acquire(network(3)).await];
        for _ in 2..MAX_API_CONNECTIONS {
            taken.push(limit.acquire(network(1)).await);
        }
        let more: Vec<_> = [limit.acquire(network(1)).await, limit.acquire(network(4)).await].into();
        let evicted = |permit: &ConnectionPermit| permit.evicted.cancelled().now_or_never().is_some();
        assert!(evicted(&taken[2]) && evicted(&taken[3]), "its oldest connections");
        let others = taken[..2].iter().chain(&taken[4..]).chain(&more);
        assert!(others.into_iter().all(|permit| !evicted(permit)));
        let of_network_1 = |connection: &&Connection| connection.holder == Holder::Network(network(1));
        let open = lock(&limit.0.connections).by_id.values().filter(of_network_1).count();
        assert_eq!(open, MAX_API_CONNECTIONS - 3);
        drop((taken, more));
        assert!(lock(&limit.0.connections).by_id.is_empty(), "a closed connection is not counted");
    }

    #[tokio::test]
    async fn longest_waiting_connection_is_evicted_and_a_busy_one_is_not() {
        let limit = ConnectionLimit::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            taken.push(limit.acquire(network(1)).await);
        }
        let served = begin(&taken[0]);
        let new = limit.acquire(network(1)).await;
        assert!(taken[0].evicted.cancelled().now_or_never().is_none(), "its request is in progress");
        assert!(taken[1].evicted.cancelled().now_or_never().is_some(), "it has waited longest");
        assert!(served.is_some() && begin(&taken[1]).is_none(), "an evicted connection begins no request");
        drop((served, new));
    }

    #[tokio::test]
    async fn connection_that_waits_for_a_body_is_evicted() {
        let limit = ConnectionLimit::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            taken.push(limit.acquire(network(1)).await);
        }
        let served: Vec<_> = taken.iter().map(begin).collect();
        let (mut slow, mut quick) = (body_wait(&taken[7]), body_wait(&taken[8]));
        slow.wait();
        quick.wait();
        assert!(quick.resume(), "its body arrived in time");
        let new = limit.acquire(network(1)).now_or_never();
        assert!(new.is_some() && taken[7].evicted.cancelled().now_or_never().is_some() && !slow.resume());
        drop((served, new));
    }

    #[tokio::test]
    async fn new_connection_waits_while_all_are_busy() {
        let limit = ConnectionLimit::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_API_CONNECTIONS {
            taken.push(limit.acquire(network(1)).await);
        }
        let mut served: Vec<_> = taken.iter().map(begin).collect();
        assert!(limit.acquire(network(1)).now_or_never().is_none());
        assert!(served.iter().all(Option::is_some));
        drop(served.pop());
        assert!(limit.acquire(network(1)).now_or_never().is_some());
    }
}
