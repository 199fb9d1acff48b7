//! Every shape: its exact bytes for events of many kinds, and that what went in is found again by readers of their own.

mod common;
mod events;
mod kinds;
mod readers;

use common::golden;
use events::{MINIMAL, NOW_MS, RAW, STAMP, raw_event, raw_with_payload};
use kinds::kinds;
use proptest::prelude::*;
use readers::{Cef, Leef, flat};
use scaidrive_codecs::json::unescaped;
use scaidrive_codecs::shape::Limits;
use scaidrive_codecs::syslog::{Framing, Header, Msg, Syslog, SyslogSettings};
use scaidrive_codecs::{Body, Entry, Event, Field, Scratch, Shape, index};
use serde_json::Value;

/// An event in a shape, as it goes out.
fn shaped(shape: Shape, raw: &str, limits: &Limits, is_numbered: bool) -> String {
    let found = index(raw.as_bytes()).unwrap();
    let entry = Entry { item: 0, stamp: is_numbered.then_some(&STAMP), now_ms: NOW_MS };
    let mut body = Body::new();
    shape.write(&Event::new(raw.as_bytes(), &found), &entry, limits, &mut body, &mut Scratch::default());
    let bytes: Vec<u8> = body.slices(|_| raw.as_bytes()).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    String::from_utf8(bytes).unwrap()
}

fn whole(shape: Shape, raw: &str) -> String {
    shaped(shape, raw, &Limits::NONE, true)
}

#[test]
fn the_golden_events_have_not_changed() {
    let all = kinds();
    assert!(all.len() >= 12);
    for shape in Shape::ALL {
        for kind in &all {
            let ending = if shape.is_text() { "txt" } else { "json" };
            let is_numbered = !kind.name.starts_with("own_buffer");
            let line = shaped(shape, &kind.raw, &Limits::NONE, is_numbered);
            golden(&format!("shapes/{}/{}.{ending}", shape.name(), kind.name), &(line + "\n"));
        }
    }
}

/// What a value of the event is in a shape where no other text can be told: spaces at the ends lost, control characters
/// as spaces, cut where its key has a limit.
fn plain(text: &str, line_breaks: bool) -> String {
    let kept = |c: char| if c.is_control() && !(line_breaks && matches!(c, '\n' | '\r')) { ' ' } else { c };
    text.trim_matches(' ').chars().map(kept).collect()
}

