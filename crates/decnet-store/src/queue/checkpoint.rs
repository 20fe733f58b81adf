//! Checkpoints: copies the write-ahead log into the database without blocking the writer.
//!
//! SQLite restarts its log only when all of it is in the database, which does not happen under a constant load of writes.
//! Therefore a thread with its own connection copies most of the log, and the writer copies the small rest between two
//! commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use decnet_core::limits::{CHECKPOINT_WAL_BYTES, CHECKPOINT_WRITER_BYTES, MAX_WAL_BYTES};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::stats::Stats;

/// The number of times that the writer tries to copy a log that is at its bound. With the pause between two tries this takes two
/// seconds in total, in which the thread copies a whole log.
const FULL_LOG_TRIES: u32 = 1000;
const FULL_LOG_PAUSE: Duration = Duration::from_millis(2);

/// The writer's handle on the checkpoint thread.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// Wakes the thread; holds at most one wake-up.
    wake: SyncSender<()>,
    /// Whether the rest of the log is small enough for the writer. The thread sets it.
    nearly_done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    page_bytes: i64,
    start_frames: i64,
    max_frames: i64,
    held: HeldLog,
}

/// Detects a reader that prevents the log from restarting.
#[derive(Debug)]
struct HeldLog {
    grace: Duration,
    full_since: Option<Instant>,
    has_warned: bool,
}

/// The result of a checkpoint: the frames in the log, and those copied into the database; -1 if unknown.
#[derive(Debug, Clone, Copy)]
struct CheckpointProgress {
    /// Whether another checkpoint was running, so that this checkpoint did nothing.
    busy: bool,
    frames: i64,
    copied: i64,
}

impl Checkpoints {
    /// Starts the thread, which uses `conn`. If the log stays at its bound for `wal_held_grace`, a warning says that a reader
    /// holds it.
    pub(super) fn start(conn: Connection, wal_held_grace: Duration) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let nearly_done = Arc::new(AtomicBool::new(false));
        let page_bytes: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(4096);
        let writer_frames = CHECKPOINT_WRITER_BYTES / page_bytes;
        let flag = Arc::clone(&nearly_done);
        let thread = std::thread::Builder::new()
            .name("queue-checkpoint".into())
            .spawn(move || run(&conn, &woken, &flag, writer_frames))?;
        let held = HeldLog { grace: wal_held_grace, full_since: None, has_warned: false };
        let (start_frames, max_frames) = (CHECKPOINT_WAL_BYTES / page_bytes, MAX_WAL_BYTES / page_bytes);
        Ok(Self { wake, nearly_done, thread, page_bytes, start_frames, max_frames, held })
    }

    /// Copies the log or wakes the thread, depending on the length of the log. This is called between two transactions. Updates
    /// the log's metrics in `stats`.
    pub(super) fn after_commit(&mut self, conn: &Connection, stats: &Stats) {
        let Some(log) = checkpoint(conn, "PRAGMA wal_checkpoint(NOOP)") else { return };
        let bytes = (log.frames.max(0) * self.page_bytes).unsigned_abs();
        stats.log_bytes.set(bytes);
        self.held.update(log.frames >= self.max_frames, bytes, conn);
        stats.log_held.set(self.held.has_warned.into());
        // Bounds the log even if the thread does not run or is too slow.
        if log.frames >= self.max_frames {
            copy_full_log(conn);
        } else if self.nearly_done.swap(false, Ordering::Acquire) {
            checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)");
        } else if log.frames >= self.start_frames {
            // An earlier wake-up that the thread has not received has the same effect.
            let _ = self.wake.try_send(());
        }
    }

    /// Ends the thread without a checkpoint, so that displaced files are not changed.
    pub(super) fn abandon(self, conn: Connection) {
        self.end_thread();
        if let Err(error) = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::debug!(%error, "cannot disable the checkpoint on close; SQLite may write to the displaced files");
        }
        if let Err((_, error)) = conn.close() {
            tracing::debug!(%error, "cannot close the database of a rescued queue");
        }
    }

    fn end_thread(self) {
        let Self { wake, thread, .. } = self;
        drop(wake);
        if thread.join().is_err() {
            tracing::error!("the checkpoint thread panicked");
        }
    }

    /// Ends the thread and runs the last checkpoint, which truncates the log unless it is being read.
    pub(super) fn end(self, conn: Connection) {
        self.end_thread();
        // Does not wait for readers: the log is as durable as the database.
        if let Err(error) = conn.busy_timeout(Duration::ZERO) {
            tracing::debug!(%error, "cannot change the busy timeout; the last checkpoint may wait for readers");
        }
        checkpoint(&conn, "PRAGMA wal_checkpoint(TRUNCATE)");
        if let Err((_, error)) = conn.close() {
            tracing::warn!(%error, "cannot close the queue's database; nothing is lost");
        }
    }
}

impl HeldLog {
    /// Warns when the log has been at its bound for longer than copying it takes, because only a reader can be the cause. Also
    /// logs the end of this condition.
    fn update(&mut self, is_full: bool, bytes: u64, conn: &Connection) {
        if !is_full {
            self.full_since = None;
            if std::mem::take(&mut self.has_warned) {
                tracing::info!(bytes, "the queue's write-ahead log restarts again");
            }
            return;
        }
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.grace && !std::mem::replace(&mut self.has_warned, true) {
            let file = conn.path().unwrap_or_default();
            tracing::warn!(
                bytes,
                "a process that reads the queue prevents its write-ahead log from restarting, so the log grows; find it with \
                 `fuser -v {file}` and end its transaction (wait for a running `decnet backup`)"
            );
        }
    }
}

fn run(conn: &Connection, woken: &Receiver<()>, nearly_done: &AtomicBool, writer_frames: i64) {
    while woken.recv().is_ok() {
        if let Some(log) = checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)")
            && log.frames - log.copied <= writer_frames
        {
            nearly_done.store(true, Ordering::Release);
        }
    }
}

/// Waits for a running checkpoint, up to a bound, and copies the rest.
fn copy_full_log(conn: &Connection) {
    for _ in 0..FULL_LOG_TRIES {
        let is_busy = checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)").is_some_and(|log| log.busy);
        if !is_busy {
            return;
        }
        std::thread::sleep(FULL_LOG_PAUSE);
    }
}

/// Runs a checkpoint. A failed checkpoint is retried after the next commit; until then the log grows.
fn checkpoint(conn: &Connection, pragma: &str) -> Option<CheckpointProgress> {
    let progress = conn.prepare_cached(pragma).and_then(|mut statement| {
        statement.query_row([], |row| {
            Ok(CheckpointProgress { busy: row.get(0)?, frames: row.get(1)?, copied: row.get(2)? })
        })
    });
    progress
        .inspect_err(|error| tracing::debug!(%error, "a checkpoint failed; retrying after the next commit"))
        .ok()
}
