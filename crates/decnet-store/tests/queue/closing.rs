//! Closing a queue: earlier calls complete, and the lease is released.

use decnet_store::queue::Error;

use super::support::*;

#[tokio::test]
async fn close_completes_earlier_calls_and_rejects_later_ones() {
    let (dir, queue, [sub]) = new_queue().await;
    let other = queue.clone();
    let (before, closed) = tokio::join!(
        biased;
        queue.admit((0..100).map(|n| admission(event(n), &[sub], false)).collect()),
        other.close(),
    );
    assert_eq!(before.unwrap().len(), 100);
    closed.unwrap();
    assert!(matches!(queue.backlogs().await, Err(Error::Closed)));
    assert!(matches!(queue.clone().close().await, Err(Error::Closed)));
    assert_eq!(open(dir.path()).backlogs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let queue = open(dir.path());
        let sub = subscriptions(&queue, 1).await[0];
        admit(&queue, round..round + 1, sub, true).await;
        drop(queue.clone());
        assert_eq!(list(dir.path()).len(), round + 1);
    }
}

#[tokio::test]
async fn cancelled_call_is_still_executed() {
    let (_dir, queue, [sub]) = new_queue().await;
    {
        let mut call = Box::pin(queue.admit([admission(event(0), &[sub], false)].into()));
        assert!(is_pending(call.as_mut()).await);
    }
    assert_eq!(claim_all(&queue, sub).await.deliveries.len(), 1);
}

/// Polls once. Returns whether the call is still pending.
async fn is_pending(mut call: std::pin::Pin<&mut (impl Future + ?Sized)>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_pending())).await
}