/// Where each field is in a shape, in the order in which the places are tried.
fn places(shape: Shape, field: Field) -> &'static [&'static str] {
    match (shape, field) {
        (Shape::Canonical, field) => std::slice::from_ref(match field {
            Field::EventId => &"event_id",
            Field::Timestamp => &"timestamp",
            Field::TenantId => &"tenant_id",
            Field::Category => &"category",
            Field::Action => &"action",
            Field::Severity => &"severity",
            Field::UserId => &"user_id",
            Field::UserEmail => &"user_email",
            Field::ServiceAccount => &"service_account",
            Field::ResourceId => &"resource_id",
            Field::ResourcePath => &"resource_path",
            Field::Ip => &"ip",
            Field::UserAgent => &"user_agent",
            Field::SessionId => &"session_id",
            Field::Payload => &"payload",
        }),
        (Shape::Ecs, Field::EventId) => &["event.id"],
        (Shape::Ecs, Field::Timestamp) => &["@timestamp"],
        (Shape::Ecs, Field::TenantId) => &["organization.id"],
        (Shape::Ecs, Field::Category) => &["scaidrive.category"],
        (Shape::Ecs, Field::Action) => &["event.action"],
        (Shape::Ecs, Field::Severity) => &["scaidrive.severity"],
        (Shape::Ecs, Field::UserId) => &["user.id"],
        (Shape::Ecs, Field::UserEmail) => &["user.email"],
        (Shape::Ecs, Field::ServiceAccount) => &["scaidrive.service_account"],
        (Shape::Ecs, Field::ResourceId) => &["scaidrive.resource_id"],
        (Shape::Ecs, Field::ResourcePath) => &["file.path"],
        (Shape::Ecs, Field::Ip) => &["source.ip", "scaidrive.ip"],
        (Shape::Ecs, Field::UserAgent) => &["user_agent.original"],
        (Shape::Ecs, Field::SessionId) => &["scaidrive.session_id"],
        (Shape::Ecs, Field::Payload) => &["scaidrive.payload"],
        (Shape::Ocsf, Field::EventId) => &["metadata.uid"],
        (Shape::Ocsf, Field::Timestamp) => &["metadata.original_time"],
        (Shape::Ocsf, Field::TenantId) => &["metadata.tenant_uid"],
        (Shape::Ocsf, Field::Category) => &["unmapped.category"],
        (Shape::Ocsf, Field::Action) => &["metadata.event_code"],
        (Shape::Ocsf, Field::Severity) => &["severity"],
        (Shape::Ocsf, Field::UserId) => &["actor.user.uid", "user.uid", "unmapped.user_id"],
        (Shape::Ocsf, Field::UserEmail) => &["actor.user.email_addr", "user.email_addr", "unmapped.user_email"],
        (Shape::Ocsf, Field::ServiceAccount) => &["unmapped.service_account"],
        (Shape::Ocsf, Field::ResourceId) => {
            &["file.uid", "group.uid", "entity.uid", "unmapped.resource_id", "user.uid"]
        }
        (Shape::Ocsf, Field::ResourcePath) => {
            &["file.path", "group.name", "entity.name", "unmapped.resource_path", "user.name"]
        }
        (Shape::Ocsf, Field::Ip) => &["src_endpoint.ip", "unmapped.ip"],
        (Shape::Ocsf, Field::UserAgent) => &["http_request.user_agent", "unmapped.user_agent"],
        (Shape::Ocsf, Field::SessionId) => &["actor.session.uid", "session.uid", "unmapped.session_id"],
        (Shape::Ocsf, Field::Payload) => &["unmapped.payload"],
        (Shape::Asim, Field::EventId) => &["EventOriginalUid"],
        (Shape::Asim, Field::Timestamp) => &["TimeGenerated"],
        (Shape::Asim, Field::TenantId) => &["AdditionalFields.tenant_id"],
        (Shape::Asim, Field::Category) => &["AdditionalFields.category"],
        (Shape::Asim, Field::Action) => &["EventOriginalType"],
        (Shape::Asim, Field::Severity) => &["EventOriginalSeverity"],
        (Shape::Asim, Field::UserId) => &["AdditionalFields.user_id"],
        (Shape::Asim, Field::UserEmail) => &["AdditionalFields.user_email"],
        (Shape::Asim, Field::ServiceAccount) => &["AdditionalFields.service_account"],
        (Shape::Asim, Field::ResourceId) => &["AdditionalFields.resource_id"],
        (Shape::Asim, Field::ResourcePath) => {
            &["TargetFilePath", "Object", "TargetUsername", "GroupName", "AdditionalFields.resource_path"]
        }
        (Shape::Asim, Field::Ip) => &["SrcIpAddr", "AdditionalFields.ip"],
        (Shape::Asim, Field::UserAgent) => &["HttpUserAgent"],
        (Shape::Asim, Field::SessionId) => &["ActorSessionId", "TargetSessionId"],
        (Shape::Asim, Field::Payload) => &["AdditionalFields.payload"],
        (Shape::Cef, Field::EventId) => &["externalId"],
        (Shape::Cef, Field::Timestamp) => &["rt"],
        (Shape::Cef, Field::TenantId) => &["tenantId"],
        (Shape::Cef, Field::Category) => &["cat"],
        (Shape::Cef, Field::Action) => &["act"],
        (Shape::Cef, Field::Severity) => &["severity"],
        (Shape::Cef, Field::UserId) => &["suid"],
        (Shape::Cef, Field::UserEmail) => &["suser"],
        (Shape::Cef, Field::ServiceAccount) => &["serviceAccount"],
        (Shape::Cef, Field::ResourceId) => &["fileId"],
        (Shape::Cef, Field::ResourcePath) => &["filePath"],
        (Shape::Cef, Field::Ip) => &["src", "Source IPv6 Address", "shost"],
        (Shape::Cef, Field::UserAgent) => &["requestClientApplication"],
        (Shape::Cef, Field::SessionId) => &["sessionId"],
        (Shape::Cef, Field::Payload) => &["payload"],
        (Shape::Leef, Field::EventId) => &["eventId"],
        (Shape::Leef, Field::Timestamp) => &["devTime"],
        (Shape::Leef, Field::TenantId) => &["tenantId"],
        (Shape::Leef, Field::Category) => &["cat"],
        (Shape::Leef, Field::Action) => &["event id"],
        (Shape::Leef, Field::Severity) => &["sev"],
        (Shape::Leef, Field::UserId) => &["userId"],
        (Shape::Leef, Field::UserEmail) => &["usrName"],
        (Shape::Leef, Field::ServiceAccount) => &["serviceAccount"],
        (Shape::Leef, Field::ResourceId) => &["fileId"],
        (Shape::Leef, Field::ResourcePath) => &["resource"],
        (Shape::Leef, Field::Ip) => &["src", "srcText"],
        (Shape::Leef, Field::UserAgent) => &["userAgent"],
        (Shape::Leef, Field::SessionId) => &["sessionId"],
        (Shape::Leef, Field::Payload) => &["payload"],
    }
}

