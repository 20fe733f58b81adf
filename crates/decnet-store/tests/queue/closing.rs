//! Closing carries out what was asked before, and gives the lease back.

use decnet_store::queue::Error;

use super::support::*;

#[tokio::test]
async fn what_was_asked_before_is_done_and_what_comes_after_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let other = queue.clone();
    let (before, closed) = tokio::join!(
        biased;
        queue.admit((0..100).map(|n| admission(event(n), &[sub], false)).collect()),
        other.close(),
    );
    assert_eq!(before.unwrap().len(), 100);
    closed.unwrap();
    assert!(matches!(queue.waiting().await, Err(Error::Closed)));
    assert!(matches!(queue.clone().close().await, Err(Error::Closed)));
    assert_eq!(open(dir.path()).waiting().await.unwrap().len(), 1);
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
async fn a_call_whose_caller_has_gone_is_carried_out() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    {
        let mut call = Box::pin(queue.admit([admission(event(0), &[sub], false)].into()));
        assert!(waits_when_polled(call.as_mut()).await);
    }
    assert_eq!(claim_all(&queue, sub).await.deliveries.len(), 1);
}

/// Polls once; true if it still waits.
async fn waits_when_polled(mut call: std::pin::Pin<&mut (impl Future + ?Sized)>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_pending())).await
}
