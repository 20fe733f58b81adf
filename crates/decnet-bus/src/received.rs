//! One event as a bus delivered it.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// A topic that shares the buffer from which it was read.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Bytes);

/// An event whose body has not been parsed.
///
/// Topic and body keep the whole read buffer alive (at most
/// [`MAX_READ_BYTES`](crate::protocol::MAX_READ_BYTES), or one large frame): parse soon, or copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The topic in the frame's header, never the topic in the body.
    pub topic: Topic,
    /// The envelope `{v,id,topic,type,ts,payload}`: JSON as received, not validated.
    pub body: Bytes,
}

impl Topic {
    /// Creates a topic. Returns `None` if the text is not ASCII.
    #[must_use]
    pub fn new(text: Bytes) -> Option<Self> {
        text.is_ascii().then_some(Self(text))
    }
}

impl Deref for Topic {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the constructor takes ASCII only")
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
        fmt::Debug::fmt(&**self, f)
    }
}
