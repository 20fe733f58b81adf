//! How long files and functions are.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemTrait, Signature, TraitItemFn, Type};

use crate::tidy::source::Sources;

/// Lines a function may have, from its signature to its closing brace.
pub(super) const FUNCTION: usize = 60;
/// Lines a file may have, without the test modules at its end.
pub(super) const FILE: usize = 400;

/// A length and where it was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// Lengths by key: the path of a file, or `path::Type::function`.
pub(super) type Lengths = BTreeMap<String, Length>;

pub(super) fn files(sources: &Sources) -> Lengths {
    let length =
        |(path, lines): (&str, usize)| (path.to_owned(), Length { path: path.to_owned(), line: 1, lines });
    sources.iter().map(|(path, source)| length((path, source.production_lines))).collect()
}

/// Functions with a body, tests included; of two with the same key the longer.
pub(super) fn functions(sources: &Sources) -> Lengths {
    let mut lengths = Lengths::new();
    for (path, source) in sources.iter() {
        let mut measure = Measure { path, scope: Vec::new(), lengths: &mut lengths };
        measure.visit_file(&source.syntax);
    }
    lengths
}

struct Measure<'a> {
    path: &'a str,
    /// The modules, types and traits around the function.
    scope: Vec<String>,
    lengths: &'a mut Lengths,
}

impl Measure<'_> {
    fn function(&mut self, signature: &Signature, body: &Block) {
        let line = signature.fn_token.span.start().line;
        let end = body.brace_token.span.close().end().line;
        let length = Length { path: self.path.to_owned(), line, lines: end + 1 - line };
        let name = signature.ident.to_string();
        let key = [self.path, &self.scope.join("::"), &name];
        let key = key.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("::");
        let known = self.lengths.get(&key).map_or(0, |known| known.lines);
        if length.lines > known {
            self.lengths.insert(key, length);
        }
    }

    fn within(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.scope.push(name);
        visit(self);
        self.scope.pop();
    }
}

impl<'ast> Visit<'ast> for Measure<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.within(type_name(&item.self_ty), |this| visit::visit_item_impl(this, item));
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.within(item.ident.to_string(), |this| visit::visit_item_trait(this, item));
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.within(item.ident.to_string(), |this| visit::visit_item_mod(this, item));
    }
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map_or_else(String::new, |last| last.ident.to_string()),
        Type::Reference(reference) => type_name(&reference.elem),
        _ => "impl".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_measured_from_its_signature_to_its_brace_wherever_it_stands() {
        let code = "\
/// Documentation and attributes do not count.
#[inline]
fn free(
    a: u8,
) {
}
impl<T> fmt::Display for Held<T> {
    fn fmt(&self) {
        fn inner() {}
    }
}
trait Source { fn declared(); fn given() {} }
mod tests { fn one() {
} }
";
        let lengths = functions(&Sources::of(&[("a.rs", code)]));
        let found: Vec<(&str, usize, usize)> =
            lengths.iter().map(|(key, length)| (key.as_str(), length.line, length.lines)).collect();
        let expected = [
            ("a.rs::Held::fmt", 8, 3),
            ("a.rs::Held::inner", 9, 1),
            ("a.rs::Source::given", 12, 1),
            ("a.rs::free", 3, 4),
            ("a.rs::tests::one", 13, 2),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_two_functions_with_one_name_the_longer_counts() {
        let code = "impl A for X { fn f() {\n} }\nimpl B for X { fn f() {} }\n";
        assert_eq!(functions(&Sources::of(&[("a.rs", code)]))["a.rs::X::f"].lines, 2);
    }
}
