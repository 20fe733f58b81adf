//! The reference: plain hyper connections with one request in flight on each; it stores and routes nothing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use decnet_bench::cpu::CpuSample;
use decnet_bench::load::BODY_BYTES;
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{start_http, tls};
use crate::report::Rate;
use crate::rig::machine;

/// Divisor of the number of requests that gives the number of warm-up requests.
const WARM_UP: u64 = 20;

/// The requests to send, and the receivers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Options {
    /// Addresses of the receivers; each gets at least one connection.
    pub(crate) receivers: Vec<SocketAddr>,
    pub(crate) requests: u64,
    pub(crate) in_flight: usize,
    /// The certificate to trust, if TLS is used.
    pub(crate) certificate: Option<PathBuf>,
}

/// An idle connection.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

/// State that all tasks share.
struct Shared {
    remaining: Cell<u64>,
    /// Idle connections; the longest idle connection is first, so each receiver gets its turn.
    idle: RefCell<VecDeque<Connection>>,
    body: Bytes,
    key: SigningKey,
}

/// Sends the requests and returns the rate.
pub(crate) async fn run(options: &Options) -> Result<Rate> {
    machine::raise_file_limit()?;
    let tls = options.certificate.as_deref().map(tls::connector).transpose()?;
    let shared = Rc::new(Shared {
        remaining: Cell::new(0),
        idle: RefCell::default(),
        body: vec![b'x'; BODY_BYTES].into(),
        key: SigningKey::new(&Secret::new("a secret of thirty-two characters")),
    });
    for number in 0..options.receivers.len().max(options.in_flight) {
        let receiver = options.receivers[number % options.receivers.len()];
        let connection = connect(receiver, tls.as_ref()).await?;
        shared.idle.borrow_mut().push_back(connection);
    }
    round(&shared, options.requests / WARM_UP, options.in_flight).await?;
    let (begun, cpu) = (Instant::now(), CpuSample::of(std::process::id())?);
    round(&shared, options.requests, options.in_flight).await?;
    let (seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu.elapsed()?.process);
    Ok(Rate { deliveries: options.requests, seconds, cpu_seconds })
}

async fn connect(receiver: SocketAddr, tls: Option<&TlsConnector>) -> Result<Connection> {
    let stream = TcpStream::connect(receiver).await.context("cannot connect to the receiver")?;
    stream.set_nodelay(true)?;
    let sender = match tls {
        None => start_http(stream).await?,
        Some(tls) => start_http(tls.connect(receiver.ip().into(), stream).await?).await?,
    };
    Ok(Connection { sender, host: HeaderValue::from_str(&receiver.to_string())? })
}

async fn round(shared: &Rc<Shared>, requests: u64, in_flight: usize) -> Result<()> {
    shared.remaining.set(requests);
    let tasks: Vec<_> =
        (0..in_flight).map(|_| tokio::task::spawn_local(send_many(Rc::clone(shared)))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn send_many(shared: Rc<Shared>) -> Result<()> {
    while let Some(remaining) = shared.remaining.get().checked_sub(1) {
        shared.remaining.set(remaining);
        let idle = shared.idle.borrow_mut().pop_front();
        let mut connection = idle.context("there are as many connections as tasks")?;
        connection.sender.ready().await?;
        let mut reply = connection.sender.send_request(shared.request(&connection.host)?).await?;
        ensure!(reply.status().is_success(), "the receiver replied with {}", reply.status());
        while let Some(frame) = reply.body_mut().frame().await {
            frame?;
        }
        shared.idle.borrow_mut().push_back(connection);
    }
    Ok(())
}

impl Shared {
    /// Builds a request. Each request is signed, as an event's request is.
    fn request(&self, host: &HeaderValue) -> Result<Request<Full<Bytes>>> {
        let request = Request::builder().method(Method::POST).uri("/bare").header(HOST, host);
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.header("x-decnet-signature", self.key.decnet(&self.body));
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}
