//! Lossless readers that come, go and come back.
//!
//! One that goes is *remembered*: its seat in the hub stays, its patterns go on matching, and what matches
//! gathers in its queue behind what it had not had. A connection that then greets with the very same name is
//! its heir, if it has asked for nothing before: with that `HELLO`, in one step, queue and patterns become its
//! own. It gets what was kept, in order, before anything new, and whatever its predecessor's patterns match
//! from then on; so nothing falls between its `HELLO` and its `SUB`s, and no event comes twice.
//!
//! A `SUB` confirms an inherited pattern or adds another one, an `UNSUB` ends one. With its first `PUB` the
//! heir has asked for all it wants, and what it inherited and did not confirm ends; for one that never
//! publishes, when it has been there for as long as it would have been remembered. Until then an heir with
//! other patterns gets more than it asked for, never less.
//!
//! - Several of one name: the one that has been away longest bequeaths first, each to one heir.
//! - One whose socket is hung up but whose end is not yet dealt with: its heir's `HELLO` waits for that.
//! - One that is alive: the newcomer is another reader beside it and inherits nothing.
//! - Places are bounded, the remembered ones included; a newcomer takes the place of the one away longest.
//! - All of it is for the users that the bus trusts or was told of; the others get ordinary queues. What was kept for one
//!   user is inherited by that user and by trusted ones only.

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

/// What a connection is to the bus.
#[derive(Debug)]
pub(super) enum Standing {
    Ordinary,
    Lossless(Present),
    /// Its client has gone.
    Remembered {
        name: Box<str>,
        since: Instant,
    },
}

/// A lossless reader that is there.
#[derive(Debug)]
pub(super) struct Present {
    name: Box<str>,
    /// The same socket, to see whether the client still is there; `None` if the system gave no descriptor.
    line: Option<OwnedFd>,
}

impl Standing {
    pub(super) fn is_remembered(&self) -> bool {
        matches!(self, Self::Remembered { .. })
    }

    fn name_if_remembered(&self) -> Option<(&str, Instant)> {
        if let Self::Remembered { name, since } = self { Some((name, *since)) } else { None }
    }
}

impl Present {
    fn is_hung_up(&self) -> bool {
        let Some(line) = &self.line else { return false };
        let mut asked = [PollFd::new(line, PollFlags::RDHUP)];
        let answered = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        answered.is_ok() && asked[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP)
    }
}

impl State {
    /// Takes a client's name. What it has to wait for, if its predecessor is just going.
    pub(super) fn greet(&mut self, from: Slot, name: &str, turn: &Turn<'_>) -> Option<OwnedNotified> {
        let claims_lossless = is_lossless(name);
        self.reader_mut(from).claims_lossless = claims_lossless;
        if !claims_lossless {
            self.make_ordinary(from, name, None);
            self.widened.remove(from);
            return None;
        }
        let peer = self.reader_mut(from).peer;
        if !peer.may_be_lossless {
            self.deny(from, name, format!("user {} may not have a lossless queue at this bus", peer.uid));
            return None;
        }
        if matches!(&self.reader_mut(from).standing, Standing::Lossless(present) if *present.name == *name) {
            return None;
        }
        if !turn.insists
            && let Some(gone) = self.end_of_a_namesake(from, name)
        {
            return Some(gone);
        }
        self.grant(from, name, turn.line);
        None
    }

    /// Resolves when a reader of that name that is hung up has been dealt with.
    fn end_of_a_namesake(&self, from: Slot, name: &str) -> Option<OwnedNotified> {
        let mut others = self.seated().filter(|(slot, _)| *slot != from).map(|(_, reader)| reader);
        let going = others.find(|reader| match &reader.standing {
            Standing::Lossless(present) => *present.name == *name && present.is_hung_up(),
            Standing::Ordinary | Standing::Remembered { .. } => false,
        });
        going.map(|reader| reader.outbound.changed())
    }

    /// Makes a reader lossless, and the heir of one that it may inherit from.
    fn grant(&mut self, from: Slot, name: &str, line: BorrowedFd<'_>) {
        let reader = self.reader_mut(from);
        let (is_new, peer) = (!std::mem::replace(&mut reader.has_asked, true), reader.peer);
        let is_predecessor = |of: &str, remembered: Peer| of == name && peer.may_succeed(remembered);
        let predecessor = if is_new { self.longest_away(is_predecessor) } else { None };
        if predecessor.is_none() && !self.has_place(from, peer) {
            return self.deny(
                from,
                name,
                format!("all {MAX_LOSSLESS_CONNECTIONS} lossless queues are taken"),
            );
        }
        let Lossless { bytes: most, pause, .. } = self.lossless;
        let bound = Bound::Lossless { most, pause, in_socket: narrow(line) };
        let reader = self.reader_mut(from);
        reader.outbound.rename(name, bound, None);
        let line = line.try_clone_to_owned().ok();
        reader.standing = Standing::Lossless(Present { name: name.into(), line });
        if let Some(predecessor) = predecessor {
            self.inherit(from, predecessor);
        }
    }

    /// Gives a reader an ordinary queue although its name asks for more. A reader that repeats its claim is logged once.
    fn deny(&mut self, from: Slot, name: &str, why: String) {
        let why: Box<str> = why.into();
        let is_known = self.reader_mut(from).outbound.refused().as_ref() == Some(&why);
        if !is_known {
            tracing::warn!(reader = name, %why, "a bus reader gets an ordinary queue and not a lossless one");
        }
        self.make_ordinary(from, name, Some(why));
    }

