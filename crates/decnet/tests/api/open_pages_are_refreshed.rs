//! The streams that refresh open pages.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use decnet_testkit::{Receiver, reply};

use crate::client::Server;
use crate::dashboard_is_protected::Browser;
use crate::http::{connect, fresh_address};

/// The maximum number of streams of a session.
const MAX_STREAMS: usize = 4;

/// The stream of an open page.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(server: &Server, browser: &Browser<'_>, view: &str) -> Self {
        let mut stream = connect(fresh_address(), server.address());
        let (host, cookie) = (server.address(), &browser.cookie);
        let request = format!(
            "GET /live?view={view} HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = Self(BufReader::new(stream));
        assert!(stream.line().unwrap().starts_with("HTTP/1.1 200"));
        stream
    }

    /// Returns the next line; `None` at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then_some(line)
    }

    /// Returns the next event, or `None` at the end of the stream.
    fn event(&mut self, name: &str) -> Option<String> {
        let begin = format!("event: {name}\n");
        while self.line()? != begin {}
        let mut data = String::new();
        while let Some(line) = self.line()?.strip_prefix("data: ") {
            data += line;
        }
        Some(data)
    }

    /// Returns everything up to the end.
    fn rest(mut self) -> String {
        std::iter::from_fn(|| self.line()).collect()
    }
}

#[test]
fn page_is_sent_again_when_it_changes() {
    let (server, receiver) = (Server::start(), Receiver::start(reply(204)));
    let token = server.host.token("ops", "admin", &[]);
    let browser = Browser::log_in(&server, &token);
    let mut stream = Stream::open(&server, &browser, "/subscriptions?q=new");
    assert!(stream.event("view").unwrap().contains("There are no subscriptions yet"));
    server.subscribe("new-one", &receiver.url("/"), "a.>");
    while !stream.event("view").unwrap().contains("new-one") {}
}

#[test]
fn shared_part_has_nothing_of_one_visitor() {
    let server = Server::start();
    let uuid = server.subscribe("a", "https://198.41.0.4/", "a");
    let token = server.host.token("name-of-the-visitor", "admin", &[]);
    let browser = Browser::log_in(&server, &token);
    for view in ["/".into(), "/subscriptions".into(), "/deliveries".into(), format!("/subscriptions/{uuid}")]
    {
        let part = Stream::open(&server, &browser, &view).event("view").unwrap();
        assert!(part.starts_with("<div id=\"live\""), "{view}: {part}");
        for own in [&*browser.csrf, "name-of-the-visitor", "<form", "<button type=\"submit\""] {
            assert!(!part.contains(own), "{view}: {own}: {part}");
        }
    }
}

#[test]
fn stream_ends_when_its_token_is_revoked() {
    let server = Server::start();
    let token = server.host.token("ops", "read", &[]);
    let browser = Browser::log_in(&server, &token);
    let mut stream = Stream::open(&server, &browser, "/");
    assert!(stream.event("view").is_some());
    server.host.json(&["token", "revoke", "ops", "--json"]);
    assert!(stream.event("poll").is_some(), "the page requests itself, which leads to the login");
    assert_eq!(stream.event("view"), None);
}

#[test]
fn oldest_stream_of_a_session_ends_for_a_new_one() {
    let server = Server::start();
    let [token, other] = ["ops", "other"].map(|name| server.host.token(name, "read", &[]));
    let (browser, other) = (Browser::log_in(&server, &token), Browser::log_in(&server, &other));
    let mut others = Stream::open(&server, &other, "/");
    let mut streams: Vec<_> =
        (0..2 * MAX_STREAMS + 1).map(|_| Stream::open(&server, &browser, "/")).collect();
    for mut oldest in streams.drain(..=MAX_STREAMS) {
        assert!(oldest.event("poll").is_some());
    }
    assert_eq!(streams.len(), MAX_STREAMS);
    assert!(streams.iter_mut().chain([&mut others]).all(|stream| stream.event("view").is_some()));
}

#[test]
fn streams_end_with_the_server() {
    let server = Server::start();
    let token = server.host.token("ops", "read", &[]);
    let browser = Browser::log_in(&server, &token);
    let mut stream = Stream::open(&server, &browser, "/");
    assert!(stream.event("view").is_some());
    server.serving.running.signal("TERM");
    stream.rest();
    let (code, _, log) = server.serving.running.finish();
    assert!(code == 0 && !log.contains("did not finish in time"), "{log}");
}

#[test]
fn what_is_not_a_page_has_no_stream() {
    let server = Server::start();
    let token = server.host.token("ops", "admin", &[]);
    let browser = Browser::log_in(&server, &token);
    for view in ["/explain", "/logout", "/deliveries/9999.0", "/live?view=/"] {
        let mut stream = Stream::open(&server, &browser, view);
        assert!(stream.event("end").is_some(), "{view}");
    }
}
