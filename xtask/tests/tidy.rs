//! The whole command on small repositories of real files: a clean one passes, and each rule reports the one
//! that breaks it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::Path;
use std::process::{Command, Output};

const MANIFEST: &str = "\
[package]
name = \"decnet-core\"
version = \"0.1.0\"
edition = \"2024\"

[dependencies]
url = \"2\"
";

struct Repository(tempfile::TempDir);

impl Repository {
    /// Creates a repository that violates no rule.
    fn clean() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n");
        repository.write("crates/decnet-core/Cargo.toml", MANIFEST);
        repository.write("crates/decnet-core/src/lib.rs", "mod topic;\n");
        repository.write("crates/decnet-core/src/topic/mod.rs", "");
        repository
            .write("ARCHITECTURE.md", "`decnet-core` holds [topic/](crates/decnet-core/src/topic/mod.rs).\n");
        repository
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn tidy(&self, arguments: &[&str]) -> Output {
        tidy_in(self.0.path(), arguments)
    }

    /// Returns the lines that tidy prints, and checks that the exit code matches them.
    fn violations(&self) -> Vec<String> {
        let output = self.tidy(&[]);
        let printed = String::from_utf8(output.stdout).unwrap();
        let expected = i32::from(!printed.is_empty());
        assert_eq!(output.status.code(), Some(expected), "{}", String::from_utf8_lossy(&output.stderr));
        printed.lines().map(str::to_owned).collect()
    }
}

fn tidy_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("tidy").args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn clean_repository_passes_from_any_of_its_folders() {
    let repository = Repository::clean();
    assert_eq!(repository.violations(), Vec::<String>::new());
    for (folder, arguments) in
        [("crates/decnet-core/src", &[][..]), ("crates", &["--root", "decnet-core"]), ("", &["--root", "."])]
    {
        let inner = tidy_in(&repository.0.path().join(folder), arguments);
        assert!(inner.status.success(), "{folder}: {}", String::from_utf8_lossy(&inner.stderr));
    }
}

#[test]
fn every_rule_reports_its_violation() {
    let broken: [(&str, String, &str); 7] = [
        (
            "crates/decnet-core/Cargo.toml",
            format!("{MANIFEST}tokio = \"1\"\n"),
            "crates/decnet-core/Cargo.toml:8: dependencies: ",
        ),
        ("crates/decnet-core/src/left.rs", String::new(), "crates/decnet-core/src/left.rs:1: dead-file: "),
        (
            "crates/decnet-core/src/topic/mod.rs",
            "\n".repeat(401),
            "crates/decnet-core/src/topic/mod.rs:1: file-length: ",
        ),
        ("README.md", "[x](nowhere.md)\n".into(), "README.md:1: link: "),
        ("ARCHITECTURE.md", "`decnet-core`\n".into(), "ARCHITECTURE.md:1: architecture: "),
        ("notes.md", concat!("a\nTO", "DO\n").into(), "notes.md:2: word: "),
        (
            "docs/a.md",
            concat!("There are ", "no files. This is ", "no file.\n").into(),
            "docs/a.md:1: wording: ",
        ),
    ];
    for (path, text, expected) in &broken {
        let repository = Repository::clean();
        repository.write(path, text);
        let found = repository.violations();
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected} {found:?}");
    }
}

#[test]
fn outside_a_workspace_the_error_names_the_missing_file() {
    let nowhere = tempfile::tempdir().unwrap();
    let output = tidy_in(nowhere.path(), &[]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("Cargo.toml") && error.contains(nowhere.path().to_str().unwrap()), "{error}");
}
