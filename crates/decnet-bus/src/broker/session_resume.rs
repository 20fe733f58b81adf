//! Sessions of lossless readers that disconnect and reconnect.
//!
//! When a lossless reader disconnects, its session is *detached*: its slot in the hub and its patterns remain, and
//! matching events are queued behind those that it had not received. A connection that then sends `HELLO` with exactly
//! the same name is its *successor*, if it has not subscribed before. In one step it takes over the queue and the
//! patterns. It gets the retained events in order, before anything new, and then all events that the inherited patterns match.
//! So nothing is missed between its `HELLO` and its `SUB`s, and no event arrives twice.
//!
//! A `SUB` confirms an inherited pattern or adds another one, an `UNSUB` removes one. The successor's first `PUB` shows
//! that it has subscribed to everything it wants, so unconfirmed patterns are then dropped. For a successor that never
//! publishes they are dropped after the retention time. Until then it may get more than it subscribed to, never less.
//!
//! - Several detached sessions of one name: the oldest is resumed first, each by one successor.
//! - A predecessor whose socket is hung up but which is not detached yet: the successor's `HELLO` waits for that.
//! - A predecessor that is connected: the newcomer is another reader and inherits nothing.
//! - The number of sessions is bounded, including detached ones; a newcomer replaces the session that has been detached longest.
//! - Only users that the bus trusts or that its settings name have sessions; other users get ordinary queues. A session of one
//!   user is resumed only by that user and by trusted users.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use bytes::Bytes;
use decnet_core::limits::{LOSSLESS_SOCKET_BYTES, MAX_LOSSLESS_CONNECTIONS, RESERVED_LOSSLESS_CONNECTIONS};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_send_buffer_size, socket_send_buffer_size};
use tokio::sync::futures::OwnedNotified;

use super::hub::{State, Turn};
use super::lossless::{Lossless, is_lossless};
use super::peer::Peer;
use super::queue::Bound;
use super::routes::Slot;

/// The session of a connection.
#[derive(Debug)]
pub(super) enum ReaderSession {
    Ordinary,
    Lossless(Attached),
    /// The client of a lossless reader has disconnected.
    Detached {
        name: Box<str>,
        since: Instant,
    },
}

/// A connected lossless reader.
#[derive(Debug)]
pub(super) struct Attached {
    name: Box<str>,
    /// A duplicate of the socket, to check whether the client is still connected; `None` if no descriptor was free.
    socket: Option<OwnedFd>,
}

impl ReaderSession {
    pub(super) fn is_detached(&self) -> bool {
        matches!(self, Self::Detached { .. })
    }

    fn detached_name(&self) -> Option<(&str, Instant)> {
        if let Self::Detached { name, since } = self { Some((name, *since)) } else { None }
    }
}

impl Attached {
    fn is_hung_up(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut fds = [PollFd::new(socket, PollFlags::RDHUP)];
        let polled = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        polled.is_ok() && fds[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP)
    }
}

impl State {
    /// Handles a client's `HELLO`. Returns the notification that it has to await, if its predecessor is just disconnecting.
    pub(super) fn handle_hello(&mut self, from: Slot, name: &str, turn: &Turn<'_>) -> Option<OwnedNotified> {
        let claims_lossless = is_lossless(name);
        self.reader_mut(from).claims_lossless = claims_lossless;
        if !claims_lossless {
            self.make_ordinary(from, name, None);
            self.widened.remove(&from);
            return None;
        }
        let peer = self.reader_mut(from).peer;
        if !peer.may_be_lossless {
            let Peer { uid, .. } = peer;
            let why =
                format!("user {uid} may not have a lossless queue; name it in DECNET_BUS_LOSSLESS_USERS");
            self.deny(from, name, why);
            return None;
        }
        if matches!(&self.reader_mut(from).session, ReaderSession::Lossless(attached) if *attached.name == *name)
        {
            return None;
        }
        if !turn.must_not_wait
            && let Some(detached) = self.pending_detach(from, name)
        {
            return Some(detached);
        }
        self.grant(from, name, turn.socket);
        None
    }

