//! Tests against a collector that speaks HTTP/2.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use decnet_core::limits::{FINAL_EXPORT_TIMEOUT, MAX_EXPORT_REPLY_BYTES, MAX_EXPORT_SPANS};
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_core::trace::{attempt_span, root_span, trace_id};
use decnet_dispatch::{SpanKind, Stats, Worker};
use decnet_runtime::clock;
use decnet_sender::EgressGuard;
use decnet_store::catalog::{Catalog, Create, NewSubscription};
use decnet_store::queue::{self, ExternalWriter, Queue, Submission};
use decnet_testkit::{Receiver, reply};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::exporter::{EXPORT_METRICS, EXPORT_SPANS};
use super::*;
use crate::traffic::Recorder;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// A request as received by a collector: its path and its message.
type Export = (String, Bytes);

/// The response of a collector.
type Answer = fn() -> Response<Full<Bytes>>;

fn taken() -> Response<Full<Bytes>> {
    Response::builder().header("grpc-status", "0").body(Full::default()).unwrap()
}

/// Serves one connection as a collector, and passes its requests on.
async fn collect(listener: TcpListener, requests: mpsc::Sender<Export>, answer: Answer) {
    let (stream, _) = listener.accept().await.unwrap();
    let take = |request: Request<Incoming>| {
        let requests = requests.clone();
        async move {
            assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc");
            let path = request.uri().path().to_owned();
            let mut body = request.into_body().collect().await.unwrap().to_bytes();
            let message = body.split_off(5);
            let length = u32::from_be_bytes(body[1..].try_into().unwrap());
            assert_eq!((body[0], usize::try_from(length).unwrap()), (0, message.len()));
            requests.send((path, message)).await.unwrap();
            Ok::<_, Infallible>(answer())
        }
    };
    let serving =
        server::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(take));
    // The task ends with its client.
    drop(serving.await);
}

/// The state of a worker that has made seven deliveries, and its queue.
struct Numbers {
    view: WorkerView,
    stats: Arc<Stats>,
    queue: Queue,
    dir: TempDir,
}

impl Numbers {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let queue = Queue::open(dir.path(), queue::Options::default()).unwrap();
        let stats = Arc::<Stats>::default();
        stats.delivered.add(7);
        stats.times.attempt.observe_time(Duration::from_millis(3));
        let view = WorkerView {
            stats: Arc::clone(&stats),
            queue: queue.stats(),
            health: queue.health(),
            data_dir: dir.path().to_owned(),
            max_bytes: 1 << 30,
            has_bus: false,
            started_at: UnixMicros(1_000_000),
            started: queue.clock().uptime(),
            clock: queue.clock().clone(),
            dropped_spans: Arc::default(),
            traffic: Arc::new(Mutex::new(Recorder::new(&stats, queue.clock()))),
        };
        Self { view, stats, queue, dir }
    }
}

/// A worker with an exporter.
struct Scene {
    tracer: Tracer,
    thread: RuntimeThread<()>,
    numbers: Numbers,
}

impl Scene {
    fn new(endpoint: &str) -> Self {
        let numbers = Numbers::new();
        let (tracer, thread) = Tracer::start(endpoint.parse().unwrap(), numbers.view.clone()).unwrap();
        Self { tracer, thread, numbers }
    }

    async fn collected(answer: Answer) -> (Self, mpsc::Receiver<Export>, JoinHandle<()>) {
        let (endpoint, requests, collecting) = collector(answer).await;
        (Self::new(&endpoint), requests, collecting)
    }

    async fn end(self) {
        let Self { tracer, thread, numbers } = self;
        tracer.end();
        drop(tracer);
        thread.join().await.unwrap();
        drop((numbers.queue, numbers.dir));
    }
}

