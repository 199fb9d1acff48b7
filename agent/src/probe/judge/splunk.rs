//! What Splunk's collector says: codes in its replies ("Possible error codes" of the HTTP Event Collector).

use scaidrive_codecs::http::Reply;
use serde_json::Value;

use crate::probe::cause;
use crate::probe::report::Finding;

/// By the code of the reply; `None` without one.
pub(super) fn of_reply(reply: &Reply) -> Option<Finding> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    let cause = match body["code"].as_u64()? {
        1 | 22 => &cause::TOKEN_DISABLED,
        2 => &cause::TOKEN_STRIPPED,
        3 | 16 => &cause::CREDENTIALS_REFUSED,
        4 | 21 => &cause::TOKEN_UNKNOWN,
        7 => &cause::INDEX_REFUSED,
        8 => &cause::SERVER_FAILED,
        9 => &cause::COLLECTOR_BUSY,
        10 | 11 => &cause::CHANNEL_MISSING,
        14 => &cause::ACKNOWLEDGEMENT_DISABLED,
        15 => &cause::INDEXED_FIELDS_REFUSED,
        18..=20 | 26 | 27 => &cause::COLLECTOR_FULL,
        23 => &cause::COLLECTOR_STOPPING,
        5 | 6 | 12 | 13 => &cause::EVENT_REFUSED,
        _ => return None,
    };
    // What it says of the body it says after it has looked at the token.
    let of_the_body =
        [&cause::INDEX_REFUSED, &cause::CHANNEL_MISSING, &cause::INDEXED_FIELDS_REFUSED, &cause::EVENT_REFUSED];
    let knows_us = of_the_body.contains(&cause);
    let finding = Finding::of(cause);
    Some(if knows_us { finding.knowing_us() } else { finding })
}

#[cfg(test)]
mod tests {
    use crate::probe::judge::reply::tests::judged;
    use crate::probe::stage::Stage;

    const HEC: &str = "type = \"splunk_hec\"\nurl = \"https://siem.example:8088\"\ntoken = { env = \"T\" }";

    #[test]
    fn connectors_1_5_every_code_that_is_no_success_has_a_cause() {
        for code in (1..=23).chain([26, 27]).filter(|code| *code != 17) {
            let body = format!("{{\"text\":\"x\",\"code\":{code}}}");
            let (found, _) = judged(HEC, 400, &[], &body);
            assert!(!found.is_empty() && found != "request_not_understood", "{code}: {found}");
        }
        for code in [0, 24, 25] {
            assert_eq!(judged(HEC, 200, &[], &format!("{{\"text\":\"x\",\"code\":{code}}}")).0, "");
        }
    }

    #[test]
    fn other_doors_of_splunk_are_known() {
        let xml = "<?xml version=\"1.0\"?>\n<response><messages/></response>";
        assert_eq!(judged(HEC, 401, &[("Server", "Splunkd")], xml).0, "splunk_management_port");
        let login = [("Location", "http://siem.example:8000/en-US/account/login?return_to=x")];
        assert_eq!(judged(HEC, 303, &login, ""), ("splunk_web_port", Stage::Answer));
    }

    #[test]
    fn a_busy_reply_counts_whatever_the_status() {
        assert_eq!(judged(HEC, 503, &[], "{\"text\":\"Server is busy\",\"code\":9}").0, "collector_busy");
        assert_eq!(judged(HEC, 503, &[], "upstream went away").0, "unavailable");
        assert_eq!(judged(HEC, 200, &[], "{\"status\":\"fine\"}").0, "answer_unexpected");
    }
}
