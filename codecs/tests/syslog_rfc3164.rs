//! Messages with the header of RFC 3164, read by a parser that knows nothing of the encoder.

mod common;

use common::golden;
use proptest::prelude::*;
use scaidrive_codecs::event::Field;
use scaidrive_codecs::syslog::*;
use scaidrive_codecs::{Body, Event, Scratch, Stamp, index};
use serde_json::{Value, json};

const STAMP: Stamp<'static> = Stamp { node: "node-7", stream: "a1.old.0.9f", n: 42 };

fn settings() -> SyslogSettings {
    SyslogSettings {
        header: Header::Rfc3164 { utc_offset: 0 },
        facility: 16,
        hostname: "scaidrive01".into(),
        app_name: "scaidrive".into(),
        procid: "-".into(),
        msg: Msg::Json,
        framing: Framing::Datagram,
        bom: false,
        max_len: DATAGRAM_LEN_DEFAULT,
        enterprise_id: ENTERPRISE_ID_DEFAULT,
        shape: scaidrive_codecs::Shape::Canonical,
    }
}

fn structured() -> SyslogSettings {
    SyslogSettings { msg: Msg::StructuredData, ..settings() }
}

fn canonical() -> String {
    concat!(
        r#"{"event_id":"evt_01HE8","timestamp":"2026-05-02T04:03:01.453Z","tenant_id":"tnt_1","category":"FILE_ACCESS","#,
        r#""action":"file.download","severity":"info","user_email":"alice@example.com","resource_path":"/eng/[v2].pdf","#,
        r#""user_agent":"ScaiDrive-Desktop/1.4.2 (macOS)","payload":{"a":"]"}}"#
    )
    .to_owned()
}

fn encode_as(settings: &SyslogSettings, raw: &str, stamp: Option<&Stamp<'_>>) -> Result<String, TooLong> {
    let found = index(raw.as_bytes()).unwrap();
    let event = Event::new(raw.as_bytes(), &found);
    let (mut body, mut scratch) = (Body::new(), Scratch::default());
    let encoder = Syslog::new(settings).unwrap();
    match stamp {
        Some(stamp) => encoder.encode(&event, stamp, 0, &mut body, &mut scratch)?,
        None => encoder.encode_own(&event, &mut body, &mut scratch)?,
    }
    let bytes: Vec<u8> = body.slices(|_| raw.as_bytes()).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    Ok(String::from_utf8(bytes).unwrap())
}

fn encode(settings: &SyslogSettings, raw: &str) -> String {
    encode_as(settings, raw, Some(&STAMP)).unwrap()
}

/// Priority, time, host, tag and content, as RFC 3164, section 4.1, has them.
#[derive(Debug, PartialEq)]
struct Old<'a> {
    priority: u32,
    time: &'a str,
    host: &'a str,
    tag: &'a str,
    content: &'a str,
}

fn parse(message: &str) -> Old<'_> {
    let (priority, rest) = message.strip_prefix('<').unwrap().split_once('>').unwrap();
    let (time, rest) = rest.split_at(15);
    let shape: String = time
        .chars()
        .map(|c| match c {
            'A'..='Z' => 'M',
            'a'..='z' => 'm',
            '0'..='9' => '0',
            other => other,
        })
        .collect();
    assert!(shape == "Mmm 00 00:00:00" || shape == "Mmm  0 00:00:00", "{time:?}");
    let (host, rest) = rest.strip_prefix(' ').unwrap().split_once(' ').unwrap();
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap();
    let (tag, content) = rest.split_at(end);
    assert!((1..=32).contains(&tag.len()), "{tag:?}");
    Old { priority: priority.parse().unwrap(), time, host, tag, content: content.strip_prefix(": ").unwrap() }
}

#[test]
fn the_golden_messages_have_not_changed() {
    let mut out = String::new();
    let eastern = SyslogSettings { header: Header::Rfc3164 { utc_offset: -300 }, ..settings() };
    for settings in [settings(), structured(), eastern] {
        for stamp in [Some(&STAMP), None] {
            out.push_str(&encode_as(&settings, &canonical(), stamp).unwrap());
            out.push('\n');
        }
    }
    golden("syslog_rfc3164.txt", &out);
}

#[test]
fn the_day_is_padded_with_a_space_and_the_time_is_at_the_offset_set() {
    let time = |utc_offset, timestamp: &str| {
        let settings = SyslogSettings { header: Header::Rfc3164 { utc_offset }, ..settings() };
        let raw = canonical().replace("2026-05-02T04:03:01.453Z", timestamp);
        parse(&encode(&settings, &raw)).time.to_owned()
    };
    assert_eq!(time(0, "2026-05-02T04:03:01.453Z"), "May  2 04:03:01");
    assert_eq!(time(0, "2026-12-31T23:59:59.999Z"), "Dec 31 23:59:59");
    assert_eq!(time(120, "2026-12-31T23:59:59.999Z"), "Jan  1 01:59:59");
    assert_eq!(time(-330, "2026-03-01T00:00:00Z"), "Feb 28 18:30:00");
    assert_eq!(time(1439, "1969-12-31T00:01:00Z"), "Jan  1 00:00:00");
}

