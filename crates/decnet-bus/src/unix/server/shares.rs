//! Something bounded that users share, such as connections: no user can take all of it from the others.

use std::collections::HashMap;

use super::peer::Peer;

/// How much of a bounded resource is taken, and by whom.
///
/// A part is reserved for trusted users, who may take whatever is free. Any other user may have at most as much as is
/// still free of the rest. So one such user alone gets half of it, a second one half of what the first left, and so on:
/// there is always some left for the next (dynamic thresholds; Choudhury and Hahne, 1998).
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    reserved: usize,
    taken: usize,
    /// Of users who are not trusted.
    by_user: HashMap<u32, usize>,
}

impl Shares {
    pub(super) fn new(most: usize, reserved: usize) -> Self {
        Self { most, reserved, taken: 0, by_user: HashMap::new() }
    }

    /// Takes some; false if this user can have no more, and then nothing was taken.
    pub(super) fn take(&mut self, peer: Peer, amount: usize) -> bool {
        let admits = self.admits(peer, amount);
        if admits {
            self.charge(peer, amount);
        }
        admits
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&mut self, peer: Peer, amount: usize) {
        self.taken -= amount;
        if let Some(has) = self.by_user.get_mut(&peer.uid).filter(|_| !peer.is_trusted) {
            *has -= amount;
            if *has == 0 {
                self.by_user.remove(&peer.uid);
            }
        }
    }

    /// Makes what one user has taken another's.
    pub(super) fn transfer(&mut self, from: Peer, to: Peer, amount: usize) {
        self.give_back(from, amount);
        self.charge(to, amount);
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    fn admits(&self, peer: Peer, amount: usize) -> bool {
        if peer.is_trusted {
            return self.taken + amount <= self.most;
        }
        let has = self.by_user.get(&peer.uid).copied().unwrap_or(0);
        let others: usize = self.by_user.values().sum();
        let free = (self.most - self.reserved).saturating_sub(others).min(self.most - self.taken);
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
    fn each_user_gets_half_of_what_is_left() {
        let mut shares = Shares::new(1024, 128);
        let taken: Vec<usize> = (1..12).map(|uid| take_all(&mut shares, Peer::other(uid))).collect();
        assert_eq!(taken[..4], [448, 224, 112, 56]);
        assert!(taken.iter().all(|taken| *taken > 0) || taken.iter().sum::<usize>() == 896, "{taken:?}");
        assert_eq!(take_all(&mut shares, Peer::TRUSTED), 1024 - taken.iter().sum::<usize>());
    }

    #[test]
    fn trusted_users_get_everything_that_is_free() {
        let mut shares = Shares::new(100, 10);
        assert_eq!(take_all(&mut shares, Peer::TRUSTED), 100);
        assert_eq!(take_all(&mut shares, Peer::other(1)), 0);
        shares.give_back(Peer::TRUSTED, 20);
        assert_eq!(take_all(&mut shares, Peer::other(1)), 10, "of what is free, not of what is reserved");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut shares = Shares::new(100, 0);
        let (one, other) = (Peer::other(1), Peer::other(2));
        assert_eq!(take_all(&mut shares, one), 50);
        shares.transfer(one, Peer::TRUSTED, 50);
        assert_eq!(take_all(&mut shares, other), 25);
        shares.give_back(other, 25);
        shares.give_back(Peer::TRUSTED, 50);
        assert!(shares.by_user.is_empty() && shares.taken == 0);
        assert_eq!(take_all(&mut shares, one), 50);
    }
}
