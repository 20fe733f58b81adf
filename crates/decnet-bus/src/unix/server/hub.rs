//! Where the connections meet: an event that one publishes goes to all others that asked for it.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use decnet_core::topic::own::{APPLIED_TOPIC, BUS_HEALTH_TOPIC, CHANGED_TOPIC};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::futures::OwnedNotified;

use super::event_id::{EventIds, ID_BYTES};
use super::freshness::Widened;
use super::large_frames::LargeFrames;
use super::lossless::Lossless;
use super::outbound::Outbound;
use super::peer::Peer;
use super::routes::{Routes, Slot};
use super::since_epoch;
use super::succession::Standing;
use super::tally::Tally;
use super::timeouts::FrameTimeouts;
use super::violation::Violation;
use crate::losses::Losses;
use crate::notice;
use crate::said::Said;
use crate::unix::codec::{EncodeError, Envelope, Frame, Publication, Verb, decode, encode_event};

/// All connections of one bus. One lock, taken once for many frames; nobody waits while it is held.
#[derive(Debug)]
pub(super) struct Hub {
    state: Mutex<State>,
    lossless: Lossless,
    timeouts: FrameTimeouts,
    tally: Arc<Tally>,
    large_frames: LargeFrames,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) routes: Routes,
    pub(super) lossless: Lossless,
    pub(super) tally: Arc<Tally>,
    pub(super) widened: Widened,
    readers: Vec<Option<Reader>>,
    ids: EventIds,
    /// Buffers that are reused from event to event.
    pub(super) found: Vec<Slot>,
    encoded: Vec<u8>,
    unsendable: Said,
    /// Events in the bus's own name that a client published.
    forged: Said,
    violations: Said,
    pub(super) evicted: Said,
}

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) peer: Peer,
    pub(super) outbound: Arc<Outbound>,
    pub(super) standing: Standing,
    /// Whether its name asks for a lossless queue, granted or not.
    pub(super) claims_lossless: bool,
    /// It has subscribed to something, or was given a lossless reader's standing: too late to inherit.
    pub(super) has_asked: bool,
    /// It has patterns of a predecessor and may not have asked for all of its own yet.
    pub(super) inherited_at: Option<Instant>,
}

/// A connection's place in the hub, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Member {
    hub: Arc<Hub>,
    slot: Slot,
    peer: Peer,
    outbound: Arc<Outbound>,
}

/// What a connection's frames may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn<'a> {
    /// Most frames to obey, at least one.
    pub(super) most: usize,
    /// The first frame has waited for as long as it may.
    pub(super) insists: bool,
    /// The connection's socket.
    pub(super) line: BorrowedFd<'a>,
}

/// How a connection's frames went.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes of the frames that were obeyed.
    pub(super) used: usize,
    /// How many they were.
    pub(super) frames: usize,
    /// The client said that it is going.
    pub(super) goodbye: Option<Goodbye>,
    /// The next frame can be obeyed when this resolves.
    pub(super) wait: Option<OwnedNotified>,
}

/// A `BYE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goodbye {
    /// How many events the client has had on this connection, if it says so.
    pub(super) had: Option<u64>,
}

impl Hub {
    pub(super) fn new(lossless: Lossless, timeouts: FrameTimeouts) -> Self {
        let tally = Arc::<Tally>::default();
        let state = State::new(lossless, Arc::clone(&tally));
        Self { state: Mutex::new(state), lossless, timeouts, tally, large_frames: LargeFrames::new() }
    }

    pub(super) fn lossless(&self) -> Lossless {
        self.lossless
    }

    /// What was lost since the bus started.
    pub(super) fn losses(&self) -> Losses {
        self.tally.read()
    }

    pub(super) fn timeouts(&self) -> FrameTimeouts {
        self.timeouts
    }

    /// Waits for room to read a large frame.
    pub(super) async fn large_frame(&self, peer: Peer) -> Option<OwnedSemaphorePermit> {
        self.large_frames.room(peer).await
    }

