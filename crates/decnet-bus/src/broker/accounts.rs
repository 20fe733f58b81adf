//! The ids of local groups and users.
//!
//! Only `/etc/group` and `/etc/passwd` are read, not LDAP or other sources: the accounts of a daemon are local.

use rustix::fs::Gid;

const GROUPS: &str = "/etc/group";
const USERS: &str = "/etc/passwd";

/// Returns the gid of a group; `None` if there is no such group.
pub(super) fn group(name: &str) -> std::io::Result<Option<Gid>> {
    Ok(id_of(&read(GROUPS)?, name).map(Gid::from_raw))
}

/// Returns the uid of a user, given by name or uid; `None` if there is no such name.
pub(super) fn user(name: &str) -> std::io::Result<Option<u32>> {
    match name.parse() {
        Ok(uid) => Ok(Some(uid)),
        Err(_) => Ok(id_of(&read(USERS)?, name)),
    }
}

fn read(path: &str) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

/// Parses the id out of `group(5)` or `passwd(5)`: name, password, id and more, separated by colons.
fn id_of(file: &str, name: &str) -> Option<u32> {
    let mut lines = file.lines().map(|line| line.split(':'));
    let mut fields = lines.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    fields.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_names() {
        let file = "root:x:0:\n# decnet:x:7:\ndecnet-old:x:998:\ndecnet:x:999:joe,ann\nbroken\n";
        assert_eq!(id_of(file, "decnet"), Some(999));
        assert_eq!(id_of(file, "dec"), None);
        assert_eq!(id_of(file, "broken"), None);
    }

    #[test]
    fn a_user_is_a_name_or_a_id_of() {
        assert_eq!(user("root").unwrap(), Some(0));
        assert_eq!(user("4711").unwrap(), Some(4711));
        assert_eq!(user("no-such-user").unwrap(), None);
    }
}
