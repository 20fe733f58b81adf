//! A writer of JSON messages (RFC 8259): members in the order of the calls, texts without a copy of their own.

use crate::escape;

/// The usual size of a message in bytes.
const MESSAGE_BYTES: usize = 2048;

/// Writes a JSON object into memory. Names of members are constants without characters that JSON escapes.
pub(in crate::formats) struct JsonWriter {
    out: String,
    /// The text of [`Self::composed`].
    text: String,
    /// Whether the next member or element is the first, so that no comma is before it.
    is_first: bool,
}

impl JsonWriter {
    /// Appends an object with the members that `write` writes.
    pub(in crate::formats) fn message(out: &mut Vec<u8>, write: impl FnOnce(&mut Self)) {
        let text = String::with_capacity(MESSAGE_BYTES / 4);
        let mut writer = Self { out: String::with_capacity(MESSAGE_BYTES), text, is_first: true };
        writer.element(write);
        out.extend_from_slice(writer.out.as_bytes());
    }

    /// Writes a member that is a text.
    pub(in crate::formats) fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.push_text(text);
    }

    /// Writes a member that is a text, if there is one.
    pub(in crate::formats) fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// Writes a member that is the text that `compose` appends. Returns its result.
    pub(in crate::formats) fn composed<T>(
        &mut self,
        name: &'static str,
        compose: impl FnOnce(&mut String) -> T,
    ) -> T {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let result = compose(&mut text);
        self.text(name, &text);
        self.text = text;
        result
    }

    /// Writes a member that is true or false.
    pub(in crate::formats) fn flag(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.out.push_str(if value { "true" } else { "false" });
    }

    /// Writes a member that is a number.
    pub(in crate::formats) fn number(&mut self, name: &'static str, value: u32) {
        self.name(name);
        self.out.push_str(&value.to_string());
    }

    /// Writes a member that is an object.
    pub(in crate::formats) fn object<T>(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.name(name);
        self.enclosed(['{', '}'], write)
    }

    /// Writes a member that is a list.
    pub(in crate::formats) fn list<T>(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.name(name);
        self.enclosed(['[', ']'], write)
    }

    /// Writes an element of a list, an object.
    pub(in crate::formats) fn element<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        self.separate();
        self.enclosed(['{', '}'], write)
    }

    fn enclosed<T>(&mut self, [open, close]: [char; 2], write: impl FnOnce(&mut Self) -> T) -> T {
        self.out.push(open);
        self.is_first = true;
        let result = write(self);
        self.is_first = false;
        self.out.push(close);
        result
    }

    fn name(&mut self, name: &'static str) {
        self.separate();
        self.out.extend(["\"", name, "\":"]);
    }

    fn separate(&mut self) {
        if !self.is_first {
            self.out.push(',');
        }
        self.is_first = false;
    }

    fn push_text(&mut self, text: &str) {
        self.out.push('"');
        escape::json::write(text, &mut self.out);
        self.out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(write: impl FnOnce(&mut JsonWriter)) -> Value {
        let mut out = b"before ".to_vec();
        JsonWriter::message(&mut out, write);
        serde_json::from_slice(out.strip_prefix(b"before ").unwrap()).unwrap()
    }

    #[test]
    fn members_and_elements_are_separated() {
        let message = written(|json| {
            json.text("a", "x");
            json.flag("b", true);
            json.number("c", 7);
            json.list("empty", |_| ());
            json.list("d", |json| {
                json.element(|json| json.text("e", "y"));
                json.element(|_| ());
            });
            json.object("f", |json| json.optional("g", Some("z")));
            json.optional("h", None);
            let length = json.composed("i", |text| {
                text.push_str("né");
                text.len()
            });
            assert_eq!(length, 3);
        });
        assert_eq!(
            message,
            json!({"a": "x", "b": true, "c": 7, "empty": [], "d": [{"e": "y"}, {}], "f": {"g": "z"}, "i": "né"})
        );
    }

    proptest::proptest! {
        #[test]
        fn texts_are_kept(text in ".*", other in ".*") {
            let message = written(|json| {
                json.text("a", &text);
                json.composed("b", |out| out.push_str(&other));
            });
            proptest::prop_assert_eq!(message, json!({"a": text, "b": other}));
        }
    }
}
