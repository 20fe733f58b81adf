//! The effective settings and their sources, without secrets.

use super::keys::{self, Disclosure, Info};
use super::layers::Layers;
use super::{Config, database, types};

/// A setting as `decnet check` shows it.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// The effective value; empty if nothing is set.
    pub(crate) value: String,
    /// The source: `default`, `environment`, a file and line, and so on.
    pub(crate) source: String,
}

/// Returns all settings, in the table's order.
pub(crate) fn settings(layers: &Layers, config: &Config) -> Vec<Setting> {
    keys::ALL.iter().map(|info| setting(info, layers, config)).collect()
}

fn setting(info: &'static Info, layers: &Layers, config: &Config) -> Setting {
    let value = match (layers.text(info.name), info.disclosure) {
        (Some(_), Disclosure::Never) => "[secret]".into(),
        (Some(text), Disclosure::WithoutPassword) => database::redact_url(text),
        (Some(text), Disclosure::Host) => types::without_secrets(text),
        (Some(text), Disclosure::Whole) => text.into(),
        (None, _) => computed_default(info.name, config).unwrap_or_else(|| info.default.into()),
    };
    Setting { name: info.name, value, source: layers.source(info.name).into() }
}

/// Returns the value of a setting whose default is determined by a rule.
fn computed_default(name: &str, config: &Config) -> Option<String> {
    if name == keys::DATA_DIR.info.name {
        return Some(config.data_dir.display().to_string());
    }
    if name == keys::BUS_SOCKET.info.name {
        return Some(config.bus.path().display().to_string());
    }
    (name == keys::DB_URL.info.name).then(|| config.database.to_string())
}
