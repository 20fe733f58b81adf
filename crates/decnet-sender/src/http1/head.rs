//! The head of a reply, and the framing of its body.
//!
//! The status line decides the outcome, so only the status line must be valid. Header lines that frame the body are parsed
//! strictly; other header lines are skipped if they are malformed. httparse parses the status line only, because it cannot skip a
//! malformed line without also skipping a line that frames the body.

use std::time::Duration;

use httparse::{ParserConfig, Response};

use super::body::{Chunk, Framing};
use crate::response::{RateLimit, ReplyHead, ReplyHeaders};

/// The length of `HTTP/1.1 200`.
const STATUS_END: usize = 12;

/// The error for bytes that are not the head of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its status line is malformed")]
pub(crate) struct MalformedHead(#[from] httparse::Error);

/// The head of a final reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) reply: ReplyHead,
    pub(super) framing: Framing,
    /// Whether another request may follow on the connection (RFC 9112 section 9.3).
    pub(super) keeps_alive: bool,
    /// The time for which the receiver keeps an idle connection (`Keep-Alive: timeout=`, RFC 2068 section 19.7.1.1).
    pub(super) keep_alive_timeout: Option<Duration>,
}

/// An incremental parser of heads. It scans each byte once, regardless of the size of the pieces in which the bytes arrive.
#[derive(Debug, Default)]
pub(super) struct HeadParser {
    status: Option<StatusLine>,
    /// The offset of the header lines.
    headers: usize,
    /// The offset of the current line.
    line: usize,
    /// The offset up to which line breaks have been searched.
    scanned: usize,
}

#[derive(Debug, Clone, Copy)]
struct StatusLine {
    status: u16,
    /// The minor version of HTTP/1.
    version: u8,
}

impl HeadParser {
    /// Returns the final head in `input` and its length, once it is complete. The next head needs a new parser. Interim heads
    /// before it (RFC 9110 section 15.2) are removed, so that no head is parsed twice, however many interim heads a receiver
    /// sends.
    ///
    /// # Errors
    /// The status line is not valid HTTP/1.x.
    pub(super) fn parse(&mut self, input: &mut Vec<u8>) -> Result<Option<(Head, usize)>, MalformedHead> {
        while let Some((status_line, length)) = self.complete(input)? {
            let is_interim = matches!(status_line.status, 100 | 102..=199);
            if !is_interim {
                return Ok(Some((Head::parse(status_line, &input[self.headers..length]), length)));
            }
            input.drain(..length);
            *self = Self::default();
        }
        Ok(None)
    }

    /// Returns the status line and the length of the head, including the empty line at its end, once it is complete. Empty
    /// lines before the head are ignored (RFC 9112 section 2.2).
    fn complete(&mut self, input: &[u8]) -> Result<Option<(StatusLine, usize)>, MalformedHead> {
        while let Some(at) = memchr::memchr(b'\n', &input[self.scanned..]) {
            let next = self.scanned + at + 1;
            let line = &input[self.line..next];
            let is_empty = matches!(line, b"\n" | b"\r\n");
            (self.line, self.scanned) = (next, next);
            match self.status {
                Some(status_line) if is_empty => return Ok(Some((status_line, next))),
                None if !is_empty => {
                    (self.status, self.headers) = (Some(StatusLine::parse(line)?), next);
                }
                Some(_) | None => {}
            }
        }
        self.scanned = input.len();
        Ok(None)
    }
}

impl StatusLine {
    /// Parses the version and the status. The reason phrase is ignored (RFC 9112, section 4), whatever bytes it has.
    fn parse(line: &[u8]) -> Result<Self, MalformedHead> {
        let mut without_reason = *b"HTTP/1.1 200\r\n";
        let line = match line.split_at_checked(STATUS_END) {
            Some((start, [b' ', ..])) => {
                without_reason[..STATUS_END].copy_from_slice(start);
                &without_reason[..]
            }
            _ => line,
        };
        let mut reply = Response::new(&mut []);
        ParserConfig::default().parse_response(&mut reply, line)?;
        let fields = reply.code.zip(reply.version);
        fields.map(|(status, version)| Self { status, version }).ok_or(MalformedHead(httparse::Error::Status))
    }
}

