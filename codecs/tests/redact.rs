//! Redaction: what is named goes out nowhere, in no shape and over no format, and all the rest does, borrowed as before.

mod events;

use std::collections::HashSet;

use events::{NOW_MS, STAMP, raw_event};
use proptest::prelude::*;
use scaidrive_codecs::datadog::{Datadog, DatadogSettings};
use scaidrive_codecs::elastic::{DocumentId, Elastic, ElasticSettings, Op};
use scaidrive_codecs::hec::{Hec, HecSettings, IndexRule};
use scaidrive_codecs::https::{BodyForm, Https, HttpsSettings, Method};
use scaidrive_codecs::redact::{HASH_PREFIX, MASK};
use scaidrive_codecs::sentinel::{Sentinel, SentinelSettings};
use scaidrive_codecs::sumo::{Sumo, SumoSettings};
use scaidrive_codecs::syslog::{Framing, Header, Msg, Syslog, SyslogSettings};
use scaidrive_codecs::{
    Body, Entry, Event, FilterSpec, Format, Redacted, Redaction, RedactionSpec, Scratch, Shape, index,
};
use serde_json::{Value, json};

const KEY: &[u8] = b"0123456789abcdef";

fn spec(drop: &[&str], mask: &[&str], hash: &[&str]) -> RedactionSpec {
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    RedactionSpec { drop: owned(drop), mask: owned(mask), hash: owned(hash) }
}

fn redaction(drop: &[&str], mask: &[&str], hash: &[&str]) -> Redaction {
    Redaction::compile(&spec(drop, mask, hash), Some(KEY)).unwrap()
}

/// The canonical event without what is redacted, as Sumo Logic would not get it but any reader of JSON could.
fn canonical(redaction: &Redaction, raw: &str) -> Value {
    let format = Redacted::wrap(Box::new(https(Shape::Canonical, None, "application/json")), redaction);
    let mut value: Value = serde_json::from_slice(&sent(&*format, raw)).unwrap();
    value.as_object_mut().unwrap().remove("siem");
    value
}

fn sent(format: &dyn Format, raw: &str) -> Vec<u8> {
    let found = index(raw.as_bytes()).unwrap();
    let entry = Entry { item: 0, stamp: Some(&STAMP), now_ms: NOW_MS };
    let mut body = Body::new();
    format.encode(&Event::new(raw.as_bytes(), &found), &entry, &mut body, &mut Scratch::default()).unwrap();
    let bytes: Vec<u8> = body.slices(|_| raw.as_bytes()).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    let frame = format.frame();
    [frame.opening, &bytes, frame.closing].concat()
}

fn https(shape: Shape, template: Option<&str>, content_type: &str) -> Https {
    Https::new(&HttpsSettings {
        method: Method::Post,
        path: "/".into(),
        headers: Vec::new(),
        form: BodyForm::Single,
        shape,
        content_type: Some(content_type.into()),
        template: template.map(str::to_owned),
        success: Vec::new(),
        conflict_is_success: false,
    })
    .unwrap()
}

fn hec(shape: Shape) -> Hec {
    let rule = IndexRule {
        index: "others".into(),
        tenants: vec!["*".into()],
        filter: FilterSpec { excluded_users: vec!["planted*".into()], ..FilterSpec::default() },
    };
    let text = String::from;
    Hec::new(&HecSettings {
        path: text("/"),
        host: text("h"),
        source: text("s"),
        sourcetype: text("t"),
        index: Some(text("main")),
        indexes: vec![rule],
        shape,
        cim_fields: true,
    })
    .unwrap()
}

