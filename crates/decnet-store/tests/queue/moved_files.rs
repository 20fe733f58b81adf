//! Removed, replaced and moved queue files: an open queue is rescued, and a restart does not ignore the rescued
//! file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_core::delivery::State;
use decnet_store::queue::{
    ActiveSubscriptions, DeliveryId, Error, ExternalWriter, Health, Options, Queue, Reader, SubscriptionKey,
};
use tempfile::TempDir;

use super::support::*;

/// An open queue with pending deliveries.
struct PendingQueue {
    dir: TempDir,
    queue: Queue,
    sub: SubscriptionKey,
    pending: Vec<DeliveryId>,
}

impl PendingQueue {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        Self::open_in(dir, &path).await
    }

    async fn open_in(dir: TempDir, path: &Path) -> Self {
        let queue = open(path);
        let sub = subscriptions(&queue, 1).await[0];
        let pending = admit(&queue, 0..50, sub, false).await;
        Self { dir, queue, sub, pending }
    }

    /// Opens a queue in the subdirectory `data`. Returns its path and that of a sibling that does not exist.
    async fn in_subdirectory() -> (Self, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (data, sibling) = (dir.path().join("data"), dir.path().join("renamed"));
        fs::create_dir(&data).unwrap();
        (Self::open_in(dir, &data).await, data, sibling)
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.dir.path().join(format!("queue.db{suffix}"))
    }

    /// Waits until the queue is displaced, admits further events, and closes it.
    async fn close_displaced(mut self) -> (TempDir, Vec<DeliveryId>, Error) {
        wait_until_displaced(&self.queue).await;
        self.pending.extend(admit(&self.queue, 50..60, self.sub, true).await);
        let error = self.queue.close().await.unwrap_err();
        (self.dir, self.pending, error)
    }
}

/// Polls the queue, as its worker does every second, until it reports that it is displaced.
async fn wait_until_displaced(queue: &Queue) {
    let poll = async {
        loop {
            queue.changed_elsewhere().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = queue.displaced() => {}
        () = poll => {}
        () = tokio::time::sleep(LONG) => panic!("the displacement is not noticed"),
    }
    assert!(
        matches!(&*queue.health().borrow(), Health::Degraded { error, .. } if error.contains("queue.db"))
    );
}

fn rescued_path(error: &Error) -> &Path {
    let Error::Displaced { rescued, .. } = error else { panic!("{error}") };
    assert_eq!(fs::metadata(rescued).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(error.needs_operator() && error.to_string().contains(rescued.to_str().unwrap()), "{error}");
    rescued
}

/// Restores a rescued file as the error describes, and claims its deliveries.
async fn restore_and_claim(dir: &Path, rescued: &Path) -> Vec<DeliveryId> {
    for stale in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        let _ = fs::remove_file(dir.join(stale));
    }
    fs::rename(rescued, file(dir)).unwrap();
    let queue = open(dir);
    let sub = subscriptions(&queue, 1).await[0];
    ids(&claim_all(&queue, sub).await.deliveries)
}

#[tokio::test]
async fn removed_queue_is_rescued_and_not_recreated_empty() {
    let fixture = PendingQueue::new().await;
    fs::remove_file(fixture.path("")).unwrap();
    let (dir, pending, error) = fixture.close_displaced().await;
    let rescued = rescued_path(&error).to_owned();
    assert!(error.to_string().contains("queue.db was removed while the worker ran"), "{error}");
    assert!(
        !dir.path().join("queue.db-wal").exists(),
        "a WAL left behind would be applied to the next database"
    );
    let refused = Queue::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(&refused, Error::Rescued { rescued: found, .. } if *found == rescued), "{refused}");
    assert!(refused.needs_operator() && !file(dir.path()).exists());
    assert!(
        matches!(Reader::open(dir.path()), Err(Error::Rescued { .. })),
        "readers must not report a queue that does not exist yet"
    );
    assert_eq!(restore_and_claim(dir.path(), &rescued).await, pending);
}

#[tokio::test]
async fn replaced_queue_is_rescued_and_the_new_file_is_kept() {
    let fixture = PendingQueue::new().await;
    let other = fixture.dir.path().join("other.db");
    fs::write(&other, "something else").unwrap();
    fs::rename(&other, fixture.path("")).unwrap();
    let (dir, pending, error) = fixture.close_displaced().await;
    assert!(error.to_string().contains("queue.db was replaced by another file"), "{error}");
    assert_eq!(fs::read(file(dir.path())).unwrap(), b"something else");
    assert!(matches!(Queue::open(dir.path(), Options::default()), Err(Error::Rescued { .. })));
    assert_eq!(restore_and_claim(dir.path(), rescued_path(&error)).await, pending);
}

