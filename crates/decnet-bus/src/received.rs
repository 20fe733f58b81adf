//! One event as a bus delivered it.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// A topic that shares the buffer it was read into.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Bytes);

/// An event, before anybody has looked into its body.
///
/// Topic and body keep the whole buffer alive that they were read with (at most
/// [`MAX_READ_BYTES`](crate::unix::codec::MAX_READ_BYTES), or one large frame): parse soon, or copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// From the frame's header, never from the body.
    pub topic: Topic,
    /// The envelope, in DECNET's words `{v,id,topic,type,ts,payload}`: JSON as it came, not yet validated.
    pub body: Bytes,
}

impl Topic {
    /// Takes ASCII; anything else is `None`.
    #[must_use]
    pub fn new(text: Bytes) -> Option<Self> {
        text.is_ascii().then_some(Self(text))
    }

    /// The topic's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the constructor takes ASCII only")
    }
}

impl Deref for Topic {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Topic {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Topic {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
