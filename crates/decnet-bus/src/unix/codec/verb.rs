//! The words a frame may start with.

/// What a frame asks for or brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A client's name, for the server's log.
    Hello,
    /// A client wants the events of a pattern.
    Sub,
    /// A client wants them no longer.
    Unsub,
    /// A client publishes an event.
    Pub,
    /// The server delivers one.
    Evt,
    /// Either side ends the connection.
    Bye,
}

impl Verb {
    /// As it stands in the header, upper-case only.
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
