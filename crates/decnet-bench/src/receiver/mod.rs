//! A receiver that reads each request completely, reacts as its path demands, and counts it at the least cost.
//!
//! - `behaviour`: the reactions that a path can select;
//! - `receipts`: the requests received.
//!
//! Unlike `decnet receive`, it does not verify signatures, because it runs on the machine that is measured. The scripted
//! receiver of `decnet-testkit` records every request and is slower.

mod behaviour;
mod receipts;

use std::convert::Infallible;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::behaviour::Behaviour;
pub use self::receipts::{Latencies, Receipts};
use self::receipts::{State, due_us};

/// Control path that returns [`Receipts`].
pub const RECEIPTS: &str = "/-/receipts";
/// Control path that returns [`Latencies`].
pub const LATENCY: &str = "/-/latency";
/// Control path that resets the receipts.
pub const RESET: &str = "/-/reset";
/// Control path that opens the gate.
pub const OPEN: &str = "/-/open";

/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// The interval between two bytes of a body that is too slow to be useful and too fast for an idle timeout.
const DRIP_INTERVAL: Duration = Duration::from_secs(1);

/// A reply. Only an endless body is boxed, so that other replies cost as little as possible.
type Reply = Response<Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>>;

/// A receiver, which can accept connections on many listeners. Clones share their receipts.
#[derive(Debug, Clone, Default)]
pub struct Receiver(Rc<State>);

/// Listens on a free port of loopback.
///
/// # Errors
/// There is no free port or file descriptor.
pub fn listen() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(BACKLOG)
}

impl Receiver {
    /// Accepts connections until it fails. Must run in a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// A connection cannot be accepted, for example because there are no more file descriptors.
    pub async fn accept(self, listener: TcpListener, tls: Option<TlsAcceptor>) -> Result<Infallible> {
        loop {
            let (stream, _) = listener.accept().await?;
            self.0.connected();
            tokio::task::spawn_local(self.clone().serve(stream, tls.clone()));
        }
    }

    /// Serves a connection. Errors are ignored: a connection that the client closes ends with an error.
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Without this, small replies would wait for the sender's acknowledgement.
        drop(stream.set_nodelay(true));
        match tls {
            None => self.serve_http(stream).await,
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    self.serve_http(stream).await;
                }
            }
        }
    }

    async fn serve_http(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = service_fn(|request| respond(request, Rc::clone(&self.0)));
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    }
}

async fn respond(request: Request<Incoming>, state: Rc<State>) -> std::result::Result<Reply, Infallible> {
    if request.uri().path().starts_with("/-/") {
        return Ok(handle_control(request.uri().path(), &state));
    }
    let behaviour = Behaviour::of(request.uri().path());
    let Ok(due_us) = read(request.into_body(), behaviour.is_timed()).await else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    match behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Drip => return Ok(Response::new(Either::Right(drip()))),
        Behaviour::Busy => return Ok(empty(StatusCode::SERVICE_UNAVAILABLE)),
        Behaviour::Gate => state.wait_for_gate().await,
        Behaviour::Count | Behaviour::Time | Behaviour::Mark(_) => {}
    }
    state.count(behaviour, due_us);
    Ok(empty(StatusCode::OK))
}

/// Returns an endless body of one byte per second.
fn drip() -> UnsyncBoxBody<Bytes, Infallible> {
    let bytes = stream::repeat(Bytes::from_static(b".")).then(|byte| async {
        tokio::time::sleep(DRIP_INTERVAL).await;
        Ok(Frame::data(byte))
    });
    StreamBody::new(bytes).boxed_unsync()
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Either::Left(Full::default()));
    *reply.status_mut() = status;
    reply
}

/// Reads a body completely. Returns the time at which its event was due, if it is timed.
async fn read(mut body: Incoming, timed: bool) -> hyper::Result<Option<u64>> {
    if timed {
        return Ok(due_us(&body.collect().await?.to_bytes()));
    }
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(None)
}

fn handle_control(path: &str, state: &State) -> Reply {
    match path {
        RESET => state.reset(),
        OPEN => state.open_gate(),
        _ => {}
    }
    let line = if path == LATENCY {
        serde_json::to_vec(&state.latencies())
    } else {
        serde_json::to_vec(&state.receipts())
    };
    Response::new(Either::Left(Full::from(line.expect("plain numbers serialise"))))
}
