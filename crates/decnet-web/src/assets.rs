//! The static files. Their names contain a hash of their content, so that browsers may cache them for good.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// The number of hash bytes in a name.
const HASH_BYTES: usize = 6;
/// The path below which the files are served.
pub const PREFIX: &str = "/assets/";

/// A static file.
#[derive(Debug)]
pub struct Asset {
    /// The path, with a hash of the content.
    pub path: String,
    /// The value of `Content-Type`.
    pub media_type: &'static str,
    /// The content.
    pub body: &'static [u8],
    name: &'static str,
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<[Asset; 5]> = LazyLock::new(|| {
    [
        Asset::new("style.css", "text/css; charset=utf-8", include_bytes!("../static/style.css")),
        Asset::new("icon.svg", "image/svg+xml", include_bytes!("../static/icon.svg")),
        Asset::new("page.js", JAVASCRIPT, include_bytes!("../static/page.js")),
        Asset::new("htmx.js", JAVASCRIPT, include_bytes!("../static/htmx.min.js")),
        Asset::new("hx-csp.js", JAVASCRIPT, include_bytes!("../static/hx-csp.min.js")),
    ]
});

impl Asset {
    fn new(name: &'static str, media_type: &'static str, body: &'static [u8]) -> Self {
        let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
        let hash = hex(&Sha256::digest(body)[..HASH_BYTES]);
        Self { path: format!("{PREFIX}{stem}.{hash}.{extension}"), media_type, body, name }
    }
}

/// Returns all static files.
#[must_use]
pub fn all() -> &'static [Asset] {
    &*ASSETS
}

/// Returns the path of a file by its plain name; empty if there is no such file.
#[must_use]
pub fn path(name: &str) -> &'static str {
    all().iter().find(|asset| asset.name == name).map_or("", |asset| &*asset.path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// The files from npm, with the hashes of the release.
    const VENDORED: [(&str, &str); 2] = [
        ("htmx.js", "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"),
        ("hx-csp.js", "a7e1e6711ae6c3e50ad300fba7936cbe8d07599cdae313414a179ddd6b26e143"),
    ];
    /// The maximum size of all files together, compressed.
    const MAX_COMPRESSED_BYTES: usize = 150 * 1024;

    #[test]
    fn vendored_files_are_those_of_the_release() {
        for (name, hash) in VENDORED {
            let asset = all().iter().find(|asset| asset.name == name).unwrap();
            assert_eq!(hex(&Sha256::digest(asset.body)), hash, "{name}");
        }
    }

    #[test]
    fn all_files_together_are_small() {
        let compressed = |asset: &Asset| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(asset.body).unwrap();
            encoder.finish().unwrap().len()
        };
        let total: usize = all().iter().map(compressed).sum();
        assert!(total < MAX_COMPRESSED_BYTES, "{total} bytes");
    }

    #[test]
    fn name_contains_the_hash_of_the_content() {
        let hash = hex(&Sha256::digest(include_bytes!("../static/style.css"))[..6]);
        assert_eq!(path("style.css"), format!("/assets/style.{hash}.css"));
        assert_eq!(path("other.css"), "");
    }

    #[test]
    fn own_script_uses_no_markup_sink() {
        let script = include_str!("../static/page.js");
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("] {
            assert!(!script.contains(sink), "{sink}");
        }
    }
}
