//! What Elasticsearch and OpenSearch say: types and reasons of errors, of the request or of its one item ("Bulk API" in
//! both references).

use scaidrive_codecs::http::Reply;
use serde_json::Value;

use super::reply::Asked;
use crate::config::Auth;
use crate::probe::cause::{self, Cause};
use crate::probe::report::Finding;

/// By the error of the request or of the item; `None` where there is none that is known.
pub(super) fn of_reply(reply: &Reply, asked: &Asked<'_>) -> Option<Finding> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let item = body["items"][0].as_object().and_then(|item| item.values().next());
    if item.is_some_and(|item| item["failure_store"] == "used") {
        return Some(Finding::of(&cause::SET_ASIDE_IN_FAILURE_STORE).knowing_us());
    }
    let (status, error) = match item {
        Some(item) => (item["status"].as_u64().unwrap_or(0), &item["error"]),
        None => (u64::from(reply.status), &body["error"]),
    };
    let kind = error["type"].as_str().unwrap_or_default();
    let reason = error["reason"].as_str().unwrap_or_else(|| error.as_str().unwrap_or_default());
    // Amazon's gateway speaks before the cluster does, with another shape.
    let reason = if reason.is_empty() { body["message"].as_str().unwrap_or_default() } else { reason };
    let cause = of_error(status, kind, reason, asked)?;
    let finding = Finding::of(cause).saying(format!("status {status}: {kind}: {reason}").replace(": :", ":"));
    // Items are judged, and rights looked up, for somebody who is known.
    let of_rights = [&cause::INDEX_CREATE_RIGHT_MISSING, &cause::INDEX_WRITE_RIGHT_MISSING];
    let knows_us = (item.is_some() && status != 401) || of_rights.contains(&cause);
    Some(if knows_us { finding.knowing_us() } else { finding })
}

fn of_error(status: u64, kind: &str, reason: &str, asked: &Asked<'_>) -> Option<&'static Cause> {
    let cause = match kind {
        "index_not_found_exception" if reason.contains("action.auto_create_index") => &cause::INDEX_AUTO_CREATE_OFF,
        "index_not_found_exception" if reason.contains("forbids index auto creation") => &cause::TEMPLATE_MISSING,
        "index_not_found_exception" => &cause::INDEX_MISSING,
        "cluster_block_exception" => &cause::INDEX_READ_ONLY,
        "strict_dynamic_mapping_exception" => &cause::MAPPING_STRICT,
        "document_parsing_exception" | "mapper_parsing_exception" => &cause::MAPPING_TYPE_WRONG,
        "illegal_argument_exception" => return of_argument(reason),
        "security_exception" if status == 401 => of_identity(reason, asked),
        "security_exception" => of_right(reason),
        "circuit_breaking_exception" => &cause::THROTTLED,
        _ if kind.ends_with("rejected_execution_exception") => &cause::THROTTLED,
        _ if status == 403 && asked.auth.iter().any(|way| matches!(way, Auth::Aws(_))) => of_signature(reason),
        _ => return None,
    };
    Some(cause)
}

fn of_argument(reason: &str) -> Option<&'static Cause> {
    let has = |words: &str| reason.contains(words);
    if has("Limit of total fields") {
        Some(&cause::MAPPING_FULL)
    } else if has("Document ID is not supported") {
        Some(&cause::DOCUMENT_ID_REFUSED)
    } else if has("op_type of create are allowed in data streams") {
        Some(&cause::TARGET_IS_DATA_STREAM)
    } else if has("no matching index template") {
        Some(&cause::TEMPLATE_MISSING)
    } else if has("cannot be changed from type") || has("can't merge") {
        Some(&cause::MAPPING_TYPE_WRONG)
    } else {
        None
    }
}

