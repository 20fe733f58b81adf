//! An error and its causes as one line.

use std::error::Error;

/// Returns an error and its causes in one line, without causes that the line already contains.
#[must_use]
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let (mut line, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let text = cause.to_string();
        next = cause.source();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Wrapped(&'static str, io::Error);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn each_cause_is_shown_once() {
        let cause = || io::Error::other("disk full");
        assert_eq!(one_line(&Wrapped("cannot write", cause())), "cannot write: disk full");
        assert_eq!(one_line(&Wrapped("cannot write: disk full", cause())), "cannot write: disk full");
        assert_eq!(one_line(&cause()), "disk full");
    }
}
