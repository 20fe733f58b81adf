//! What may stand in a unit file: it has a syntax of its own, and a name must not become part of it.

use std::path::{Component, Path};

/// Longest name of a user or a group (`useradd(8)`).
const MAX_NAME: usize = 32;

/// A path as unit files can hold it without quoting.
///
/// # Errors
/// Not absolute, with `..`, or with a character that systemd or a shell would read as more than itself.
pub(super) fn path(what: &str, path: &Path) -> Result<String, String> {
    let text = path.to_str().ok_or_else(|| format!("{what} {} is no UTF-8", path.display()))?;
    if !path.is_absolute() {
        return Err(format!("{what} must be an absolute path, not `{text}`"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("{what} `{text}` must not contain `..`"));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"/._-+@".contains(*c)) {
        return Err(format!(
            "{what} `{text}` has {bad:?} in it; a unit file can hold letters, digits and /._-+@ without quoting"
        ));
    }
    Ok(if text.len() > 1 { text.trim_end_matches('/') } else { text }.to_owned())
}

/// A user or a group, by name.
///
/// # Errors
/// Not what `useradd(8)` takes.
pub(super) fn account(what: &str, name: &str) -> Result<String, String> {
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let goes_on =
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    if begins && goes_on && name.len() <= MAX_NAME {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{what} `{name}` is no name: it begins with a-z or _, goes on with a-z, 0-9, _ and -, and has at most \
         {MAX_NAME} characters"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_become_syntax_is_refused() {
        for bad in
            ["opt/decnet", "/opt/a\nExecStart=/bin/sh", "/opt/a b", "/opt/%h", "/opt/../etc", "/o\"", "/é"]
        {
            assert!(path("--install-dir", Path::new(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(path("x", Path::new("/opt/decnet-2.0_x+1@y/")), Ok("/opt/decnet-2.0_x+1@y".into()));
        for bad in ["", "1a", "-a", "a b", "a\n", "ä", "A", "a:b", &"a".repeat(33)] {
            assert!(account("--user", bad).is_err(), "{bad:?}");
        }
        assert_eq!(account("--user", "_decnet-2"), Ok("_decnet-2".into()));
    }
}
