//! Syslog messages read by a parser that knows nothing of the encoder.

mod common;
mod rfc5424;

use common::golden;
use proptest::prelude::*;
use rfc5424::Message;
use scaidrive_codecs::event::Field;
use scaidrive_codecs::framing::{split_counted, split_line};
use scaidrive_codecs::syslog::*;
use scaidrive_codecs::{Body, Event, Index, Scratch, Stamp, index};
use serde_json::{Value, json};

const STAMP: Stamp<'static> = Stamp { node: "node-7", stream: "a1.splunk.0.9f", n: 42 };

fn settings() -> SyslogSettings {
    SyslogSettings {
        header: Header::Rfc5424,
        facility: 16,
        hostname: "scaidrive01".into(),
        app_name: "scaidrive".into(),
        procid: String::new(),
        msg: Msg::Json,
        framing: Framing::Datagram,
        bom: false,
        max_len: MAX_LEN_DEFAULT,
        enterprise_id: ENTERPRISE_ID_DEFAULT,
        shape: scaidrive_codecs::Shape::Canonical,
    }
}

fn structured() -> SyslogSettings {
    SyslogSettings { msg: Msg::StructuredData, ..settings() }
}

fn canonical() -> String {
    concat!(
        r#"{"event_id":"evt_01HE8","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"tnt_1","category":"FILE_ACCESS","#,
        r#""action":"file.download","severity":"info","user_id":"usr_1","user_email":"alice@example.com","#,
        r#""service_account":"svc_ci","resource_id":"fil_1","resource_path":"/eng/[v2] \"x\" \\ \n.pdf","ip":"203.0.113.42","#,
        r#""user_agent":"ScaiDrive-Desktop/1.4.2 (macOS)","session_id":"ses_1","payload":{"a":"]"}}"#
    )
    .to_owned()
}

fn encode(settings: &SyslogSettings, raw: &str) -> Result<Vec<u8>, TooLong> {
    let found: Index = index(raw.as_bytes()).unwrap();
    let event = Event::new(raw.as_bytes(), &found);
    let mut body = Body::new();
    Syslog::new(settings).unwrap().encode(&event, &STAMP, 3, &mut body, &mut Scratch::default())?;
    let bytes: Vec<u8> =
        body.slices(|item| if item == 3 { raw.as_bytes() } else { panic!("item {item}") }).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    Ok(bytes)
}

fn message(settings: &SyslogSettings, raw: &str) -> Message {
    let bytes = encode(settings, raw).unwrap();
    rfc5424::parse(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)))
}

#[test]
fn json_mode_sends_the_event_as_it_came() {
    let raw = canonical();
    let found = message(&settings(), &raw);
    assert_eq!((found.facility, found.severity), (16, 6));
    assert_eq!(found.timestamp, "2026-05-12T14:23:01.453Z");
    assert_eq!(found.hostname.as_deref(), Some("scaidrive01"));
    assert_eq!(
        (found.app_name.as_deref(), found.procid, found.msgid.as_deref()),
        (Some("scaidrive"), None, Some("file.download"))
    );
    let params = [("node", "node-7"), ("stream", "a1.splunk.0.9f"), ("n", "42")]
        .map(|(name, value)| (name.into(), value.into()));
    assert_eq!(found.elements, [("siem@32473".to_owned(), params.to_vec())]);
    assert_eq!(found.msg.as_deref(), Some(raw.as_str()));
}

#[test]
fn json_mode_borrows_the_event() {
    let raw = canonical();
    let found = index(raw.as_bytes()).unwrap();
    let mut body = Body::new();
    Syslog::new(&settings())
        .unwrap()
        .encode(&Event::new(raw.as_bytes(), &found), &STAMP, 0, &mut body, &mut Scratch::default())
        .unwrap();
    let slices: Vec<&[u8]> = body.slices(|_| raw.as_bytes()).collect();
    assert!(slices.iter().any(|slice| std::ptr::eq(slice.as_ptr(), raw.as_ptr()) && slice.len() == raw.len()));
}

