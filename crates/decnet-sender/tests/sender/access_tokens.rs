//! Access tokens of authorization servers, and the other credentials in `authorization`.

use std::time::Duration;

use decnet_core::delivery::{Outcome, Reason};
use decnet_core::limits::{TOKEN_EXPIRY_MARGIN, TOKEN_RETRY_DELAY};
use decnet_runtime::clock::Clock;
use decnet_sender::{EgressGuard, Options, Sender, Target};
use decnet_testkit::{Receiver, Script, reply};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    LONG, SHORT, assert_failed, assert_status, hasty_sender, options, run, send, sender, stored, target_of,
};

const EXPIRES_IN: u32 = 3600;

fn granted(number: usize, expires_in: u32) -> Script {
    let token = |number: usize| json!({"access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": expires_in});
    Script::steps((1..=number).map(|number| reply(200).body(token(number).to_string()).into()))
}

fn target_with(receiver: &Receiver, token_url: &str) -> Target {
    let auth = json!({
        "type": "oauth2", "token_url": token_url, "client_id": "soc", "client_secret": "hunter2", "scope": "in",
    });
    target_of(&stored(&receiver.url("/in"), &json!({ "auth": auth }).to_string()))
}

fn authorizations(receiver: &Receiver) -> Vec<String> {
    receiver.requests().iter().map(|request| request.header("authorization").to_owned()).collect()
}

#[test]
fn concurrent_attempts_share_one_token() {
    let (receiver, server) = (Receiver::start(reply(200)), Receiver::start(granted(1, EXPIRES_IN)));
    let target = target_with(&receiver, &server.url("/token"));
    run(async {
        let sender = sender();
        let all = join_all((0..10).map(|_| send(&sender, &target))).await;
        all.iter().for_each(|attempted| assert_status(attempted, 200));
        assert_status(&send(&sender, &target_with(&receiver, &server.url("/token"))).await, 200);
    });
    assert_eq!(authorizations(&receiver), vec!["Bearer token-1"; 11]);
    let request = server.requests().remove(0);
    assert_eq!((server.count(), request.header("authorization")), (1, "Basic c29jOmh1bnRlcjI="));
    assert_eq!(
        (request.path.as_str(), &*request.body),
        ("/token", &b"grant_type=client_credentials&scope=in"[..])
    );
}

#[test]
fn token_is_sent_over_http2() {
    let receiver = Receiver::builder().tls(&["127.0.0.1"]).start();
    let server = Receiver::start(granted(1, EXPIRES_IN));
    let sender = crate::support::sender_trusting(&receiver);
    let attempted = run(async { send(&sender, &target_with(&receiver, &server.url("/"))).await });
    assert_status(&attempted, 200);
    assert_eq!(
        (authorizations(&receiver), receiver.requests()[0].http2),
        (vec!["Bearer token-1".to_owned()], true)
    );
}

#[test]
fn rejected_token_is_replaced_once_per_attempt() {
    let statuses = [401, 200, 401, 401].map(|status| reply(status).into());
    let (receiver, server) =
        (Receiver::start(Script::steps(statuses)), Receiver::start(granted(3, EXPIRES_IN)));
    let target = target_with(&receiver, &server.url("/"));
    run(async {
        let sender = sender();
        assert_status(&send(&sender, &target).await, 200);
        assert_status(&send(&sender, &target).await, 401);
    });
    let expected = ["Bearer token-1", "Bearer token-2", "Bearer token-2", "Bearer token-3"];
    assert_eq!(authorizations(&receiver), expected);
}

