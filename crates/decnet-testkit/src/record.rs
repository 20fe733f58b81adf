//! The requests that a receiver has received.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use decnet_runtime::sync::lock;
use http::HeaderMap;
use tokio::sync::Notify;

use crate::script::{Script, Step};

/// Maximum number of recorded requests; further requests are only counted.
const MAX_RECORDED: usize = 200_000;

/// A received request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method, for example `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// All headers, with names in lower case. For HTTP/2, `:authority` is stored as `host`.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The time at which the request was completely read.
    pub at: Instant,
    /// Number of the connection, from 1 in the order of acceptance.
    pub connection: u64,
    /// Whether the request was received over HTTP/2.
    pub http2: bool,
}

impl Request {
    /// Returns a header's value, or an empty text if it is missing or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// State that a receiver shares with its connections.
#[derive(Default)]
pub(crate) struct Record {
    script: Mutex<(Script, usize)>,
    requests: Mutex<Vec<Request>>,
    pub(crate) count: AtomicU64,
    pub(crate) body_bytes_sent: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) open: AtomicUsize,
    changed: Condvar,
    changing: Mutex<()>,
    changed_async: Notify,
}

impl Record {
    pub(crate) fn set_script(&self, script: Script) {
        *lock(&self.script) = (script, 0);
    }

    /// Records a request and returns the step for it.
    pub(crate) fn add(&self, request: Request) -> Step {
        let step = {
            let mut script = lock(&self.script);
            script.1 += 1;
            script.0.step(script.1 - 1, &request)
        };
        let mut requests = lock(&self.requests);
        if requests.len() < MAX_RECORDED {
            requests.push(request);
        }
        drop(requests);
        self.count.fetch_add(1, Ordering::SeqCst);
        self.notify();
        step
    }

    /// Wakes the tasks and threads that wait for a change. The lock is taken first, because a waiting thread
    /// checks its condition under it.
    pub(crate) fn notify(&self) {
        drop(lock(&self.changing));
        self.changed.notify_all();
        self.changed_async.notify_waiters();
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        lock(&self.requests)
    }

    pub(crate) fn sent_body_bytes(&self, bytes: usize) {
        self.body_bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Blocks until a condition holds. Returns whether it held in time.
    pub(crate) fn block_until(&self, timeout: Duration, holds: impl Fn() -> bool) -> bool {
        let changing = lock(&self.changing);
        let waited = self.changed.wait_timeout_while(changing, timeout, |()| !holds());
        let (_changing, ended) = waited.unwrap_or_else(PoisonError::into_inner);
        !ended.timed_out() || holds()
    }

    /// Waits until a condition holds. Returns whether it held in time.
    pub(crate) async fn until(&self, timeout: Duration, holds: impl Fn() -> bool) -> bool {
        let wait = async {
            loop {
                // Gets the notifications from now on, before it is polled.
                let changed = self.changed_async.notified();
                if holds() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(timeout, wait).await.is_ok() || holds()
    }
}
