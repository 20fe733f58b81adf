//! An endless body of one byte per second.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep};

const EVERY: Duration = Duration::from_secs(1);

/// A body that is too slow to be useful and too fast for an idle timeout.
pub(super) struct Drip(Pin<Box<Sleep>>);

impl Drip {
    pub(super) fn new() -> Self {
        Self(Box::pin(sleep(EVERY)))
    }
}

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.0.as_mut().poll(context));
        self.0.as_mut().reset(Instant::now() + EVERY);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }
}
