//! The verbs of the protocol.

/// The first word of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The client introduces itself with a name.
    Hello,
    /// The client subscribes to a pattern.
    Sub,
    /// The client unsubscribes from a pattern.
    Unsub,
    /// The client publishes an event.
    Pub,
    /// The server delivers an event.
    Evt,
    /// Either side ends the connection.
    Bye,
}

impl Verb {
    /// Returns the verb as it appears in the header, upper-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Sub => "SUB",
            Self::Unsub => "UNSUB",
            Self::Pub => "PUB",
            Self::Evt => "EVT",
            Self::Bye => "BYE",
        }
    }

    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"HELLO" => Self::Hello,
            b"SUB" => Self::Sub,
            b"UNSUB" => Self::Unsub,
            b"PUB" => Self::Pub,
            b"EVT" => Self::Evt,
            b"BYE" => Self::Bye,
            _ => return None,
        })
    }
}