impl Head {
    /// Parses the header lines after a status line.
    fn parse(StatusLine { status, version }: StatusLine, lines: &[u8]) -> Self {
        let is_redirect = (300..=399).contains(&status);
        let mut fields = HeaderFields { keeps_alive: version == 1, is_redirect, ..HeaderFields::default() };
        for line in Lines(lines) {
            fields.parse(line);
        }
        let has_body = !matches!(status, 100..=199 | 204 | 304);
        let framing = if has_body { fields.framing() } else { Framing::Length(0) };
        // A body that is announced but not allowed may follow nevertheless.
        let is_contradictory = !has_body && fields.announces_body();
        Self {
            framing,
            keeps_alive: fields.keeps_alive
                && !is_contradictory
                && !fields.is_ambiguous
                && !matches!(framing, Framing::Close | Framing::Unknown)
                && status != 101,
            keep_alive_timeout: fields.keep_alive_timeout,
            reply: ReplyHead {
                status,
                retry_after: fields.retry_after.or(fields.rate_limit.wait()),
                location: fields.location,
            },
        }
    }
}

/// The contents of the relevant header lines.
#[derive(Default)]
struct HeaderFields {
    length: Length,
    /// Whether there is a transfer coding other than `identity`.
    has_coding: bool,
    /// Whether the last transfer coding is `chunked`.
    is_chunked: bool,
    keeps_alive: bool,
    keep_alive_timeout: Option<Duration>,
    retry_after: Option<Box<str>>,
    rate_limit: RateLimit,
    is_redirect: bool,
    location: Option<Box<str>>,
    /// Whether another parser, or the receiver itself, might read a line as a header that frames the body.
    is_ambiguous: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Length {
    #[default]
    Absent,
    Valid(u64),
    Invalid,
}

impl HeaderFields {
    /// Parses one line, with its folded continuation lines (RFC 9112 section 5.2). White space before the colon is ignored
    /// (section 5.1).
    fn parse(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else {
            self.is_ambiguous = true;
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let bare_name = name.trim_ascii_end();
        if self.parse_framing(bare_name, value) {
            let is_folded = memchr::memchr(b'\n', line) != Some(line.len() - 1);
            self.is_ambiguous |= is_folded || bare_name.len() != name.len();
        } else if bare_name.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive_timeout = tokens(value).find_map(parse_timeout).or(self.keep_alive_timeout);
        } else if bare_name.eq_ignore_ascii_case(b"retry-after") {
            self.retry_after = text(value);
        } else if bare_name.eq_ignore_ascii_case(RateLimit::REMAINING.as_bytes()) {
            self.rate_limit.is_exhausted = value.trim_ascii() == b"0";
        } else if bare_name.eq_ignore_ascii_case(RateLimit::RESET_AFTER.as_bytes()) {
            self.rate_limit.reset_after = text(value);
        } else if self.is_redirect && bare_name.eq_ignore_ascii_case(b"location") {
            self.location = text(value);
        } else {
            self.is_ambiguous |= !is_name(bare_name);
        }
        self.is_ambiguous |= has_bare_cr(line);
    }

    /// Parses a header if it frames the body or the connection. Returns whether it does.
    fn parse_framing(&mut self, name: &[u8], value: &[u8]) -> bool {
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length = self.length.combine(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            for coding in tokens(value).filter(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
                (self.has_coding, self.is_chunked) = (true, coding.eq_ignore_ascii_case(b"chunked"));
            }
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.keeps_alive = keeps_open(value, self.keeps_alive);
        } else {
            return false;
        }
        true
    }

    fn framing(&mut self) -> Framing {
        // Both headers at once are a means of smuggling, so the connection is not reused (RFC 9112 section 6.3).
        self.is_ambiguous |= self.has_coding && self.length != Length::Absent;
        match (self.has_coding, self.is_chunked, self.length) {
            (true, true, _) => Framing::Chunked(Chunk::Size),
            (true, false, _) | (false, _, Length::Absent) => Framing::Close,
            (false, _, Length::Valid(length)) => Framing::Length(length),
            (false, _, Length::Invalid) => Framing::Unknown,
        }
    }

    fn announces_body(&self) -> bool {
        self.has_coding || !matches!(self.length, Length::Absent | Length::Valid(0))
    }
}

impl Length {
    /// Combines the length with another header line. Repeated lengths must be equal (RFC 9110 section 8.6).
    fn combine(self, value: &[u8]) -> Self {
        let mut values = tokens(value).map(Self::parse);
        let Some(first) = values.next() else { return Self::Invalid };
        let before = if self == Self::Absent { first } else { self };
        std::iter::once(first)
            .chain(values)
            .fold(before, |all, next| if all == next { all } else { Self::Invalid })
    }

