//! Templates: what they render, compared with a naive reading of the event, and what is refused when they are compiled.

mod formats;

use formats::*;
use proptest::prelude::*;
use scaidrive_codecs::template::*;
use scaidrive_codecs::{Body, Entry, Event, Stamp, index};
use serde_json::{Value, json};

fn render(template: &Template, raw: &str, is_numbered: bool) -> String {
    let found = index(raw.as_bytes()).unwrap();
    let stamp = Stamp { node: NODE, stream: STREAM, n: FIRST_N };
    let entry = Entry { item: 0, stamp: is_numbered.then_some(&stamp), now_ms: 0 };
    let mut body = Body::new();
    template.render(&Event::new(raw.as_bytes(), &found), &entry, &mut body);
    let bytes: Vec<u8> = body.slices(|_| raw.as_bytes()).flatten().copied().collect();
    assert_eq!(bytes.len(), body.len());
    String::from_utf8(bytes).unwrap()
}

fn rendered(source: &str, kind: TemplateKind, raw: &str) -> String {
    render(&Template::compile(source, kind).unwrap(), raw, true)
}

fn as_json(source: &str, raw: &str) -> Value {
    serde_json::from_str(&rendered(source, TemplateKind::Json, raw)).unwrap()
}

fn refused(source: &str, kind: TemplateKind) -> String {
    Template::compile(source, kind).unwrap_err().to_string()
}

#[test]
fn alone_a_placeholder_is_a_json_value_and_between_quotes_it_is_text() {
    let source = r#"{"id":${event_id},"text":"<${event_id}>","x":${payload.x},"xs":"${payload.x}","z":"${payload.y.z}","n":${siem.n},
        "where":"${siem.stream}/${siem.n}","node":${siem.node},"p":${payload},"all":${event},"quoted":"${event}"}"#;
    let event: Value = serde_json::from_str(RAW).unwrap();
    let expected = json!({
        "id": "evt_\"1", "text": "<evt_\"1>", "x": [1, 2], "xs": "[1, 2]", "z": "é\n", "n": FIRST_N,
        "where": format!("{STREAM}/{FIRST_N}"), "node": NODE, "p": event["payload"], "all": event, "quoted": RAW,
    });
    assert_eq!(as_json(source, RAW), expected);
}

