//! What these tests share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use decnet_core::delivery::{Outcome, Reason};
use decnet_core::event::Event;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_dispatch::sender::{Attempted, Guard, Options, Resolver, Sender, Target};
use decnet_store::catalog::{Catalog, Create, NewSubscription, Stored};
use decnet_testkit::Receiver;
use rustls::pki_types::CertificateDer;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Longer than anything should take on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A deadline that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// Runs a test as the sender runs: on one thread, with local tasks.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// Loopback allowed, and a deadline that no test should meet.
pub(crate) fn options() -> Options {
    Options { deadline: LONG, guard: Guard::new(true, Vec::new()), ..Options::default() }
}

pub(crate) fn sender() -> Sender {
    Sender::new(options()).unwrap()
}

/// Gives up after [`SHORT`].
pub(crate) fn hasty_sender() -> Sender {
    Sender::new(Options { deadline: SHORT, ..options() }).unwrap()
}

pub(crate) fn resolver(entries: &[(&str, &[&str])]) -> Resolver {
    let address = |text: &&str| text.parse::<IpAddr>().unwrap();
    let entry = |(name, texts): &(&str, &[&str])| (name.to_string(), texts.iter().map(address).collect());
    Resolver::Fixed(entries.iter().map(entry).collect::<BTreeMap<_, _>>())
}

pub(crate) fn roots(receivers: &[&Receiver]) -> Vec<CertificateDer<'static>> {
    let root = |receiver: &&Receiver| CertificateDer::from(receiver.root_certificate().unwrap().to_vec());
    receivers.iter().map(root).collect()
}

pub(crate) fn target(url: &str) -> Target {
    Target::new(&EndpointUrl::new(url).unwrap(), &Secret::new(SECRET)).unwrap()
}

/// A subscription that asks for this, as the catalog has it.
pub(crate) fn stored(url: &str, patch: &str) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::open(&directory.path().join("decnet.db"), Create::IfMissing).unwrap();
    let patch: SettingsPatch = serde_json::from_str(patch).unwrap();
    let new = NewSubscription {
        name: "siem".into(),
        url: EndpointUrl::new(url).unwrap(),
        secret: Secret::new(SECRET),
        patterns: vec![Pattern::new(">").unwrap()],
        enabled: true,
        settings: patch.apply(&Settings::default()).unwrap(),
    };
    catalog.create(&new, now()).unwrap();
    catalog.load().unwrap().subscriptions.remove(0)
}

pub(crate) fn event(id: &str) -> Event {
    Event::new(id, "attacker.observed", "observed", UnixMicros(0), r#"{"ip":"198.51.100.7"}"#).unwrap()
}

pub(crate) fn now() -> UnixMicros {
    UnixMicros(0).after(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

pub(crate) async fn send(sender: &Sender, target: &Target) -> Attempted {
    sender.send(target, &event("e1"), now()).await
}

pub(crate) async fn send_to(receiver: &Receiver) -> Attempted {
    send(&sender(), &target(&receiver.url("/in"))).await
}

#[track_caller]
pub(crate) fn assert_status(attempted: &Attempted, expected: u16) {
    let replied = matches!(attempted.outcome, Outcome::Replied { status, .. } if status == expected);
    assert!(replied, "{attempted:?}");
}

#[track_caller]
pub(crate) fn assert_failed(attempted: &Attempted, reason: Reason, detail: &str) {
    assert_eq!(attempted.outcome, Outcome::Failed(reason), "{attempted:?}");
    assert!(attempted.detail.as_ref().is_some_and(|text| text.contains(detail)), "{attempted:?}");
}
