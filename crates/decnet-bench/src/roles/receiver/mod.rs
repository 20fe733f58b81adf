//! The benchmark's receiver: reads each request whole, answers as its path says, counts.
//!
//! - [`listen`]: its ports, with TLS or without, and one more for the benchmark itself;
//! - [`behaviour`]: what a path asks for: an answer, a time, trouble;
//! - [`drip`]: a reply that never ends;
//! - [`seen`]: what came.

mod behaviour;
mod drip;
mod listen;
mod seen;

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
pub(crate) use self::seen::{Latencies, Seen};
use self::seen::{State, due_us};
use super::tls;

/// Says what was [`Seen`].
pub(crate) const SEEN: &str = "/-/seen";
/// Says how late it was: [`Latencies`].
pub(crate) const LATENCY: &str = "/-/latency";
/// Forgets what was seen.
pub(crate) const RESET: &str = "/-/reset";
/// Lets through what is held at the gate.
pub(crate) const OPEN: &str = "/-/open";

/// Where to listen.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many ports.
    #[arg(long, default_value_t = 1)]
    ports: usize,
    /// With TLS: writes its certificate there.
    #[arg(long)]
    certificate: Option<PathBuf>,
}

/// Where it listens, as it says on stdout.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) control: std::net::SocketAddr,
    pub(crate) receivers: Vec<std::net::SocketAddr>,
}

type Shared = Rc<State>;
type Reply = Response<Either<Full<Bytes>, Drip>>;

/// Listens on free ports of loopback, says which on stdout, and serves until it is killed.
pub(crate) async fn run(options: Options) -> Result<()> {
    crate::rig::files::raise_limit()?;
    let tls = options.certificate.as_deref().map(tls::acceptor).transpose()?;
    let listeners = (0..options.ports).map(|_| listen::loopback()).collect::<Result<Vec<_>>>()?;
    let control = listen::loopback()?;
    let receivers = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let said = serde_json::to_string(&Addresses { control: control.local_addr()?, receivers })?;
    writeln!(std::io::stdout(), "{said}")?;
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

/// A connection that its client closes ends with an error, which is of no interest here.
async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Shared) {
    // Without it small replies would wait for the sender's acknowledgement.
    drop(stream.set_nodelay(true));
    match tls {
        None => speak(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                speak(stream, shared).await;
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, shared: Shared) {
    let service = service_fn(|request| answer(request, Rc::clone(&shared)));
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(request: Request<Incoming>, shared: Shared) -> Result<Reply, Infallible> {
    if request.uri().path().starts_with("/-/") {
        return Ok(control(request.uri().path(), &shared));
    }
    let behaviour = Behaviour::of(request.uri().path());
    let read = read(request.into_body(), behaviour.is_timed()).await;
    let Some(body) = read else { return Ok(empty(StatusCode::BAD_REQUEST)) };
    match behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Drip => return Ok(Response::new(Either::Right(Drip::new()))),
        Behaviour::Busy => return Ok(empty(StatusCode::SERVICE_UNAVAILABLE)),
        Behaviour::Gate => shared.gate_is_open().await,
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

fn control(path: &str, shared: &State) -> Reply {
    match path {
        RESET => shared.reset(),
        OPEN => shared.open_gate(),
        _ => {}
    }
    let said = if path == LATENCY {
        serde_json::to_vec(&shared.latencies())
    } else {
        serde_json::to_vec(&shared.seen())
    };
    Response::new(Either::Left(Full::from(said.expect("plain numbers serialise"))))
}
