//! A parser of the system's account files, `passwd(5)` and `group(5)`.

/// The path of the user database.
const USERS: &str = "/etc/passwd";

/// Returns the content of this host's `/etc/passwd`; empty if it cannot be read.
pub(crate) fn users() -> String {
    String::from_utf8_lossy(&std::fs::read(USERS).unwrap_or_default()).into_owned()
}

/// Returns the fields of the entry with this name.
pub(crate) fn entry(file: &str, name: &str) -> Option<Vec<String>> {
    lines(file).find(|fields| fields[0] == name)
}

/// Returns the uid or gid of an entry, which is the third field in both files.
pub(crate) fn number(fields: &[String]) -> Option<u32> {
    fields.get(2)?.parse().ok()
}

/// Returns the absolute home directory of a user, by uid, from the content of `passwd(5)`.
pub(crate) fn home(users: &str, uid: u32) -> Option<String> {
    let fields = lines(users).find(|fields| number(fields) == Some(uid))?;
    fields.get(5).filter(|home| home.starts_with('/')).cloned()
}

fn lines(file: &str) -> impl Iterator<Item = Vec<String>> {
    file.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\ndecnet2:x:7:8::/:/bin/sh\ndecnet:x:998:997::relative:/bin/sh\nbad\n";

    #[test]
    fn numbers_are_found_by_whole_names() {
        let number = |name| entry(USERS, name).as_deref().and_then(number);
        assert_eq!(number("decnet"), Some(998));
        assert_eq!(number("dec"), None);
        assert_eq!(number("bad"), None);
    }

    #[test]
    fn homes_are_found_by_number() {
        assert_eq!(home(USERS, 0).as_deref(), Some("/root"));
        assert_eq!(home(USERS, 998), None, "a relative path is not a home");
        assert_eq!(home(USERS, 5), None);
    }
}
