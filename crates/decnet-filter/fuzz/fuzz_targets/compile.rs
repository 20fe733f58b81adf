//! Compiles any text. Must not panic, and errors must be short.
#![no_main]

use decnet_filter::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    match Filter::compile(source) {
        Ok(filter) => assert_eq!(filter.source(), source),
        Err(error) => assert!(error.to_string().len() < 2000, "{error}"),
    }
});
