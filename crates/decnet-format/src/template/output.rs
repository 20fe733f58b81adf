//! What a template writes: every value is escaped, and the output is bounded while it is written.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, Output};

use super::{MAX_OUTPUT_BYTES, Markup};

/// A complete JSON value, as the filter `tojson` creates it in a template for JSON. Filters and operators turn it into text, which
/// is escaped again.
#[derive(Debug)]
pub(super) struct JsonText(pub(super) String);

impl Object for JsonText {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A link to a page of this program, which chat formats would otherwise make unusable like the links in events.
#[derive(Debug)]
pub(super) struct Link(pub(super) String);

impl Link {
    /// Returns whether the link has no character with a meaning in any markup.
    fn is_plain(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?=%[]".contains(&byte))
    }
}

impl Object for Link {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes a value. The engine calls this for each value that a template writes.
pub(super) fn write(out: &mut Output<'_>, value: &Value, markup: Markup) -> Result<(), Error> {
    if markup.is_json
        && let Some(json) = value.downcast_object_ref::<JsonText>()
    {
        return Ok(out.write_str(&json.0)?);
    }
    if let Some(link) = value.downcast_object_ref::<Link>().filter(|link| link.is_plain()) {
        return Ok(out.write_str(&link.0)?);
    }
    let text = match value.as_str() {
        Some(text) if text.len() > MAX_OUTPUT_BYTES => return Err(too_large()),
        Some(text) => text,
        None => match value.kind() {
            ValueKind::Invalid => return Err(Error::new(ErrorKind::InvalidOperation, value.to_string())),
            // As in the event. The engine would write them as in Python.
            ValueKind::None => "null",
            ValueKind::Bool if value.is_true() => "true",
            ValueKind::Bool => "false",
            _ => &bounded_text(value)?,
        },
    };
    let mut escaped = String::with_capacity(text.len());
    (markup.escape)(text, &mut escaped);
    Ok(out.write_str(&escaped)?)
}

/// Returns the text of a value that is not a string.
fn bounded_text(value: &Value) -> Result<String, Error> {
    let mut text = BoundedText(String::new());
    write!(text, "{value}").map_err(|_| too_large())?;
    Ok(text.0)
}

/// Returns the error for an output above [`MAX_OUTPUT_BYTES`].
pub(super) fn too_large() -> Error {
    Error::from(ErrorKind::WriteFailure)
}

/// A text of at most [`MAX_OUTPUT_BYTES`].
struct BoundedText(String);

impl fmt::Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_OUTPUT_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// A writer of at most [`MAX_OUTPUT_BYTES`].
#[derive(Default)]
pub(super) struct BoundedWriter(Vec<u8>);

impl BoundedWriter {
    /// Returns the text that was written.
    ///
    /// # Errors
    /// The bytes are not UTF-8, which does not happen: the engine and `tojson` write text.
    pub(super) fn into_text(self) -> Result<String, Error> {
        String::from_utf8(self.0).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
    }
}

impl io::Write for BoundedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
