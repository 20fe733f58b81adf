//! Admission: an event is stored once, with all of its deliveries or none.

use super::support::*;
use decnet_core::limits::MAX_FAN_OUT;
use decnet_store::queue::Error;

#[tokio::test]
async fn repeated_id_is_a_duplicate_even_after_reopening() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let repeated = || admission(event(7), &subs, false);
    let admitted = queue.admit([repeated(), repeated()].into()).await.unwrap();
    assert!(!admitted[0].duplicate && admitted[1].duplicate);
    assert_eq!(admitted[0].first, admitted[1].first);
    assert!(queue.admit([repeated()].into()).await.unwrap()[0].duplicate);
    queue.close().await.unwrap();

    let queue = open(dir.path());
    let again = queue.admit([repeated(), admission(event(8), &subs, false)].into()).await.unwrap();
    assert_eq!((again[0].duplicate, again[1].duplicate), (true, false));
    assert_eq!(again[0].first, admitted[0].first);
    assert_eq!(list(dir.path()).len(), 4);
}

#[tokio::test]
async fn delivery_ids_follow_the_order_of_recipients() {
    let (_dir, queue, subs) = new_queue::<3>().await;
    let first = admit_one(&queue, event(0), &subs, false).await.first;
    for (n, sub) in (0..).zip(&subs) {
        assert_eq!(ids(&claim_all(&queue, *sub).await.deliveries), [first.plus(n)]);
    }
}

#[tokio::test]
async fn event_without_recipients_is_not_stored() {
    let (dir, queue, subs) = new_queue::<1>().await;
    assert!(!admit_one(&queue, event(0), &[], false).await.duplicate);
    assert!(!admit_one(&queue, event(0), &subs, false).await.duplicate);
    assert_eq!(list(dir.path()).len(), 1);
}

#[tokio::test]
async fn too_many_recipients_fail_only_their_own_call() {
    let (dir, queue, subs) = new_queue::<1>().await;
    let too_many = vec![subs[0]; MAX_FAN_OUT as usize + 1];
    let (refused, fine) = tokio::join!(
        queue.admit([admission(event(0), &too_many, false)].into()),
        queue.admit([admission(event(1), &subs, false)].into()),
    );
    assert!(matches!(refused, Err(Error::TooManyRecipients)));
    assert!(!fine.unwrap()[0].duplicate);
    assert_eq!(list(dir.path()).len(), 1);
}

#[tokio::test]
async fn subscription_keys_are_stable_and_names_are_updated() {
    let (dir, queue, subs) = new_queue::<3>().await;
    assert_eq!(subscriptions(&queue, 3).await, subs);
    let renamed = queue.register(vec![("uuid-1".into(), "other".into())]).await.unwrap();
    assert_eq!(renamed, [subs[1]]);
    admit(&queue, 0..1, subs[1], true).await;
    assert_eq!(&*list(dir.path())[0].subscription_name, "other");
}
