//! The body of a request on its way: how much of it has really been written.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use h2::SendStream;

/// The rest of a body can no longer be sent: its stream or connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sender) struct Stopped;

/// Hands a body over as the receiver's windows allow.
pub(super) struct Upload {
    stream: SendStream<Piece>,
    /// What has not been handed over.
    rest: Bytes,
    progress: Rc<Progress>,
}

/// What becomes of the pieces that were handed over.
#[derive(Default)]
struct Progress {
    /// Bytes not yet written.
    left: Cell<usize>,
    is_stopped: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// A part of a body. It is consumed as it is written to the connection, and dropped unread if it never is.
pub(super) struct Piece {
    bytes: Bytes,
    progress: Rc<Progress>,
}

impl Upload {
    pub(super) fn new(mut stream: SendStream<Piece>, body: Bytes) -> Self {
        let progress = Rc::new(Progress { left: Cell::new(body.len()), ..Progress::default() });
        stream.reserve_capacity(body.len());
        Self { stream, rest: body, progress }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.progress.left.get() == 0
    }

    /// Ready when everything has been handed over. It may still have to wait for the socket.
    pub(super) fn poll_hand_over(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        while !self.rest.is_empty() {
            let room = match self.stream.capacity() {
                0 => match ready!(self.stream.poll_capacity(context)) {
                    Some(Ok(room)) => room,
                    Some(Err(_)) | None => return Poll::Ready(Err(Stopped)),
                },
                room => room,
            };
            let bytes = self.rest.split_to(room.min(self.rest.len()));
            let piece = Piece { bytes, progress: Rc::clone(&self.progress) };
            self.stream.send_data(piece, self.rest.is_empty()).map_err(|_| Stopped)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when everything has been written.
    pub(super) fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        ready!(self.poll_hand_over(context))?;
        if self.is_sent() {
            return Poll::Ready(Ok(()));
        }
        if self.progress.is_stopped.get() {
            return Poll::Ready(Err(Stopped));
        }
        self.progress.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Progress {
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
