//! HTTP/2 frame by frame (RFC 9113 section 6). Libraries do not allow a server to misbehave, so this module
//! writes the frames itself.
//!
//! [`Peer`] is the behaviour of a server; the functions of this module build the frames that it sends.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::record::{Record, Request};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Error code: no error.
pub const NO_ERROR: u32 = 0;
/// Error code: the stream was not processed.
pub const REFUSED_STREAM: u32 = 7;
/// Error code: the server requires HTTP/1.1.
pub const HTTP_1_1_REQUIRED: u32 = 13;

/// A client's request, or its head.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Stream identifier.
    pub stream: u32,
    /// Number of the connection, from 1.
    pub connection: u64,
    /// Whether the request is complete. Otherwise only its head has arrived.
    pub is_complete: bool,
}

/// A server's reaction to an event.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends the first bytes, then repeats the second bytes until the client closes the connection. The second
    /// bytes are counted like those of a huge body.
    Flood(Vec<u8>, Vec<u8>),
}

/// The behaviour of a server, frame by frame. The connection's flow-control window is replenished
/// automatically, those of the streams are not.
#[derive(Clone)]
pub struct Peer {
    first: Vec<u8>,
    choice: Arc<dyn Fn(Event) -> Answer + Send + Sync>,
}

impl Peer {
    /// Creates a server that sends `first` when a client connects, and then the answer of `choice` to each
    /// event.
    pub fn new(first: Vec<u8>, choice: impl Fn(Event) -> Answer + Send + Sync + 'static) -> Self {
        Self { first, choice: Arc::new(choice) }
    }

    /// Creates a server that sends the answer of `answer` to each complete request.
    pub fn answering(answer: impl Fn(Event) -> Answer + Send + Sync + 'static) -> Self {
        let nothing = |_| Answer::Send(Vec::new());
        Self::new(settings(&[]), move |event| if event.is_complete { answer(event) } else { nothing(event) })
    }
}

/// Builds a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame's payload is short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Builds a `SETTINGS` frame with these parameters.
pub fn settings(parameters: &[(u16, u32)]) -> Vec<u8> {
    let pairs =
        parameters.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &pairs.collect::<Vec<_>>())
}

/// Builds the head of a reply with a status (RFC 7541: literal header field without indexing, `:status`).
pub fn head(stream: u32, status: u16, ends: bool) -> Vec<u8> {
    let block = [&[0x08, 3], status.to_string().as_bytes()].concat();
    frame(HEADERS, END_HEADERS | if ends { END_STREAM } else { 0 }, stream, &block)
}

/// Builds a `DATA` frame with a part of a reply's body.
pub fn data(stream: u32, bytes: &[u8], ends: bool) -> Vec<u8> {
    frame(DATA, if ends { END_STREAM } else { 0 }, stream, bytes)
}

/// Builds a `RST_STREAM` frame.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// Builds a `GOAWAY` frame: streams after `last` were not processed.
pub fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// Builds a `PING` frame.
pub fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8])
}

/// Builds a `WINDOW_UPDATE` frame for a stream, or for the connection (0).
pub fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// Serves a connection until the client or the behaviour ends it.
pub(crate) async fn serve<S>(mut stream: S, number: u64, peer: &Peer, record: &Record) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&peer.first).await?;
    let mut input = BytesMut::new();
    loop {
        let head = read_frame(&mut stream, &mut input).await?;
        if head.kind == SETTINGS && head.flags & ACK == 0 {
            stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
        }
        if head.kind == DATA && head.length > 0 {
            stream.write_all(&window_update(0, head.length)).await?;
        }
        stream.flush().await?;
        for is_complete in head.events() {
            let event = Event { stream: head.stream, connection: number, is_complete };
            if is_complete {
                drop(record.add(unread_request(number)));
            }
            match (peer.choice)(event) {
                Answer::Send(bytes) => stream.write_all(&bytes).await?,
                Answer::Close(bytes) => {
                    stream.write_all(&bytes).await?;
                    return stream.shutdown().await;
                }
                Answer::Flood(first, bytes) => {
                    stream.write_all(&first).await?;
                    return flood(stream, &bytes, record).await;
                }
            }
            stream.flush().await?;
        }
    }
}

/// Returns a request whose head and body were not decoded.
fn unread_request(connection: u64) -> Request {
    let (method, path) = (String::new(), String::new());
    let (headers, body) = (HeaderMap::new(), Bytes::new());
    Request { method, path, headers, body, at: Instant::now(), connection, http2: true }
}

/// Sends `bytes` repeatedly. Reads meanwhile, so that the client's own frames do not block the connection.
async fn flood<S>(stream: S, bytes: &[u8], record: &Record) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut nowhere = tokio::io::sink();
    let write = async {
        loop {
            writer.write_all(bytes).await?;
            record.sent_body_bytes(bytes.len());
        }
    };
    tokio::select! {
        ended = tokio::io::copy(&mut reader, &mut nowhere) => ended.map(drop),
        failed = write => failed,
    }
}

struct Head {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    /// Returns an item for the head and one for the end of a request; the value is whether the request is
    /// complete.
    fn events(&self) -> impl Iterator<Item = bool> {
        let begins = self.kind == HEADERS;
        let ends = (begins || self.kind == DATA) && self.flags & END_STREAM != 0;
        begins.then_some(false).into_iter().chain(ends.then_some(true))
    }
}

async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S, input: &mut BytesMut) -> io::Result<Head> {
    loop {
        if let Some((head, _)) = input.split_at_checked(HEAD_BYTES) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let end = HEAD_BYTES + length as usize;
            if input.len() >= end {
                let frame = input.split_to(end);
                let stream = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
                return Ok(Head { length, kind: frame[3], flags: frame[4], stream });
            }
        }
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
