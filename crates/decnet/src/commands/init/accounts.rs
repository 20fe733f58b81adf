//! The system user and group that the services run as.

use std::io;

use super::carry_out::run;
use super::layout::Layout;
use super::report::Outcome;
use crate::passwd::{entry, number};

/// Of the user that we make.
const HOME: &str = "/var/lib/decnet";
const SHELL: &str = "/usr/sbin/nologin";
/// The highest number of a system's account, by `login.defs(5)` as distributions have it.
const MAX_SYSTEM_ID: u32 = 999;

/// User and group, by name.
pub(super) struct Accounts<'a> {
    pub(super) layout: &'a Layout,
    pub(super) user: &'a str,
    pub(super) group: &'a str,
}

impl Accounts<'_> {
    /// The user's number; none where an image does not have it yet.
    ///
    /// # Errors
    /// On the system that runs it must be there.
    pub(super) fn user(&self) -> io::Result<Option<u32>> {
        self.number("passwd", self.user)
    }

    /// The group's number, as [`user`](Self::user).
    ///
    /// # Errors
    /// As there.
    pub(super) fn group(&self) -> io::Result<Option<u32>> {
        self.number("group", self.group)
    }

    fn number(&self, file: &str, name: &str) -> io::Result<Option<u32>> {
        let found = self.look_up(file, name)?.as_deref().and_then(number);
        if found.is_none() && self.layout.is_live() {
            return Err(io::Error::other(format!(
                "{name} is not in /etc/{file}; make it, then run this again"
            )));
        }
        Ok(found)
    }

    fn look_up(&self, file: &str, name: &str) -> io::Result<Option<Vec<String>>> {
        let text = self.layout.root().read(&self.layout.below(&format!("/etc/{file}")))?;
        Ok(text.and_then(|text| entry(&text, name)))
    }

    /// Makes what is missing.
    pub(super) fn make(&self, dry_run: bool) -> io::Result<Outcome> {
        let has_group = self.look_up("group", self.group)?.is_some();
        let has_user = self.look_up("passwd", self.user)?.is_some();
        if has_group && has_user {
            return Ok(Outcome::Skipped("are there".into()));
        }
        if !self.layout.is_live() {
            return Ok(Outcome::Skipped("systemd-sysusers makes them when the image boots".into()));
        }
        if dry_run {
            return Ok(Outcome::Done("would be made".into()));
        }
        if !has_group {
            let made = run("groupadd", &words(&["--system", self.group]))?;
            if matches!(made, Outcome::Failed(_)) {
                return Ok(made);
            }
        }
        if !has_user {
            let home = ["--home-dir", HOME, "--no-create-home", "--shell", SHELL];
            let group = ["--system", "--gid", self.group];
            let made = run("useradd", &words(&[&group[..], &home, &[self.user]].concat()))?;
            if matches!(made, Outcome::Failed(_)) {
                return Ok(made);
            }
        }
        Ok(Outcome::Done("made".into()))
    }

    /// Removes both where they are as we make them: a user who was there before stays, and so does a group that others are in.
    pub(super) fn remove(&self, dry_run: bool) -> io::Result<Outcome> {
        if !self.layout.is_live() {
            return Ok(Outcome::Skipped("not in an image".into()));
        }
        if !self.look_up("passwd", self.user)?.as_deref().is_some_and(is_made_user) {
            return Ok(Outcome::Skipped("are not there, or not as init makes them".into()));
        }
        if dry_run {
            return Ok(Outcome::Done("would be removed".into()));
        }
        let removed = run("userdel", &words(&[self.user]))?;
        if matches!(removed, Outcome::Failed(_)) {
            return Ok(removed);
        }
        // userdel takes the group along where it is the user's own.
        if self.look_up("group", self.group)?.as_deref().is_some_and(is_made_group) {
            let removed = run("groupdel", &words(&[self.group]))?;
            if matches!(removed, Outcome::Failed(_)) {
                return Ok(removed);
            }
        }
        Ok(Outcome::Done("removed".into()))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// A line of `passwd(5)`: is the user as we make ours?
fn is_made_user(fields: &[String]) -> bool {
    is_systems(fields) && fields.get(5..) == Some(&[HOME.to_owned(), SHELL.to_owned()])
}

/// A line of `group(5)`: is the group as we make ours, and nobody in it?
fn is_made_group(fields: &[String]) -> bool {
    is_systems(fields) && fields.get(3).is_some_and(String::is_empty)
}

fn is_systems(fields: &[String]) -> bool {
    number(fields).is_some_and(|number| (1..=MAX_SYSTEM_ID).contains(&number))
}

/// Are we root?
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_ours_where_it_is_as_we_make_it() {
        let line = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_made_user(&line("decnet:x:998:997::/var/lib/decnet:/usr/sbin/nologin")));
        for another in [
            "root:x:0:0:root:/root:/bin/bash",
            "joe:x:1000:1000::/home/joe:/bin/bash",
            "decnet:x:998:997::/opt/decnet:/usr/sbin/nologin",
            "decnet:x:998:997::/var/lib/decnet:/bin/bash",
            "decnet:x:1001:997::/var/lib/decnet:/usr/sbin/nologin",
            "decnet:x",
        ] {
            assert!(!is_made_user(&line(another)), "{another}");
        }
        assert!(is_made_group(&line("decnet:x:997:")));
        for another in ["netops:x:1002:", "decnet:x:997:joe", "root:x:0:", "decnet"] {
            assert!(!is_made_group(&line(another)), "{another}");
        }
    }
}
