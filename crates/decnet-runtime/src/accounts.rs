//! The system's account files, `passwd(5)` and `group(5)`.
//!
//! Other sources, such as LDAP, are not read: the accounts of a daemon are local.

use std::io;

/// The path of the user database.
const USERS: &str = "/etc/passwd";
/// The path of the group database.
const GROUPS: &str = "/etc/group";

/// Returns the content of this host's `/etc/passwd`, with invalid UTF-8 replaced.
///
/// # Errors
/// The file cannot be read.
pub fn users() -> io::Result<String> {
    read(USERS)
}

/// Returns the uid of a user, given by name or uid; `None` if no user has this name.
///
/// # Errors
/// The user database cannot be read.
pub fn user_id(name: &str) -> io::Result<Option<u32>> {
    match name.parse() {
        Ok(uid) => Ok(Some(uid)),
        Err(_) => Ok(id(&users()?, name)),
    }
}

/// Returns the gid of a group; `None` if no group has this name.
///
/// # Errors
/// The group database cannot be read.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(id(&read(GROUPS)?, name))
}

/// Returns the fields of the entry with this name.
#[must_use]
pub fn entry(file: &str, name: &str) -> Option<Vec<String>> {
    lines(file).find(|fields| fields[0] == name)
}

/// Returns the uid or gid of an entry, which is the third field in both files.
#[must_use]
pub fn number(fields: &[String]) -> Option<u32> {
    fields.get(2)?.parse().ok()
}

/// Returns the uid or gid of the entry with this name.
#[must_use]
pub fn id(file: &str, name: &str) -> Option<u32> {
    number(&entry(file, name)?)
}

/// Returns the name of the user with this uid, from the content of `passwd(5)`.
#[must_use]
pub fn name(users: &str, uid: u32) -> Option<String> {
    let fields = lines(users).find(|fields| number(fields) == Some(uid))?;
    fields.into_iter().next()
}

/// Returns the absolute home directory of the user with this uid, from the content of `passwd(5)`.
#[must_use]
pub fn home(users: &str, uid: u32) -> Option<String> {
    let fields = lines(users).find(|fields| number(fields) == Some(uid))?;
    fields.get(5).filter(|home| home.starts_with('/')).cloned()
}

fn read(path: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

fn lines(file: &str) -> impl Iterator<Item = Vec<String>> {
    file.lines().map(|line| line.split(':').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\ndecnet2:x:7:8::/:/bin/sh\ndecnet:x:998:997::relative:/bin/sh\nbad\n";

    #[test]
    fn ids_are_found_by_exact_name() {
        assert_eq!(id(USERS, "decnet"), Some(998));
        assert_eq!(id(USERS, "dec"), None);
        assert_eq!(id(USERS, "bad"), None);
        let groups = "root:x:0:\n# decnet:x:7:\ndecnet-old:x:998:\ndecnet:x:999:joe,ann\nbroken\n";
        assert_eq!(id(groups, "decnet"), Some(999));
        assert_eq!(id(groups, "dec"), None);
        assert_eq!(id(groups, "broken"), None);
    }

    #[test]
    fn names_and_homes_are_found_by_uid() {
        assert_eq!((name(USERS, 998).as_deref(), name(USERS, 5)), (Some("decnet"), None));
        assert_eq!(home(USERS, 0).as_deref(), Some("/root"));
        assert_eq!(home(USERS, 998), None, "a relative path is not a home");
        assert_eq!(home(USERS, 5), None);
    }

    #[test]
    fn users_are_found_by_name_or_number() {
        assert_eq!(user_id("root").unwrap(), Some(0));
        assert_eq!(user_id("4711").unwrap(), Some(4711));
        assert_eq!(user_id("no-such-user").unwrap(), None);
    }
}
