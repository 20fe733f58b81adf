//! Decoding of frames.

use std::ops::Range;

use decnet_core::limits::{MAX_BODY_BYTES, MAX_HEADER_BYTES};

use super::Verb;

/// The size of the body's length in a frame.
pub(super) const LENGTH_BYTES: usize = 4;
/// The maximum number of bytes of an unknown verb that an error quotes.
const MAX_QUOTED_BYTES: usize = 32;

/// One frame, borrowed from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header's first word.
    pub verb: Verb,
    /// The rest of the header, trimmed as by Python's `str.strip`; inner spaces are kept.
    pub args: &'a str,
    /// The body, not validated.
    pub body: &'a [u8],
}

/// The reason why bytes are not a valid frame. The stream cannot be resynchronized: close the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is no newline within the maximum header length.
    #[error("header longer than {MAX_HEADER_BYTES} bytes")]
    HeaderTooLong,
    /// The header line is empty.
    #[error("empty header line")]
    EmptyHeader,
    /// The header is not ASCII.
    #[error("header is not ASCII")]
    NotAscii,
    /// The first word is not a verb of the protocol. Verbs are upper-case.
    #[error("unknown verb {0:?}")]
    UnknownVerb(Box<str>),
    /// The length prefix exceeds the maximum.
    #[error("body of {0} bytes exceeds the maximum of {MAX_BODY_BYTES}")]
    BodyTooLong(usize),
}

/// The ranges of a frame's parts within its buffer, for a reader that shares the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The header's first word.
    pub verb: Verb,
    /// See [`Frame::args`]: ASCII.
    pub args: Range<usize>,
    /// See [`Frame::body`]; the frame ends with it.
    pub body: Range<usize>,
}

/// Returns the first frame of `buffer` and its length in bytes; `None` if the frame is incomplete.
///
/// A bad header is an error as soon as its line is complete, a bad length as soon as its four bytes are.
///
/// # Errors
/// See [`FrameError`].
pub fn decode(buffer: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(Layout { verb, args, body }) = locate(buffer)? else { return Ok(None) };
    let args = std::str::from_utf8(&buffer[args]).map_err(|_| FrameError::NotAscii)?;
    let end = body.end;
    Ok(Some((Frame { verb, args, body: &buffer[body] }, end)))
}

/// Works like [`decode`] but returns ranges.
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

/// Returns how many more bytes the incomplete frame at the start of `buffer` needs, as far as its header determines this: at
/// least one. Used to reserve space before the next read.
#[must_use]
pub fn missing(buffer: &[u8]) -> usize {
    let Some(newline) = memchr::memchr(b'\n', buffer) else { return 1 };
    let start = newline + 1;
    let body_len = body_len(&buffer[start..]).ok().flatten().unwrap_or(0);
    (start + LENGTH_BYTES + body_len).saturating_sub(buffer.len()).max(1)
}

/// Returns the verb, the range of the arguments and the index of the newline.
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

/// Returns the index after the last byte for which `is_kept` is true.
fn end_where(line: &[u8], is_kept: impl Fn(u8) -> bool) -> usize {
    line.iter().rposition(|byte| is_kept(*byte)).map_or(0, |last| last + 1)
}

fn body_len(rest: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some((length, _)) = rest.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_BODY_BYTES { Err(FrameError::BodyTooLong(length)) } else { Ok(Some(length)) }
}

/// Returns whether Python's `str.strip` removes this ASCII byte; the file separators count as whitespace too.
pub(super) fn is_python_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b'\x1c'..=b' ')
}

fn unknown(word: &[u8]) -> FrameError {
    FrameError::UnknownVerb(String::from_utf8_lossy(&word[..word.len().min(MAX_QUOTED_BYTES)]).into())
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
    fn invalid_frames_are_rejected() {
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
    fn the_header_limit_is_exact() {
        let frame = |len: usize| [b"SUB ", "a".repeat(len).as_bytes(), b"\n\0\0\0\0"].concat();
        let longest = MAX_HEADER_BYTES - "SUB \n".len();
        assert_eq!(one(&frame(longest)).args.len(), longest);
        assert_eq!(decode(&frame(longest + 1)), Err(FrameError::HeaderTooLong));
        assert_eq!(decode(&vec![b'A'; MAX_HEADER_BYTES]), Err(FrameError::HeaderTooLong));
        assert_eq!(decode(&vec![b'A'; MAX_HEADER_BYTES - 1]), Ok(None));
    }

    #[test]
    fn missing_bytes_complete_the_frame() {
        assert_eq!(missing(b"PUB a"), 1);
        assert_eq!(missing(b"PUB a\n\0"), 3);
        assert_eq!(missing(b"PUB a\n\0\0\0\x05{"), 4);
    }
}
