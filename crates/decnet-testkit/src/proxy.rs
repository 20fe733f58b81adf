//! An HTTP proxy on loopback that replies to `CONNECT` (RFC 9110 section 9.3.6) by script.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Channel, channel};
use std::thread;

/// The reply that opens a tunnel.
pub const OPENED: &str = "HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n";

/// A proxy that serves until the process ends.
#[derive(Debug)]
pub struct Proxy {
    /// The address on which it listens.
    pub address: SocketAddr,
    /// The heads of the requests.
    pub heads: Channel<String>,
}

impl Proxy {
    /// Starts a proxy that opens every tunnel.
    #[must_use]
    pub fn start() -> Self {
        Self::scripted(|_| OPENED)
    }

    /// Starts a proxy whose replies depend on the requested address. A status of 200 opens a tunnel.
    #[must_use]
    pub fn scripted(script: impl Fn(&str) -> &'static str + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("the socket is bound");
        let (sender, heads) = channel();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (sender, script) = (sender.clone(), script.clone());
                thread::spawn(move || {
                    let Ok(head) = read_head(&client) else { return };
                    let requested = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    // Nobody may read the heads any longer.
                    let _unread = sender.send(head);
                    serve(&client, &requested, script(&requested));
                });
            }
        });
        Self { address, heads }
    }
}

/// Replies, and relays if the reply opens a tunnel. A client may leave at any time.
fn serve(mut client: &TcpStream, requested: &str, answer: &str) {
    if client.write_all(answer.as_bytes()).is_ok()
        && answer.starts_with("HTTP/1.1 200")
        && let Ok(receiver) = TcpStream::connect(requested)
    {
        thread::scope(|scope| {
            scope.spawn(|| copy(client, &receiver));
            copy(&receiver, client);
        });
    }
}

/// Copies until the end of `from`, or until `to` accepts nothing.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ended = io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write));
}

fn read_head(mut client: &TcpStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}