    fn make_ordinary(&mut self, slot: Slot, name: &str, refused: Option<Box<str>>) {
        let reader = self.reader_mut(slot);
        reader.standing = Standing::Ordinary;
        reader.outbound.rename(name, Bound::Ordinary, refused);
    }

    /// Returns whether there is a place for one more lossless reader, or one that could be made free. Users who are not
    /// trusted leave some places to those who are, and free only places of their own.
    fn has_place(&mut self, from: Slot, peer: Peer) -> bool {
        let others = self.seated().filter(|(slot, _)| *slot != from).map(|(_, reader)| reader);
        let taken: Vec<Peer> = others
            .filter(|reader| !matches!(reader.standing, Standing::Ordinary))
            .map(|reader| reader.peer)
            .collect();
        let taken_by_others = taken.iter().filter(|of| !of.is_trusted).count();
        let has_share =
            peer.is_trusted || taken_by_others < MAX_LOSSLESS_CONNECTIONS - RESERVED_LOSSLESS_CONNECTIONS;
        if has_share && taken.len() < MAX_LOSSLESS_CONNECTIONS {
            return true;
        }
        let away = self.longest_away(|_, remembered| peer.may_succeed(remembered));
        away.into_iter().for_each(|slot| self.forget(slot));
        away.is_some()
    }

    fn longest_away(&self, is_meant: impl Fn(&str, Peer) -> bool) -> Option<Slot> {
        let remembered = self.seated().filter_map(|(slot, reader)| {
            let (name, since) = reader.standing.name_if_remembered()?;
            is_meant(name, reader.peer).then_some((since, slot))
        });
        remembered.min().map(|(_, slot)| slot)
    }

    fn inherit(&mut self, heir: Slot, from: Slot) {
        let outstanding = self.outstanding(from);
        let predecessor = self.reader_mut(from);
        let kept = predecessor.outbound.clear();
        let name = predecessor.outbound.reader();
        let away = predecessor.standing.name_if_remembered().map(|(_, since)| since.elapsed());
        predecessor.standing = Standing::Ordinary;
        tracing::info!(reader = %name, events = kept.len(), ?away, "a lossless bus reader is back and gets what was kept");
        let peer = self.reader_mut(heir).peer;
        self.routes.bequeath(from, heir, peer);
        let reader = self.reader_mut(heir);
        reader.inherited_at = Some(Instant::now());
        let events = kept.len();
        reader.outbound.inherit(kept);
        if let Some(outstanding) = outstanding {
            self.widen_heir(heir, outstanding, events);
        }
    }

    /// Ends what was inherited and not confirmed, where that is due.
    pub(super) fn give_up_old_inheritances(&mut self) {
        let window = self.lossless.remember;
        let is_due = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() >= window);
        let due: Vec<Slot> =
            self.seated().filter(|(_, reader)| is_due(&reader.inherited_at)).map(|(slot, _)| slot).collect();
        due.into_iter().for_each(|slot| self.has_asked_for_all(slot));
    }

    /// Ends what was inherited and not confirmed.
    pub(super) fn has_asked_for_all(&mut self, slot: Slot) {
        if self.reader_mut(slot).inherited_at.take().is_some() {
            self.routes.give_up_inherited(slot);
            self.narrow_unless_subscribed(slot);
        }
    }

    /// Remembers a lossless reader, if there is anything to remember, with what it has not had. Resolves when
    /// an heir has come, or its place was needed.
    pub(super) fn remember(&mut self, slot: Slot, unread: VecDeque<Bytes>) -> Option<OwnedNotified> {
        let has_patterns = self.routes.has_patterns(slot);
        let reader = self.reader_mut(slot);
        let Standing::Lossless(Present { name, .. }) = &reader.standing else { return None };
        reader.standing = Standing::Remembered { name: name.clone(), since: Instant::now() };
        reader.outbound.abandon();
        reader.outbound.prepend(unread);
        let has_anything = has_patterns || reader.outbound.len() > 0;
        has_anything.then(|| reader.outbound.changed())
    }

    /// Gives up a reader that has not come back.
    pub(super) fn forget(&mut self, slot: Slot) {
        let reader = self.reader_mut(slot);
        if !reader.standing.is_remembered() {
            return;
        }
        (reader.standing, reader.claims_lossless) = (Standing::Ordinary, false);
        self.widened.remove(slot);
        let reader = self.reader_mut(slot);
        let (events, name) = (reader.outbound.clear().len(), reader.outbound.reader());
        if events > 0 {
            self.tally.lossless.add(u64::try_from(events).unwrap_or(u64::MAX));
            tracing::warn!(reader = %name, events, "a lossless bus reader did not come back; what was kept for it is dropped");
        } else {
            tracing::info!(reader = %name, "a lossless bus reader did not come back; it missed nothing yet");
        }
    }
}

/// Makes the socket's buffer small, and says how many bytes it may have in it.
///
/// What a reader has not read when it is killed is lost, so it must not be much. The kernel doubles what it is
/// asked for, counts its own overhead too, and lets the last write go beyond it by at most half of it
/// (`unix_stream_sendmsg`).
fn narrow(line: BorrowedFd<'_>) -> usize {
    let narrowed = set_socket_send_buffer_size(line, LOSSLESS_SOCKET_BYTES);
    let size = narrowed.and_then(|()| socket_send_buffer_size(line)).unwrap_or_else(|error| {
        tracing::debug!(%error, "the size of a bus socket's buffer is not known");
        2 * LOSSLESS_SOCKET_BYTES
    });
    2 * size
}
