//! The egress guard: no connection is opened to a forbidden address.

use std::net::{Ipv4Addr, SocketAddr};

use crate::support::*;
use decnet_core::delivery::Reason;
use decnet_core::limits::CONNECTION_ATTEMPT_DELAY;
use decnet_sender::{AttemptResult, EgressGuard, Options, Resolver, Sender};
use decnet_testkit::Receiver;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

fn guarded(allow: &[&str], resolver: Resolver) -> Sender {
    let guard = EgressGuard::new(false, allow.iter().map(|net| net.parse().unwrap()).collect());
    Sender::new(Options { guard, resolver, ..options() })
}

fn attempt(sender: &Sender, url: &str) -> AttemptResult {
    let attempted = run(async { send(sender, &target(url)).await });
    assert_eq!(attempted.timings.connect, None, "dialled: {attempted:?}");
    attempted
}

#[test]
fn forbidden_literals_are_rejected_in_every_spelling() {
    let receiver = Receiver::builder().address(Ipv4Addr::LOCALHOST).start();
    let port = receiver.port();
    let sender = guarded(&[], Resolver::System);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "169.254.169.254",
        "10.1.2.3",
        "192.168.1.5",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
    ] {
        let attempted = attempt(&sender, &format!("http://{host}:{port}/"));
        assert_failed(&attempted, Reason::Forbidden, "forbidden address");
    }
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn names_with_forbidden_addresses_are_rejected() {
    let receiver = Receiver::start(decnet_testkit::reply(200));
    let sender = guarded(&[], resolver(&[("inside.test", &["10.0.0.7"]), ("here.test", &["127.0.0.1"])]));
    let inside = attempt(&sender, "http://inside.test/");
    assert_failed(&inside, Reason::Forbidden, "DECNET_WEBHOOK_ALLOW_CIDRS=10.0.0.7/32");
    assert_failed(&inside, Reason::Forbidden, "DECNET_WEBHOOK_ALLOW_PRIVATE=true");
    assert_failed(&attempt(&sender, &receiver.url_for("here.test", "/")), Reason::Forbidden, "loopback");
    let system = guarded(&[], Resolver::System);
    assert_failed(&attempt(&system, &receiver.url_for("localhost", "/")), Reason::Forbidden, "loopback");
    assert_eq!(receiver.connections(), 0);
}

/// The allowed address would reply, but a forbidden one in any position rejects the host.
#[test]
fn one_forbidden_address_rejects_the_host() {
    let receiver = Receiver::builder().address(Ipv4Addr::new(127, 0, 0, 2)).start();
    let table = resolver(&[
        ("last.test", &["127.0.0.2", "127.0.0.1"]),
        ("first.test", &["10.0.0.1", "127.0.0.2"]),
        ("family.test", &["127.0.0.2", "::1"]),
    ]);
    let sender = guarded(&["127.0.0.2/32"], table);
    for host in ["last.test", "first.test", "family.test"] {
        assert_failed(
            &attempt(&sender, &receiver.url_for(host, "/")),
            Reason::Forbidden,
            "forbidden address",
        );
    }
    assert_eq!(receiver.connections(), 0);
}

/// The system resolves `localhost` to another address, to which a second look-up would send the request.
#[test]
fn dialled_address_is_the_checked_address() {
    let checked = Receiver::builder().address(Ipv4Addr::new(127, 0, 0, 2)).start();
    let other = Receiver::builder().address(Ipv4Addr::LOCALHOST).port(checked.port()).start();
    let sender = guarded(&["127.0.0.2/32"], resolver(&[("localhost", &["127.0.0.2"])]));
    let attempted = send_once(&sender, &checked.url_for("localhost", "/"));
    assert_status(&attempted, 200);
    assert!(attempted.timings.resolve.is_some());
    assert_eq!(checked.requests()[0].header("host"), format!("localhost:{}", checked.port()));
    assert_eq!((checked.count(), other.connections()), (1, 0));
}

#[test]
fn metadata_is_forbidden_even_if_private_is_allowed() {
    let options = Options { resolver: resolver(&[("meta.test", &["169.254.169.254"])]), ..options() };
    let sender = Sender::new(options);
    for url in ["http://169.254.169.254/latest/meta-data/", "http://meta.test/", "http://[::ffff:a9fe:a9fe]/"]
    {
        assert_failed(&attempt(&sender, url), Reason::Forbidden, "cloud metadata");
    }
}

#[test]
fn link_local_is_forbidden_even_if_private_is_allowed() {
    let options = Options { resolver: resolver(&[("link.test", &["169.254.1.1"])]), ..options() };
    let sender = Sender::new(options);
    for url in ["http://169.254.1.1/", "http://link.test/", "http://[fe80::1]/"] {
        let attempted = attempt(&sender, url);
        assert_failed(
            &attempted,
            Reason::Forbidden,
            "(link-local); to allow it set DECNET_WEBHOOK_ALLOW_CIDRS=",
        );
        assert!(!attempted.detail.unwrap().contains("ALLOW_PRIVATE"));
    }
}

#[test]
fn refused_connection_falls_back_to_the_next_address() {
    let receiver = Receiver::builder().address(Ipv4Addr::new(127, 0, 0, 2)).start();
    let table = resolver(&[("two.test", &["127.0.0.1", "127.0.0.2"])]);
    let sender = guarded(&["127.0.0.0/8"], table);
    let attempted = send_once(&sender, &receiver.url_for("two.test", "/"));
    assert_status(&attempted, 200);
}

/// Fills the backlog of an address until the kernel drops further connection attempts.
pub(crate) async fn unresponsive(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut connections = Vec::new();
    while let Ok(connected) = timeout(SHORT, TcpStream::connect(address)).await {
        connections.push(connected.unwrap());
        assert!(connections.len() < 64, "the backlog does not fill");
    }
    (listener, connections)
}

#[test]
fn silent_address_delays_but_does_not_fail_the_attempt() {
    let receiver = Receiver::builder().address(Ipv4Addr::new(127, 0, 0, 2)).start();
    let table = resolver(&[("two.test", &["127.0.0.3", "127.0.0.2"]), ("silent.test", &["127.0.0.3"])]);
    run(async {
        let _unresponsive = unresponsive((Ipv4Addr::new(127, 0, 0, 3), receiver.port()).into()).await;
        let sender = guarded(&["127.0.0.0/8"], table.clone());
        let attempted = send(&sender, &target(&receiver.url_for("two.test", "/"))).await;
        assert_status(&attempted, 200);
        assert!(attempted.timings.connect >= Some(CONNECTION_ATTEMPT_DELAY), "{attempted:?}");

        let guard = EgressGuard::new(true, Vec::new());
        let hasty = Options { deadline: SHORT, guard, resolver: table, ..options() };
        let attempted = send(&Sender::new(hasty), &target(&receiver.url_for("silent.test", "/"))).await;
        let missed = format!("no connection to 127.0.0.3:{} within 400 ms", receiver.port());
        assert_failed(&attempted, Reason::Timeout, &missed);
    });
}
