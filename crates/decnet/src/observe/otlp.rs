//! Traces to an OpenTelemetry collector: OTLP over gRPC, on a thread of its own.
//!
//! Spans wait in a bounded queue; what finds no room, and what the collector does not take, is counted and left out. A
//! collector that is away is said once. gRPC is one POST over HTTP/2 with a length before the message
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>), which needs no library beside hyper.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use decnet_core::limits::{
    EXPORT_INTERVAL, EXPORT_TIMEOUT, LAST_EXPORT_TIMEOUT, MAX_EXPORT_SPANS, MAX_UNEXPORTED_SPANS,
};
use decnet_core::measure::Counter;
use decnet_core::time::UnixMicros;
use decnet_dispatch::{Span, SpanKind, Spans};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, TE};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, Status};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::commands::background::Background;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Spans are sampled: whoever traces, traces all.
const SAMPLED: u32 = 1;

/// What went wrong with an export.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the endpoint has no host")]
    NoHost,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    #[error("it answered HTTP {0}")]
    Status(StatusCode),
    #[error("it answered gRPC status {0}")]
    Grpc(String),
    #[error("it did not answer in time")]
    Late,
}

/// Where spans are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Tracer {
    queue: mpsc::Sender<Span>,
    lost: Arc<Counter>,
    is_full: Arc<AtomicBool>,
}

impl Spans for Tracer {
    fn take(&self, span: Span) {
        match self.queue.try_send(span) {
            Ok(()) => self.is_full.store(false, Ordering::Relaxed),
            Err(_) => {
                self.lost.add(1);
                if !self.is_full.swap(true, Ordering::Relaxed) {
                    tracing::warn!("spans come faster than the collector takes them; some are left out");
                }
            }
        }
    }
}

impl Tracer {
    /// Starts the exporter. It ends, with a last export, when the tracer and its clones are gone.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(endpoint: Uri) -> anyhow::Result<(Self, Background<()>)> {
        let (queue, spans) = mpsc::channel(MAX_UNEXPORTED_SPANS);
        let lost = Arc::new(Counter::default());
        let exporter =
            Exporter { endpoint, spans, lost: Arc::clone(&lost), connection: None, is_away: false };
        let thread = Background::start("exporter", move |ready| async move {
            ready.up();
            exporter.run().await;
            Ok(())
        })?;
        Ok((Self { queue, lost, is_full: Arc::default() }, thread))
    }
}

/// The thread's own.
struct Exporter {
    endpoint: Uri,
    spans: mpsc::Receiver<Span>,
    lost: Arc<Counter>,
    connection: Option<http2::SendRequest<Full<Bytes>>>,
    /// That the collector is away was said.
    is_away: bool,
}

impl Exporter {
    async fn run(mut self) {
        let mut batch = Vec::new();
        while self.spans.recv_many(&mut batch, MAX_EXPORT_SPANS).await > 0 {
            // Others come meanwhile, and go together.
            tokio::time::sleep(EXPORT_INTERVAL).await;
            while batch.len() < MAX_EXPORT_SPANS
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(span);
            }
            // The worker has ended: a collector that hangs must not hold it up.
            let is_last = self.spans.is_closed();
            if is_last && self.is_away {
                return;
            }
            let spans = batch.len() as u64;
            let timeout = if is_last { LAST_EXPORT_TIMEOUT } else { EXPORT_TIMEOUT };
            let body = frame(&request(batch.drain(..)));
            match tokio::time::timeout(timeout, self.export(body)).await.unwrap_or(Err(Error::Late)) {
                Ok(()) => self.is_there(),
                Err(error) => self.is_gone(spans, &error),
            }
        }
    }

    fn is_there(&mut self) {
        if std::mem::take(&mut self.is_away) {
            tracing::info!(lost = self.lost.get(), "the trace collector takes spans again");
        }
    }

    fn is_gone(&mut self, spans: u64, error: &Error) {
        self.connection = None;
        self.lost.add(spans);
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(%error, endpoint = %self.endpoint, "the trace collector takes no spans; they are left out until it does");
        }
    }

    async fn export(&mut self, body: Bytes) -> Result<(), Error> {
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => connect(&self.endpoint).await?,
        };
        let uri = format!("{}{EXPORT}", self.endpoint.to_string().trim_end_matches('/'));
        let request = Request::post(uri).header(CONTENT_TYPE, "application/grpc").header(TE, "trailers");
        let reply = connection.send_request(request.body(Full::new(body))?).await?;
        if reply.status() != StatusCode::OK {
            return Err(Error::Status(reply.status()));
        }
        // A reply without a message has its trailers in its head.
        let (head, body) = reply.into_parts();
        let trailers = body.collect().await?.trailers().cloned().unwrap_or(head.headers);
        self.connection = Some(connection);
        match trailers.get("grpc-status").and_then(|status| status.to_str().ok()) {
            None | Some("0") => Ok(()),
            Some(status) => Err(Error::Grpc(status.to_owned())),
        }
    }
}

async fn connect(endpoint: &Uri) -> Result<http2::SendRequest<Full<Bytes>>, Error> {
    let host = endpoint.host().ok_or(Error::NoHost)?.trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, endpoint.port_u16().unwrap_or(80))).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the trace collector broke");
        }
    });
    Ok(sender)
}

