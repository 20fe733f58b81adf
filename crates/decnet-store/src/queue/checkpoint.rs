//! Checkpoints: what the log holds goes into the database, beside the writer and not in its way.
//!
//! SQLite begins its log anew only when all of it is in the database, which never happens by itself while the
//! writer goes on writing. So a thread with a connection of its own copies most of it, and when little is left
//! the writer copies the rest between two commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use decnet_core::limits::{CHECKPOINT_WAL_BYTES, CHECKPOINT_WRITER_BYTES, MAX_WAL_BYTES};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::stats::Stats;

/// How often, and after what pauses, the writer tries to copy a log that is at its bound: two seconds at most, in which
/// the thread copies more than that.
const INSIST_TRIES: u32 = 1000;
const INSIST_PAUSE: Duration = Duration::from_millis(2);

/// The writer's side.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// One wake-up at most waits for the thread.
    wake: SyncSender<()>,
    /// Little is left: the writer's turn.
    nearly_done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    page: i64,
    start_frames: i64,
    max_frames: i64,
    held: HeldLog,
}

/// Whether somebody keeps the log from beginning anew, and since when.
#[derive(Debug)]
struct HeldLog {
    patience: Duration,
    since: Option<Instant>,
    has_warned: bool,
}

/// Frames in the log, and how many of them are in the database; -1 where that cannot be said.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Another one was under way, and this one did nothing.
    busy: bool,
    frames: i64,
    copied: i64,
}

impl Checkpoints {
    /// `conn` is the thread's own connection; `log_patience` is how long the log may stay at its bound before a reader is
    /// blamed for it.
    pub(super) fn start(conn: Connection, log_patience: Duration) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let nearly_done = Arc::new(AtomicBool::new(false));
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(4096);
        let rest = CHECKPOINT_WRITER_BYTES / page;
        let flag = Arc::clone(&nearly_done);
        let thread = std::thread::Builder::new()
            .name("queue-checkpoint".into())
            .spawn(move || run(&conn, &woken, &flag, rest))?;
        let held = HeldLog { patience: log_patience, since: None, has_warned: false };
        let (start_frames, max_frames) = (CHECKPOINT_WAL_BYTES / page, MAX_WAL_BYTES / page);
        Ok(Self { wake, nearly_done, thread, page, start_frames, max_frames, held })
    }

    /// Called between two transactions; notes in `stats` how long the log is and whether a reader keeps it so.
    pub(super) fn after_commit(&mut self, conn: &Connection, stats: &Stats) {
        let Some(log) = checkpoint(conn, "PRAGMA wal_checkpoint(NOOP)") else { return };
        let bytes = (log.frames.max(0) * self.page).unsigned_abs();
        stats.log_bytes.set(bytes);
        self.held.note(log.frames >= self.max_frames, bytes, conn);
        stats.log_held.set(self.held.has_warned.into());
        // Should the thread not get to run at all, or not be done in time, the log is bounded all the same.
        if log.frames >= self.max_frames {
            insist(conn);
        } else if self.nearly_done.swap(false, Ordering::Acquire) {
            checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)");
        } else if log.frames >= self.start_frames {
            // A wake-up that already waits is as good as this one.
            let _ = self.wake.try_send(());
        }
    }

    /// The end without a checkpoint: files that are not in their place any more stay as they are.
    pub(super) fn abandon(self, conn: Connection) {
        self.end_thread();
        if let Err(error) = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::debug!(%error, "SQLite may write to the queue's files once more");
        }
        if let Err((_, error)) = conn.close() {
            tracing::debug!(%error, "the database of a queue that was saved elsewhere was not closed in order");
        }
    }

    fn end_thread(self) {
        let Self { wake, thread, .. } = self;
        drop(wake);
        if thread.join().is_err() {
            tracing::error!("the checkpoint thread panicked");
        }
    }

    /// The last checkpoint: the log is emptied if nobody reads it.
    pub(super) fn end(self, conn: Connection) {
        self.end_thread();
        // Not waiting for readers: what stays in the log is as durable there.
        if let Err(error) = conn.busy_timeout(Duration::ZERO) {
            tracing::debug!(%error, "the last checkpoint may wait for readers");
        }
        checkpoint(&conn, "PRAGMA wal_checkpoint(TRUNCATE)");
        if let Err((_, error)) = conn.close() {
            tracing::warn!(%error, "the queue's database was not closed in order; nothing is lost");
        }
    }
}

impl HeldLog {
    /// Warns once the log has been at its bound for longer than copying it takes, since only a reader can be the reason. Logs the
    /// end of it too.
    fn note(&mut self, is_over: bool, bytes: u64, conn: &Connection) {
        if !is_over {
            self.since = None;
            if std::mem::take(&mut self.has_warned) {
                tracing::info!(bytes, "the queue's write-ahead log begins anew again");
            }
            return;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.patience && !std::mem::replace(&mut self.has_warned, true) {
            let file = conn.path().unwrap_or_default();
            tracing::warn!(
                bytes,
                "a process that reads the queue keeps its write-ahead log from beginning anew, and the log grows; find it with \
                 `fuser -v {file}` and end its transaction (a `decnet backup` ends by itself)"
            );
        }
    }
}

fn run(conn: &Connection, woken: &Receiver<()>, nearly_done: &AtomicBool, rest: i64) {
    while woken.recv().is_ok() {
        if let Some(log) = checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)")
            && log.frames - log.copied <= rest
        {
            nearly_done.store(true, Ordering::Release);
        }
    }
}

/// Waits, for a while, until a checkpoint that is under way has ended, and copies the rest.
fn insist(conn: &Connection) {
    for _ in 0..INSIST_TRIES {
        let is_busy = checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)").is_some_and(|log| log.busy);
        if !is_busy {
            return;
        }
        std::thread::sleep(INSIST_PAUSE);
    }
}

/// A checkpoint that fails is tried again by the next commit: the log only grows meanwhile.
fn checkpoint(conn: &Connection, pragma: &str) -> Option<Progress> {
    let progress = conn.prepare_cached(pragma).and_then(|mut statement| {
        statement
            .query_row([], |row| Ok(Progress { busy: row.get(0)?, frames: row.get(1)?, copied: row.get(2)? }))
    });
    progress
        .inspect_err(|error| tracing::debug!(%error, "a checkpoint failed; the next one will do its work"))
        .ok()
}
