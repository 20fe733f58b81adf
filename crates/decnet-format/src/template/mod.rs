//! The operator's templates, in Jinja syntax.
//!
//! Each template has an environment of its own, without a loader, so that there is nothing to include, import or extend. There is
//! no clock and no randomness: the same events give the same text. Limits apply to the source, the steps, the depth and, while
//! rendering, to the output.
//!
//! Attackers write the values. The module `output` therefore escapes every value that is written, regardless of the filters and
//! operators that produced it; the engine's own marks for safe text are ignored. The only exception is the result of `tojson` in a template for
//! JSON, which is a complete JSON value.

mod events;
mod helpers;
mod output;
mod syntax;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use decnet_core::limits::MAX_TEMPLATE_BYTES;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use self::events::Root;
use self::output::BoundedWriter;
use crate::finding::Finding;
use crate::reply::excerpt;
use crate::spec::{FormatError, RenderError};

/// The maximum size of the rendered text in bytes.
pub const MAX_OUTPUT_BYTES: usize = 256 * 1024;
/// The maximum number of steps of one rendering: an instruction of the engine, 64 bytes of text that it writes or creates, or about
/// 3 bytes that `tojson` writes. This bounds time (milliseconds) and memory (3 MiB).
pub const MAX_STEPS: u64 = 50_000;
/// The maximum depth of nested blocks and expressions while rendering.
const MAX_DEPTH: usize = 100;
/// The maximum length of the text of an error, in characters. Values may be part of it.
const MAX_ERROR_CHARS: usize = 300;
/// The name of the only template in its environment.
const NAME: &str = "template";

/// The markup that a template writes.
#[derive(Debug, Clone, Copy)]
pub struct Markup {
    /// Appends text with the escapes that make it plain text in the markup.
    pub escape: fn(&str, &mut String),
    /// Whether the markup is JSON, so that the result of `tojson` is written as it is.
    pub is_json: bool,
}

/// A compiled template. Clones share it.
#[derive(Clone)]
pub struct Template(Arc<Compiled>);

struct Compiled {
    environment: Environment<'static>,
    /// The base of links to this program's pages.
    link_base: Option<Box<str>>,
}

impl Template {
    /// Compiles a template. `link_base` is the base of links to this program's pages.
    ///
    /// # Errors
    /// The template is larger than [`MAX_TEMPLATE_BYTES`], its syntax is not valid, or it uses an unknown tag, variable, filter or
    /// test. The text says which and, where possible, in which line.
    pub fn new(source: &str, markup: Markup, link_base: Option<&str>) -> Result<Self, FormatError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            let (have, max) = (source.len(), MAX_TEMPLATE_BYTES);
            return Err(FormatError::Template(format!(
                "the template has {have} bytes; the maximum is {max}"
            )));
        }
        syntax::check_words(source).map_err(FormatError::Template)?;
        let mut environment = environment(markup);
        helpers::add(&mut environment, markup, link_base);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| {
            FormatError::Template(format!("the template is not valid: {}", describe(&error)))
        })?;
        let used = environment.get_template(NAME).map(|template| template.undeclared_variables(true));
        syntax::check_variables(source, used.unwrap_or_default()).map_err(FormatError::Template)?;
        Ok(Self(Arc::new(Compiled { environment, link_base: link_base.map(Into::into) })))
    }

    /// Renders the template for the findings, of which the first has its own variables. The same findings give the same text.
    ///
    /// # Errors
    /// A value is missing, or a limit is exceeded. The text says what, and in which line.
    pub fn render(&self, findings: &[Finding<'_>]) -> Result<String, RenderError> {
        let failed =
            |error: Error| RenderError::Template(format!("the template failed: {}", describe(&error)));
        let template = self.0.environment.get_template(NAME).map_err(failed)?;
        let variables = Root::of(findings, self.0.link_base.as_deref());
        let mut out = BoundedWriter::default();
        template.render_captured_to(variables, &mut out).map_err(failed)?;
        out.into_text().map_err(failed)
    }
}

/// Creates an environment with the limits, the escaping and the permitted filters and tests of the engine.
fn environment(markup: Markup) -> Environment<'static> {
    let mut environment = Environment::new();
    // Nothing is marked as safe by the engine itself: `output` decides.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(move |out, _, value| output::write(out, value, markup));
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(MAX_STEPS));
    environment.set_recursion_limit(MAX_DEPTH);
    // Errors then name the missing variable.
    environment.set_debug(true);
    environment.remove_global("debug");
    for filter in syntax::REMOVED_FILTERS {
        environment.remove_filter(filter);
    }
    for test in syntax::REMOVED_TESTS {
        environment.remove_test(test);
    }
    environment
}

/// Returns the text of an error for operators: the line and the problem.
fn describe(error: &Error) -> String {
    let cause = innermost(error);
    let detail = cause.detail().unwrap_or_default();
    let problem = match cause.kind() {
        ErrorKind::OutOfFuel => {
            format!("it needs more than {MAX_STEPS} steps; shorten its loops or its output")
        }
        ErrorKind::WriteFailure => format!("its output has more than {MAX_OUTPUT_BYTES} bytes; shorten it"),
        ErrorKind::UndefinedError if detail.is_empty() => "a value is missing".to_owned(),
        ErrorKind::UndefinedError => {
            format!(
                "{}; check it with `if`, or add `|default(\"\")`",
                detail.replace("is undefined", "is missing")
            )
        }
        ErrorKind::SyntaxError | ErrorKind::InvalidOperation if !detail.is_empty() => detail.to_owned(),
        kind if detail.is_empty() => kind.to_string(),
        kind => format!("{kind}: {detail}"),
    };
    let line = cause.line().or(error.line()).map(|line| format!("line {line}: ")).unwrap_or_default();
    excerpt(&format!("{line}{problem}"), MAX_ERROR_CHARS)
}

/// Returns the error that caused this one.
fn innermost(error: &Error) -> &Error {
    let mut cause = error;
    while let Some(next) = std::error::Error::source(cause).and_then(|source| source.downcast_ref::<Error>())
    {
        cause = next;
    }
    cause
}
