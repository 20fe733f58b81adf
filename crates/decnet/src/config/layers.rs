//! The sources of settings, in descending precedence: arguments, environment, the services' units, INI file, `.env.local`,
//! `.env`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use decnet_core::limits::MAX_SETTINGS_FILE_BYTES;
use decnet_core::text::BYTE_ORDER_MARK;

use super::dotenv::{self, Dialect, Entry};
use super::keys::{self, Disclosure, Info, Key};
use super::types::boolean;
use super::{ini, services};
use crate::trust::{Given, Refused, Text, Trust};

/// The prefix of names that only this program uses: an unknown name is an error.
const OWN_PREFIX: &str = "DECNET_WEBHOOK_";
/// The INI file that is read if no other is named.
const DEFAULT_INI: &str = "/etc/decnet/decnet.ini";
/// The source of values from the command line.
pub(super) const ARGUMENT: &str = "argument";
/// The path that means "no INI file". Its owner and mode do not matter, since nothing is read.
const NO_INI: &str = "/dev/null";
/// Files in the working directory, in descending precedence.
pub(super) const DOTENV_FILES: [&str; 2] = [".env.local", ".env"];

/// Variables, in upper or lower case, that set a proxy for other programs. This program ignores them and has a setting of its
/// own.
const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// The process's environment and arguments. Configuration reads nothing else of the process's state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    /// The environment variables whose names are UTF-8, with invalid bytes of values replaced.
    pub(crate) environment: BTreeMap<String, String>,
    /// The value of `--config`.
    pub(crate) ini: Option<PathBuf>,
    /// The value of `--data-dir`.
    pub(crate) data_dir: Option<PathBuf>,
    /// The systemd unit files of the services, in descending precedence. Empty if this process is a service, because systemd
    /// has put their settings into its environment.
    pub(crate) units: Vec<PathBuf>,
    /// The directory of `.env.local` and `.env`.
    pub(crate) working_dir: PathBuf,
    /// What the command uses.
    pub(crate) uses: Uses,
    /// The users whose files are trusted.
    pub(crate) trust: Trust,
}

/// What a command uses, which determines what is read and what causes a warning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Uses {
    /// Whether the command opens the configured catalog.
    pub(crate) catalog: bool,
    /// Whether the command serves or checks the API. Other commands do not read its secret and its origins.
    pub(crate) api: bool,
    /// Whether the command sends requests to receivers, or checks commands that do. Requests ignore proxy variables, which
    /// therefore cause a warning.
    pub(crate) requests: bool,
    /// Whether the command works on data that may belong to the services. If their settings files cannot be used, there is a
    /// warning: the command may work on other data than the services.
    pub(crate) services_data: bool,
    /// Whether secrets that other users can read cause a warning.
    pub(crate) secrets: bool,
    /// Whether the data directory is temporary if none is configured.
    pub(crate) temporary_data: bool,
}

/// The value of every name and its source, from the source with the highest precedence, and the problems found.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    values: BTreeMap<String, (String, String)>,
    pub(crate) problems: Vec<String>,
    pub(crate) warnings: Vec<String>,
    /// Variables that name a proxy, each with its source. Their values may contain passwords.
    proxies: BTreeMap<String, String>,
    /// Warnings about secrets in the INI file that other users can read.
    pub(crate) exposed: Vec<String>,
    /// The other users who can read the INI file.
    ini_readers: Option<&'static str>,
    pub(super) trust: Trust,
}

impl Layers {
    /// Reads all layers, in order.
    pub(crate) fn gather(inputs: &Inputs) -> Self {
        let mut layers = Self { trust: inputs.trust.clone(), ..Self::default() };
        if let Some(data_dir) = &inputs.data_dir {
            layers.offer(keys::DATA_DIR.info.name, &data_dir.to_string_lossy(), ARGUMENT);
        }
        if let Some(ini) = &inputs.ini {
            layers.offer(keys::CONFIG.info.name, &ini.to_string_lossy(), ARGUMENT);
        }
        for (name, value) in &inputs.environment {
            layers.offer(name, value, "environment");
        }
        layers.offer_units(&inputs.units, inputs.uses.services_data);
        layers.offer_ini();
        for file in DOTENV_FILES {
            layers.offer_dotenv(&inputs.working_dir.join(file), is_service(inputs));
        }
        layers.find_unknown();
        if inputs.uses.requests {
            layers.warn_of_proxies();
        }
        layers
    }

