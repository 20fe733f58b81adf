//! The reference: hyper connections of its own, one request in flight on each, nothing durable, nothing routed.

use std::cell::Cell;
use std::io::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use decnet_core::redact::Secret;
use decnet_core::signature::SigningKey;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::report::Rate;
use crate::rig::cpu;

/// Share of the requests that is sent before the measurement.
const WARM_UP: u64 = 20;

/// What to send, where.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the receiver listens.
    #[arg(long)]
    pub(crate) receiver: SocketAddr,
    /// Requests to send.
    #[arg(long)]
    pub(crate) requests: u64,
    /// Connections, and so requests in flight.
    #[arg(long)]
    pub(crate) connections: usize,
    /// Bytes of each body.
    #[arg(long)]
    pub(crate) body_bytes: usize,
}

/// What all connections share.
struct Plan {
    left: Cell<u64>,
    body: Bytes,
    host: String,
    key: SigningKey,
}

/// Sends, and says on stdout what it came to.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let mut connections = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        connections.push(connect(options.receiver).await?);
    }
    let connections = round(options, options.requests / WARM_UP, connections).await?;
    let (begun, cpu_before) = (Instant::now(), cpu::of_this_process()?);
    round(options, options.requests, connections).await?;
    let (seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu::of_this_process()? - cpu_before);
    let rate = Rate { deliveries: options.requests, seconds, cpu_seconds };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&rate)?)?;
    Ok(())
}

async fn connect(receiver: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(receiver).await.context("the receiver does not answer")?;
    stream.set_nodelay(true)?;
    let (sender, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(driver);
    Ok(sender)
}

async fn round(
    options: &Options,
    requests: u64,
    connections: Vec<SendRequest<Full<Bytes>>>,
) -> Result<Vec<SendRequest<Full<Bytes>>>> {
    let plan = Rc::new(Plan {
        left: Cell::new(requests),
        body: vec![b'x'; options.body_bytes].into(),
        host: options.receiver.to_string(),
        key: SigningKey::new(&Secret::new("a secret of thirty-two characters")),
    });
    let start = |connection| tokio::task::spawn_local(send_many(connection, Rc::clone(&plan)));
    let tasks: Vec<_> = connections.into_iter().map(start).collect();
    let mut connections = Vec::with_capacity(tasks.len());
    for task in tasks {
        connections.push(task.await??);
    }
    Ok(connections)
}

async fn send_many(
    mut connection: SendRequest<Full<Bytes>>,
    plan: Rc<Plan>,
) -> Result<SendRequest<Full<Bytes>>> {
    while let Some(left) = plan.left.get().checked_sub(1) {
        plan.left.set(left);
        connection.ready().await?;
        let mut reply = connection.send_request(plan.request()?).await?;
        ensure!(reply.status().is_success(), "the receiver answered {}", reply.status());
        while let Some(frame) = reply.body_mut().frame().await {
            frame?;
        }
    }
    Ok(connection)
}

impl Plan {
    /// Signed anew each time, as an event's request is.
    fn request(&self) -> Result<Request<Full<Bytes>>> {
        let request = Request::builder().method(Method::POST).uri("/bare").header(HOST, &self.host);
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.header("x-decnet-signature", self.key.decnet(&self.body));
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}
