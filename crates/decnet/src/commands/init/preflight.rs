//! Checks that the services can run, before a running service is replaced.

use std::path::Path;

use super::accounts::Accounts;
use super::plan::Wanted;
use super::templates::Variables;
use super::validate;
use crate::failure::Usage;
use crate::trust::{Given, Refused, Trust, Untrusted};

/// The services that open the catalog.
const OPEN_CATALOG: [&str; 2] = ["decnet-api.service", "decnet-webhook.service"];
/// The directories that the units hide from the services (`ProtectHome=`, `PrivateTmp=`).
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Checks that the services can run.
///
/// # Errors
/// All reasons why they cannot.
pub(super) fn check(wanted: &Wanted) -> Result<(), Usage> {
    let program = hidden(&wanted.variables.decnet).map(|place| {
        let decnet = &wanted.variables.decnet;
        format!(
            "the services cannot access {decnet}: {place} is hidden from them; install it in another directory (install -m 755 {decnet} \
             /usr/local/bin/decnet), then run init with the installed program"
        )
    });
    let catalogs = wanted.services.iter().filter(|(name, _)| OPEN_CATALOG.contains(&name.as_str()));
    let catalogs = catalogs.filter_map(|(name, variables)| {
        catalog(name, variables).or_else(|| untrusted_catalog(name, variables, wanted))
    });
    let problems: Vec<_> = program.into_iter().chain(catalogs).collect();
    if problems.is_empty() { Ok(()) } else { Err(Usage(problems)) }
}

/// Returns the reason why a service could not use its catalog, if any.
fn catalog(service: &str, variables: &Variables) -> Option<String> {
    let path = match variables.effective_catalog() {
        Ok(path) => path?,
        Err(error) => return Some(format!("{service}: {error}")),
    };
    if let Some(place) = hidden(&path) {
        return Some(format!(
            "{service} cannot access the catalog {}: {place} is hidden from it; move it to /var/lib/decnet or another \
             directory and set DECNET_DB_URL to the new path",
            path.display()
        ));
    }
    let problem = validate::path("the catalog's directory", variables.writable.as_ref()?).err()?;
    Some(format!("{service}: {problem}"))
}

/// Returns why the catalog in the installation directory is not trusted, if another user could have put it there.
fn untrusted_catalog(service: &str, variables: &Variables, wanted: &Wanted) -> Option<String> {
    let path = variables.catalog.as_deref().filter(|_| wanted.layout.root.is_live())?;
    let why = untrusted(trust(wanted, variables).open(Path::new(path), Given::Named))?;
    let user = &variables.user;
    Some(format!(
        "{service} would use the catalog {path}, which users other than root and {user} could have put there: {why}"
    ))
}

/// Returns warnings if users other than root and the services' user can change the services' program or settings.
pub(super) fn warnings(wanted: &Wanted) -> Vec<String> {
    if !wanted.layout.root.is_live() {
        return Vec::new();
    }
    let Variables { decnet, install_dir, .. } = &wanted.variables;
    let program = untrusted(Trust::default().open(Path::new(decnet), Given::Named));
    let program = program
        .map(|why| format!("users other than root can replace {decnet}, which the services run: {why}"));
    let settings = untrusted(trust(wanted, &wanted.variables).check_directory(Path::new(install_dir)));
    let settings = settings
        .map(|why| format!("other users can write {install_dir}/.env.local, from which the services get their settings: {why}"));
    program.into_iter().chain(settings).collect()
}

/// Returns a `Trust` in root, and in the services' user below the installation directory.
fn trust(wanted: &Wanted, variables: &Variables) -> Trust {
    let Variables { user, group, install_dir, .. } = variables;
    let uid = Accounts { layout: &wanted.layout, user, group }.user().ok().flatten();
    let root = Trust::default();
    match uid {
        Some(uid) => root.with_service(uid, Path::new(install_dir)),
        None => root,
    }
}

fn untrusted<T>(checked: Result<T, Refused>) -> Option<Untrusted> {
    match checked {
        Err(Refused::Untrusted(why)) => Some(why),
        Ok(_) | Err(Refused::Io(_)) => None,
    }
}

/// Returns the hidden directory that contains a path or the target of its links, if any.
fn hidden(path: impl AsRef<Path>) -> Option<&'static str> {
    let path = path.as_ref();
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    HIDDEN.into_iter().find(|place| path.starts_with(place) || real.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_components_of_hidden_paths_match() {
        for path in ["/home/joe/decnet", "/root/.cargo/bin/decnet", "/tmp/decnet", "/var/tmp/x/decnet"] {
            assert!(hidden(path).is_some(), "{path}");
        }
        for path in ["/homes/decnet", "/opt/decnet", "/var/lib/decnet", "/opt/home"] {
            assert_eq!(hidden(path), None, "{path}");
        }
    }
}
