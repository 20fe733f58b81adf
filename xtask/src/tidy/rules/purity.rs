//! The core asks neither clock nor environment nor disk: `now` and the like are arguments, so every decision
//! can be tested as a function of values.

use crate::tidy::source::Sources;
use crate::tidy::tree::Tree;
use crate::tidy::violation::Violation;

const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "std::env",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
];

pub(super) fn check(tree: &Tree, sources: &Sources) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, source) in sources.iter().filter(|(path, _)| path.starts_with("crates/decnet-core/src/")) {
        let text = tree.file(path).map_or("", |file| file.text.as_str());
        for (index, line) in text.lines().take(source.production_lines).enumerate() {
            let is_code = !line.trim_start().starts_with("//");
            let impure = IMPURE.iter().find(|impure| is_code && line.contains(*impure));
            let message =
                impure.map(|impure| format!("`{impure}` in the pure core: take its value as an argument"));
            violations.extend(message.map(|message| Violation::new(path, index + 1, "purity", message)));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_may_not_ask_the_clock_outside_its_tests() {
        let code = "// Instant::now is for others\nfn f() { Instant::now(); }\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        let files = [("crates/decnet-core/src/a.rs", code), ("crates/decnet-bus/src/a.rs", code)];
        let found = check(&Tree::of(&files), &Sources::of(&files));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("crates/decnet-core/src/a.rs:2: purity"));
    }
}
