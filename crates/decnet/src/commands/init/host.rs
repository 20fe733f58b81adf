//! What is there already, looked at once, before anything is planned.

use std::collections::BTreeSet;
use std::path::Path;

use super::layout::{Layout, saved};
use super::names;
use super::root::Root;
use super::templates::is_ours;

/// It holds the services together.
pub(super) const TARGET: &str = "decnet.target";

/// A unit of ours or of another DECNET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: String,
    /// What it says; empty where it cannot be read.
    pub(super) text: String,
    pub(super) is_ours: bool,
    /// It came with a package, and goes with it.
    pub(super) is_packages: bool,
    /// Another is back when this one goes: one that is kept beside it, or a package's.
    pub(super) hides_another: bool,
}

/// What is there already.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    /// systemd runs, and this is its system.
    pub(super) has_systemd: bool,
    /// A package has brought services.
    pub(super) has_package: bool,
    /// The services, sorted by name.
    pub(super) units: Vec<Unit>,
    /// `decnet.target`, where there is one.
    pub(super) target: Option<Unit>,
}

impl Host {
    pub(super) fn look(layout: &Layout) -> Self {
        let has_systemd = layout.is_live() && Path::new("/run/systemd/system").is_dir();
        let root = layout.root();
        let packages: BTreeSet<_> = layout.packages.iter().flat_map(|place| services(&root, place)).collect();
        let has_package = !packages.is_empty();
        let names: BTreeSet<_> = services(&root, &layout.units).into_iter().chain(packages).collect();
        let units = names.into_iter().filter_map(|name| unit(layout, name)).collect();
        Self { has_systemd, has_package, units, target: unit(layout, TARGET.into()) }
    }

    /// The unit of a name, `decnet.target` among them.
    pub(super) fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().chain(&self.target).find(|unit| unit.name == name)
    }

    /// Services that are there once ours are gone.
    pub(super) fn others(&self) -> impl Iterator<Item = &str> {
        let others = self.units.iter().filter(|unit| !unit.is_ours || unit.is_packages || unit.hides_another);
        others.map(|unit| unit.name.as_str())
    }
}

/// The services' units in a directory. One that cannot be read has none; writing into it will say why.
fn services(root: &Root, directory: &Path) -> Vec<String> {
    let names = root.names(directory).into_iter().filter_map(|name| name.into_string().ok());
    names.filter(|name| names::service(name).is_ok()).collect()
}

/// The unit that counts: what is in the administrator's directory (a link too, for instance of a masked unit), else a package's.
fn unit(layout: &Layout, name: String) -> Option<Unit> {
    let (root, path) = (layout.root(), layout.unit(&name));
    let packages = layout.packages.iter().map(|place| place.join(&name)).find(|unit| root.is_file(unit));
    let is_there = |path: &Path| root.stat(path).is_ok_and(|found| found.is_some());
    let is_packages = !is_there(&path);
    let hides_another = !is_packages && (packages.is_some() || is_there(&saved(&path)));
    let path = if is_packages { packages? } else { path };
    let text = root.read(&path).ok().flatten().unwrap_or_default();
    Some(Unit { is_ours: is_ours(&text), is_packages, hides_another, name, text })
}

/// The catalog of a DECNET that lives in `install_dir`.
pub(super) fn catalog(layout: &Layout, install_dir: &str) -> Option<String> {
    let catalog = format!("{install_dir}/decnet.db");
    layout.root().is_file(&layout.below(&catalog)).then_some(catalog)
}
