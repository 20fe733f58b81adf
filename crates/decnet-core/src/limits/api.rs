//! Bounds of the HTTP API.

use std::time::Duration;

use super::{MAX_BODY_BYTES, MAX_CATALOG_VALUE_BYTES, MAX_SUBMISSION_EVENTS};

/// Connections to the API at once.
pub const MAX_API_CONNECTIONS: usize = 512;
/// Connections whose last request showed a good credential, of [`MAX_API_CONNECTIONS`]: up to this number they are evicted
/// only if no other connection can be. The rest is for new clients, which have shown nothing yet.
pub const MAX_API_PROVEN_CONNECTIONS: usize = MAX_API_CONNECTIONS / 8 * 7;
/// How long the head of a request may take to come, and a connection may wait for its next request.
pub const API_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take from its head to its answer, its body included. A client that has gone meanwhile holds its
/// connection no longer than this: it cannot be told from one that has closed its own side only and waits for the answer.
pub const API_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// What requests under way get when the API stops.
pub const API_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Request line and headers of a request, in bytes.
pub const MAX_API_HEAD_BYTES: usize = 64 * 1024;
/// Headers of a request.
pub const MAX_API_HEADERS: usize = 100;
/// Body of a request to a route that says nothing else, in bytes; patterns are what is large in it.
pub const MAX_API_BODY_BYTES: usize = 2 * 1024 * 1024;
/// Requests that read or write the catalog at once; others wait for them.
pub const MAX_API_CATALOG_READERS: usize = 4;
/// Credentials that are looked up at once; others wait for them.
pub const MAX_API_CREDENTIAL_READERS: usize = 2;
/// The same of all addresses that have shown [`MAX_FAILED_ACCESS`](super::MAX_FAILED_ACCESS) wrong ones: they wait for each
/// other, and not in the way of those above.
pub const MAX_API_SUSPECT_READERS: usize = 1;
/// Requests that read the queue at once; others wait for them.
pub const MAX_API_QUEUE_READERS: usize = 4;
/// Requests that write to the queue at once; others wait for them.
pub const MAX_API_QUEUE_WRITERS: usize = 2;
/// How long an explanation looks for its event: ids have no index. One is looked for at a time, and others wait for it.
pub const API_EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Explanations that look for an event or wait for their turn, each of another token or user; further ones are refused.
pub const MAX_API_EXPLANATIONS: usize = 4;
/// Body of a request with events, in bytes.
pub const MAX_API_EVENTS_BYTES: usize = 8 * 1024 * 1024;
/// Such bodies in memory at once, in bytes: as far as they have come, or waiting for their commit; beyond them more is
/// refused.
pub const MAX_API_SUBMITTING_BYTES: usize = 64 * 1024 * 1024;
/// The same of one token or user.
pub const MAX_API_SENDER_BYTES: usize = MAX_API_SUBMITTING_BYTES / 2;
/// Events of several requests that go into one commit.
pub const MAX_API_COMMIT_EVENTS: usize = 4096;
/// How long the API counts as not ready after events could not be written.
pub const API_TROUBLE_MEMORY: Duration = Duration::from_secs(10);
/// Bodies that may hold the code of the setup link, waited for at once: nobody has shown yet who they are.
pub const MAX_SETUP_BODIES: usize = 4;
/// How long such a body, of a few bytes, may take to come.
pub const SETUP_BODY_TIMEOUT: Duration = Duration::from_secs(3);
/// Least time between two lines in the log about failures of the same kind that requests met.
pub const API_FAILURE_INTERVAL: Duration = Duration::from_secs(10);
/// How long an answer that many ask for alike is given again: whether the API is ready, which subscriptions get events.
pub const API_ANSWER_AGE: Duration = Duration::from_secs(1);
/// Rows of a page.
pub const MAX_API_PAGE: usize = 1000;
/// Erasures under way at once, each on a thread of its own.
pub const MAX_API_ERASURES: usize = 2;
/// Redeliveries under way at once: each may hold `MAX_REDELIVERY` deliveries in memory.
pub const MAX_API_REDELIVERIES: usize = 8;
/// Redeliveries, and erasures, that are remembered at once, those that run among them.
pub const MAX_API_JOBS: usize = 32;
/// Deliveries that one redelivery names by their ids.
pub const MAX_API_REDELIVERY_IDS: usize = 10_000;
/// How long a job waits for what stands in its way, before it tries again.
pub const API_JOB_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Tests of subscriptions that the API sends at once; others wait for them.
pub const MAX_API_TESTS: usize = 8;
/// What such a test gets, with its wait for a turn, whatever its subscription's timeout is.
pub const API_TEST_TIMEOUT: Duration = Duration::from_secs(25);
/// Subscriptions that one address makes in a minute through DECNET's routes, as there.
pub const MAX_API_CREATIONS_PER_MINUTE: u32 = 20;

// What hyper asks of its buffer, and what a subscription with all the patterns that it may have takes.
const _: () = assert!(MAX_API_HEAD_BYTES >= 8192 && MAX_API_BODY_BYTES >= MAX_CATALOG_VALUE_BYTES);
const _: () = assert!(MAX_API_EVENTS_BYTES <= MAX_API_SENDER_BYTES && MAX_BODY_BYTES <= MAX_API_EVENTS_BYTES);
const _: () = assert!(MAX_API_SENDER_BYTES < MAX_API_SUBMITTING_BYTES);
const _: () = assert!(MAX_API_PROVEN_CONNECTIONS < MAX_API_CONNECTIONS);
// Whoever is not refused hears an answer, though all before them take their whole time.
const _: () =
    assert!(MAX_API_EXPLANATIONS as u64 * API_EXPLAIN_TIMEOUT.as_secs() < API_REQUEST_TIMEOUT.as_secs());
const _: () = assert!(MAX_API_REDELIVERIES < MAX_API_JOBS && MAX_API_ERASURES < MAX_API_JOBS);
const _: () = assert!(MAX_SUBMISSION_EVENTS <= MAX_API_COMMIT_EVENTS);
// The answer of a test is there before its request is given up.
const _: () = assert!(API_TEST_TIMEOUT.as_secs() < API_REQUEST_TIMEOUT.as_secs());
