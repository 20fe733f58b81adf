//! A unique id for every event, without a system call each.

use uuid::Uuid;

/// The number of hexadecimal digits of an id.
pub(super) const ID_BYTES: usize = 32;

/// An odd factor, so that multiplication modulo a power of two is a bijection; the bits of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const LOW_62: u64 = (1 << 62) - 1;
const VARIANT: u64 = 1 << 63;

/// A generator of ids in the format of random UUIDs. The first half is random for each server, the second is a scrambled
/// counter.
///
/// Two servers draw the same first half with probability 2^-60; one server repeats itself after 2^62 events.
#[derive(Debug)]
pub(super) struct EventIds {
    prefix: u64,
    counter: u64,
}

impl Default for EventIds {
    fn default() -> Self {
        let (prefix, counter) = Uuid::new_v4().as_u64_pair();
        Self { prefix, counter }
    }
}

impl EventIds {
    /// Writes the next id into `buffer` and returns it.
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
        let (mut one, mut other) = (EventIds::default(), EventIds::default());
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
