//! The users that the services of this host run as, and the directories that are theirs.

use std::path::{Path, PathBuf};

use crate::{passwd, units};

/// The services whose units name the users.
const UNITS: [&str; 3] = ["decnet-webhook.service", "decnet-api.service", "decnet-bus.service"];
/// Where every installation keeps settings, data and sockets.
const DIRECTORIES: [&str; 3] = ["/etc/decnet", "/var/lib/decnet", "/run/decnet"];

/// Users of services, and their directories with links resolved.
#[derive(Debug, Clone, Default)]
pub(super) struct Services {
    users: Vec<u32>,
    directories: Vec<PathBuf>,
}

impl Services {
    /// Reads the installed units. A user that is not in `/etc/passwd` is left out.
    pub(super) fn of_this_host() -> Self {
        Self::of(&units::places(), &passwd::users())
    }

    fn of(places: &[PathBuf], users: &str) -> Self {
        let mut services = Self::default();
        for unit in UNITS.iter().filter_map(|name| units::find(places, name)) {
            let text = std::fs::read_to_string(unit).unwrap_or_default();
            let user =
                units::value(&text, "User").and_then(|name| passwd::number(&passwd::entry(users, name)?));
            let directory = units::value(&text, "WorkingDirectory").map(units::path);
            services.users.extend(user);
            services.directories.extend(directory.map(resolved));
        }
        if !services.users.is_empty() {
            services.directories.extend(DIRECTORIES.map(|directory| resolved(Path::new(directory))));
        }
        // Below the root directory is everything.
        services.directories.retain(|directory| directory.parent().is_some());
        services
    }

    /// The same with one more user and directory.
    pub(super) fn and(mut self, user: u32, directory: &Path) -> Self {
        self.users.push(user);
        self.directories.push(resolved(directory));
        self
    }

    /// Returns whether a service may own something at this place.
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
    fn services_own_what_is_below_their_directories() {
        let dir = tempfile::tempdir().unwrap();
        let users = "root:x:0:0::/root:/bin/sh\nhoneypot:x:998:998::/:/bin/sh\n";
        let places = [dir.path().to_owned()];
        assert!(!Services::of(&places, users).own(998, Path::new("/var/lib/decnet")));
        let unit = "[Service]\nUser=honeypot\nWorkingDirectory=-/srv/trap\n";
        std::fs::write(dir.path().join("decnet-webhook.service"), unit).unwrap();
        let services = Services::of(&places, users);
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
    fn root_directory_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let unit = "User=honeypot\nWorkingDirectory=/\n";
        std::fs::write(dir.path().join("decnet-bus.service"), unit).unwrap();
        let services = Services::of(&[dir.path().to_owned()], "honeypot:x:998:998::/:/bin/sh\n");
        assert!(!services.own(998, Path::new("/home/joe")));
    }
}
