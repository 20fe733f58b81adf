//! The sources of payloads: an argument, a file, or a stream of lines.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, stdin};

use anyhow::Context as _;
use decnet_bus::protocol::is_truthy;
use decnet_core::limits::MAX_BODY_BYTES;
use decnet_core::text::BYTE_ORDER_MARK;
use tokio::sync::mpsc;

use crate::failure::Usage;

/// The maximum number of lines in a chunk.
const CHUNK: usize = 256;
/// The maximum number of bytes read of a line: one more than the longest body, which is longer than its payload.
const MAX_LINE_BYTES: u64 = MAX_BODY_BYTES as u64 + 1;

/// A non-empty line.
#[derive(Debug)]
pub(super) struct Line {
    /// The line number, from 1.
    pub(super) number: u64,
    /// The trimmed text, or the reason why it cannot be published.
    pub(super) json: anyhow::Result<String>,
}

/// The payloads to publish.
pub(super) enum Input {
    /// One payload.
    One(String),
    /// One payload per line.
    Lines(Box<dyn Read + Send>),
}

impl Input {
    /// Opens the source that the argument names: JSON, `-` or `@file`.
    ///
    /// # Errors
    /// The argument is not valid JSON, or the file cannot be read.
    pub(super) fn open(argument: &str) -> anyhow::Result<Self> {
        if argument == "-" {
            return Ok(Self::Lines(Box::new(stdin())));
        }
        let Some(path) = argument.strip_prefix('@') else { return Ok(Self::argument(argument)?) };
        File::open(path).and_then(Self::file).with_context(|| format!("cannot read {path}"))
    }

    /// Checks the payload before connecting to the bus. The most common mistake is quotes removed by the shell.
    fn argument(json: &str) -> Result<Self, Usage> {
        match serde_json::from_str::<serde::de::IgnoredAny>(json) {
            Ok(_) => refuse_replaced(json).map(|()| Self::One(json.to_owned())).map_err(Usage::new),
            Err(_) if json.starts_with(BYTE_ORDER_MARK) => {
                Err(Usage::new("the payload begins with a byte order mark (U+FEFF); remove it"))
            }
            Err(error) => Err(Usage::new(format!(
                "the payload is not valid JSON: {error}; quote it for the shell, as in '{{\"ip\":\"192.0.2.1\"}}'"
            ))),
        }
    }

    /// Reads a file as one value if it contains a single JSON value that fits into a body, and as lines otherwise.
    fn file(mut file: File) -> std::io::Result<Self> {
        let mut beginning = Vec::new();
        (&mut file).take(MAX_LINE_BYTES).read_to_end(&mut beginning)?;
        if let Ok(json) = str::from_utf8(without_mark(&beginning))
            && serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok()
        {
            refuse_replaced(json).map_err(std::io::Error::other)?;
            return Ok(Self::One(json.to_owned()));
        }
        Ok(Self::Lines(Box::new(Cursor::new(beginning).chain(file))))
    }
}

/// Removes a byte order mark, which a JSON parser may ignore (RFC 8259, section 8.1).
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK.encode_utf8(&mut [0; 4]).as_bytes()).unwrap_or(bytes)
}

/// Rejects a payload that the bus would replace by `{}`. Accepts `null` and `{}`, which lose nothing.
fn refuse_replaced(json: &str) -> Result<(), String> {
    let json = json.trim();
    let is_kept = is_truthy(json) || json == "null" || json.starts_with('{');
    // Invalid JSON is rejected later, when it is published.
    if is_kept || serde_json::from_str::<serde::de::IgnoredAny>(json).is_err() {
        return Ok(());
    }
    Err(format!(
        "the payload {json} would arrive as {{}}: DECNET's wire protocol replaces 0, false, \"\" and []; wrap it, as in \
         '{{\"value\":{json}}}', or send it over HTTP (POST /api/v1/events)"
    ))
}

/// Reads lines into `chunks` until the source ends or the receiver is dropped. A chunk has the lines that have arrived, so a
/// slow stream is passed on line by line. Skips empty lines and a byte order mark before the first line.
///
/// # Errors
/// The source cannot be read. The lines before the error were sent to `chunks`.
pub(super) fn read_lines(
    source: Box<dyn Read + Send>,
    chunks: &mpsc::Sender<Vec<Line>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, source);
    let (mut chunk, mut number, mut read) = (Vec::new(), 0, Ok(true));
    while matches!(read, Ok(true)) {
        number += 1;
        read = next_line(&mut reader, number, &mut chunk);
        let has_more = matches!(read, Ok(true)) && reader.buffer().contains(&b'\n');
        let is_due = !chunk.is_empty() && (!has_more || chunk.len() >= CHUNK);
        if is_due && chunks.blocking_send(std::mem::take(&mut chunk)).is_err() {
            return Ok(());
        }
    }
    read.map(drop)
}

