//! The configuration together with all problems and warnings found in it.

use super::layers::Layers;
use super::{Config, Inputs, Setting, data_dir, show};
use crate::trust::Trust;

/// The configuration, valid or not. Invalid values are replaced by their defaults.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) config: Config,
    /// The effective settings, in the order of the table.
    pub(crate) settings: Vec<Setting>,
    /// Errors that prevent every command from starting.
    pub(crate) problems: Vec<String>,
    /// Messages that do not prevent a start.
    pub(crate) warnings: Vec<String>,
    /// Warnings about the services' settings files that this command cannot use.
    closed: Vec<String>,
    /// Variables that name a proxy, with their sources.
    proxies: Vec<String>,
    /// Warnings about secrets in the INI file that other users can read.
    exposed: Vec<String>,
    /// The users whose files are trusted.
    pub(super) trust: Trust,
}

impl Found {
    /// Warns about settings that only the services use: this command may work on other files than the services.
    pub(crate) fn warn_of_closed_files(&mut self) {
        self.warnings.append(&mut self.closed);
    }

    /// Warns about secrets in the INI file and data directories that other users can read.
    pub(crate) fn warn_of_exposure(&mut self) {
        self.warnings.append(&mut self.exposed);
        self.warnings.extend(data_dir::exposure(&self.config.data_dir, &self.trust));
    }

    /// Warns about proxy variables, which requests ignore. Omits the URLs, which may contain passwords.
    pub(crate) fn warn_of_proxies(&mut self) {
        if self.proxies.is_empty() {
            return;
        }
        let (names, verb) = (self.proxies.join(", "), if self.proxies.len() == 1 { "is" } else { "are" });
        self.warnings.push(format!(
            "{names} {verb} set and ignored: requests go directly to their receivers, which a firewall may block"
        ));
        self.proxies.clear();
    }
}

/// Reads the whole configuration and collects all problems.
pub(crate) fn find(inputs: &Inputs) -> Found {
    let mut layers = Layers::gather(inputs);
    let config = Config::read(&mut layers, inputs);
    config.check(&mut layers, &inputs.working_dir);
    let settings = show::settings(&layers, &config);
    let Layers { problems, warnings, closed, exposed, proxies, trust, .. } = layers;
    let proxies = proxies.iter().map(|(name, source)| format!("{name} ({source})")).collect();
    Found { config, settings, problems, warnings, closed, exposed, proxies, trust }
}
