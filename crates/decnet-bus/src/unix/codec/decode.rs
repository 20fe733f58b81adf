//! From bytes to frames.

use std::ops::Range;

use decnet_core::limits::{MAX_BODY_BYTES, MAX_HEADER_BYTES};

use super::Verb;

const LENGTH_BYTES: usize = 4;
/// Most of an unknown verb that an error repeats.
const SHOWN_BYTES: usize = 32;

/// One frame, borrowed from the buffer it was read into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header's first word.
    pub verb: Verb,
    /// The rest of the header, its ends trimmed as Python's `str.strip` does, spaces within kept.
    pub args: &'a str,
    /// The body, not looked into.
    pub body: &'a [u8],
}

/// Why bytes are no frame. Nothing after them can be read: the connection has to be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No newline where one had to be.
    #[error("a header longer than {MAX_HEADER_BYTES} bytes")]
    HeaderTooLong,
    /// Nothing before the newline.
    #[error("an empty header line")]
    EmptyHeader,
    /// Topics and patterns are ASCII.
    #[error("a header that is not ASCII")]
    NotAscii,
    /// No word of the protocol; they are upper-case.
    #[error("the unknown verb {0:?}")]
    UnknownVerb(Box<str>),
    /// The length before the body says too much.
    #[error("a body of {0} bytes, more than {MAX_BODY_BYTES}")]
    BodyTooLong(usize),
}

/// Where the parts of a frame are in its buffer, for a reader that keeps the buffer and shares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The header's first word.
    pub verb: Verb,
    /// See [`Frame::args`]: ASCII.
    pub args: Range<usize>,
    /// See [`Frame::body`]; its end is the frame's end.
    pub body: Range<usize>,
}

/// The first frame of `buffer` and its length in bytes; `None` while it is not all there.
///
/// A bad header is an error as soon as its line is there, a bad length as soon as its four bytes are.
///
/// # Errors
/// See [`FrameError`].
pub fn decode(buffer: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(Layout { verb, args, body }) = locate(buffer)? else { return Ok(None) };
    let args = std::str::from_utf8(&buffer[args]).map_err(|_| FrameError::NotAscii)?;
    let end = body.end;
    Ok(Some((Frame { verb, args, body: &buffer[body] }, end)))
}

/// As [`decode`], by places.
///
/// # Errors
/// See [`FrameError`].
pub fn locate(buffer: &[u8]) -> Result<Option<Layout>, FrameError> {
    let Some((verb, args, newline)) = header(buffer)? else { return Ok(None) };
    let Some(body_len) = body_len(&buffer[newline + 1..])? else { return Ok(None) };
    let start = newline + 1 + LENGTH_BYTES;
    let body = start..start + body_len;
    Ok((buffer.len() >= body.end).then_some(Layout { verb, args, body }))
}

/// How many bytes the unfinished frame at the start of `buffer` needs still, as far as can be told: at
/// least one. For reserving room before the next read.
#[must_use]
pub fn missing(buffer: &[u8]) -> usize {
    let Some(newline) = memchr::memchr(b'\n', buffer) else { return 1 };
    let start = newline + 1;
    let body_len = body_len(&buffer[start..]).ok().flatten().unwrap_or(0);
    (start + LENGTH_BYTES + body_len).saturating_sub(buffer.len()).max(1)
}

/// Verb, the place of the arguments and the place of the newline.
fn header(buffer: &[u8]) -> Result<Option<(Verb, Range<usize>, usize)>, FrameError> {
    let within = &buffer[..buffer.len().min(MAX_HEADER_BYTES)];
    let Some(newline) = memchr::memchr(b'\n', within) else {
        return if within.len() == MAX_HEADER_BYTES { Err(FrameError::HeaderTooLong) } else { Ok(None) };
    };
    let line = &within[..newline];
    if !line.is_ascii() {
        return Err(FrameError::NotAscii);
    }
    let end = end_where(line, |byte| byte != b'\r');
    let line = &line[..end];
    if line.is_empty() {
        return Err(FrameError::EmptyHeader);
    }
    let space = memchr::memchr(b' ', line).unwrap_or(end);
    let verb = Verb::parse(&line[..space]).ok_or_else(|| unknown(&line[..space]))?;
    let end = end_where(line, |byte| !is_python_space(byte)).max(space);
    let start = space + line[space..end].iter().take_while(|byte| is_python_space(**byte)).count();
    Ok(Some((verb, start..end, newline)))
}