/// Starts a collector. Returns its address and the received requests.
async fn collector(answer: Answer) -> (String, mpsc::Receiver<Export>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel(64);
    (endpoint, requests, tokio::spawn(collect(listener, sender, answer)))
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
        id: attempt_span(ID, "uuid", 0, 2),
        parent: Some(root_span(ID)),
        started_at: UnixMicros(1_000_000),
        duration: Duration::from_millis(5),
        event_id: ID.into(),
        topic: "a.b".into(),
        kind,
    }
}

#[tokio::test]
async fn each_attempt_is_a_span_of_its_events_trace() {
    let (scene, mut requests, collecting) = Scene::collected(taken).await;
    scene.tracer.record(attempt());
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
async fn otlp_and_prometheus_get_the_same_numbers() {
    let (scene, mut requests, collecting) = Scene::collected(taken).await;
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
async fn final_metrics_of_a_worker_are_exported() {
    let (scene, mut requests, collecting) = Scene::collected(taken).await;
    next(&mut requests, EXPORT_METRICS).await;
    scene.numbers.stats.delivered.add(1);
    scene.end().await;
    let last = next(&mut requests, EXPORT_METRICS).await;
    let last = ExportMetricsServiceRequest::decode(last).unwrap();
    assert_eq!(delivered(&last), Some(Number::AsDouble(8.0)));
    collecting.abort();
}

/// The final metrics are read before the subscriptions' counters are dropped.
#[tokio::test]
async fn final_metrics_of_each_subscription_are_exported() {
    let (endpoint, mut requests, collecting) = collector(taken).await;
    let (dir, receiver) = (TempDir::new().unwrap(), Receiver::start(reply(200)));
    subscribe(&dir, &receiver.url("/"));
    let queue = Queue::open(dir.path(), queue::Options::default()).unwrap();
    let stats = Arc::<Stats>::default();
    let view = WorkerView::new(Arc::clone(&stats), &queue, dir.path().into(), 1 << 30, false);
    let (tracer, exporter) = Tracer::start(endpoint.parse().unwrap(), view).unwrap();
    let worker = Worker {
        options: decnet_dispatch::Options {
            spans: Some(Arc::new(tracer)),
            sender: decnet_sender::Options {
                guard: EgressGuard::new(true, Vec::new()),
                ..decnet_sender::Options::default()
            },
            ..decnet_dispatch::Options::default()
        },
        queue,
        catalog: Catalog::open(&dir.path().join("decnet.db"), Create::Never).unwrap(),
        source: None,
        stats: Arc::clone(&stats),
        nudge: Arc::default(),
    };
    submit(&dir);
    let shutdown = CancellationToken::new();
    let stop = async {
        while stats.delivered.get() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        shutdown.cancel();
    };
    let work = LocalSet::new();
    let (worked, ()) = tokio::join!(work.run_until(worker.run(shutdown.clone())), stop);
    worked.unwrap();
    exporter.join().await.unwrap();
    let mut last = None;
    while let Ok((path, message)) = requests.try_recv() {
        last = Some(message).filter(|_| path == EXPORT_METRICS).or(last);
    }
    let last = ExportMetricsServiceRequest::decode(last.unwrap()).unwrap();
    let delivered = &metric(&last, "decnet_webhook_subscription_delivered").data;
    let Some(Data::Sum(delivered)) = delivered else { panic!("{delivered:?}") };
    assert_eq!(delivered.data_points[0].value, Some(Number::AsDouble(1.0)));
    let states = &metric(&last, "decnet_webhook_subscription_state").data;
    let Some(Data::Gauge(states)) = states else { panic!("{states:?}") };
    assert_eq!(states.data_points[0].value, Some(Number::AsDouble(1.0)), "it is still open");
    collecting.abort();
}

fn subscribe(dir: &TempDir, url: &str) {
    let mut catalog = Catalog::open(&dir.path().join("decnet.db"), Create::IfMissing).unwrap();
    let new = NewSubscription {
        name: "siem".into(),
        url: EndpointUrl::new(url).unwrap(),
        secret: Secret::new("a secret of the tests"),
        patterns: vec![Pattern::new(">").unwrap()],
        enabled: true,
        settings: Settings::default(),
    };
    catalog.create(&new, clock::now()).unwrap();
}

fn submit(dir: &TempDir) {
    let payload = "{}".into();
    let event = Submission { id: None, topic: "a.b".into(), kind: "test".into(), at: None, payload };
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    writer.submit_all(&[(&[event], None)], clock::now()).unwrap()[0].as_ref().unwrap();
}

#[tokio::test]
async fn spans_do_not_wait_for_a_missing_collector() {
    let numbers = Numbers::new();
    let (tracer, exporter) = Tracer::new("http://127.0.0.1:1".parse().unwrap(), numbers.view.clone());
    (0..MAX_UNEXPORTED_SPANS + 7).for_each(|_| tracer.record(attempt()));
    assert_eq!(numbers.view.dropped_spans.buffer_full.get(), 7);
    tracer.end();
    drop(tracer);
    exporter.run().await;
    assert!(numbers.view.dropped_spans.not_accepted.get() >= MAX_EXPORT_SPANS as u64);
}

#[tokio::test]
async fn an_unresponsive_collector_does_not_delay_the_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let numbers = Numbers::new();
    let (tracer, mut exporter) = Tracer::new(endpoint, numbers.view.clone());
    exporter.timeout = FINAL_EXPORT_TIMEOUT * 3600;
    let exporting = tokio::spawn(exporter.run());
    let silent = listener.accept().await.unwrap();
    tracer.end();
    drop(tracer);
    exporting.await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn a_full_export_is_sent_at_once() {
    let (endpoint, mut requests, collecting) = collector(taken).await;
    let numbers = Numbers::new();
    let (tracer, mut exporter) = Tracer::new(endpoint.parse().unwrap(), numbers.view.clone());
    exporter.interval = Duration::from_secs(3600);
    (0..2 * MAX_EXPORT_SPANS).for_each(|_| tracer.record(attempt()));
    let exporting = tokio::spawn(exporter.run());
    for _ in 0..2 {
        let request = ExportTraceServiceRequest::decode(next(&mut requests, EXPORT_SPANS).await).unwrap();
        assert_eq!(request.resource_spans[0].scope_spans[0].spans.len(), MAX_EXPORT_SPANS);
    }
    exporting.abort();
    collecting.abort();
}

/// Returns how many of three spans count as not exported with this response.
async fn not_accepted(answer: Answer) -> u64 {
    let (endpoint, _requests, collecting) = collector(answer).await;
    let numbers = Numbers::new();
    let (tracer, exporter) = Tracer::new(endpoint.parse().unwrap(), numbers.view.clone());
    (0..3).for_each(|_| tracer.record(attempt()));
    tracer.end();
    drop(tracer);
    exporter.run().await;
    collecting.abort();
    numbers.view.dropped_spans.not_accepted.get()
}

#[tokio::test]
async fn spans_not_accepted_are_counted_as_dropped() {
    assert_eq!(not_accepted(taken).await, 0);
    assert_eq!(
        not_accepted(|| Response::new(Full::default())).await,
        3,
        "a missing gRPC status is a failure"
    );
    let exhausted = || Response::builder().header("grpc-status", "8").body(Full::default()).unwrap();
    assert_eq!(not_accepted(exhausted).await, 3);
    let endless = || {
        let mut reply = taken();
        *reply.body_mut() = Full::new(vec![0; MAX_EXPORT_REPLY_BYTES + 1].into());
        reply
    };
    assert_eq!(not_accepted(endless).await, 3);
    assert_eq!(not_accepted(partly).await, 2);
}

/// Returns a response that rejects two spans.
fn partly() -> Response<Full<Bytes>> {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "no".into() };
    let message = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let prefix = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
    let mut reply = taken();
    *reply.body_mut() = Full::new([prefix, message].concat().into());
    reply
}
