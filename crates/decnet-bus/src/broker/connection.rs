//! One client: frames are read and events are written, independently of each other.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

use super::backpressure::Backpressure;
use super::batch::Batch;
use super::hub::{Goodbye, Hub, Member, Turn};
use super::outbound::Outbound;
use super::peer::Peer;
use super::timeouts::Wait;
use super::violation::Violation;
use crate::read_buffer::ReadBuffer;

/// The number of frames handled before other connections get a turn. Far fewer than a reader's queue holds, so that one
/// busy publisher does not fill the queue of a reader that keeps up.
const FRAMES_PER_TURN: usize = 64;
/// The time that readers get to accept waiting events when the bus stops.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// The reason why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves a client until it disconnects or violates the protocol, or the bus stops. If its session is retained, also waits
/// until the session is resumed or expires.
pub(super) async fn serve(stream: UnixStream, peer: Peer, hub: Arc<Hub>, shutdown: CancellationToken) {
    let member = hub.join(peer);
    let (reader, mut writer) = stream.into_split();
    // Declared outside the write loop: when the bus stops, a half-written frame is completed, and when the client disconnects, the
    // frames that it may not have read are known.
    let mut batch = Batch::default();
    let ended = tokio::select! {
        ended = read(reader, &member) => ended,
        never = write(&mut writer, &member.outbound, &mut batch) => match never {},
        () = member.outbound.evicted.cancelled() => Ok(None),
        () = shutdown.cancelled() => return flush(&mut writer, &member.outbound, &mut batch).await,
    };
    log_end(&ended, &member);
    let received = ended.ok().flatten().and_then(|goodbye| goodbye.received);
    // Before the socket is closed: a successor that sees the close must find the retained events.
    let resumed = member.leave(batch.into_unread(received));
    drop(writer);
    if let Some(resumed) = resumed {
        tokio::select! {
            () = resumed => {}
            () = tokio::time::sleep(hub.lossless.retention) => member.expire(),
            () = shutdown.cancelled() => {}
        }
    }
}

fn log_end(ended: &Result<Option<Goodbye>, End>, member: &Member) {
    let reader = member.outbound.reader();
    match ended {
        Ok(goodbye) => tracing::debug!(?reader, ?goodbye, "a bus connection ended"),
        Err(End::Violation(violation)) => member.log_violation(violation),
        Err(End::Io(error)) => tracing::debug!(?reader, %error, "a bus connection failed"),
    }
}

async fn read(from: OwnedReadHalf, member: &Member) -> Result<Option<Goodbye>, End> {
    let (mut from, mut buffer) = (from, ReadBuffer::new());
    let (mut left, mut backpressure) = (FRAMES_PER_TURN, Backpressure::new(member.hub.lossless.pause));
    let mut wait = Wait::first(member.hub.timeouts);
    loop {
        let turn =
            Turn { max_frames: left, must_not_wait: backpressure.is_over(), socket: from.as_ref().as_fd() };
        let progress = member.handle_frames(buffer.as_slice(), turn)?;
        buffer.skip(progress.consumed);
        if progress.goodbye.is_some() {
            return Ok(progress.goodbye);
        }
        if progress.frames > 0 {
            backpressure.reset();
            wait = Wait::default();
        }
        left -= progress.frames;
        if let Some(change) = progress.wait {
            backpressure.wait(change).await;
            left = FRAMES_PER_TURN;
        } else if left == 0 {
            left = FRAMES_PER_TURN;
            tokio::task::yield_now().await;
        } else if wait.fill(&mut buffer, &mut from, member).await? == 0 {
            return if buffer.as_slice().is_empty() { Ok(None) } else { Err(Violation::Truncated.into()) };
        }
    }
}

/// Writes until it is cancelled. After a write error the reading half continues, since frames that the client sent
/// before may still be unread.
async fn write(to: &mut OwnedWriteHalf, outbound: &Outbound, batch: &mut Batch) -> Infallible {
    loop {
        outbound.take(batch).await;
        if let Err(error) = to.write_all_buf(batch).await {
            tracing::debug!(%error, reader = ?outbound.reader(), "cannot write to a bus connection");
            outbound.abandon();
            return std::future::pending().await;
        }
    }
}

/// Writes the waiting frames, as far as the reader accepts them within [`STOP_GRACE`].
async fn flush(to: &mut OwnedWriteHalf, outbound: &Outbound, batch: &mut Batch) {
    let all = async {
        to.write_all_buf(batch).await?;
        while outbound.try_take(batch) {
            to.write_all_buf(batch).await?;
        }
        Ok::<_, io::Error>(())
    };
    if let Ok(Err(error)) = tokio::time::timeout(STOP_GRACE, all).await {
        tracing::debug!(%error, reader = ?outbound.reader(), "a bus connection failed before the last events were written");
    }
}