/// Every HTTP format in every shape that it takes.
fn formats() -> Vec<(String, Box<dyn Format>)> {
    let mut all: Vec<(String, Box<dyn Format>)> = Vec::new();
    for shape in Shape::ALL {
        let name = |what: &str| format!("{what} {}", shape.name());
        all.push((name("hec"), Box::new(hec(shape))));
        all.push((name("https json"), Box::new(https(shape, None, "application/json"))));
        all.push((name("https text"), Box::new(https(shape, None, "text/plain"))));
        let sumo = SumoSettings { path: "/".into(), name: None, host: None, category: None, fields: Vec::new(), shape };
        all.push((name("sumo"), Box::new(Sumo::new(&sumo).unwrap())));
        if !shape.is_text() {
            let id = DocumentId::EventId;
            let elastic = ElasticSettings { base: String::new(), target: "a".into(), op: Op::Create, id, shape };
            all.push((name("elastic"), Box::new(Elastic::new(&elastic).unwrap())));
        }
        if matches!(shape, Shape::Canonical | Shape::Asim) {
            let dcr = format!("dcr-{}", "0".repeat(32));
            let sentinel = SentinelSettings { dcr, stream: "Custom-A".into(), shape };
            all.push((name("sentinel"), Box::new(Sentinel::new(&sentinel).unwrap())));
        }
    }
    let text = String::from;
    let datadog = DatadogSettings { source: text("s"), service: text("s"), hostname: text("h"), tags: Vec::new() };
    all.push((text("datadog"), Box::new(Datadog::new(&datadog).unwrap())));
    let template = "${event} ${user_email} ${user_id} ${ip} ${payload} ${payload.secret} ${payload.a.b} ${payload.a}";
    all.push((text("template text"), Box::new(https(Shape::Canonical, Some(template), "text/plain"))));
    let template = r#"{"e":${event},"m":"${user_email}","u":${user_email},"p":${payload.a},"q":"${payload.a}","s":${payload.secret},"t":"${payload.secret} ${payload.a.b}"}"#;
    all.push((text("template json"), Box::new(https(Shape::Canonical, Some(template), "application/json"))));
    all
}

fn syslogs() -> Vec<(String, Syslog)> {
    let mut all = Vec::new();
    for shape in Shape::ALL {
        for (msg, header, max_len) in [
            (Msg::Json, Header::Rfc5424, 100_000),
            (Msg::Json, Header::Rfc3164 { utc_offset: 0 }, 900),
            (Msg::StructuredData, Header::Rfc5424, 100_000),
            (Msg::StructuredData, Header::Rfc5424, 900),
        ] {
            let settings = SyslogSettings {
                header,
                facility: 16,
                hostname: "h".into(),
                app_name: "a".into(),
                procid: String::new(),
                msg,
                framing: Framing::Datagram,
                bom: false,
                max_len,
                enterprise_id: 32473,
                shape,
            };
            let name = format!("syslog {} {msg:?} {header:?} {max_len}", shape.name());
            all.push((name, Syslog::new(&settings).unwrap()));
        }
    }
    all
}

/// Every message that these settings make of the event, by name.
fn everything(redaction: &Redaction, raw: &str) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> =
        formats().into_iter().map(|(name, format)| (name, sent(&*Redacted::wrap(format, redaction), raw))).collect();
    let found = index(raw.as_bytes()).unwrap();
    let event = Event::new(raw.as_bytes(), &found);
    for (name, syslog) in syslogs() {
        let mut body = Body::new();
        let encoded = redaction.hiding(&event, &mut Scratch::default(), |event, scratch| {
            syslog.encode(event, &STAMP, 0, &mut body, scratch)
        });
        if encoded.is_ok() {
            all.push((name, body.slices(|_| raw.as_bytes()).flatten().copied().collect()));
        }
    }
    all
}

/// An event in which each value that is redacted holds `PLANTED` and nothing else does.
static PLANTED: &str = r#"{ "event_id":"evt_1","timestamp":"2026-05-12T14:23:01.453Z" , "device" : {"owner":"PLANTED5","os":"linux"},"tenant_id":"t","category":"FILE_ACCESS","action":"link.create","severity":"info","user_id":"PLANTED1", "user_email" : "PLANTED2@example.com","service_account":"PLANTED3","resource_path":"/PLANTED4/\/PLANTED4.pdf","ip":"PLANTED6","user_agent":"PLANTED7","session_id":"PLANTED8","payload":{"scope":"PLANTED9","secret":"PLANTEDa","s\u0065cret":["PLANTEDb"],"a":{"b":"PLANTEDc","c":1,"b":{"d":"PLANTEDd"}},"list":[{"a":"PLANTEDe"},[{"a":"PLANTEDf"}],3],"kept":true}}"#;

