//! DECNET_WEBHOOK_PROXY: the worker, test requests and `decnet check` use the proxy, and nothing shows its password.

use decnet_testkit::{Proxy, Receiver, reply};

use crate::support::{Host, code, eventually, stderr, stdout};

/// Creates a host with a proxy and a subscription.
fn host(proxy: &Proxy, receiver: &Receiver) -> Host {
    let host = Host::new().with("DECNET_WEBHOOK_ALLOW_PRIVATE", "true").with("DECNET_API_PORT", "0");
    host.write("proxy", &format!("http://soc:hunter2@{}\n", proxy.address));
    host.chmod("proxy", 0o600);
    let path = host.path().join("proxy");
    let host = host.with("DECNET_WEBHOOK_PROXY_FILE", path.to_str().unwrap());
    let url = receiver.url("/");
    host.json(&["subscription", "create", "--name", "siem", "--url", &url, "--pattern", "a.>", "--json"]);
    host
}

#[test]
fn events_and_tests_go_through_the_proxy() {
    let (proxy, receiver) = (Proxy::start(), Receiver::start(reply(204)));
    let host = host(&proxy, &receiver);
    assert_eq!(host.json(&["subscription", "test", "siem", "--json"])["delivered"], true);
    let connect = format!("CONNECT {} HTTP/1.1\r\n", receiver.address());
    let head = proxy.heads.recv().unwrap();
    assert!(head.starts_with(&connect) && head.contains("\r\nproxy-authorization: Basic "), "{head}");

    let _serving = host.serve(&[]);
    eventually("an event is delivered", || {
        let published = host.run(&["publish", "a.b", "{}"]);
        assert_eq!(code(&published), 0, "{}", stderr(&published));
        receiver.count() > 1
    });
    assert!(proxy.heads.recv().unwrap().starts_with(&connect));

    let checked = host.run(&["check"]);
    let text = format!("{}{}", stdout(&checked), stderr(&checked));
    assert!(text.contains(&format!("proxy: http://{} accepts connections", proxy.address)), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn refusing_proxy_is_named_without_its_password() {
    let refusing = Proxy::scripted(|_| "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let receiver = Receiver::start(reply(204));
    let host = host(&refusing, &receiver);
    let tested = host.run(&["subscription", "test", "siem"]);
    let text = format!("{}{}", stdout(&tested), stderr(&tested));
    assert_eq!(code(&tested), 1, "{text}");
    assert!(
        text.contains(&format!("the proxy http://{}", refusing.address)) && text.contains("407"),
        "{text}"
    );
    assert!(!text.contains("hunter2") && receiver.count() == 0, "{text}");
}
