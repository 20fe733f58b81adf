//! The default path of the bus's socket.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The runtime directory. systemd creates it with the right group; this program never creates it.
const RUNTIME_DIR: &str = "/run/decnet";
const SOCKET_NAME: &str = "bus.sock";

/// Returns `/run/decnet/bus.sock` if `/run/decnet` is a directory that this process may write to, else
/// `.decnet/bus.sock` below `home`.
#[must_use]
pub fn default_socket_path(home: &Path) -> PathBuf {
    socket_path(Path::new(RUNTIME_DIR), home)
}

fn socket_path(runtime_dir: &Path, home: &Path) -> PathBuf {
    if runtime_dir.is_dir() && access(runtime_dir, Access::WRITE_OK).is_ok() {
        return runtime_dir.join(SOCKET_NAME);
    }
    home.join(".decnet").join(SOCKET_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_directory_is_preferred_if_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let (run, home) = (dir.path().join("run"), Path::new("/home/joe"));
        assert_eq!(socket_path(&run, home), Path::new("/home/joe/.decnet/bus.sock"));
        std::fs::write(&run, "a file").unwrap();
        assert_eq!(socket_path(&run, home), Path::new("/home/joe/.decnet/bus.sock"));
        std::fs::remove_file(&run).unwrap();
        std::fs::create_dir(&run).unwrap();
        assert_eq!(socket_path(&run, home), run.join("bus.sock"));
    }
}
