//! The file with the operator's table of severities, as the worker and explanations read it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use decnet_core::limits::MAX_SEVERITY_FILE_BYTES;
use decnet_core::severity::SeverityTable;

/// Reads and parses the table of severities; the default table without a file.
///
/// # Errors
/// The file cannot be read, or is not a table. The text says what is wrong.
pub fn load(path: Option<&Path>) -> Result<SeverityTable, String> {
    path.map_or_else(|| Ok(SeverityTable::default()), |path| parse(&read(path)?))
}

/// Reads the file, at most [`MAX_SEVERITY_FILE_BYTES`].
///
/// # Errors
/// The file cannot be read, or is larger. The text says what is wrong.
pub fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    // Checked before it is opened, since opening a named pipe would wait for its writer.
    let result = path.metadata().and_then(|metadata| {
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        File::open(path)?.take(MAX_SEVERITY_FILE_BYTES + 1).read_to_string(&mut text)
    });
    match result {
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        Ok(_) if text.len() as u64 > MAX_SEVERITY_FILE_BYTES => {
            Err(format!("{} is larger than {MAX_SEVERITY_FILE_BYTES} bytes", path.display()))
        }
        Ok(_) => Ok(text),
    }
}

/// Parses the content of the file.
///
/// # Errors
/// The content is not a table. The text names the line.
pub fn parse(text: &str) -> Result<SeverityTable, String> {
    text.parse().map_err(|error| format!("the table of severities: {error}"))
}

#[cfg(test)]
mod tests {
    use decnet_core::severity::Severity;

    use super::*;

    #[test]
    fn table_is_read_or_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("severities");
        std::fs::write(&path, "a.> = critical\n").unwrap();
        assert_eq!(load(Some(&path)).unwrap().of("a.b"), Severity::Critical);
        assert_eq!(load(None), Ok(SeverityTable::default()));
    }

    #[test]
    fn unusable_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("severities");
        std::fs::write(&path, vec![b'#'; 100_000]).unwrap();
        assert!(read(&path).unwrap_err().ends_with("severities is larger than 65536 bytes"));
        assert!(read(dir.path()).unwrap_err().contains("not a regular file"));
        assert!(load(Some(&dir.path().join("missing"))).unwrap_err().starts_with("cannot read "));
        std::fs::write(&path, "a.> = urgent\n").unwrap();
        assert!(load(Some(&path)).unwrap_err().starts_with("the table of severities: line 1: "));
    }
}
