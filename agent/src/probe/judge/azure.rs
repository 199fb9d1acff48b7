//! What the two ways into a Log Analytics workspace say ("Logs Ingestion API", "HTTP Data Collector API: Return codes").

use scaidrive_codecs::http::Reply;
use serde_json::Value;

use crate::probe::cause;
use crate::probe::report::Finding;

/// An answer of the Logs Ingestion API.
pub(super) fn of_ingestion(reply: &Reply) -> Option<Finding> {
    let (code, message) = error(reply);
    let message = message.to_ascii_lowercase();
    let cause = match reply.status {
        401 => &cause::TOKEN_REFUSED,
        403 => return Some(Finding::of(&cause::ROLE_MISSING).knowing_us()),
        400 | 404 if code.contains("Stream") || (message.contains("stream") && message.contains("not ")) => {
            &cause::STREAM_UNKNOWN
        }
        404 => &cause::RULE_UNKNOWN,
        400 if code == "InvalidPayload" || message.contains("column") => {
            return Some(Finding::of(&cause::COLUMN_TYPE_WRONG).knowing_us());
        }
        _ => return None,
    };
    Some(Finding::of(cause))
}

/// An answer of the Data Collector API. A signature that is refused may be the clock's fault.
pub(super) fn of_collector(reply: &Reply, is_clock_wrong: bool) -> Option<Finding> {
    let (code, _) = error(reply);
    let cause = match (reply.status, code.as_str()) {
        (401 | 403, _) if is_clock_wrong => &cause::CLOCK_WRONG,
        (401 | 403, _) => &cause::WORKSPACE_KEY_WRONG,
        (400, "InactiveCustomer" | "InvalidCustomerId") | (404, _) => &cause::WORKSPACE_UNKNOWN,
        (400, "InvalidDataFormat") => return Some(Finding::of(&cause::EVENT_REFUSED).knowing_us()),
        _ => return None,
    };
    Some(Finding::of(cause))
}

/// Code and message of an error in either shape.
fn error(reply: &Reply) -> (String, String) {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let error = if body["error"].is_object() { &body["error"] } else { &body };
    let text = |keys: [&str; 2]| keys.iter().find_map(|key| error[*key].as_str()).unwrap_or_default().to_owned();
    (text(["code", "Error"]), text(["message", "Message"]))
}

#[cfg(test)]
mod tests {
    use crate::probe::judge::reply::tests::judged;
    use crate::probe::stage::Stage;

    const INGESTION: &str = "type = \"sentinel\"\nurl = \"https://dce.example\"\n\
                             rule = \"dcr-00000000000000000000000000000000\"\nmanaged_identity = \"system\"";
    const COLLECTOR: &str = "type = \"sentinel\"\napi = \"data_collector\"\n\
                             workspace_id = \"00000000-0000-0000-0000-000000000000\"\nworkspace_key = { env = \"KEY\" }";

    fn ingestion(status: u16, code: &str, message: &str) -> (&'static str, Stage) {
        judged(INGESTION, status, &[], &format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}"))
    }

    #[test]
    fn connectors_2_4_rule_stream_role_and_column_are_told_apart() {
        assert_eq!(
            ingestion(404, "NotFound", "Data collection rule x not found."),
            ("rule_unknown", Stage::Permission)
        );
        assert_eq!(
            ingestion(404, "NotFound", "Stream x was not found in the rule."),
            ("stream_unknown", Stage::Permission)
        );
        assert_eq!(ingestion(400, "InvalidStream", "?").0, "stream_unknown");
        assert_eq!(ingestion(403, "OperationFailed", "no access").0, "role_missing");
        assert_eq!(ingestion(401, "InvalidToken", "audience").0, "token_refused");
        assert_eq!(ingestion(400, "InvalidPayload", "bad type"), ("column_type_wrong", Stage::Accepted));
        assert_eq!(ingestion(400, "Odd", "?").0, "request_not_understood");
        assert_eq!(judged(INGESTION, 204, &[], "").0, "");
    }

    #[test]
    fn connectors_3_2_key_and_workspace_are_told_apart() {
        let said = |status, code: &str| {
            judged(COLLECTOR, status, &[], &format!("{{\"Error\":\"{code}\",\"Message\":\"m\"}}")).0
        };
        assert_eq!(said(403, "InvalidAuthorization"), "workspace_key_wrong");
        assert_eq!(said(400, "InvalidCustomerId"), "workspace_unknown");
        assert_eq!(said(400, "InvalidDataFormat"), "event_refused");
        assert_eq!(judged(COLLECTOR, 200, &[], "").0, "");
    }
}
