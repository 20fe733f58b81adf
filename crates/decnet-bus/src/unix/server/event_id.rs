//! A fresh id for every event, without asking the system each time.

use uuid::Uuid;

/// Hexadecimal digits of an id.
pub(super) const ID_BYTES: usize = 32;

/// Odd, so that multiplying by it modulo a power of two repeats nothing; the golden ratio's bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const LOW_62: u64 = (1 << 62) - 1;
const VARIANT: u64 = 1 << 63;

/// Ids in the shape of random UUIDs: the first half random for each server, the second a counter, spread.
///
/// Two servers draw the same first half once in 2^60; one server repeats itself after 2^62 events.
#[derive(Debug)]
pub(super) struct EventIds {
    prefix: u64,
    counter: u64,
}

impl EventIds {
    pub(super) fn new() -> Self {
        let (prefix, counter) = Uuid::new_v4().as_u64_pair();
        Self { prefix, counter }
    }

    /// The next id, written into `buffer`.
    pub(super) fn next<'b>(&mut self, buffer: &'b mut [u8; ID_BYTES]) -> &'b str {
        self.counter = self.counter.wrapping_add(1);
        let low = self.counter.wrapping_mul(SPREAD) & LOW_62 | VARIANT;
        Uuid::from_u64_pair(self.prefix, low).as_simple().encode_lower(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_random_uuids() {
        let (mut one, mut other) = (EventIds::new(), EventIds::new());
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            for ids in [&mut one, &mut other] {
                let mut buffer = [0; ID_BYTES];
                let id = ids.next(&mut buffer).to_owned();
                assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
                assert!(seen.insert(id));
            }
        }
    }
}
