//! The fields of a body, parsed as DECNET parses them.

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::body::{self, RawBody};
use crate::problem::Problem;
use crate::state::Shared;

/// A JSON object.
pub(super) struct Fields(Map<String, Value>);

impl FromRequest<Shared> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Err(Problem::malformed("the body is missing: send a JSON object"));
        }
        let unreadable = |problem: Problem| match problem.status() {
            StatusCode::BAD_REQUEST => Problem::invalid(problem.detail()),
            _ => problem,
        };
        let RawBody(bytes) = RawBody::from_request(request, state).await.map_err(unreadable)?;
        match body::read(&bytes).map_err(unreadable)? {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(Problem::malformed("the body must be a JSON object")),
        }
    }
}

impl Fields {
    /// Returns a field that is required.
    pub(super) fn required<T>(field: &str, found: Option<T>) -> Result<T, Problem> {
        found.ok_or_else(|| Problem::malformed(format!("{field}: field required")))
    }

    /// Rejects `null` for fields that may be absent but not null.
    pub(super) fn without_null(&self, fields: &[&str]) -> Result<(), Problem> {
        match fields.iter().find(|field| self.0.get(**field) == Some(&Value::Null)) {
            None => Ok(()),
            Some(field) => Err(Problem::malformed(format!("{field}: must not be null"))),
        }
    }

    /// Returns a string of `least` to `most` characters, which is not empty.
    pub(super) fn text_within(
        &self,
        field: &str,
        least: usize,
        most: usize,
    ) -> Result<Option<&str>, Problem> {
        let text = match self.get(field) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(wrong(field, "a string")),
        };
        match text.chars().count() {
            0 => Err(Problem::malformed(format!("{field}: must not be empty"))),
            length if length < least => {
                Err(Problem::malformed(format!("{field}: must have at least {least} characters")))
            }
            length if length > most => {
                Err(Problem::invalid(format!("{field}: must have at most {most} characters")))
            }
            _ => Ok(Some(text)),
        }
    }

    /// Returns a list of strings.
    pub(super) fn texts(&self, field: &str) -> Result<Option<Vec<String>>, Problem> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let items = value.as_array().ok_or_else(|| wrong(field, "a list"))?;
        let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
        texts.collect::<Option<_>>().map(Some).ok_or_else(|| wrong(field, "a list of strings"))
    }

    /// Returns a flag, in any of the spellings that DECNET accepts.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, Problem> {
        let flag = match self.get(field) {
            None => return Ok(None),
            Some(Value::Bool(flag)) => Some(*flag),
            Some(Value::Number(number)) if number.as_f64() == Some(1.0) => Some(true),
            Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Some(false),
            Some(Value::String(text)) => spelled(text),
            Some(_) => None,
        };
        flag.map(Some).ok_or_else(|| wrong(field, "true or false"))
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }
}

/// Rejects a body with the error that DECNET would report: a malformed field (400) before any other error (422).
///
/// # Errors
/// The first malformed field, else the first error.
pub(super) fn refuse<const N: usize>(wrong: [Option<&Problem>; N]) -> Result<(), Problem> {
    let mut all = wrong.into_iter().flatten();
    let malformed = all.clone().find(|problem| problem.status() == StatusCode::BAD_REQUEST);
    malformed.or_else(|| all.next()).map_or(Ok(()), |problem| Err(problem.clone()))
}

fn spelled(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" | "t" | "y" => Some(true),
        "false" | "0" | "off" | "no" | "f" | "n" => Some(false),
        _ => None,
    }
}

fn wrong(field: &str, what: &str) -> Problem {
    Problem::malformed(format!("{field}: must be {what}"))
}
