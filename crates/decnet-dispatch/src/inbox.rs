//! A mailbox in which tasks of one thread leave their results for the loop that owns the state.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Notify;

/// A mailbox for one thread: any number of tasks put items, one loop takes all at once.
#[derive(Debug)]
pub(crate) struct Inbox<T>(Rc<(RefCell<Vec<T>>, Notify)>);

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self(Rc::new((RefCell::new(Vec::new()), Notify::new())))
    }

    /// Adds an item and wakes the loop.
    pub(crate) fn put(&self, item: T) {
        self.0.0.borrow_mut().push(item);
        self.0.1.notify_one();
    }

    /// Waits until there may be items.
    pub(crate) async fn filled(&self) {
        self.0.1.notified().await;
    }

    /// Takes all items by swapping the buffer with `empty`, which is reused so that none is allocated.
    pub(crate) fn take_into(&self, empty: &mut Vec<T>) {
        std::mem::swap(&mut *self.0.0.borrow_mut(), empty);
    }
}
