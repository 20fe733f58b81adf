//! Receivers behind an HTTP proxy.

use std::io::Write as _;
use std::net::TcpListener;

use decnet_core::delivery::{Outcome, Reason};
use decnet_core::redact::EndpointUrl;
use decnet_sender::{EgressGuard, Options, Proxy, Sender};
use decnet_testkit::proxy::{self, OPENED};
use decnet_testkit::{Receiver, reply};

use crate::egress::unresponsive;
use crate::support::{
    LONG, SHORT, assert_failed, assert_status, options, resolver, roots, run, send, target,
};

/// Returns the URL of a test proxy, with a user name and a password.
fn url_of(proxy: &proxy::Proxy) -> String {
    format!("http://soc:hunter2@{}", proxy.address)
}

fn through(proxy: &str, exceptions: &str, options: Options) -> Sender {
    let proxy = Proxy::new(&EndpointUrl::new(proxy).unwrap(), exceptions).unwrap();
    Sender::new(Options { proxy: Some(proxy), ..options })
}

#[test]
fn receivers_are_reached_through_the_proxy_by_the_checked_address() {
    for receiver in [
        Receiver::start(reply(200)),
        Receiver::builder().tls(&["soc.example"]).start(),
        Receiver::builder().tls(&["soc.example"]).http1_only().start(),
    ] {
        let proxy = proxy::Proxy::start();
        let extra_roots =
            if receiver.root_certificate().is_some() { roots(&[&receiver]) } else { Vec::new() };
        let resolver = resolver(&[("soc.example", &["127.0.0.1"])]);
        let sender = through(&url_of(&proxy), "", Options { extra_roots, resolver, ..options() });
        let target = target(&receiver.url_for("soc.example", "/in"));
        run(async {
            assert_status(&send(&sender, &target).await, 200);
            assert_status(&send(&sender, &target).await, 200);
        });
        let head = proxy.heads.recv().unwrap();
        let expected = format!(
            "CONNECT {0} HTTP/1.1\r\nhost: {0}\r\nproxy-authorization: Basic c29jOmh1bnRlcjI=\r\n\r\n",
            receiver.address()
        );
        assert_eq!(head, expected);
        assert_eq!((receiver.connections(), receiver.count()), (1, 2), "the tunnel is used again");
    }
}

#[test]
fn exceptions_are_reached_directly() {
    let receiver = Receiver::start(reply(200));
    let sender = through("http://127.0.0.1:9", "localhost,127.0.0.0/8", options());
    run(async { assert_status(&send(&sender, &target(&receiver.url("/"))).await, 200) });
}

#[test]
fn forbidden_addresses_are_not_passed_to_the_proxy() {
    let proxy = proxy::Proxy::start();
    let resolver = resolver(&[("soc.example", &["10.0.0.1"])]);
    let guard = EgressGuard::new(false, Vec::new());
    let sender = through(&url_of(&proxy), "", Options { guard, resolver, ..options() });
    for url in ["http://soc.example/", "http://127.0.0.1:80/"] {
        let attempted = run(async { send(&sender, &target(url)).await });
        assert_failed(&attempted, Reason::Forbidden, "");
    }
    assert!(proxy.heads.try_recv().is_err());
}

/// A proxy that fails is not the receiver's fault: the attempt does not count.
#[test]
fn faults_of_the_proxy_do_not_count_as_attempts() {
    for (answer, detail) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "asks for a user name and a password (407)"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "it answered 403"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "is not HTTP"),
        ("HTTP/1.1 200 OK\r\n", "it closed the connection"),
    ] {
        let proxy = proxy::Proxy::scripted(move |_| answer);
        let attempted = run(async {
            send(&through(&url_of(&proxy), "", options()), &target("http://127.0.0.1:80/")).await
        });
        assert_eq!(attempted.outcome, Outcome::LocalFault, "{attempted:?}");
        let text = attempted.detail.unwrap();
        assert!(text.contains(detail) && !text.contains("hunter2"), "{text}");
    }
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let attempted =
        run(async { send(&through(&closed, "", options()), &target("http://127.0.0.1:80/")).await });
    assert_eq!(attempted.outcome, Outcome::LocalFault, "{attempted:?}");
    assert!(attempted.detail.unwrap().contains("cannot be reached: "));
}

#[test]
fn receiver_that_the_proxy_cannot_reach_counts_as_an_attempt() {
    let proxy = proxy::Proxy::scripted(|_| "HTTP/1.1 502 Bad Gateway\r\n\r\n");
    let attempted =
        run(async { send(&through(&url_of(&proxy), "", options()), &target("http://127.0.0.1:80/")).await });
    assert_failed(&attempted, Reason::Connect, "opened no connection to 127.0.0.1:80: it answered 502");
}

#[test]
fn slow_and_endless_proxies_are_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hasty = Options { deadline: SHORT, ..options() };
    let attempted = run(async { send(&through(&url, "", hasty), &target("http://127.0.0.1:80/")).await });
    assert_failed(
        &attempted,
        Reason::Timeout,
        "the proxy opened no connection to 127.0.0.1:80 within 400 ms",
    );

    let endless = std::thread::spawn(move || {
        // The first connection is that of the attempt that timed out.
        let _timed_out = listener.accept().unwrap();
        let (mut client, _) = listener.accept().unwrap();
        let mut written = 0;
        while client.write_all(b"HTTP/1.1 200 OK and more ").is_ok() {
            written += 1;
        }
        written
    });
    let patient = Options { deadline: LONG, ..options() };
    let attempted = run(async { send(&through(&url, "", patient), &target("http://127.0.0.1:80/")).await });
    assert_eq!(attempted.outcome, Outcome::LocalFault, "{attempted:?}");
    assert!(attempted.detail.unwrap().contains("too long"));
    assert!(endless.join().unwrap() > 0);
}

#[test]
fn addresses_are_passed_to_the_proxy_in_turn() {
    let receiver = Receiver::start(reply(200));
    let proxy = proxy::Proxy::scripted(|address| {
        if address.starts_with("127.0.0.1:") { OPENED } else { "HTTP/1.1 504 Gateway Timeout\r\n\r\n" }
    });
    let resolver = resolver(&[("soc.example", &["127.0.0.3", "127.0.0.1"])]);
    let sender = through(&url_of(&proxy), "", Options { resolver, ..options() });
    run(async { assert_status(&send(&sender, &target(&receiver.url_for("soc.example", "/"))).await, 200) });
    for address in ["127.0.0.3", "127.0.0.1"] {
        let head = proxy.heads.recv().unwrap();
        assert!(head.starts_with(&format!("CONNECT {address}:{} HTTP/1.1\r\n", receiver.port())), "{head}");
    }
}

#[test]
fn silent_proxy_is_not_a_timeout_of_the_receiver() {
    run(async {
        let (listener, _backlog) = unresponsive("127.0.0.4:0".parse().unwrap()).await;
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hasty = Options { deadline: SHORT, ..options() };
        let attempted = send(&through(&url, "", hasty), &target("http://127.0.0.1:80/")).await;
        assert_eq!(attempted.outcome, Outcome::LocalFault, "{attempted:?}");
        assert!(attempted.detail.unwrap().contains("no connection to the proxy 127.0.0.4:"));
    });
}