    pub(super) fn join(self: &Arc<Self>, peer: Peer) -> Member {
        let outbound = Arc::new(Outbound::new(Arc::clone(&self.tally)));
        let slot = self.lock().seat(Reader {
            peer,
            outbound: Arc::clone(&outbound),
            standing: Standing::Ordinary,
            claims_lossless: false,
            has_asked: false,
            inherited_at: None,
        });
        Member { hub: Arc::clone(self), slot, peer, outbound }
    }

    /// Publishes an event of the bus itself, which waits for nobody, and is kept for nobody who is away: what it says of
    /// then is of no use to a successor, and nothing that was lost. `kind` and `payload` are JSON.
    pub(super) fn publish_own(&self, topic: &str, kind: &str, payload: &str) {
        let mut state = self.lock();
        state.give_up_old_inheritances();
        if let Some(frame) = state.address(None, topic, &Publication { payload, kind }) {
            let there = state.addressees().filter(|reader| !reader.standing.is_remembered());
            there.for_each(|reader| reader.outbound.push_own(frame.clone()));
            state.relieve();
        }
    }

    /// Waits until the state can be had, and leaves it as it is.
    pub(super) fn reach(&self) {
        drop(self.lock());
    }

    /// Every change below leaves the state fit for use, so a panic of another thread changes nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(super) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Obeys the frames at the start of `bytes`, as many as it is their turn to be.
    pub(super) fn obey(&self, bytes: &[u8], turn: Turn<'_>) -> Result<Progress, Violation> {
        let mut progress = Progress::default();
        let mut state = self.hub.lock();
        while progress.frames < turn.most && progress.goodbye.is_none() {
            let Some((frame, len)) = decode(&bytes[progress.used..])? else { break };
            let insists = turn.insists && progress.frames == 0;
            progress.wait = state.obey(self.slot, &frame, &Turn { insists, ..turn })?;
            if progress.wait.is_some() {
                break;
            }
            progress.used += len;
            progress.frames += 1;
            let is_bye = frame.verb == Verb::Bye;
            progress.goodbye = is_bye.then(|| Goodbye { had: frame.args.parse().ok() });
        }
        Ok(progress)
    }

    /// The client has gone and has not had these frames. A lossless reader is remembered: until the answer
    /// resolves, or [`Self::forget`].
    pub(super) fn leave(&self, unread: VecDeque<Bytes>) -> Option<OwnedNotified> {
        self.hub.lock().remember(self.slot, unread)
    }

    /// The client has not come back in time.
    pub(super) fn forget(&self) {
        self.hub.lock().forget(self.slot);
    }

    /// Says why the connection is closed, unless that has been said of others just now.
    pub(super) fn complain(&self, violation: &Violation) {
        let times = self.hub.lock().violations.again(Instant::now());
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
        state.widened.remove(self.slot);
        state.readers[self.slot as usize] = None;
    }
}

impl State {
    fn new(lossless: Lossless, tally: Arc<Tally>) -> Self {
        Self {
            routes: Routes::new(),
            lossless,
            tally,
            widened: Widened::default(),
            readers: Vec::new(),
            ids: EventIds::new(),
            found: Vec::new(),
            encoded: Vec::new(),
            unsendable: Said::default(),
            forged: Said::default(),
            violations: Said::default(),
            evicted: Said::default(),
        }
    }

    fn seat(&mut self, reader: Reader) -> Slot {
        let slot = self.readers.iter().position(Option::is_none).unwrap_or(self.readers.len());
        if slot == self.readers.len() {
            self.readers.push(None);
        }
        self.readers[slot] = Some(reader);
        Slot::try_from(slot).expect("the number of connections is bounded")
    }

