//! The configuration as it was found, with everything that is wrong with it.

use super::layers::Layers;
use super::{Config, Inputs, Setting, data_dir, show};
use crate::trust::Trust;

/// The configuration as found, right or wrong: where a value is wrong its default stands in.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) config: Config,
    /// What is in force, in the order of the table.
    pub(crate) settings: Vec<Setting>,
    /// What must be mended before anything starts.
    pub(crate) problems: Vec<String>,
    /// What deserves a word.
    pub(crate) warnings: Vec<String>,
    /// Files that the services get settings from and that are not used here, and why.
    closed: Vec<String>,
    /// Variables that name a proxy, with where each is set.
    proxies: Vec<String>,
    /// Secrets in the INI file that other users can read.
    exposed: Vec<String>,
    /// Whose files are trusted.
    pub(super) trust: Trust,
}

impl Found {
    /// Warns of settings that are in force for the services alone: a command would work on other files than they do.
    pub(crate) fn warn_of_closed_files(&mut self) {
        self.warnings.append(&mut self.closed);
    }

    /// Warns of what other users can read: secrets in the INI file, and the data directory.
    pub(crate) fn warn_of_exposure(&mut self) {
        self.warnings.append(&mut self.exposed);
        self.warnings.extend(data_dir::exposure(&self.config.data_dir, &self.trust));
    }

    /// Warns of proxies that the environment names and requests do not use. Without their URLs, which may hold passwords.
    pub(crate) fn warn_of_proxies(&mut self) {
        if self.proxies.is_empty() {
            return;
        }
        let (names, verb) = (self.proxies.join(", "), if self.proxies.len() == 1 { "is" } else { "are" });
        self.warnings.push(format!(
            "{names} {verb} set and ignored: requests go to their receivers directly, which a firewall may not allow"
        ));
        self.proxies.clear();
    }
}

/// Reads the whole configuration, to the end, whatever is wrong with it.
pub(crate) fn find(inputs: &Inputs) -> Found {
    let mut layers = Layers::gather(inputs);
    let config = Config::read(&mut layers, inputs);
    config.check(&mut layers);
    let settings = show::settings(&layers, &config);
    let Layers { problems, warnings, closed, exposed, proxies, trust, .. } = layers;
    let proxies = proxies.iter().map(|(name, source)| format!("{name} ({source})")).collect();
    Found { config, settings, problems, warnings, closed, exposed, proxies, trust }
}