/// The shape's values by name, read by the readers of this test; names of OCSF and ECS are paths.
fn values(shape: Shape, line: &str) -> Vec<(String, Value)> {
    match shape {
        Shape::Cef => Cef::read(line).values(),
        Shape::Leef => Leef::read(line).values(),
        _ => flat(&serde_json::from_str(line).unwrap()),
    }
}

/// What must be found of a field, given what it says.
fn expected(shape: Shape, field: Field, event: &Event<'_>) -> Option<Value> {
    let mut scratch = String::new();
    let text = event.text(field, &mut scratch).filter(|text| !text.is_empty())?;
    Some(match (shape, field) {
        (Shape::Cef, Field::Severity) => Value::from(event.severity().cef().to_string()),
        (Shape::Leef, Field::Severity) => Value::from(event.severity().leef().to_string()),
        (Shape::Cef, Field::Timestamp) => Value::from(event.timestamp_ms().to_string()),
        (Shape::Leef, Field::Timestamp) => {
            let mut time = Vec::new();
            scaidrive_codecs::time::write_leef(event.timestamp_ms(), &mut time);
            Value::from(String::from_utf8(time).unwrap())
        }
        (Shape::Cef | Shape::Leef, Field::Payload) => Value::from(plain(text, shape == Shape::Cef)),
        (Shape::Leef, Field::Action) => {
            Value::from(plain(&text[..text.floor_char_boundary(255)], false).replace('|', "_"))
        }
        (Shape::Cef, field) => {
            let max = match field {
                Field::Action => 63,
                Field::EventId | Field::Ip => usize::MAX,
                Field::TenantId | Field::ServiceAccount | Field::SessionId => 4000,
                _ => 1023,
            };
            Value::from(plain(&text[..text.floor_char_boundary(max)], true))
        }
        (Shape::Leef, Field::UserEmail) => Value::from(plain(&text[..text.floor_char_boundary(255)], false)),
        (Shape::Leef, _) => Value::from(plain(text, false)),
        (_, Field::Payload) => serde_json::from_str(text).unwrap(),
        _ => Value::from(text),
    })
    .filter(|found| found != "")
}

fn check_that_every_field_is_found(shape: Shape, raw: &str) -> Result<(), String> {
    let found = index(raw.as_bytes()).unwrap();
    let event = Event::new(raw.as_bytes(), &found);
    let line = whole(shape, raw);
    if line.contains(['\n', '\r']) {
        return Err(format!("a line break in {line:?}"));
    }
    let values = values(shape, &line);
    let has = |name: &str, value: &Value| values.iter().any(|(key, found)| key == name && found == value);
    for field in Field::ALL {
        let Some(wanted) = expected(shape, field, &event) else { continue };
        // A cut payload has a test of its own; a time that strict readers refuse is written plainly.
        let is_cut = field == Field::Payload && wanted.as_str().is_some_and(|text| text.len() > 4000);
        let is_other_time = field == Field::Timestamp && matches!(shape, Shape::Ecs | Shape::Asim);
        if !is_cut && !is_other_time && !places(shape, field).iter().any(|place| has(place, &wanted)) {
            return Err(format!("{} is not found as {wanted} in {line}", field.name()));
        }
    }
    for (place, wanted) in numbers(shape) {
        if !has(place, &wanted) {
            return Err(format!("{place} is not {wanted} in {line}"));
        }
    }
    Ok(())
}

