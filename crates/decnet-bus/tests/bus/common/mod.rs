//! A real bus on a temporary socket, and a peer with its own implementation of the wire format.

pub(crate) mod log;
pub(crate) mod numbered;

use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_bus::{Client, Losses, Lossless, Received, Server, ServerOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The timeout of a step, long enough for a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, what).await.expect("timed out")
}

pub(crate) struct TestBus {
    pub(crate) path: PathBuf,
    dir: TempDir,
    stop: CancellationToken,
    task: JoinHandle<()>,
    witness: Peer,
    barriers: u32,
}

pub(crate) fn options(path: &Path) -> ServerOptions {
    ServerOptions { group: None, heartbeat: Duration::from_millis(20), ..ServerOptions::new(path) }
}

impl TestBus {
    pub(crate) async fn start() -> Self {
        Self::start_with(Lossless::default()).await
    }

    pub(crate) async fn start_with(lossless: Lossless) -> Self {
        Self::start_as(|options| options.lossless = lossless).await
    }

    pub(crate) async fn start_as(change: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    async fn start_in(dir: TempDir, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let path = dir.path().join("bus.sock");
        let mut options = options(&path);
        change(&mut options);
        let server = Server::bind(options).unwrap();
        let stop = CancellationToken::new();
        let shutdown = stop.clone();
        let task = tokio::spawn(async move { server.run(shutdown).await.unwrap() });
        let witness = witness(&path).await;
        Self { path, dir, stop, task, witness, barriers: 0 }
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.stop.cancel();
        soon(self.task).await.unwrap();
        self.dir
    }

    pub(crate) async fn restart(self) -> Self {
        Self::start_in(self.stop().await, |_| {}).await
    }

    pub(crate) async fn peer(&self) -> Peer {
        Peer::connect(&self.path).await
    }

    /// Returns once the bus has handled everything that `peer` has sent.
    pub(crate) async fn settle(&mut self, peer: &mut Peer) {
        let topic = self.next_barrier();
        peer.send("PUB", &topic, b"").await;
        self.witnessed(&topic).await;
    }

    pub(crate) async fn settle_client(&mut self, client: &mut Client) {
        let topic = self.next_barrier();
        client.publish(&topic, "", "").await.unwrap();
        self.witnessed(&topic).await;
    }

    /// Returns the loss counters of the next heartbeat.
    pub(crate) async fn losses(&self) -> Losses {
        let mut reader = self.peer().await;
        reader.send("SUB", "system.bus.health", b"").await;
        let (_, envelope) = reader.recv().await.expect("the bus is running");
        Losses::of_heartbeat(&envelope).unwrap().expect("the heartbeat has loss counters")
    }

    pub(crate) fn next_barrier(&mut self) -> String {
        self.barriers += 1;
        format!("barrier.{}", self.barriers)
    }

    pub(crate) async fn witnessed(&mut self, topic: &str) {
        let header = format!("EVT {topic}");
        while self.witness.recv().await.expect("the bus is running").0 != header {}
    }
}

/// Connects a peer that receives the barriers. A heartbeat shows that its subscription is active.
async fn witness(path: &Path) -> Peer {
    let mut witness = Peer::connect(path).await;
    witness.send("SUB", "barrier.*", b"").await;
    witness.send("SUB", "system.bus.health", b"").await;
    witness.recv().await.expect("the bus is running");
    witness.send("UNSUB", "system.bus.health", b"").await;
    witness
}

/// A client with its own implementation of the documented wire format.
pub(crate) struct Peer(pub(crate) BufReader<UnixStream>);

impl Peer {
    pub(crate) async fn connect(path: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(path).await.unwrap()))
    }

    pub(crate) async fn subscribed(bus: &mut TestBus, patterns: &[&str]) -> Self {
        let mut peer = bus.peer().await;
        for pattern in patterns {
            peer.send("SUB", pattern, b"").await;
        }
        bus.settle(&mut peer).await;
        peer
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send(&mut self, verb: &str, args: &str, body: &[u8]) {
        self.raw(&frame(verb, args, body)).await;
    }

    /// Receives the next frame's header and body; `None` once the other side has closed.
    pub(crate) async fn recv(&mut self) -> Option<(String, Vec<u8>)> {
        soon(self.try_recv()).await.ok()
    }

    async fn try_recv(&mut self) -> std::io::Result<(String, Vec<u8>)> {
        let mut header = Vec::new();
        loop {
            match self.0.read_u8().await? {
                b'\n' => break,
                byte => header.push(byte),
            }
        }
        let mut body = vec![0; self.0.read_u32().await? as usize];
        self.0.read_exact(&mut body).await?;
        Ok((String::from_utf8(header).unwrap(), body))
    }

    /// Receives the next event's topic and envelope.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        let (header, body) = self.recv().await.expect("an event");
        let topic = header.strip_prefix("EVT ").expect("an event").to_owned();
        (topic, serde_json::from_slice(&body).unwrap())
    }

    /// Asserts that nothing arrives before an event on `topic`, which another client published.
    pub(crate) async fn expect_only(&mut self, topic: &str) {
        assert_eq!(self.event().await.0, topic);
    }
}

pub(crate) fn frame(verb: &str, args: &str, body: &[u8]) -> Vec<u8> {
    let header = if args.is_empty() { verb.to_owned() } else { format!("{verb} {args}") };
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [header.as_bytes(), b"\n", &length, body].concat()
}

pub(crate) fn payload(received: &Received) -> Value {
    let envelope: Value = serde_json::from_slice(&received.body).unwrap();
    envelope["payload"].clone()
}