#[test]
fn what_is_missing_is_null_or_nothing() {
    let raw = RAW.replace("\"x\":[1, 2]", "\"x\":null");
    let source = r#"[${user_id},"${user_id}",${payload.q.r},"${payload.x}",${payload.x},${payload.y.z.w},${siem.n},"${siem.n}",${siem.node},"${siem.stream}"]"#;
    let template = Template::compile(source, TemplateKind::Json).unwrap();
    let value: Value = serde_json::from_str(&render(&template, &raw, false)).unwrap();
    assert_eq!(value, json!([null, "", null, "", null, null, null, "", null, ""]));
    let without_payload = raw.replace("\"payload\":", "\"load\":");
    let template = Template::compile(r#"[${payload},"${payload}",${payload.x}]"#, TemplateKind::Json).unwrap();
    assert_eq!(render(&template, &without_payload, true), r#"[null,"",null]"#);
}

#[test]
fn a_dollar_is_itself_and_two_before_a_brace_are_one() {
    assert_eq!(as_json(r#"["$","$5","$$","$${event_id}","$$$${event_id}","é$"]"#, RAW)[3], "${event_id}");
    assert_eq!(rendered("$ $$ $${x} $${$${ ${action}$", TemplateKind::Text, RAW), "$ $$ ${x} ${${ file.download$");
}

#[test]
fn a_json_template_over_several_lines_renders_on_one() {
    let text = rendered("{\r\n  \"id\": ${event_id},\n  \"a\": \"${action}\"\n}\n", TemplateKind::Json, RAW);
    assert!(!text.contains(['\n', '\r']), "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"id": "evt_\"1", "a": "file.download"}));
}

#[test]
fn a_value_in_plain_text_cannot_end_its_line() {
    assert_eq!(rendered("${event_id} ${payload.y.z}|\n", TemplateKind::Line, RAW), "evt_\"1 é |");
    assert_eq!(rendered("a\n${payload.x}\n", TemplateKind::Text, RAW), "a\n[1, 2]\n");
}

#[test]
fn an_unknown_placeholder_is_named_with_its_place_and_what_is_allowed() {
    let words = refused("{\n \"é\": ${user_nam}}", TemplateKind::Json);
    assert!(
        words.starts_with("`${user_nam}` at line 2, column 7 is not a placeholder; allowed are ${event_id}, "),
        "{words}"
    );
    assert!(
        words.ends_with("${payload}, ${payload.KEY.KEY}, ${siem.node}, ${siem.stream}, ${siem.n}, ${event}"),
        "{words}"
    );
    for name in ["", " ", "event_id ", "siem", "siem.x", "payload.", "payload..x", "payload.x.", "Event_id", "event.x"]
    {
        let source = format!("${{{name}}}");
        assert!(matches!(Template::compile(&source, TemplateKind::Text), Err(TemplateError::Unknown { .. })), "{name}");
    }
}

#[test]
fn a_placeholder_without_an_end_is_named_with_its_place() {
    for source in ["x ${event_id", "x ${", "x ${event_id ${action}", "x ${event_id\n}"] {
        let error = Template::compile(source, TemplateKind::Text).unwrap_err();
        let TemplateError::Unclosed { at, .. } = error else { panic!("{source}: {error}") };
        assert_eq!(at, Position { line: 1, column: 3 });
    }
}

#[test]
fn a_template_that_could_render_something_else_than_json_is_refused() {
    let broken = [
        "",
        "x",
        "{",
        r#"{"a":1,}"#,
        r#"{"a":"b}"#,
        r#"{${action}:1}"#,
        r#"{"a":1${siem.n}}"#,
        r#"{"a":-${siem.n}}"#,
        r#"{"a":${siem.n}0}"#,
        r#"{"a":${siem.n}${siem.n}}"#,
        r#"{"a":"x"${action}}"#,
        r#"{"a":"\${action}"}"#,
        r#"{"a":"\${action}n"}"#,
        r#"{"a":"\u00${action}41"}"#,
        r#"{"a":"\ud83d${action}\ude00"}"#,
        "{\"a\":\"x\ny\"}",
        "${event} ${event}",
    ];
    for source in broken {
        let error = Template::compile(source, TemplateKind::Json).unwrap_err();
        assert!(matches!(error, TemplateError::NotJson { .. } | TemplateError::Misplaced { .. }), "{source}: {error}");
    }
}

#[test]
fn what_breaks_the_json_is_named_with_its_place() {
    let words = refused("{\n  ${action}: 1}", TemplateKind::Json);
    assert!(
        words
            .starts_with("`${action}` at line 2, column 3 does not fit into the JSON around it (key must be a string)"),
        "{words}"
    );
    for source in ["[1${siem.n}]", "[${siem.n}0]"] {
        assert!(refused(source, TemplateKind::Json).starts_with("`${siem.n}` at line 1, column"), "{source}");
    }
    let words = refused("{\"a\": 1,\n \"b\": tru}", TemplateKind::Json);
    assert!(words.starts_with("the template is not valid JSON at line 2, column 10: expected ident"), "{words}");
}

#[test]
fn every_bound_is_exact() {
    let longest = format!("\"{}\"", "x".repeat(TEMPLATE_BYTES_MAX - 2));
    assert!(Template::compile(&longest, TemplateKind::Json).is_ok());
    let longer = TemplateError::TooLong { bytes: TEMPLATE_BYTES_MAX + 1 };
    assert_eq!(Template::compile(&format!("{longest} "), TemplateKind::Json).unwrap_err(), longer);
    assert!(Template::compile(&"${event}".repeat(PLACEHOLDERS_MAX), TemplateKind::Text).is_ok());
    let more = Template::compile(&"${event}".repeat(PLACEHOLDERS_MAX + 1), TemplateKind::Text);
    assert_eq!(more.unwrap_err(), TemplateError::TooMany);
    let at = Position { line: 1, column: 2 };
    assert_eq!(Template::compile("a\nb\n", TemplateKind::Line).unwrap_err(), TemplateError::LineBreak { at });
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "event_id",
        "timestamp",
        "user_id",
        "payload",
        "payload.a",
        "payload.b",
        "payload.a.b",
        "payload.é",
        "event",
        "siem.n",
        "siem.node",
        "siem.stream",
    ])
}

proptest! {
    #[test]
    fn a_rendered_event_is_what_serde_json_finds_in_it(events in events(), paths in prop::collection::vec(path(), 1..5)) {
        let members: Vec<String> = paths.iter().map(|path| format!(r#"[${{{path}}}, "<${{{path}}}>"]"#)).collect();
        let template = Template::compile(&format!("[{}]", members.join(",")), TemplateKind::Json).unwrap();
        let mut event = Value::Object(events[0].clone());
        let raw = event.to_string();
        let value: Value = serde_json::from_str(&render(&template, &raw, true)).unwrap();
        let whole = event.clone();
        event["event"] = whole;
        event["siem"] = json!({"n": FIRST_N, "node": NODE, "stream": STREAM});
        for (nth, path) in paths.iter().enumerate() {
            let found = path.split('.').fold(&event, |at, key| &at[key]);
            prop_assert_eq!(&value[nth][0], found);
            let text = match found {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            prop_assert_eq!(&value[nth][1], &json!(format!("<{text}>")));
        }
    }

    #[test]
    fn whatever_compiles_as_json_renders_json(source in SOURCE, events in events(), is_numbered: bool) {
        let raw = Value::Object(events[0].clone()).to_string();
        if let Ok(template) = Template::compile(&source, TemplateKind::Json) {
            let text = render(&template, &raw, is_numbered);
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{source}: {text}");
            prop_assert!(!text.contains(['\n', '\r']));
        }
    }

    #[test]
    fn no_template_panics(source in any::<String>(), piece in SOURCE) {
        for kind in [TemplateKind::Json, TemplateKind::Line, TemplateKind::Text] {
            for source in [&source, &piece] {
                if let Err(error) = Template::compile(source, kind) {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}

const SOURCE: &str = r#"[\[\{]?(["\\\[\]\{\},:$ n\nué0-9]|\$\{(event_id|payload\.a|siem\.n|event)\}|"k":|"[a\\]?\$\{user_id\}[n"]?"){0,8}[\]\}]?"#;