/// Appends the next line unless it is empty. Returns false at the end of the source.
fn next_line(reader: &mut impl BufRead, number: u64, lines: &mut Vec<Line>) -> std::io::Result<bool> {
    let mut line = Vec::new();
    if reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(false);
    }
    if line.len() > MAX_BODY_BYTES && !line.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
    }
    let text = if number == 1 { without_mark(&line) } else { &line }.trim_ascii();
    if !text.is_empty() {
        lines.push(Line { number, json: payload(text) });
    }
    Ok(true)
}

fn payload(text: &[u8]) -> anyhow::Result<String> {
    anyhow::ensure!(
        text.len() <= MAX_BODY_BYTES,
        "the payload is longer than {MAX_BODY_BYTES} bytes, the limit of a bus frame"
    );
    let json = str::from_utf8(text).context("the payload is not valid UTF-8")?;
    refuse_replaced(json).map_err(anyhow::Error::msg)?;
    Ok(json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let (chunks, mut received) = mpsc::channel(64);
        read_lines(Box::new(Cursor::new(text.to_vec())), &chunks).unwrap();
        let mut all = Vec::new();
        while let Ok(chunk) = received.try_recv() {
            let numbered = |Line { number, json }| (number, json.map_err(|error| error.to_string()));
            all.extend(chunk.into_iter().map(numbered));
        }
        all
    }

    fn numbered(number: u64, json: &str) -> (u64, Result<String, String>) {
        (number, Ok(json.to_owned()))
    }

    #[test]
    fn lines_are_numbered_and_empty_lines_skipped() {
        assert_eq!(lines(b"{}\r\n\n [1] \n3"), [numbered(1, "{}"), numbered(3, "[1]"), numbered(4, "3")]);
    }

    #[test]
    fn invalid_line_does_not_affect_other_lines() {
        for bytes in [MAX_BODY_BYTES + 1, MAX_BODY_BYTES + 2, 3 * MAX_BODY_BYTES] {
            let long = vec![b'1'; bytes];
            let read = lines(&[b"{}\n", &long[..], b"\n\xff\n[2]\n"].concat());
            let numbers: Vec<_> = read.iter().map(|(number, json)| (*number, json.is_ok())).collect();
            assert_eq!(numbers, [(1, true), (2, false), (3, false), (4, true)], "{bytes} bytes");
            assert!(read[1].1.as_ref().unwrap_err().contains("1048576 bytes"));
            assert_eq!(read[2].1.as_ref().unwrap_err(), "the payload is not valid UTF-8");
        }
    }

    /// A source whose second read fails.
    struct Broken(bool);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(std::io::ErrorKind::Other.into());
            }
            buffer[..4].copy_from_slice(b"1\n2\n");
            Ok(4)
        }
    }

    #[test]
    fn lines_before_a_read_error_are_kept() {
        let (chunks, mut received) = mpsc::channel(64);
        assert!(read_lines(Box::new(Broken(false)), &chunks).is_err());
        assert_eq!(received.try_recv().unwrap().len(), 2);
    }

    #[test]
    fn payloads_that_the_bus_would_replace_are_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("payload");
        let from_file = format!("@{}", path.display());
        for json in ["0", "-0", "0.0", "0e5", "false", "\"\"", "[]", " [ ]\t"] {
            let error = Input::open(json).err().unwrap();
            assert!(error.is::<Usage>() && error.to_string().contains("would arrive as {}"), "{error}");
            std::fs::write(&path, json).unwrap();
            assert!(format!("{:#}", Input::open(&from_file).err().unwrap()).contains("would arrive as {}"));
            let read = lines(format!("1\n{json}\n2\n").as_bytes());
            assert!(read[1].1.as_ref().unwrap_err().contains("would arrive as {}"), "{read:?}");
            assert_eq!([&read[0], &read[2]], [&numbered(1, "1"), &numbered(3, "2")]);
        }
        for json in ["{}", " { } ", "null", "1", "-1", "1e-5", "true", "\"0\"", "[0]"] {
            assert!(matches!(Input::open(json), Ok(Input::One(_))), "{json}");
        }
    }

    #[test]
    fn byte_order_mark_is_skipped_only_at_the_beginning() {
        let read = lines("\u{feff}{}\n\u{feff}2\n".as_bytes());
        assert_eq!(read, [numbered(1, "{}"), numbered(2, "\u{feff}2")]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}{\n}\n").unwrap();
        let read = Input::open(&format!("@{}", file.path().display())).unwrap();
        assert!(matches!(read, Input::One(json) if json == "{\n}\n"));
        let Err(refused) = Input::open("\u{feff}{}") else { panic!("the argument was accepted") };
        assert!(refused.to_string().contains("byte order mark"));
    }

    #[test]
    fn file_is_one_value_or_lines() {
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