    fn parse(digits: &[u8]) -> Self {
        let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        text.and_then(|text| text.parse().ok()).map_or(Self::Invalid, Self::Valid)
    }
}

/// An iterator over the header lines of a head, each with its folded continuation lines.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut end = 0;
        loop {
            end += memchr::memchr(b'\n', &self.0[end..])? + 1;
            if !matches!(self.0.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (line, rest) = self.0.split_at(end);
        self.0 = rest;
        // The last line is the empty line that ends the head.
        (!rest.is_empty()).then_some(line)
    }
}

/// Returns the header lines of a head as names and values. A line without a colon is a name without a value.
pub(super) fn headers(head: &[u8]) -> ReplyHeaders {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    let start = memchr::memchr(b'\n', head.trim_ascii_start()).map_or(head.len(), |end| end + 1);
    let lines = Lines(head.trim_ascii_start().get(start..).unwrap_or_default());
    lines
        .map(|line| {
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            (text(&line[..colon]), text(line.get(colon + 1..).unwrap_or_default()))
        })
        .collect()
}

/// Returns whether a header name is a token (RFC 9110 section 5.6.2).
fn is_name(name: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_token)
}

/// Returns whether a line contains a CR without LF, which some parsers take for the end of a line (RFC 9112 section 2.2).
fn has_bare_cr(line: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', line).any(|at| line.get(at + 1) != Some(&b'\n'))
}

fn keeps_open(value: &[u8], before: bool) -> bool {
    tokens(value).fold(before, |open, token| match token {
        _ if token.eq_ignore_ascii_case(b"close") => false,
        _ if token.eq_ignore_ascii_case(b"keep-alive") => true,
        _ => open,
    })
}

fn text(value: &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(value).ok().map(Into::into)
}