fn of_identity(reason: &str, asked: &Asked<'_>) -> &'static Cause {
    if reason.contains("expired") || reason.contains("invalidated") {
        &cause::API_KEY_EXPIRED
    } else if asked.shows_nothing() {
        &cause::CREDENTIALS_MISSING
    } else {
        &cause::CREDENTIALS_REFUSED
    }
}

fn of_right(reason: &str) -> &'static Cause {
    if reason.contains("indices:admin/auto_create") || reason.contains("indices:admin/create") {
        &cause::INDEX_CREATE_RIGHT_MISSING
    } else if reason.contains("indices:data/write") || reason.contains("indices:admin/mapping") {
        &cause::INDEX_WRITE_RIGHT_MISSING
    } else {
        &cause::FORBIDDEN
    }
}

/// "Troubleshooting AWS Signature Version 4 errors".
fn of_signature(reason: &str) -> &'static Cause {
    if reason.contains("Signature expired") || reason.contains("Signature not yet current") {
        &cause::CLOCK_WRONG
    } else if reason.contains("signature") || reason.contains("security token") {
        &cause::SIGNATURE_REFUSED
    } else {
        &cause::FORBIDDEN
    }
}

#[cfg(test)]
mod tests {
    use crate::probe::judge::reply::tests::judged;
    use crate::probe::stage::Stage;

    const ELASTIC: &str = "type = \"elastic\"\nurl = \"https://siem.example:9200\"\napi_key = { env = \"T\" }";
    const AMAZON: &str = "type = \"elastic\"\nurl = \"https://siem.example\"\naws = { region = \"eu-central-1\", \
                          access_key_id = \"A\", secret_access_key = { env = \"T\" } }";

    fn item(status: u16, kind: &str, reason: &str) -> (&'static str, Stage) {
        let body = format!(
            "{{\"took\":1,\"errors\":true,\"items\":[{{\"create\":{{\"status\":{status},\
             \"error\":{{\"type\":\"{kind}\",\"reason\":\"{reason}\"}}}}}}]}}"
        );
        judged(ELASTIC, 200, &[], &body)
    }

    #[test]
    fn connectors_4_5_an_item_is_judged_by_type_and_reason() {
        assert_eq!(item(404, "index_not_found_exception", "no such index [audit]").0, "index_missing");
        assert_eq!(
            item(404, "index_not_found_exception", "x [action.auto_create_index] is [false]").0,
            "index_auto_create_off"
        );
        assert_eq!(item(400, "mapper_parsing_exception", "failed to parse"), ("mapping_type_wrong", Stage::Accepted));
        assert_eq!(
            item(403, "cluster_block_exception", "blocked by: [FORBIDDEN/12/index read-only]").0,
            "index_read_only"
        );
        assert_eq!(item(429, "es_rejected_execution_exception", "queue").0, "throttled");
        assert_eq!(
            item(403, "security_exception", "no permissions for [indices:data/write/index]").0,
            "index_write_right_missing"
        );
        // What nobody knows is still an event that was refused, and its words are shown.
        assert_eq!(item(400, "surprising_exception", "?").0, "event_refused");
    }

    #[test]
    fn a_taken_event_has_no_cause_unless_it_was_set_aside() {
        assert_eq!(judged(ELASTIC, 200, &[], "{\"errors\":false,\"items\":[{\"create\":{\"status\":201}}]}").0, "");
        let aside = "{\"errors\":false,\"items\":[{\"create\":{\"status\":201,\"failure_store\":\"used\"}}]}";
        assert_eq!(judged(ELASTIC, 200, &[], aside).0, "set_aside_in_failure_store");
    }

    #[test]
    fn amazon_refuses_signatures_before_the_cluster_is_asked() {
        let said = |message: &str| judged(AMAZON, 403, &[], &format!("{{\"message\":\"{message}\"}}")).0;
        assert_eq!(
            said("The request signature we calculated does not match the signature you provided."),
            "signature_refused"
        );
        assert_eq!(said("Signature expired: 20260512T142301Z is now earlier than 20260512T143000Z"), "clock_wrong");
        assert_eq!(said("User: anonymous is not authorized to perform: es:ESHttpPost"), "forbidden");
    }
}
