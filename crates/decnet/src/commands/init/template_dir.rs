//! Reading of the unit templates in a directory: every `decnet-*.service.j2`.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, ensure};
use decnet_core::limits::{MAX_UNIT_TEMPLATE_BYTES, MAX_UNIT_TEMPLATES};

use super::validate;
use crate::trust::{Given, Refused, Trust, read_at_most};

/// The names of templates with their texts, or the reason why a template cannot be used.
pub(super) type TemplateTexts = Vec<(String, Result<String, String>)>;

/// Reads at most [`MAX_UNIT_TEMPLATES`] templates of at most [`MAX_UNIT_TEMPLATE_BYTES`] bytes each; if `trust` is given, only
/// trusted files.
///
/// # Errors
/// The directory cannot be read, or contains more templates.
pub(super) fn units(directory: &Path, trust: Option<&Trust>) -> anyhow::Result<TemplateTexts> {
    let shown = directory.display();
    let entries = std::fs::read_dir(directory).with_context(|| {
        format!("cannot read the templates in {shown}; --templates must name a directory")
    })?;
    let mut templates = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("decnet-") || !name.ends_with(".service.j2") {
            continue;
        }
        ensure!(
            templates.len() < MAX_UNIT_TEMPLATES,
            "{shown} contains more than {MAX_UNIT_TEMPLATES} templates; check that --templates names the right directory"
        );
        let service = name.trim_end_matches(".j2");
        let text = validate::service(service).and_then(|()| read(&directory.join(&name), trust));
        // An invalid name is only displayed.
        let name = if validate::service(service).is_ok() { name } else { name.escape_debug().to_string() };
        templates.push((name, text));
    }
    Ok(templates)
}

fn read(path: &Path, trust: Option<&Trust>) -> Result<String, String> {
    let bytes = MAX_UNIT_TEMPLATE_BYTES;
    let text = match trust {
        Some(trust) => trust.read(path, Given::Named, bytes).map(|read| read.text),
        None => File::open(path).and_then(|file| read_at_most(file, bytes)).map_err(Refused::from),
    };
    text.map_err(|error| format!("{} cannot be used: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn templates_with_invalid_names_or_untrusted_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let good = ["decnet-a.service.j2", "decnet-others.service.j2"];
        for name in good.iter().chain(&["decnet-a b.service.j2", "decnet-a\"\n.service.j2", "a.service.j2"]) {
            write(dir.path().join(name), "text").unwrap();
            set_permissions(dir.path().join(name), Permissions::from_mode(0o644)).unwrap();
        }
        set_permissions(dir.path().join(good[1]), Permissions::from_mode(0o646)).unwrap();
        let trust = Trust::default();
        for (trust, are_read) in [(None, [true, true]), (Some(&trust), [true, false])] {
            let mut templates = units(dir.path(), trust).unwrap();
            templates.sort();
            let texts: Vec<_> = templates.iter().map(|(name, text)| (name.as_str(), text.is_ok())).collect();
            let refused = [("decnet-a b.service.j2", false), ("decnet-a\\\"\\n.service.j2", false)];
            let good = [(good[0], are_read[0]), (good[1], are_read[1])];
            assert_eq!(texts, [refused[0], good[0], refused[1], good[1]]);
        }
    }
}
