//! A queue whose files are removed, replaced or moved while it is open is saved, and not forgotten by the next start.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_core::delivery::State;
use decnet_store::queue::{
    Active, DeliveryId, Error, Health, Operator, Options, Queue, Reader, SubscriptionKey,
};
use tempfile::TempDir;

use super::support::*;

/// A queue with deliveries that wait.
struct Owing {
    dir: TempDir,
    queue: Queue,
    sub: SubscriptionKey,
    waiting: Vec<DeliveryId>,
}

impl Owing {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let queue = open(dir.path());
        let sub = subscriptions(&queue, 1).await[0];
        let waiting = admit(&queue, 0..50, sub, false).await;
        Self { dir, queue, sub, waiting }
    }

    fn side(&self, suffix: &str) -> PathBuf {
        self.dir.path().join(format!("queue.db{suffix}"))
    }

    /// Waits until the queue has noticed, admits what was on its way, and closes it.
    async fn close(mut self) -> (TempDir, Vec<DeliveryId>, Error) {
        noticed(&self.queue).await;
        self.waiting.extend(admit(&self.queue, 50..60, self.sub, true).await);
        let error = self.queue.close().await.unwrap_err();
        (self.dir, self.waiting, error)
    }
}

/// Asks the queue something, as its worker does every second, until it says that it is displaced.
async fn noticed(queue: &Queue) {
    let ask = async {
        loop {
            queue.changed_elsewhere().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = queue.displaced() => {}
        () = ask => {}
        () = tokio::time::sleep(LONG) => panic!("not noticed"),
    }
    assert!(
        matches!(&*queue.health().borrow(), Health::Degraded { error, .. } if error.contains("queue.db"))
    );
}

fn rescued(error: &Error) -> &Path {
    let Error::Displaced { rescued, .. } = error else { panic!("{error}") };
    assert_eq!(fs::metadata(rescued).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(error.needs_operator() && error.to_string().contains(rescued.to_str().unwrap()), "{error}");
    rescued
}

/// Puts a rescued file where the queue belongs, as the error says, and claims what waits in it.
async fn go_on_with(dir: &Path, rescued: &Path) -> Vec<DeliveryId> {
    for stale in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        let _ = fs::remove_file(dir.join(stale));
    }
    fs::rename(rescued, file(dir)).unwrap();
    let queue = open(dir);
    let sub = subscriptions(&queue, 1).await[0];
    ids(&claim_all(&queue, sub).await.deliveries)
}

#[tokio::test]
async fn a_removed_queue_is_saved_and_no_start_makes_an_empty_one() {
    let owing = Owing::new().await;
    fs::remove_file(owing.side("")).unwrap();
    let (dir, waiting, error) = owing.close().await;
    let rescued = rescued(&error).to_owned();
    assert!(error.to_string().contains("queue.db was removed while the worker ran"), "{error}");
    assert!(!dir.path().join("queue.db-wal").exists(), "it would be applied to the next database");
    let refused = Queue::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(&refused, Error::Rescued { rescued: found, .. } if *found == rescued), "{refused}");
    assert!(refused.needs_operator() && !file(dir.path()).exists());
    assert!(matches!(Reader::open(dir.path()), Err(Error::Rescued { .. })), "not an empty queue to come");
    assert_eq!(go_on_with(dir.path(), &rescued).await, waiting);
}

#[tokio::test]
async fn a_replaced_queue_is_saved_and_the_new_file_is_left_alone() {
    let owing = Owing::new().await;
    let other = owing.dir.path().join("other.db");
    fs::write(&other, "something else").unwrap();
    fs::rename(&other, owing.side("")).unwrap();
    let (dir, waiting, error) = owing.close().await;
    assert!(error.to_string().contains("queue.db was replaced by another file"), "{error}");
    assert_eq!(fs::read(file(dir.path())).unwrap(), b"something else");
    assert!(matches!(Queue::open(dir.path(), Options::default()), Err(Error::Rescued { .. })));
    assert_eq!(go_on_with(dir.path(), rescued(&error)).await, waiting);
}

#[tokio::test]
async fn a_queue_without_its_log_is_saved_whole() {
    for suffix in ["-wal", "-shm"] {
        let owing = Owing::new().await;
        fs::remove_file(owing.side(suffix)).unwrap();
        let (dir, waiting, error) = owing.close().await;
        assert!(error.to_string().contains(&format!("queue.db{suffix} was removed")), "{error}");
        assert!(matches!(Queue::open(dir.path(), Options::default()), Err(Error::Rescued { .. })));
        assert_eq!(go_on_with(dir.path(), rescued(&error)).await, waiting);
    }
}

#[tokio::test]
async fn a_moved_queue_is_saved_with_the_place_where_it_is_now() {
    let owing = Owing::new().await;
    let moved = owing.dir.path().join("moved.db");
    fs::rename(owing.side(""), &moved).unwrap();
    let (dir, waiting, error) = owing.close().await;
    assert!(error.to_string().contains(&format!("queue.db was moved to {}", moved.display())), "{error}");
    assert_eq!(go_on_with(dir.path(), rescued(&error)).await, waiting);
}