    /// Adds a value unless a layer of higher precedence has one. A value of only whitespace counts as unset: compose files and
    /// units pass unset variables that way.
    pub(crate) fn offer(&mut self, name: &str, value: &str, source: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        if PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name)) {
            self.proxies.entry(name.to_owned()).or_insert_with(|| source.to_owned());
        }
        if name == "no_proxy" {
            return self.offer(keys::SHARED_NO_PROXY.info.name, value, source);
        }
        if name.starts_with("DECNET_") || name == keys::SHARED_NO_PROXY.info.name {
            self.values.entry(name.to_owned()).or_insert_with(|| (value.to_owned(), source.to_owned()));
        }
    }

    /// Adds a value of the INI file, and a warning if it is a secret that other users can read.
    pub(crate) fn offer_from_ini(&mut self, name: &str, value: &str, place: &str) {
        let mut secrets = keys::ALL.iter().filter(|info| info.disclosure == Disclosure::Never);
        if let Some(readers) = self.ini_readers
            && !value.is_empty()
            && secrets.any(|info| info.name == name)
        {
            self.exposed.push(format!(
                "{name} ({place}) is a secret, and {readers} can read that file; restrict its mode, or move the secret \
                 to .env.local"
            ));
        }
        self.offer(name, value, place);
    }

    /// Returns the text of a setting, if any layer has it.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(text, _)| text.as_str())
    }

    /// Returns the source of a setting's value: `argument`, `environment`, the path and line of a file, or `default`.
    pub(crate) fn source(&self, name: &str) -> &str {
        self.values.get(name).map_or("default", |(_, source)| source)
    }

    /// Parses a setting that may be unset. An invalid value is recorded as a problem and counts as unset.
    pub(crate) fn find<T>(&mut self, key: &Key<T>) -> Option<T> {
        let info = &key.info;
        let (text, source) = self.values.get(info.name)?;
        let read = (key.read)(text).map_err(|why| {
            self.problems.push(format!("{} ({source}) {}", info.name, redacted_reason(info, why)));
        });
        read.ok()
    }

    /// Parses a setting that has a default.
    pub(crate) fn read<T>(&mut self, key: &Key<T>) -> T {
        self.find(key).unwrap_or_else(|| (key.read)(key.info.default).expect("a test parses every default"))
    }

    /// Parses a flag. DECNET reads each text as one of the two values, so there is a warning if it is neither.
    pub(crate) fn read_flag(&mut self, key: &Key<bool>) -> bool {
        let (name, value) = (key.info.name, self.read(key));
        if let Some((text, source)) = self.values.get(name)
            && boolean(text).is_err()
        {
            self.warnings.push(format!(
                "{name} ({source}) is `{text}`, which is read as {value}, as in DECNET; write true or false"
            ));
        }
        value
    }

    fn offer_ini(&mut self) {
        let named = self.find(&keys::CONFIG);
        let path = named.as_deref().unwrap_or(Path::new(DEFAULT_INI));
        if path == Path::new(NO_INI) {
            return;
        }
        match self.trust.read(path, Given::Named, MAX_SETTINGS_FILE_BYTES) {
            Ok(Text { text, mode }) => {
                self.ini_readers = other_readers(mode);
                let text = self.without_mark(path, &text, Dialect::Python);
                ini::offer(self, &path.to_string_lossy(), text);
            }
            Err(error) if named.is_some() => {
                self.problems.push(format!("cannot use {}: {error}", path.display()));
            }
            Err(refused) => self.warn_of_unused(path, &refused),
        }
    }

    /// Adds the settings of the units. As in systemd, `EnvironmentFile=` has precedence over `Environment=`. With `warns`,
    /// a file that cannot be used causes a warning.
    fn offer_units(&mut self, units: &[PathBuf], warns: bool) {
        let read = |path: &PathBuf| Some((path.clone(), std::fs::read_to_string(path).ok()?));
        let units: Vec<_> = units.iter().filter_map(read).collect();
        for path in services::files(&units) {
            let (shown, unused) = (path.display(), "its settings for the services are not used here");
            let unusable = match self.trust.read(path, Given::Named, MAX_SETTINGS_FILE_BYTES) {
                Ok(Text { text, .. }) => {
                    self.offer_lines(path, &text, Dialect::Systemd);
                    continue;
                }
                Err(Refused::Io(error)) if error.kind() == ErrorKind::NotFound => continue,
                Err(Refused::Io(error)) => format!("{shown} cannot be read: {error}; {unused}; use sudo"),
                Err(Refused::Untrusted(why)) => format!("ignoring {shown}: {why}; {unused}"),
            };
            self.warnings.extend(warns.then_some(unusable));
        }
        for (unit, line, name, value) in services::variables(&units) {
            self.offer(name, value, &format!("{}:{line}", unit.display()));
        }
    }

    /// Adds the settings of a `.env` file. There is no warning if a service may not read the file: systemd has read it.
    fn offer_dotenv(&mut self, path: &Path, is_service: bool) {
        match self.trust.read(path, Given::Found, MAX_SETTINGS_FILE_BYTES) {
            Ok(Text { text, .. }) => self.offer_lines(path, &text, Dialect::Python),
            Err(Refused::Io(error))
                if error.kind() == ErrorKind::PermissionDenied && (is_service || is_hidden(path)) => {}
            Err(refused) => self.warn_of_unused(path, &refused),
        }
    }

    /// Adds the settings in the lines of a file. If a name is repeated, its last value is used, as in systemd and python-dotenv.
    pub(super) fn offer_lines(&mut self, path: &Path, text: &str, dialect: Dialect) {
        let (entries, bad) = dotenv::parse(self.without_mark(path, text, dialect), dialect);
        for (at, entry) in entries.iter().enumerate() {
            let place = format!("{}:{}", path.display(), entry.line);
            let later = entries[at + 1..].iter().rfind(|later| later.name == entry.name);
            self.warn_of_entry(&place, entry, later);
            if later.is_none() {
                self.offer(&entry.name, &entry.value, &place);
            }
        }
        for line in bad {
            self.warnings.push(format!("{}:{line}: not `NAME=value`, ignored", path.display()));
        }
    }

    fn warn_of_entry(&mut self, place: &str, entry: &Entry, later: Option<&Entry>) {
        if !entry.name.starts_with("DECNET_") {
            return;
        }
        if let Some(Entry { name, line, .. }) = later {
            self.warnings
                .push(format!("{place}: {name} is set again on line {line}, which takes precedence"));
        }
        if entry.takes_comment {
            self.warnings.push(format!(
                "{place}: systemd reads ` #` as part of the value; put the comment on its own line"
            ));
        }
        if entry.value.contains("${") {
            self.warnings.push(format!("{place}: `${{…}}` is not expanded; write the value itself"));
        }
    }

    /// Skips a byte order mark, which would be part of the first line. systemd does not skip it.
    fn without_mark<'a>(&mut self, path: &Path, text: &'a str, dialect: Dialect) -> &'a str {
        let Some(rest) = text.strip_prefix(BYTE_ORDER_MARK) else { return text };
        let (text, consequence) = match dialect {
            Dialect::Python => (rest, "which DECNET and systemd do not skip"),
            Dialect::Systemd => (text, "so systemd ignores its first line"),
        };
        let path = path.display();
        self.warnings.push(format!(
            "{path} begins with a byte order mark (U+FEFF), {consequence}; save it without the mark"
        ));
        text
    }

    /// Warns about a file in a default location that is not used, unless it does not exist.
    fn warn_of_unused(&mut self, path: &Path, refused: &Refused) {
        let path = path.display();
        match refused {
            Refused::Io(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Refused::Io(error) => {
                self.warnings.push(format!("cannot read {path}: {error}; its settings are not used"));
            }
            Refused::Untrusted(why) => self.warnings.push(format!("ignoring {path}: {why}")),
        }
    }

    /// Warns about proxy variables unless this program has a proxy of its own. Omits the URLs, which may contain passwords.
    fn warn_of_proxies(&mut self) {
        let own = [keys::PROXY.info.name, keys::PROXY_FILE.info.name];
        if own.iter().any(|name| self.text(name).is_some()) {
            return;
        }
        let proxies: Vec<_> =
            self.proxies.iter().map(|(name, source)| format!("{name} ({source})")).collect();
        let verb = if proxies.len() == 1 { "is" } else { "are" };
        let warning = format!(
            "{} {verb} set and ignored; to reach receivers through a proxy, set DECNET_WEBHOOK_PROXY",
            proxies.join(", ")
        );
        self.warnings.extend((!proxies.is_empty()).then_some(warning));
    }

    fn find_unknown(&mut self) {
        let is_known = |name: &str| keys::ALL.iter().any(|info| info.name == name);
        let unknown = |name: &&String| name.starts_with(OWN_PREFIX) && !is_known(name);
        for name in self.values.keys().filter(unknown).cloned().collect::<Vec<_>>() {
            let hint = nearest(&name).map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
            let source = self.source(&name);
            self.problems.push(format!("{name} ({source}) is not a setting of decnet{hint}"));
        }
    }
}