#[tokio::test]
async fn queue_without_its_wal_or_shm_is_rescued_completely() {
    for suffix in ["-wal", "-shm"] {
        let fixture = PendingQueue::new().await;
        fs::remove_file(fixture.path(suffix)).unwrap();
        let (dir, pending, error) = fixture.close_displaced().await;
        assert!(error.to_string().contains(&format!("queue.db{suffix} was removed")), "{error}");
        assert!(matches!(Queue::open(dir.path(), Options::default()), Err(Error::Rescued { .. })));
        assert_eq!(restore_and_claim(dir.path(), rescued_path(&error)).await, pending);
    }
}

#[tokio::test]
async fn moved_queue_is_rescued_and_its_new_path_is_reported() {
    let fixture = PendingQueue::new().await;
    let moved = fixture.dir.path().join("moved.db");
    fs::rename(fixture.path(""), &moved).unwrap();
    let (dir, pending, error) = fixture.close_displaced().await;
    assert!(error.to_string().contains(&format!("queue.db was moved to {}", moved.display())), "{error}");
    assert_eq!(restore_and_claim(dir.path(), rescued_path(&error)).await, pending);
}

#[tokio::test]
async fn queue_moved_back_before_close_can_be_reopened() {
    let fixture = PendingQueue::new().await;
    let away = fixture.dir.path().join("away.db");
    fs::rename(fixture.path(""), &away).unwrap();
    wait_until_displaced(&fixture.queue).await;
    fs::rename(&away, fixture.path("")).unwrap();
    let error = fixture.queue.close().await.unwrap_err();
    assert!(matches!(error, Error::Returned { .. }) && !error.needs_operator(), "{error}");
    let queue = open(fixture.dir.path());
    assert_eq!(ids(&claim_all(&queue, fixture.sub).await.deliveries), fixture.pending);
}

#[tokio::test]
async fn renamed_directory_leaves_the_rescue_at_the_old_path() {
    let (fixture, before, after) = PendingQueue::in_subdirectory().await;
    fs::rename(&before, after).unwrap();
    let (_dir, pending, error) = fixture.close_displaced().await;
    assert_eq!(rescued_path(&error).parent().unwrap(), before);
    assert!(matches!(Queue::open(&before, Options::default()), Err(Error::Rescued { .. })));
    assert_eq!(restore_and_claim(&before, rescued_path(&error)).await, pending);
}

#[tokio::test]
async fn unrescuable_queue_is_reported_with_its_new_path() {
    let (fixture, before, after) = PendingQueue::in_subdirectory().await;
    fs::rename(&before, &after).unwrap();
    fs::write(&before, "not a directory").unwrap();
    let (_dir, pending, error) = fixture.close_displaced().await;
    assert!(matches!(&error, Error::Moved { now, .. } if *now == after), "{error}");
    assert!(error.needs_operator() && error.to_string().contains("nothing is lost"), "{error}");
    let queue = open(&after);
    let sub = subscriptions(&queue, 1).await[0];
    assert_eq!(ids(&claim_all(&queue, sub).await.deliveries), pending);
}

#[tokio::test]
async fn close_waits_until_the_queue_can_be_rescued() {
    let PendingQueue { dir, queue, pending, .. } = PendingQueue::new().await;
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
    assert_eq!(restore_and_claim(&path, rescued_path(&error)).await, pending);
}

#[tokio::test]
async fn dropped_queue_does_not_recreate_its_directory() {
    let PendingQueue { dir, queue, .. } = PendingQueue::new().await;
    fs::remove_dir_all(dir.path()).unwrap();
    drop(queue);
    assert!(!dir.path().exists());
}

#[tokio::test]
async fn wal_without_its_database_is_not_deleted() {
    let fixture = PendingQueue::new().await;
    let crashed = tempfile::tempdir().unwrap();
    fs::copy(fixture.path("-wal"), crashed.path().join("queue.db-wal")).unwrap();
    let refused = Queue::open(crashed.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, Error::OrphanedLog { .. }) && refused.needs_operator(), "{refused}");
    assert!(!file(crashed.path()).exists());
    fs::copy(fixture.path(""), file(crashed.path())).unwrap();
    let queue = open(crashed.path());
    assert_eq!(ids(&claim_all(&queue, fixture.sub).await.deliveries), fixture.pending);
}

#[tokio::test]
async fn operator_cannot_change_a_replaced_queue() {
    let fixture = PendingQueue::new().await;
    let mut writer = ExternalWriter::open(fixture.dir.path()).unwrap();
    settle_all(&fixture.queue, &fixture.pending[..1], now(), State::Delivered).await;
    fs::rename(fixture.path(""), fixture.dir.path().join("moved.db")).unwrap();
    assert!(matches!(writer.submit_all(&[], now()), Err(Error::Replaced { .. })));
    let again = writer.redeliver(&fixture.pending[..1], &ActiveSubscriptions::default());
    assert!(matches!(again, Err(Error::Replaced { .. })), "{again:?}");
}
