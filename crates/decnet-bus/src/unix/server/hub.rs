//! Where the connections meet: an event that one publishes goes to all others that asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use decnet_core::limits::MAX_LOSSLESS_CONNECTIONS;

use super::event_id::{EventIds, ID_BYTES};
use super::outbound::{LOSSLESS_CLIENT_NAME, Outbound};
use super::routes::{Routes, Slot, TooManyPatterns};
use super::since_epoch;
use crate::said::Said;
use crate::unix::codec::{
    BodyError, EncodeError, Envelope, Frame, FrameError, Publication, Verb, decode, encode_event,
};

/// All connections of one bus. One lock, taken once for many frames; nobody waits while it is held.
#[derive(Debug)]
pub(super) struct Hub(Mutex<State>);

#[derive(Debug)]
struct State {
    routes: Routes,
    readers: Vec<Option<Reader>>,
    ids: EventIds,
    /// Buffers that are reused from event to event.
    found: Vec<Slot>,
    encoded: Vec<u8>,
    unsendable: Said,
    violations: Said,
}

#[derive(Debug)]
struct Reader {
    outbound: Arc<Outbound>,
    is_lossless: bool,
}

/// A connection's place in the hub, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Member {
    hub: Arc<Hub>,
    slot: Slot,
    outbound: Arc<Outbound>,
}

/// How a connection's frames went.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of the frames that were obeyed.
    pub(super) used: usize,
    /// How many they were.
    pub(super) frames: usize,
    /// The client said that it is going.
    pub(super) said_bye: bool,
}

/// Why a connection is closed: its client speaks another language.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("{} without an argument", .0.as_str())]
    NoArgument(Verb),
    #[error("EVT comes from the bus only")]
    Event,
    #[error("more patterns than one connection may hold")]
    TooManyPatterns,
    #[error("the stream ends within a frame")]
    Truncated,
}

impl From<TooManyPatterns> for Violation {
    fn from(_: TooManyPatterns) -> Self {
        Self::TooManyPatterns
    }
}

impl Hub {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            routes: Routes::new(),
            readers: Vec::new(),
            ids: EventIds::new(),
            found: Vec::new(),
            encoded: Vec::new(),
            unsendable: Said::default(),
            violations: Said::default(),
        }))
    }

    pub(super) fn join(self: &Arc<Self>) -> Member {
        let outbound = Arc::new(Outbound::new());
        let slot = self.lock().seat(Reader { outbound: Arc::clone(&outbound), is_lossless: false });
        Member { hub: Arc::clone(self), slot, outbound }
    }

    /// Publishes an event of the bus itself; `kind` and `payload` are JSON.
    pub(super) fn publish_own(&self, topic: &str, kind: &str, payload: &str) {
        self.lock().publish(None, topic, &Publication { payload, kind });
    }

    /// Every change below leaves the state fit for use, so a panic of another thread changes nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(super) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Obeys the frames at the start of `bytes`, at most `most` of them.
    pub(super) fn obey(&self, bytes: &[u8], most: usize) -> Result<Progress, Violation> {
        let mut progress = Progress { used: 0, frames: 0, said_bye: false };
        let mut state = self.hub.lock();
        while progress.frames < most && !progress.said_bye {
            let Some((frame, len)) = decode(&bytes[progress.used..])? else { break };
            state.obey(self.slot, &frame)?;
            progress.used += len;
            progress.frames += 1;
            progress.said_bye = frame.verb == Verb::Bye;
        }
        Ok(progress)
    }

    /// Says why the connection is closed, unless that has been said of others just now.
    pub(super) fn complain(&self, violation: &Violation) {
        let times = self.hub.lock().violations.again(Instant::now());
        let reader = self.outbound.reader();
        match times {
            Some(times) => {
                tracing::warn!(%violation, ?reader, times, "the bus closed a connection over a bad frame");
            }
            None => tracing::debug!(%violation, ?reader, "the bus closed a connection over a bad frame"),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.routes.close(self.slot);
        state.readers[self.slot as usize] = None;
    }
}

impl State {
    fn seat(&mut self, reader: Reader) -> Slot {
        let slot = self.readers.iter().position(Option::is_none).unwrap_or(self.readers.len());
        if slot == self.readers.len() {
            self.readers.push(None);
        }
        self.readers[slot] = Some(reader);
        Slot::try_from(slot).expect("the number of connections is bounded")
    }

    fn obey(&mut self, from: Slot, frame: &Frame<'_>) -> Result<(), Violation> {
        match frame.verb {
            Verb::Hello => self.greet(from, frame.args),
            Verb::Unsub => self.routes.unsubscribe(from, frame.args),
            Verb::Bye => {}
            Verb::Evt => return Err(Violation::Event),
            Verb::Sub | Verb::Pub if frame.args.is_empty() => return Err(Violation::NoArgument(frame.verb)),
            Verb::Sub => self.routes.subscribe(from, frame.args)?,
            Verb::Pub => self.publish(Some(from), frame.args, &Publication::parse(frame.body)?),
        }
        Ok(())
    }

    /// A name of our worker asks for a queue that holds a burst; only so many get one, as each may be large.
    fn greet(&mut self, from: Slot, name: &str) {
        let granted = self.readers.iter().flatten().filter(|reader| reader.is_lossless).count();
        let Some(reader) = &mut self.readers[from as usize] else { return };
        let wanted = name == LOSSLESS_CLIENT_NAME;
        if wanted && !reader.is_lossless && granted >= MAX_LOSSLESS_CONNECTIONS {
            tracing::warn!(
                "only {MAX_LOSSLESS_CONNECTIONS} bus readers get a lossless queue; this one gets an ordinary one"
            );
        }
        reader.is_lossless = wanted && (reader.is_lossless || granted < MAX_LOSSLESS_CONNECTIONS);
        reader.outbound.rename(name, reader.is_lossless);
    }

    fn publish(&mut self, from: Option<Slot>, topic: &str, event: &Publication<'_>) {
        self.routes.route(topic, &mut self.found);
        self.found.retain(|slot| Some(*slot) != from);
        if self.found.is_empty() {
            return;
        }
        match self.encode(topic, event) {
            Ok(frame) => self.found.iter().for_each(|slot| self.hand(*slot, &frame)),
            Err(error) => self.regret(topic, &error),
        }
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

    fn hand(&self, slot: Slot, frame: &Bytes) {
        if let Some(Some(reader)) = self.readers.get(slot as usize) {
            reader.outbound.push(frame.clone());
        }
    }

    fn regret(&mut self, topic: &str, error: &EncodeError) {
        if let Some(times) = self.unsendable.again(Instant::now()) {
            tracing::warn!(%error, ?topic, times, "the bus dropped an event that does not fit a frame");
        }
    }
}
