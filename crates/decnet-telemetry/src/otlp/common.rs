//! Parts that spans and metrics have in common.

use std::time::Duration;

use decnet_core::time::UnixMicros;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Returns the exporting resource. It includes the process id, since the counters of two workers, or of one before and
/// after a restart, are separate.
pub(super) fn resource() -> Resource {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let attributes = vec![
        text("service.name", "decnet-webhook"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", &format!("{host}:{}", std::process::id())),
        text("host.name", &host),
    ];
    Resource { attributes, ..Resource::default() }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "decnet".into(), ..InstrumentationScope::default() }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(super) fn number_of(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(super) fn nanos(at: UnixMicros) -> u64 {
    Duration::from_micros(at.0.max(0).unsigned_abs()).as_nanos().try_into().unwrap_or(u64::MAX)
}