/// Where the numbers of a stream are.
fn numbers(shape: Shape) -> [(&'static str, Value); 3] {
    let (node, stream, n) = (Value::from(STAMP.node), Value::from(STAMP.stream), Value::from(STAMP.n));
    let text = Value::from(STAMP.n.to_string());
    match shape {
        Shape::Canonical => [("siem.node", node), ("siem.stream", stream), ("siem.n", n)],
        Shape::Ecs => [("labels.siem_node", node), ("labels.siem_stream", stream), ("event.sequence", n)],
        Shape::Ocsf => [("unmapped.siem.node", node), ("unmapped.siem.stream", stream), ("metadata.sequence", n)],
        Shape::Asim => [
            ("AdditionalFields.siem.node", node),
            ("AdditionalFields.siem.stream", stream),
            ("AdditionalFields.siem.n", n),
        ],
        Shape::Cef => [("dvchost", node), ("siemStream", stream), ("siemN", text)],
        Shape::Leef => [("siemNode", node), ("siemStream", stream), ("siemN", text)],
    }
}

#[test]
fn every_field_of_every_kind_is_found_again_in_every_shape() {
    for shape in Shape::ALL {
        for kind in kinds().iter().filter(|kind| !kind.name.starts_with("long")) {
            if let Err(why) = check_that_every_field_is_found(shape, &kind.raw) {
                panic!("{} of {}: {why}", shape.name(), kind.name);
            }
        }
    }
}

proptest! {
    #[test]
    fn every_field_of_any_event_is_found_again_in_every_shape(raw in raw_event()) {
        for shape in Shape::ALL {
            if let Err(why) = check_that_every_field_is_found(shape, &raw) {
                prop_assert!(false, "{}: {why}", shape.name());
            }
        }
    }

    #[test]
    fn a_line_of_text_is_a_json_string_where_json_is_wanted(raw in raw_event()) {
        let found = index(raw.as_bytes()).unwrap();
        let entry = Entry { item: 0, stamp: Some(&STAMP), now_ms: NOW_MS };
        for shape in [Shape::Cef, Shape::Leef] {
            let mut body = Body::new();
            let event = Event::new(raw.as_bytes(), &found);
            shape.write_json(&event, &entry, &Limits::NONE, &mut body, &mut Scratch::default());
            let bytes: Vec<u8> = body.slices(|_| raw.as_bytes()).flatten().copied().collect();
            prop_assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), whole(shape, &raw));
        }
    }

    #[test]
    fn no_limit_makes_anything_but_a_shorter_event(
        raw in raw_event(),
        payload in 0usize..60,
        user_agent in 0usize..10,
        resource_path in 0usize..10,
    ) {
        let limits = Limits { payload, user_agent, resource_path, is_marked: true };
        for shape in Shape::ALL.into_iter().filter(|shape| *shape != Shape::Canonical) {
            let line = shaped(shape, &raw, &limits, true);
            let values = values(shape, &line);
            let marks = ["scaidrive.truncated", "unmapped.truncated", "AdditionalFields.truncated", "truncated"];
            let is_marked = values.iter().any(|(key, value)| marks.contains(&key.as_str()) && (value == true || value == "true"));
            prop_assert!(is_marked, "{}", line);
        }
    }
}

#[test]
fn the_id_is_where_the_shape_says() {
    for shape in Shape::ALL {
        assert_eq!(places(shape, Field::EventId), [shape.id_path()]);
    }
}

