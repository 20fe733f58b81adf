//! Event ids that are invalid in a header: stored by an earlier version, published on the bus, or submitted.

use bytes::Bytes;
use decnet_core::event::{Event, sendable_id};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{
    Admission, Erasure, ErasureTarget, Error, ExternalWriter, Filter, InvalidSubmission, Reader, Search,
    Submission,
};

use super::support::*;

fn with_id(id: &str) -> Event {
    let body = Bytes::from(format!(r#"{{"id":"{id}","payload":{{}},"topic":"a.b"}}"#));
    Event { id: id.into(), topic: "a.b".into(), body, at: UnixMicros(0), operational: false }
}

#[tokio::test]
async fn stored_invalid_id_is_replaced_when_claimed() {
    let (dir, queue, [sub]) = new_queue().await;
    admit_one(&queue, with_id("a.b"), &[sub], false).await;
    queue.close().await.unwrap();

    let queue = open(dir.path());
    let claimed = claim_all(&queue, sub).await.deliveries;
    let sent = with_id(&sendable_id("a.b"));
    assert_eq!(*claimed[0].event, sent);
    assert!(admit_one(&queue, sent, &[sub], false).await.duplicate, "the event under its replaced id");
}

#[tokio::test]
async fn submitted_invalid_id_is_replaced_on_admission() {
    let (dir, queue, [sub]) = new_queue().await;
    sqlite(dir.path())
        .execute(
            "INSERT INTO submitted (id, topic, submitted_at, body) VALUES ('a.b', 'a.b', 1, ?1)",
            [with_id("a.b").body.as_ref()],
        )
        .unwrap();
    let (id, event) = queue.next_submitted().await.unwrap().events.pop().unwrap();
    assert_eq!(event, with_id(&sendable_id("a.b")));
    let admission = Admission { submitted: Some(id), ..admission(event, &[sub], false) };
    assert!(!queue.admit([admission].into()).await.unwrap()[0].duplicate);
    assert!(queue.next_submitted().await.unwrap().events.is_empty());
    assert_eq!(*list(dir.path())[0].event_id, *sendable_id("a.b"));
}

#[tokio::test]
async fn event_is_found_by_its_published_id() {
    let (dir, queue, [sub]) = new_queue().await;
    let published = "host.example:1";
    admit_one(&queue, with_id(&sendable_id(published)), &[sub], false).await;
    let reader = Reader::open(dir.path()).unwrap();
    for id in [published, &sendable_id(published)] {
        assert!(matches!(reader.find_event(id, || true).unwrap(), Search::Found(_)), "{id}");
        let filter = Filter { event_id: Some(id.into()), ..Filter::default() };
        assert_eq!(reader.list(&filter).unwrap().len(), 1, "{id}");
    }
    assert_eq!(reader.find_event("host.example:2", || true).unwrap(), Search::Absent);
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let mut erasure =
        Erasure::begin(&writer, ErasureTarget::Event(published.into()), false).unwrap().unwrap();
    while erasure.step(&mut writer, now()).unwrap() {}
    assert_eq!((erasure.done().deliveries, erasure.done().events), (1, 1));
}

#[tokio::test]
async fn invalid_id_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let _queue = open(dir.path());
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let mut submit = |id: &str| {
        let (topic, kind, payload) = ("a.b".into(), "t".into(), "{}".into());
        let submission = Submission { id: Some(id.into()), topic, kind, at: None, payload };
        writer.submit_all(&[(&[submission], None)], now()).unwrap().remove(0)
    };
    for id in ["a.b", ".", "a b", "é", &"x".repeat(129)] {
        assert!(
            matches!(submit(id), Err(Error::InvalidSubmission { index: 0, reason: InvalidSubmission::Id })),
            "{id}"
        );
    }
    assert!(submit(&"x".repeat(128)).is_ok());
}
