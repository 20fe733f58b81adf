//! What happens when the queues of all ordinary readers together hold too much.

use std::collections::HashMap;
use std::time::Instant;

use decnet_core::limits::MAX_TOTAL_OUTBOUND_BYTES;

use super::hub::State;
use super::routes::Slot;
use super::succession::Standing;

/// What is freed at once, so that not every event looks for somebody to lose one.
const RELIEF_BYTES: usize = MAX_TOTAL_OUTBOUND_BYTES / 8;

impl State {
    /// Frees memory if the ordinary readers' queues hold too much: of the user with the most bytes, the reader with the most
    /// loses the older half of what waits for it. A reader for which nothing waits, but which does not take a frame that is
    /// half written, is disconnected.
    pub(super) fn relieve(&mut self) {
        let Some(excess) = self.tally.outbound_bytes().checked_sub(MAX_TOTAL_OUTBOUND_BYTES) else { return };
        let mut left = excess + RELIEF_BYTES;
        while left > 0
            && let Some(slot) = self.fattest()
        {
            let outbound = &self.reader_mut(slot).outbound;
            let freed = outbound.lose_half();
            if freed > 0 {
                left = left.saturating_sub(freed);
                continue;
            }
            left = left.saturating_sub(outbound.bytes());
            outbound.evict();
            let reader = outbound.reader();
            if let Some(times) = self.evicted.again(Instant::now()) {
                tracing::warn!(
                    ?reader,
                    times,
                    "the bus is short of memory and closed a connection that reads nothing"
                );
            }
        }
    }

    /// The ordinary reader with the most bytes, of the user with the most.
    fn fattest(&self) -> Option<Slot> {
        let ordinary = self.seated().filter(|(_, reader)| matches!(reader.standing, Standing::Ordinary));
        let held: Vec<_> = ordinary
            .filter(|(_, reader)| !reader.outbound.is_evicted())
            .map(|(slot, reader)| (reader.outbound.bytes(), slot, reader.peer.uid))
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
        (0..mebibytes).for_each(|_| outbound.push(frame.clone()));
    }

    /// One user has many readers with little each, the other one has a single one with more.
    #[test]
    fn the_user_with_the_most_loses() {
        let mut state = state();
        let many: Vec<Slot> = (0..20).map(|_| reader(&mut state, Peer::other(1))).collect();
        let one = reader(&mut state, Peer::TRUSTED);
        many.iter().for_each(|slot| fill(&mut state, *slot, 7));
        fill(&mut state, one, 8);
        state.relieve();
        let mut waiting = |slot: &Slot| state.reader_mut(*slot).outbound.len();
        let left: Vec<usize> = many.iter().map(&mut waiting).collect();
        assert_eq!(waiting(&one), 8);
        assert!(left.iter().all(|frames| (1..=7).contains(frames)), "{left:?}");
        let bytes = state.tally.outbound_bytes();
        assert!(bytes <= MAX_TOTAL_OUTBOUND_BYTES && bytes > MAX_TOTAL_OUTBOUND_BYTES / 2, "{bytes}");
        let lost = usize::try_from(state.tally.read().dropped_ordinary).unwrap();
        assert_eq!(lost + left.iter().sum::<usize>(), 20 * 7);
    }

    #[test]
    fn below_the_bound_nobody_loses() {
        let mut state = state();
        let slot = reader(&mut state, Peer::other(1));
        fill(&mut state, slot, 10);
        state.relieve();
        assert_eq!(state.reader_mut(slot).outbound.len(), 10);
    }

    /// 1 MiB each is with the socket, so that no queue has anything to lose.
    #[test]
    fn readers_that_read_nothing_are_disconnected_in_the_end() {
        let mut state = state();
        let slots: Vec<Slot> = (0..140).map(|_| reader(&mut state, Peer::other(1))).collect();
        for slot in &slots {
            fill(&mut state, *slot, 1);
            assert!(state.reader_mut(*slot).outbound.try_take(&mut Default::default()));
        }
        state.relieve();
        let evicted = slots.iter().filter(|slot| state.reader_mut(**slot).outbound.is_evicted()).count();
        assert!((20..60).contains(&evicted), "{evicted}");
    }
}