/// One uncompressed message (gRPC over HTTP/2: Length-Prefixed-Message).
fn frame(request: &ExportTraceServiceRequest) -> Bytes {
    let length = request.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.put_slice(&request.encode_to_vec());
    frame.freeze()
}

fn request(spans: impl Iterator<Item = Span>) -> ExportTraceServiceRequest {
    let service =
        [text("service.name", "decnet-webhook"), text("service.version", env!("CARGO_PKG_VERSION"))];
    let scope = InstrumentationScope { name: "decnet".into(), ..InstrumentationScope::default() };
    let scope_spans =
        ScopeSpans { scope: Some(scope), spans: spans.map(message).collect(), ..ScopeSpans::default() };
    let resource = Resource { attributes: service.into(), ..Resource::default() };
    let spans = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![spans] }
}

fn message(span: Span) -> Message {
    let mut attributes =
        vec![text("messaging.message.id", &span.event_id), text("messaging.destination.name", &span.topic)];
    let (name, kind, status) = match span.kind {
        SpanKind::Admission => (format!("admit {}", span.topic), Kind::Producer, SpanStatus::Unset),
        SpanKind::Attempt { subscription, number, status, outcome, detail } => {
            attributes.push(text("decnet.subscription", &subscription));
            attributes.push(number_of("decnet.attempt", number.into()));
            attributes.push(text("decnet.outcome", outcome));
            attributes.extend(status.map(|status| number_of("http.response.status_code", status.into())));
            attributes.extend(detail.map(|detail| text("error.message", &detail)));
            let status = if outcome == "delivered" { SpanStatus::Unset } else { SpanStatus::Error };
            (format!("deliver {subscription}"), Kind::Client, status)
        }
    };
    Message {
        trace_id: span.trace.to_bytes().into(),
        span_id: span.id.to_bytes().into(),
        parent_span_id: span.parent.map(|parent| parent.to_bytes().into()).unwrap_or_default(),
        flags: SAMPLED,
        name,
        kind: kind.into(),
        start_time_unix_nano: nanos(span.started_at),
        end_time_unix_nano: nanos(span.started_at.after(span.duration)),
        attributes,
        status: Some(Status { message: String::new(), code: status.into() }),
        ..Message::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number_of(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn nanos(at: UnixMicros) -> u64 {
    Duration::from_micros(at.0.max(0).unsigned_abs()).as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use decnet_core::trace::{attempt_span, root_span, trace_id};
    use hyper::Response;
    use hyper::body::Incoming;
    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;
    use tokio::net::TcpListener;

    use super::*;

    /// A collector for one connection: the requests that it got.
    async fn collect(listener: TcpListener, seen: mpsc::Sender<ExportTraceServiceRequest>) {
        let (stream, _) = listener.accept().await.unwrap();
        let take = |request: Request<Incoming>| {
            let seen = seen.clone();
            async move {
                assert_eq!(
                    (request.uri().path(), &request.headers()[CONTENT_TYPE]),
                    (EXPORT, &"application/grpc".parse().unwrap())
                );
                let body = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(
                    (body[0], usize::try_from(u32::from_be_bytes(body[1..5].try_into().unwrap())).unwrap()),
                    (0, body.len() - 5)
                );
                seen.send(ExportTraceServiceRequest::decode(&body[5..]).unwrap()).await.unwrap();
                let reply = Response::builder().header("grpc-status", "0").body(Full::new(Bytes::new()));
                Ok::<_, Infallible>(reply.unwrap())
            }
        };
        let serving = server::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(take));
        // It ends with its client.
        drop(serving.await);
    }

    #[tokio::test]
    async fn a_collector_gets_each_attempt_in_its_events_trace() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (seen, mut requests) = mpsc::channel(4);
        let collecting = tokio::spawn(collect(listener, seen));
        let (tracer, thread) = Tracer::start(endpoint).unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        let kind = SpanKind::Attempt {
            subscription: "siem".into(),
            number: 2,
            status: Some(503),
            outcome: "server_error",
            detail: Some("HTTP 503".into()),
        };
        tracer.take(Span {
            trace: trace_id(id),
            id: attempt_span(id, "uuid", 2),
            parent: Some(root_span(id)),
            started_at: UnixMicros(1_000_000),
            duration: Duration::from_millis(5),
            event_id: id.into(),
            topic: "a.b".into(),
            kind,
        });
        let request = requests.recv().await.unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.trace_id, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes());
        assert_eq!(span.parent_span_id, root_span(id).to_bytes());
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 5_000_000);
        assert_eq!(span.status.as_ref().unwrap().code, i32::from(SpanStatus::Error));
        drop(tracer);
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
        drop(requests);
        collecting.abort();
    }

    #[test]
    fn without_a_collector_nothing_waits() {
        let (tracer, thread) = Tracer::start("http://127.0.0.1:1".parse().unwrap()).unwrap();
        let span = Span {
            trace: trace_id("e"),
            id: root_span("e"),
            parent: None,
            started_at: UnixMicros(0),
            duration: Duration::ZERO,
            event_id: "e".into(),
            topic: "t".into(),
            kind: SpanKind::Admission,
        };
        let lost = Arc::clone(&tracer.lost);
        (0..MAX_UNEXPORTED_SPANS * 2).for_each(|_| tracer.take(span.clone()));
        drop(tracer);
        thread.join().unwrap();
        assert!(lost.get() >= MAX_UNEXPORTED_SPANS as u64, "{}", lost.get());
    }
}
