//! An answer that many ask for alike, looked for by one of them and given to all for a moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use decnet_core::limits::API_ANSWER_AGE;
use tokio::sync::Mutex;

/// The last answer, for [`API_ANSWER_AGE`].
pub(crate) struct Remembered<T> {
    last: Mutex<Option<Last<T>>>,
    /// How often it was overtaken.
    changes: AtomicU64,
}

struct Last<T> {
    answer: T,
    found_at: Instant,
    /// The changes that there had been when it was looked for.
    changes: u64,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { last: Mutex::default(), changes: AtomicU64::new(0) }
    }
}

impl<T: Clone> Remembered<T> {
    /// The answer: the last one, or what `look` finds. Whoever asks meanwhile waits for the same look.
    ///
    /// # Errors
    /// What stands in the way of looking; that is not remembered.
    pub(crate) async fn get<E>(&self, look: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut last = self.last.lock().await;
        let changes = self.changes.load(Ordering::Acquire);
        if let Some(last) = &*last
            && last.changes == changes
            && last.found_at.elapsed() < API_ANSWER_AGE
        {
            return Ok(last.answer.clone());
        }
        let answer = look().await?;
        *last = Some(Last { answer: answer.clone(), found_at: Instant::now(), changes });
        Ok(answer)
    }

    /// The answer may be another one from now on, also where somebody is looking for it now.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn one_looks_for_all_and_again_when_something_has_changed() {
        let (remembered, looks) = (Remembered::default(), Cell::new(0));
        let look = async || {
            // All of them have asked by then.
            tokio::task::yield_now().await;
            looks.set(looks.get() + 1);
            Ok::<_, Infallible>(looks.get())
        };
        let Ok(found) = futures_util::future::try_join_all((0..100).map(|_| remembered.get(look))).await;
        assert!(found.iter().all(|found| *found == 1));
        remembered.forget();
        assert_eq!(remembered.get(look).await, Ok(2));
    }

    #[tokio::test]
    async fn what_changes_while_it_is_looked_at_is_looked_at_again() {
        let remembered = Remembered::default();
        let overtaken = async || {
            remembered.forget();
            Ok::<_, Infallible>("old")
        };
        assert_eq!(remembered.get(overtaken).await, Ok("old"));
        assert_eq!(remembered.get(async || Ok::<_, Infallible>("new")).await, Ok("new"));
    }

    #[tokio::test]
    async fn what_stood_in_the_way_is_not_remembered() {
        let remembered = Remembered::default();
        assert_eq!(remembered.get(async || Err::<(), _>("busy")).await, Err("busy"));
        assert_eq!(remembered.get(async || Ok::<_, &str>(())).await, Ok(()));
    }
}
