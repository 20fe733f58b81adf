//! Memory that the bodies of requests with events take: counted as it is taken, in all and by whoever sends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decnet_core::limits::{MAX_API_SENDER_BYTES, MAX_API_SUBMITTING_BYTES};

/// All of it; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Rooms(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    bytes: usize,
    /// Of those who hold any.
    by_sender: HashMap<String, usize>,
}

/// What one request holds, free again once this is dropped. What it only announces takes nothing.
pub(crate) struct Room {
    rooms: Rooms,
    sender: String,
    bytes: usize,
}

/// There is not so much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Rooms {
    /// For a request of `sender`'s.
    pub(crate) fn enter(&self, sender: String) -> Room {
        Room { rooms: self.clone(), sender, bytes: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Takes more.
    ///
    /// # Errors
    /// All of them would hold more than `MAX_API_SUBMITTING_BYTES`, or this sender more than `MAX_API_SENDER_BYTES`.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Full> {
        let mut taken = self.rooms.taken();
        let of_sender = taken.by_sender.get(&self.sender).copied().unwrap_or_default();
        if taken.bytes + bytes > MAX_API_SUBMITTING_BYTES || of_sender + bytes > MAX_API_SENDER_BYTES {
            return Err(Full);
        }
        taken.bytes += bytes;
        taken.by_sender.insert(self.sender.clone(), of_sender + bytes);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.rooms.taken();
        taken.bytes -= self.bytes;
        let of_sender = taken.by_sender.get(&self.sender).map_or(0, |bytes| bytes - self.bytes);
        if of_sender == 0 {
            taken.by_sender.remove(&self.sender);
        } else {
            taken.by_sender.insert(self.sender.clone(), of_sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(rooms: &Rooms, sender: &str, bytes: usize) -> Result<Room, Full> {
        let mut room = rooms.enter(sender.into());
        room.take(bytes).map(|()| room)
    }

    #[test]
    fn whoever_sends_much_leaves_room_to_the_others() {
        let rooms = Rooms::default();
        let mut first = filled(&rooms, "a", MAX_API_SENDER_BYTES - 1).unwrap();
        assert_eq!((first.take(1), first.take(1)), (Ok(()), Err(Full)));
        assert!(filled(&rooms, "a", 1).is_err() && filled(&rooms, "b", MAX_API_SENDER_BYTES).is_ok());
        drop(first);
        assert!(filled(&rooms, "a", MAX_API_SENDER_BYTES).is_ok());
        assert!(rooms.taken().by_sender.is_empty(), "who holds nothing is not remembered");
    }

    #[test]
    fn all_of_them_are_bounded() {
        let (rooms, each) = (Rooms::default(), MAX_API_SENDER_BYTES);
        let held: Vec<_> = (0..).map_while(|n| filled(&rooms, &format!("{n}"), each).ok()).collect();
        assert_eq!(held.len(), MAX_API_SUBMITTING_BYTES / each);
        drop(held);
        assert_eq!(rooms.taken().bytes, 0);
    }
}
