//! A client of the worker's socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use decnet_core::limits::{ENDPOINT_TIMEOUT, MAX_ENDPOINT_REPLY_BYTES};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::endpoint::socket_path;
use super::status::Status;

/// An error of a request to a worker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No process listens on the socket.
    #[error("no worker is running on {}", .0.display())]
    NoWorker(PathBuf),
    /// The connection to the socket failed.
    #[error("cannot connect to the worker's socket {}: {error}", .path.display())]
    Socket {
        /// The path of the socket.
        path: PathBuf,
        /// The error of connect(2).
        error: std::io::Error,
    },
    /// The HTTP exchange failed.
    #[error("the connection to the worker failed: {0}")]
    Http(#[from] hyper::Error),
    /// The response is invalid, too large, or from an incompatible version.
    #[error("the worker's response is invalid: {0}")]
    InvalidResponse(Box<dyn std::error::Error + Send + Sync>),
    /// The worker did not answer in time.
    #[error("the worker did not answer within {}", decnet_core::duration::show(ENDPOINT_TIMEOUT))]
    Late,
}

/// Returns the status of the worker of a data directory.
///
/// # Errors
/// No worker is running, or its response is invalid.
pub async fn status(data_dir: &Path) -> Result<Status, Error> {
    let body = get(data_dir, "/status", "application/json").await?;
    serde_json::from_slice(&body).map_err(|error| Error::InvalidResponse(error.into()))
}

/// Requests `path` from the worker's endpoint.
///
/// # Errors
/// See [`status`].
pub async fn get(data_dir: &Path, path: &str, accept: &str) -> Result<Bytes, Error> {
    let exchanged = tokio::time::timeout(ENDPOINT_TIMEOUT, exchange(data_dir, path, accept)).await;
    exchanged.unwrap_or(Err(Error::Late))
}

async fn exchange(data_dir: &Path, path: &str, accept: &str) -> Result<Bytes, Error> {
    let socket = socket_path(data_dir);
    let stream = UnixStream::connect(&socket).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::NoWorker(data_dir.into()),
        _ => Error::Socket { path: socket.clone(), error },
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender. Its error is also the error of the request.
    tokio::spawn(connection);
    let request =
        Request::get(path).header(HOST, "worker").header(ACCEPT, accept).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| Error::InvalidResponse(error.into()))?;
    let reply = sender.send_request(request).await?;
    if reply.status() != StatusCode::OK {
        return Err(Error::InvalidResponse(format!("HTTP {}", reply.status()).into()));
    }
    let body = Limited::new(reply.into_body(), MAX_ENDPOINT_REPLY_BYTES).collect().await;
    Ok(body.map_err(Error::InvalidResponse)?.to_bytes())
}
