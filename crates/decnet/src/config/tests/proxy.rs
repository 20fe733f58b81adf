//! Tests of the HTTP proxy: where it is configured, and that its password is never shown.

use super::Host;
use crate::config::{Found, Uses};

const URL: &str = "http://soc:hunter2@proxy.example:3128";

/// Finds the configuration of a command that sends requests.
fn find(environment: &[(&str, &str)], file: &str) -> Found {
    let mut host = Host::new(environment, "").file("proxy-url", file);
    host.inputs.uses = Uses { requests: true, ..Uses::default() };
    host.find()
}

/// Returns the proxy without its exceptions.
fn proxy(found: &Found) -> Option<String> {
    assert_eq!(found.problems, [""; 0]);
    found.config.worker.sender.proxy.as_ref().map(ToString::to_string)
}

#[test]
fn proxy_may_come_from_a_file() {
    let named = find(&[("DECNET_WEBHOOK_PROXY", URL)], "");
    assert_eq!(proxy(&named).as_deref(), Some("http://proxy.example:3128"));
    let setting = named.settings.iter().find(|setting| setting.name == "DECNET_WEBHOOK_PROXY").unwrap();
    assert_eq!(setting.value, "http://proxy.example:3128");

    let file = ("DECNET_WEBHOOK_PROXY_FILE", "proxy-url");
    let read = find(&[file], &format!("{URL}\n"));
    assert_eq!(proxy(&read).as_deref(), Some("http://proxy.example:3128"));
    let both = find(&[file, ("DECNET_WEBHOOK_PROXY", "http://other.example:80")], URL);
    assert_eq!(proxy(&both).as_deref(), Some("http://other.example:80"));
    assert_eq!(both.warnings, ["DECNET_WEBHOOK_PROXY is set, so DECNET_WEBHOOK_PROXY_FILE is not read"]);
    assert_eq!(proxy(&find(&[], URL)), None);
}

#[test]
fn proxy_file_is_read_only_by_commands_that_send() {
    let missing = [("DECNET_WEBHOOK_PROXY_FILE", "missing")];
    assert_eq!(Host::new(&missing, "").find().problems, [""; 0]);
    let problems = find(&missing, "").problems;
    assert!(problems[0].contains("missing cannot be read"), "{problems:?}");
}

#[test]
fn invalid_proxies_are_reported_without_their_passwords() {
    for url in ["https://soc:hunter2@proxy.example", "ftp://soc:hunter2@proxy.example", "soc:hunter2@", ""] {
        let file = find(&[("DECNET_WEBHOOK_PROXY_FILE", "proxy-url")], url).problems;
        let [problem] = &file[..] else { panic!("{url}: {file:?}") };
        assert!(problem.contains("proxy-url must be the URL of an HTTP proxy"), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    let problems = find(&[("DECNET_WEBHOOK_PROXY", "https://soc:hunter2@proxy.example")], "").problems;
    assert!(problems[0].contains("only http proxies") && !problems[0].contains("hunter2"), "{problems:?}");
}

#[test]
fn own_exceptions_take_precedence_over_shared_ones() {
    for (environment, value) in [
        (&[("NO_PROXY", "a.example")][..], ["", "a.example"]),
        (&[("no_proxy", "b.example")], ["", "b.example"]),
        (&[("NO_PROXY", "a.example"), ("DECNET_WEBHOOK_NO_PROXY", "c.example")], ["c.example", "a.example"]),
    ] {
        let host = Host::new(environment, "");
        let values = ["DECNET_WEBHOOK_NO_PROXY", "NO_PROXY"].map(|name| host.value(name).0);
        assert_eq!(values, value);
    }
}

#[test]
fn variables_of_other_programs_cause_no_warning_with_a_proxy() {
    let other = ("HTTPS_PROXY", "http://other.example:3128");
    assert!(find(&[other], "").warnings[0].contains("HTTPS_PROXY (environment) is set and ignored"));
    assert_eq!(find(&[other, ("DECNET_WEBHOOK_PROXY", URL)], "").warnings, [""; 0]);
}