/// Parses `timeout=N`, in seconds.
fn parse_timeout(parameter: &[u8]) -> Option<Duration> {
    let (name, value) = std::str::from_utf8(parameter).ok()?.split_once('=')?;
    let is_timeout = name.trim_end().eq_ignore_ascii_case("timeout");
    let seconds = value.trim().parse().ok().filter(|_| is_timeout)?;
    Some(Duration::from_secs(seconds))
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: Framing = Framing::Chunked(Chunk::Size);

    fn parse(head: &str) -> Head {
        let (head, _) = HeadParser::default().parse(&mut format!("{head}\r\n\r\n").into()).unwrap().unwrap();
        head
    }

    fn framing(head: &str) -> (Framing, bool) {
        let head = parse(head);
        (head.framing, head.keeps_alive)
    }

    #[test]
    fn framing_follows_rfc_9112() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5", (Framing::Length(5), true)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\ncontent-length: 5", (Framing::Length(5), true)),
            ("HTTP/1.1 200\r\nTransfer-Encoding: gzip, chunked", (CHUNKED, true)),
            ("HTTP/1.1 200\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked", (CHUNKED, true)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3", (CHUNKED, false)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ncontent-length: 3", (Framing::Close, false)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip", (Framing::Close, false)),
            ("HTTP/1.1 200 OK", (Framing::Close, false)),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: Upgrade, Close",
                (Framing::Length(0), false),
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0", (Framing::Length(0), false)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: Keep-Alive", (Framing::Length(0), true)),
            ("HTTP/1.1 101 Switching\r\ncontent-length: 0", (Framing::Length(0), false)),
        ] {
            assert_eq!(framing(head), expected, "{head}");
        }
    }

    #[test]
    fn announced_but_forbidden_body_prevents_reuse() {
        for (head, keeps_alive) in [
            ("HTTP/1.1 204 No Content", true),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 0", true),
            ("HTTP/1.1 304 Not Modified\r\ntransfer-encoding: identity", true),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 9", false),
            ("HTTP/1.1 204 No Content\r\ncontent-length: x", false),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9", false),
            ("HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked", false),
        ] {
            assert_eq!(framing(head), (Framing::Length(0), keeps_alive), "{head}");
        }
    }

    #[test]
    fn transfer_coding_identity_is_ignored() {
        for (head, expected) in [
            ("Transfer-Encoding: identity\r\nContent-Length: 5", (Framing::Length(5), true)),
            ("Transfer-Encoding: Identity, chunked", (CHUNKED, true)),
            ("Transfer-Encoding: chunked, identity", (CHUNKED, true)),
            ("Transfer-Encoding: identity", (Framing::Close, false)),
        ] {
            assert_eq!(framing(&format!("HTTP/1.1 200 OK\r\n{head}")), expected, "{head}");
        }
    }

    #[test]
    fn invalid_lengths_leave_the_framing_unknown() {
        for value in
            ["-1", "+1", "1, 2", "", "0x1", "18446744073709551616", "1 2", "1\r\ncontent-length: 2", "1\u{1}"]
        {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {value}");
            assert_eq!(framing(&head), (Framing::Unknown, false), "{value}");
        }
    }

    #[test]
    fn other_malformed_header_lines_are_skipped() {
        for (line, keeps_alive) in [
            ("x-folded: a\r\n b\r\n\tc", true),
            ("x-blank : a", true),
            ("set-cookie: a=\u{1}\u{0}b", true),
            ("x-high: \u{e9}", true),
            ("x-empty:", true),
            ("no colon", false),
            ("(x): a", false),
            (": a", false),
            (" folds nothing: a", false),
            ("x: a\rcontent-length: 9", false),
        ] {
            let head = parse(&format!("HTTP/1.1 200 OK\r\n{line}\r\ncontent-length: 2\r\nretry-after: 7"));
            assert_eq!((head.reply.status, head.framing), (200, Framing::Length(2)), "{line:?}");
            assert_eq!(
                (head.keeps_alive, head.reply.retry_after.as_deref()),
                (keeps_alive, Some("7")),
                "{line:?}"
            );
        }
    }

    #[test]
    fn malformed_framing_headers_count_and_prevent_reuse() {
        for (lines, expected) in [
            ("content-length : 5", Framing::Length(5)),
            ("content-length:\r\n 5", Framing::Length(5)),
            ("content-length: 5\r\n 6", Framing::Unknown),
            ("transfer-encoding:\r\n chunked", CHUNKED),
            ("transfer-encoding : chunked\r\ncontent-length: 5", CHUNKED),
            ("transfer-encoding: \u{b}chunked\r\ncontent-length: 5", Framing::Close),
        ] {
            assert_eq!(framing(&format!("HTTP/1.1 200 OK\r\n{lines}")), (expected, false), "{lines:?}");
        }
        let folded = "HTTP/1.1 200 OK\r\nconnection:\r\n close\r\ncontent-length: 0";
        assert_eq!(framing(folded), (Framing::Length(0), false));
    }

    #[test]
    fn number_of_header_lines_is_unlimited() {
        let lines = "a: b\r\n".repeat(4000);
        assert_eq!(
            framing(&format!("HTTP/1.1 200 OK\r\n{lines}content-length: 3")),
            (Framing::Length(3), true)
        );
    }

    #[test]
    fn keep_alive_timeout_is_parsed() {
        for (value, expected) in [
            ("timeout=5, max=100", Some(5)),
            ("max=100,Timeout = 7", Some(7)),
            ("timeout=0", Some(0)),
            ("timeout=", None),
            ("timeout=soon", None),
            ("max=5", None),
        ] {
            let head = parse(&format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nkeep-alive: {value}"));
            assert_eq!(head.keep_alive_timeout, expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn status_line_must_be_valid() {
        for line in [
            "",
            "\0\u{1}\u{2} what is this",
            "HTTP/1.1 abc",
            "HTTP/1.1 20",
            "HTTP/2 200",
            "SSH-2.0-OpenSSH_9.2",
        ] {
            let head = format!("x{line}\r\n").replacen("xHTTP", "HTTP", 1);
            assert!(HeadParser::default().parse(&mut head.clone().into()).is_err(), "{head:?}");
        }
    }

    #[test]
    fn kept_head_gives_all_header_lines() {
        let head = b"\r\nHTTP/1.1 200 OK\r\nServer: a: b\r\nset-cookie: x\r\n y\r\nodd\r\n\r\n";
        let expected =
            [("Server", "a: b"), ("set-cookie", "x\r\n y"), ("odd", "")].map(|(a, b)| (a.into(), b.into()));
        assert_eq!(headers(head), expected);
        assert_eq!(headers(b""), []);
    }

    #[test]
    fn reason_phrase_is_ignored() {
        for line in [
            "HTTP/1.1 200",
            "HTTP/1.1 200 ",
            "HTTP/1.0 200 O\u{1}K",
            "HTTP/1.1 200 \u{ff}\0",
            "HTTP/1.1 200 ok 500",
        ] {
            let (head, _) =
                HeadParser::default().parse(&mut format!("{line}\r\n\r\n").into()).unwrap().unwrap();
            assert_eq!(head.reply.status, 200, "{line:?}");
        }
    }

    #[test]
    fn head_is_found_once_complete_and_interim_heads_are_skipped() {
        let input = b"\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 429 No\nretry-after: 7\r\ncontent-length: 2\r\n\r\nxy";
        for first in 0..input.len() - 2 {
            let (mut parser, mut received) = (HeadParser::default(), input[..first].to_vec());
            assert_eq!(parser.parse(&mut received), Ok(None), "{first}");
            received.extend_from_slice(&input[first..]);
            let (head, length) = parser.parse(&mut received).unwrap().unwrap();
            assert_eq!((head.reply.status, head.reply.retry_after.as_deref()), (429, Some("7")), "{first}");
            assert_eq!(received[length..], *b"xy", "{first}");
        }
    }
}