    /// Returns a future that resolves when a hung-up reader of that name is detached.
    fn pending_detach(&self, from: Slot, name: &str) -> Option<OwnedNotified> {
        let mut others = self.iter_readers().filter(|(slot, _)| *slot != from).map(|(_, reader)| reader);
        let leaving = others.find(|reader| match &reader.session {
            ReaderSession::Lossless(attached) => *attached.name == *name && attached.is_hung_up(),
            ReaderSession::Ordinary | ReaderSession::Detached { .. } => false,
        });
        leaving.map(|reader| reader.outbound.changed())
    }

    /// Makes a reader lossless, and the successor of a detached session, if any.
    fn grant(&mut self, from: Slot, name: &str, socket: BorrowedFd<'_>) {
        let reader = self.reader_mut(from);
        let (is_new, peer) = (!std::mem::replace(&mut reader.has_begun, true), reader.peer);
        let is_predecessor = |of: &str, owner: Peer| of == name && peer.may_succeed(owner);
        let predecessor = if is_new { self.oldest_detached(is_predecessor) } else { None };
        if predecessor.is_none() && !self.has_capacity(from, peer) {
            let why = format!("all {MAX_LOSSLESS_CONNECTIONS} lossless queues are taken");
            return self.deny(from, name, why);
        }
        let Lossless { bytes: max_bytes, pause, .. } = self.lossless;
        let bound = Bound::Lossless { max_bytes, pause, in_socket: shrink_send_buffer(socket) };
        let reader = self.reader_mut(from);
        reader.outbound.rename(name, bound, None);
        let socket = socket.try_clone_to_owned().ok();
        reader.session = ReaderSession::Lossless(Attached { name: name.into(), socket });
        if let Some(predecessor) = predecessor {
            self.resume(from, predecessor);
        }
    }

    /// Gives a reader an ordinary queue although its name requests a lossless queue. A repeated claim is logged once.
    fn deny(&mut self, from: Slot, name: &str, why: String) {
        let why: Box<str> = why.into();
        let is_logged = self.reader_mut(from).outbound.queue().refused() == Some(&*why);
        if !is_logged {
            tracing::warn!(reader = name, %why, "refused a lossless queue to a bus reader; it gets an ordinary queue");
        }
        self.make_ordinary(from, name, Some(why));
    }

    fn make_ordinary(&mut self, slot: Slot, name: &str, refused: Option<Box<str>>) {
        let reader = self.reader_mut(slot);
        reader.session = ReaderSession::Ordinary;
        reader.outbound.rename(name, Bound::Ordinary, refused);
    }

    /// Returns whether one more lossless reader is possible, after expiring a detached session if necessary. Users who are
    /// not trusted leave a reserve for trusted users, and expire only their own sessions.
    fn has_capacity(&mut self, from: Slot, peer: Peer) -> bool {
        let others = self.iter_readers().filter(|(slot, _)| *slot != from).map(|(_, reader)| reader);
        let taken: Vec<Peer> = others
            .filter(|reader| !matches!(reader.session, ReaderSession::Ordinary))
            .map(|reader| reader.peer)
            .collect();
        let taken_by_others = taken.iter().filter(|of| !of.is_trusted).count();
        let has_share =
            peer.is_trusted || taken_by_others < MAX_LOSSLESS_CONNECTIONS - RESERVED_LOSSLESS_CONNECTIONS;
        if has_share && taken.len() < MAX_LOSSLESS_CONNECTIONS {
            return true;
        }
        let oldest = self.oldest_detached(|_, owner| peer.may_succeed(owner));
        oldest.into_iter().for_each(|slot| self.expire(slot));
        oldest.is_some()
    }

    fn oldest_detached(&self, is_candidate: impl Fn(&str, Peer) -> bool) -> Option<Slot> {
        let detached = self.iter_readers().filter_map(|(slot, reader)| {
            let (name, since) = reader.session.detached_name()?;
            is_candidate(name, reader.peer).then_some((since, slot))
        });
        detached.min().map(|(_, slot)| slot)
    }

