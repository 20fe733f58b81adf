//! The dashboard with as many subscriptions as the largest installations have.

use std::collections::BTreeSet;
use std::time::Instant;

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::topic::Pattern;
use decnet_runtime::clock;
use decnet_store::catalog::{Catalog, Create, NewSubscription};

use crate::client::Server;
use crate::dashboard_is_protected::Browser;

const MANY: usize = 10_000;
const LINK: &str = "<a class=\"main\" href=\"/subscriptions/";

fn subscription(number: usize) -> NewSubscription {
    let name = format!("team-{number:04}");
    NewSubscription {
        url: EndpointUrl::new(&format!("https://{name}.example/hook")).unwrap(),
        secret: Secret::new("a secret of the tests"),
        patterns: vec![Pattern::new(&format!("teams.{name}.>")).unwrap()],
        enabled: !number.is_multiple_of(10),
        settings: Settings::default(),
        name,
    }
}

/// Loads a page and prints its time and its size. Both depend on the machine and are not asserted.
#[expect(clippy::print_stdout, reason = "the figures of the test")]
fn load(browser: &Browser<'_>, path: &str) -> String {
    let started = Instant::now();
    let page = browser.page(path);
    println!("{path}: {:.1} ms, {} bytes", started.elapsed().as_secs_f64() * 1e3, page.len());
    page
}

#[test]
fn pages_of_ten_thousand_subscriptions_are_complete() {
    let server = Server::start();
    let mut catalog = Catalog::open(&server.host.path().join("data/decnet.db"), Create::Never).unwrap();
    let new: Vec<_> = (0..MANY).map(subscription).collect();
    let created = catalog.create_all(&new, clock::now()).unwrap();

    let admin = server.host.token("ops", "admin", &[]);
    let browser = Browser::log_in(&server, &admin);
    assert!(load(&browser, "/").contains("10,000"));
    assert!(load(&browser, "/subscriptions?q=TEAM-0777").contains("1 of 10,000 subscriptions"));
    assert!(load(&browser, "/subscriptions?state=disabled").contains("1,000 of 10,000 subscriptions"));
    load(&browser, "/deliveries");

    let (mut seen, mut rows, mut next) = (BTreeSet::new(), 0, Some("/subscriptions".to_owned()));
    while let Some(path) = next {
        let page = if rows == 0 { load(&browser, &path) } else { browser.page(&path) };
        let uuids = page.split(LINK).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        let before = rows;
        seen.extend(uuids.inspect(|_| rows += 1));
        assert!(rows > before, "{path} is empty");
        let link = page.split("rel=\"next\" href=\"").nth(1);
        next = link.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"));
    }
    assert_eq!((rows, seen), (MANY, created.into_iter().collect()));
}
