//! The existing installation, inspected once before anything is planned.

use std::collections::BTreeSet;
use std::path::Path;

use super::layout::{Layout, saved};
use super::root::Root;
use super::templates::is_ours;
use super::validate;

/// The target that groups the services.
pub(super) const TARGET: &str = "decnet.target";

/// A unit that `decnet init` wrote, or a unit of another DECNET installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: String,
    /// The content; empty if it cannot be read.
    pub(super) text: String,
    /// Whether `decnet init` wrote the unit.
    pub(super) is_ours: bool,
    /// Whether the unit belongs to a package.
    pub(super) is_packages: bool,
    /// Whether removing the unit restores another unit: a saved unit, or that of a package.
    pub(super) hides_another: bool,
}

/// The existing installation.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    /// Whether systemd runs, and the installation is for the running system.
    pub(super) has_systemd: bool,
    /// Whether a package has installed services.
    pub(super) has_package: bool,
    /// The services, sorted by name.
    pub(super) units: Vec<Unit>,
    /// `decnet.target`, if it exists.
    pub(super) target: Option<Unit>,
}

impl Host {
    pub(super) fn inspect(layout: &Layout) -> Self {
        let has_systemd = layout.root.is_live() && Path::new("/run/systemd/system").is_dir();
        let root = &layout.root;
        let packages: BTreeSet<_> = layout.packages.iter().flat_map(|place| services(root, place)).collect();
        let has_package = !packages.is_empty();
        let names: BTreeSet<_> = services(root, &layout.units).into_iter().chain(packages).collect();
        let units = names.into_iter().filter_map(|name| unit(layout, name)).collect();
        Self { has_systemd, has_package, units, target: unit(layout, TARGET.into()) }
    }

    /// Returns the unit with this name, which may be `decnet.target`.
    pub(super) fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().chain(&self.target).find(|unit| unit.name == name)
    }

    /// Returns the existing unit of a service from which its settings are inherited, if any. With `takes_over` it may be the
    /// unit of another installation that the new unit replaces.
    pub(super) fn inherited(&self, service: &str, takes_over: bool) -> Option<&str> {
        let unit = self.units.iter().find(|unit| unit.name == service);
        unit.filter(|unit| unit.is_ours || takes_over).map(|unit| unit.text.as_str())
    }

    /// Returns the unit from which shared settings are inherited: that of the first affected service, else the first that init wrote,
    /// else an empty text.
    pub(super) fn inherited_by_all(&self, touched: &[&String], takes_over: bool) -> &str {
        let ours = self.units.iter().filter(|unit| unit.is_ours).map(|unit| unit.text.as_str());
        let touched = touched.iter().filter_map(|name| self.inherited(name, takes_over));
        touched.chain(ours).next().unwrap_or_default()
    }

    /// Returns the services that remain after the removal.
    pub(super) fn others(&self) -> impl Iterator<Item = &str> {
        let others = self.units.iter().filter(|unit| !unit.is_ours || unit.is_packages || unit.hides_another);
        others.map(|unit| unit.name.as_str())
    }
}

/// Returns the services' units in a directory; none if it cannot be read, since writing to it will report the reason.
fn services(root: &Root, directory: &Path) -> Vec<String> {
    let names = root.names(directory).into_iter().filter_map(|name| name.into_string().ok());
    names.filter(|name| validate::service(name).is_ok()).collect()
}

/// Returns the effective unit: the one in the administrator's directory, which may be the symlink of a masked unit, or else the
/// one that a package has installed.
fn unit(layout: &Layout, name: String) -> Option<Unit> {
    let (root, path) = (&layout.root, layout.unit(&name));
    let packages = layout.packages.iter().map(|place| place.join(&name)).find(|unit| root.is_file(unit));
    let is_there = |path: &Path| root.stat(path).is_ok_and(|found| found.is_some());
    let is_packages = !is_there(&path);
    let hides_another = !is_packages && (packages.is_some() || is_there(&saved(&path)));
    let path = if is_packages { packages? } else { path };
    let text = root.read(&path).ok().flatten().unwrap_or_default();
    Some(Unit { is_ours: is_ours(&text), is_packages, hides_another, name, text })
}
