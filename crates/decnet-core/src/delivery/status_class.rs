//! Classes of HTTP statuses, by which deliveries are filtered.

/// The class of the status with which a receiver answered an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusClass {
    /// A status from 200 to 299.
    Success,
    /// A status from 300 to 399.
    Redirect,
    /// A status from 400 to 499.
    ClientError,
    /// A status from 500 to 599.
    ServerError,
    /// The attempt had no reply.
    NoReply,
}

/// A text that is not the name of a [`StatusClass`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a class of statuses; use 2xx, 3xx, 4xx, 5xx or none")]
pub struct ParseStatusClassError(String);

impl StatusClass {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Success, Self::Redirect, Self::ClientError, Self::ServerError, Self::NoReply];

    /// Returns the name of the class, as in the API and in filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::NoReply => "none",
        }
    }

    /// Returns the first digit of the statuses in the class; `None` without a reply.
    #[must_use]
    pub fn first_digit(self) -> Option<u8> {
        self.as_str().bytes().next().filter(u8::is_ascii_digit).map(|digit| digit - b'0')
    }
}

impl std::str::FromStr for StatusClass {
    type Err = ParseStatusClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|class| class.as_str() == text);
        found.ok_or_else(|| ParseStatusClassError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for class in StatusClass::ALL {
            assert_eq!(class.as_str().parse(), Ok(class));
        }
        assert!("500".parse::<StatusClass>().is_err());
        let digits = StatusClass::ALL.map(StatusClass::first_digit);
        assert_eq!(digits, [Some(2), Some(3), Some(4), Some(5), None]);
    }
}
