//! Open pages of the dashboard, as browsers keep them open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use decnet_core::access::{Scope, Scopes};
use decnet_runtime::clock::now;
use decnet_store::catalog::NewToken;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::pipeline::Pipeline;

/// The pages, in turn.
const VIEWS: [&str; 4] = ["/", "/subscriptions", "/deliveries", "/deliveries?state=delivered"];
/// Open pages of one session; the server allows no more streams.
const SESSION_PAGES: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// The beginning of an event with a refreshed page.
const EVENT: &[u8] = b"event: view\n";

/// Open pages that are refreshed until they are dropped.
pub(crate) struct Viewers {
    refreshes: Vec<Arc<AtomicU64>>,
    bytes: Arc<AtomicU64>,
    /// Dropping it closes the pages.
    readers: JoinSet<()>,
}

impl Viewers {
    /// Opens pages, and waits until each has been refreshed once.
    pub(crate) async fn open(pipeline: &Pipeline, api: SocketAddr, pages: usize) -> Result<Self> {
        let (mut readers, bytes, mut refreshes) = (JoinSet::new(), Arc::default(), Vec::new());
        let mut cookie = String::new();
        for page in 0..pages {
            if page % SESSION_PAGES == 0 {
                cookie = log_in(pipeline, api, page).await?;
            }
            let stream = watch(api, &cookie, VIEWS[page % VIEWS.len()]).await?;
            let count = Arc::default();
            refreshes.push(Arc::clone(&count));
            readers.spawn(read(stream, count, Arc::clone(&bytes)));
        }
        let viewers = Self { refreshes, bytes, readers };
        let begun = Instant::now();
        while viewers.refreshes.iter().any(|count| count.load(Ordering::Relaxed) == 0) {
            ensure!(begun.elapsed() < TIMEOUT, "some pages were not refreshed");
            tokio::time::sleep(POLL).await;
        }
        Ok(viewers)
    }

    /// Returns how often pages were refreshed, and the bytes that were sent for it. Fails if a page was closed.
    pub(crate) fn refreshes(&mut self) -> Result<(u64, u64)> {
        ensure!(self.readers.try_join_next().is_none(), "the server closed a page");
        let refreshes = self.refreshes.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        Ok((refreshes, self.bytes.load(Ordering::Relaxed)))
    }
}

/// Begins a session with a new token and returns its cookie.
async fn log_in(pipeline: &Pipeline, api: SocketAddr, number: usize) -> Result<String> {
    let scopes = Scopes::new([Scope::Read]);
    let new = NewToken { name: format!("viewer-{number}"), scopes, expires_at: None };
    let token = pipeline.catalog()?.create_token(&new, now())?;
    let body = format!("token={}", token.expose());
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: {api}\r\nOrigin: http://{api}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(api).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
    Ok(cookie.with_context(|| format!("the login failed: {answer}"))?.to_owned())
}

/// Opens the stream of a page.
async fn watch(api: SocketAddr, cookie: &str, view: &str) -> Result<TcpStream> {
    let view = view.replace('?', "%3F").replace('=', "%3D");
    let mut stream = TcpStream::connect(api).await?;
    let request = format!("GET /live?view={view} HTTP/1.1\r\nHost: {api}\r\nCookie: {cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    if &status != b"HTTP/1.1 200" {
        bail!("a page cannot be watched: {}", String::from_utf8_lossy(&status));
    }
    Ok(stream)
}

async fn read(mut stream: TcpStream, refreshes: Arc<AtomicU64>, bytes: Arc<AtomicU64>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let found = memchr::memmem::find_iter(&buffer[..count], EVENT).count();
        refreshes.fetch_add(found as u64, Ordering::Relaxed);
        bytes.fetch_add(count as u64, Ordering::Relaxed);
    }
}
