//! Bounds of the HTTP API.

use std::time::Duration;

use super::{MAX_BODY_BYTES, MAX_CATALOG_VALUE_BYTES, MAX_SUBMISSION_EVENTS};

/// Maximum number of connections to the API.
pub const MAX_API_CONNECTIONS: usize = 512;
/// Part of [`MAX_API_CONNECTIONS`] for connections whose last request had a valid credential. Up to this number they are
/// evicted only if no other connection can be evicted. The rest is for new clients, which have not sent a credential yet.
pub const MAX_API_PROVEN_CONNECTIONS: usize = MAX_API_CONNECTIONS / 8 * 7;
/// Maximum time for a request's head to arrive, and for a connection to be idle between requests.
pub const API_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time from the head of a request to its response, including the body. A client that has disconnected occupies its
/// connection no longer than this: it looks like a client that has only closed its own side and waits for the response.
pub const API_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for requests in progress to finish when the API stops.
pub const API_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Maximum size of a request line and its headers, in bytes.
pub const MAX_API_HEAD_BYTES: usize = 64 * 1024;
/// Maximum number of headers in a request.
pub const MAX_API_HEADERS: usize = 100;
/// Maximum size of a request body, in bytes, where a route has no limit of its own. Patterns are the largest part of it.
pub const MAX_API_BODY_BYTES: usize = 2 * 1024 * 1024;
/// Maximum number of concurrent requests that read or write the catalog; others wait.
pub const MAX_API_CATALOG_READERS: usize = 4;
/// Maximum number of concurrent credential lookups; others wait.
pub const MAX_API_CREDENTIAL_READERS: usize = 2;
/// Maximum number of concurrent credential lookups for addresses that have sent
/// [`MAX_AUTH_FAILURES`](super::MAX_AUTH_FAILURES) wrong credentials. These lookups wait for each other and do not delay other
/// lookups.
pub const MAX_API_SUSPECT_READERS: usize = 1;
/// Maximum number of concurrent requests that read the queue; others wait.
pub const MAX_API_QUEUE_READERS: usize = 4;
/// Maximum number of concurrent requests that write to the queue; others wait.
pub const MAX_API_QUEUE_WRITERS: usize = 2;
/// Maximum time for which an explanation searches for its event: ids have no index. Searches run one at a time; the others wait.
pub const API_EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of explanations that search or wait, each for a different token or user; further requests are rejected.
pub const MAX_API_EXPLANATIONS: usize = 4;
/// Maximum size of a request body with events, in bytes.
pub const MAX_API_EVENTS_BYTES: usize = 8 * 1024 * 1024;
/// Maximum memory for request bodies with events, in bytes, while they arrive and wait for their commit; beyond it requests are
/// rejected.
pub const MAX_API_SUBMISSION_BYTES: usize = 64 * 1024 * 1024;
/// Part of [`MAX_API_SUBMISSION_BYTES`] that one token or user may use.
pub const MAX_API_CLIENT_SUBMISSION_BYTES: usize = MAX_API_SUBMISSION_BYTES / 2;
/// Maximum number of events, from several requests, in one group commit.
pub const MAX_API_COMMIT_EVENTS: usize = 4096;
/// Time for which the API reports itself as not ready after a failed write of events.
pub const API_NOT_READY_TIME: Duration = Duration::from_secs(10);
/// Maximum number of bodies that may contain the code of the setup link and are still arriving. Their senders are not
/// authenticated.
pub const MAX_SETUP_BODIES: usize = 4;
/// Maximum time for a body with the code of the setup link, which has a few bytes, to arrive.
pub const SETUP_BODY_TIMEOUT: Duration = Duration::from_secs(3);
/// Minimum time between two log messages about failed requests of the same kind.
pub const API_FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Time for which a response that is the same for all clients is reused: readiness, and the set of active subscriptions.
pub const API_CACHE_TTL: Duration = Duration::from_secs(1);
/// Maximum number of rows in a page.
pub const MAX_API_PAGE_ROWS: usize = 1000;
/// Maximum number of concurrent erasures; each has a thread of its own.
pub const MAX_API_ERASURES: usize = 2;
/// Maximum number of concurrent redeliveries; each may hold `MAX_REDELIVERY_DELIVERIES` deliveries in memory.
pub const MAX_API_REDELIVERIES: usize = 8;
/// Maximum number of redeliveries, and of erasures, that are kept in memory, including those that run.
pub const MAX_API_JOBS: usize = 32;
/// Maximum number of delivery ids in one redelivery request.
pub const MAX_API_REDELIVERY_IDS: usize = 10_000;
/// Time between two attempts of a job to acquire a busy resource.
pub const API_JOB_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of concurrent test deliveries that the API sends; others wait.
pub const MAX_API_TESTS: usize = 8;
/// Maximum duration of a test delivery, including its wait for a slot, regardless of the timeout of its subscription.
pub const API_TEST_TIMEOUT: Duration = Duration::from_secs(25);
/// Maximum number of stored events for which a preview shows the request.
pub const MAX_PREVIEW_EVENTS: u32 = 20;
/// Maximum size of the events of a preview together, in bytes; older events are left out.
pub const MAX_PREVIEW_BYTES: usize = 4 * 1024 * 1024;
/// Maximum size of one body in a preview, and of one body in the result of a test, in bytes. The rest is counted.
pub const MAX_SHOWN_BODY_BYTES: usize = 64 * 1024;
/// Time after which a preview evaluates no further event.
pub const PREVIEW_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of concurrent previews; others wait.
pub const MAX_API_PREVIEWS: usize = 2;
/// Maximum number of subscriptions per minute that one address creates through DECNET's routes, as in DECNET.
pub const MAX_API_CREATIONS_PER_MINUTE: u32 = 20;