/// The place after the last byte that `is_kept`.
fn end_where(line: &[u8], is_kept: impl Fn(u8) -> bool) -> usize {
    line.iter().rposition(|byte| is_kept(*byte)).map_or(0, |last| last + 1)
}

fn body_len(rest: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some((length, _)) = rest.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_BODY_BYTES { Err(FrameError::BodyTooLong(length)) } else { Ok(Some(length)) }
}

/// ASCII that Python's `str.strip` takes for white space: the file separators too.
pub(super) fn is_python_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b'\x1c'..=b' ')
}

fn unknown(word: &[u8]) -> FrameError {
    FrameError::UnknownVerb(String::from_utf8_lossy(&word[..word.len().min(SHOWN_BYTES)]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8]) -> Frame<'_> {
        let (frame, len) = decode(bytes).unwrap().unwrap();
        assert_eq!(len, bytes.len());
        frame
    }

    #[test]
    fn spaces_and_carriage_returns_are_tolerated() {
        assert_eq!(one(b"SUB   a.b \t\r\n\0\0\0\0").args, "a.b");
        assert_eq!(one(b"HELLO my  name \r\r\n\0\0\0\0").args, "my  name");
        assert_eq!(one(b"BYE\n\0\0\0\0"), Frame { verb: Verb::Bye, args: "", body: b"" });
        assert_eq!(one(b"PUB a\x1f\n\0\0\0\x02{}"), Frame { verb: Verb::Pub, args: "a", body: b"{}" });
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let refused = |bytes: &[u8]| decode(bytes).unwrap_err();
        assert_eq!(refused(b"\n"), FrameError::EmptyHeader);
        assert_eq!(refused(b"\r\n"), FrameError::EmptyHeader);
        assert_eq!(refused(b"NOPE a\n"), FrameError::UnknownVerb("NOPE".into()));
        assert_eq!(refused(b"sub a\n"), FrameError::UnknownVerb("sub".into()));
        assert_eq!(refused(b" SUB a\n"), FrameError::UnknownVerb("".into()));
        assert_eq!(refused(b"SUB\ta\n"), FrameError::UnknownVerb("SUB\ta".into()));
        assert_eq!(refused("SUB ä\n".as_bytes()), FrameError::NotAscii);
        assert_eq!(refused(b"SUB \xff\n"), FrameError::NotAscii);
        assert_eq!(refused(b"PUB a\n\0\x10\0\x01"), FrameError::BodyTooLong(MAX_BODY_BYTES + 1));
    }

    #[test]
    fn the_longest_header_passes_and_one_byte_more_does_not() {
        let frame = |len: usize| [b"SUB ", "a".repeat(len).as_bytes(), b"\n\0\0\0\0"].concat();
        let longest = MAX_HEADER_BYTES - "SUB \n".len();
        assert_eq!(one(&frame(longest)).args.len(), longest);
        assert_eq!(decode(&frame(longest + 1)), Err(FrameError::HeaderTooLong));
        assert_eq!(decode(&vec![b'A'; MAX_HEADER_BYTES]), Err(FrameError::HeaderTooLong));
        assert_eq!(decode(&vec![b'A'; MAX_HEADER_BYTES - 1]), Ok(None));
    }

    #[test]
    fn missing_is_what_completes_the_frame() {
        assert_eq!(missing(b"PUB a"), 1);
        assert_eq!(missing(b"PUB a\n\0"), 3);
        assert_eq!(missing(b"PUB a\n\0\0\0\x05{"), 4);
    }
}
