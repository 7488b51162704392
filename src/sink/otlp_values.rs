//! Values of OTLP that logs and metrics share: attributes, the resource, the scope.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::message::ContainerLabels;
use crate::masking::mask;

/// The version of the semantic conventions that the names follow.
pub const CONVENTIONS: &str = "https://opentelemetry.io/schemas/1.37.0";

/// This host as the resource of all records and metrics.
#[derive(Debug, Clone, Default)]
pub struct OtlpHost {
    /// `host.name`.
    pub name: String,
    /// `host.id`: the machine id; empty when there is none.
    pub id: String,
    /// Kernel release, for `os.version`.
    pub kernel: String,
}

/// hullwatch and its version as the instrumentation scope.
#[must_use]
pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "hullwatch".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// The host, or one of its containers, as the source of records and metrics.
#[must_use]
pub fn resource(host: &OtlpHost, container: Option<&ContainerLabels>) -> Resource {
    let mut out = Attributes::default();
    out.text("service.name", "hullwatch");
    out.text("service.version", env!("CARGO_PKG_VERSION"));
    out.text("host.name", &host.name);
    out.text("host.id", &host.id);
    out.text("os.type", "linux");
    out.text("os.version", &host.kernel);
    if let Some(container) = container {
        out.text("container.id", &container.id);
        out.text("container.name", &container.name);
        out.text("container.image.name", &container.image);
        out.text("container.image.id", &container.image_digest);
        out.text("container.runtime.name", container.runtime);
        out.text("k8s.namespace.name", &container.namespace);
        out.text("k8s.pod.name", &container.pod);
        out.text("k8s.pod.uid", &container.pod_uid);
    }
    Resource {
        attributes: out.0,
        ..Resource::default()
    }
}

/// The output of a Python script that decodes `bytes` with the package opentelemetry-proto; `None` where
/// no Python has it: `tests/run` names one in `HULLWATCH_TEST_PYTHON`.
#[cfg(test)]
pub(crate) fn decoded_by_python(script: &str, bytes: &[u8]) -> Option<String> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let Some(python) = std::env::var_os("HULLWATCH_TEST_PYTHON") else {
        eprintln!("DID NOT RUN: HULLWATCH_TEST_PYTHON is not set; use tests/run");
        return None;
    };
    let mut python = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the named Python");
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(bytes).expect("the script reads all");
    drop(input);
    let output = python.wait_with_output().expect("its output");
    Some(String::from_utf8(output.stdout).expect("text"))
}

pub(super) fn value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(super) fn text(text: impl Into<String>) -> AnyValue {
    value(Value::StringValue(text.into()))
}

pub(super) fn integer(number: u64) -> AnyValue {
    value(Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX)))
}

pub(super) fn list(values: impl IntoIterator<Item = AnyValue>) -> AnyValue {
    let values = values.into_iter().collect();
    value(Value::ArrayValue(ArrayValue { values }))
}

/// Attributes of these texts, without those that are empty.
#[must_use]
pub fn attributes<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<KeyValue> {
    let mut out = Attributes::default();
    for (key, value) in texts {
        out.text(key, value);
    }
    out.0
}

/// Attributes, without those that are empty.
#[derive(Default)]
pub(super) struct Attributes(pub(super) Vec<KeyValue>);

impl Attributes {
    pub(super) fn put(&mut self, key: &str, value: AnyValue) {
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(value),
            ..KeyValue::default()
        });
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.put(key, text(mask(value)));
        }
    }
}
