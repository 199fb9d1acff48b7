//! The agent's own events: each is an event that the index accepts, says what its row of the table says, and has not
//! changed its bytes.

mod common;

use common::golden;
use proptest::prelude::*;
use scaidrive_codecs::event::{Event, Field};
use scaidrive_codecs::index;
use scaidrive_codecs::loss::{NumberRanges, TenantLosses};
use scaidrive_codecs::own::*;
use serde_json::{Value, json};

const ENVELOPE: Envelope<'static> =
    Envelope { event_id: "evt_01HE8SIEM", timestamp_ms: 1_778_595_781_453, tenant_id: "_agent", node: "node-7" };

fn payload(own: &OwnEvent) -> Value {
    let value: Value = serde_json::from_slice(&own.to_json(&ENVELOPE)).unwrap();
    value["payload"].clone()
}

/// The members of `payload` in the order they are written.
fn payload_keys(raw: &[u8]) -> Vec<String> {
    let found = index(raw).unwrap();
    let text = Event::new(raw, &found).field(Field::Payload).unwrap().to_owned();
    let value: Value = serde_json::from_str(&text).unwrap();
    let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort_by_key(|key| text.find(&format!("\"{key}\":")).unwrap());
    keys
}

#[test]
fn every_row_has_an_example_that_is_a_valid_event_with_the_rows_fields() {
    let examples = examples();
    assert_eq!(examples.len(), table().len());
    for (own, row) in examples.iter().zip(table()) {
        let raw = own.to_json(&ENVELOPE);
        let found = index(&raw).unwrap_or_else(|refusal| panic!("{}: {refusal}", row.action));
        let event = Event::new(&raw, &found);
        assert_eq!(own.row(), row);
        assert_eq!(event.field(Field::Action), Some(row.action));
        assert_eq!(event.field(Field::Category), Some("SECURITY"));
        assert_eq!(event.severity(), row.severity);
        assert_eq!((event.field(Field::EventId), event.timestamp_ms()), (Some("evt_01HE8SIEM"), 1_778_595_781_453));
        assert_eq!(event.field(Field::TenantId), Some("_agent"));
        let fields: Vec<&str> = row.fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(payload_keys(&raw), fields, "{}", row.action);
        assert!(row.action.starts_with("siem.") && row.fields.iter().all(|(_, meaning)| !meaning.is_empty()));
    }
    let mut actions: Vec<&str> = table().iter().map(|row| row.action).collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions.len(), table().len());
}

#[test]
fn the_golden_events_have_not_changed() {
    for own in examples() {
        let raw = String::from_utf8(own.to_json(&ENVELOPE)).unwrap();
        golden(&format!("own/{}.json", own.action()), &(raw + "\n"));
    }
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/own");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), table().len(), "a golden file without a row");
}

fn overflow() -> BufferOverflow {
    let Some(OwnEvent::BufferOverflow(overflow)) = examples().into_iter().next() else { panic!("the first row") };
    overflow
}

#[test]
fn lesson_16_and_46_an_overflow_says_exactly_which_numbers_are_missing() {
    let mut ranges = NumberRanges::new();
    ranges.push(3..8);
    ranges.push(10..11);
    let own = OwnEvent::BufferOverflow(BufferOverflow { dropped_count: 6, ranges, ..overflow() });
    let payload = payload(&own);
    assert_eq!(payload["ranges"], json!([{"from_n": 3, "to_n": 7}, {"from_n": 10, "to_n": 10}]));
    let ranges = payload["ranges"].as_array().unwrap();
    let numbers: u64 =
        ranges.iter().map(|range| range["to_n"].as_u64().unwrap() + 1 - range["from_n"].as_u64().unwrap()).sum();
    assert_eq!(payload["dropped_count"], json!(numbers));
}

#[test]
fn lesson_45_the_counts_of_an_overflow_check_each_other() {
    let payload = payload(&examples()[0]);
    let named: u64 = payload["tenants"].as_array().unwrap().iter().map(|loss| loss["dropped"].as_u64().unwrap()).sum();
    let tenants = named + payload["other_tenants_dropped"].as_u64().unwrap();
    let ranges = payload["ranges"].as_array().unwrap();
    let numbers: u64 =
        ranges.iter().map(|range| range["to_n"].as_u64().unwrap() + 1 - range["from_n"].as_u64().unwrap()).sum();
    assert_eq!(payload["dropped_count"], json!(tenants));
    assert_eq!(payload["dropped_count"], json!(numbers));
}

#[test]
fn an_overflow_of_any_size_is_a_bounded_event() {
    let (mut ranges, names) =
        (NumberRanges::new(), (0..20_000).map(|nth| format!("tnt_{nth:026}")).collect::<Vec<_>>());
    (0..20_000u64).for_each(|nth| ranges.push(u64::MAX - 100_000 + nth * 3..u64::MAX - 100_000 + nth * 3 + 1));
    let merged = ranges.is_merged();
    let losses = TenantLosses::most(names.iter().map(|name| (name.as_str(), 1)));
    let own = OwnEvent::BufferOverflow(BufferOverflow { dropped_count: 20_000, ranges, merged, losses, ..overflow() });
    let raw = own.to_json(&ENVELOPE);
    assert!(raw.len() < 32 << 10, "{} bytes", raw.len());
    assert!(index(&raw).is_ok());
    let payload = payload(&own);
    assert_eq!((&payload["merged"], payload["ranges"].as_array().unwrap().len()), (&json!(true), 100));
    assert_eq!(
        (&payload["other_tenants_dropped"], payload["tenants"].as_array().unwrap().len()),
        (&json!(19_900), 100)
    );
}

#[test]
fn a_statement_names_what_was_before() {
    let Some(OwnEvent::StreamStatement(statement)) = examples().into_iter().nth(1) else { panic!("the second row") };
    let rows = [
        (PreviousLast::NoEpoch, json!(null)),
        (PreviousLast::Unknown, json!("unknown")),
        (PreviousLast::Settled(0), json!(0)),
        (PreviousLast::Settled(7), json!(7)),
    ];
    for (previous_last, expected) in rows {
        let own = OwnEvent::StreamStatement(StreamStatement { previous_last, ..statement.clone() });
        assert_eq!(payload(&own)["previous_last"], expected);
    }
}

proptest! {
    #[test]
    fn no_text_from_outside_breaks_an_own_event(texts in any::<[String; 5]>(), timestamp_ms: i64, note in any::<String>()) {
        let [event_id, tenant_id, node, destination, who] = texts;
        let envelope = Envelope { event_id: &event_id, timestamp_ms, tenant_id: &tenant_id, node: &node };
        let own = OwnEvent::ConfigChanged(ConfigChanged {
            who: who.clone(), via: "api".into(), what: "destination.delete".into(), target: destination.clone(),
            before: json!({ note.clone(): [note.clone(), 1, null] }), after: Value::Null,
        });
        let raw = own.to_json(&envelope);
        let found = index(&raw).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        let event = Event::new(&raw, &found);
        let mut scratch = String::new();
        prop_assert_eq!(event.text(Field::EventId, &mut scratch), Some(event_id.as_str()));
        prop_assert_eq!(event.text(Field::TenantId, &mut scratch), Some(tenant_id.as_str()));
        let value: Value = serde_json::from_slice(&raw).unwrap();
        prop_assert_eq!(&value["payload"]["node"], &json!(node));
        prop_assert_eq!(&value["payload"]["target"], &json!(destination));
        prop_assert_eq!(&value["payload"]["before"][&note][0], &json!(note));
    }
}
