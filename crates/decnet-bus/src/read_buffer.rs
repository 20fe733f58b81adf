//! The buffer of received bytes that are not decoded yet. Its size follows the traffic.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::protocol::{MAX_READ_BYTES, missing};

const MIN_READ_BYTES: usize = 4 * 1024;

#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: BytesMut,
    /// The number of bytes that the next read requests; doubled when a read fills it.
    wanted: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: BytesMut::new(), wanted: MIN_READ_BYTES }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns how many more bytes the incomplete frame needs, as far as its header determines this.
    pub(super) fn missing(&self) -> usize {
        missing(&self.bytes)
    }

    /// Discards the first `len` bytes.
    pub(super) fn skip(&mut self, len: usize) {
        bytes::Buf::advance(&mut self.bytes, len);
    }

    /// Removes and returns the first `len` bytes without copying them.
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len).freeze()
    }

    /// Reads once. Returns the number of bytes, 0 at the end of the stream. Cancel safe.
    pub(super) async fn fill(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        if self.bytes.is_empty() && self.bytes.capacity() > 2 * MAX_READ_BYTES {
            self.bytes = BytesMut::new();
        }
        self.bytes.reserve(self.wanted.max(self.missing()));
        let read = from.read_buf(&mut self.bytes).await?;
        if read >= self.wanted {
            self.wanted = (self.wanted * 2).min(MAX_READ_BYTES);
        }
        Ok(read)
    }
}
