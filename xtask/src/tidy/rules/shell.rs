//! Shell scripts are executable and have a shebang.

use crate::tidy::tree::{File, Tree};
use crate::tidy::violation::Violation;

/// Folders in which a file without an extension is a script.
const SCRIPTS: [&str; 2] = ["scripts/", ".ci/"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |file: &File, message| violations.push(Violation::new(&file.path, 1, "shell", message));
    for file in tree.files().filter(|file| is_shell(file)) {
        if !file.text.starts_with("#!") {
            report(file, "has no shebang: start it with `#!/usr/bin/env bash`");
        }
        if !file.executable {
            report(file, "is not executable: `chmod +x` it");
        }
    }
    violations
}

fn is_shell(file: &File) -> bool {
    let first = file.text.lines().next().unwrap_or("");
    let has_shell_shebang = first.starts_with("#!") && first.split(['/', ' ']).any(is_shell_name);
    let name = file.path.rsplit('/').next().unwrap_or("");
    let is_script = SCRIPTS.iter().any(|folder| file.path.starts_with(folder)) && !name.contains('.');
    has_shell_shebang || is_script || name.ends_with(".sh")
}

fn is_shell_name(word: &str) -> bool {
    matches!(word, "sh" | "bash" | "dash" | "zsh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_need_a_shebang_and_the_executable_bit() {
        let tree = Tree::of(&[
            ("scripts/good+x", "#!/usr/bin/env bash\n"),
            ("scripts/notes.md", ""),
            ("scripts/bare+x", "echo\n"),
            ("tool", "#!/bin/sh -e\n"),
            ("x.sh", ""),
            ("tool.py", "#!/usr/bin/env python3\n"),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("scripts/bare:1: shell: has no shebang"));
        assert!(found[1].starts_with("tool:1: shell: is not executable"));
    }
}
