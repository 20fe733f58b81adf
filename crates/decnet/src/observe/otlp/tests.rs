//! Against a collector that speaks HTTP/2.

use std::convert::Infallible;

use bytes::Bytes;
use decnet_core::time::UnixMicros;
use decnet_core::trace::{attempt_span, root_span, trace_id};
use decnet_dispatch::{SpanKind, Stats};
use decnet_store::queue::{self, Queue};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// A request as a collector gets it: its path, and its message.
type Export = (String, Bytes);

/// A collector for one connection: the requests that it got.
async fn collect(listener: TcpListener, seen: mpsc::Sender<Export>) {
    let (stream, _) = listener.accept().await.unwrap();
    let take = |request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc");
            let path = request.uri().path().to_owned();
            let mut body = request.into_body().collect().await.unwrap().to_bytes();
            let message = body.split_off(5);
            let length = u32::from_be_bytes(body[1..].try_into().unwrap());
            assert_eq!((body[0], usize::try_from(length).unwrap()), (0, message.len()));
            seen.send((path, message)).await.unwrap();
            let reply = Response::builder().header("grpc-status", "0").body(Full::new(Bytes::new()));
            Ok::<_, Infallible>(reply.unwrap())
        }
    };
    let serving =
        server::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(take));
    // It ends with its client.
    drop(serving.await);
}

/// A worker that has delivered seven times, its queue, and an exporter for it.
struct Scene {
    tracer: Tracer,
    thread: Background<()>,
    stats: Arc<Stats>,
    queue: Queue,
    dir: TempDir,
}

impl Scene {
    fn new(endpoint: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let queue = Queue::open(dir.path(), queue::Options::default()).unwrap();
        let stats = Arc::<Stats>::default();
        stats.delivered.add(7);
        stats.attempt_time.observe_time(Duration::from_millis(3));
        let seen = Seen {
            stats: Arc::clone(&stats),
            queue: queue.stats(),
            health: queue.health(),
            data_dir: dir.path().to_owned(),
            max_bytes: 1 << 30,
            has_bus: false,
            started_at: UnixMicros(1_000_000),
        };
        let (tracer, thread) = Tracer::start(endpoint.parse().unwrap(), seen).unwrap();
        Self { tracer, thread, stats, queue, dir }
    }

    async fn collected() -> (Self, mpsc::Receiver<Export>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (seen, requests) = mpsc::channel(16);
        let collecting = tokio::spawn(collect(listener, seen));
        (Self::new(&endpoint), requests, collecting)
    }

    async fn end(self) {
        let Self { tracer, thread, queue, dir, .. } = self;
        drop(tracer);
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
        drop((queue, dir));
    }
}

async fn next(requests: &mut mpsc::Receiver<Export>, path: &str) -> Bytes {
    loop {
        let (found, message) = requests.recv().await.unwrap();
        if found == path {
            return message;
        }
    }
}

fn metric<'a>(request: &'a ExportMetricsServiceRequest, name: &str) -> &'a Metric {
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    metrics.iter().find(|metric| metric.name == name).unwrap()
}

fn delivered(request: &ExportMetricsServiceRequest) -> Option<Number> {
    let Some(Data::Sum(sum)) = &metric(request, "decnet_webhook_deliveries_delivered").data else { panic!() };
    assert_eq!(sum.aggregation_temporality, i32::from(AggregationTemporality::Cumulative));
    assert!(sum.is_monotonic);
    assert_eq!(sum.data_points[0].start_time_unix_nano, 1_000_000_000);
    sum.data_points[0].value
}

fn attempt() -> Span {
    let kind = SpanKind::Attempt {
        subscription: "siem".into(),
        number: 2,
        status: Some(503),
        outcome: "server_error",
        detail: Some("HTTP 503".into()),
    };
    Span {
        trace: trace_id(ID),
        id: attempt_span(ID, "uuid", 2),
        parent: Some(root_span(ID)),
        started_at: UnixMicros(1_000_000),
        duration: Duration::from_millis(5),
        event_id: ID.into(),
        topic: "a.b".into(),
        kind,
    }
}

#[tokio::test]
async fn a_collector_gets_each_attempt_in_its_events_trace() {
    let (scene, mut requests, collecting) = Scene::collected().await;
    scene.tracer.take(attempt());
    let message = next(&mut requests, EXPORT_SPANS).await;
    let request = ExportTraceServiceRequest::decode(message).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.trace_id, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes());
    assert_eq!(span.parent_span_id, root_span(ID).to_bytes());
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 5_000_000);
    assert_eq!(span.status.as_ref().unwrap().code, i32::from(SpanStatus::Error));
    scene.end().await;
    collecting.abort();
}

#[tokio::test]
async fn a_collector_gets_the_numbers_that_prometheus_reads() {
    let (scene, mut requests, collecting) = Scene::collected().await;
    let request = next(&mut requests, EXPORT_METRICS).await;
    let request = ExportMetricsServiceRequest::decode(request).unwrap();
    assert_eq!(delivered(&request), Some(Number::AsDouble(7.0)));
    let duration = metric(&request, "decnet_webhook_attempt_duration");
    let Some(Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
    let point = &histogram.data_points[0];
    assert_eq!((duration.unit.as_str(), point.count, point.sum), ("s", 1, Some(3000.0 * 1e-6)));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    let bucket = point.bucket_counts.iter().position(|count| *count == 1).unwrap();
    assert!(point.explicit_bounds[bucket] >= 0.003 && point.explicit_bounds.is_sorted(), "{point:?}");
    let Some(Data::Gauge(up)) = &metric(&request, "decnet_webhook_up").data else { panic!() };
    assert_eq!(up.data_points[0].value, Some(Number::AsDouble(1.0)));
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    let keys: Vec<&str> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["service.name", "service.version", "service.instance.id", "host.name"]);
    scene.end().await;
    collecting.abort();
}

#[tokio::test]
async fn the_last_numbers_of_a_worker_are_exported_at_its_end() {
    let (scene, mut requests, collecting) = Scene::collected().await;
    next(&mut requests, EXPORT_METRICS).await;
    scene.stats.delivered.add(1);
    scene.end().await;
    let last = next(&mut requests, EXPORT_METRICS).await;
    let last = ExportMetricsServiceRequest::decode(last).unwrap();
    assert_eq!(delivered(&last), Some(Number::AsDouble(8.0)));
    collecting.abort();
}

#[test]
fn without_a_collector_nothing_waits() {
    let Scene { tracer, thread, .. } = Scene::new("http://127.0.0.1:1");
    let lost = Arc::clone(&tracer.lost);
    (0..MAX_UNEXPORTED_SPANS * 2).for_each(|_| tracer.take(attempt()));
    drop(tracer);
    thread.join().unwrap();
    assert!(lost.get() >= MAX_UNEXPORTED_SPANS as u64, "{}", lost.get());
}