#[tokio::test]
async fn a_queue_that_is_back_in_time_is_closed_and_the_worker_starts_again() {
    let owing = Owing::new().await;
    let away = owing.dir.path().join("away.db");
    fs::rename(owing.side(""), &away).unwrap();
    noticed(&owing.queue).await;
    fs::rename(&away, owing.side("")).unwrap();
    let error = owing.queue.close().await.unwrap_err();
    assert!(matches!(error, Error::Returned { .. }) && !error.needs_operator(), "{error}");
    let queue = open(owing.dir.path());
    assert_eq!(ids(&claim_all(&queue, owing.sub).await.deliveries), owing.waiting);
}

#[tokio::test]
async fn a_queue_whose_directory_was_renamed_is_saved_where_it_was() {
    let mut owing = Owing::new().await;
    let inner = TempDir::new_in(owing.dir.path()).unwrap().keep();
    let before = inner.join("data");
    fs::create_dir(&before).unwrap();
    owing.queue = open(&before);
    owing.sub = subscriptions(&owing.queue, 1).await[0];
    owing.waiting = admit(&owing.queue, 0..50, owing.sub, false).await;
    fs::rename(&before, inner.join("renamed")).unwrap();
    let (_dir, waiting, error) = owing.close().await;
    assert_eq!(rescued(&error).parent().unwrap(), before);
    assert!(matches!(Queue::open(&before, Options::default()), Err(Error::Rescued { .. })));
    assert_eq!(go_on_with(&before, rescued(&error)).await, waiting);
}

#[tokio::test]
async fn a_queue_that_was_moved_whole_is_named_where_it_cannot_be_saved() {
    let mut owing = Owing::new().await;
    let inner = TempDir::new_in(owing.dir.path()).unwrap().keep();
    let (before, after) = (inner.join("data"), inner.join("renamed"));
    fs::create_dir(&before).unwrap();
    owing.queue = open(&before);
    owing.sub = subscriptions(&owing.queue, 1).await[0];
    owing.waiting = admit(&owing.queue, 0..50, owing.sub, false).await;
    fs::rename(&before, &after).unwrap();
    fs::write(&before, "no directory").unwrap();
    let (_dir, waiting, error) = owing.close().await;
    assert!(matches!(&error, Error::Moved { now, .. } if *now == after), "{error}");
    assert!(error.needs_operator() && error.to_string().contains("nothing is lost"), "{error}");
    let queue = open(&after);
    let sub = subscriptions(&queue, 1).await[0];
    assert_eq!(ids(&claim_all(&queue, sub).await.deliveries), waiting);
}

#[tokio::test]
async fn a_queue_that_cannot_be_saved_yet_is_kept_until_it_can() {
    let Owing { dir, queue, waiting, .. } = Owing::new().await;
    let path = dir.path().to_owned();
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "in the way").unwrap();
    let mut health = queue.health();
    let closing = tokio::spawn(queue.close());
    let cannot =
        |health: &Health| matches!(health, Health::Degraded { error, .. } if error.contains(".rescued-"));
    tokio::time::timeout(LONG, health.wait_for(cannot)).await.unwrap().unwrap();
    assert!(!closing.is_finished());
    fs::remove_file(&path).unwrap();
    let error = tokio::time::timeout(LONG, closing).await.unwrap().unwrap().unwrap_err();
    assert_eq!(go_on_with(&path, rescued(&error)).await, waiting);
}

#[tokio::test]
async fn a_dropped_queue_makes_no_directory_that_was_removed() {
    let Owing { dir, queue, .. } = Owing::new().await;
    fs::remove_dir_all(dir.path()).unwrap();
    drop(queue);
    assert!(!dir.path().exists());
}

#[tokio::test]
async fn a_log_without_its_database_is_not_thrown_away() {
    let owing = Owing::new().await;
    let crashed = tempfile::tempdir().unwrap();
    fs::copy(owing.side("-wal"), crashed.path().join("queue.db-wal")).unwrap();
    let refused = Queue::open(crashed.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, Error::OrphanedLog { .. }) && refused.needs_operator(), "{refused}");
    assert!(!file(crashed.path()).exists());
    fs::copy(owing.side(""), file(crashed.path())).unwrap();
    let queue = open(crashed.path());
    assert_eq!(ids(&claim_all(&queue, owing.sub).await.deliveries), owing.waiting);
}

#[tokio::test]
async fn an_operators_change_to_a_replaced_queue_is_an_error() {
    let owing = Owing::new().await;
    let mut operator = Operator::open(owing.dir.path()).unwrap();
    settle_all(&owing.queue, &owing.waiting[..1], now(), State::Delivered).await;
    fs::rename(owing.side(""), owing.dir.path().join("moved.db")).unwrap();
    assert!(matches!(operator.submit_all(&[], now()), Err(Error::Replaced { .. })));
    let again = operator.redeliver(&owing.waiting[..1], &Active::default());
    assert!(matches!(again, Err(Error::Replaced { .. })), "{again:?}");
}
