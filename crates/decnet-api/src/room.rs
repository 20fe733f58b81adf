//! Memory that the bodies of requests with events take: counted as it is taken, in all and by whoever sends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decnet_core::limits::{MAX_API_SENDER_BYTES, MAX_API_SUBMITTING_BYTES};

use crate::auth::PrincipalId;

/// All of it; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Rooms(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    bytes: usize,
    /// Of those who hold any.
    by_sender: HashMap<PrincipalId, usize>,
}

/// What one request holds, free again once this is dropped. What it only announces takes nothing.
pub(crate) struct Room {
    rooms: Rooms,
    sender: PrincipalId,
    bytes: usize,
}

/// There is not so much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Rooms {
    /// For a request of `sender`'s.
    pub(crate) fn enter(&self, sender: PrincipalId) -> Room {
        Room { rooms: self.clone(), sender, bytes: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn add(&mut self, sender: &PrincipalId, bytes: usize) -> Result<(), Full> {
        let of_sender = self.by_sender.get_mut(sender);
        let after = of_sender.as_ref().map_or(0, |held| **held) + bytes;
        if self.bytes + bytes > MAX_API_SUBMITTING_BYTES || after > MAX_API_SENDER_BYTES {
            return Err(Full);
        }
        self.bytes += bytes;
        match of_sender {
            Some(held) => *held = after,
            None => drop(self.by_sender.insert(sender.clone(), after)),
        }
        Ok(())
    }

    fn remove(&mut self, sender: &PrincipalId, bytes: usize) {
        self.bytes -= bytes;
        let Some(held) = self.by_sender.get_mut(sender) else { return };
        *held -= bytes;
        if *held == 0 {
            self.by_sender.remove(sender);
        }
    }
}

impl Room {
    /// Takes more.
    ///
    /// # Errors
    /// All of them would hold more than `MAX_API_SUBMITTING_BYTES`, or this sender more than `MAX_API_SENDER_BYTES`.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Full> {
        let mut taken = self.rooms.taken();
        taken.add(&self.sender, bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.taken().remove(&self.sender, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(rooms: &Rooms, sender: &str, bytes: usize) -> Result<Room, Full> {
        let mut room = rooms.enter(PrincipalId::Token(sender.into()));
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
