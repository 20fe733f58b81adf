//! `decnet check --service`, the health check of a container.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use crate::support::{Host, Running, code, eventually, stderr, stdout};

fn is_healthy(host: &Host, service: &str) -> bool {
    let checked = host.run(&["check", "--service", service]);
    let shown = stdout(&checked);
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert_eq!(code(&checked) == 0, !shown.starts_with("UNUSABLE"), "{shown}");
    code(&checked) == 0
}

/// Asserts that a service is healthy only while its process runs and is not stopped.
fn assert_health(host: &Host, service: &str, start: impl FnOnce() -> Running) {
    assert!(!is_healthy(host, service), "{service} does not run yet");
    let running = start();
    eventually("the service is healthy", || is_healthy(host, service));
    running.signal("STOP");
    assert!(!is_healthy(host, service), "{service} hangs");
}

#[test]
fn hanging_bus_is_unhealthy() {
    let host = Host::new();
    assert_health(&host, "bus", || host.start_bus());
}

/// A connection that the kernel accepts proves nothing, and neither does the bus's goodbye.
#[test]
fn bus_at_its_connection_limit_is_unhealthy() {
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
    assert!(shown.contains("refused the connection: the limit on connections"), "{shown}");
    assert!(!refusing.is_finished());
}

/// DECNET's bus does not answer the greeting, but publishes a heartbeat.
#[test]
fn decnet_bus_with_a_heartbeat_is_healthy() {
    let host = Host::new();
    let listener = UnixListener::bind(host.socket()).unwrap();
    std::thread::spawn(move || {
        let mut connection = listener.accept().unwrap().0;
        connection.write_all(b"EVT system.bus.health\n\0\0\0\x02{}").unwrap();
        std::io::copy(&mut connection, &mut std::io::sink()).unwrap();
    });
    assert!(is_healthy(&host, "bus"));
}

#[test]
fn hanging_worker_is_unhealthy() {
    let host = Host::new().with("DECNET_BUS_ENABLED", "false");
    assert_health(&host, "webhook", || host.start(&["webhook"]));
}

#[test]
fn hanging_api_is_unhealthy() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let host = Host::new().with("DECNET_API_PORT", &port);
    assert_health(&host, "api", || host.start(&["api"]));
}

#[test]
fn invalid_api_setting_does_not_affect_other_services() {
    let host = Host::new().with("DECNET_JWT_SECRET_FILE", "/nowhere/secret").with("DECNET_CORS_ORIGINS", "*");
    let _bus = host.start_bus();
    assert!(is_healthy(&host, "bus"));
    let _worker = host.start(&["webhook"]);
    eventually("the worker is healthy", || is_healthy(&host, "webhook"));
    let api = host.run(&["check", "--service", "api"]);
    assert!(code(&api) == 2 && stderr(&api).contains("DECNET_CORS_ORIGINS"), "{}", stderr(&api));
}