    fn resume(&mut self, successor: Slot, from: Slot) {
        let events_after_change = self.take_pending_change(from);
        let predecessor = self.reader_mut(from);
        let kept = predecessor.outbound.clear();
        let name = predecessor.outbound.reader();
        let away = predecessor.session.detached_name().map(|(_, since)| since.elapsed());
        predecessor.session = ReaderSession::Ordinary;
        tracing::info!(reader = %name, events = kept.len(), ?away, "a lossless bus reader reconnected and gets the events kept for it");
        let peer = self.reader_mut(successor).peer;
        self.routes.transfer(from, successor, peer);
        let reader = self.reader_mut(successor);
        reader.inherited_at = Some(Instant::now());
        let events = kept.len();
        reader.outbound.add(|queue| queue.inherit(kept));
        if let Some(events_after) = events_after_change {
            self.widen_successor(successor, events_after, events);
        }
    }

    /// Drops the unconfirmed patterns of successors whose retention time is over.
    pub(super) fn expire_inherited_patterns(&mut self) {
        let window = self.lossless.retention;
        let is_due = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() >= window);
        let due: Vec<Slot> = self
            .iter_readers()
            .filter(|(_, reader)| is_due(&reader.inherited_at))
            .map(|(slot, _)| slot)
            .collect();
        due.into_iter().for_each(|slot| self.drop_unconfirmed_patterns(slot));
    }

    /// Drops the inherited patterns that were not confirmed.
    pub(super) fn drop_unconfirmed_patterns(&mut self, slot: Slot) {
        if self.reader_mut(slot).inherited_at.take().is_some() {
            self.routes.drop_inherited(slot);
            self.narrow_unless_subscribed(slot);
        }
    }

    /// Detaches the session of a lossless reader, with the frames that it has not received. Returns `None` if there is
    /// nothing to retain; otherwise a future that resolves when a successor resumes the session or it is replaced.
    pub(super) fn detach(&mut self, slot: Slot, unread: VecDeque<Bytes>) -> Option<OwnedNotified> {
        let has_patterns = self.routes.has_patterns(slot);
        let reader = self.reader_mut(slot);
        let ReaderSession::Lossless(Attached { name, .. }) = &reader.session else { return None };
        reader.session = ReaderSession::Detached { name: name.clone(), since: Instant::now() };
        reader.outbound.abandon();
        reader.outbound.add(|queue| queue.prepend(unread));
        let has_state = has_patterns || reader.outbound.queue().len() > 0;
        has_state.then(|| reader.outbound.changed())
    }

    /// Discards a detached session.
    pub(super) fn expire(&mut self, slot: Slot) {
        let reader = self.reader_mut(slot);
        if !reader.session.is_detached() {
            return;
        }
        (reader.session, reader.claims_lossless) = (ReaderSession::Ordinary, false);
        self.widened.remove(&slot);
        let reader = self.reader_mut(slot);
        let (events, name) = (reader.outbound.clear().len(), reader.outbound.reader());
        if events > 0 {
            self.counters.lossless.add(u64::try_from(events).unwrap_or(u64::MAX));
            tracing::warn!(reader = %name, events, "a lossless bus reader did not reconnect in time; dropped the events kept for it");
        } else {
            tracing::info!(reader = %name, "a lossless bus reader did not reconnect in time; no events were kept for it");
        }
    }
}

/// Shrinks the socket's send buffer. Returns how many bytes it may hold.
///
/// Events that a killed reader has not read are lost, so the buffer must be small. The kernel doubles the requested
/// size, counts its own overhead, and lets the last write exceed it by at most half of it (`unix_stream_sendmsg`).
fn shrink_send_buffer(socket: BorrowedFd<'_>) -> usize {
    let shrunk = set_socket_send_buffer_size(socket, LOSSLESS_SOCKET_BYTES);
    let size = shrunk.and_then(|()| socket_send_buffer_size(socket)).unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot set or read the send buffer size of a bus socket");
        2 * LOSSLESS_SOCKET_BYTES
    });
    2 * size
}
