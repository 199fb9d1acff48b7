//! The bytes of a stored index, which lie on disks: they must not change while the format number stays.

mod common;

use std::fmt::Write;

use common::golden;
use scaidrive_codecs::{Index, index};

const EVENTS: [&str; 3] = [
    r#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"info"}"#,
    r#"{"payload":{"size":1},"severity":"odd","action":"file.\u0064ownload","category":"FILE_ACCESS","tenant_id":"tnt_1","timestamp":"1969-12-31T23:59:59.999Z","event_id":"evt_1","resource_path":"/a\/b"}"#,
    concat!(
        r#"{"event_id":"evt_01HE8","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"tnt_1","category":"FILE_ACCESS","#,
        r#""action":"file.download","severity":"critical","user_id":"usr_1","user_email":"alice@example.com","#,
        r#""service_account":"svc_ci","resource_id":"fil_1","resource_path":"/engineering/specs/v2.pdf","ip":"203.0.113.42","#,
        r#""user_agent":"ScaiDrive-Desktop/1.4.2 (macOS)","session_id":"ses_1","payload":{}}"#
    ),
];

#[test]
fn the_golden_indexes_have_not_changed_and_read_back() {
    let mut text = String::new();
    for raw in EVENTS {
        let found = index(raw.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        found.encode(&mut bytes);
        assert_eq!(Index::decode(&bytes).unwrap(), found);
        writeln!(text, "{raw}").unwrap();
        bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push_str("\n\n");
    }
    golden("index.txt", &text);
}
