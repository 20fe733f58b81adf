//! The connections' shared state: delivers each published event to all other connections that subscribed to it.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use decnet_core::topic::system_topics::{APPLIED_TOPIC, BUS_HEALTH_TOPIC, CHANGED_TOPIC};
use tokio::sync::futures::OwnedNotified;

use super::counters::Counters;
use super::event_id::{EventIds, ID_BYTES};
use super::large_frames::LargeFrames;
use super::lossless::Lossless;
use super::outbound::Outbound;
use super::peer::Peer;
use super::routes::{Routes, Slot};
use super::session_resume::ReaderSession;
use super::timeouts::FrameTimeouts;
use super::violation::Violation;
use super::widening::Widened;
use crate::notice;
use crate::protocol::{EncodeError, Envelope, Frame, Publication, Verb, decode, encode_event};
use decnet_runtime::clock::now;
use decnet_runtime::log_throttle::LogThrottle;
use decnet_runtime::sync::lock;

/// All connections of one bus. One lock is taken once for many frames and never held across a wait.
#[derive(Debug)]
pub(super) struct Hub {
    state: Mutex<State>,
    pub(super) lossless: Lossless,
    pub(super) timeouts: FrameTimeouts,
    pub(super) counters: Arc<Counters>,
    pub(super) large_frames: LargeFrames,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) routes: Routes,
    pub(super) lossless: Lossless,
    pub(super) counters: Arc<Counters>,
    pub(super) widened: Widened,
    readers: Vec<Option<Reader>>,
    ids: EventIds,
    /// Reused buffers for each event: its recipients and its encoded frame.
    pub(super) recipients: Vec<Slot>,
    encoded: Vec<u8>,
    oversized: LogThrottle,
    /// The log throttle for events that clients published on the bus's own topic.
    spoofed: LogThrottle,
    violations: LogThrottle,
    pub(super) evicted: LogThrottle,
}

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) peer: Peer,
    pub(super) outbound: Arc<Outbound>,
    pub(super) session: ReaderSession,
    /// Whether the name requests a lossless queue, granted or not.
    pub(super) claims_lossless: bool,
    /// Whether the connection has subscribed or was made lossless. It can then no longer resume a session.
    pub(super) has_begun: bool,
    /// The time at which the connection resumed a session, until it has confirmed the patterns that it wants.
    pub(super) inherited_at: Option<Instant>,
}

/// A connection's membership of the hub; ends on drop.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) hub: Arc<Hub>,
    slot: Slot,
    pub(super) peer: Peer,
    pub(super) outbound: Arc<Outbound>,
}

/// The limits for handling a connection's frames in one turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn<'a> {
    /// The maximum number of frames, at least one.
    pub(super) max_frames: usize,
    /// Whether the first frame has waited for the maximum time.
    pub(super) must_not_wait: bool,
    /// The connection's socket.
    pub(super) socket: BorrowedFd<'a>,
}

/// The result of handling a connection's frames.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The number of bytes of the handled frames.
    pub(super) consumed: usize,
    /// The number of handled frames.
    pub(super) frames: usize,
    /// The `BYE`, if the client sent one.
    pub(super) goodbye: Option<Goodbye>,
    /// The notification for which the next frame has to wait, if any.
    pub(super) wait: Option<OwnedNotified>,
}

/// A client's `BYE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goodbye {
    /// The number of events and notices that the client has received on this connection, if it reports it.
    pub(super) received: Option<u64>,
}

impl Hub {
    pub(super) fn new(lossless: Lossless, timeouts: FrameTimeouts) -> Self {
        let counters = Arc::<Counters>::default();
        let state = State { lossless, counters: Arc::clone(&counters), ..State::default() };
        Self { state: Mutex::new(state), lossless, timeouts, counters, large_frames: LargeFrames::new() }
    }

    pub(super) fn join(self: &Arc<Self>, peer: Peer) -> Member {
        let outbound = Arc::new(Outbound::new(Arc::clone(&self.counters)));
        let slot = self.lock().insert(Reader::new(peer, Arc::clone(&outbound)));
        Member { hub: Arc::clone(self), slot, peer, outbound }
    }

