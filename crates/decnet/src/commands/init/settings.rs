//! The variables of the units: arguments, completed from existing units, so that later runs need no arguments.

use std::path::{Path, PathBuf};

use super::layout::Layout;
use super::templates::Variables;
use super::{Args, validate};
use crate::config::{SERVICES_DATA_DIR, services_database};
use crate::units;

/// The names of DECNET's virtual environment in the installation directory, in DECNET's own order.
const VIRTUAL_ENVIRONMENTS: [&str; 5] = ["venv", ".venv", ".311", ".312", ".313"];
/// The name that is used if no virtual environment has DECNET's program.
const DEFAULT_ENVIRONMENT: &str = ".venv";

/// Returns the variables from the arguments, else from the existing unit, else the defaults.
///
/// # Errors
/// All invalid values.
pub(super) fn resolve(
    args: &Args,
    layout: &Layout,
    binary: &Path,
    unit: &str,
) -> Result<Variables, Vec<String>> {
    let unit_value = |key, default| units::value(unit, key).unwrap_or(default);
    let directory = || units::path(unit_value("WorkingDirectory", "/opt/decnet")).to_owned();
    let install_dir = args.install_dir.clone().unwrap_or_else(directory);
    let venv_dir = args.venv_dir.clone().unwrap_or_else(|| virtual_environment(layout, &install_dir));
    let results = [
        validate::path("--install-dir", &install_dir),
        validate::path("--venv-dir", &venv_dir),
        validate::account("--user", args.user.as_deref().unwrap_or_else(|| unit_value("User", "decnet"))),
        validate::account("--group", args.group.as_deref().unwrap_or_else(|| unit_value("Group", "decnet"))),
        validate::path("--binary", binary),
    ];
    let problems: Vec<_> = results.iter().filter_map(|result| result.clone().err()).collect();
    let [Ok(install_dir), Ok(venv_dir), Ok(user), Ok(group), Ok(decnet)] = results else {
        return Err(problems);
    };
    let root = &layout.root;
    // An unreadable file counts as empty, as it does for the service.
    let read = |path: &Path| root.read(path).ok().flatten().unwrap_or_default();
    let database = services_database(&layout.ini, &root.below(&install_dir), read);
    let catalog = format!("{install_dir}/decnet.db");
    let catalog = (database.is_none() && root.is_file(&root.below(&catalog))).then_some(catalog);
    let rest = Variables { catalog, database, decnet, ..Variables::default() };
    let mut variables = Variables { install_dir, venv_dir, user, group, ..rest };
    variables.writable = writable(&variables);
    Ok(variables)
}

/// Returns the first virtual environment in the installation directory that has DECNET's program.
fn virtual_environment(layout: &Layout, install_dir: &Path) -> PathBuf {
    let root = &layout.root;
    let has_program = |directory: &PathBuf| {
        root.is_file(&layout.root.below(&directory.join("bin/decnet").to_string_lossy()))
    };
    let mut all = VIRTUAL_ENVIRONMENTS.iter().map(|name| install_dir.join(name));
    all.find(has_program).unwrap_or_else(|| install_dir.join(DEFAULT_ENVIRONMENT))
}

/// Returns the catalog's directory if it is outside the directories that the services may write to by default.
fn writable(variables: &Variables) -> Option<PathBuf> {
    let catalog = variables.effective_catalog().ok()??;
    let directory = catalog.parent()?;
    (!directory.starts_with(SERVICES_DATA_DIR)).then(|| directory.to_owned())
}