// Required by hyper for its buffer, and by a subscription with as many patterns as it may have.
/// Maximum number of sessions of the dashboard.
pub const MAX_DASHBOARD_SESSIONS: usize = 256;
/// Part of [`MAX_DASHBOARD_SESSIONS`] that one token or user may use. Beyond it, the session that was used least recently ends.
pub const MAX_DASHBOARD_PRINCIPAL_SESSIONS: usize = 16;
/// Time after which a session of the dashboard ends.
pub const DASHBOARD_SESSION_TTL: Duration = Duration::from_secs(12 * 60 * 60);
/// Time without a request after which a session of the dashboard ends. An open page sends requests by itself.
pub const DASHBOARD_SESSION_IDLE: Duration = Duration::from_secs(60 * 60);
/// Maximum size of a form of the dashboard, in bytes.
/// The largest form has two certificates and a template.
pub const MAX_DASHBOARD_FORM_BYTES: usize = 256 * 1024;
/// Maximum size of the API's response that a page of the dashboard shows, in bytes: a delivery with all of its attempts.
pub const MAX_DASHBOARD_READ_BYTES: usize = 16 * 1024 * 1024;
/// Number of rows on a page of the dashboard.
pub const DASHBOARD_PAGE_ROWS: usize = 50;
/// Maximum number of names of subscriptions that a form of the dashboard suggests.
pub const MAX_DASHBOARD_SUGGESTIONS: usize = 50;
/// Minimum time for which the dashboard shows the same counts of deliveries.
pub const DASHBOARD_COUNT_TTL: Duration = Duration::from_secs(1);
/// Part of one processor, as a divisor, that counting deliveries for the dashboard may use: counts that took long to
/// compute are shown for this many times as long.
pub const DASHBOARD_COUNT_SHARE: u32 = 100;
/// Time for which the dashboard shows the same activity of subscriptions.
pub const DASHBOARD_ACTIVITY_TTL: Duration = Duration::from_secs(10);
/// Time between two refreshes of an open page.
pub const DASHBOARD_LIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum number of pages that are refreshed over streams; further pages poll. A stream occupies a connection.
pub const MAX_DASHBOARD_STREAMS: usize = MAX_API_CONNECTIONS / 2;
/// Part of [`MAX_DASHBOARD_STREAMS`] that one session may use: a browser opens at most six connections to a server over HTTP/1.1,
/// and two remain for everything else. Beyond it, the page whose stream is the oldest polls.
pub const MAX_DASHBOARD_SESSION_STREAMS: usize = 4;
/// Maximum time for which a client may leave a refreshed page unread; then its connection is closed.
pub const DASHBOARD_STREAM_TIMEOUT: Duration = Duration::from_secs(10);

const _: () = assert!(MAX_API_HEAD_BYTES >= 8192 && MAX_API_BODY_BYTES >= MAX_CATALOG_VALUE_BYTES);
const _: () = assert!(
    MAX_API_EVENTS_BYTES <= MAX_API_CLIENT_SUBMISSION_BYTES && MAX_BODY_BYTES <= MAX_API_EVENTS_BYTES
);
const _: () = assert!(MAX_API_CLIENT_SUBMISSION_BYTES < MAX_API_SUBMISSION_BYTES);
const _: () = assert!(MAX_API_PROVEN_CONNECTIONS < MAX_API_CONNECTIONS);
// The last request in the queue gets its response even if each search before it takes its maximum time.
const _: () =
    assert!(MAX_API_EXPLANATIONS as u64 * API_EXPLAIN_TIMEOUT.as_secs() < API_REQUEST_TIMEOUT.as_secs());
const _: () = assert!(MAX_DASHBOARD_READ_BYTES >= 4 * MAX_PREVIEW_EVENTS as usize * MAX_SHOWN_BODY_BYTES);
const _: () = assert!(MAX_DASHBOARD_PRINCIPAL_SESSIONS < MAX_DASHBOARD_SESSIONS);
const _: () =
    assert!(MAX_DASHBOARD_SESSION_STREAMS < 6 && MAX_DASHBOARD_SESSION_STREAMS < MAX_DASHBOARD_STREAMS);
const _: () = assert!(DASHBOARD_PAGE_ROWS <= MAX_API_PAGE_ROWS);
const _: () = assert!(MAX_API_REDELIVERIES < MAX_API_JOBS && MAX_API_ERASURES < MAX_API_JOBS);
const _: () = assert!(MAX_SUBMISSION_EVENTS <= MAX_API_COMMIT_EVENTS);
// A test ends before its request times out.
const _: () = assert!(API_TEST_TIMEOUT.as_secs() < API_REQUEST_TIMEOUT.as_secs());
/// Maximum number of topics in the list of recent topics.
pub const MAX_LISTED_TOPICS: usize = 100;
/// Maximum size of the event that is the example of a topic, in bytes.
pub const MAX_TOPIC_EXAMPLE_BYTES: u32 = 8 * 1024;
