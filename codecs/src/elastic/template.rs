//! The index template that a target needs: for canonical events, for those of the Elastic Common Schema, or of OCSF.
//!
//! Every field that the shape writes is mapped and nothing else: with `dynamic: false` a field that no one foresaw is kept in the
//! document, but cannot fill up the list of fields. The payload is one flat field for the same reason.

use super::{ElasticSettings, Op};
use crate::json::write_string;
use crate::shape::Shape;

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
    let properties = match settings.shape {
        Shape::Ecs => ecs(flavor, payload),
        Shape::Ocsf => ocsf(payload),
        _ => canonical(payload),
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
{properties}
      }}
    }}
  }}
}}
"#
    )
}

fn canonical(payload: &str) -> String {
    format!(
        r#"        "@timestamp": {{"type": "date"}},
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
        "payload": {payload}"#
    )
}

/// The fields of [`Shape::Ecs`] with the types of "ECS field reference", 9.4.
fn ecs(flavor: Flavor, payload: &str) -> String {
    let message = match flavor {
        Flavor::Elasticsearch => "match_only_text",
        Flavor::OpenSearch => "text",
    };
    format!(
        r#"        "@timestamp": {{"type": "date"}},
        "message": {{"type": "{message}"}},
        "ecs": {{"properties": {{"version": {{"type": "keyword"}}}}}},
        "event": {{
          "properties": {{
            "id": {{"type": "keyword", "ignore_above": 1024}},
            "kind": {{"type": "keyword"}},
            "category": {{"type": "keyword"}},
            "type": {{"type": "keyword"}},
            "action": {{"type": "keyword", "ignore_above": 1024}},
            "outcome": {{"type": "keyword"}},
            "reason": {{"type": "keyword", "ignore_above": 1024}},
            "severity": {{"type": "long"}},
            "sequence": {{"type": "long"}},
            "module": {{"type": "keyword"}},
            "dataset": {{"type": "keyword"}}
          }}
        }},
        "log": {{"properties": {{"level": {{"type": "keyword"}}}}}},
        "organization": {{"properties": {{"id": {{"type": "keyword", "ignore_above": 1024}}}}}},
        "user": {{
          "properties": {{
            "id": {{"type": "keyword", "ignore_above": 1024}},
            "email": {{"type": "keyword", "ignore_above": 1024}},
            "name": {{"type": "keyword", "ignore_above": 1024}}
          }}
        }},
        "source": {{"properties": {{"ip": {{"type": "ip"}}}}}},
        "client": {{"properties": {{"ip": {{"type": "ip"}}}}}},
        "file": {{
          "properties": {{
            "path": {{"type": "keyword", "ignore_above": 4096}},
            "name": {{"type": "keyword", "ignore_above": 1024}},
            "directory": {{"type": "keyword", "ignore_above": 4096}},
            "extension": {{"type": "keyword", "ignore_above": 1024}}
          }}
        }},
        "user_agent": {{"properties": {{"original": {{"type": "keyword", "ignore_above": 1024}}}}}},
        "related": {{
          "properties": {{
            "user": {{"type": "keyword", "ignore_above": 1024}},
            "ip": {{"type": "ip"}}
          }}
        }},
        "observer": {{
          "properties": {{
            "vendor": {{"type": "keyword"}},
            "product": {{"type": "keyword"}}
          }}
        }},
        "labels": {{
          "properties": {{
            "siem_node": {{"type": "keyword", "ignore_above": 1024}},
            "siem_stream": {{"type": "keyword", "ignore_above": 1024}}
          }}
        }},
        "scaidrive": {{
          "properties": {{
            "category": {{"type": "keyword", "ignore_above": 1024}},
            "severity": {{"type": "keyword", "ignore_above": 1024}},
            "service_account": {{"type": "keyword", "ignore_above": 1024}},
            "resource_id": {{"type": "keyword", "ignore_above": 1024}},
            "session_id": {{"type": "keyword", "ignore_above": 1024}},
            "ip": {{"type": "keyword", "ignore_above": 1024}},
            "link_scope": {{"type": "keyword", "ignore_above": 1024}},
            "destination": {{"type": "keyword", "ignore_above": 1024}},
            "dropped_count": {{"type": "long"}},
            "truncated": {{"type": "boolean"}},
            "unmapped": {payload},
            "payload": {payload}
          }}
        }}"#
    )
}

/// Objects of OCSF are deep and differ from class to class: what is searched is mapped, the rest is one flat field each.
fn ocsf(flat: &str) -> String {
    format!(
        r#"        "@timestamp": {{"type": "date"}},
        "time": {{"type": "date", "format": "epoch_millis"}},
        "class_uid": {{"type": "long"}},
        "category_uid": {{"type": "long"}},
        "activity_id": {{"type": "long"}},
        "activity_name": {{"type": "keyword"}},
        "type_uid": {{"type": "long"}},
        "severity_id": {{"type": "long"}},
        "severity": {{"type": "keyword", "ignore_above": 1024}},
        "status_id": {{"type": "long"}},
        "status_detail": {{"type": "keyword", "ignore_above": 1024}},
        "message": {{"type": "text"}},
        "metadata": {{
          "properties": {{
            "version": {{"type": "keyword"}},
            "uid": {{"type": "keyword", "ignore_above": 1024}},
            "tenant_uid": {{"type": "keyword", "ignore_above": 1024}},
            "event_code": {{"type": "keyword", "ignore_above": 1024}},
            "original_time": {{"type": "keyword", "ignore_above": 1024}},
            "sequence": {{"type": "long"}},
            "is_truncated": {{"type": "boolean"}},
            "product": {{
              "properties": {{
                "name": {{"type": "keyword"}},
                "vendor_name": {{"type": "keyword"}}
              }}
            }}
          }}
        }},
        "actor": {flat},
        "user": {flat},
        "session": {flat},
        "src_endpoint": {{
          "properties": {{
            "ip": {{"type": "ip"}},
            "name": {{"type": "keyword", "ignore_above": 1024}}
          }}
        }},
        "http_request": {{"properties": {{"user_agent": {{"type": "keyword", "ignore_above": 1024}}}}}},
        "service": {flat},
        "file": {flat},
        "group": {flat},
        "entity": {flat},
        "unmapped": {{
          "properties": {{
            "category": {{"type": "keyword", "ignore_above": 1024}},
            "service_account": {{"type": "keyword", "ignore_above": 1024}},
            "user_id": {{"type": "keyword", "ignore_above": 1024}},
            "user_email": {{"type": "keyword", "ignore_above": 1024}},
            "session_id": {{"type": "keyword", "ignore_above": 1024}},
            "ip": {{"type": "keyword", "ignore_above": 1024}},
            "user_agent": {{"type": "keyword", "ignore_above": 1024}},
            "resource_id": {{"type": "keyword", "ignore_above": 1024}},
            "resource_path": {{"type": "keyword", "ignore_above": 4096}},
            "siem": {{
              "properties": {{
                "node": {{"type": "keyword", "ignore_above": 1024}},
                "stream": {{"type": "keyword", "ignore_above": 1024}},
                "n": {{"type": "long"}}
              }}
            }},
            "truncated": {{"type": "boolean"}},
            "unmapped": {flat},
            "payload": {flat}
          }}
        }}"#
    )
}

/// Above the built-in `logs` template, which has 100.
const PRIORITY: u32 = 300;
/// Far more than are mapped, far fewer than the servers' own limit of 1000.
const FIELDS_MAX: u32 = 500;
