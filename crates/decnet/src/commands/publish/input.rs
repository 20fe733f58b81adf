//! Where payloads come from: an argument, a file, or lines that may never end.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, stdin};

use anyhow::Context as _;
use decnet_bus::unix::codec::is_truthy;
use decnet_core::limits::MAX_BODY_BYTES;
use decnet_core::text::BYTE_ORDER_MARK;
use tokio::sync::mpsc;

use crate::failure::Usage;

/// Payloads handed over at once.
const CHUNK: usize = 256;
/// No payload is larger than the body that carries it.
const MAX_LINE_BYTES: u64 = MAX_BODY_BYTES as u64 + 1;

/// One payload, and the line it stands on, where it stands on one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) json: String,
    pub(super) line: Option<u64>,
}

/// What there is to publish.
pub(super) enum Input {
    /// One payload.
    One(String),
    /// A payload a line.
    Lines(Box<dyn Read + Send>),
}

impl Input {
    /// Reads the argument: JSON, `-` or `@file`.
    ///
    /// # Errors
    /// An argument that is no JSON, a file that cannot be read.
    pub(super) fn open(argument: &str) -> anyhow::Result<Self> {
        if argument == "-" {
            return Ok(Self::Lines(Box::new(stdin())));
        }
        let Some(path) = argument.strip_prefix('@') else { return Ok(Self::argument(argument)?) };
        File::open(path).and_then(Self::file).with_context(|| format!("{path} cannot be read"))
    }

    /// Looked at before a bus is: what most often goes wrong is the shell, which takes quotes away.
    fn argument(json: &str) -> Result<Self, Usage> {
        match serde_json::from_str::<serde::de::IgnoredAny>(json) {
            Ok(_) => refuse_replaced(json).map(|()| Self::One(json.to_owned())).map_err(Usage::new),
            Err(_) if json.starts_with(BYTE_ORDER_MARK) => {
                Err(Usage::new("the payload begins with a byte order mark (U+FEFF); leave that out"))
            }
            Err(error) => Err(Usage::new(format!(
                "the payload is not JSON: {error}; quote it for the shell, as in '{{\"ip\":\"192.0.2.1\"}}'"
            ))),
        }
    }

    /// A file is one value, if it is a small one and holds just that; otherwise it is lines.
    fn file(mut file: File) -> std::io::Result<Self> {
        let mut beginning = Vec::new();
        (&mut file).take(MAX_LINE_BYTES).read_to_end(&mut beginning)?;
        let json = without_mark(&beginning);
        let is_one = serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok();
        match String::from_utf8(beginning) {
            Ok(text) if is_one => {
                let json = text.trim_start_matches(BYTE_ORDER_MARK);
                refuse_replaced(json).map_err(std::io::Error::other)?;
                Ok(Self::One(json.to_owned()))
            }
            Ok(lines) => Ok(Self::Lines(Box::new(Cursor::new(lines.into_bytes()).chain(file)))),
            Err(error) => Ok(Self::Lines(Box::new(Cursor::new(error.into_bytes()).chain(file)))),
        }
    }
}

/// The bytes behind a byte order mark, which JSON may be read without (RFC 8259, section 8.1).
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK.encode_utf8(&mut [0; 4]).as_bytes()).unwrap_or(bytes)
}

/// Refuses a payload that the bus would replace by `{}`. `null` and `{}` pass: they have nothing to lose.
fn refuse_replaced(json: &str) -> Result<(), String> {
    let json = json.trim();
    let is_kept = is_truthy(json) || json == "null" || json.starts_with('{');
    // What is not JSON is refused as such, when it is published.
    if is_kept || serde_json::from_str::<serde::de::IgnoredAny>(json).is_err() {
        return Ok(());
    }
    Err(format!(
        "the payload {json} would arrive as {{}}: DECNET's wire protocol replaces 0, false, \"\" and []; wrap it, as in \
         '{{\"value\":{json}}}', or send it over HTTP (POST /api/v1/events)"
    ))
}

/// Reads lines into `chunks` until they end or nobody takes them: as many at once as have come, so that a slow
/// stream is passed on line by line. Empty lines, and a byte order mark before the first line, are skipped.
///
/// # Errors
/// A line that is too long, not UTF-8 or would be replaced on the bus, or what the operating system says. The lines before it are in `chunks` then.
pub(super) fn read_lines(
    source: Box<dyn Read + Send>,
    chunks: &mpsc::Sender<Vec<Payload>>,
) -> anyhow::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, source);
    let (mut chunk, mut number) = (Vec::new(), 0);
    loop {
        number += 1;
        let ended = match next_line(&mut reader, number) {
            Ok(Line::Payload(payload)) => {
                chunk.push(payload);
                None
            }
            Ok(Line::Empty) => None,
            Ok(Line::End) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        let has_more = ended.is_none() && reader.buffer().contains(&b'\n');
        let is_due = !chunk.is_empty() && (!has_more || chunk.len() >= CHUNK);
        if is_due && chunks.blocking_send(std::mem::take(&mut chunk)).is_err() {
            return Ok(());
        }
        if let Some(result) = ended {
            return result;
        }
    }
}

