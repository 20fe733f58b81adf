//! `decnet receive`: a receiver for tests that verifies signatures.

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use decnet_core::signature::SigningKey;
use decnet_core::text::escape_json;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::shared::secret_args::SecretArgs;
use crate::config::read_duration;
use crate::context::Context;
use crate::json_text;
use crate::output::{self, Paint, Text};
use crate::receiver::{self, Chat, ChatMessage, Keys, Options, Origin, PublicKey, Received};

/// The number of requests that may wait to be printed. Beyond it, responses are delayed.
const MAX_UNPRINTED: usize = 1024;

/// Receives webhooks, verifies their signatures and prints them.
///
/// Prints one line per request: time, result of the verification, latency since the event, topic and id. On a terminal the
/// body follows. Without a secret or a public key nothing is verified. The response is always --status: a request with a bad signature is
/// shown, not rejected.
///
/// With --as it replies as a chat service does and shows the messages without markup, with the status of the reply instead of the
/// result of the verification. It refuses what the service would refuse, such as events without a format.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet receive --secret-file secret.txt
  decnet receive --as slack                         # try messages without the chat service
  decnet receive --port 0 --json --count 10 > received.jsonl
  decnet receive --status 503 --delay 2s            # see how the worker retries")]
pub(crate) struct Args {
    /// The port; 0 for any free port
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    #[command(flatten)]
    secret: SecretArgs,
    /// Require an asymmetric signature (`v1a`) of this key, as `subscription show` prints it: `whpk_…`
    #[arg(long, value_name = "KEY")]
    public_key: Option<PublicKey>,
    /// Reply as this chat service, and show the messages
    #[arg(long = "as", value_name = "SERVICE")]
    chat: Option<Chat>,
    /// The status of the responses, instead of that of the service [default: 204]
    #[arg(long, value_parser = status)]
    status: Option<StatusCode>,
    /// The delay of each response, such as 2s
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = read_duration)]
    delay: Duration,
    /// Stop after this many requests
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

fn status(text: &str) -> Result<StatusCode, String> {
    let status = text.parse::<StatusCode>().ok().filter(|status| (200..600).contains(&status.as_u16()));
    status.ok_or_else(|| "must be a final HTTP status, from 200 to 599".into())
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let signing = args.secret.read()?.map(|secret| SigningKey::new(&secret));
    let keys = Keys { signing, public: args.public_key };
    let has_keys = keys.signing.is_some() || keys.public.is_some();
    let options = Options { keys, chat: args.chat, status: args.status, delay: args.delay };
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address).map_err(|error| {
        anyhow::anyhow!("cannot listen on {address}: {error}; --port 0 selects a free port")
    })?;
    output::note(&format!("receiving on http://{}/, Ctrl-C to stop", listener.local_addr()?));
    let (received, mut requests) = mpsc::channel(MAX_UNPRINTED);
    let stop = context.shutdown.child_token();
    let serving = tokio::spawn(receiver::run(listener, options, received, stop.clone()));
    // A chat service checks no signature.
    let is_checked = args.chat.is_none() || has_keys;
    let (mut tally, with_body) = (Tally { is_checked, ..Tally::default() }, std::io::stdout().is_terminal());
    let printed = async {
        while args.count.is_none_or(|count| tally.all() < count)
            && let Some(Some(request)) = stop.run_until_cancelled(requests.recv()).await
        {
            tally.count(&request);
            match args.chat {
                _ if args.json => output::json(&line(&request))?,
                Some(chat) => output::print(&message(&request, chat, context.paint))?,
                None => output::print(&human(&request, context.paint, with_body))?,
            }
        }
        anyhow::Ok(())
    };
    let printed = printed.await;
    requests.close();
    stop.cancel();
    serving.await.context("the receiver panicked")??;
    output::note(&tally.to_string());
    printed
}

/// The number of requests by result of the signature check, or if nothing is checked, by status.
#[derive(Debug, Default)]
struct Tally {
    is_checked: bool,
    accepted: u64,
    verified: u64,
    unsigned: u64,
    forged: u64,
    unchecked: u64,
}

impl Tally {
    fn count(&mut self, request: &Received) {
        self.accepted += u64::from(request.status.is_success());
        match request.origin {
            Origin::Verified => self.verified += 1,
            Origin::Unsigned => self.unsigned += 1,
            Origin::Forged(_) => self.forged += 1,
            Origin::Unchecked => self.unchecked += 1,
        }
    }

