//! The generator of docs/configuration.md.

use std::fmt::Write as _;

use super::keys::{self, Disclosure, Info};

/// Returns the whole page.
pub(crate) fn page() -> String {
    let mut page = String::from(include_str!("introduction.txt"));
    let mut group = "";
    for info in keys::ALL {
        if info.group != group {
            group = info.group;
            write!(page, "\n## {group}\n").expect("writing to a string does not fail");
        }
        entry(&mut page, info).expect("writing to a string does not fail");
    }
    page
}

fn entry(page: &mut String, info: &Info) -> std::fmt::Result {
    write!(page, "\n### `{}`\n\n{}\n\n", info.name, info.meaning)?;
    writeln!(page, "- Value: {}", info.form)?;
    if !info.default.is_empty() {
        writeln!(page, "- Default: `{}`", info.default)?;
    }
    if let Some((section, key)) = info.ini {
        writeln!(page, "- INI: `[{section}] {key}`")?;
    } else if let Some(key) = info.name.strip_prefix("DECNET_")
        && info.name != keys::CONFIG.info.name
    {
        let key = key.to_ascii_lowercase().replace('_', "-");
        writeln!(page, "- INI: `[decnet] {key}`")?;
    }
    if info.disclosure == Disclosure::Never {
        writeln!(page, "- A secret: never shown")?;
    }
    writeln!(page, "- Notes: {}", info.reason)
}