#[test]
fn the_tag_is_at_most_32_letters_and_digits() {
    let tag = |app_name: &str| {
        let settings = SyslogSettings { app_name: app_name.into(), ..settings() };
        parse(&encode(&settings, &canonical())).tag.to_owned()
    };
    assert_eq!(tag("scai-drive_2.0"), "scaidrive20");
    assert_eq!(tag(&"a".repeat(48)), "a".repeat(32));
    let refused = Syslog::new(&SyslogSettings { app_name: "-._".into(), ..settings() }).err();
    assert_eq!((refused, tag_of("ä"), tag_of("")), (Some(SyslogSettingsError::Tag), None, None));
}

#[test]
fn the_host_has_no_domain_but_an_address_stays_whole() {
    for (hostname, expected) in
        [("node-7.example.com", "node-7"), ("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "2001:db8::7"), ("", "-")]
    {
        let message = encode(&SyslogSettings { hostname: hostname.into(), ..settings() }, &canonical());
        assert_eq!(parse(&message).host, expected);
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let new = |settings: SyslogSettings| Syslog::new(&settings).map(|_| ());
    assert_eq!(new(SyslogSettings { bom: true, ..settings() }), Err(SyslogSettingsError::Bom));
    for minutes in [1440, -1440, i16::MIN] {
        let header = Header::Rfc3164 { utc_offset: minutes };
        assert_eq!(new(SyslogSettings { header, ..settings() }), Err(SyslogSettingsError::UtcOffset { minutes }));
    }
    assert_eq!(DATAGRAM_LEN_MIN..=DATAGRAM_LEN_MAX, 480..=65_507);
    assert_eq!(new(SyslogSettings { max_len: DATAGRAM_LEN_MIN, ..settings() }), Ok(()));
}

#[test]
fn the_event_is_borrowed_but_for_its_brace() {
    let raw = canonical();
    let found = index(raw.as_bytes()).unwrap();
    let mut body = Body::new();
    let event = Event::new(raw.as_bytes(), &found);
    Syslog::new(&settings()).unwrap().encode(&event, &STAMP, 0, &mut body, &mut Scratch::default()).unwrap();
    let slices: Vec<&[u8]> = body.slices(|_| raw.as_bytes()).collect();
    assert!(slices.iter().any(|slice| std::ptr::eq(slice.as_ptr(), raw[1..].as_ptr()) && slice.len() == raw.len() - 1));
}

#[test]
fn a_long_message_says_that_it_was_cut() {
    let raw = canonical().replace("\"a\":\"]\"", &format!("\"a\":\"{}\"", "p".repeat(2000)));
    for stamp in [Some(&STAMP), None] {
        let message = encode_as(&settings(), &raw, stamp).unwrap();
        let event: Value = serde_json::from_str(parse(&message).content).unwrap();
        assert_eq!((&event["siem"]["truncated"], event.get("payload")), (&json!(true), None), "{message}");
        let message = encode_as(&structured(), &raw, stamp).unwrap();
        assert!(parse(&message).content.contains(" truncated=\"true\"]"), "{message}");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ -~]{0,40}", 1 => any::<String>(), 1 => r#"["\\\]\[\n\r\x00é😀]{0,60}"#]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_event_is_a_valid_message_that_says_the_same(
        texts in prop::collection::vec(prop::option::weighted(0.8, text()), 15),
        max_len in prop_oneof![Just(8192usize), 480usize..1200],
        facility in 0u8..24, utc_offset in -1439i16..1440, is_numbered: bool, is_json: bool,
    ) {
        let mut event = serde_json::Map::new();
        for (field, text) in Field::ALL.into_iter().zip(&texts) {
            match (field, text) {
                (Field::Timestamp, _) => drop(event.insert("timestamp".into(), json!("2026-05-12T14:23:01.453Z"))),
                (Field::Payload, Some(text)) => drop(event.insert("payload".into(), json!({"text": text}))),
                (_, Some(text)) => drop(event.insert(field.name().into(), json!(text))),
                (_, None) if field.is_required() => drop(event.insert(field.name().into(), json!("x"))),
                _ => {}
            }
        }
        let raw = Value::Object(event.clone()).to_string();
        let msg = if is_json { Msg::Json } else { Msg::StructuredData };
        let base = SyslogSettings { header: Header::Rfc3164 { utc_offset }, max_len, facility, msg, ..settings() };
        let Ok(message) = encode_as(&base, &raw, is_numbered.then_some(&STAMP)) else {
            prop_assert!(raw.len() * 2 + 300 > max_len);
            return Ok(());
        };
        prop_assert!(message.len() <= max_len && !message.contains('\n'));
        let found = parse(&message);
        prop_assert_eq!(found.priority / 8, u32::from(facility));
        prop_assert_eq!((found.host, found.tag), ("scaidrive01", "scaidrive"));
        if !is_json {
            prop_assert!(found.content.starts_with("[audit@32473 "));
            prop_assert_eq!(found.content.contains("][siem@32473 node=\"node-7\" stream=\"a1.old.0.9f\" n=\"42\"] "), is_numbered);
            return Ok(());
        }
        let mut received: serde_json::Map<String, Value> = serde_json::from_str(found.content).unwrap();
        let siem = received.remove("siem");
        prop_assert_eq!(siem.as_ref().map(|siem| siem["n"] == 42), if is_numbered { Some(true) } else { siem.as_ref().map(|_| false) });
        if siem.is_none_or(|siem| siem.get("truncated").is_none()) {
            prop_assert_eq!(received, event);
        }
    }
}
