//! The user at the other end of a connection, by the kernel's credentials (`SO_PEERCRED`, unix(7)), and the privileges of
//! users.

use std::collections::BTreeSet;

use decnet_runtime::accounts::user_id;
use rustix::process::geteuid;

use super::Error;

/// The uid of root.
pub(super) const ROOT: u32 = 0;

/// The privileged users of a bus, by uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    /// Users who may have lossless queues and use every free connection and all free memory, except the part that is reserved
    /// for root.
    pub trusted: BTreeSet<u32>,
    /// Further users who may have lossless queues.
    pub lossless: BTreeSet<u32>,
}

/// The user at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) is_trusted: bool,
    pub(super) may_be_lossless: bool,
}

impl Default for Users {
    /// Trusts root and the user of this process.
    fn default() -> Self {
        Self { trusted: [ROOT, geteuid().as_raw()].into(), lossless: BTreeSet::new() }
    }
}

impl Users {
    /// Adds users who may have lossless queues, each given by a name in `/etc/passwd` or a uid.
    ///
    /// # Errors
    /// [`Error::UnknownUser`] for a name that does not exist, [`Error::Users`] if the file cannot be read.
    pub fn with_lossless(mut self, users: &[String]) -> Result<Self, Error> {
        for user in users {
            let uid = user_id(user).map_err(Error::Users)?;
            self.lossless.insert(uid.ok_or_else(|| Error::UnknownUser(user.clone()))?);
        }
        Ok(self)
    }

    pub(super) fn peer(&self, uid: u32) -> Peer {
        let is_trusted = self.trusted.contains(&uid);
        Peer { uid, is_trusted, may_be_lossless: is_trusted || self.lossless.contains(&uid) }
    }
}

impl Peer {
    /// Returns whether this user may resume a session of `other`.
    pub(super) fn may_succeed(self, other: Self) -> bool {
        self.is_trusted || self.uid == other.uid
    }
}

#[cfg(test)]
impl Peer {
    pub(super) const TRUSTED: Self = Self { uid: ROOT, is_trusted: true, may_be_lossless: true };

    pub(super) fn other(uid: u32) -> Self {
        Self { uid, is_trusted: false, may_be_lossless: false }
    }
}
