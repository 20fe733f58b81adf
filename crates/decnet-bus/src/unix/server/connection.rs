//! One client: its frames are obeyed and its events are written, independently of each other.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::hub::{Goodbye, Hub, Member, Turn};
use super::outbound::Outbound;
use super::pause::Pause;
use super::peer::Peer;
use super::timeouts::Wait;
use super::violation::Violation;
use crate::unix::read_buffer::ReadBuffer;

/// Frames obeyed before the others get a turn: far fewer than a reader's queue holds, so that one busy
/// publisher does not fill the queue of a reader that keeps up.
const FRAMES_PER_TURN: usize = 64;
/// What readers get when the bus stops, to take what already waits for them.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves a client until it goes, breaks the protocol, or the bus stops; and if it is to be remembered, for as
/// long as that takes.
pub(super) async fn serve(stream: UnixStream, peer: Peer, hub: Arc<Hub>, shutdown: CancellationToken) {
    let member = hub.join(peer);
    let (reader, mut writer) = stream.into_split();
    // Out here, so that a half-written frame is gone on with when the bus stops, and known when the client goes.
    let mut batch = Batch::default();
    let ended = tokio::select! {
        ended = read(reader, &member) => ended,
        never = write(&mut writer, member.outbound(), &mut batch) => match never {},
        () = member.outbound().evicted() => Ok(None),
        () = shutdown.cancelled() => return flush(&mut writer, member.outbound(), &mut batch).await,
    };
    say(&ended, &member);
    let had = ended.ok().flatten().and_then(|goodbye| goodbye.had);
    // Before the socket is closed: whoever sees that finds what was kept.
    let superseded = member.leave(batch.into_unread(had));
    drop(writer);
    if let Some(superseded) = superseded {
        tokio::select! {
            () = superseded => {}
            () = tokio::time::sleep(hub.lossless().remember) => member.forget(),
            () = shutdown.cancelled() => {}
        }
    }
}

fn say(ended: &Result<Option<Goodbye>, End>, member: &Member) {
    let reader = member.outbound().reader();
    match ended {
        Ok(goodbye) => tracing::debug!(?reader, ?goodbye, "a bus connection ended"),
        Err(End::Violation(violation)) => member.complain(violation),
        Err(End::Io(error)) => tracing::debug!(?reader, %error, "a bus connection broke"),
    }
}

async fn read(from: OwnedReadHalf, member: &Member) -> Result<Option<Goodbye>, End> {
    let (mut from, mut buffer) = (from, ReadBuffer::new());
    let (mut left, mut pause) = (FRAMES_PER_TURN, Pause::new(member.hub().lossless().pause));
    let mut wait = Wait::first(member.hub().timeouts());
    loop {
        let turn = Turn { most: left, insists: pause.is_over(), line: from.as_ref().as_fd() };
        let progress = member.obey(buffer.as_slice(), turn)?;
        buffer.skip(progress.used);
        if progress.goodbye.is_some() {
            return Ok(progress.goodbye);
        }
        if progress.frames > 0 {
            pause.end();
            wait = Wait::Unlimited;
        }
        left -= progress.frames;
        if let Some(change) = progress.wait {
            pause.wait(change).await;
            left = FRAMES_PER_TURN;
        } else if left == 0 {
            left = FRAMES_PER_TURN;
            tokio::task::yield_now().await;
        } else if wait.fill(&mut buffer, &mut from, member).await? == 0 {
            return if buffer.as_slice().is_empty() { Ok(None) } else { Err(Violation::Truncated.into()) };
        }
    }
}

/// Writes until it is cancelled. A client that reads no more may have sent frames before that are still to be
/// obeyed, so its end is for the reading half to find.
async fn write(to: &mut OwnedWriteHalf, outbound: &Outbound, batch: &mut Batch) -> Infallible {
    loop {
        outbound.take(batch).await;
        if let Err(error) = to.write_all_buf(batch).await {
            tracing::debug!(%error, reader = ?outbound.reader(), "a bus connection takes nothing more");
            outbound.abandon();
            return std::future::pending().await;
        }
    }
}

/// Writes what is left, as far as the reader takes it at once.
async fn flush(to: &mut OwnedWriteHalf, outbound: &Outbound, batch: &mut Batch) {
    let all = async {
        to.write_all_buf(batch).await?;
        while outbound.try_take(batch) {
            to.write_all_buf(batch).await?;
        }
        Ok::<_, io::Error>(())
    };
    if let Ok(Err(error)) = tokio::time::timeout(STOP_GRACE, all).await {
        tracing::debug!(%error, reader = ?outbound.reader(), "a bus connection broke before the last events");
    }
}
