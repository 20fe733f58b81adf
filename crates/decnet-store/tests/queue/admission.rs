//! An event is admitted once, with all its deliveries or none.

use super::support::*;
use decnet_core::limits::MAX_FAN_OUT;
use decnet_store::queue::Error;

#[tokio::test]
async fn a_second_admit_of_an_id_changes_nothing_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let once = || admission(event(7), &subs, false);
    let admitted = queue.admit([once(), once()].into()).await.unwrap();
    assert!(!admitted[0].duplicate && admitted[1].duplicate);
    assert_eq!(admitted[0].first, admitted[1].first);
    assert!(queue.admit([once()].into()).await.unwrap()[0].duplicate);
    queue.close().await.unwrap();

    let queue = open(dir.path());
    let again = queue.admit([once(), admission(event(8), &subs, false)].into()).await.unwrap();
    assert_eq!((again[0].duplicate, again[1].duplicate), (true, false));
    assert_eq!(again[0].first, admitted[0].first);
    assert_eq!(list(dir.path()).len(), 4);
}

#[tokio::test]
async fn deliveries_follow_the_order_of_their_recipients() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 3).await;
    let first = queue.admit([admission(event(0), &subs, false)].into()).await.unwrap()[0].first;
    for (n, sub) in (0..).zip(&subs) {
        assert_eq!(ids(&claim_all(&queue, *sub).await.deliveries), [first.plus(n)]);
    }
}

#[tokio::test]
async fn an_event_for_nobody_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 1).await;
    assert!(!queue.admit([admission(event(0), &[], false)].into()).await.unwrap()[0].duplicate);
    assert!(!queue.admit([admission(event(0), &subs, false)].into()).await.unwrap()[0].duplicate);
    assert_eq!(list(dir.path()).len(), 1);
}

#[tokio::test]
async fn too_many_recipients_are_refused_and_harm_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 1).await;
    let crowd = vec![subs[0]; MAX_FAN_OUT as usize + 1];
    let (refused, fine) = tokio::join!(
        queue.admit([admission(event(0), &crowd, false)].into()),
        queue.admit([admission(event(1), &subs, false)].into()),
    );
    assert!(matches!(refused, Err(Error::TooManyRecipients)));
    assert!(!fine.unwrap()[0].duplicate);
    assert_eq!(list(dir.path()).len(), 1);
}

#[tokio::test]
async fn keys_are_stable_and_names_follow() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 3).await;
    assert_eq!(subscriptions(&queue, 3).await, subs);
    let renamed = queue.register(vec![("uuid-1".into(), "other".into())]).await.unwrap();
    assert_eq!(renamed, [subs[1]]);
    admit(&queue, 0..1, subs[1], true).await;
    assert_eq!(&*list(dir.path())[0].subscription_name, "other");
}