#[test]
fn what_no_field_knows_is_not_lost() {
    let unmapped = serde_json::json!([1, 2]);
    for (shape, place) in [
        (Shape::Ecs, "scaidrive.unmapped.extra"),
        (Shape::Ocsf, "unmapped.unmapped.extra"),
        (Shape::Asim, "AdditionalFields.unmapped.extra"),
    ] {
        let values = flat(&serde_json::from_str(&whole(shape, RAW)).unwrap());
        assert!(values.contains(&(place.to_owned(), unmapped.clone())), "{}", shape.name());
    }
    for shape in [Shape::Cef, Shape::Leef] {
        let found = values(shape, &whole(shape, RAW)).into_iter().find(|(key, _)| key == "unmapped").unwrap();
        assert_eq!(found.1, Value::from(r#"{"extra":[1, 2]}"#));
    }
}

#[test]
fn a_payload_is_whole_or_its_first_members_are_there_and_the_event_says_so() {
    let raw = raw_with_payload(30, 400);
    for shape in Shape::ALL.into_iter().filter(|shape| *shape != Shape::Canonical) {
        let place = places(shape, Field::Payload)[0];
        let payload = |limits: &Limits| {
            let found = values(shape, &shaped(shape, &raw, limits, true));
            let value = found.iter().find(|(key, _)| key == place).unwrap().1.clone();
            let value = if let Value::String(text) = &value { serde_json::from_str(text).unwrap() } else { value };
            let marks = ["scaidrive.truncated", "unmapped.truncated", "AdditionalFields.truncated", "truncated"];
            (value.as_object().unwrap().len(), found.iter().any(|(key, _)| marks.contains(&key.as_str())))
        };
        let bound = if shape == Shape::Cef { (9, true) } else { (30, false) };
        assert_eq!(payload(&Limits::NONE), bound, "{}", shape.name());
        assert_eq!(payload(&Limits { payload: 1000, ..Limits::NONE }), (2, true), "{}", shape.name());
        assert_eq!(payload(&Limits { payload: 0, ..Limits::NONE }), (0, true), "{}", shape.name());
    }
}

#[test]
fn a_long_payload_is_borrowed_where_the_shape_is_json() {
    let raw = raw_with_payload(10, 400);
    let found = index(raw.as_bytes()).unwrap();
    let event = Event::new(raw.as_bytes(), &found);
    let entry = Entry { item: 0, stamp: Some(&STAMP), now_ms: NOW_MS };
    let inside = raw.as_bytes().as_ptr_range();
    for shape in [Shape::Canonical, Shape::Ecs, Shape::Ocsf, Shape::Asim] {
        let mut body = Body::new();
        shape.write(&event, &entry, &Limits::NONE, &mut body, &mut Scratch::default());
        let lent: usize =
            body.slices(|_| raw.as_bytes()).filter(|slice| inside.contains(&slice.as_ptr())).map(<[u8]>::len).sum();
        assert!(lent >= event.bytes(Field::Payload).unwrap().len(), "{}", shape.name());
    }
}

#[test]
fn an_own_event_outside_the_log_is_copied_and_has_no_numbers() {
    for shape in Shape::ALL {
        let line = shaped(shape, MINIMAL, &Limits::NONE, false);
        let values = values(shape, &line);
        for (place, _) in numbers(shape) {
            assert!(!values.iter().any(|(key, _)| key == place), "{}: {place}", shape.name());
        }
    }
}

#[test]
fn an_address_that_is_none_stands_where_any_text_may() {
    let raw = RAW.replace("203.0.113.42", "***");
    for (shape, place) in [
        (Shape::Ecs, "scaidrive.ip"),
        (Shape::Ocsf, "unmapped.ip"),
        (Shape::Asim, "AdditionalFields.ip"),
        (Shape::Cef, "shost"),
        (Shape::Leef, "srcText"),
    ] {
        let found: Vec<String> = values(shape, &whole(shape, &raw))
            .into_iter()
            .filter(|(_, value)| *value == "***")
            .map(|(key, _)| key)
            .collect();
        assert!(found.iter().any(|key| key == place), "{}: {found:?}", shape.name());
        assert!(!found.iter().any(|key| ["source.ip", "src", "src_endpoint.ip", "SrcIpAddr"].contains(&key.as_str())));
    }
}

#[test]
fn an_index_of_other_bytes_does_not_panic() {
    let found = index(RAW.as_bytes()).unwrap();
    for end in 0..RAW.len() {
        for raw in [&RAW.as_bytes()[..end], &RAW.as_bytes()[RAW.len() - end..]] {
            for (shape, stamp) in Shape::ALL.into_iter().flat_map(|shape| [(shape, Some(&STAMP)), (shape, None)]) {
                let mut body = Body::new();
                let entry = Entry { item: 0, stamp, now_ms: NOW_MS };
                let event = Event::new(raw, &found);
                shape.write(&event, &entry, &Limits::NONE, &mut body, &mut Scratch::default());
                assert_eq!(body.slices(|_| raw).map(<[u8]>::len).sum::<usize>(), body.len());
            }
        }
    }
}

fn syslog(shape: Shape, header: Header, max_len: usize) -> Syslog {
    Syslog::new(&SyslogSettings {
        header,
        facility: 16,
        hostname: "node-7.example.com".into(),
        app_name: "scaidrive".into(),
        procid: "-".into(),
        msg: Msg::Json,
        framing: Framing::OctetCounting,
        bom: false,
        max_len,
        enterprise_id: 32473,
        shape,
    })
    .unwrap()
}

/// A message without its count.
fn message(syslog: &Syslog, raw: &str) -> Result<String, String> {
    let found = index(raw.as_bytes()).unwrap();
    let mut body = Body::new();
    let event = Event::new(raw.as_bytes(), &found);
    let encoded = syslog.encode(&event, &STAMP, 0, &mut body, &mut Scratch::default());
    encoded.map_err(|problem| problem.to_string())?;
    let bytes: Vec<u8> = body.slices(|_| raw.as_bytes()).flatten().copied().collect();
    let text = String::from_utf8(bytes).unwrap();
    let (count, message) = text.split_once(' ').unwrap();
    assert_eq!(count.parse(), Ok(message.len()));
    Ok(message.to_owned())
}

#[test]
fn a_shape_goes_by_syslog_behind_the_header_that_its_receivers_expect() {
    let raw = &kinds()[0].raw;
    let new = message(&syslog(Shape::Cef, Header::Rfc5424, 8192), raw).unwrap();
    let header = "<134>1 2026-05-12T14:23:01.453Z node-7.example.com scaidrive - file.download - ";
    assert_eq!(new, header.to_owned() + &whole(Shape::Cef, raw));
    let old = Header::Rfc3164 { utc_offset: 0 };
    for shape in [Shape::Cef, Shape::Leef] {
        let found = message(&syslog(shape, old, 8192), raw).unwrap();
        assert_eq!(found, "<134>May 12 14:23:01 node-7 ".to_owned() + &whole(shape, raw));
    }
    let json = message(&syslog(Shape::Ecs, old, 8192), raw).unwrap();
    assert_eq!(json, "<134>May 12 14:23:01 node-7 scaidrive: ".to_owned() + &whole(Shape::Ecs, raw));
}

#[test]
fn a_message_that_is_too_long_loses_payload_agent_and_path_in_turn_and_says_so() {
    let long = kinds().into_iter().find(|kind| kind.name == "long_fields").unwrap().raw;
    let without_extra = long[..long.find(",\"extra\"").unwrap()].to_owned() + "}";
    for shape in Shape::ALL.into_iter().filter(|shape| *shape != Shape::Canonical) {
        for max_len in [8192, 5000, 3000, 2500, 1500] {
            let found = message(&syslog(shape, Header::Rfc5424, max_len), &without_extra);
            let found = found.unwrap_or_else(|why| panic!("{}: {why}", shape.name()));
            assert!(found.len() <= max_len, "{}: {} of {max_len}", shape.name(), found.len());
            let body = found.split_once(" file.download - ").unwrap().1;
            let values = values(shape, body);
            assert!(values.iter().any(|(key, _)| key.ends_with("truncated")), "{}: {found}", shape.name());
            assert!(values.iter().any(|(_, value)| *value == "evt_01HE8ZP4T9QK3M7N5R2V6X8Y0A"));
        }
        // Members that no field knows are not cut.
        if !shape.is_text() {
            assert!(message(&syslog(shape, Header::Rfc5424, 1500), &long).unwrap_err().contains("at most 1500"));
        }
    }
}

#[test]
fn the_readers_of_this_test_undo_the_documented_escapes() {
    let cef = Cef::read(r"CEF:0|Scai\|Labs|P\\|1|id|Name|3|a=b\=c\\ d\nx cs1=two words cs1Label=name");
    assert_eq!(cef.header, ["Scai|Labs", r"P\", "1", "id", "Name", "3"]);
    assert_eq!(
        cef.extension,
        [
            ("a".to_owned(), "b=c\\ d\nx".to_owned()),
            ("cs1".to_owned(), "two words".to_owned()),
            ("cs1Label".to_owned(), "name".to_owned())
        ]
    );
    let leef = Leef::read("LEEF:2.0|V|P|1|id|x09|a=b=c\td=e f");
    assert_eq!(leef.attributes, [("a".to_owned(), "b=c".to_owned()), ("d".to_owned(), "e f".to_owned())]);
    assert_eq!(unescaped(r"\u0061").collect::<String>(), "a");
}

#[test]
fn a_value_is_cut_to_what_fits_however_it_is_written_and_how_often() {
    for escape in [r"\u0061", "=", r"\\", "é", r"\ud83d\ude00"] {
        for field in ["user_agent", "resource_path"] {
            let raw = format!(
                r#"{{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"FILE","action":"file.download","severity":"low","{field}":"{}"}}"#,
                escape.repeat(10_000)
            );
            for shape in [Shape::Ecs, Shape::Ocsf, Shape::Asim, Shape::Leef] {
                let found = message(&syslog(shape, Header::Rfc5424, 8192), &raw).unwrap();
                assert!((7_400..=8192).contains(&found.len()), "{} {field} {escape}: {}", shape.name(), found.len());
            }
            // Its keys have limits of their own.
            message(&syslog(Shape::Cef, Header::Rfc5424, 8192), &raw).unwrap();
        }
    }
}
