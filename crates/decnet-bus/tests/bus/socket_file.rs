//! The socket file: its mode, replacement of a stale file, and removal.
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use crate::common::{TestBus, options, soon};
use decnet_bus::{Server, ServerError};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn owner_and_group_may_connect() {
    let bus = TestBus::start().await;
    let found = fs::symlink_metadata(&bus.path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o660);
}

#[tokio::test]
async fn a_running_bus_is_not_replaced() {
    let mut bus = TestBus::start().await;
    assert!(matches!(Server::bind(options(&bus.path)), Err(ServerError::InUse(path)) if path == bus.path));
    let mut peer = bus.peer().await;
    bus.settle(&mut peer).await;
}

#[tokio::test]
async fn a_listener_that_does_not_accept_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    assert!(matches!(Server::bind(options(&path)), Err(ServerError::InUse(_))));
    assert!(path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a listener leaves its file behind");
    let server = Server::bind(options(&path)).unwrap();
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(server);
    assert!(!path.exists(), "a server that never ran cleans up too");
}

#[test]
fn a_file_that_is_not_a_socket_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(Server::bind(options(&path)), Err(ServerError::NotASocket(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_symlink_at_the_path_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, victim) = (dir.path().join("bus.sock"), dir.path().join("victim"));
    fs::write(&victim, "precious").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    for target in [&victim, &dir.path().join("missing")] {
        std::os::unix::fs::symlink(target, &path).unwrap();
        assert!(matches!(Server::bind(options(&path)), Err(ServerError::NotASocket(_))));
        assert!(path.is_symlink());
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::metadata(&victim).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_directory_writable_by_others_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    for mode in [0o777, 0o1777, 0o770, 0o702] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = Server::bind(options(&path)).unwrap_err();
        assert!(matches!(error, ServerError::ForeignDirectory { .. }), "{mode:o}: {error}");
        let shown = dir.path().display().to_string();
        let text = error.to_string();
        assert!(text.contains(&format!("{shown} can be written by others (mode {mode:04o})")), "{text}");
        assert!(!path.exists());
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Server::bind(options(&path)).is_ok());
}

#[test]
fn only_a_dot_decnet_directory_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing/bus.sock");
    assert!(matches!(Server::bind(options(&missing)), Err(ServerError::NoDirectory(_))));
    let home = dir.path().join(".decnet/bus.sock");
    assert!(Server::bind(options(&home)).is_ok());
    let mode = fs::metadata(home.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o022, 0, "not writable by others, whatever the umask");
    let homeless = dir.path().join("missing/.decnet/bus.sock");
    assert!(matches!(Server::bind(options(&homeless)), Err(ServerError::NoDirectory(_))));
}

#[test]
fn a_path_that_is_too_long_is_rejected() {
    let path = std::path::PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
    assert!(matches!(Server::bind(options(&path)), Err(ServerError::BadPath(_))));
}

#[tokio::test]
async fn only_its_own_socket_is_removed_on_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    for replaced in [false, true] {
        let stop = CancellationToken::new();
        let running = tokio::spawn(Server::bind(options(&path)).unwrap().run(stop.clone()));
        if replaced {
            fs::remove_file(&path).unwrap();
            drop(UnixListener::bind(&path).unwrap());
        }
        stop.cancel();
        soon(running).await.unwrap().unwrap();
        assert_eq!(path.exists(), replaced);
    }
}

#[test]
fn one_of_two_concurrent_starts_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    for _ in 0..50 {
        drop(UnixListener::bind(&path).unwrap());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let options = options(&path);
                std::thread::spawn(move || Server::bind(options))
            })
            .collect();
        let won: Vec<Server> = threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect();
        assert_eq!(won.len(), 1);
        assert!(path.exists());
    }
}