    /// Publishes an event of the bus itself. Does not wait for readers, and keeps nothing for disconnected readers: an old
    /// heartbeat is of no use to a successor. `kind` and `payload` are JSON.
    pub(super) fn publish_own(&self, topic: &str, kind: &str, payload: &str) {
        let mut state = self.lock();
        state.expire_inherited_patterns();
        if let Some(frame) = state.prepare(None, topic, &Publication { payload, kind }) {
            let connected = state.recipients().filter(|reader| !reader.session.is_detached());
            connected.for_each(|reader| reader.outbound.add(|queue| queue.push_own(frame.clone())));
            state.relieve_memory();
        }
    }

    /// Waits until the lock can be acquired, as a check of liveness.
    pub(super) fn await_lock(&self) {
        drop(self.lock());
    }

    /// Locks the state. Ignores poisoning: every change leaves the state consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Member {
    /// Handles the frames at the start of `bytes`, within the limits of `turn`.
    pub(super) fn handle_frames(&self, bytes: &[u8], turn: Turn<'_>) -> Result<Progress, Violation> {
        let mut progress = Progress::default();
        let mut state = self.hub.lock();
        while progress.frames < turn.max_frames && progress.goodbye.is_none() {
            let Some((frame, len)) = decode(&bytes[progress.consumed..])? else { break };
            let must_not_wait = turn.must_not_wait && progress.frames == 0;
            progress.wait = state.handle_frame(self.slot, &frame, &Turn { must_not_wait, ..turn })?;
            if progress.wait.is_some() {
                break;
            }
            progress.consumed += len;
            progress.frames += 1;
            let is_bye = frame.verb == Verb::Bye;
            progress.goodbye = is_bye.then(|| Goodbye { received: frame.args.parse().ok() });
        }
        Ok(progress)
    }

    /// Handles the end of the connection; `unread` are the frames that the client has not received. The session of a
    /// lossless reader is retained: until the returned future resolves, or [`Self::expire`].
    pub(super) fn leave(&self, unread: VecDeque<Bytes>) -> Option<OwnedNotified> {
        self.hub.lock().detach(self.slot, unread)
    }

    /// Discards the session of a client that did not reconnect in time.
    pub(super) fn expire(&self) {
        self.hub.lock().expire(self.slot);
    }

