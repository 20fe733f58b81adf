//! Holds what the queue says against what the receiver saw.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use decnet_core::delivery::{Reason, State};
use decnet_core::settings::Batch;
use decnet_core::signature::SigningKey;
use decnet_core::topic::matches;
use decnet_core::topic::own::TOLD_TOPICS;
use decnet_store::queue::{Attempt, Detail, Filter, Reader};

use crate::host::{End, Host, Subscribed, secret};
use crate::witness::{Receipt, Witness};

/// What happened, for the tests' own questions.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) deliveries: usize,
    pub(crate) receipts: usize,
    /// Receipts of attempts that a kill took from the record.
    pub(crate) unrecorded: usize,
}

/// Event id and name of the subscription.
type Debt = (String, String);

/// A receipt's number, and one of the events that it carried.
type Named = (usize, String);

/// Everything that must hold once nothing is owed any more and every worker has ended.
pub(crate) fn audit(host: &Host, witness: &Witness) -> Summary {
    let receipts = witness.receipts();
    let details = details(host);
    every_event_has_its_deliveries(host, &details);
    let named = attempts_and_receipts_agree(&details, &receipts);
    let by_debt = by_debt(&receipts);
    let unrecorded = receipts_are_explained(host, &details, &receipts, &by_debt, &named);
    requests_are_genuine(&details, &receipts);
    settings_are_kept(host, &details, &receipts);
    logs_keep_secrets(host);
    Summary { deliveries: details.len(), receipts: receipts.len(), unrecorded }
}

fn details(host: &Host) -> BTreeMap<Debt, Detail> {
    let reader = Reader::open(&host.data()).unwrap();
    let mut details = BTreeMap::new();
    for listed in reader.list(&Filter::default()).unwrap() {
        let detail = reader.get(listed.id).unwrap().unwrap();
        let debt = (listed.event_id.to_string(), listed.subscription_name.to_string());
        assert_eq!(listed.state, State::Delivered, "{debt:?}: {detail:?}");
        assert!(details.insert(debt.clone(), detail).is_none(), "{debt:?} is owed twice");
    }
    details
}

