//! The benchmark's receiver: reads each request whole, answers 200 with an empty body, counts.
//!
//! A request to a path below [`TIMED`] also says how long its event took, from the scheduled time in its
//! payload. Paths below `/-/` are for the benchmark itself.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::Write as _;
use std::rc::Rc;

use anyhow::Result;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::{histogram, now_us};

/// Requests whose latency is recorded.
pub(crate) const TIMED: &str = "/timed/";
/// Says what was [`Seen`].
pub(crate) const SEEN: &str = "/-/seen";
/// Forgets what was seen.
pub(crate) const RESET: &str = "/-/reset";
/// The payload's field with the time at which an event was due, in microseconds since 1970.
const DUE: &[u8] = b"\"due_us\":";
const BACKLOG: i32 = 4096;

/// What came since the last reset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Requests.
    pub(crate) requests: u64,
    /// Bytes of their bodies.
    pub(crate) body_bytes: u64,
    /// Connections accepted.
    pub(crate) connections: u64,
    /// When the last request had been read, in microseconds since 1970.
    pub(crate) last_us: u64,
    /// Of the timed ones, in microseconds.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

struct State {
    seen: Seen,
    latency: Histogram<u64>,
}

type Shared = Rc<RefCell<State>>;

/// Listens on a free port of loopback, says which on stdout, and serves until it is killed.
pub(crate) async fn run() -> Result<()> {
    let listener = listen()?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let shared = Rc::new(RefCell::new(State { seen: Seen::default(), latency: histogram() }));
    loop {
        let (stream, _) = listener.accept().await?;
        shared.borrow_mut().seen.connections += 1;
        tokio::task::spawn_local(serve(stream, Rc::clone(&shared)));
    }
}

fn listen() -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into())?)
}

async fn serve(stream: TcpStream, shared: Shared) {
    // Without it small replies would wait for the sender's acknowledgement.
    let prepared = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, Rc::clone(&shared)));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    // A connection that its client closes ends with an error, which is of no interest here.
    drop((prepared, served));
}

async fn answer(request: Request<Incoming>, shared: Shared) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path().starts_with("/-/") {
        return Ok(control(request.uri().path(), &shared));
    }
    let timed = request.uri().path().starts_with(TIMED);
    let status = match read(request.into_body(), timed).await {
        Some(read) => {
            shared.borrow_mut().count(&read);
            StatusCode::OK
        }
        None => StatusCode::BAD_REQUEST,
    };
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    Ok(reply)
}

/// A request's body: its length, and what it says about its time.
struct Body {
    bytes: u64,
    due_us: Option<u64>,
}

async fn read(mut body: Incoming, timed: bool) -> Option<Body> {
    let mut read = Body { bytes: 0, due_us: None };
    if timed {
        let whole = body.collect().await.ok()?.to_bytes();
        return Some(Body { bytes: whole.len() as u64, due_us: due_us(&whole) });
    }
    while let Some(frame) = body.frame().await {
        read.bytes += frame.ok()?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Some(read)
}

fn due_us(body: &[u8]) -> Option<u64> {
    let rest = &body[memchr::memmem::find(body, DUE)? + DUE.len()..];
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

fn control(path: &str, shared: &Shared) -> Response<Full<Bytes>> {
    let mut state = shared.borrow_mut();
    if path == RESET {
        state.seen = Seen::default();
        state.latency.reset();
    }
    let (p50_us, p99_us) = (state.latency.value_at_quantile(0.5), state.latency.value_at_quantile(0.99));
    let seen = Seen { p50_us, p99_us, max_us: state.latency.max(), ..state.seen.clone() };
    Response::new(Full::from(serde_json::to_vec(&seen).expect("plain numbers serialise")))
}

impl State {
    fn count(&mut self, body: &Body) {
        let now = now_us();
        self.seen.requests += 1;
        self.seen.body_bytes += body.bytes;
        self.seen.last_us = now;
        if let Some(due) = body.due_us {
            self.latency.saturating_record(now.saturating_sub(due));
        }
    }
}
