//! The memory bound over the queues of all ordinary readers.

use std::collections::HashMap;
use std::time::Instant;

use decnet_core::limits::MAX_TOTAL_OUTBOUND_BYTES;

use super::hub::State;
use super::routes::Slot;
use super::session_resume::ReaderSession;

/// The number of bytes freed beyond the excess, so that not every event has to free memory.
const HEADROOM_BYTES: usize = MAX_TOTAL_OUTBOUND_BYTES / 8;

impl State {
    /// Frees memory if the queues of ordinary readers together exceed their bound. Drops the older half of the largest queue
    /// of the user with the most bytes. Disconnects a reader whose queue is empty but which does not accept a half-written
    /// frame.
    pub(super) fn relieve_memory(&mut self) {
        let Some(excess) = self.counters.outbound_bytes().checked_sub(MAX_TOTAL_OUTBOUND_BYTES) else {
            return;
        };
        let mut left = excess + HEADROOM_BYTES;
        while left > 0
            && let Some(slot) = self.largest_queue()
        {
            let outbound = &self.reader_mut(slot).outbound;
            let freed = outbound.drop_older_half();
            if freed > 0 {
                left = left.saturating_sub(freed);
                continue;
            }
            left = left.saturating_sub(outbound.queue().memory());
            outbound.evicted.cancel();
            let reader = outbound.reader();
            if let Some(times) = self.evicted.record(Instant::now()) {
                tracing::warn!(
                    ?reader,
                    times,
                    "the bus exceeded its memory bound and closed a connection that does not read"
                );
            }
        }
    }

    /// Returns the ordinary reader with the most bytes, of the user with the most bytes.
    fn largest_queue(&self) -> Option<Slot> {
        let ordinary =
            self.iter_readers().filter(|(_, reader)| matches!(reader.session, ReaderSession::Ordinary));
        let held: Vec<_> = ordinary
            .filter(|(_, reader)| !reader.outbound.evicted.is_cancelled())
            .map(|(slot, reader)| (reader.outbound.queue().memory(), slot, reader.peer.uid))
            .filter(|(bytes, ..)| *bytes > 0)
            .collect();
        let mut by_user: HashMap<u32, usize> = HashMap::new();
        held.iter().for_each(|(bytes, _, uid)| *by_user.entry(*uid).or_default() += bytes);
        let (uid, _) = by_user.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        held.into_iter().filter(|(.., of)| *of == uid).max().map(|(_, slot, _)| slot)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::hub::tests::{reader, state};
    use super::super::peer::Peer;
    use super::*;

    const MIB: usize = 1 << 20;

    fn fill(state: &mut State, slot: Slot, mebibytes: usize) {
        let frame = Bytes::from(vec![0; MIB]);
        let outbound = &state.reader_mut(slot).outbound;
        (0..mebibytes).for_each(|_| outbound.add(|queue| queue.push(frame.clone())));
    }

    /// One user has many readers with small queues; the other user has a single larger queue.
    #[test]
    fn the_user_with_most_memory_loses_events() {
        let mut state = state();
        let many: Vec<Slot> = (0..20).map(|_| reader(&mut state, Peer::other(1))).collect();
        let one = reader(&mut state, Peer::TRUSTED);
        many.iter().for_each(|slot| fill(&mut state, *slot, 7));
        fill(&mut state, one, 8);
        state.relieve_memory();
        let mut waiting = |slot: &Slot| state.reader_mut(*slot).outbound.queue().len();
        let left: Vec<usize> = many.iter().map(&mut waiting).collect();
        assert_eq!(waiting(&one), 8);
        assert!(left.iter().all(|frames| (1..=7).contains(frames)), "{left:?}");
        let bytes = state.counters.outbound_bytes();
        assert!(bytes <= MAX_TOTAL_OUTBOUND_BYTES && bytes > MAX_TOTAL_OUTBOUND_BYTES / 2, "{bytes}");
        let lost = usize::try_from(state.counters.read().dropped_ordinary).unwrap();
        assert_eq!(lost + left.iter().sum::<usize>(), 20 * 7);
    }

    #[test]
    fn nothing_is_dropped_below_the_bound() {
        let mut state = state();
        let slot = reader(&mut state, Peer::other(1));
        fill(&mut state, slot, 10);
        state.relieve_memory();
        assert_eq!(state.reader_mut(slot).outbound.queue().len(), 10);
    }

    /// Each reader has 1 MiB in the socket, so that no queue has anything to drop.
    #[test]
    fn readers_that_do_not_read_are_disconnected_last() {
        let mut state = state();
        let slots: Vec<Slot> = (0..140).map(|_| reader(&mut state, Peer::other(1))).collect();
        for slot in &slots {
            fill(&mut state, *slot, 1);
            assert!(state.reader_mut(*slot).outbound.try_take(&mut Default::default()));
        }
        state.relieve_memory();
        let evicted =
            slots.iter().filter(|slot| state.reader_mut(**slot).outbound.evicted.is_cancelled()).count();
        assert!((20..60).contains(&evicted), "{evicted}");
    }
}