/// Returns which other users can read a file with these permission bits.
fn other_readers(mode: u32) -> Option<&'static str> {
    match mode {
        mode if mode & 0o004 != 0 => Some("every user of this host"),
        mode if mode & 0o040 != 0 => Some("its group"),
        _ => None,
    }
}

/// Returns whether systemd started this process, which sets `INVOCATION_ID` (systemd.exec(5)).
fn is_service(inputs: &Inputs) -> bool {
    inputs.environment.contains_key("INVOCATION_ID")
}

/// Returns whether the directory is not searchable, so that the file's existence is unknown.
fn is_hidden(path: &Path) -> bool {
    path.symlink_metadata().is_err()
}

/// Returns the reason why a value is invalid, without the value if it is a secret.
fn redacted_reason(info: &Info, why: String) -> String {
    if info.disclosure == Disclosure::Never { format!("must be {}", info.form) } else { why }
}

/// Returns the known name that is most similar to a misspelt name, if any is close enough.
fn nearest(name: &str) -> Option<&'static str> {
    let own = keys::ALL.iter().map(|info| info.name).filter(|known| known.starts_with(OWN_PREFIX));
    let candidates = own.map(|known| (strsim::levenshtein(name, known), known));
    let (distance, nearest) = candidates.min_by_key(|(distance, _)| *distance)?;
    (distance <= name.len() / 3).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_name_is_matched_to_the_nearest_setting() {
        assert_eq!(nearest("DECNET_WEBHOOK_TIMOUT"), Some("DECNET_WEBHOOK_TIMEOUT"));
        assert_eq!(nearest("DECNET_WEBHOOK_SOMETHING_ELSE_ALTOGETHER_AND_LONG"), None);
    }
}
