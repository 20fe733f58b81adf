//! Checkpoints: what the log holds goes into the database, beside the writer and not in its way.
//!
//! SQLite begins its log anew only when all of it is in the database, which never happens by itself while the
//! writer goes on writing. So a thread with a connection of its own copies most of it, and when little is left
//! the writer copies the rest between two commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use decnet_core::limits::{CHECKPOINT_WAL_BYTES, CHECKPOINT_WRITER_BYTES, MAX_WAL_BYTES};
use rusqlite::Connection;

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
    /// `conn` is the thread's own connection.
    pub(super) fn start(conn: Connection) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let nearly_done = Arc::new(AtomicBool::new(false));
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(4096);
        let rest = CHECKPOINT_WRITER_BYTES / page;
        let flag = Arc::clone(&nearly_done);
        let thread = std::thread::Builder::new()
            .name("queue-checkpoint".into())
            .spawn(move || run(&conn, &woken, &flag, rest))?;
        let (start_frames, max_frames) = (CHECKPOINT_WAL_BYTES / page, MAX_WAL_BYTES / page);
        Ok(Self { wake, nearly_done, thread, page, start_frames, max_frames })
    }

    /// Called between two transactions; how long the log is, in bytes.
    pub(super) fn after_commit(&self, conn: &Connection) -> u64 {
        let Some(log) = checkpoint(conn, "PRAGMA wal_checkpoint(NOOP)") else { return 0 };
        // Should the thread not get to run at all, or not be done in time, the log is bounded all the same.
        if log.frames >= self.max_frames {
            insist(conn);
        } else if self.nearly_done.swap(false, Ordering::Acquire) {
            checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)");
        } else if log.frames >= self.start_frames {
            // A wake-up that already waits is as good as this one.
            let _ = self.wake.try_send(());
        }
        (log.frames.max(0) * self.page).unsigned_abs()
    }

    /// The last checkpoint: the log is emptied if nobody reads it.
    pub(super) fn end(self, conn: Connection) {
        let Self { wake, thread, .. } = self;
        drop(wake);
        if thread.join().is_err() {
            tracing::error!("the checkpoint thread panicked");
        }
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
