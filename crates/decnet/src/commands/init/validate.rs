//! Validation of paths and names for unit files, so that they cannot be interpreted as syntax.

use std::path::{Component, Path};

use decnet_core::limits::MAX_UNIT_NAME_BYTES;

/// The maximum length, in characters, of the name of a user or a group (`useradd(8)`).
const MAX_NAME: usize = 32;

/// Validates a path for use in unit files without quoting.
///
/// # Errors
/// The path is not absolute, contains `..`, or contains a character that is special to systemd or a shell.
pub(super) fn path(what: &str, path: &Path) -> Result<String, String> {
    let text = path.to_str().ok_or_else(|| format!("{what} {} is not valid UTF-8", path.display()))?;
    if !path.is_absolute() {
        return Err(format!("{what} must be an absolute path, not `{text}`"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("{what} `{text}` must not contain `..`"));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"/._-+@".contains(*c)) {
        return Err(format!(
            "{what} `{text}` contains {bad:?}; unit files allow only letters, digits and /._-+@ without quoting"
        ));
    }
    Ok(if text.len() > 1 { text.trim_end_matches('/') } else { text }.to_owned())
}

/// Validates the name of a service's unit, which is used in units, polkit rules and command lines.
///
/// # Errors
/// The name is not `decnet-NAME.service` with letters, digits and `_.-` in NAME, or too long for systemd.
pub(super) fn service(name: &str) -> Result<(), String> {
    let inner =
        name.strip_prefix("decnet-").and_then(|rest| rest.strip_suffix(".service")).unwrap_or_default();
    let has_valid_start = inner.starts_with(|c: char| c.is_ascii_alphanumeric());
    let has_valid_rest = inner.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if has_valid_start && has_valid_rest && name.len() <= MAX_UNIT_NAME_BYTES {
        return Ok(());
    }
    Err(format!(
        "a service must be named decnet-NAME.service, where NAME begins with a letter or digit and contains only letters, digits \
         and _.-, at most {MAX_UNIT_NAME_BYTES} bytes in all"
    ))
}

/// Validates the name of a user or a group.
///
/// # Errors
/// `useradd(8)` would not accept the name.
pub(super) fn account(what: &str, name: &str) -> Result<String, String> {
    let has_valid_start = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let has_valid_rest =
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    if has_valid_start && has_valid_rest && name.len() <= MAX_NAME {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{what} `{name}` is not a valid name: it must begin with a-z or _, contain only a-z, 0-9, _ and -, and have at most \
         {MAX_NAME} characters"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_contain_no_special_characters() {
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
    fn special_characters_in_paths_and_names_are_refused() {
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
