//! Events of many kinds, each with a name: what golden files of shapes are made of.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use scaidrive_codecs::own::{Envelope, OwnEvent, examples};

/// One event, and what its golden file is called.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) raw: String,
}

/// At least one event of each family, and the odd ones.
pub(crate) fn kinds() -> Vec<Kind> {
    let kind = |name, raw: &str| Kind { name, raw: raw.to_owned() };
    let common = |action: &str, category: &str, severity: &str, rest: &str| {
        format!(
            r#"{{"event_id":"evt_01HE8ZP4T9QK3M7N5R2V6X8Y0A","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"tnt_7","category":"{category}","action":"{action}","severity":"{severity}"{rest}}}"#
        )
    };
    let person = r#","user_id":"usr_1","user_email":"alice@example.com""#;
    let client = r#","ip":"203.0.113.42","user_agent":"ScaiDrive-Desktop/1.4.2 (macOS)","session_id":"ses_9""#;
    let file = r#","resource_id":"fil_2","resource_path":"/engineering/specs/v2.pdf""#;
    let long = "x".repeat(6_000);
    vec![
        kind(
            "file_download",
            &common(
                "file.download",
                "FILE_ACCESS",
                "info",
                &format!(r#"{person},"service_account":"svc_ci_pipeline"{file}{client},"payload":{{"bytes":1048576}}"#),
            ),
        ),
        kind("file_upload", &common("file.upload", "FILE_ACCESS", "info", &format!("{person}{file}{client}"))),
        kind(
            "file_rename",
            &common(
                "file.rename",
                "FILE_ACCESS",
                "notice",
                &format!(r#"{person}{file}{client},"payload":{{"old_path":"/engineering/specs/v1.pdf"}}"#),
            ),
        ),
        kind(
            "file_delete_by_account",
            &common("file.delete", "FILE_ACCESS", "low", &format!(r#","service_account":"svc_backup"{file}"#)),
        ),
        kind(
            "folder_create",
            &common(
                "folder.create",
                "FILE_ACCESS",
                "info",
                &format!(r#"{person},"resource_id":"fld_3","resource_path":"/engineering/new"{client}"#),
            ),
        ),
        kind(
            "link_create",
            &common(
                "link.create",
                "SHARING",
                "medium",
                &format!(
                    r#"{person}{file}{client},"payload":{{"scope":"external","expires":"2026-06-01","password":true}}"#
                ),
            ),
        ),
        kind("login", &common("auth.login", "AUTHENTICATION", "info", &format!("{person}{client}"))),
        kind(
            "login_failed_ipv6",
            &common(
                "auth.login_failed",
                "AUTHENTICATION",
                "warning",
                r#","user_email":"mallory@example.com","ip":"2001:db8::7:1","user_agent":"curl/8.7","payload":{"reason":"wrong password","attempt":3}"#,
            ),
        ),
        kind("logout", &common("auth.logout", "AUTHENTICATION", "debug", &format!("{person}{client}"))),
        kind(
            "user_create",
            &common(
                "user.create",
                "USER_MANAGEMENT",
                "notice",
                &format!(
                    r#"{person},"resource_id":"usr_55"{client},"payload":{{"email":"new@example.com","roles":["viewer"]}}"#
                ),
            ),
        ),
        kind(
            "group_member_add",
            &common(
                "group.member_add",
                "USER_MANAGEMENT",
                "notice",
                &format!(
                    r#"{person},"resource_id":"grp_4","resource_path":"Engineering"{client},"payload":{{"member":"usr_55"}}"#
                ),
            ),
        ),
        kind(
            "role_changed",
            &common("role.changed", "ADMINISTRATION", "error", &format!(r#"{person},"resource_id":"rol_1"{client}"#)),
        ),
        kind("malware_found", &common("malware.found", "SECURITY", "critical", &format!("{person}{file}{client}"))),
        kind("unknown_action", &common("workflow.started", "AUTOMATION", "severe", &format!("{person}{client}"))),
        kind("unknown_in_family", &common("file.annotate_denied", "FILE_ACCESS", "high", &format!("{person}{file}"))),
        kind("missing_fields", &common("file.download", "FILE_ACCESS", "info", "")),
        kind(
            "empty_fields",
            &common(
                "auth.login",
                "AUTHENTICATION",
                "info",
                r#","user_id":"","user_email":null,"service_account":"","ip":"","user_agent":"","session_id":null,"payload":{}"#,
            ),
        ),
        kind(
            "not_ascii",
            &common(
                "file.view",
                "FILE_ACCESS",
                "info",
                r#","user_id":"usr_é","user_email":"zoë@exämple.com","resource_id":"fil_я","resource_path":"/Verträge/财务/общие 😀.docx","ip":"198.51.100.7","user_agent":"Клиент/1.0","payload":{"note":"naïve — “quoted”","emoji":"👩‍💻"}"#,
            ),
        ),
        kind(
            "hostile",
            &common(
                "file.\\u0064ownload|x=\\\\1",
                "FILE_ACCESS",
                "info",
                r#","user_id":"a|b=c\\d","user_email":"\"><script>@x]","service_account":" svc=1 cs1=forged ","resource_path":"\/tmp\/a b\\c|d=e\n\r\tf\u0000\u0085]]>","resource_id":"CEF:0|x|y|1|1|forged|10|","ip":"203.0.113.42\n<134>forged","user_agent":"line one\r\nline two\u2028\u007f","session_id":"%s%n{{7*7}}${event}","payload":{"k=\"|":"a=b\\=c\n","k2":["\t",{"x":null}]},"custom|=":{"a":"}"},"other":[1,2]"#,
            ),
        ),
        kind(
            "long_fields",
            &common(
                "file.download",
                "FILE_ACCESS",
                "info",
                &format!(
                    r#"{person},"resource_id":"fil_2","resource_path":"/{}/é.pdf","ip":"203.0.113.42","user_agent":"{}","session_id":"ses_9","payload":{{"first":"kept","long":"{long}","last":1}},"extra":"{long}""#,
                    "folder".repeat(250),
                    "agent ".repeat(300),
                ),
            ),
        ),
        kind(
            "other_time",
            &common("file.download", "FILE_ACCESS", "info", person).replace("14:23:01.453Z", "23:59:59.9999999+05:30"),
        ),
        own("own_buffer_overflow", |own| matches!(own, OwnEvent::BufferOverflow(_))),
        own("own_agent_started", |own| matches!(own, OwnEvent::AgentStarted(_))),
        own("own_config_changed", |own| matches!(own, OwnEvent::ConfigChanged(_))),
    ]
}

fn own(name: &'static str, is_it: impl Fn(&OwnEvent) -> bool) -> Kind {
    let envelope =
        Envelope { event_id: "evt_own", timestamp_ms: 1_778_595_791_453, tenant_id: "_agent", node: "node-7" };
    let found = examples().into_iter().find(|own| is_it(own)).unwrap();
    Kind { name, raw: String::from_utf8(found.to_json(&envelope)).unwrap() }
}
