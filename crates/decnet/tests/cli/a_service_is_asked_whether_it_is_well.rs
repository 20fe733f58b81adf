//! `decnet check --service`, as a container's health check.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use crate::support::{Host, Running, code, eventually, stderr, stdout};

fn is_well(host: &Host, service: &str) -> bool {
    let checked = host.run(&["check", "--service", service]);
    let shown = stdout(&checked);
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert_eq!(code(&checked) == 0, !shown.starts_with("UNUSABLE"), "{shown}");
    code(&checked) == 0
}

/// A service that does not run is not well; nor is one whose process stands still.
fn is_told(host: &Host, service: &str, start: impl FnOnce() -> Running) {
    assert!(!is_well(host, service), "{service} does not run yet");
    let running = start();
    eventually("it is well", || is_well(host, service));
    running.signal("STOP");
    assert!(!is_well(host, service), "{service} hangs");
}

#[test]
fn a_bus_that_hangs_is_told_from_one_that_lives() {
    let host = Host::new();
    is_told(&host, "bus", || host.start_bus());
}

/// What the kernel takes for it is no sign of life, and neither is its goodbye.
#[test]
fn a_bus_with_no_place_free_is_not_well() {
    let host = Host::new();
    let listener = UnixListener::bind(host.socket()).unwrap();
    let refusing = std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            connection.write_all(b"BYE\n\0\0\0\0").unwrap();
        }
    });
    let checked = host.run(&["check", "--service", "bus"]);
    assert_eq!(code(&checked), 1);
    let shown = stdout(&checked);
    assert!(shown.contains("refused the connection: the limit of connections"), "{shown}");
    assert!(!refusing.is_finished());
}

/// It answers no greeting, and publishes a heartbeat.
#[test]
fn a_bus_of_decnet_is_well_when_it_beats() {
    let host = Host::new();
    let listener = UnixListener::bind(host.socket()).unwrap();
    std::thread::spawn(move || {
        let mut connection = listener.accept().unwrap().0;
        connection.write_all(b"EVT system.bus.health\n\0\0\0\x02{}").unwrap();
        std::io::copy(&mut connection, &mut std::io::sink()).unwrap();
    });
    assert!(is_well(&host, "bus"));
}

#[test]
fn a_worker_that_hangs_is_told_from_one_that_lives() {
    let host = Host::new().with("DECNET_BUS_ENABLED", "false");
    is_told(&host, "webhook", || host.start(&["webhook"]));
}

#[test]
fn an_api_that_hangs_is_told_from_one_that_lives() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let host = Host::new().with("DECNET_API_PORT", &port);
    is_told(&host, "api", || host.start(&["api"]));
}

#[test]
fn a_setting_that_only_the_api_reads_makes_no_other_service_unwell() {
    let host = Host::new().with("DECNET_JWT_SECRET_FILE", "/nowhere/secret").with("DECNET_CORS_ORIGINS", "*");
    let _bus = host.start_bus();
    assert!(is_well(&host, "bus"));
    let _worker = host.start(&["webhook"]);
    eventually("the worker is well", || is_well(&host, "webhook"));
    let api = host.run(&["check", "--service", "api"]);
    assert!(code(&api) == 2 && stderr(&api).contains("DECNET_CORS_ORIGINS"), "{}", stderr(&api));
}
