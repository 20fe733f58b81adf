//! The Rust files, parsed once for all rules.

use std::collections::BTreeMap;

use syn::{Attribute, Item};

use super::tree::Tree;
use super::violation::Violation;

/// A Rust file.
pub(crate) struct Source {
    pub(crate) syntax: syn::File,
    /// Number of lines, without the test modules at the end.
    pub(crate) production_lines: usize,
}

/// Every Rust file of the tree, by path.
#[derive(Default)]
pub(crate) struct Sources(pub(crate) BTreeMap<String, Source>);

impl Sources {
    /// Parses the files. A file that cannot be parsed is a violation, and the rules skip it.
    pub(crate) fn parse(tree: &Tree) -> (Self, Vec<Violation>) {
        let (mut sources, mut unparsable) = (BTreeMap::new(), Vec::new());
        for file in tree.with_extension(".rs") {
            match syn::parse_file(&file.text) {
                Ok(syntax) => {
                    let production_lines = production_lines(&syntax, file.text.lines().count());
                    sources.insert(file.path.clone(), Source { syntax, production_lines });
                }
                Err(error) => {
                    let line = error.span().start().line;
                    unparsable.push(Violation::new(&file.path, line, "syntax", error.to_string()));
                }
            }
        }
        (Self(sources), unparsable)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.0.iter().map(|(path, source)| (path.as_str(), source))
    }

    /// Returns the sources of a tree that parses.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let (sources, unparsable) = Self::parse(&Tree::of(files));
        assert_eq!(unparsable, []);
        sources
    }
}

fn production_lines(syntax: &syn::File, all: usize) -> usize {
    let first_trailing_test = syntax.items.iter().rev().map_while(test_module_line).last();
    first_trailing_test.map_or(all, |line| line.saturating_sub(1))
}

/// Returns the line of an inline `#[cfg(test)] mod`, if `item` is one.
fn test_module_line(item: &Item) -> Option<usize> {
    match item {
        Item::Mod(module) if module.content.is_some() && module.attrs.iter().any(is_cfg_test) => {
            module.attrs.first().map(|attribute| attribute.pound_token.span.start().line)
        }
        _ => None,
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> usize {
        Sources::of(&[("a.rs", text)]).0["a.rs"].production_lines
    }

    #[test]
    fn test_modules_count_only_where_production_code_follows() {
        assert_eq!(lines("fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(lines("fn a() {}\n#[cfg(test)]\nmod x {\n}\n#[cfg(test)]\nmod y {\n}\n"), 1);
        assert_eq!(lines("#[cfg(test)]\nmod tests {\n}\nfn a() {}\n"), 4);
        assert_eq!(lines("#[cfg(unix)]\nmod tests {\n}\n"), 3);
    }

    #[test]
    fn unparsable_file_is_reported_with_its_line() {
        let (_, unparsable) = Sources::parse(&Tree::of(&[("a.rs", "fn a() {}\nfn {}\n")]));
        assert!(unparsable[0].to_string().starts_with("a.rs:2: syntax: "), "{unparsable:?}");
    }
}
