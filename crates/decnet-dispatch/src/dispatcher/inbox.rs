//! A mailbox in which tasks of this thread leave their results for the loop.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Notify;

use super::Done;

/// A mailbox for one thread: any number of tasks add results, and one loop takes all results at once.
#[derive(Clone, Default)]
pub(super) struct Inbox(Rc<(RefCell<Vec<Done>>, Notify)>);

impl Inbox {
    /// Adds a result and wakes the loop.
    pub(super) fn put(&self, done: Done) {
        self.0.0.borrow_mut().push(done);
        self.0.1.notify_one();
    }

    /// Waits until there may be results.
    pub(super) async fn filled(&self) {
        self.0.1.notified().await;
    }

    /// Takes all results by swapping the buffer with `empty`, which is reused so that none is allocated.
    pub(super) fn take_into(&self, empty: &mut Vec<Done>) {
        std::mem::swap(&mut *self.0.0.borrow_mut(), empty);
    }
}
