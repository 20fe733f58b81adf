//! The endpoint for status and metrics: HTTP/1.1 on the socket `worker.sock` in the data directory, and optionally on a TCP
//! address.
//!
//! It runs on a thread of its own and reads only shared counters, so clients do not delay deliveries, however slow they are.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use decnet_core::limits::{ENDPOINT_TIMEOUT, MAX_ENDPOINT_CONNECTIONS};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_util::net::Listener;
use tokio_util::sync::CancellationToken;

use super::hosts::{Hosts, Refused};
use super::status::Status;
use super::text::{self, Format};
use super::worker::WorkerView;
use super::{metrics, status, traffic};
use decnet_runtime::accept::Acceptor;
use decnet_runtime::thread::{RuntimeThread, ThreadError};

/// The socket's name in the data directory.
const SOCKET: &str = "worker.sock";
/// The path of the status.
const STATUS: &str = "/status";
/// The paths that only the owner of the socket may read.
const OWNERS: [&str; 3] = [STATUS, traffic::PATH, traffic::ACTIVITY_PATH];
/// The number of connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 64;

/// The endpoint's listeners.
#[derive(Debug)]
pub struct Endpoint {
    unix: Option<Socket>,
    tcp: Option<std::net::TcpListener>,
    /// The accepted `Host` names of requests to the TCP address.
    hosts: Hosts,
}

/// The endpoint's socket. Its file is removed on drop.
#[derive(Debug)]
struct Socket {
    listener: StdUnixListener,
    path: PathBuf,
    /// The inode of the file, to recognize a file that a successor has created in its place.
    inode: u64,
}

/// The resources that a listener serves.
#[derive(Debug)]
enum Access {
    /// Everything, for clients that may access the worker's files.
    Owner,
    /// Only metrics (numbers and names of subscriptions), for requests with one of these host names.
    Metrics(Hosts),
}

/// The TCP address for metrics cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on DECNET_METRICS_LISTEN={address}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// Returns the path of the socket of a data directory's worker.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

impl Endpoint {
    /// Binds the socket and the TCP address; requests to the address may have `names` as their host. The caller owns the queue
    /// in `data_dir`, so an existing socket is stale.
    ///
    /// # Errors
    /// The address cannot be bound. A failure to bind the socket is only logged, since the worker does not need it.
    pub fn bind(data_dir: &Path, listen: Option<SocketAddr>, names: &[String]) -> Result<Self, BindError> {
        let path = socket_path(data_dir);
        let unix = Socket::bind(path.clone()).inspect_err(|error| {
            tracing::warn!(%error, socket = %path.display(), "cannot serve status and metrics on the socket; the worker runs without them");
        });
        let tcp = listen.map(|address| {
            std::net::TcpListener::bind(address).map_err(|source| BindError { address, source })
        });
        let tcp = tcp.transpose()?;
        if let Some(address) = tcp.as_ref().and_then(|listener| listener.local_addr().ok()) {
            tracing::info!("metrics are at http://{address}/metrics");
        }
        Ok(Self { unix: unix.ok(), tcp, hosts: Hosts::new(names) })
    }

    /// Creates an endpoint with this listener only.
    #[must_use]
    pub fn on(listener: std::net::TcpListener) -> Self {
        Self { unix: None, tcp: Some(listener), hosts: Hosts::default() }
    }

    /// Serves on a thread of its own until `stop`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(self, view: WorkerView, stop: CancellationToken) -> Result<RuntimeThread<()>, ThreadError> {
        RuntimeThread::start("endpoint", move |ready| async move {
            ready.up();
            self.run(Arc::new(view), &stop).await;
            Ok(())
        })
    }

    async fn run(self, view: Arc<WorkerView>, stop: &CancellationToken) {
        let Self { unix, tcp, hosts } = self;
        let on_socket = async {
            let Some(socket) = &unix else { return Ok(()) };
            let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
            listen(listener, &view, Access::Owner, stop).await;
            Ok(())
        };
        let on_address = async {
            let Some(listener) = tcp else { return Ok(()) };
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            listen(listener, &view, Access::Metrics(hosts), stop).await;
            Ok(())
        };
        tokio::join!(
            or_log("the worker's socket", on_socket),
            or_log("the address for metrics", on_address),
            traffic::record(&view, stop),
        );
    }
}

