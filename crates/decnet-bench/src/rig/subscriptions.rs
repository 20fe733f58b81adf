//! Subscriptions, written into a catalog before the worker starts: one transaction, however many they are.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::catalog::{Catalog, Create, NewSubscription, Patch, generate_secret};

/// The catalog's file in a data directory.
const FILE: &str = "decnet.db";

/// A subscription that a measurement needs.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    pub(crate) pattern: String,
}

impl Wanted {
    pub(crate) fn new(url: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self { url: url.into(), pattern: pattern.into() }
    }
}

/// Writes them; their UUIDs, in their order.
pub(super) fn create(directory: &Path, wanted: &[Wanted]) -> Result<Vec<String>> {
    let mut catalog = Catalog::open(&directory.join(FILE), Create::IfMissing)?;
    let new: Vec<NewSubscription> = wanted.iter().enumerate().map(subscription).collect::<Result<_>>()?;
    Ok(catalog.create_all(&new, now())?)
}

/// Who changes them while the worker runs, as an operator would.
pub(crate) struct Changer(Catalog);

impl Changer {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        Ok(Self(Catalog::open(&directory.join(FILE), Create::Never)?))
    }

    /// Another URL for one of them; the worker is not told.
    pub(crate) fn redirect(&mut self, uuid: &str, url: &str) -> Result<()> {
        let patch = Patch { url: Some(EndpointUrl::new(url)?), ..Patch::default() };
        Ok(self.0.update(uuid, &patch, now())?)
    }
}

fn subscription((number, wanted): (usize, &Wanted)) -> Result<NewSubscription> {
    Ok(NewSubscription {
        name: format!("bench-{number}"),
        url: EndpointUrl::new(&wanted.url)?,
        secret: Secret::new(generate_secret()),
        patterns: vec![Pattern::new(&wanted.pattern)?],
        enabled: true,
        settings: Settings::default(),
    })
}

fn now() -> UnixMicros {
    UnixMicros(0).after(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
