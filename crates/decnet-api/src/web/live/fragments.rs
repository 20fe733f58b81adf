//! The refreshed parts of pages, shared by all who watch them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use axum::body::Bytes;
use decnet_core::limits::DASHBOARD_LIVE_INTERVAL;
use decnet_runtime::sync::lock;
use tokio::time::Instant;

use crate::problem::Problem;

/// The beginning of the refreshed part, and the end of what may follow it.
const BEGIN: &str = "<div id=\"live\"";
const END: &str = "</main>";
/// The attribute of a part that may still change.
const LIVE: &str = " data-live=";

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The path and the query of the page.
    pub(super) view: String,
    /// Whether the visitors may change something.
    pub(super) can_change: bool,
}

/// The fragments that are watched now.
pub(super) struct Fragments {
    begun: Instant,
    by_key: Mutex<HashMap<Key, Weak<Fragment>>>,
}

/// The refreshed part of one page.
#[derive(Default)]
pub(super) struct Fragment(tokio::sync::Mutex<Option<(u64, Rendered)>>);

/// The refreshed part of a page as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) event: Bytes,
    /// Whether the page may change once more.
    pub(super) is_live: bool,
}

impl Default for Fragments {
    fn default() -> Self {
        Self { begun: Instant::now(), by_key: Mutex::default() }
    }
}

impl Fragments {
    /// Returns the fragment of a page. All who watch the page get the same.
    pub(super) fn of(&self, key: Key) -> Arc<Fragment> {
        let mut by_key = lock(&self.by_key);
        if let Some(fragment) = by_key.get(&key).and_then(Weak::upgrade) {
            return fragment;
        }
        by_key.retain(|_, fragment| fragment.strong_count() > 0);
        let fragment = Arc::default();
        by_key.insert(key, Arc::downgrade(&fragment));
        fragment
    }

    /// Waits for the next turn and returns its number. All streams have the same turns.
    pub(super) async fn next_turn(&self) -> u64 {
        let interval = DASHBOARD_LIVE_INTERVAL.as_millis();
        let turn = self.begun.elapsed().as_millis() / interval + 1;
        let turn = u64::try_from(turn).unwrap_or(u64::MAX);
        let wait = u32::try_from(turn).map_or(Duration::MAX, |turn| DASHBOARD_LIVE_INTERVAL * turn);
        tokio::time::sleep_until(self.begun + wait).await;
        turn
    }
}

impl Fragment {
    /// Returns the part of this turn; the first who asks renders the page.
    ///
    /// # Errors
    /// Errors of `page`, which are not kept: the next who asks tries again.
    pub(super) async fn at(
        &self,
        turn: u64,
        page: impl AsyncFnOnce() -> Result<String, Problem>,
    ) -> Result<Rendered, Problem> {
        let mut last = self.0.lock().await;
        if let Some((at, rendered)) = &*last
            && *at >= turn
        {
            return Ok(rendered.clone());
        }
        let rendered = Rendered::cut(&page().await?);
        let rendered = rendered.ok_or_else(|| Problem::not_found("the page has no part that changes"))?;
        *last = Some((turn, rendered.clone()));
        Ok(rendered)
    }
}

impl Rendered {
    /// Cuts the refreshed part out of a page; `None` if it has none. Text of others cannot contain the borders, since markup in text is escaped.
    fn cut(page: &str) -> Option<Self> {
        let part = &page[page.find(BEGIN)?..];
        let part = part.rsplit_once(END).map_or(part, |(part, _)| part);
        let tag = part.split('>').next().unwrap_or_default();
        Some(Self { event: event("view", part), is_live: tag.contains(LIVE) })
    }
}

/// Returns a server-sent event (HTML, section 9.2.6). Each line of the data has a prefix, so data cannot begin an event.
pub(super) fn event(name: &str, data: &str) -> Bytes {
    let lines: String = data.split(['\n', '\r']).map(|line| format!("data: {line}\n")).collect();
    Bytes::from(format!("event: {name}\n{lines}\n"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use axum::http::StatusCode;

    use super::*;

    const PAGE: &str = "<main>\n<h1>a</h1><div id=\"live\" data-live=\"/\" hx-get=\"/\">\n<p>&#60;/main&#62;</p></div>\n</main>";

    fn key(view: &str, can_change: bool) -> Key {
        Key { view: view.into(), can_change }
    }

    #[tokio::test]
    async fn second_viewer_causes_no_second_rendering() {
        let (fragments, renderings) = (Fragments::default(), Cell::new(0));
        let one = fragments.of(key("/", true));
        let other = fragments.of(key("/", true));
        let render = async || {
            tokio::task::yield_now().await;
            renderings.set(renderings.get() + 1);
            Ok::<_, Problem>(PAGE.replace('a', &renderings.get().to_string()))
        };
        let (first, second) = tokio::join!(one.at(1, render), other.at(1, render));
        assert_eq!((first.ok(), renderings.get()), (second.ok(), 1));
        assert!(other.at(2, render).await.is_ok() && renderings.get() == 2, "the next turn renders anew");
        assert!(!Arc::ptr_eq(&one, &fragments.of(key("/", false))), "others may see buttons");
        drop((one, other));
        let _ = fragments.of(key("/failures", true));
        assert_eq!(lock(&fragments.by_key).len(), 1, "what nobody watches is forgotten");
    }

    #[tokio::test]
    async fn failed_rendering_is_tried_again() {
        let fragment = Fragment::default();
        let failed = fragment.at(1, async || Err(Problem::stopping())).await;
        assert_eq!(failed.err().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(fragment.at(1, async || Ok(PAGE.into())).await.is_ok());
    }

    #[test]
    fn event_contains_the_refreshed_part_only() {
        let rendered = Rendered::cut(PAGE).unwrap();
        let expected = "event: view\ndata: <div id=\"live\" data-live=\"/\" hx-get=\"/\">\ndata: <p>&#60;/main&#62;</p></div>\ndata: \n\n";
        assert_eq!((&*rendered.event, rendered.is_live), (expected.as_bytes(), true));
        assert!(!Rendered::cut("<main><div id=\"live\"><p data-live=a></p></div></main>").unwrap().is_live);
        assert_eq!(Rendered::cut("<main><p>no such part</p></main>"), None);
    }

    #[test]
    fn data_cannot_begin_an_event() {
        assert_eq!(
            event("view", "a\n\nevent: end\rdata: b"),
            "event: view\ndata: a\ndata: \ndata: event: end\ndata: data: b\n\n"
        );
    }
}