    fn all(&self) -> u64 {
        self.verified + self.unsigned + self.forged + self.unchecked
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { is_checked, accepted, verified, unsigned, forged, unchecked } = self;
        if !is_checked {
            write!(f, "{} accepted", output::pluralize(*accepted, "message", "messages"))?;
            let refused = self.all() - accepted;
            return if refused > 0 { write!(f, ", {refused} refused") } else { Ok(()) };
        }
        write!(f, "{} received: {verified} verified, {unsigned} unsigned, ", self.all())?;
        write!(f, "{forged} with a bad signature, {unchecked} unchecked")
    }
}

/// A request as `--json` prints it, with the fields in alphabetical order.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    body: Body<'a>,
    id: &'a str,
    latency_ms: Option<f64>,
    origin: &'a str,
    reason: Option<&'a str>,
    status: u16,
    target: &'a str,
    topic: &'a str,
}

/// A body, unchanged if it is JSON and as a string otherwise.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Json(Box<RawValue>),
    Text(Cow<'a, str>),
}

fn line(request: &Received) -> Line<'_> {
    let text = || Body::Text(String::from_utf8_lossy(&request.body));
    Line {
        at: request.at.to_iso8601(),
        body: json_text::compact(&request.body).map_or_else(text, Body::Json),
        id: &request.id,
        latency_ms: request.latency().map(|latency| latency.as_secs_f64() * 1e3),
        origin: request.origin.as_str(),
        reason: request.origin.reason(),
        status: request.status.as_u16(),
        target: &request.target,
        topic: &request.topic,
    }
}

/// Formats the line of a request and, optionally, its body.
pub(crate) fn human(request: &Received, paint: Paint, with_body: bool) -> Text {
    let mut text = heading(request, result(request.origin, paint), request.origin.reason(), paint);
    if with_body {
        add_indented(&mut text, &request.body);
    }
    text
}

/// Formats the result of the signature check.
fn result(origin: Origin, paint: Paint) -> Text {
    match origin {
        Origin::Verified => paint.good(origin.as_str()),
        Origin::Unchecked => paint.doubtful(origin.as_str()),
        Origin::Unsigned | Origin::Forged(_) => paint.bad(origin.as_str()),
    }
}

/// Formats the line of a request.
fn heading(request: &Received, result: Text, reason: Option<&str>, paint: Paint) -> Text {
    let latency =
        request.latency().map_or(String::new(), |latency| format!("{:.1} ms", latency.as_secs_f64() * 1e3));
    let iso = request.at.to_sqlite();
    let time = iso.get(11..23).unwrap_or(&iso);
    let mut text = paint.faint(time);
    text += " ";
    text += result;
    text += format!(" {latency:>9}  {}  ", request.topic);
    text += paint.faint(&request.id);
    if let Some(reason) = reason {
        text += format!("  ({reason})");
    }
    text.end_line();
    text
}

/// Formats the line of a request and its message. A body without a message is shown as it is. Without a key, the reply is shown
/// instead of the result of the check.
fn message(request: &Received, chat: Chat, paint: Paint) -> Text {
    let code = request.status.as_u16();
    let mut text = match request.origin {
        Origin::Unchecked if request.status.is_success() => {
            heading(request, paint.good(&format!("accepted ({code})")), None, paint)
        }
        Origin::Unchecked => heading(request, paint.bad(&format!("refused ({code})")), None, paint),
        _ => human(request, paint, false),
    };
    let Some(ChatMessage { title, lines }) = chat.read(&request.body) else {
        text.line(paint.bad(&format!("    refused with {}: this is not a message", request.status)));
        add_indented(&mut text, &request.body);
        return text;
    };
    text += "    ";
    text.line(paint.strong(&title));
    lines.iter().for_each(|line| text.line(format!("    {line}")));
    text
}

/// Appends an indented body. Escapes in JSON remain valid JSON.
fn add_indented(text: &mut Text, body: &[u8]) {
    let pretty = json_text::indented(body).map(|json| escape_json(&json).into_owned());
    for line in pretty.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()).lines() {
        text.line(format!("    {line}"));
    }
}
