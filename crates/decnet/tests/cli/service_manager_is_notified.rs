//! A daemon notifies the service manager that it is ready, that its loops run, and that it stops.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::support::{Host, PATIENCE};

/// Reads messages until one has a line with this prefix, and returns that line.
fn hear(manager: &UnixDatagram, begin: &str) -> String {
    let (deadline, mut message, mut heard) = (Instant::now() + PATIENCE, [0; 4096], String::new());
    manager.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    while Instant::now() < deadline {
        let Ok(length) = manager.recv(&mut message) else { continue };
        let text = String::from_utf8_lossy(&message[..length]).into_owned();
        if let Some(line) = text.lines().find(|line| line.starts_with(begin)) {
            return line.to_owned();
        }
        heard += &text;
    }
    panic!("the manager never heard {begin}, only:\n{heard}");
}

fn hears_of(arguments: &[&str], status: &str) {
    let host = Host::new();
    std::fs::create_dir(host.path().join("data")).unwrap();
    let path = host.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut command = host.command(arguments);
    let mut child = command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "6000000").spawn().unwrap();
    assert_eq!(hear(&manager, "READY="), "READY=1");
    assert_eq!(hear(&manager, "WATCHDOG="), "WATCHDOG=1");
    let messages = hear(&manager, "STATUS=");
    assert!(messages.contains(status), "{messages}");
    // The first notification follows from the start; later notifications only if the loops have run since.
    assert_eq!(hear(&manager, "WATCHDOG="), "WATCHDOG=1");
    std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert_eq!(hear(&manager, "STOPPING="), "STOPPING=1");
    assert!(child.wait().unwrap().success());
}

#[test]
fn service_manager_is_notified_by_the_bus() {
    hears_of(&["bus"], "serving");
}

#[test]
fn service_manager_is_notified_by_the_api() {
    hears_of(&["api", "--port", "0"], "serving at 127.0.0.1:");
}

#[test]
fn service_manager_is_notified_by_a_worker_without_a_bus() {
    hears_of(&["webhook"], "0 subscriptions; 0 events admitted");
}

#[test]
fn service_manager_is_notified_by_serve() {
    hears_of(&["serve"], "0 subscriptions; 0 events admitted");
}

#[test]
fn worker_that_saves_its_queue_extends_its_stop_timeout() {
    let host = Host::new();
    let data = host.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let path = host.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut command = host.command(&["webhook"]);
    let child = command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "6000000").spawn().unwrap();
    assert_eq!(hear(&manager, "READY="), "READY=1");
    // The daemon cannot recreate its directory, so it keeps retrying.
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::write(&data, "in the way").unwrap();
    assert_eq!(hear(&manager, "STOPPING="), "STOPPING=1");
    for _ in 0..2 {
        assert_eq!(hear(&manager, "EXTEND_TIMEOUT_USEC="), "EXTEND_TIMEOUT_USEC=60000000");
    }
    std::fs::remove_file(&data).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", String::from_utf8_lossy(&ended.stderr));
    let names =
        std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name.starts_with("queue.db.rescued-")));
}
