//! Event ids that cannot be sent, as an earlier version stored them or as a bus relayed them.

use bytes::Bytes;
use decnet_core::event::{Event, fit_id};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{
    Admission, Erase, Erasure, Error, Filter, Operator, Reader, Recipient, Search, Submission, Unfit,
};
use rusqlite::Connection;

use super::support::*;

fn with_id(id: &str) -> Event {
    let body = Bytes::from(format!(r#"{{"id":"{id}","payload":{{}},"topic":"a.b"}}"#));
    Event { id: id.into(), topic: "a.b".into(), body, at: UnixMicros(0), operational: false }
}

#[tokio::test]
async fn a_stored_id_with_a_dot_is_replaced_when_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    queue.admit([admission(with_id("a.b"), &[sub], false)].into()).await.unwrap();
    queue.close().await.unwrap();

    let queue = open(dir.path());
    let claimed = claim_all(&queue, sub).await.deliveries;
    let sent = with_id(&fit_id("a.b"));
    assert_eq!(*claimed[0].event, sent);
    let again = queue.admit([admission(sent, &[sub], false)].into()).await.unwrap();
    assert!(again[0].duplicate, "the same event under the id that it has now");
}

#[tokio::test]
async fn a_submitted_id_with_a_dot_is_replaced_when_it_is_admitted() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let other = Connection::open(file(dir.path())).unwrap();
    other
        .execute(
            "INSERT INTO submitted (id, topic, submitted_at, body) VALUES ('a.b', 'a.b', 1, ?1)",
            [with_id("a.b").body.as_ref()],
        )
        .unwrap();
    let (id, event) = queue.submitted().await.unwrap().events.pop().unwrap();
    assert_eq!(event, with_id(&fit_id("a.b")));
    let to = vec![Recipient { sub, held: false }];
    let admission = Admission { event: event.into(), to, submitted: Some(id) };
    assert!(!queue.admit([admission].into()).await.unwrap()[0].duplicate);
    assert!(queue.submitted().await.unwrap().events.is_empty());
    assert_eq!(*list(dir.path())[0].event_id, *fit_id("a.b"));
}

#[tokio::test]
async fn an_event_is_found_by_the_id_it_was_published_with() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let published = "host.example:1";
    queue.admit([admission(with_id(&fit_id(published)), &[sub], false)].into()).await.unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    for id in [published, &fit_id(published)] {
        assert!(matches!(reader.find_event(id, || true).unwrap(), Search::Found(_)), "{id}");
        let filter = Filter { event_id: Some(id.into()), ..Filter::default() };
        assert_eq!(reader.list(&filter).unwrap().len(), 1, "{id}");
    }
    assert_eq!(reader.find_event("host.example:2", || true).unwrap(), Search::Absent);
    let mut operator = Operator::open(dir.path()).unwrap();
    let mut erasure = Erasure::begin(&operator, Erase::Event(published.into()), false).unwrap().unwrap();
    while erasure.step(&mut operator, now()).unwrap() {}
    assert_eq!((erasure.done().deliveries, erasure.done().events), (1, 1));
}

#[tokio::test]
async fn an_id_that_cannot_be_sent_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let mut submit = |id: &str| {
        let (topic, kind, payload) = ("a.b".into(), "t".into(), "{}".into());
        let submission = Submission { id: Some(id.into()), topic, kind, at: None, payload };
        operator.submit_all(&[(&[submission], None)], now()).unwrap().remove(0)
    };
    for id in ["a.b", ".", "a b", "é", &"x".repeat(129)] {
        assert!(matches!(submit(id), Err(Error::Unfit { index: 0, why: Unfit::Id })), "{id}");
    }
    assert!(submit(&"x".repeat(128)).is_ok());
}
