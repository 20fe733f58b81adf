//! A writer of JSON objects, whose fields have the order in which they are written.

/// An object that is being written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    /// Begins an object.
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Ends the object.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    /// Writes a field with a text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_text(value, self.out);
    }

    /// Writes a field with a text, unless there is none.
    pub(crate) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Writes a field with an array of texts, unless there are none.
    pub(crate) fn texts<'t>(&mut self, name: &str, values: impl IntoIterator<Item = &'t str>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        self.name(name);
        for (index, value) in values.enumerate() {
            self.out.push(if index == 0 { b'[' } else { b',' });
            write_text(value, self.out);
        }
        self.out.push(b']');
    }

    /// Writes a field with a number or another value whose text is JSON.
    pub(crate) fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// Writes a field with a value that is JSON already. Line ends between its tokens become spaces, so that the object stays on
    /// one line.
    pub(crate) fn json(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        let start = self.out.len();
        self.out.extend_from_slice(value);
        for byte in &mut self.out[start..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }

    /// Writes a field with an object, unless the object is empty.
    pub(crate) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let before = (self.out.len(), self.is_empty);
        self.name(name);
        let mut inner = Object::begin(self.out);
        fill(&mut inner);
        let is_empty = inner.is_empty;
        inner.end();
        if is_empty {
            self.out.truncate(before.0);
            self.is_empty = before.1;
        }
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        write_text(name, self.out);
        self.out.push(b':');
    }
}

/// Writes a JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("serialising a string into memory does not fail");
}

/// Returns the number of levels of arrays and objects in JSON; of other text, some number.
pub(crate) fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_do_not_count_as_depth() {
        for (json, expected) in
            [("1", 0), ("{}", 1), (r#"{"a":[{"b":"[[[{\"[["}],"c":{}}"#, 3), (r#"["\\",[]]"#, 2)]
        {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn object_has_its_fields_in_order_and_no_empty_parts() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.object("empty", |inner| inner.optional("a", None));
        object.text("b\"", "1\n2");
        object.texts("none", []);
        object.texts("some", ["x", "\""]);
        object.number("n", -1.5);
        object.json("raw", b"{\n\"a\":\r1}");
        object.object("inner", |inner| inner.object("empty", |_| ()));
        object.object("last", |inner| inner.number("n", 1));
        object.end();
        let expected = r#"{"b\"":"1\n2","some":["x","\""],"n":-1.5,"raw":{ "a": 1},"last":{"n":1}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