    /// Logs why the connection is closed, at a limited rate.
    pub(super) fn log_violation(&self, violation: &Violation) {
        let times = self.hub.lock().violations.record(Instant::now());
        let (uid, reader) = (self.peer.uid, self.outbound.reader());
        match times {
            Some(times) => {
                tracing::warn!(%violation, uid, ?reader, times, "the bus closed a connection that broke the protocol");
            }
            None => {
                tracing::debug!(%violation, uid, ?reader, "the bus closed a connection that broke the protocol");
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.routes.close(self.slot);
        state.widened.remove(&self.slot);
        state.readers[self.slot as usize] = None;
    }
}

impl Reader {
    fn new(peer: Peer, outbound: Arc<Outbound>) -> Self {
        let session = ReaderSession::Ordinary;
        Self { peer, outbound, session, claims_lossless: false, has_begun: false, inherited_at: None }
    }
}

impl State {
    fn insert(&mut self, reader: Reader) -> Slot {
        let slot = self.readers.iter().position(Option::is_none).unwrap_or(self.readers.len());
        if slot == self.readers.len() {
            self.readers.push(None);
        }
        self.readers[slot] = Some(reader);
        Slot::try_from(slot).expect("the number of connections is bounded")
    }

    /// Handles a frame. If it has to wait, changes nothing and returns the notification to wait for.
    fn handle_frame(
        &mut self,
        from: Slot,
        frame: &Frame<'_>,
        turn: &Turn<'_>,
    ) -> Result<Option<OwnedNotified>, Violation> {
        match frame.verb {
            Verb::Hello => {
                if notice::requests_notices(frame.body) {
                    self.reader_mut(from).outbound.queue().enable_notices();
                }
                return Ok(self.handle_hello(from, frame.args, turn));
            }
            Verb::Unsub => {
                self.routes.unsubscribe(from, frame.args);
                self.narrow_unless_subscribed(from);
            }
            Verb::Bye => {}
            Verb::Evt => return Err(Violation::Event),
            Verb::Sub | Verb::Pub if frame.args.is_empty() => return Err(Violation::NoArgument(frame.verb)),
            Verb::Sub => {
                let reader = self.reader_mut(from);
                reader.has_begun = true;
                let peer = reader.peer;
                self.routes.subscribe(from, peer, frame.args)?;
                self.widen_on_subscribe(from, frame.args);
            }
            // A client that could publish this topic could report losses that did not happen.
            Verb::Pub if frame.args == BUS_HEALTH_TOPIC => self.log_spoofed(from),
            Verb::Pub => {
                let event = Publication::parse(frame.body)?;
                self.drop_unconfirmed_patterns(from);
                if frame.args == APPLIED_TOPIC && self.handle_report(from, event.payload) {
                    return Ok(None);
                }
                return Ok(self.publish(from, frame.args, &event, turn.must_not_wait));
            }
        }
        Ok(None)
    }

    /// Delivers an event to all recipients. If one of them is full, delivers it to no recipient and returns the notification to
    /// wait for.
    fn publish(
        &mut self,
        from: Slot,
        topic: &str,
        event: &Publication<'_>,
        must_not_wait: bool,
    ) -> Option<OwnedNotified> {
        let frame = self.prepare(Some(from), topic, event)?;
        let lossless =
            || self.recipients().filter(|reader| !matches!(reader.session, ReaderSession::Ordinary));
        if !must_not_wait
            && let Some(room) =
                lossless().find_map(|reader| reader.outbound.wait_for_room(&frame, Instant::now()))
        {
            return Some(room);
        }
        self.recipients().for_each(|reader| reader.outbound.add(|queue| queue.push(frame.clone())));
        if topic == CHANGED_TOPIC {
            self.widen_recipients();
        }
        self.relieve_memory();
        None
    }

    /// Finds the recipients of an event and encodes it. Returns `None` if there are none.
    fn prepare(&mut self, from: Option<Slot>, topic: &str, event: &Publication<'_>) -> Option<Bytes> {
        self.routes.route(topic, &mut self.recipients);
        for slot in self.widened.keys() {
            if !self.recipients.contains(slot) {
                self.recipients.push(*slot);
            }
        }
        self.recipients.retain(|slot| Some(*slot) != from);
        if self.recipients.is_empty() {
            return None;
        }
        self.encode(topic, event).map_err(|error| self.log_oversized(topic, &error)).ok()
    }

    fn recipients(&self) -> impl Iterator<Item = &Reader> {
        self.recipients.iter().filter_map(|slot| self.readers.get(*slot as usize)?.as_ref())
    }

    pub(super) fn iter_readers(&self) -> impl Iterator<Item = (Slot, &Reader)> {
        (0..).zip(&self.readers).filter_map(|(slot, reader)| Some((slot, reader.as_ref()?)))
    }

    pub(super) fn reader_mut(&mut self, slot: Slot) -> &mut Reader {
        self.readers[slot as usize].as_mut().expect("a slot is released only by its own connection")
    }

    /// Copies the frame into a buffer of its own, so that a slow reader holds no more memory than is counted.
    fn encode(&mut self, topic: &str, event: &Publication<'_>) -> Result<Bytes, EncodeError> {
        let mut digits = [0; ID_BYTES];
        let envelope = Envelope {
            id: self.ids.next(&mut digits),
            micros: u64::try_from(now().0).unwrap_or_default(),
            kind: event.kind,
            payload: event.payload,
        };
        self.encoded.clear();
        encode_event(&mut self.encoded, topic, &envelope)?;
        Ok(Bytes::copy_from_slice(&self.encoded))
    }

    fn log_spoofed(&mut self, from: Slot) {
        if let Some(times) = self.spoofed.record(Instant::now()) {
            let Reader { peer, outbound, .. } = self.reader_mut(from);
            let (uid, reader) = (peer.uid, outbound.reader());
            tracing::warn!(
                uid,
                ?reader,
                times,
                "the bus dropped a client's event on {BUS_HEALTH_TOPIC}, which is its own"
            );
        }
    }

    fn log_oversized(&mut self, topic: &str, error: &EncodeError) {
        if let Some(times) = self.oversized.record(Instant::now()) {
            tracing::warn!(%error, ?topic, times, "the bus dropped an event that does not fit a frame");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn state() -> State {
        State::default()
    }

    pub(in super::super) fn reader(state: &mut State, peer: Peer) -> Slot {
        let outbound = Arc::new(Outbound::new(Arc::clone(&state.counters)));
        state.insert(Reader::new(peer, outbound))
    }
}
