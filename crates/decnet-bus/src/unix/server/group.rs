//! The number of a group.

use rustix::fs::Gid;

const GROUP_FILE: &str = "/etc/group";

/// Looks `name` up in the system's local groups; `None` where there is no such group.
///
/// Only `/etc/group` is read, not LDAP and the like: the group of a daemon is local.
pub(super) fn find(name: &str) -> std::io::Result<Option<Gid>> {
    let file = std::fs::read(GROUP_FILE)?;
    Ok(find_in(&String::from_utf8_lossy(&file), name))
}

/// `group(5)`: name, password, number and members, parted by colons.
fn find_in(file: &str, name: &str) -> Option<Gid> {
    let mut lines = file.lines().map(|line| line.split(':'));
    let mut fields = lines.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    fields.nth(1)?.parse().ok().map(Gid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_group_by_its_whole_name() {
        let file = "root:x:0:\n# decnet:x:7:\ndecnet-old:x:998:\ndecnet:x:999:joe,ann\nbroken\n";
        assert_eq!(find_in(file, "decnet"), Some(Gid::from_raw(999)));
        assert_eq!(find_in(file, "dec"), None);
        assert_eq!(find_in(file, "broken"), None);
    }
}
