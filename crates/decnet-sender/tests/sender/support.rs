//! Senders, targets and assertions for the tests.

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use decnet_core::delivery::{Outcome, Reason};
use decnet_core::event::Event;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_sender::{AttemptResult, EgressGuard, Options, Resolver, Sender, Target};
use decnet_store::catalog::{Catalog, Create, NewSubscription, StoredSubscription};
use decnet_testkit::Receiver;
use rustls::pki_types::CertificateDer;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Longer than any step takes on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A deadline that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// Runs a test on one thread with local tasks, as the sender requires.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// Returns options that allow loopback, with a deadline that no test should reach.
pub(crate) fn options() -> Options {
    Options { deadline: LONG, guard: EgressGuard::new(true, Vec::new()), ..Options::default() }
}

pub(crate) fn sender() -> Sender {
    Sender::new(options())
}

pub(crate) fn sender_to(receiver: &Receiver) -> (Sender, Target) {
    (sender(), target(&receiver.url("/")))
}

pub(crate) fn sender_trusting(receiver: &Receiver) -> Sender {
    Sender::new(Options { extra_roots: roots(&[receiver]), ..options() })
}

/// Creates a sender whose deadline is [`SHORT`].
pub(crate) fn hasty_sender() -> Sender {
    Sender::new(Options { deadline: SHORT, ..options() })
}

/// Starts a server that serves one connection on a thread. Returns its URL.
pub(crate) fn serve_once<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (url, std::thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Returns a resolver with these names only.
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

pub(crate) fn target_of(stored: &StoredSubscription) -> Target {
    Target::for_subscription(&stored.subscription, &stored.settings, &stored.old_secrets, None).unwrap()
}

/// Returns a subscription with these settings as the catalog stores it.
pub(crate) fn stored(url: &str, patch: &str) -> StoredSubscription {
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

pub(crate) async fn send(sender: &Sender, target: &Target) -> AttemptResult {
    sender.send(target, &event("e1"), now()).await
}

/// Runs one attempt.
pub(crate) fn send_once(sender: &Sender, url: &str) -> AttemptResult {
    run(async { send(sender, &target(url)).await })
}

/// Polls an attempt until its receiver has received `n` requests.
pub(crate) async fn until_received(
    attempt: &mut (impl Future<Output = AttemptResult> + Unpin),
    receiver: &Receiver,
    n: u64,
) {
    tokio::select! {
        attempted = attempt => panic!("{attempted:?}"),
        reached = receiver.reached(n, LONG) => assert!(reached),
    }
}

pub(crate) async fn send_to(receiver: &Receiver) -> AttemptResult {
    send(&sender(), &target(&receiver.url("/in"))).await
}

#[track_caller]
pub(crate) fn assert_status(attempted: &AttemptResult, expected: u16) {
    let replied = matches!(attempted.outcome, Outcome::Replied { status, .. } if status == expected);
    assert!(replied, "{attempted:?}");
}

#[track_caller]
pub(crate) fn assert_failed(attempted: &AttemptResult, reason: Reason, detail: &str) {
    assert_eq!(attempted.outcome, Outcome::Failed(reason), "{attempted:?}");
    assert!(attempted.detail.as_ref().is_some_and(|text| text.contains(detail)), "{attempted:?}");
}
