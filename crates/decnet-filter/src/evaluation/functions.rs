//! Functions.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Evaluated, Evaluation};
use crate::error::{Fault, Why};
use crate::node::{Node, Pattern, TextTest};
use crate::value::{Text, Value};

impl<'n> Evaluation<'n, '_> {
    pub(super) fn text_test(
        &mut self,
        node: &'n Node,
        test: TextTest,
        [text, part]: &'n [Node; 2],
    ) -> Result<bool, Fault<'n>> {
        let (text, part) = (self.text(node, text)?, self.text(node, part)?);
        let (text, part) = (text.as_str(), part.as_str());
        self.spend_text(node, if test == TextTest::Contains { text } else { part })?;
        Ok(match test {
            TextTest::Contains => text.contains(part),
            TextTest::EndsWith => text.ends_with(part),
            TextTest::StartsWith => text.starts_with(part),
        })
    }

    pub(super) fn matches(&mut self, node: &'n Node, text: &'n Node, pattern: &Pattern) -> Evaluated<'n> {
        let text = self.text(node, text)?;
        self.spend(node, text.as_str().len().saturating_mul(pattern.steps_per_byte))?;
        Ok(Value::Bool(pattern.regex.is_match(text.as_str())))
    }

    pub(super) fn cidr(&mut self, node: &'n Node, address: &'n Node, network: &IpNet) -> Evaluated<'n> {
        let text = self.text(node, address)?;
        let address: IpAddr = text.as_str().parse().map_err(|_| Fault { node, why: Why::NotAnAddress })?;
        // An IPv4 address may have been recorded by a socket that serves both protocols, as `::ffff:192.0.2.1`.
        Ok(Value::Bool(network.contains(&address) || network.contains(&address.to_canonical())))
    }

    /// Evaluates an argument that must be a string.
    fn text(&mut self, node: &'n Node, argument: &'n Node) -> Result<Text<'n>, Fault<'n>> {
        match self.value(argument)? {
            Value::Text(text) => Ok(text),
            other => Err(Fault { node, why: Why::Operand(other.kind()) }),
        }
    }

    /// Converts to lower case. Text without upper-case letters is not copied.
    pub(super) fn lower(&mut self, node: &'n Node, text: &'n Node) -> Evaluated<'n> {
        let text = self.text(node, text)?;
        self.spend_text(node, text.as_str())?;
        let is_lower = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
        if text.as_str().bytes().all(is_lower) {
            return Ok(Value::Text(text));
        }
        Ok(Value::shared(text.as_str().to_lowercase()))
    }

    /// Returns the number of code points of a string, or of the elements of a list or map.
    pub(super) fn size(&mut self, node: &'n Node, value: &'n Node) -> Evaluated<'n> {
        let size = match self.value(value)? {
            Value::Text(text) => {
                self.spend_text(node, text.as_str())?;
                text.as_str().chars().count()
            }
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            other => return Err(Fault { node, why: Why::Operand(other.kind()) }),
        };
        Ok(Value::Int(size as i128))
    }
}
