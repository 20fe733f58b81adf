//! The comparison of the queue's records with the receiver's.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use decnet_core::delivery::{Reason, State};
use decnet_core::settings::Batch;
use decnet_core::signature::SigningKey;
use decnet_core::topic::matches;
use decnet_core::topic::system_topics::OPERATIONAL_TOPICS;
use decnet_store::queue::{Attempt, Detail, Filter, Reader};

use crate::host::{End, Host, Subscribed, secret};
use crate::witness::{Receipt, Witness};

/// Totals for the assertions of individual tests.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) deliveries: usize,
    pub(crate) receipts: usize,
    /// The number of receipts whose attempts were not recorded because of a kill.
    pub(crate) unrecorded: usize,
}

/// The event id and the name of the subscription of a delivery.
type DeliveryKey = (String, String);

/// A receipt's number and one of its events.
type ReceiptEvent = (usize, String);

/// Checks all invariants once no delivery is pending and every worker has exited.
pub(crate) fn audit(host: &Host, witness: &Witness) -> Summary {
    let receipts = witness.receipts();
    let details = details(host);
    every_event_has_its_deliveries(host, &details);
    let named = attempts_and_receipts_agree(&details, &receipts);
    let by_key = by_key(&receipts);
    let unrecorded = receipts_are_explained(host, &details, &receipts, &by_key, &named);
    requests_are_genuine(&details, &receipts);
    settings_are_kept(host, &details, &receipts);
    logs_keep_secrets(host);
    Summary { deliveries: details.len(), receipts: receipts.len(), unrecorded }
}

fn details(host: &Host) -> BTreeMap<DeliveryKey, Detail> {
    let reader = Reader::open(&host.data()).unwrap();
    let mut details = BTreeMap::new();
    for listed in reader.list(&Filter::default()).unwrap() {
        let detail = reader.get(listed.id).unwrap().unwrap();
        let key = (listed.event_id.to_string(), listed.subscription_name.to_string());
        assert_eq!(listed.state, State::Delivered, "{key:?}: {detail:?}");
        assert!(details.insert(key.clone(), detail).is_none(), "{key:?} is listed twice");
    }
    details
}

/// Checks that every event was fanned out by the patterns, and that no published event was admitted twice.
fn every_event_has_its_deliveries(host: &Host, details: &BTreeMap<DeliveryKey, Detail>) {
    let mut events: BTreeMap<&str, (&Detail, Vec<&str>)> = BTreeMap::new();
    for ((event, subscription), detail) in details {
        events.entry(event).or_insert((detail, Vec::new())).1.push(subscription);
    }
    let mut numbers = HashSet::new();
    for (event, (detail, recipients)) in events {
        let topic = &detail.listed.topic;
        let body: serde_json::Value = serde_json::from_slice(&detail.body).unwrap();
        // The worker's events about a subscription are delivered only to the others.
        let about = body["payload"]["subscription"]["name"]
            .as_str()
            .filter(|_| OPERATIONAL_TOPICS.contains(&&**topic));
        let wants = |subscribed: &&Subscribed| {
            about != Some(&subscribed.name)
                && subscribed.patterns.iter().any(|pattern| matches(pattern.as_str(), topic))
        };
        let mut wanted: Vec<_> = host.subscribed.iter().filter(wants).map(|s| s.name.as_str()).collect();
        wanted.sort_unstable();
        assert_eq!(recipients, wanted, "{event} on {topic}");
        if let Some(n) = body["payload"]["n"].as_u64() {
            assert!(numbers.insert(n), "event {n} was admitted twice");
        }
    }
}

