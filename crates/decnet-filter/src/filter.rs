//! Compiled filters.

use std::fmt;
use std::sync::Arc;

use crate::budget::Budget;
use crate::error::{EvaluationError, FilterError};
use crate::evaluation;
use crate::input::FilterInput;
use crate::lowering;
use crate::node::Node;
use crate::syntax;

/// A compiled filter. Cheap to clone.
#[derive(Clone)]
pub struct Filter(Arc<Compiled>);

struct Compiled {
    source: Box<str>,
    root: Node,
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// The source is not a CEL expression, exceeds a bound, uses an unknown name, or can be seen to fail or to have a result other
    /// than a bool. The error names the place and what to write instead.
    pub fn compile(source: &str) -> Result<Self, FilterError> {
        let root = syntax::parse(source).and_then(|expr| lowering::lower(&expr));
        match root {
            Ok(root) => Ok(Self(Arc::new(Compiled { source: source.into(), root }))),
            Err(mistake) => Err(FilterError::new(source, mistake)),
        }
    }

    /// Returns whether the filter accepts an event.
    ///
    /// # Errors
    /// The value cannot be computed: a field does not exist, a value has the wrong kind, or the budget is exhausted. The errors of
    /// an operand of `&&` and `||` are ignored if another operand decides the result.
    pub fn evaluate(&self, input: &FilterInput<'_>, budget: &mut Budget) -> Result<bool, EvaluationError> {
        let Compiled { source, root } = &*self.0;
        evaluation::evaluate(root, input, budget).map_err(|fault| EvaluationError::new(source, &fault))
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.source()).finish()
    }
}