#[test]
fn rejected_token_that_cannot_be_replaced_is_not_final() {
    let token = reply(200).body(r#"{"access_token":"revoked","token_type":"bearer"}"#);
    let server = Receiver::start(Script::steps([token.into(), reply(503).into()]));
    let receiver = Receiver::start(reply(401).body("revoked"));
    let attempted = run(async { send(&sender(), &target_with(&receiver, &server.url("/"))).await });
    assert_failed(&attempted, Reason::ServerError, "the token endpoint http://127.0.0.1:");
    assert_eq!((receiver.count(), server.count(), attempted.reply.len()), (1, 2, 0));
}

#[test]
fn token_is_replaced_before_it_expires() {
    let (receiver, server) = (Receiver::start(reply(200)), Receiver::start(granted(2, EXPIRES_IN)));
    let (target, clock) = (target_with(&receiver, &server.url("/")), Clock::default());
    let sender = Sender::new(Options { clock: clock.clone(), ..options() });
    run(async {
        let lifetime = Duration::from_secs(u64::from(EXPIRES_IN));
        let most = lifetime - 2 * TOKEN_EXPIRY_MARGIN;
        for time in [Duration::ZERO, most, TOKEN_EXPIRY_MARGIN] {
            clock.sleep(time);
            assert_status(&send(&sender, &target).await, 200);
        }
    });
    assert_eq!(authorizations(&receiver), ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
}

#[test]
fn refused_client_is_reported_and_not_tried_again_at_once() {
    let denied = reply(401).body(r#"{"error":"invalid_client","error_description":"hunter2 is wrong"}"#);
    let (receiver, server) = (Receiver::start(reply(200)), Receiver::start(denied));
    let target = target_with(&receiver, &server.url("/"));
    run(async {
        let sender = sender();
        for _ in 0..3 {
            let attempted = send(&sender, &target).await;
            assert_failed(&attempted, Reason::Unauthorized, "HTTP 401 Unauthorized (invalid_client)");
            assert!(!format!("{attempted:?}").contains("hunter2"));
        }
    });
    assert_eq!((receiver.count(), server.count()), (0, 1));
}

#[test]
fn failed_token_endpoint_is_asked_again_later() {
    let script = Script::steps([reply(503).into(), reply(503).into()]);
    let (receiver, server) = (Receiver::start(reply(200)), Receiver::start(script));
    let (target, clock) = (target_with(&receiver, &server.url("/")), Clock::default());
    let sender = Sender::new(Options { clock: clock.clone(), ..options() });
    run(async {
        for (pause, requests) in
            [(Duration::ZERO, 1), (TOKEN_RETRY_DELAY, 2), (TOKEN_RETRY_DELAY, 2), (TOKEN_RETRY_DELAY, 3)]
        {
            clock.sleep(pause);
            let attempted = send(&sender, &target).await;
            assert!(matches!(attempted.outcome, Outcome::Failed(_)), "{attempted:?}");
            assert_eq!(server.count(), requests);
        }
    });
    assert_eq!(receiver.count(), 0);
}

#[test]
fn token_request_outlives_the_attempts_that_wait_for_it() {
    let slow = Script::steps([reply(200)
        .body(r#"{"access_token":"late","token_type":"bearer"}"#)
        .delay(2 * SHORT)
        .into()]);
    let (receiver, server) = (Receiver::start(reply(200)), Receiver::start(slow));
    let target = target_with(&receiver, &server.url("/"));
    run(async {
        let sender = hasty_sender();
        let mut attempted = send(&sender, &target).await;
        while attempted.outcome == Outcome::Failed(Reason::Timeout) {
            attempted = send(&sender, &target).await;
        }
        assert_status(&attempted, 200);
    });
    assert_eq!((authorizations(&receiver), server.count()), (vec!["Bearer late".to_owned()], 1));
}

#[test]
fn token_endpoint_is_subject_to_the_egress_guard() {
    let receiver = Receiver::start(reply(200));
    let guard = EgressGuard::new(false, vec!["127.0.0.0/8".parse().unwrap()]);
    let sender = Sender::new(Options { guard, ..options() });
    let attempted = run(async { send(&sender, &target_with(&receiver, "http://10.0.0.1/token")).await });
    assert_failed(&attempted, Reason::Forbidden, "the token endpoint http://10.0.0.1:80: ");
    assert_eq!(receiver.count(), 0);
}

#[test]
fn slow_token_endpoint_is_reported() {
    let (receiver, server) = (Receiver::start(reply(200)), Receiver::start(reply(200).delay(LONG)));
    let attempted = run(async { send(&hasty_sender(), &target_with(&receiver, &server.url("/"))).await });
    assert_failed(&attempted, Reason::Timeout, "no token from the token endpoint http://127.0.0.1:");
}

#[test]
fn oversized_token_reply_is_rejected() {
    let (receiver, server) =
        (Receiver::start(reply(200)), Receiver::start(reply(200).body(vec![b' '; 1 << 20])));
    let attempted = run(async { send(&sender(), &target_with(&receiver, &server.url("/"))).await });
    assert!(
        matches!(attempted.outcome, Outcome::Failed(Reason::Protocol | Reason::Disconnected)),
        "{attempted:?}"
    );
    assert_eq!(receiver.count(), 0);
}

#[test]
fn basic_and_bearer_credentials_are_sent() {
    let receiver = Receiver::start(reply(200));
    let basic = json!({"auth": {"type": "basic", "user": "soc", "password": "pass:word"}});
    let bearer = json!({"auth": {"type": "bearer", "token": "hunter2"}});
    run(async {
        let sender = sender();
        for patch in [basic, bearer] {
            let target = target_of(&stored(&receiver.url("/"), &patch.to_string()));
            assert_status(&send(&sender, &target).await, 200);
        }
    });
    assert_eq!(authorizations(&receiver), ["Basic c29jOnBhc3M6d29yZA==", "Bearer hunter2"]);
}