/// The fan-out is what the patterns say, of every event, and no published event was admitted twice.
fn every_event_has_its_deliveries(host: &Host, details: &BTreeMap<Debt, Detail>) {
    let mut events: BTreeMap<&str, (&Detail, Vec<&str>)> = BTreeMap::new();
    for ((event, subscription), detail) in details {
        events.entry(event).or_insert((detail, Vec::new())).1.push(subscription);
    }
    let mut numbers = HashSet::new();
    for (event, (detail, recipients)) in events {
        let topic = &detail.listed.topic;
        let body: serde_json::Value = serde_json::from_slice(&detail.body).unwrap();
        // What the worker tells of a subscription's trouble goes to all others.
        let about =
            body["payload"]["subscription"]["name"].as_str().filter(|_| TOLD_TOPICS.contains(&&**topic));
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

/// Every reply on record was given, to that delivery and once; the numbers of the receipts on record.
fn attempts_and_receipts_agree(details: &BTreeMap<Debt, Detail>, receipts: &[Receipt]) -> HashSet<Named> {
    let mut named = HashSet::new();
    for (debt, detail) in details {
        attempts_are_in_order(debt, detail);
        for attempt in detail.attempts.iter().filter(|attempt| attempt.status.is_some()) {
            let number = receipt_number(&attempt.reply).unwrap_or_else(|| panic!("{debt:?}: {attempt:?}"));
            let receipt = &receipts[number];
            assert!(receipt.events.contains(&debt.0), "{debt:?}: {attempt:?}");
            assert_eq!(receipt.subscription(), debt.1, "{attempt:?}");
            assert_eq!(receipt.status, attempt.status, "{debt:?}: {attempt:?}");
            assert!(receipt.at >= attempt.started_at, "{debt:?}: receipt before {attempt:?}");
            assert!(named.insert((number, debt.0.clone())), "{debt:?}: receipt {number} is on record twice");
        }
        let last = detail.attempts.last().and_then(|attempt| receipt_number(&attempt.reply));
        assert!(receipts[last.unwrap()].is_ok(), "{debt:?} was delivered by {last:?}");
    }
    named
}

fn receipt_number(reply: &Bytes) -> Option<usize> {
    std::str::from_utf8(reply).ok()?.parse().ok()
}

/// Numbered without gaps, one at a time, and only the last one delivered.
fn attempts_are_in_order(debt: &Debt, detail: &Detail) {
    let attempts = &detail.attempts;
    assert_eq!(attempts.len(), usize::try_from(detail.listed.attempts).unwrap(), "{debt:?}");
    for (at, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt.number, u32::try_from(at + 1).unwrap(), "{debt:?}: {attempts:?}");
        assert_eq!(attempt.reason.is_none(), at + 1 == attempts.len(), "{debt:?}: {attempts:?}");
    }
    for pair in attempts.windows(2) {
        let ended_at = pair[0].started_at.after(pair[0].duration);
        assert!(ended_at <= pair[1].started_at, "{debt:?}: two at once: {pair:?}");
    }
}

fn by_debt(receipts: &[Receipt]) -> HashMap<Debt, Vec<usize>> {
    let mut by_debt: HashMap<Debt, Vec<usize>> = HashMap::new();
    for (number, receipt) in receipts.iter().enumerate() {
        for event in &receipt.events {
            let debt = (event.clone(), receipt.subscription().to_owned());
            by_debt.entry(debt).or_default().push(number);
        }
    }
    by_debt
}

/// Within each life of the worker a delivery has at most one receipt for each attempt on record and each repeat that
/// these record. If that life ended by SIGKILL there may be two more: the last attempt, and a repeat within it. Returns
/// how many such there were.
fn receipts_are_explained(
    host: &Host,
    details: &BTreeMap<Debt, Detail>,
    receipts: &[Receipt],
    by_debt: &HashMap<Debt, Vec<usize>>,
    named: &HashSet<Named>,
) -> usize {
    let mut unrecorded = 0;
    for (debt, numbers) in by_debt {
        // An event that is not in the queue was sent before it was committed.
        let detail = details.get(debt).unwrap_or_else(|| panic!("{debt:?} was received and never admitted"));
        for (life, end) in host.lives.iter().map(|life| life.end).enumerate() {
            let made: Vec<_> = attempts_in(host, life, detail).collect();
            let seen: Vec<_> =
                numbers.iter().copied().filter(|n| life_of(host, &receipts[*n]) == life).collect();
            let story =
                || format!("{debt:?} in life {life} of {:?}: {made:?}, receipts {seen:?}", host.lives);
            let slack = if end == End::Killed { 2 } else { 0 };
            let repeats: usize = made.iter().map(|attempt| attempt.repeats as usize).sum();
            assert!(seen.len() <= made.len() + repeats + slack, "sent too often: {}", story());
            one_at_a_time(receipts, &seen, &story);
            let answered = made.iter().filter(|attempt| may_lack_receipt(attempt)).count();
            let is_named = |number: &&usize| named.contains(&(**number, debt.0.clone()));
            let silent = seen.len() - seen.iter().filter(is_named).count();
            assert!(silent <= answered + repeats + slack, "a reply that is not on record: {}", story());
            assert!(seen.len() + answered >= made.len(), "an attempt that never was: {}", story());
            unrecorded += seen.len().saturating_sub(made.len() + repeats);
        }
    }
    assert_eq!(by_debt.len(), details.len(), "everything that was admitted has been received");
    unrecorded
}

fn life_of(host: &Host, receipt: &Receipt) -> usize {
    host.lives.iter().position(|life| receipt.request.connection < life.last_connection).unwrap()
}

fn attempts_in<'a>(host: &'a Host, life: usize, detail: &'a Detail) -> impl Iterator<Item = &'a Attempt> {
    let (from, to) = (host.lives[life].started_at, host.lives.get(life + 1).map(|life| life.started_at));
    let within = move |at| at >= from && to.is_none_or(|to| at < to);
    detail.attempts.iter().filter(move |attempt| within(attempt.started_at))
}

/// No reply, so no receipt is named; perhaps there is none.
fn may_lack_receipt(attempt: &Attempt) -> bool {
    use Reason::{Connect, Disconnected, Protocol, Timeout};
    matches!(attempt.reason, Some(Connect | Disconnected | Protocol | Timeout))
}

/// Within a life, the next request of a delivery comes after the answer to the one before.
fn one_at_a_time(receipts: &[Receipt], seen: &[usize], story: &impl Fn() -> String) {
    for pair in seen.windows(2) {
        let answered_at = receipts[pair[0]].at.after(receipts[pair[0]].delay);
        assert!(receipts[pair[1]].at >= answered_at, "two in flight at once: {}", story());
    }
}

/// Every request carried the bodies in the queue, byte for byte, and signatures that fit.
fn requests_are_genuine(details: &BTreeMap<Debt, Detail>, receipts: &[Receipt]) {
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

/// No batch is larger than asked for. Where order counts, a request begins with the oldest that is owed, and goes
/// on in order; only what was delivered already, and is not on record for a kill, may come again before it.
fn settings_are_kept(host: &Host, details: &BTreeMap<Debt, Detail>, receipts: &[Receipt]) {
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
    details: &BTreeMap<Debt, Detail>,
    receipts: impl Iterator<Item = &'a Receipt>,
) {
    let mine = details.iter().filter(|((_, subscription), _)| *subscription == name);
    let mut admitted: Vec<_> = mine.map(|((event, _), detail)| (detail.listed.id, event)).collect();
    admitted.sort_unstable();
    let places: HashMap<_, _> =
        admitted.iter().enumerate().map(|(place, (_, event))| (*event, place)).collect();
    let mut owed = 0;
    for receipt in receipts {
        let seen: Vec<usize> = receipt.events.iter().map(|event| places[event]).collect();
        assert!(seen[0] <= owed, "{seen:?} overtook {owed}: {receipt:?}");
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}: {receipt:?}");
        if receipt.is_ok() {
            owed = owed.max(seen[seen.len() - 1] + 1);
        }
    }
}

fn logs_keep_secrets(host: &Host) {
    for (path, text) in host.logs() {
        for forbidden in ["the-secret-of", "the-password-of", "the-token-of", "panicked"] {
            assert!(!text.contains(forbidden), "{forbidden} stands in {}:\n{text}", path.display());
        }
    }
}
