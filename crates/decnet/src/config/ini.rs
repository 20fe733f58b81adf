//! A parser of the INI file in the dialect of Python's `configparser`, as DECNET's files are written: `=` or `:`
//! after a key, `#` and `;` comments on their own line or after a space, case-insensitive keys.

use super::layers::Layers;
use super::{Mode, keys};

/// The prefix of environment variables.
const PREFIX: &str = "DECNET_";

/// Sections in which unknown keys are reported. Other sections belong to other programs.
const SHARED_SECTIONS: [&str; 4] = ["api", "database", "bus", "tracing"];

/// One `key = value`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) section: &'a str,
    /// The key, in lower case.
    pub(crate) key: String,
    pub(crate) value: &'a str,
    /// The line number, from 1.
    pub(crate) line: usize,
}

impl Entry<'_> {
    /// Adds the value as the value of the setting `name`. `%%` is an escaped `%`, as in `configparser`.
    fn offer(&self, layers: &mut Layers, path: &str, name: &str) {
        layers.offer_from_ini(name, &self.value.replace("%%", "%"), &format!("{path}:{}", self.line));
    }
}

/// Parses a file into its entries and the numbers of its invalid lines, from 1.
pub(crate) fn parse(text: &str) -> (Vec<Entry<'_>>, Vec<usize>) {
    let (mut entries, mut bad, mut section) = (Vec::new(), Vec::new(), "");
    for (line, content) in (1..).zip(text.lines().map(without_comment)) {
        if content.is_empty() {
            continue;
        }
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((key, value)) = content.split_once(['=', ':']) {
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            entries.push(Entry { section, key, value, line });
        } else {
            bad.push(line);
        }
    }
    (entries, bad)
}

fn without_comment(line: &str) -> &str {
    let starts_comment = |at: usize| line[..at].is_empty() || line[..at].ends_with(char::is_whitespace);
    let end = line.match_indices(['#', ';']).map(|(at, _)| at).find(|at| starts_comment(*at));
    line[..end.unwrap_or(line.len())].trim()
}

/// Adds the file's settings to the layers: first `[decnet]`, which may set the mode, then the section of that mode, then
/// the other sections.
pub(crate) fn offer(layers: &mut Layers, path: &str, text: &str) {
    let (entries, bad) = parse(text);
    for line in bad {
        layers.problems.push(format!("{path}:{line}: not a [section], a `key = value` or a comment"));
    }
    offer_section(layers, path, &entries, "decnet");
    let mode = match layers.text(keys::MODE.info.name).map(keys::MODE.read) {
        Some(Ok(Mode::Agent)) => "agent",
        _ => "master",
    };
    offer_section(layers, path, &entries, mode);
    entries.iter().for_each(|entry| offer_domain(layers, path, entry));
}

/// Adds the settings of a section whose keys name them: `foo-bar` is `DECNET_FOO_BAR`.
fn offer_section(layers: &mut Layers, path: &str, entries: &[Entry<'_>], section: &str) {
    for entry in entries.iter().filter(|entry| entry.section == section) {
        let name = format!("{PREFIX}{}", entry.key.replace('-', "_").to_ascii_uppercase());
        entry.offer(layers, path, &name);
    }
}

/// Adds a setting that has a key in a section of its own. Warns about unknown keys that would be silently ignored.
fn offer_domain(layers: &mut Layers, path: &str, entry: &Entry<'_>) {
    let Entry { section, key, line, .. } = entry;
    if let Some(info) = keys::ALL.iter().find(|info| info.ini == Some((section, key))) {
        entry.offer(layers, path, info.name);
    } else if SHARED_SECTIONS.contains(section) {
        layers.warnings.push(format!("{path}:{line}: unknown key [{section}] {key}, ignored"));
    } else if *section == "webhook" {
        layers
            .warnings
            .push(format!("{path}:{line}: there is no section [webhook]; write `webhook-{key}` in [decnet]"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_delimiters_and_key_case_are_parsed() {
        let text =
            "; all\n# of it\n[bus]  # the bus\nSocket = /run/a#b.sock ; place\ntype: unix\n\nempty =\n";
        let (entries, bad) = parse(text);
        let shown: Vec<_> = entries.iter().map(|e| (e.section, e.key.as_str(), e.value, e.line)).collect();
        assert_eq!(
            shown,
            [("bus", "socket", "/run/a#b.sock", 4), ("bus", "type", "unix", 5), ("bus", "empty", "", 7)]
        );
        assert_eq!(bad, [0; 0]);
        assert_eq!(parse("[a]\nwhat is this\n").1, [2]);
    }
}
