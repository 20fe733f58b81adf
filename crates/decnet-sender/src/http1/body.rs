//! The framing of a reply's body, and its incremental decoder.

use decnet_core::limits::{MAX_CHUNK_LINE_BYTES, MAX_REPLY_HEADER_BYTES};
use httparse::Status;

/// The error for a body that violates the announced framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The way in which the end of a body is determined (RFC 9112 section 6.3), and the position in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// The body ends after this number of further bytes.
    Length(u64),
    /// The body ends with the last chunk.
    Chunked(Chunk),
    /// The body ends with the connection.
    Close,
    /// The end of the body is unknown: its lengths are invalid or contradict each other.
    Unknown,
}

/// The position in a chunked body (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before the line with the size of a chunk.
    Size,
    /// In the data of a chunk, with the number of bytes that are left.
    Data(u64),
    /// Before the line break after the data.
    Break,
    /// In the trailer section, with the number of bytes read so far.
    Trailers(usize),
}

impl Framing {
    /// Passes the data in `input` to `data`. Returns the number of bytes consumed, and whether they reach the body's end.
    ///
    /// # Errors
    /// [`Malformed`] if a chunk is malformed, or a line or the trailer section is too long.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<(usize, bool), Malformed> {
        match self {
            Self::Length(left) => {
                let taken = take(left, input, &mut data);
                Ok((taken, *left == 0))
            }
            // The bytes received with the head are kept, although some may not belong to a body of unknown length.
            Self::Close | Self::Unknown => {
                data(input);
                Ok((input.len(), false))
            }
            Self::Chunked(chunk) => chunk.decode(input, &mut data),
        }
    }
}

impl Chunk {
    fn decode(&mut self, input: &[u8], data: &mut impl FnMut(&[u8])) -> Result<(usize, bool), Malformed> {
        let mut done = 0;
        loop {
            let rest = &input[done..];
            let taken = match self {
                Self::Size => self.size(rest)?,
                Self::Data(left) => {
                    let taken = take(left, rest, data);
                    if *left == 0 {
                        *self = Self::Break;
                    }
                    taken
                }
                Self::Break => self.line_break(rest)?,
                Self::Trailers(read) => match trailer_line(rest, read)? {
                    Some(2) if rest.starts_with(b"\r\n") => return Ok((done + 2, true)),
                    Some(1) => return Ok((done + 1, true)),
                    taken => taken.unwrap_or(0),
                },
            };
            if taken == 0 {
                return Ok((done, false));
            }
            done += taken;
        }
    }

    fn size(&mut self, rest: &[u8]) -> Result<usize, Malformed> {
        match httparse::parse_chunk_size(rest) {
            Ok(Status::Complete((taken, 0))) => {
                *self = Self::Trailers(0);
                Ok(taken)
            }
            Ok(Status::Complete((taken, size))) => {
                *self = Self::Data(size);
                Ok(taken)
            }
            Ok(Status::Partial) if rest.len() <= MAX_CHUNK_LINE_BYTES => Ok(0),
            Ok(Status::Partial) | Err(_) => Err(Malformed),
        }
    }

    fn line_break(&mut self, rest: &[u8]) -> Result<usize, Malformed> {
        match rest {
            [b'\r', b'\n', ..] => {
                *self = Self::Size;
                Ok(2)
            }
            [] | [b'\r'] => Ok(0),
            _ => Err(Malformed),
        }
    }
}

/// Passes up to `left` bytes of the input to `data`. Returns their number.
fn take(left: &mut u64, input: &[u8], data: &mut impl FnMut(&[u8])) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    if taken > 0 {
        data(&input[..taken]);
    }
    *left -= taken as u64;
    taken
}

/// Returns the length of the next line, with its line break, if it is complete. `read` is the length of the trailers so far.
fn trailer_line(rest: &[u8], read: &mut usize) -> Result<Option<usize>, Malformed> {
    let line = rest.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
    if *read + line.unwrap_or(rest.len()) > MAX_REPLY_HEADER_BYTES {
        return Err(Malformed);
    }
    *read += line.unwrap_or(0);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes pieces of `step` bytes. Returns the body, and the number of bytes consumed if the body is complete.
    fn decoded(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, Option<usize>), Malformed> {
        let (mut decoder, mut body, mut buffer, mut done) = (framing, Vec::new(), Vec::new(), 0);
        for piece in input.chunks(step) {
            buffer.extend_from_slice(piece);
            let (taken, end) = decoder.decode(&buffer, |data| body.extend_from_slice(data))?;
            done += taken;
            if end {
                return Ok((body, Some(done)));
            }
            buffer.drain(..taken);
        }
        Ok((body, None))
    }

    #[test]
    fn pieces_of_any_size_give_the_same_body() {
        let chunked = b"4\r\nWiki\r\n6;x=y\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nx-sum: 1\r\n\r\nNEXT";
        let whole = (b"Wikipedia in \r\n\r\nchunks.".to_vec(), Some(chunked.len() - 4));
        for step in 1..chunked.len() {
            assert_eq!(decoded(Framing::Chunked(Chunk::Size), chunked, step), Ok(whole.clone()), "{step}");
            assert_eq!(decoded(Framing::Length(5), b"helloNEXT", step), Ok((b"hello".into(), Some(5))));
            assert_eq!(decoded(Framing::Close, b"hello", step), Ok((b"hello".into(), None)));
        }
        assert_eq!(decoded(Framing::Length(0), b"N", 1), Ok((vec![], Some(0))));
    }

    #[test]
    fn truncated_body_is_incomplete() {
        for cut in ["", "4", "4\r\n", "4\r\nWiki", "4\r\nWiki\r\n", "0\r\n", "0\r\nx: y\r\n", "0\r\n\r"] {
            let (_, end) = decoded(Framing::Chunked(Chunk::Size), cut.as_bytes(), usize::MAX).unwrap();
            assert_eq!(end, None, "{cut:?}");
        }
    }

    #[test]
    fn malformed_and_endless_chunks_are_rejected() {
        let endless_line = "1".repeat(2 * MAX_CHUNK_LINE_BYTES);
        let endless_extension = format!("1;{}", "x".repeat(2 * MAX_CHUNK_LINE_BYTES));
        let endless_trailers = format!("0\r\n{}", "a: b\r\n".repeat(MAX_REPLY_HEADER_BYTES));
        for body in ["zz\r\n", "4\r\nWikix", "-1\r\n", &endless_line, &endless_extension, &endless_trailers] {
            assert_eq!(
                decoded(Framing::Chunked(Chunk::Size), body.as_bytes(), 512),
                Err(Malformed),
                "{body:.20}"
            );
        }
    }
}
