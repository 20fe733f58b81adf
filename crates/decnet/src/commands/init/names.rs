//! What may stand in a unit file: it has a syntax of its own, and a name must not become part of it.

use std::path::{Component, Path};

use decnet_core::limits::MAX_UNIT_NAME_BYTES;

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

/// The name of a service's unit. It goes into units, polkit rules and command lines.
///
/// # Errors
/// Not `decnet-NAME.service` with letters, digits and `_.-` for NAME, or longer than systemd takes.
pub(super) fn service(name: &str) -> Result<(), String> {
    let inner =
        name.strip_prefix("decnet-").and_then(|rest| rest.strip_suffix(".service")).unwrap_or_default();
    let begins = inner.starts_with(|c: char| c.is_ascii_alphanumeric());
    let goes_on = inner.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if begins && goes_on && name.len() <= MAX_UNIT_NAME_BYTES {
        return Ok(());
    }
    Err(format!(
        "a service is called decnet-NAME.service, where NAME begins with a letter or digit and has letters, digits and _.- only, \
         in at most {MAX_UNIT_NAME_BYTES} bytes"
    ))
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
    fn name_of_a_service_is_plain() {
        for good in ["decnet-bus.service", "decnet-campaign-clusterer.service", "decnet-a_1.b.service"] {
            assert_eq!(service(good), Ok(()), "{good}");
        }
        let long = format!("decnet-{}.service", "a".repeat(300));
        for bad in [
            "decnet-.service",
            "decnet--x.service",
            "decnet-a b.service",
            "decnet-a\nb.service",
            "decnet-a\";x.service",
            "decnet-a@.service",
            "decnet-ä.service",
            "decnet-a%n.service",
            "other-a.service",
            "decnet-a.socket",
            &long,
        ] {
            assert!(service(bad).is_err(), "{bad:?}");
        }
    }

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
