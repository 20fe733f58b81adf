//! Captures the log of the current thread.

use std::cell::RefCell;
use std::fmt;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Default, Debug)]
pub(crate) struct Line {
    message: String,
    pub(crate) events: u64,
}

/// Starts capturing log messages.
pub(crate) fn capture() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| tracing::subscriber::set_global_default(Capture).unwrap());
}

pub(crate) fn with(part: &str) -> Vec<Line> {
    LINES.with_borrow(|lines| lines.iter().filter(|line| line.message.contains(part)).cloned().collect())
}

/// Returns the number of events that were logged as dropped.
pub(crate) fn lost() -> usize {
    let lines = with("dropped the oldest events");
    usize::try_from(lines.iter().map(|line| line.events).sum::<u64>()).unwrap()
}

/// The subscriber of all threads, because tracing caches globally what is enabled. Each test has its own thread.
struct Capture;

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "events" {
            self.events = value;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}
