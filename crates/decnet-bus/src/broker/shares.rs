//! A bounded resource that users share, such as connections: no user can take all of it from the others.

use std::collections::HashMap;

use super::peer::{Peer, ROOT};

/// The use of a bounded resource, by user.
///
/// A part is reserved for trusted users, who may take everything that is free. A quarter of that part is reserved for root
/// alone, so that root can still connect when programs of the bus's own user have taken the rest. Any other user may have at
/// most as much as is still free of the rest: one such user alone gets half of it, a second user half of the remainder, and so
/// on. So there is always some left for the next user (dynamic thresholds; Choudhury and Hahne, 1998).
#[derive(Debug)]
pub(super) struct Shares {
    capacity: usize,
    reserved: usize,
    taken: usize,
    /// The use by each user that is not trusted.
    by_user: HashMap<u32, usize>,
}

impl Shares {
    pub(super) fn new(capacity: usize, reserved: usize) -> Self {
        Self { capacity, reserved, taken: 0, by_user: HashMap::new() }
    }

    /// Takes `amount`. Returns false and takes nothing if this user may not have more.
    pub(super) fn take(&mut self, peer: Peer, amount: usize) -> bool {
        let admits = self.admits(peer, amount);
        if admits {
            self.charge(peer, amount);
        }
        admits
    }

    /// Releases `amount`.
    pub(super) fn release(&mut self, peer: Peer, amount: usize) {
        self.taken -= amount;
        if let Some(has) = self.by_user.get_mut(&peer.uid).filter(|_| !peer.is_trusted) {
            *has -= amount;
            if *has == 0 {
                self.by_user.remove(&peer.uid);
            }
        }
    }

    /// Charges what one user has taken to another user.
    pub(super) fn transfer(&mut self, from: Peer, to: Peer, amount: usize) {
        self.release(from, amount);
        self.charge(to, amount);
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    fn admits(&self, peer: Peer, amount: usize) -> bool {
        if peer.is_trusted {
            let for_root = if peer.uid == ROOT { 0 } else { self.reserved / 4 };
            return self.taken + amount <= self.capacity - for_root;
        }
        let has = self.by_user.get(&peer.uid).copied().unwrap_or(0);
        let others: usize = self.by_user.values().sum();
        let free = (self.capacity - self.reserved).saturating_sub(others).min(self.capacity - self.taken);
        has + amount <= free
    }

    fn charge(&mut self, peer: Peer, amount: usize) {
        self.taken += amount;
        if !peer.is_trusted {
            *self.by_user.entry(peer.uid).or_default() += amount;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(shares: &mut Shares, peer: Peer) -> usize {
        (0..).take_while(|_| shares.take(peer, 1)).count()
    }

    #[test]
    fn each_user_gets_half_of_the_remainder() {
        let mut shares = Shares::new(1024, 128);
        let taken: Vec<usize> = (1..12).map(|uid| take_all(&mut shares, Peer::other(uid))).collect();
        assert_eq!(taken[..4], [448, 224, 112, 56]);
        assert!(taken.iter().all(|taken| *taken > 0) || taken.iter().sum::<usize>() == 896, "{taken:?}");
        assert_eq!(take_all(&mut shares, Peer::TRUSTED), 1024 - taken.iter().sum::<usize>());
    }

    #[test]
    fn trusted_users_may_take_all_free_resources() {
        let mut shares = Shares::new(100, 10);
        assert_eq!(take_all(&mut shares, Peer::TRUSTED), 100);
        assert_eq!(take_all(&mut shares, Peer::other(1)), 0);
        shares.release(Peer::TRUSTED, 20);
        assert_eq!(take_all(&mut shares, Peer::other(1)), 10, "half of the free part, without the reserve");
    }

    #[test]
    fn user_of_the_bus_leaves_a_part_to_root() {
        let (mut shares, own) = (Shares::new(1024, 128), Peer { uid: 7, ..Peer::TRUSTED });
        assert_eq!(take_all(&mut shares, own), 992);
        assert_eq!(take_all(&mut shares, Peer::TRUSTED), 32);
    }

    #[test]
    fn released_amounts_can_be_taken_again() {
        let mut shares = Shares::new(100, 0);
        let (one, other) = (Peer::other(1), Peer::other(2));
        assert_eq!(take_all(&mut shares, one), 50);
        shares.transfer(one, Peer::TRUSTED, 50);
        assert_eq!(take_all(&mut shares, other), 25);
        shares.release(other, 25);
        shares.release(Peer::TRUSTED, 50);
        assert!(shares.by_user.is_empty() && shares.taken == 0);
        assert_eq!(take_all(&mut shares, one), 50);
    }
}
