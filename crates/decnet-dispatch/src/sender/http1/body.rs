//! The body of a reply, piece by piece, whatever the pieces.

use decnet_core::limits::{MAX_CHUNK_LINE_BYTES, MAX_REPLY_HEADER_BYTES};
use httparse::Status;

use super::head::Framing;

/// What is no body of the kind that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Finds the end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunk),
    Close,
}

/// Where in a chunked body (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before the line with a chunk's size.
    Size,
    /// So many bytes of it are left.
    Data(u64),
    /// Before the line break behind its data.
    Break,
    /// In the trailer section, so many bytes of which have been read.
    Trailers(usize),
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunk::Size),
            // What came with the head is kept; nobody knows how much belongs to it.
            Framing::Close | Framing::Unknown => Self::Close,
        }
    }

    /// Is the connection's end the body's end?
    pub(super) fn may_end_here(self) -> bool {
        self == Self::Close
    }

    /// Gives the data in `input` to `data`. How much of `input` is done with, and is that the body's end?
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
            Self::Close => {
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
                Self::Trailers(read) => match trailer(rest, read)? {
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

/// Takes what there is of the `left` bytes.
fn take(left: &mut u64, input: &[u8], data: &mut impl FnMut(&[u8])) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    if taken > 0 {
        data(&input[..taken]);
    }
    *left -= taken as u64;
    taken
}

/// How long the next line is, with its end, if it is there; `read` counts what the trailers took so far.
fn trailer(rest: &[u8], read: &mut usize) -> Result<Option<usize>, Malformed> {
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

    /// The body and how much of the input it took, if it is whole; fed in pieces of `step` bytes.
    fn decoded(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, Option<usize>), Malformed> {
        let (mut decoder, mut body, mut buffer, mut done) =
            (Decoder::new(framing), Vec::new(), Vec::new(), 0);
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
    fn any_pieces_make_the_same_body() {
        let chunked = b"4\r\nWiki\r\n6;x=y\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nx-sum: 1\r\n\r\nNEXT";
        let whole = (b"Wikipedia in \r\n\r\nchunks.".to_vec(), Some(chunked.len() - 4));
        for step in 1..chunked.len() {
            assert_eq!(decoded(Framing::Chunked, chunked, step), Ok(whole.clone()), "{step}");
            assert_eq!(decoded(Framing::Length(5), b"helloNEXT", step), Ok((b"hello".into(), Some(5))));
            assert_eq!(decoded(Framing::Close, b"hello", step), Ok((b"hello".into(), None)));
        }
        assert_eq!(decoded(Framing::Length(0), b"N", 1), Ok((vec![], Some(0))));
    }

    #[test]
    fn what_is_cut_short_has_no_end() {
        for cut in ["", "4", "4\r\n", "4\r\nWiki", "4\r\nWiki\r\n", "0\r\n", "0\r\nx: y\r\n", "0\r\n\r"] {
            let (_, end) = decoded(Framing::Chunked, cut.as_bytes(), usize::MAX).unwrap();
            assert_eq!(end, None, "{cut:?}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused_and_nothing_grows_without_bound() {
        let endless_line = "1".repeat(2 * MAX_CHUNK_LINE_BYTES);
        let endless_extension = format!("1;{}", "x".repeat(2 * MAX_CHUNK_LINE_BYTES));
        let endless_trailers = format!("0\r\n{}", "a: b\r\n".repeat(MAX_REPLY_HEADER_BYTES));
        for body in ["zz\r\n", "4\r\nWikix", "-1\r\n", &endless_line, &endless_extension, &endless_trailers] {
            assert_eq!(decoded(Framing::Chunked, body.as_bytes(), 512), Err(Malformed), "{body:.20}");
        }
    }
}
