//! What is in force, and where each value comes from, without secrets.

use super::keys::{self, Info, Shown};
use super::layers::Layers;
use super::{Config, database, types};

/// One setting as `decnet check` shows it.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// The text in force; empty where nothing is set.
    pub(crate) value: String,
    /// `default`, `environment`, a file and line, …
    pub(crate) source: String,
}

/// Every setting, in the table's order.
pub(crate) fn settings(layers: &Layers, config: &Config) -> Vec<Setting> {
    keys::ALL.iter().map(|info| setting(info, layers, config)).collect()
}

fn setting(info: &'static Info, layers: &Layers, config: &Config) -> Setting {
    let value = match (layers.text(info.name), info.shown) {
        (Some(_), Shown::Never) => "[secret]".into(),
        (Some(text), Shown::WithoutPassword) => database::redact_url(text),
        (Some(text), Shown::Host) => types::without_secrets(text),
        (Some(text), Shown::Whole) => text.into(),
        (None, _) => ruled(info.name, config).unwrap_or_else(|| info.default.into()),
    };
    Setting { name: info.name, value, source: layers.source(info.name).to_string() }
}

/// The value of a setting whose default is a rule.
fn ruled(name: &str, config: &Config) -> Option<String> {
    if name == keys::DATA_DIR.info.name {
        return Some(config.data_dir.display().to_string());
    }
    if name == keys::BUS_SOCKET.info.name {
        return Some(config.bus.path().display().to_string());
    }
    (name == keys::DB_URL.info.name).then(|| config.database.to_string())
}
