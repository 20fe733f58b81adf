//! One client: its frames are obeyed and its events are written, independently of each other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::hub::{Hub, Member, Violation};
use super::outbound::Outbound;
use crate::unix::read_buffer::ReadBuffer;

/// Frames obeyed before the others get a turn: far fewer than a reader's queue holds, so that one busy
/// publisher does not fill the queue of a reader that keeps up.
const FRAMES_PER_TURN: usize = 64;
/// What readers get when the bus stops, to take what already waits for them.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves a client until it goes, breaks the protocol, or the bus stops.
pub(super) async fn serve(stream: UnixStream, hub: Arc<Hub>, shutdown: CancellationToken) {
    let member = hub.join();
    let (reader, mut writer) = stream.into_split();
    // Out here, so that a half-written frame is gone on with when the bus stops.
    let mut batch = Batch::default();
    let ended = tokio::select! {
        ended = read(reader, &member) => ended,
        Err(error) = write(&mut writer, member.outbound(), &mut batch) => Err(End::Io(error)),
        () = shutdown.cancelled() => flush(&mut writer, member.outbound(), &mut batch).await,
    };
    match ended {
        Ok(()) => tracing::debug!(reader = ?member.outbound().reader(), "a bus connection ended"),
        Err(End::Violation(violation)) => member.complain(&violation),
        Err(End::Io(error)) => {
            tracing::debug!(%error, reader = ?member.outbound().reader(), "a bus connection broke");
        }
    }
}

async fn read(mut from: OwnedReadHalf, member: &Member) -> Result<(), End> {
    let mut buffer = ReadBuffer::new();
    let mut turn = FRAMES_PER_TURN;
    loop {
        let progress = member.obey(buffer.as_slice(), turn)?;
        buffer.skip(progress.used);
        if progress.said_bye {
            return Ok(());
        }
        turn -= progress.frames;
        if turn == 0 {
            turn = FRAMES_PER_TURN;
            tokio::task::yield_now().await;
        } else if buffer.fill(&mut from).await? == 0 {
            return if buffer.as_slice().is_empty() { Ok(()) } else { Err(Violation::Truncated.into()) };
        }
    }
}

async fn write(to: &mut OwnedWriteHalf, outbound: &Outbound, batch: &mut Batch) -> io::Result<()> {
    loop {
        outbound.take(batch).await;
        to.write_all_buf(batch).await?;
    }
}

/// Writes what is left, as far as the reader takes it at once.
async fn flush(to: &mut OwnedWriteHalf, outbound: &Outbound, batch: &mut Batch) -> Result<(), End> {
    let all = async {
        to.write_all_buf(batch).await?;
        while outbound.try_take(batch) {
            to.write_all_buf(batch).await?;
        }
        Ok(())
    };
    tokio::time::timeout(STOP_GRACE, all).await.unwrap_or(Ok(()))
}
