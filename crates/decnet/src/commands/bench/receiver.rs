//! The built-in receiver: reads each request and responds with 204, at the least cost.
//!
//! Unlike `decnet receive`, it does not verify signatures, because it runs on the machine that is measured.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::rig::RECEIVER;
use crate::commands::thread::RuntimeThread;

/// Starts the receiver on a thread of its own until `stop` is cancelled. Returns its address.
pub(super) fn start(stop: &CancellationToken) -> anyhow::Result<(SocketAddr, RuntimeThread<()>)> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let (address, stop) = (listener.local_addr()?, stop.clone());
    let thread = RuntimeThread::start(RECEIVER, move |ready| async move {
        let listener = TcpListener::from_std(listener)?;
        ready.up();
        stop.run_until_cancelled(accept(&listener)).await.unwrap_or(Ok(()))
    })?;
    Ok((address, thread))
}

async fn accept(listener: &TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) {
    // Without TCP_NODELAY, small responses would wait for the sender's acknowledgement.
    let prepared = stream.set_nodelay(true);
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
    // A connection closed by the worker ends with an error, which is expected.
    drop((prepared, served));
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut body = request.into_body();
    let mut status = StatusCode::NO_CONTENT;
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            status = StatusCode::BAD_REQUEST;
        }
    }
    let mut reply = Response::new(Empty::new());
    *reply.status_mut() = status;
    Ok(reply)
}