#[test]
fn structured_data_carries_every_known_field() {
    let found = message(&structured(), &canonical());
    let value: Value = serde_json::from_str(&canonical()).unwrap();
    for field in Field::ALL {
        let expected = match field {
            Field::Timestamp => None,
            Field::Payload => Some(r#"{"a":"]"}"#.to_owned()),
            Field::ResourcePath => Some(r#"/eng/[v2] "x" \  .pdf"#.to_owned()),
            _ => Some(value[field.name()].as_str().unwrap().to_owned()),
        };
        assert_eq!(found.param("audit@32473", field.name()), expected.as_deref(), "{}", field.name());
    }
    assert_eq!(found.param("siem@32473", "n"), Some("42"));
    assert_eq!(found.msg.as_deref(), Some("file.download by alice@example.com"));
}

#[test]
fn the_golden_messages_have_not_changed() {
    let own = scaidrive_codecs::own::examples()[1].to_json(&scaidrive_codecs::own::Envelope {
        event_id: "evt_own",
        timestamp_ms: 1_778_595_781_453,
        tenant_id: "_agent",
        node: "node-7",
    });
    let own_index = index(&own).unwrap();
    let mut out = Vec::new();
    for settings in [settings(), SyslogSettings { bom: true, ..structured() }] {
        for framing in [Framing::OctetCounting, Framing::LineFeed] {
            out.extend(encode(&SyslogSettings { framing, ..settings.clone() }, &canonical()).unwrap());
            out.push(b'\n');
        }
        let mut body = Body::new();
        Syslog::new(&settings)
            .unwrap()
            .encode_own(&Event::new(&own, &own_index), &mut body, &mut Scratch::default())
            .unwrap();
        out.extend(body.slices(|item| panic!("an own event borrows nothing, not item {item}")).flatten());
        out.push(b'\n');
    }
    golden("syslog.txt", &String::from_utf8(out).unwrap());
}

#[test]
fn header_parts_are_cut_and_cleaned() {
    let odd =
        SyslogSettings { hostname: "höst name".into(), app_name: "a".repeat(60), procid: "p\n1".into(), ..settings() };
    let raw = canonical().replace("file.download", &format!("a b\\n\u{e9}{}", "x".repeat(40)));
    let found = message(&odd, &raw);
    assert_eq!(found.hostname.as_deref(), Some("h_st_name"));
    assert_eq!(found.app_name.unwrap(), "a".repeat(48));
    assert_eq!(found.procid.as_deref(), Some("p_1"));
    assert_eq!(found.msgid.unwrap(), format!("a_b__{}", "x".repeat(27)));
    let long = SyslogSettings { hostname: "h".repeat(300), procid: "p".repeat(300), ..settings() };
    let found = message(&long, &canonical());
    assert_eq!((found.hostname.unwrap().len(), found.procid.unwrap().len()), (255, 128));
    assert_eq!(message(&settings(), &canonical().replace("file.download", "")).msgid, None);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let new = |settings: SyslogSettings| Syslog::new(&settings).map(|_| ());
    assert_eq!(new(SyslogSettings { facility: 24, ..settings() }), Err(SyslogSettingsError::Facility { facility: 24 }));
    assert_eq!(new(SyslogSettings { max_len: 479, ..settings() }), Err(SyslogSettingsError::MaxLen { max_len: 479 }));
    assert_eq!(new(SyslogSettings { enterprise_id: 0, ..settings() }), Err(SyslogSettingsError::EnterpriseId));
    assert_eq!(new(SyslogSettings { facility: 23, max_len: 480, enterprise_id: u32::MAX, ..settings() }), Ok(()));
}

#[test]
fn the_byte_order_mark_is_a_switch() {
    for base in [settings(), structured()] {
        assert!(!message(&base, &canonical()).has_bom);
        assert!(message(&SyslogSettings { bom: true, ..base }, &canonical()).has_bom);
    }
}

fn with_sizes(payload: usize, user_agent: &str, resource_path: &str) -> String {
    let event = json!({
        "event_id": "e", "timestamp": "2026-05-12T14:23:01.453Z", "tenant_id": "t", "category": "c", "action": "a.b",
        "severity": "critical", "user_agent": user_agent, "resource_path": resource_path, "payload": {"x": "p".repeat(payload)}, "zz": 1,
    });
    event.to_string()
}

#[test]
fn lesson_31_a_long_message_loses_its_payload_first() {
    let limit = 600;
    for base in [settings(), structured()] {
        let base = SyslogSettings { max_len: limit, ..base };
        let whole = with_sizes(20, "agent", "/path");
        assert_eq!(message(&base, &whole), message(&SyslogSettings { max_len: 9999, ..base.clone() }, &whole));
        let found = message(&base, &with_sizes(1000, "agent", "/path"));
        let (agent, path, payload, truncated) = shown(&found, base.msg);
        assert_eq!((agent.as_str(), path.as_str(), payload, truncated), ("agent", "/path", false, true));
    }
}

#[test]
fn then_the_user_agent_and_then_the_path_are_cut() {
    let (agent, path) = ("é\"😀".repeat(80), "/ü\\".repeat(80));
    for base in [settings(), structured()] {
        let mut seen = Vec::new();
        for max_len in (480..1400).rev() {
            let raw = with_sizes(1000, &agent, &path);
            let Ok(bytes) = encode(&SyslogSettings { max_len, ..base.clone() }, &raw) else { continue };
            assert!(bytes.len() <= max_len);
            let (found_agent, found_path, payload, truncated) = shown(&rfc5424::parse(&bytes).unwrap(), base.msg);
            assert!(agent.starts_with(&found_agent) && path.starts_with(&found_path) && !payload && truncated);
            assert!(found_path == path || found_agent.is_empty(), "the path is cut only when the agent is gone");
            // No more is taken away than needed: at most one character, with its escape, could have stayed.
            assert!(max_len - bytes.len() < 12 || found_agent == agent, "{} of {max_len}", bytes.len());
            seen.push((found_agent == agent, found_path == path));
        }
        for state in [(true, true), (false, true), (false, false)] {
            assert!(seen.contains(&state), "{state:?} of {:?}", base.msg);
        }
    }
}

/// User agent and path as a receiver sees them, whether there is a payload, and whether the message says it was cut.
fn shown(found: &Message, msg: Msg) -> (String, String, bool, bool) {
    match msg {
        Msg::Json => {
            let event: Value = serde_json::from_str(found.msg.as_ref().unwrap()).unwrap();
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            let truncated = found.param("siem@32473", "truncated") == Some("true");
            (text("user_agent"), text("resource_path"), event.get("payload").is_some(), truncated)
        }
        Msg::StructuredData => {
            let text = |key: &str| found.param("audit@32473", key).unwrap().to_owned();
            let truncated = found.param("audit@32473", "truncated") == Some("true");
            (text("user_agent"), text("resource_path"), found.param("audit@32473", "payload").is_some(), truncated)
        }
    }
}

#[test]
fn the_payload_is_left_out_wherever_it_stands() {
    let rest = r#""event_id":"e","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"t","category":"c","action":"a","severity":"info""#;
    let payload = format!(r#""payload" : {{"x":"{}"}}"#, "p".repeat(900));
    for raw in [
        format!("{{ {payload} , {rest}}}"),
        format!("{{{rest} ,\t{payload} }}"),
        format!("{{{rest},{payload},\"z\":{{\"payload\":1}}}}"),
    ] {
        let found = message(&SyslogSettings { max_len: 600, ..settings() }, &raw);
        let mut expected: Value = serde_json::from_str(&raw).unwrap();
        expected.as_object_mut().unwrap().remove("payload");
        assert_eq!(serde_json::from_str::<Value>(&found.msg.unwrap()).unwrap(), expected, "{raw}");
    }
}

#[test]
fn what_cannot_be_shortened_enough_is_refused_and_leaves_no_trace() {
    let raw = canonical().replace("usr_1", &"u".repeat(9000));
    for base in [settings(), structured()] {
        let found = index(raw.as_bytes()).unwrap();
        let mut body = Body::new();
        body.push_glue(b"before");
        let refused = Syslog::new(&base).unwrap().encode(
            &Event::new(raw.as_bytes(), &found),
            &STAMP,
            0,
            &mut body,
            &mut Scratch::default(),
        );
        let TooLong { bytes, limit } = refused.unwrap_err();
        assert!(bytes > limit && limit == MAX_LEN_DEFAULT);
        assert_eq!((body.len(), body.pieces()), (6, 1));
    }
}

#[test]
fn many_messages_in_one_body_are_told_apart_again() {
    let raws: Vec<String> = (0..5).map(|nth| canonical().replace("usr_1", &"u".repeat(nth * 7))).collect();
    for msg in [Msg::Json, Msg::StructuredData] {
        for framing in [Framing::OctetCounting, Framing::LineFeed] {
            let encoder = Syslog::new(&SyslogSettings { msg, framing, ..settings() }).unwrap();
            let (mut body, mut scratch) = (Body::new(), Scratch::default());
            for (item, raw) in raws.iter().enumerate() {
                let found = index(raw.as_bytes()).unwrap();
                encoder
                    .encode(
                        &Event::new(raw.as_bytes(), &found),
                        &Stamp { n: item as u64, ..STAMP },
                        item as u32,
                        &mut body,
                        &mut scratch,
                    )
                    .unwrap();
            }
            let wire: Vec<u8> = body.slices(|item| raws[item as usize].as_bytes()).flatten().copied().collect();
            let mut rest = &wire[..];
            for nth in 0..raws.len() {
                let split =
                    if framing == Framing::LineFeed { split_line(rest, 9000) } else { split_counted(rest, 9000) };
                let (one, after) = split.unwrap().unwrap();
                assert_eq!(rfc5424::parse(one).unwrap().param("siem@32473", "n"), Some(nth.to_string().as_str()));
                rest = after;
            }
            assert!(rest.is_empty());
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ -~]{0,40}", 1 => any::<String>(), 1 => r#"["\\\]\[\n\r\x00é😀]{0,60}"#]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn lesson_39_every_event_is_a_valid_message_that_says_the_same(
        texts in prop::collection::vec(prop::option::weighted(0.8, text()), 15), payload in prop::collection::vec(text(), 0..4),
        max_len in prop_oneof![Just(8192usize), 480usize..1200], msg in prop_oneof![Just(Msg::Json), Just(Msg::StructuredData)],
        framing in prop::sample::select(&[Framing::OctetCounting, Framing::LineFeed, Framing::Datagram][..]), bom: bool, facility in 0u8..24,
    ) {
        let mut event = serde_json::Map::new();
        for (field, text) in Field::ALL.into_iter().zip(&texts) {
            match (field, text) {
                (Field::Timestamp, _) => drop(event.insert("timestamp".into(), json!("2026-05-12T14:23:01.453Z"))),
                (Field::Payload, Some(_)) => drop(event.insert("payload".into(), json!({"items": payload}))),
                (_, Some(text)) => drop(event.insert(field.name().into(), json!(text))),
                (_, None) if field.is_required() => drop(event.insert(field.name().into(), json!("x"))),
                _ => {}
            }
        }
        let raw = Value::Object(event.clone()).to_string();
        let base = SyslogSettings { max_len, msg, framing, bom, facility, ..settings() };
        let Ok(wire) = encode(&base, &raw) else {
            prop_assert!(raw.len() * 2 + 300 > max_len);
            return Ok(());
        };
        let one = match framing {
            Framing::OctetCounting => split_counted(&wire, max_len).unwrap().unwrap().0,
            Framing::LineFeed => split_line(&wire, max_len).unwrap().unwrap().0,
            Framing::Datagram => &wire[..],
        };
        prop_assert!(one.len() <= max_len && !one.contains(&b'\n'));
        prop_assert!(matches!(wire.len() - one.len(), 0 | 1 | 4 | 5));
        let found = rfc5424::parse(one).map_err(|error| TestCaseError::fail(format!("{error}: {}", String::from_utf8_lossy(one))))?;
        prop_assert_eq!((found.facility, found.has_bom), (facility, bom));
        let own = if msg == Msg::Json { "siem@32473" } else { "audit@32473" };
        let truncated = found.param(own, "truncated").is_some();
        let received: serde_json::Map<String, Value> = match msg {
            Msg::Json => serde_json::from_str(&found.msg.unwrap()).unwrap(),
            Msg::StructuredData => {
                let params = found.element("audit@32473").unwrap().iter().filter(|(name, _)| name != "truncated");
                params.map(|(name, value)| (name.clone(), if name == "payload" { serde_json::from_str(value).unwrap() } else { json!(value) })).collect()
            }
        };
        for (key, value) in &event {
            let expected = match value {
                Value::String(text) if msg == Msg::StructuredData => json!(text.replace(char::is_control, " ")),
                other => other.clone(),
            };
            match received.get(key) {
                None => prop_assert!(key == "timestamp" && msg == Msg::StructuredData || key == "payload" && truncated, "{} is gone", key),
                Some(Value::String(cut)) if truncated && matches!(key.as_str(), "user_agent" | "resource_path") => {
                    prop_assert!(expected.as_str().unwrap().starts_with(cut.as_str()));
                }
                Some(same) => prop_assert_eq!(same, &expected),
            }
        }
    }
}
