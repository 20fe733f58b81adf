//! The replies of destinations: many destinations say in the body whether they accepted an event.

use std::time::Duration;

use decnet_core::delivery::Verdict;

/// The maximum length of [`Judgement::detail`] in characters.
pub const MAX_DETAIL_CHARS: usize = 300;

/// A reply to a request.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The HTTP status code.
    pub status: u16,
    /// The wait that the headers request: `Retry-After`, or `X-RateLimit-Reset-After` if `X-RateLimit-Remaining` is 0.
    pub retry_after: Option<Duration>,
    /// The beginning of the body, at most [`MAX_REPLY_BYTES`](decnet_core::limits::MAX_REPLY_BYTES).
    pub body: &'a [u8],
    /// Whether the body is complete.
    pub is_complete: bool,
}

/// The meaning of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict on the request, which decides the health of the subscription.
    pub whole: Verdict,
    /// The verdicts on the events of the request in their order; empty if the destination judged only the request as a whole.
    pub members: Vec<Verdict>,
    /// The reason in the words of the destination, for operators. It contains no credentials.
    pub detail: Option<Box<str>>,
    /// The time for which the destination wants no further request, although it accepted this one.
    pub pause: Option<Duration>,
}

impl Judgement {
    /// Creates a judgement that applies to the whole request.
    #[must_use]
    pub fn whole(verdict: Verdict) -> Self {
        Self { whole: verdict, members: Vec::new(), detail: None, pause: None }
    }

    /// Adds the reason in the words of the destination, shortened to [`MAX_DETAIL_CHARS`].
    #[must_use]
    pub fn because(mut self, detail: impl AsRef<str>) -> Self {
        self.detail = Some(excerpt(detail.as_ref(), MAX_DETAIL_CHARS).into());
        self
    }

    /// Judges by the status alone, as [`classify`](decnet_core::delivery::classify) does.
    #[must_use]
    pub fn by_status(reply: &Reply<'_>) -> Self {
        let (status, retry_after) = (reply.status, reply.retry_after);
        let outcome = decnet_core::delivery::Outcome::Replied { status, retry_after };
        Self::whole(decnet_core::delivery::classify(&outcome))
    }

    /// Judges by the status alone, for a destination with credentials: 401 and 403 mean that it refuses them.
    #[must_use]
    pub fn for_credentials(reply: &Reply<'_>) -> Self {
        match reply.status {
            401 | 403 => Self::whole(Verdict::Hold),
            _ => Self::by_status(reply),
        }
    }
}

/// Returns the beginning of a text, with hidden characters escaped and an ellipsis if it was shortened.
pub(crate) fn excerpt(text: &str, max_chars: usize) -> String {
    let end = text.char_indices().nth(max_chars).map(|(at, _)| at);
    let beginning = decnet_core::text::escape(&text[..end.unwrap_or(text.len())]);
    if end.is_some() { format!("{beginning}…") } else { beginning.into_owned() }
}
