//! The reference: hyper connections of its own, one request in flight on each, nothing durable, nothing routed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls;
use crate::report::Rate;
use crate::rig::{cpu, files};

/// Share of the requests that is sent before the measurement.
const WARM_UP: u64 = 20;

/// What to send, where.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the receivers listen; each gets a connection at least.
    #[arg(long, value_delimiter = ',', required = true)]
    receivers: Vec<SocketAddr>,
    /// Requests to send.
    #[arg(long)]
    requests: u64,
    /// Requests in flight.
    #[arg(long)]
    in_flight: usize,
    /// Bytes of each body.
    #[arg(long)]
    body_bytes: usize,
    /// Sends with TLS, trusting this certificate.
    #[arg(long)]
    certificate: Option<PathBuf>,
}

/// A connection that nothing is in flight on.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

/// What all tasks share.
struct Plan {
    left: Cell<u64>,
    /// The next one is the one that was idle for longest: each receiver has its turn.
    idle: RefCell<VecDeque<Connection>>,
    body: Bytes,
    key: SigningKey,
}

/// Sends, and says on stdout what it came to.
pub(crate) async fn run(options: &Options) -> Result<()> {
    files::raise_limit()?;
    let tls = options.certificate.as_deref().map(tls::connector).transpose()?;
    let plan = Rc::new(Plan {
        left: Cell::new(0),
        idle: RefCell::default(),
        body: vec![b'x'; options.body_bytes].into(),
        key: SigningKey::new(&Secret::new("a secret of thirty-two characters")),
    });
    for number in 0..options.receivers.len().max(options.in_flight) {
        let receiver = options.receivers[number % options.receivers.len()];
        let connection = connect(receiver, tls.as_ref()).await?;
        plan.idle.borrow_mut().push_back(connection);
    }
    round(&plan, options.requests / WARM_UP, options.in_flight).await?;
    let (begun, cpu_before) = (Instant::now(), cpu::of_this_process()?);
    round(&plan, options.requests, options.in_flight).await?;
    let (seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu::of_this_process()? - cpu_before);
    let rate = Rate { deliveries: options.requests, seconds, cpu_seconds };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&rate)?)?;
    Ok(())
}

async fn connect(receiver: SocketAddr, tls: Option<&TlsConnector>) -> Result<Connection> {
    let stream = TcpStream::connect(receiver).await.context("the receiver does not answer")?;
    stream.set_nodelay(true)?;
    let sender = match tls {
        None => greet(stream).await?,
        Some(tls) => greet(tls.connect(receiver.ip().into(), stream).await?).await?,
    };
    Ok(Connection { sender, host: HeaderValue::from_str(&receiver.to_string())? })
}

async fn greet(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<SendRequest<Full<Bytes>>> {
    let (sender, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(driver);
    Ok(sender)
}

async fn round(plan: &Rc<Plan>, requests: u64, in_flight: usize) -> Result<()> {
    plan.left.set(requests);
    let tasks: Vec<_> =
        (0..in_flight).map(|_| tokio::task::spawn_local(send_many(Rc::clone(plan)))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn send_many(plan: Rc<Plan>) -> Result<()> {
    while let Some(left) = plan.left.get().checked_sub(1) {
        plan.left.set(left);
        let idle = plan.idle.borrow_mut().pop_front();
        let mut connection = idle.context("there are as many connections as tasks")?;
        connection.sender.ready().await?;
        let mut reply = connection.sender.send_request(plan.request(&connection.host)?).await?;
        ensure!(reply.status().is_success(), "the receiver answered {}", reply.status());
        while let Some(frame) = reply.body_mut().frame().await {
            frame?;
        }
        plan.idle.borrow_mut().push_back(connection);
    }
    Ok(())
}

impl Plan {
    /// Signed anew each time, as an event's request is.
    fn request(&self, host: &HeaderValue) -> Result<Request<Full<Bytes>>> {
        let request = Request::builder().method(Method::POST).uri("/bare").header(HOST, host);
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.header("x-decnet-signature", self.key.decnet(&self.body));
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}
