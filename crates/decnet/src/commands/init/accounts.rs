//! The system user and group that the services run as.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::carry_out::run;
use super::layout::Layout;
use super::report::Outcome;

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
        let found = self.look_up(file, name)?;
        if found.is_none() && self.layout.is_live() {
            return Err(io::Error::other(format!(
                "{name} is not in /etc/{file}; make it, then run this again"
            )));
        }
        Ok(found)
    }

    fn look_up(&self, file: &str, name: &str) -> io::Result<Option<u32>> {
        match fs::read(self.layout.below(&format!("/etc/{file}"))) {
            Ok(text) => Ok(number_in(&String::from_utf8_lossy(&text), name)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
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
            let home = ["--home-dir", "/var/lib/decnet", "--no-create-home", "--shell", "/usr/sbin/nologin"];
            let group = ["--system", "--gid", self.group];
            let made = run("useradd", &words(&[&group[..], &home, &[self.user]].concat()))?;
            if matches!(made, Outcome::Failed(_)) {
                return Ok(made);
            }
        }
        Ok(Outcome::Done("made".into()))
    }

    /// Removes both; a group that other users have stays.
    pub(super) fn remove(&self, dry_run: bool) -> io::Result<Outcome> {
        if !self.layout.is_live() {
            return Ok(Outcome::Skipped("not in an image".into()));
        }
        if self.user == "root" || self.look_up("passwd", self.user)?.is_none() {
            return Ok(Outcome::Skipped("are not there, or not ours".into()));
        }
        if dry_run {
            return Ok(Outcome::Done("would be removed".into()));
        }
        let removed = run("userdel", &words(&[self.user]))?;
        if matches!(removed, Outcome::Failed(_)) {
            return Ok(removed);
        }
        // userdel takes the group along where it is the user's own.
        if self.look_up("group", self.group)?.is_some() {
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

/// `passwd(5)` and `group(5)` both have the name first and the number third.
fn number_in(file: &str, name: &str) -> Option<u32> {
    let mut lines = file.lines().map(|line| line.split(':'));
    let mut fields = lines.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    fields.nth(1)?.parse().ok()
}

/// Are we root?
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Homes are hidden from the services.
pub(super) fn is_hidden(path: &str) -> bool {
    ["/home", "/root", "/run/user"].iter().any(|home| Path::new(path).starts_with(home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_whole_names() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\ndecnet2:x:7:8::/:/bin/sh\ndecnet:x:998:997::/:/bin/sh\nbad\n";
        assert_eq!(number_in(passwd, "decnet"), Some(998));
        assert_eq!(number_in(passwd, "dec"), None);
        assert_eq!(number_in(passwd, "bad"), None);
    }

    #[test]
    fn homes_are_hidden_and_what_only_looks_like_them_is_not() {
        assert!(is_hidden("/home/joe/decnet") && is_hidden("/root/.cargo/bin/decnet"));
        assert!(!is_hidden("/homes/decnet") && !is_hidden("/opt/decnet"));
    }
}