/// What the next line of a stream is.
enum Line {
    Payload(Payload),
    Empty,
    /// There is no further line.
    End,
}

fn next_line(reader: &mut impl BufRead, number: u64) -> anyhow::Result<Line> {
    let mut line = Vec::new();
    if reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(Line::End);
    }
    let text = if number == 1 { without_mark(&line) } else { &line }.trim_ascii();
    if text.is_empty() {
        return Ok(Line::Empty);
    }
    let too_long = || format!("line {number} is longer than the {MAX_BODY_BYTES} bytes an event may have");
    anyhow::ensure!(line.len() <= MAX_BODY_BYTES, too_long());
    let json = str::from_utf8(text).with_context(|| format!("line {number} is not UTF-8"))?;
    refuse_replaced(json).map_err(|why| anyhow::anyhow!("line {number}: {why}"))?;
    Ok(Line::Payload(Payload { json: json.to_owned(), line: Some(number) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> (Vec<(String, Option<u64>)>, anyhow::Result<()>) {
        let (chunks, mut received) = mpsc::channel(64);
        let result = read_lines(Box::new(Cursor::new(text.to_vec())), &chunks);
        let mut all = Vec::new();
        while let Ok(chunk) = received.try_recv() {
            all.extend(chunk.into_iter().map(|Payload { json, line }| (json, line)));
        }
        (all, result)
    }

    #[test]
    fn lines_are_numbered_and_empty_ones_skipped() {
        let (all, result) = lines(b"{}\r\n\n [1] \n3");
        result.unwrap();
        assert_eq!(all, [("{}".into(), Some(1)), ("[1]".into(), Some(3)), ("3".into(), Some(4))]);
    }

    #[test]
    fn a_line_that_no_event_can_carry_is_named() {
        let mut long = b"{}\n".to_vec();
        long.extend(std::iter::repeat_n(b'1', MAX_BODY_BYTES + 1));
        assert!(lines(&long).1.unwrap_err().to_string().contains("line 2"));
        assert!(lines(b"1\n\xff\n").1.unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn lines_before_a_bad_one_are_kept() {
        for bad in [b"\xff".to_vec(), vec![b'1'; MAX_BODY_BYTES + 1]] {
            let (all, result) = lines(&[&b"1\n\n2\n"[..], &bad, b"\n4\n"].concat());
            assert_eq!(all, [("1".into(), Some(1)), ("2".into(), Some(3))]);
            assert!(result.unwrap_err().to_string().contains("line 4"));
        }
    }

    #[test]
    fn payloads_that_the_bus_would_replace_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("payload");
        let from_file = format!("@{}", path.display());
        for json in ["0", "-0", "0.0", "0e5", "false", "\"\"", "[]", " [ ]\t"] {
            let error = Input::open(json).err().unwrap();
            assert!(error.is::<Usage>() && error.to_string().contains("would arrive as {}"), "{error}");
            std::fs::write(&path, json).unwrap();
            assert!(format!("{:#}", Input::open(&from_file).err().unwrap()).contains("would arrive as {}"));
            let (before, result) = lines(format!("1\n{json}\n2\n").as_bytes());
            assert!(result.unwrap_err().to_string().starts_with("line 2: the payload"));
            assert_eq!(before, [("1".into(), Some(1))]);
        }
        for json in ["{}", " { } ", "null", "1", "-1", "1e-5", "true", "\"0\"", "[0]"] {
            assert!(matches!(Input::open(json), Ok(Input::One(_))), "{json}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_beginning_alone() {
        let (all, result) = lines("\u{feff}{}\n\u{feff}2\n".as_bytes());
        result.unwrap();
        assert_eq!(all, [("{}".into(), Some(1)), ("\u{feff}2".into(), Some(2))]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}{\n}\n").unwrap();
        let read = Input::open(&format!("@{}", file.path().display())).unwrap();
        assert!(matches!(read, Input::One(json) if json == "{\n}\n"));
        let Err(refused) = Input::open("\u{feff}{}") else { panic!("an argument is taken as it is") };
        assert!(refused.to_string().contains("byte order mark"));
    }

    #[test]
    fn a_file_is_one_value_or_lines() {
        let dir = tempfile::tempdir().unwrap();
        let open = |text: &str| {
            let path = dir.path().join("payload");
            std::fs::write(&path, text).unwrap();
            Input::open(&format!("@{}", path.display())).unwrap()
        };
        assert!(matches!(open("{\n \"a\": 1\n}\n"), Input::One(_)));
        assert!(matches!(open("{}\n{}\n"), Input::Lines(_)));
        assert!(Input::open("@/nowhere").is_err());
        assert!(matches!(Input::open("-"), Ok(Input::Lines(_))));
    }
}
