//! The users of this host's services, and the directories of those services.

use std::path::{Path, PathBuf};

use decnet_runtime::accounts;

use crate::units;

/// The directories of settings, data and sockets in every installation.
const DIRECTORIES: [&str; 3] = ["/etc/decnet", "/var/lib/decnet", "/run/decnet"];

/// The users of services, and their directories without symbolic links.
#[derive(Debug, Clone, Default)]
pub(super) struct Services {
    users: Vec<u32>,
    directories: Vec<PathBuf>,
}

impl Services {
    /// Reads the installed units. A user that is not in `/etc/passwd` is ignored.
    pub(super) fn of_this_host() -> Self {
        Self::of(&units::directories(), &accounts::users().unwrap_or_default())
    }

    fn of(unit_directories: &[PathBuf], users: &str) -> Self {
        let mut services = Self::default();
        for (_, text) in units::services(unit_directories) {
            let user = units::value(&text, "User").and_then(|name| accounts::id(users, name));
            let directory = units::value(&text, "WorkingDirectory").map(units::path);
            services.users.extend(user);
            services.directories.extend(directory.map(resolved));
        }
        if !services.users.is_empty() {
            services.directories.extend(DIRECTORIES.map(|directory| resolved(Path::new(directory))));
        }
        // Everything is below the root directory.
        services.directories.retain(|directory| directory.parent().is_some());
        services
    }

    /// Adds a user and a directory.
    pub(super) fn and(mut self, user: u32, directory: &Path) -> Self {
        self.users.push(user);
        self.directories.push(resolved(directory));
        self
    }

    /// Returns whether `uid` is a service's user and `place` is below a service's directory.
    pub(super) fn own(&self, uid: u32, place: &Path) -> bool {
        self.users.contains(&uid) && self.directories.iter().any(|directory| place.starts_with(directory))
    }
}

fn resolved(directory: &Path) -> PathBuf {
    directory.canonicalize().unwrap_or_else(|_| directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_own_everything_below_their_directories() {
        let dir = tempfile::tempdir().unwrap();
        let users = "root:x:0:0::/root:/bin/sh\nhoneypot:x:998:998::/:/bin/sh\n";
        let directories = [dir.path().to_owned()];
        assert!(!Services::of(&directories, users).own(998, Path::new("/var/lib/decnet")));
        let unit = "[Service]\nUser=honeypot\nWorkingDirectory=-/srv/trap\n";
        std::fs::write(dir.path().join("decnet-webhook.service"), unit).unwrap();
        let services = Services::of(&directories, users);
        for (place, owns) in [
            ("/srv/trap", true),
            ("/srv/trap/.env.local", true),
            ("/srv/trap2", false),
            ("/srv", false),
            ("/var/lib/decnet/queue.db", true),
        ] {
            assert_eq!(services.own(998, Path::new(place)), owns, "{place}");
            assert!(!services.own(997, Path::new(place)), "{place}");
        }
    }

    #[test]
    fn root_directory_never_belongs_to_a_service() {
        let dir = tempfile::tempdir().unwrap();
        let unit = "User=honeypot\nWorkingDirectory=/\n";
        std::fs::write(dir.path().join("decnet-bus.service"), unit).unwrap();
        let services = Services::of(&[dir.path().to_owned()], "honeypot:x:998:998::/:/bin/sh\n");
        assert!(!services.own(998, Path::new("/home/joe")));
    }
}