    /// Obeys a frame, or says what it has to wait for and changes nothing.
    fn obey(
        &mut self,
        from: Slot,
        frame: &Frame<'_>,
        turn: &Turn<'_>,
    ) -> Result<Option<OwnedNotified>, Violation> {
        match frame.verb {
            Verb::Hello => {
                if notice::is_asked(frame.body) {
                    self.reader_mut(from).outbound.enable_notices();
                }
                return Ok(self.greet(from, frame.args, turn));
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
                reader.has_asked = true;
                let peer = reader.peer;
                self.routes.subscribe(from, peer, frame.args)?;
                self.widen_on_subscribe(from, frame.args);
            }
            // A client that could publish this could invent losses of the bus.
            Verb::Pub if frame.args == BUS_HEALTH_TOPIC => self.report_forgery(from),
            Verb::Pub => {
                let event = Publication::parse(frame.body)?;
                self.has_asked_for_all(from);
                if frame.args == APPLIED_TOPIC && self.take_report(from, event.payload) {
                    return Ok(None);
                }
                return Ok(self.publish(from, frame.args, &event, turn.insists));
            }
        }
        Ok(None)
    }

    /// Hands an event to all that asked for it, unless one of them has to be waited for: then to nobody yet.
    fn publish(
        &mut self,
        from: Slot,
        topic: &str,
        event: &Publication<'_>,
        insists: bool,
    ) -> Option<OwnedNotified> {
        let frame = self.address(Some(from), topic, event)?;
        let full = || self.addressees().filter(|reader| !matches!(reader.standing, Standing::Ordinary));
        if !insists
            && let Some(room) = full().find_map(|reader| reader.outbound.refuses(&frame, Instant::now()))
        {
            return Some(room);
        }
        self.addressees().for_each(|reader| reader.outbound.push(frame.clone()));
        if topic == CHANGED_TOPIC {
            self.widen_addressees();
        }
        self.relieve();
        None
    }

    /// The frame of an event, if anybody asked for it; they are the [`Self::addressees`] then.
    fn address(&mut self, from: Option<Slot>, topic: &str, event: &Publication<'_>) -> Option<Bytes> {
        self.routes.route(topic, &mut self.found);
        self.widened.add_to(&mut self.found);
        self.found.retain(|slot| Some(*slot) != from);
        if self.found.is_empty() {
            return None;
        }
        self.encode(topic, event).map_err(|error| self.regret(topic, &error)).ok()
    }

    fn addressees(&self) -> impl Iterator<Item = &Reader> {
        self.found.iter().filter_map(|slot| self.readers.get(*slot as usize)?.as_ref())
    }

    pub(super) fn seated(&self) -> impl Iterator<Item = (Slot, &Reader)> {
        (0..).zip(&self.readers).filter_map(|(slot, reader)| Some((slot, reader.as_ref()?)))
    }

    pub(super) fn reader_mut(&mut self, slot: Slot) -> &mut Reader {
        self.readers[slot as usize].as_mut().expect("a seat is given up only by its own connection")
    }

    /// A buffer of its own for each frame: a slow reader then holds no more memory than is counted.
    fn encode(&mut self, topic: &str, event: &Publication<'_>) -> Result<Bytes, EncodeError> {
        let mut digits = [0; ID_BYTES];
        let envelope = Envelope {
            id: self.ids.next(&mut digits),
            micros: u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX),
            kind: event.kind,
            payload: event.payload,
        };
        self.encoded.clear();
        encode_event(&mut self.encoded, topic, &envelope)?;
        Ok(Bytes::copy_from_slice(&self.encoded))
    }

    fn report_forgery(&mut self, from: Slot) {
        if let Some(times) = self.forged.again(Instant::now()) {
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

    fn regret(&mut self, topic: &str, error: &EncodeError) {
        if let Some(times) = self.unsendable.again(Instant::now()) {
            tracing::warn!(%error, ?topic, times, "the bus dropped an event that does not fit a frame");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn state() -> State {
        State::new(Lossless::default(), Arc::default())
    }

    pub(in super::super) fn reader(state: &mut State, peer: Peer) -> Slot {
        let outbound = Arc::new(Outbound::new(Arc::clone(&state.tally)));
        state.seat(Reader {
            peer,
            outbound,
            standing: Standing::Ordinary,
            claims_lossless: false,
            has_asked: false,
            inherited_at: None,
        })
    }
}
