//! HTTP/1.1 without a library, because libraries do not allow a server to misbehave.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::record::{Record, Request};
use crate::script::{Reply, Step};

const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
const CHUNK: [u8; 16 * 1024] = [b'x'; 16 * 1024];

/// A stream that can be closed with a TCP reset.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn reset_on_close(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn reset_on_close(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Stream for TlsStream<TcpStream> {
    fn reset_on_close(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

/// Serves a connection until the client or the script ends it.
pub(crate) async fn serve<S: Stream>(stream: S, number: u64, record: &Record) -> io::Result<()> {
    let mut connection = Connection { stream, number, record, input: BytesMut::new(), output: Vec::new() };
    while let Some(request) = connection.read().await? {
        let step = record.add(request);
        if connection.follow(step).await?.is_break() {
            break;
        }
    }
    connection.stream.shutdown().await
}

struct Connection<'a, S> {
    stream: S,
    number: u64,
    record: &'a Record,
    input: BytesMut,
    output: Vec<u8>,
}

impl<S: Stream> Connection<'_, S> {
    /// Reads the next request. Returns `None` when the client has closed the connection.
    async fn read(&mut self) -> io::Result<Option<Request>> {
        let Some(head_bytes) = self.read_head().await? else { return Ok(None) };
        let head = self.input.split_to(head_bytes);
        let (method, path, headers) = parse_head(&head)?;
        let length = content_length(&headers)?;
        if headers.contains_key(EXPECT) && self.input.len() < length {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        while self.input.len() < length {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let body = Bytes::copy_from_slice(&self.input.split_to(length));
        let (at, connection) = (Instant::now(), self.number);
        Ok(Some(Request { method, path, headers, body, at, connection, http2: false }))
    }

    /// Reads until a complete head has arrived. Returns its length with the empty line.
    async fn read_head(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(at) = memmem::find(&self.input, b"\r\n\r\n") {
                return Ok(Some(at + 4));
            }
            if self.input.len() > MAX_HEAD_BYTES {
                return Err(malformed("head too large"));
            }
            self.input.reserve(4096);
            match self.stream.read_buf(&mut self.input).await? {
                0 if self.input.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    /// Follows a step. Returns whether another request may follow, or the connection is to be closed.
    async fn follow(&mut self, step: Step) -> io::Result<ControlFlow<()>> {
        match step {
            Step::Reply(reply) => return self.reply(&reply).await,
            Step::Hang => self.wait_for_close().await?,
            Step::Reset => {
                self.stream.reset_on_close()?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Step::Close(bytes) => self.stream.write_all(&bytes).await?,
            Step::Late { reply, after, rest } => {
                self.stream.write_all(&reply).await?;
                tokio::time::sleep(after).await;
                self.stream.write_all(&rest).await?;
                self.record.sent_body_bytes(rest.len());
                return Ok(ControlFlow::Continue(()));
            }
            Step::Endless(first, rest) => {
                self.stream.write_all(&first).await?;
                loop {
                    self.stream.write_all(&rest).await?;
                    self.record.sent_body_bytes(rest.len());
                }
            }
            Step::Drip(first, rest, interval) => {
                self.stream.write_all(&first).await?;
                for byte in rest {
                    self.stream.write_all(&[byte]).await?;
                    tokio::time::sleep(interval).await;
                }
            }
            Step::Huge(bytes) => self.huge(bytes).await?,
            Step::HugeHeader(bytes) => {
                let text =
                    format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(bytes));
                self.stream.write_all(text.as_bytes()).await?;
            }
        }
        Ok(ControlFlow::Break(()))
    }

    async fn reply(&mut self, reply: &Reply) -> io::Result<ControlFlow<()>> {
        if reply.interim {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if !reply.delay.is_zero() {
            tokio::time::sleep(reply.delay).await;
        }
        self.output.clear();
        write_reply(&mut self.output, reply)?;
        self.stream.write_all(&self.output).await?;
        Ok(if reply.close { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    async fn wait_for_close(&mut self) -> io::Result<()> {
        let mut rest = [0; 1024];
        while self.stream.read(&mut rest).await? > 0 {}
        Ok(())
    }

    async fn huge(&mut self, bytes: u64) -> io::Result<()> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await?;
        let mut left = bytes;
        while left > 0 {
            let size = usize::try_from(left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
            let written = self.stream.write(&CHUNK[..size]).await?;
            self.record.sent_body_bytes(written);
            left -= written as u64;
        }
        Ok(())
    }
}

fn write_reply(output: &mut Vec<u8>, reply: &Reply) -> io::Result<()> {
    let phrase = StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason());
    write!(output, "HTTP/1.1 {} {}\r\n", reply.status, phrase.unwrap_or("Unknown"))?;
    for (name, value) in &reply.headers {
        write!(output, "{name}: {value}\r\n")?;
    }
    write!(output, "content-length: {}\r\n\r\n", reply.body.len())?;
    output.extend_from_slice(&reply.body);
    Ok(())
}

/// Returns the method, the path and the headers.
fn parse_head(head: &[u8]) -> io::Result<(String, String, HeaderMap)> {
    let text = std::str::from_utf8(head).map_err(|_| malformed("head is not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or("").splitn(3, ' ').map(String::from);
    let (method, path) = words.next().zip(words.next()).ok_or_else(|| malformed("no path"))?;
    let mut headers = HeaderMap::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("no colon"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed("header name"))?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| malformed("header value"))?;
        headers.append(name, value);
    }
    Ok((method, path, headers))
}

/// Returns the length of the body. Chunked bodies are rejected.
fn content_length(headers: &HeaderMap) -> io::Result<usize> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(malformed("a body without content-length"));
    }
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(0) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.filter(|length| *length <= MAX_BODY_BYTES).ok_or_else(|| malformed("content-length"))
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