/// Checks that every recorded response was sent, once and for that delivery. Returns the recorded receipts.
fn attempts_and_receipts_agree(
    details: &BTreeMap<DeliveryKey, Detail>,
    receipts: &[Receipt],
) -> HashSet<ReceiptEvent> {
    let mut named = HashSet::new();
    for (key, detail) in details {
        attempts_are_in_order(key, detail);
        for attempt in detail.attempts.iter().filter(|attempt| attempt.status.is_some()) {
            let number = receipt_number(&attempt.reply).unwrap_or_else(|| panic!("{key:?}: {attempt:?}"));
            let receipt = &receipts[number];
            assert!(receipt.events.contains(&key.0), "{key:?}: {attempt:?}");
            assert_eq!(receipt.subscription(), key.1, "{attempt:?}");
            assert_eq!(receipt.status, attempt.status, "{key:?}: {attempt:?}");
            assert!(receipt.at >= attempt.started_at, "{key:?}: receipt before {attempt:?}");
            assert!(named.insert((number, key.0.clone())), "{key:?}: receipt {number} is recorded twice");
        }
        let last = detail.attempts.last().and_then(|attempt| receipt_number(&attempt.reply));
        assert!(receipts[last.unwrap()].is_ok(), "{key:?} was delivered by {last:?}");
    }
    named
}

fn receipt_number(reply: &Bytes) -> Option<usize> {
    std::str::from_utf8(reply).ok()?.parse().ok()
}

/// Checks that attempts are numbered without gaps, do not overlap, and that only the last attempt succeeded.
fn attempts_are_in_order(key: &DeliveryKey, detail: &Detail) {
    let attempts = &detail.attempts;
    assert_eq!(attempts.len(), usize::try_from(detail.listed.attempts).unwrap(), "{key:?}");
    for (at, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt.number, u32::try_from(at + 1).unwrap(), "{key:?}: {attempts:?}");
        assert_eq!(attempt.reason.is_none(), at + 1 == attempts.len(), "{key:?}: {attempts:?}");
    }
    for pair in attempts.windows(2) {
        let ended_at = pair[0].started_at.after(pair[0].duration);
        assert!(ended_at <= pair[1].started_at, "{key:?}: two at once: {pair:?}");
    }
}

fn by_key(receipts: &[Receipt]) -> HashMap<DeliveryKey, Vec<usize>> {
    let mut by_key: HashMap<DeliveryKey, Vec<usize>> = HashMap::new();
    for (number, receipt) in receipts.iter().enumerate() {
        for event in &receipt.events {
            let key = (event.clone(), receipt.subscription().to_owned());
            by_key.entry(key).or_default().push(number);
        }
    }
    by_key
}

/// Checks that a delivery has, per worker process, at most one receipt for each recorded attempt and each repeat in it. After
/// a SIGKILL there may be two more: the last attempt, and a repeat within it. Returns the number of such extra receipts.
fn receipts_are_explained(
    host: &Host,
    details: &BTreeMap<DeliveryKey, Detail>,
    receipts: &[Receipt],
    by_key: &HashMap<DeliveryKey, Vec<usize>>,
    named: &HashSet<ReceiptEvent>,
) -> usize {
    let mut unrecorded = 0;
    for (key, numbers) in by_key {
        // An event that is not in the queue must not have been sent.
        let detail = details.get(key).unwrap_or_else(|| panic!("{key:?} was received but never admitted"));
        for (run, end) in host.runs.iter().map(|run| run.end).enumerate() {
            let made: Vec<_> = attempts_in(host, run, detail).collect();
            let seen: Vec<_> =
                numbers.iter().copied().filter(|n| run_of(host, &receipts[*n]) == run).collect();
            let context = || format!("{key:?} in run {run} of {:?}: {made:?}, receipts {seen:?}", host.runs);
            let slack = if end == End::Killed { 2 } else { 0 };
            let repeats: usize = made.iter().map(|attempt| attempt.repeats as usize).sum();
            assert!(seen.len() <= made.len() + repeats + slack, "too many requests: {}", context());
            one_at_a_time(receipts, &seen, &context);
            let answered = made.iter().filter(|attempt| may_lack_receipt(attempt)).count();
            let is_named = |number: &&usize| named.contains(&(**number, key.0.clone()));
            let silent = seen.len() - seen.iter().filter(is_named).count();
            assert!(silent <= answered + repeats + slack, "an unrecorded response: {}", context());
            assert!(
                seen.len() + answered >= made.len(),
                "a recorded attempt without a request: {}",
                context()
            );
            unrecorded += seen.len().saturating_sub(made.len() + repeats);
        }
    }
    assert_eq!(by_key.len(), details.len(), "every admitted delivery was received");
    unrecorded
}

fn run_of(host: &Host, receipt: &Receipt) -> usize {
    host.runs.iter().position(|run| receipt.request.connection < run.last_connection).unwrap()
}

