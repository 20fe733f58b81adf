//! The configuration together with all problems and warnings found in it.

use serde::Serialize;

use super::keys::{self, Disclosure, Info};
use super::layers::Layers;
use super::{Config, Inputs, data_dir, database, types};
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
    /// The users whose files are trusted.
    pub(super) trust: Trust,
}

/// An effective setting, without secrets.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// The effective value; empty if nothing is set.
    pub(crate) value: String,
    /// The source: `default`, `environment`, a file and line, and so on.
    pub(crate) source: String,
}

/// Reads the whole configuration and collects all problems.
pub(crate) fn find(inputs: &Inputs) -> Found {
    let mut layers = Layers::gather(inputs);
    let config = Config::read(&mut layers, inputs);
    config.check(&mut layers, &inputs.working_dir);
    let settings = keys::ALL.iter().map(|info| setting(info, &layers, &config)).collect();
    let Layers { problems, mut warnings, exposed, trust, .. } = layers;
    if inputs.uses.services_data && config.is_data_dir_default {
        warnings.extend(data_dir::fallback_warning(&config.data_dir));
    }
    if inputs.uses.secrets && !(inputs.uses.temporary_data && config.is_data_dir_default) {
        warnings.extend(exposed.into_iter().chain(data_dir::exposure(&config.data_dir, &trust)));
    }
    Found { config, settings, problems, warnings, trust }
}

fn setting(info: &'static Info, layers: &Layers, config: &Config) -> Setting {
    let value = match (layers.text(info.name), info.disclosure) {
        (Some(_), Disclosure::Never) => "[secret]".into(),
        (Some(text), Disclosure::WithoutPassword) => database::redact_url(text),
        (Some(text), Disclosure::Host) => types::without_secrets(text),
        (Some(text), Disclosure::Whole) => text.into(),
        (None, _) if info.name == keys::DATA_DIR.info.name => config.data_dir.display().to_string(),
        (None, _) if info.name == keys::BUS_SOCKET.info.name => config.bus.path().display().to_string(),
        (None, _) if info.name == keys::DB_URL.info.name => config.database.to_string(),
        (None, _) => info.default.into(),
    };
    Setting { name: info.name, value, source: layers.source(info.name).into() }
}
