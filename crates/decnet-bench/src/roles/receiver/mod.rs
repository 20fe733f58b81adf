//! The benchmark's receiver: reads each request completely, reacts as its path demands, and counts it.
//!
//! - [`listen`]: its ports, with or without TLS, and the control port of the benchmark;
//! - [`behaviour`]: the reactions that a path can select;
//! - [`drip`]: an endless reply;
//! - [`receipts`]: the requests received.

mod behaviour;
mod drip;
mod listen;
mod receipts;

use std::convert::Infallible;
use std::io::Write as _;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::behaviour::Behaviour;
use self::drip::Drip;
pub(crate) use self::receipts::{Latencies, Receipts};
use self::receipts::{State, due_us};
use super::tls;

/// Control path that returns [`Receipts`].
pub(crate) const RECEIPTS: &str = "/-/receipts";
/// Control path that returns [`Latencies`].
pub(crate) const LATENCY: &str = "/-/latency";
/// Control path that resets the receipts.
pub(crate) const RESET: &str = "/-/reset";
/// Control path that opens the gate.
pub(crate) const OPEN: &str = "/-/open";

/// The ports and the certificate.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Number of ports
    #[arg(long, default_value_t = 1)]
    ports: usize,
    /// Use TLS and write the certificate to this file
    #[arg(long)]
    certificate: Option<PathBuf>,
}

/// The addresses on which the receiver listens, printed to stdout as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) control: std::net::SocketAddr,
    pub(crate) receivers: Vec<std::net::SocketAddr>,
}

type Shared = Rc<State>;
type Reply = Response<Either<Full<Bytes>, Drip>>;

/// Listens on free ports of loopback, prints them to stdout, and serves until it is killed.
pub(crate) async fn run(options: Options) -> Result<()> {
    crate::rig::files::raise_limit()?;
    let tls = options.certificate.as_deref().map(tls::acceptor).transpose()?;
    let listeners = (0..options.ports).map(|_| listen::loopback()).collect::<Result<Vec<_>>>()?;
    let control = listen::loopback()?;
    let receivers = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let line = serde_json::to_string(&Addresses { control: control.local_addr()?, receivers })?;
    writeln!(std::io::stdout(), "{line}")?;
    let shared = Rc::new(State::default());
    for listener in listeners {
        tokio::task::spawn_local(accept(listener, tls.clone(), Rc::clone(&shared)));
    }
    accept(control, None, shared).await
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Shared) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        shared.connected();
        tokio::task::spawn_local(serve(stream, tls.clone(), Rc::clone(&shared)));
    }
}

/// Serves a connection. Errors are ignored: a connection that the client closes ends with one.
async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Shared) {
    // Without this, small replies would wait for the sender's acknowledgement.
    drop(stream.set_nodelay(true));
    match tls {
        None => serve_http(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve_http(stream, shared).await;
            }
        }
    }
}

async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, shared: Shared) {
    let service = service_fn(|request| respond(request, Rc::clone(&shared)));
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn respond(request: Request<Incoming>, shared: Shared) -> Result<Reply, Infallible> {
    if request.uri().path().starts_with("/-/") {
        return Ok(handle_control(request.uri().path(), &shared));
    }
    let behaviour = Behaviour::of(request.uri().path());
    let read = read(request.into_body(), behaviour.is_timed()).await;
    let Some(body) = read else { return Ok(empty(StatusCode::BAD_REQUEST)) };
    match behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Drip => return Ok(Response::new(Either::Right(Drip::new()))),
        Behaviour::Busy => return Ok(empty(StatusCode::SERVICE_UNAVAILABLE)),
        Behaviour::Gate => shared.wait_for_gate().await,
        Behaviour::Count | Behaviour::Time | Behaviour::Mark(_) => {}
    }
    shared.count(behaviour, &body);
    Ok(empty(StatusCode::OK))
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Either::Left(Full::default()));
    *reply.status_mut() = status;
    reply
}

/// A request's body: its length, and the time at which its event was due.
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

fn handle_control(path: &str, shared: &State) -> Reply {
    match path {
        RESET => shared.reset(),
        OPEN => shared.open_gate(),
        _ => {}
    }
    let line = if path == LATENCY {
        serde_json::to_vec(&shared.latencies())
    } else {
        serde_json::to_vec(&shared.receipts())
    };
    Response::new(Either::Left(Full::from(line.expect("plain numbers serialise"))))
}
