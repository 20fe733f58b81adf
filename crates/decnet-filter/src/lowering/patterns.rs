//! Literals with a grammar of their own: regular expressions and networks.

use std::net::IpAddr;

use ipnet::IpNet;
use regex_lite::{Regex, RegexBuilder};

use crate::error::quote;
use crate::node::Pattern;

/// The maximum memory of a compiled regular expression, in bytes.
pub const MAX_PATTERN_MEMORY: usize = 64 * 1024;
/// The smallest memory that is distinguished, in bytes.
const MIN_PATTERN_MEMORY: usize = 256;
/// The memory for which a search takes one step per byte of text. A state has about 32 bytes, and a search visits a few of them per
/// byte.
const MEMORY_PER_STEP: usize = 128;

/// Compiles a regular expression.
///
/// # Errors
/// The problem.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    let compile = |memory| RegexBuilder::new(text).size_limit(memory).build();
    let regex = compile(MAX_PATTERN_MEMORY)
        .map_err(|error| format!("`{}` is not a valid pattern: {error}", quote(text)))?;
    Ok(Pattern { regex, steps_per_byte: memory(compile) / MEMORY_PER_STEP })
}

/// Returns the memory that a pattern needs, up to a factor of two. The crate does not report it.
fn memory(compile: impl Fn(usize) -> Result<Regex, regex_lite::Error>) -> usize {
    let mut memory = MIN_PATTERN_MEMORY;
    while memory < MAX_PATTERN_MEMORY && compile(memory).is_err() {
        memory *= 2;
    }
    memory
}

/// Parses a network, or an address as a network of its own.
///
/// # Errors
/// The problem.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network =
        text.parse::<IpNet>().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error));
    let network = network.map_err(|_| {
        format!("`{}` is not a network; write one such as \"10.0.0.0/8\" or \"2001:db8::/32\"", quote(text))
    })?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!("`{network}` has bits beyond its prefix; write \"{}\"", network.trunc()))
    }
}
