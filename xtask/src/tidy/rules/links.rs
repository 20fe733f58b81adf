//! Every relative link in the documentation leads to an existing file or folder, and to an existing heading.

use std::path::{Component, Path, PathBuf};

use crate::tidy::tree::Tree;
use crate::tidy::violation::Violation;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.with_extension(".md") {
        for (line, text) in prose(&file.text) {
            let broken = targets(text).filter_map(|target| violation_reason(tree, &file.path, target));
            violations.extend(broken.map(|why| Violation::new(&file.path, line, "link", why)));
        }
    }
    violations
}

/// Returns the lines outside fenced code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((index + 1, line))
    })
}

/// Returns the targets of the links in a line: `[text](target "title")`, `![text](target)` and `[name]:
/// target`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let reference = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let reference = reference.and_then(|(_, rest)| rest.split_whitespace().next());
    inline.chain(reference).map(|target| target.trim_start_matches('<').trim_end_matches('>'))
}

fn violation_reason(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let Some(resolved) = resolve(from, path).filter(|resolved| tree.has(resolved)) else {
        return Some(format!("`{target}` does not exist"));
    };
    let page = tree.file(&resolved).filter(|file| !heading.is_empty() && file.path.ends_with(".md"))?;
    let has_heading = prose(&page.text).filter_map(|(_, line)| slug(line)).any(|slug| slug == heading);
    (!has_heading).then(|| format!("`{target}`: {} has no heading `{heading}`", page.path))
}

/// Returns the path of `target` relative to the root, seen from the file `from`; `None` if it is outside the
/// repository.
fn resolve(from: &str, target: &str) -> Option<PathBuf> {
    let mut resolved = PathBuf::from(from);
    if !target.is_empty() {
        resolved.pop();
    }
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir if !resolved.pop() => return None,
            Component::Normal(name) => resolved.push(name),
            _ => {}
        }
    }
    Some(resolved)
}

/// Returns the anchor of a heading: lower case, punctuation removed, spaces replaced by hyphens.
fn slug(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?.trim();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> Vec<String> {
        let files = [("docs/a.md", text), ("docs/b.md", "# One, two\n## `serve` it\n"), ("src/lib.rs", "")];
        check(&Tree::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn existing_targets_are_accepted() {
        let good = "[b](b.md) [src](../src/) ![i](../src/lib.rs \"title\") [w](https://x.example/y.md)\n\
                    [root](..) [self](#here) [one](b.md#one-two) [s](<b.md#serve-it>)\n[ref]: ./b.md\n# Here\n\
                    ```\n[code](no.md)\n```\n";
        assert_eq!(broken(good), Vec::<String>::new());
    }

    #[test]
    fn missing_target_is_reported_with_its_line() {
        assert_eq!(broken("\n[x](no.md)"), ["docs/a.md:2: link: `no.md` does not exist"]);
        assert_eq!(broken("[x]: ../../out.md").len(), 1);
        assert_eq!(broken("[x](b.md#three) and [y](b.md#four)").len(), 2);
    }
}
