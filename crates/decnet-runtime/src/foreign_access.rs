//! The check whether another user can change a file, or the entries of a directory.

/// The uid of root, who can change every file.
pub const ROOT: u32 = 0;
/// The sticky bit: only the owner of a directory's entry can rename or remove it, but anyone who can write can create one.
pub const STICKY: u32 = 0o1000;
/// The write permission bits of group and others.
const WRITABLE: u32 = 0o022;

/// The reason why a user other than root and the expected owner can change a file, or the entries of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignAccess {
    /// Another user, with this uid, owns it.
    #[error("belongs to another user (uid {0}); change its owner, or run as that user")]
    Owner(u32),
    /// The group or other users can write to it; these are its permission bits.
    #[error("can be written by others (mode {:04o}); {}", .0 & 0o7777, advice(*.0))]
    Writable(u32),
}

impl ForeignAccess {
    /// Checks that a file or a directory with this owner and mode can be changed only by root and by the user `own`.
    ///
    /// # Errors
    /// The reason why another user can change it.
    pub fn check(owner: u32, mode: u32, own: u32) -> Result<(), Self> {
        if owner != ROOT && owner != own {
            return Err(Self::Owner(owner));
        }
        Self::check_mode(mode)
    }

    /// Checks that only the owner can write.
    ///
    /// # Errors
    /// [`Self::Writable`].
    pub fn check_mode(mode: u32) -> Result<(), Self> {
        if mode & WRITABLE == 0 { Ok(()) } else { Err(Self::Writable(mode)) }
    }
}

fn advice(mode: u32) -> &'static str {
    // A sticky directory (`/tmp`) must remain writable.
    if mode & STICKY == 0 {
        "run chmod go-w on it"
    } else {
        "the sticky bit is not sufficient; use a directory that others cannot write to"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_own_user_may_write() {
        for (owner, mode) in [(ROOT, 0o40755), (1000, 0o40700), (1000, 0o42755), (1000, 0o100_644)] {
            assert_eq!(ForeignAccess::check(owner, mode, 1000), Ok(()), "{owner} {mode:o}");
        }
        for mode in [0o40777, 0o41777, 0o40775, 0o40757, 0o40720] {
            assert_eq!(ForeignAccess::check(ROOT, mode, 1000), Err(ForeignAccess::Writable(mode)));
        }
        assert_eq!(ForeignAccess::check(1001, 0o40777, 1000), Err(ForeignAccess::Owner(1001)));
    }

    #[test]
    fn reasons_have_advice() {
        let text = |mode| ForeignAccess::Writable(mode).to_string();
        assert_eq!(text(0o40775), "can be written by others (mode 0775); run chmod go-w on it");
        assert!(text(0o41777).contains("the sticky bit is not sufficient"));
    }
}
