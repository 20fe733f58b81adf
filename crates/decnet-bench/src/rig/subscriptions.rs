//! Subscriptions, written to the catalog in one transaction before the worker starts.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::catalog::{Catalog, Create, NewSubscription, Patch, generate_secret};

/// Name of the catalog's file in a data directory.
const FILE: &str = "decnet.db";

/// A subscription that a measurement needs.
#[derive(Debug, Clone)]
pub(crate) struct SubscriptionSpec {
    pub(crate) url: String,
    pub(crate) pattern: String,
}

impl SubscriptionSpec {
    pub(crate) fn new(url: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self { url: url.into(), pattern: pattern.into() }
    }
}

/// Creates the subscriptions and returns their UUIDs in the same order.
pub(super) fn create(directory: &Path, wanted: &[SubscriptionSpec]) -> Result<Vec<String>> {
    let mut catalog = Catalog::open(&directory.join(FILE), Create::IfMissing)?;
    let new: Vec<NewSubscription> = wanted.iter().enumerate().map(subscription).collect::<Result<_>>()?;
    Ok(catalog.create_all(&new, now())?)
}

/// Changes subscriptions while the worker runs, as an operator does.
pub(crate) struct CatalogEditor(Catalog);

impl CatalogEditor {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        Ok(Self(Catalog::open(&directory.join(FILE), Create::Never)?))
    }

    /// Sets the URL of a subscription. Does not notify the worker.
    pub(crate) fn set_url(&mut self, uuid: &str, url: &str) -> Result<()> {
        let patch = Patch { url: Some(EndpointUrl::new(url)?), ..Patch::default() };
        Ok(self.0.update(uuid, &patch, now())?)
    }
}

fn subscription((number, wanted): (usize, &SubscriptionSpec)) -> Result<NewSubscription> {
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