fn attempts_in<'a>(host: &'a Host, run: usize, detail: &'a Detail) -> impl Iterator<Item = &'a Attempt> {
    let (from, to) = (host.runs[run].started_at, host.runs.get(run + 1).map(|run| run.started_at));
    let within = move |at| at >= from && to.is_none_or(|to| at < to);
    detail.attempts.iter().filter(move |attempt| within(attempt.started_at))
}

/// Returns whether an attempt without a response may lack a receipt.
fn may_lack_receipt(attempt: &Attempt) -> bool {
    use Reason::{Connect, Disconnected, Protocol, Timeout};
    matches!(attempt.reason, Some(Connect | Disconnected | Protocol | Timeout))
}

/// Checks that a worker sends a delivery again only after the previous response.
fn one_at_a_time(receipts: &[Receipt], seen: &[usize], context: &impl Fn() -> String) {
    for pair in seen.windows(2) {
        let answered_at = receipts[pair[0]].at.after(receipts[pair[0]].delay);
        assert!(receipts[pair[1]].at >= answered_at, "two in flight at once: {}", context());
    }
}

/// Checks that every request contained the bodies in the queue, byte for byte, and valid signatures.
fn requests_are_genuine(details: &BTreeMap<DeliveryKey, Detail>, receipts: &[Receipt]) {
    let mut keys = HashMap::new();
    for receipt in receipts {
        let name = receipt.subscription();
        let key = keys.entry(name).or_insert_with(|| SigningKey::new(&secret(name)));
        let body = |event: &String| &details[&(event.clone(), name.to_owned())].body[..];
        let bodies = receipt.events.iter().map(body).collect::<Vec<_>>().join(&b',');
        let expected = if receipt.is_batch() { [b"[", &bodies[..], b"]"].concat() } else { bodies };
        let request = &receipt.request;
        assert_eq!(request.body, expected, "{:?} to {name}", receipt.events);
        assert!(key.verify_decnet(&request.body, request.header("x-decnet-signature")), "{request:?}");
        let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
        let signatures = request.header("webhook-signature");
        assert!(key.verify_standard(id, at.parse().unwrap(), &request.body, signatures), "{request:?}");
    }
}

/// Checks that no batch exceeds its limit and that ordered subscriptions are served in order. A request begins with the oldest
/// pending delivery; only deliveries whose success was not recorded because of a kill may precede it.
fn settings_are_kept(host: &Host, details: &BTreeMap<DeliveryKey, Detail>, receipts: &[Receipt]) {
    for subscribed in &host.subscribed {
        let mine = || receipts.iter().filter(|receipt| receipt.subscription() == subscribed.name);
        let most = subscribed.settings.batch.map_or(1, Batch::max_events);
        assert!(mine().all(|receipt| receipt.events.len() <= most), "{subscribed:?}");
        if subscribed.settings.ordered {
            order_is_kept(&subscribed.name, details, mine());
        }
    }
}

fn order_is_kept<'a>(
    name: &str,
    details: &BTreeMap<DeliveryKey, Detail>,
    receipts: impl Iterator<Item = &'a Receipt>,
) {
    let mine = details.iter().filter(|((_, subscription), _)| *subscription == name);
    let mut admitted: Vec<_> = mine.map(|((event, _), detail)| (detail.listed.id, event)).collect();
    admitted.sort_unstable();
    let places: HashMap<_, _> =
        admitted.iter().enumerate().map(|(place, (_, event))| (*event, place)).collect();
    let mut pending = 0;
    for receipt in receipts {
        let seen: Vec<usize> = receipt.events.iter().map(|event| places[event]).collect();
        assert!(seen[0] <= pending, "{seen:?} overtook {pending}: {receipt:?}");
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}: {receipt:?}");
        if receipt.is_ok() {
            pending = pending.max(seen[seen.len() - 1] + 1);
        }
    }
}

fn logs_keep_secrets(host: &Host) {
    for (path, text) in host.logs() {
        for forbidden in ["the-secret-of", "the-password-of", "the-token-of", "panicked"] {
            assert!(!text.contains(forbidden), "{forbidden} is in {}:\n{text}", path.display());
        }
    }
}
