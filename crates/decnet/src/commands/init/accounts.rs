//! The system user and group of the services.

use std::io;

use decnet_runtime::accounts::{entry, number};

use super::execute::{Executor, run, skip};
use super::layout::Layout;
use super::report::Outcome;

/// The home directory of a user that init creates.
const HOME: &str = "/var/lib/decnet";
/// The shell of a user that init creates.
const SHELL: &str = "/usr/sbin/nologin";
/// The highest uid or gid of a system account: the value of `SYS_UID_MAX` and `SYS_GID_MAX` in most distributions (login.defs(5)).
const MAX_SYSTEM_ID: u32 = 999;

/// The names of the services' user and group.
pub(super) struct Accounts<'a> {
    pub(super) layout: &'a Layout,
    pub(super) user: &'a str,
    pub(super) group: &'a str,
}

impl Accounts<'_> {
    /// Returns the uid; `None` if an image does not have the user yet.
    ///
    /// # Errors
    /// The user does not exist on the running system.
    pub(super) fn user(&self) -> io::Result<Option<u32>> {
        self.number("passwd", self.user)
    }

    /// Returns the gid; `None` if an image does not have the group yet.
    ///
    /// # Errors
    /// The group does not exist on the running system.
    pub(super) fn group(&self) -> io::Result<Option<u32>> {
        self.number("group", self.group)
    }

    fn number(&self, file: &str, name: &str) -> io::Result<Option<u32>> {
        let found = self.look_up(file, name)?.as_deref().and_then(number);
        if found.is_none() && self.layout.root.is_live() {
            return Err(io::Error::other(format!(
                "{name} is not in /etc/{file}; create it, then run this again"
            )));
        }
        Ok(found)
    }

    fn look_up(&self, file: &str, name: &str) -> io::Result<Option<Vec<String>>> {
        let text = self.layout.root.read(&self.layout.root.below(&format!("/etc/{file}")))?;
        Ok(text.and_then(|text| entry(&text, name)))
    }

    /// Creates the user and the group if they do not exist.
    pub(super) fn create(&self, executor: &Executor<'_>) -> io::Result<Outcome> {
        let has_group = self.look_up("group", self.group)?.is_some();
        let has_user = self.look_up("passwd", self.user)?.is_some();
        if has_group && has_user {
            return skip("exist already");
        }
        if !self.layout.root.is_live() {
            return skip("systemd-sysusers creates them when the image boots");
        }
        executor.act("created", || {
            if !has_group {
                run("groupadd", &["--system", self.group])?;
            }
            if !has_user {
                let home = ["--home-dir", HOME, "--no-create-home", "--shell", SHELL];
                let group = ["--system", "--gid", self.group];
                run("useradd", &[&group[..], &home, &[self.user]].concat())?;
            }
            Ok(())
        })
    }

    /// Removes the user and the group if they look like those that init creates. Keeps a user that existed before, and a group
    /// with members.
    pub(super) fn remove(&self, executor: &Executor<'_>) -> io::Result<Outcome> {
        if !self.layout.root.is_live() {
            return skip("not in an image");
        }
        if !self.look_up("passwd", self.user)?.as_deref().is_some_and(is_created_user) {
            return skip("do not exist, or differ from those that init creates");
        }
        executor.act("removed", || {
            run("userdel", &[self.user])?;
            // userdel also removes the group if it is the user's primary group.
            if self.look_up("group", self.group)?.as_deref().is_some_and(is_created_group) {
                run("groupdel", &[self.group])?;
            }
            Ok(())
        })
    }
}

/// Returns whether an entry of `passwd(5)` looks like that of a user created by init.
fn is_created_user(fields: &[String]) -> bool {
    is_system_account(fields) && fields.get(5..) == Some(&[HOME.to_owned(), SHELL.to_owned()])
}

/// Returns whether an entry of `group(5)` looks like that of a group created by init and has no members.
fn is_created_group(fields: &[String]) -> bool {
    is_system_account(fields) && fields.get(3).is_some_and(String::is_empty)
}

fn is_system_account(fields: &[String]) -> bool {
    number(fields).is_some_and(|number| (1..=MAX_SYSTEM_ID).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accounts_as_init_creates_them_are_removable() {
        let line = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_created_user(&line("decnet:x:998:997::/var/lib/decnet:/usr/sbin/nologin")));
        for another in [
            "root:x:0:0:root:/root:/bin/bash",
            "joe:x:1000:1000::/home/joe:/bin/bash",
            "decnet:x:998:997::/opt/decnet:/usr/sbin/nologin",
            "decnet:x:998:997::/var/lib/decnet:/bin/bash",
            "decnet:x:1001:997::/var/lib/decnet:/usr/sbin/nologin",
            "decnet:x",
        ] {
            assert!(!is_created_user(&line(another)), "{another}");
        }
        assert!(is_created_group(&line("decnet:x:997:")));
        for another in ["netops:x:1002:", "decnet:x:997:joe", "root:x:0:", "decnet"] {
            assert!(!is_created_group(&line(another)), "{another}");
        }
    }
}
