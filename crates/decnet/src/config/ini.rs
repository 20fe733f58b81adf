//! A parser of the INI file in the dialect of Python's `configparser`, as DECNET's files are written: `=` or `:`
//! after a key, `#` and `;` comments on their own line or after a space, case-insensitive keys.

use super::layers::{Layers, Source};
use super::{Mode, keys};

/// The prefix of environment variables.
const PREFIX: &str = "DECNET_";

/// Sections in which unknown keys are reported. Other sections belong to other programs.
const SHARED_SECTIONS: [&str; 4] = ["api", "database", "bus", "tracing"];
/// The section of DECNET's web page.
const WEB: &str = "web";

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
    /// Returns the value with `%%` replaced by `%`, as the dialect requires.
    fn unescaped(&self) -> String {
        self.value.replace("%%", "%")
    }
}

/// The number, from 1, of a line that is not a comment, a section or a setting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine(pub(crate) usize);

/// Parses a file into its entries and its invalid lines.
pub(crate) fn parse(text: &str) -> (Vec<Entry<'_>>, Vec<BadLine>) {
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
            bad.push(BadLine(line));
        }
    }
    (entries, bad)
}

fn without_comment(line: &str) -> &str {
    let starts_comment = |at: usize| line[..at].is_empty() || line[..at].ends_with(char::is_whitespace);
    let end = line.match_indices(['#', ';']).map(|(at, _)| at).find(|at| starts_comment(*at));
    line[..end.unwrap_or(line.len())].trim()
}

/// Offers the file's settings to the layers: first `[decnet]`, which may set the mode, then the section of that mode, then
/// the shared sections.
pub(crate) fn offer(layers: &mut Layers, path: &str, text: &str) {
    let (entries, bad) = parse(text);
    for BadLine(line) in bad {
        layers.problem(format!("{path}:{line}: not a [section], a `key = value` or a comment"));
    }
    offer_section(layers, path, &entries, "decnet");
    let mode = match layers.text(keys::MODE.info.name).map(Mode::read) {
        Some(Ok(Mode::Agent)) => "agent",
        _ => "master",
    };
    offer_section(layers, path, &entries, mode);
    for entry in entries.iter().filter(|entry| SHARED_SECTIONS.contains(&entry.section)) {
        offer_domain(layers, path, entry);
    }
    for entry in entries.iter().filter(|entry| entry.section == WEB) {
        offer_web(layers, path, entry);
    }
    warn_of_webhook(layers, path, &entries);
}

/// Offers the one key that we use of the section of DECNET's web page.
fn offer_web(layers: &mut Layers, path: &str, entry: &Entry<'_>) {
    let info = &keys::CORS_ORIGINS.info;
    if info.ini == Some((WEB, entry.key.as_str())) {
        layers.offer(info.name, &entry.unescaped(), Source::ini(path, entry.line));
    }
}

/// Warns about a section that is a likely mistake: nothing reads it, so its settings would be silently ignored.
fn warn_of_webhook(layers: &mut Layers, path: &str, entries: &[Entry<'_>]) {
    for Entry { key, line, .. } in entries.iter().filter(|entry| entry.section == "webhook") {
        layers.warning(format!(
            "{path}:{line}: there is no section [webhook]; write `webhook-{key}` in [decnet]"
        ));
    }
}

/// Offers the settings of a section whose keys name them: `foo-bar` is `DECNET_FOO_BAR`.
fn offer_section(layers: &mut Layers, path: &str, entries: &[Entry<'_>], section: &str) {
    for entry in entries.iter().filter(|entry| entry.section == section) {
        let name = format!("{PREFIX}{}", entry.key.replace('-', "_").to_ascii_uppercase());
        layers.offer(&name, &entry.unescaped(), Source::ini(path, entry.line));
    }
}

fn offer_domain(layers: &mut Layers, path: &str, entry: &Entry<'_>) {
    let place = (entry.section, entry.key.as_str());
    if let Some(info) = keys::ALL.iter().find(|info| info.ini == Some(place)) {
        layers.offer(info.name, &entry.unescaped(), Source::ini(path, entry.line));
    } else {
        layers.warning(format!("{path}:{}: unknown key [{}] {}, ignored", entry.line, place.0, place.1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_delimiters_and_case() {
        let text =
            "; all\n# of it\n[bus]  # the bus\nSocket = /run/a#b.sock ; place\ntype: unix\n\nempty =\n";
        let (entries, bad) = parse(text);
        let shown: Vec<_> = entries.iter().map(|e| (e.section, e.key.as_str(), e.value, e.line)).collect();
        assert_eq!(
            shown,
            [("bus", "socket", "/run/a#b.sock", 4), ("bus", "type", "unix", 5), ("bus", "empty", "", 7)]
        );
        assert_eq!(bad, []);
        assert_eq!(parse("[a]\nwhat is this\n").1, [BadLine(2)]);
    }
}
