//! The upload of a request's body, and the amount of it that has been written to the connection.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use h2::SendStream;

/// The error for a body that can no longer be sent because its stream or connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadStopped;

/// A body that is passed to the connection as the receiver's flow-control windows allow.
pub(super) struct Upload {
    stream: SendStream<Piece>,
    /// The part that has not been passed to the connection.
    rest: Bytes,
    progress: Rc<UploadProgress>,
}

/// The progress of the pieces that were passed to the connection.
#[derive(Default)]
struct UploadProgress {
    /// The number of bytes not yet written.
    left: Cell<usize>,
    is_stopped: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// A part of a body. The part is consumed as it is written, and dropped unconsumed if it is never written.
pub(super) struct Piece {
    bytes: Bytes,
    progress: Rc<UploadProgress>,
}

impl Upload {
    pub(super) fn new(mut stream: SendStream<Piece>, body: Bytes) -> Self {
        let progress = Rc::new(UploadProgress { left: Cell::new(body.len()), ..UploadProgress::default() });
        stream.reserve_capacity(body.len());
        Self { stream, rest: body, progress }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.progress.left.get() == 0
    }

    /// Polls until the whole body is queued on the connection. It may still have to wait for the socket.
    pub(super) fn poll_queue(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UploadStopped>> {
        while !self.rest.is_empty() {
            let capacity = match self.stream.capacity() {
                0 => match ready!(self.stream.poll_capacity(context)) {
                    Some(Ok(capacity)) => capacity,
                    Some(Err(_)) | None => return Poll::Ready(Err(UploadStopped)),
                },
                capacity => capacity,
            };
            let bytes = self.rest.split_to(capacity.min(self.rest.len()));
            let piece = Piece { bytes, progress: Rc::clone(&self.progress) };
            self.stream.send_data(piece, self.rest.is_empty()).map_err(|_| UploadStopped)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Polls until the whole body is written.
    pub(super) fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UploadStopped>> {
        ready!(self.poll_queue(context))?;
        if self.is_sent() {
            return Poll::Ready(Ok(()));
        }
        if self.progress.is_stopped.get() {
            return Poll::Ready(Err(UploadStopped));
        }
        self.progress.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl UploadProgress {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        let left = self.progress.left.get() - count;
        self.progress.left.set(left);
        if left == 0 {
            self.progress.wake();
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.progress.is_stopped.set(true);
            self.progress.wake();
        }
    }
}