const ALL_FIELDS: [&str; 8] =
    ["user_id", "user_email", "service_account", "resource_path", "ip", "user_agent", "session_id", "device.owner"];
const ALL_MEMBERS: [&str; 4] = ["payload.scope", "payload.secret", "payload.a.b", "payload.list.a"];

#[test]
fn a_planted_value_goes_out_in_no_shape_over_no_format() {
    let paths = [&ALL_FIELDS[..], &ALL_MEMBERS[..]].concat();
    let ways = [redaction(&paths, &[], &[]), redaction(&[], &paths, &[]), redaction(&[], &[], &paths)];
    for (nth, way) in ways.iter().enumerate() {
        let all = everything(way, PLANTED);
        assert!(all.len() > 40, "{}", all.len());
        for (name, bytes) in all {
            let text = String::from_utf8(bytes).unwrap();
            assert!(!text.to_ascii_uppercase().contains("PLANTED"), "way {nth}, {name}: {text}");
            assert!(
                text.contains("kept") || text.contains("truncated") || name.contains("Structured"),
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn without_redaction_the_planted_values_are_there() {
    let nothing = redaction(&[], &[], &[]);
    assert!(nothing.is_empty());
    for (name, bytes) in everything(&nothing, PLANTED) {
        assert!(String::from_utf8(bytes).unwrap().contains("PLANTED1"), "{name}");
    }
}

#[test]
fn each_way_leaves_what_it_says_and_all_else_as_it_was() {
    let redaction = redaction(&["user_agent", "payload.a"], &["ip", "payload.secret"], &["user_email", "device.owner"]);
    let mut found = canonical(&redaction, PLANTED);
    let hash = |value: &Value| {
        let digits = value.as_str().unwrap().strip_prefix(HASH_PREFIX).unwrap().to_owned();
        assert!(digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
    };
    hash(&found["user_email"].take());
    hash(&found["device"]["owner"].take());
    assert_eq!(found["user_agent"].take(), Value::Null);
    assert_eq!(found["payload"]["a"].take(), Value::Null);
    assert_eq!(found["ip"].take(), MASK);
    assert_eq!(found["payload"]["secret"].take(), MASK);
    let mut whole: Value = serde_json::from_str(PLANTED).unwrap();
    for field in ["user_email", "user_agent", "ip"] {
        whole[field].take();
    }
    whole["device"]["owner"].take();
    whole["payload"]["a"].take();
    whole["payload"]["secret"].take();
    assert_eq!(found, whole);
}

#[test]
fn the_same_person_has_the_same_hash_wherever_named_and_another_key_gives_another() {
    let raw = |email: &str, member: &str| {
        PLANTED.replace("PLANTED2@example.com", email).replace("\"PLANTEDa\"", member).replace("s\\u0065cret", "x")
    };
    let redaction = redaction(&[], &[], &["user_email", "payload.secret"]);
    let found = canonical(&redaction, &raw("Alice@Example.com", r#""alice@\u0065xample.COM""#));
    assert_eq!(found["user_email"], found["payload"]["secret"]);
    let other = canonical(&redaction, &raw("bob@example.com", "7"));
    assert_ne!(other["user_email"], found["user_email"]);
    assert!(other["payload"]["secret"].as_str().unwrap().starts_with(HASH_PREFIX));
    let spec = spec(&[], &[], &["user_email"]);
    let rotated = Redaction::compile(&spec, Some(b"another key, long")).unwrap();
    assert_ne!(canonical(&rotated, &raw("alice@example.com", "1"))["user_email"], found["user_email"]);
    // As calculated elsewhere: HMAC-SHA256("0123456789abcdef", "alice@example.com"), 16 bytes.
    assert_eq!(found["user_email"], ALICE);
}

#[test]
fn what_says_nothing_stays() {
    let raw = r#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"s","user_id":"","user_email":null,"payload":{"a":null,"b":""}}"#;
    let paths = ["user_id", "user_email", "ip", "payload.a", "payload.b", "payload.c"];
    let way = redaction(&[], &paths, &[]);
    assert_eq!(canonical(&way, raw), serde_json::from_str::<Value>(raw).unwrap());
}

#[test]
fn the_whole_payload_can_be_dropped() {
    for (name, bytes) in everything(&redaction(&["payload"], &[], &[]), PLANTED) {
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("PLANTEDa") && !text.contains("kept"), "{name}: {text}");
    }
}

#[test]
fn the_bytes_around_a_redacted_value_are_borrowed_unless_they_are_few() {
    let long = "x".repeat(2000);
    let raw =
        PLANTED.replace("\"kept\":true", &format!("\"before\":\"{long}\",\"last\":\"PLANTEDg\",\"after\":\"{long}\""));
    let found = index(raw.as_bytes()).unwrap();
    let entry = Entry { item: 0, stamp: Some(&STAMP), now_ms: NOW_MS };
    let redaction = redaction(&[], &["user_agent"], &["user_email", "payload.last"]);
    let format = Redacted::wrap(Box::new(https(Shape::Canonical, None, "application/json")), &redaction);
    let mut body = Body::new();
    format.encode(&Event::new(raw.as_bytes(), &found), &entry, &mut body, &mut Scratch::default()).unwrap();
    let inside = raw.as_bytes().as_ptr_range();
    let lent: Vec<usize> =
        body.slices(|_| raw.as_bytes()).filter(|slice| inside.contains(&slice.as_ptr())).map(<[u8]>::len).collect();
    assert!(lent.len() == 2 && lent.iter().all(|length| *length > 2000), "{lent:?}");
}

#[test]
fn where_an_event_goes_does_not_tell_what_is_hidden() {
    // The rule takes all events but those of this user, whom it does not see.
    let raw = PLANTED.replace("PLANTED", "planted");
    let found = index(raw.as_bytes()).unwrap();
    let event = Event::new(raw.as_bytes(), &found);
    let hidden = redaction(&["user_id", "user_email", "service_account"], &[], &[]);
    let format = Redacted::wrap(Box::new(hec(Shape::Canonical)), &hidden);
    assert_eq!(format.group(&event, &mut Scratch::default()), "others");
    assert_eq!(hec(Shape::Canonical).group(&event, &mut Scratch::default()), "main");
    let line: Value = serde_json::from_slice(&sent(&*format, &raw)).unwrap();
    assert_eq!(line["index"], "others");
}

#[test]
fn a_word_of_the_agent_out_of_band_is_whole() {
    let found = index(PLANTED.as_bytes()).unwrap();
    let entry = Entry { item: 0, stamp: None, now_ms: NOW_MS };
    let format = Redacted::wrap(
        Box::new(https(Shape::Canonical, None, "application/json")),
        &redaction(&["payload", "user_id"], &[], &[]),
    );
    let mut body = Body::new();
    format.encode(&Event::new(PLANTED.as_bytes(), &found), &entry, &mut body, &mut Scratch::default()).unwrap();
    let bytes: Vec<u8> = body.slices(|_| unreachable!("it lies in no log")).flatten().copied().collect();
    assert_eq!(bytes, PLANTED.as_bytes());
}

#[test]
fn entries_that_cannot_be_used_are_all_named() {
    let problems = |drop: &[&str], mask: &[&str], hash: &[&str], key: Option<&[u8]>| -> Vec<String> {
        let problems = Redaction::compile(&spec(drop, mask, hash), key).unwrap_err();
        problems.iter().map(|problem| format!("{} {}: {problem}", problem.list, problem.found)).collect()
    };
    for required in ["event_id", "timestamp", "tenant_id", "category", "action", "severity"] {
        assert!(problems(&[required], &[], &[], None)[0].contains("can't be redacted"));
    }
    assert!(problems(&["payload.a"], &["payload.a.b"], &[], None)[0].contains("lies within"));
    assert!(problems(&["payload.a.b"], &["payload.a"], &[], None)[0].contains("beside members"));
    assert!(problems(&["payload.a"], &["payload.a"], &[], None)[0].contains("named twice"));
    assert!(problems(&["payload", "payload.a"], &[], &[], None)[0].contains("lies within"));
    assert!(problems(&["payload.a", "payload"], &[], &[], None)[0].contains("beside members"));
    assert!(problems(&["user_id.x"], &[], &[], None)[0].contains("has no members"));
    assert!(problems(&["payload..x"], &[], &[], None)[0].contains("not a path"));
    assert!(problems(&["siem"], &[], &[], None)[0].contains("agent's own"));
    assert!(problems(&[], &["payload"], &[], None)[0].contains("only be dropped"));
    assert!(problems(&[], &[], &["ip"], None)[0].contains("no key"));
    assert!(problems(&[], &[], &["ip"], Some(b"short"))[0].contains("5 bytes"));
    assert_eq!(problems(&["event_id", "a..b"], &["siem"], &["ip"], None).len(), 4);
}

#[test]
fn the_fingerprint_is_of_paths_and_ways_and_nothing_else() {
    let print = |drop: &[&str], mask: &[&str], key: Option<&[u8]>| {
        Redaction::compile(&spec(drop, mask, &[]), key).unwrap().fingerprint()
    };
    assert_eq!(print(&[], &[], None), 0);
    assert_ne!(print(&["ip"], &[], None), 0);
    assert_ne!(print(&["ip"], &[], None), print(&[], &["ip"], None));
    assert_eq!(print(&["ip"], &[], None), print(&["ip"], &[], Some(KEY)));
    assert_eq!(print(&["ip", "a"], &[], None), print(&["a", "ip"], &[], None));
    // A path with the name of a list is no list.
    assert_ne!(redaction(&[], &["hash"], &[]).fingerprint(), redaction(&[], &[], &["hash"]).fingerprint());
}

#[test]
fn a_dot_in_a_key_is_a_step_of_a_path() {
    let redaction = redaction(&["payload.user.email", "device.owner"], &[], &[]);
    let event = |members: Value| {
        let mut event = json!({"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"low"});
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        event
    };
    for (members, expected) in [
        (
            json!({"payload":{"user.email":"x","user":{"email":"x"}}}),
            json!({"payload":{"user.email":null,"user":{"email":null}}}),
        ),
        (
            json!({"payload":{"user.email":{"a":"x"},"a.user.email":1}}),
            json!({"payload":{"user.email":null,"a.user.email":1}}),
        ),
        (
            json!({"payload":{"user.email.work":"x","user.emails":1}}),
            json!({"payload":{"user.email.work":null,"user.emails":1}}),
        ),
        (
            json!({"payload.user":[{"email":"x"}],"payload.user.email":"x"}),
            json!({"payload.user":[{"email":null}],"payload.user.email":null}),
        ),
        (json!({"device.owner":"x","device":{"owner":"x"}}), json!({"device.owner":null,"device":{"owner":null}})),
    ] {
        assert_eq!(canonical(&redaction, &event(members).to_string()), event(expected));
    }
    let escaped = event(json!({"payload":{"a":1}})).to_string().replace(r#""a":1"#, r#""us\u0065r\u002eemail":"x""#);
    assert_eq!(canonical(&redaction, &escaped), event(json!({"payload":{"user.email":null}})));
}

#[test]
fn members_that_flatten_the_payload_go_with_it() {
    let raw = r#"{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"low","payload.a":"x","payload":{"a":"x"}}"#;
    let left = canonical(&redaction(&["payload"], &[], &[]), raw);
    assert_eq!((&left["payload"], &left["payload.a"]), (&Value::Null, &Value::Null));
}

#[test]
fn the_key_is_never_shown() {
    let shown = format!("{:?}", redaction(&["ip"], &[], &["user_id"]));
    assert!(!shown.contains("0123456789abcdef") && shown.contains("UserId"), "{shown}");
}

#[test]
fn a_hidden_address_is_no_principal_name() {
    let raw = with_payload(&[]).replace(r#""payload":{}"#, r#""user_email":"alice@example.com""#);
    let kind = |redaction: &Redaction| {
        let format = Redacted::wrap(Box::new(https(Shape::Asim, None, "application/json")), redaction);
        serde_json::from_slice::<Value>(&sent(&*format, &raw)).unwrap()["ActorUsernameType"].clone()
    };
    assert_eq!(kind(&redaction(&[], &[], &[])), "UPN");
    assert_eq!(kind(&redaction(&[], &["user_email"], &[])), "Simple");
    assert_eq!(kind(&redaction(&[], &[], &["user_email"])), "Simple");
}

/// An event whose payload has members of these lengths in KiB.
fn with_payload(members: &[(&str, usize)]) -> String {
    let payload: Vec<String> =
        members.iter().map(|(key, kib)| format!(r#""{key}":"{}""#, "x".repeat(kib << 10))).collect();
    format!(
        r#"{{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"FILE","action":"file.download","severity":"low","payload":{{{}}}}}"#,
        payload.join(",")
    )
}

#[test]
fn what_is_hidden_takes_no_room_from_what_is_not() {
    let redaction = redaction(&[], &["payload.c"], &[]);
    for shape in [Shape::Canonical, Shape::Ecs] {
        let sumo = SumoSettings { path: "/".into(), name: None, host: None, category: None, fields: Vec::new(), shape };
        let format = Redacted::wrap(Box::new(Sumo::new(&sumo).unwrap()), &redaction);
        let keys = |members: &[(&str, usize)]| -> Vec<String> {
            let sent: Value = serde_json::from_slice(&sent(&*format, &with_payload(members))).unwrap();
            let payload = if shape == Shape::Ecs { &sent["scaidrive"]["payload"] } else { &sent["payload"] };
            payload.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(keys(&[("a", 40), ("b", 25), ("c", 30)]), ["a"]);
        assert_eq!(keys(&[("c", 70), ("a", 40), ("b", 25)]), ["a", "c"]);
        assert_eq!(keys(&[("a", 40), ("b", 15), ("c", 70)]), ["a", "b", "c"]);
    }
}

#[test]
fn a_place_with_a_limit_of_its_own_counts_what_it_shows() {
    let cef = |redaction: &Redaction, members: &[(&str, usize)]| {
        let format = Redacted::wrap(Box::new(https(Shape::Cef, None, "text/plain")), redaction);
        let line = String::from_utf8(sent(&*format, &with_payload(members))).unwrap();
        (line.split_once("cs4={").unwrap().1.split_once("} cs4Label").unwrap().0.to_owned(), line)
    };
    let (payload, line) = cef(&redaction(&[], &["payload.c"], &[]), &[("a", 3), ("c", 10)]);
    assert!(payload.ends_with(r#""c":"***""#) && !line.contains("truncated"), "{line}");
    // Hashes are longer than what they stand for.
    let raw: Vec<String> = (0..200).map(|nth| format!(r#"{{"k":{nth}}}"#)).collect();
    let raw = with_payload(&[("a", 0)]).replace(r#""a":"""#, &format!(r#""a":1,"c":[{}]"#, raw.join(",")));
    let format =
        Redacted::wrap(Box::new(https(Shape::Cef, None, "text/plain")), &redaction(&[], &[], &["payload.c.k"]));
    let line = String::from_utf8(sent(&*format, &raw)).unwrap();
    assert!(line.contains(r#"cs4={"a":1} "#) && line.contains("truncated"), "{line}");
}

/// Removes what is redacted from a value, as the document says and not as the code does it: `at` is the way to it, with
/// dots between keys.
fn hidden(value: &mut Value, at: &str, paths: &[String]) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let is_named = paths.iter().any(|path| at == *path || at.starts_with(&format!("{path}.")));
                if !is_named {
                    hidden(member, &at, paths);
                } else if !member.is_null() && *member != "" {
                    *member = json!(MASK);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| hidden(element, at, paths)),
        _ => {}
    }
}

/// Objects with keys of few letters and dots, some written with escapes.
fn dotted(depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just(String::from("1")), Just(String::from(r#""x""#)), Just(String::from("null"))];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        let key = r"(a|b|\\u0061)((\.|\\u002e)(a|b|c)){0,2}|\.a|a\.";
        let object = prop::collection::btree_map(key, inner.clone(), 0..4).prop_map(|members| {
            // Keys that only differ in how they are written would be one to the model.
            let mut seen = HashSet::new();
            let mut is_new = |key: &str| seen.insert(key.replace(r"\u0061", "a").replace(r"\u002e", "."));
            let members: Vec<String> = members
                .into_iter()
                .filter(|(key, _)| is_new(key))
                .map(|(key, value)| format!(r#""{key}":{value}"#))
                .collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![4 => object, 1 => prop::collection::vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(",")))]
    })
}

proptest! {
    #[test]
    fn dotted_and_nested_members_are_named_alike(
        payload in dotted(4).prop_filter("an object", |text| text.starts_with('{')),
        (key, other) in ("(payload\\.|x\\.)?(a|b)(\\.(a|b|c)){0,2}", dotted(3)),
        paths in prop::collection::vec("(payload|x|a)(\\.(a|b|c)){1,3}", 1..4),
    ) {
        let raw = format!(
            r#"{{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"c","action":"a","severity":"low","{key}":{other},"payload":{payload}}}"#
        );
        let spec = RedactionSpec { mask: paths.clone(), ..RedactionSpec::default() };
        // Paths within each other are refused.
        let Ok(redaction) = Redaction::compile(&spec, None) else { return Ok(()) };
        let mut expected: Value = serde_json::from_str(&raw).unwrap();
        hidden(&mut expected, "", &paths);
        prop_assert_eq!(canonical(&redaction, &raw), expected, "{}", raw);
    }

    #[test]
    fn any_event_is_what_it_was_but_for_the_named_values(
        raw in raw_event(),
        fields in prop::sample::subsequence(ALL_FIELDS.to_vec(), 0..4),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut expected: Value = serde_json::from_str(&raw).unwrap();
        let mut paths: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        // Some members that are there, of the payload and unknown ones, if a path can name them.
        let mut there: Vec<String> = Vec::new();
        for (key, value) in expected.as_object().unwrap() {
            let is_plain = |key: &str| !key.is_empty() && !key.contains('.');
            match value {
                Value::Object(inner) if key == "payload" || key.starts_with('x') => {
                    there.extend(inner.keys().filter(|inner| is_plain(inner) && is_plain(key)).map(|inner| format!("{key}.{inner}")));
                }
                _ if key.starts_with('x') && is_plain(key) => there.push(key.clone()),
                _ => {}
            }
        }
        if !there.is_empty() {
            paths.extend(picks.iter().map(|pick| pick.get(&there).clone()));
        }
        paths.sort();
        paths.dedup();
        let spec = RedactionSpec { mask: paths.clone(), ..RedactionSpec::default() };
        let redaction = Redaction::compile(&spec, None).unwrap();
        hidden(&mut expected, "", &paths);
        prop_assert_eq!(canonical(&redaction, &raw), expected);
        // Every other format still makes what its readers take.
        for (name, bytes) in everything(&redaction, &raw) {
            let is_json = ["https json canonical", "https json ecs", "https json ocsf", "https json asim", "datadog", "template json"];
            if is_json.contains(&name.as_str()) {
                prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok(), "{}: {}", name, String::from_utf8_lossy(&bytes));
            }
        }
    }
}

const ALICE: &str = "h_f3d6ddc7dbf9be2eb667360a5a9a4343";
