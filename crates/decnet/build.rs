//! Passes the name of the build profile to the program, which reports it with its measurements.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=DECNET_BUILD_PROFILE={}", profile().unwrap_or_else(|| "unknown".into()));
}

/// Returns the profile's folder below `target`: `OUT_DIR` is `target/…/PROFILE/build/PACKAGE-HASH/out`. Cargo's own `PROFILE`
/// is `release` for every profile that inherits from it.
fn profile() -> Option<String> {
    let out = std::env::var_os("OUT_DIR")?;
    Some(Path::new(&out).ancestors().nth(3)?.file_name()?.to_str()?.to_owned())
}
