//! The head of a reply, and what it says about its body.

use std::mem::MaybeUninit;

use decnet_core::limits::MAX_REPLY_HEADERS;
use httparse::{Header, ParserConfig, Response, Status};

/// What is no head of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::sender) enum Malformed {
    #[error("its status line or a header line is malformed")]
    Syntax(#[from] httparse::Error),
    #[error("its content-length is not a length")]
    Length,
}

/// A final reply's status line and the headers that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sender) struct Head {
    pub(in crate::sender) status: u16,
    pub(in crate::sender) retry_after: Option<Box<str>>,
    /// Where a redirect leads, as it is written.
    pub(in crate::sender) location: Option<Box<str>>,
    pub(super) framing: Framing,
    /// Does the receiver leave the connection open (RFC 9112 section 9.3)?
    pub(super) keeps_alive: bool,
}

/// Where the body ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// The final head at the beginning of `input` and where it ends, once it is there. Interim heads before it (RFC 9110
/// section 15.2) are taken off, so that none is read twice, however many a receiver sends.
pub(super) fn find(input: &mut Vec<u8>) -> Result<Option<(Head, usize)>, Malformed> {
    loop {
        match parse(input)? {
            // Nothing was asked to be upgraded: 101 is as final as any other.
            Some((head, length)) if (100..=199).contains(&head.status) && head.status != 101 => {
                input.drain(..length);
            }
            found => return Ok(found),
        }
    }
}

fn parse(input: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_REPLY_HEADERS];
    let mut reply = Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut reply, input, &mut headers)?;
    let Status::Complete(length) = parsed else { return Ok(None) };
    let (status, version) = (reply.code.unwrap_or_default(), reply.version.unwrap_or_default());
    Ok(Some((read(status, version, reply.headers)?, length)))
}

fn read(status: u16, version: u8, headers: &[Header<'_>]) -> Result<Head, Malformed> {
    let (mut retry_after, mut location, mut length, mut codings, mut chunked) =
        (None, None, None, false, false);
    let mut keeps_alive = version == 1;
    for Header { name, value } in headers {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(content_length(value, length)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            codings = true;
            chunked = tokens(value).last().is_some_and(|token| token.eq_ignore_ascii_case(b"chunked"));
        } else if name.eq_ignore_ascii_case("connection") {
            keeps_alive = keeps_open(value, keeps_alive);
        } else if name.eq_ignore_ascii_case("retry-after") {
            retry_after = std::str::from_utf8(value).ok().map(Into::into);
        } else if (300..=399).contains(&status) && name.eq_ignore_ascii_case("location") {
            location = std::str::from_utf8(value).ok().map(Into::into);
        }
    }
    let framing = match (status, length) {
        (100..=199 | 204 | 304, _) => Framing::Length(0),
        _ if chunked => Framing::Chunked,
        (_, Some(length)) if !codings => Framing::Length(length),
        _ => Framing::Close,
    };
    // Both at once is how requests are smuggled: such a connection is not trusted with another one.
    keeps_alive &= framing != Framing::Close && !(codings && length.is_some()) && status != 101;
    Ok(Head { status, retry_after, location, framing, keeps_alive })
}

/// Said again it must be the same (RFC 9110 section 8.6).
fn content_length(value: &[u8], before: Option<u64>) -> Result<u64, Malformed> {
    let mut length = before;
    for token in tokens(value) {
        let digits = std::str::from_utf8(token).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let read: u64 = digits.and_then(|text| text.parse().ok()).ok_or(Malformed::Length)?;
        if length.replace(read).is_some_and(|before| before != read) {
            return Err(Malformed::Length);
        }
    }
    length.ok_or(Malformed::Length)
}

fn keeps_open(value: &[u8], before: bool) -> bool {
    tokens(value).fold(before, |open, token| match token {
        _ if token.eq_ignore_ascii_case(b"close") => false,
        _ if token.eq_ignore_ascii_case(b"keep-alive") => true,
        _ => open,
    })
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(head: &str) -> (Framing, bool) {
        let (head, _) = find(&mut format!("{head}\r\n\r\n").into()).unwrap().unwrap();
        (head.framing, head.keeps_alive)
    }

    #[test]
    fn bodies_end_where_the_rfc_says() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5", (Framing::Length(5), true)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\ncontent-length: 5", (Framing::Length(5), true)),
            ("HTTP/1.1 200\r\nTransfer-Encoding: gzip, chunked", (Framing::Chunked, true)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3", (Framing::Chunked, false)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ncontent-length: 3", (Framing::Close, false)),
            ("HTTP/1.1 200 OK", (Framing::Close, false)),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 9", (Framing::Length(0), true)),
            ("HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked", (Framing::Length(0), true)),
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
    fn lengths_that_are_none_are_refused() {
        for value in ["-1", "+1", "1, 2", "", "0x1", "18446744073709551616", "1 2"] {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {value}\r\n\r\n");
            assert_eq!(find(&mut head.into()), Err(Malformed::Length), "{value}");
        }
    }

    #[test]
    fn a_head_is_found_when_it_is_whole_and_interim_ones_are_passed_over() {
        let input = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\nxy";
        for end in 0..input.len() - 2 {
            assert_eq!(find(&mut input[..end].into()), Ok(None), "{end}");
        }
        let mut input = input.to_vec();
        let (head, length) = find(&mut input).unwrap().unwrap();
        assert_eq!(
            (head.status, head.retry_after.as_deref(), &input[length..]),
            (429, Some("7"), &b"xy"[..])
        );
    }
}