/// Logs why a listener cannot serve; the worker runs without it.
async fn or_log(listener: &str, listening: impl Future<Output = io::Result<()>>) {
    if let Err(error) = listening.await {
        tracing::error!(%error, "cannot serve status and metrics on {listener}; the worker runs without them");
    }
}

impl Socket {
    /// Binds the socket. Linux creates the file with the socket's own mode, so it is never accessible to others, and its
    /// name is not resolved again even if another user replaces it.
    fn bind(path: PathBuf) -> io::Result<Self> {
        let address = SocketAddrUnix::new(&path)?;
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        fchmod(&socket, Mode::from_raw_mode(0o600))?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        let inode = fs::symlink_metadata(&path)?.ino();
        Ok(Self { listener: socket.into(), path, inode })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "cannot remove the worker's socket");
        }
    }
}

/// Accepts connections, at most `MAX_ENDPOINT_CONNECTIONS` at a time, and serves each for a bounded time.
async fn listen<L>(mut listener: L, view: &Arc<WorkerView>, access: Access, stop: &CancellationToken)
where
    L: Listener<Io: Unpin + Send + 'static>,
{
    let (mut acceptor, mut connections) = (Acceptor::new(&mut listener, "endpoint"), JoinSet::new());
    let access = Arc::new(access);
    loop {
        tokio::select! {
            (stream, _) = acceptor.accept(), if connections.len() < MAX_ENDPOINT_CONNECTIONS => {
                connections.spawn(serve(stream, Arc::clone(view), Arc::clone(&access)));
            }
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Serves one request, within [`ENDPOINT_TIMEOUT`].
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, view: Arc<WorkerView>, access: Arc<Access>) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request, &view, &access)));
    // A client may close its side after the request and still expects the response (RFC 9112, section 9.6).
    let mut http = http1::Builder::new();
    let connection = http.keep_alive(false).half_close(true).serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(ENDPOINT_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the endpoint failed"),
        Err(_) => tracing::debug!("a connection to the endpoint was too slow"),
    }
}

fn answer(request: &Request<Incoming>, view: &WorkerView, access: &Access) -> Response<Full<Bytes>> {
    if let Access::Metrics(hosts) = access
        && let Err(refused) = hosts.check(request)
    {
        return misdirected(&refused);
    }
    let path = request.uri().path();
    let is_known = path == "/metrics" || (OWNERS.contains(&path) && matches!(access, Access::Owner));
    if !is_known {
        return reply(StatusCode::NOT_FOUND, "text/plain", "not found; the metrics are at /metrics\n");
    }
    if request.method() != Method::GET {
        return reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n");
    }
    let json = match path {
        STATUS => serde_json::to_string(&Status::of(view)),
        traffic::PATH => serde_json::to_string(&traffic::read(view)),
        traffic::ACTIVITY_PATH => serde_json::to_string(&traffic::activity(view)),
        _ => return metrics_page(request, view),
    };
    reply(StatusCode::OK, status::CONTENT_TYPE, json.unwrap_or_default())
}

fn metrics_page(request: &Request<Incoming>, view: &WorkerView) -> Response<Full<Bytes>> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    reply(StatusCode::OK, format.content_type(), text::write(metrics::families(view), format))
}

/// Returns the response to a request with a wrong host (RFC 9112, section 3.2; RFC 9110, section 15.5.20).
fn misdirected(refused: &Refused) -> Response<Full<Bytes>> {
    let status = match refused {
        Refused::Malformed => StatusCode::BAD_REQUEST,
        Refused::Foreign(_) => StatusCode::MISDIRECTED_REQUEST,
    };
    reply(status, "text/plain", format!("{refused}\n"))
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
