//! The index template that a target for canonical events needs.
//!
//! Every canonical field is mapped and nothing else: with `dynamic: false` a field that no one foresaw is kept in the
//! document, but cannot fill up the list of fields. The payload is one flat field for the same reason.

use super::{ElasticSettings, Op};
use crate::json::write_string;

/// Whose dialect a template is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Elasticsearch 8 and later, and Elastic Cloud.
    Elasticsearch,
    /// OpenSearch 2 and later, and Amazon OpenSearch.
    OpenSearch,
}

/// The body of `PUT _index_template/<target>`, as JSON text.
///
/// With [`Op::Create`] it makes the target a data stream, which then comes into being with its first document. Its
/// priority is above that of the built-in templates.
pub fn index_template(settings: &ElasticSettings, flavor: Flavor) -> String {
    let mut target = Vec::new();
    write_string(&settings.target, &mut target);
    let target = String::from_utf8_lossy(&target);
    let data_stream = match (settings.op, flavor) {
        (Op::Index, _) => "",
        (Op::Create, Flavor::Elasticsearch) => "\n  \"data_stream\": {},",
        (Op::Create, Flavor::OpenSearch) => "\n  \"data_stream\": {\"timestamp_field\": {\"name\": \"@timestamp\"}},",
    };
    // Elasticsearch brings settings for logs, with a lifecycle; a cluster without them ignores the line.
    let composed_of = match (settings.op, flavor) {
        (Op::Create, Flavor::Elasticsearch) => {
            "\n  \"composed_of\": [\"logs@settings\"],\n  \"ignore_missing_component_templates\": [\"logs@settings\"],"
        }
        _ => "",
    };
    let payload = match flavor {
        Flavor::Elasticsearch => r#"{"type": "flattened", "ignore_above": 2048, "depth_limit": 64}"#,
        Flavor::OpenSearch => r#"{"type": "flat_object"}"#,
    };
    format!(
        r#"{{
  "index_patterns": [{target}],{data_stream}
  "priority": {PRIORITY},{composed_of}
  "template": {{
    "settings": {{"index.mapping.total_fields.limit": {FIELDS_MAX}}},
    "mappings": {{
      "dynamic": false,
      "properties": {{
        "@timestamp": {{"type": "date"}},
        "siem": {{
          "properties": {{
            "node": {{"type": "keyword", "ignore_above": 1024}},
            "stream": {{"type": "keyword", "ignore_above": 1024}},
            "n": {{"type": "long"}}
          }}
        }},
        "event_id": {{"type": "keyword", "ignore_above": 1024}},
        "timestamp": {{"type": "date", "ignore_malformed": true}},
        "tenant_id": {{"type": "keyword", "ignore_above": 1024}},
        "category": {{"type": "keyword", "ignore_above": 1024}},
        "action": {{"type": "keyword", "ignore_above": 1024}},
        "severity": {{"type": "keyword", "ignore_above": 1024}},
        "user_id": {{"type": "keyword", "ignore_above": 1024}},
        "user_email": {{"type": "keyword", "ignore_above": 1024}},
        "service_account": {{"type": "keyword", "ignore_above": 1024}},
        "resource_id": {{"type": "keyword", "ignore_above": 1024}},
        "resource_path": {{"type": "keyword", "ignore_above": 4096}},
        "ip": {{"type": "ip", "ignore_malformed": true}},
        "user_agent": {{"type": "keyword", "ignore_above": 1024}},
        "session_id": {{"type": "keyword", "ignore_above": 1024}},
        "payload": {payload}
      }}
    }}
  }}
}}
"#
    )
}

/// Above the built-in `logs` template, which has 100.
const PRIORITY: u32 = 300;
/// Far more than are mapped, far fewer than the servers' own limit of 1000.
const FIELDS_MAX: u32 = 500;
