//! The event of a test: marked as one, and easy to find.

use std::rc::Rc;

use scaidrive_codecs::own::{Envelope, OwnEvent, Test};
use scaidrive_codecs::time::write_rfc3339;
use scaidrive_codecs::{Body, Entry, Event, Scratch, Shape};

use super::Question;
use super::report::TestEvent;
use crate::config::{Destination, Kind, SentinelApi};
use crate::delivery::encoder::Encoder;
use crate::runtime::Runtime;

/// An event that was made for a test.
pub(super) struct Made {
    /// Its `event_id`.
    pub(super) id: String,
    /// As it would stand in the log, where it never comes.
    raw: Vec<u8>,
    tenant: String,
    at_ms: i64,
}

impl Made {
    pub(super) fn new(runtime: &Rc<dyn Runtime>, question: &Question) -> Made {
        let id = format!("{ID_PREFIX}{:016x}{:016x}", runtime.entropy(), runtime.entropy());
        let destination = &question.destination;
        let tenant = destination.scope.only_tenant().unwrap_or(&question.tenant).to_owned();
        let at_ms = runtime.wall_ms();
        let envelope = Envelope { event_id: &id, timestamp_ms: at_ms, tenant_id: &tenant, node: &question.node };
        let test = OwnEvent::Test(Test {
            destination: destination.name.clone(),
            who: question.who.clone(),
            note: NOTE.to_owned(),
        });
        let raw = test.to_json(&envelope);
        Made { id, raw, tenant, at_ms }
    }

    /// The body of a request with this event alone, as the agent's own events are sent: without a number.
    ///
    /// # Errors
    /// Why the format can't carry it.
    pub(super) fn body(&self, encoder: &Encoder) -> Result<Body, String> {
        let index = scaidrive_codecs::index(&self.raw).map_err(|refusal| refusal.to_string())?;
        let (mut body, entry) = (Body::new(), Entry { item: 0, stamp: None, now_ms: self.at_ms });
        encoder.encode(&Event::new(&self.raw, &index), &entry, &mut body, &mut Scratch::default())?;
        Ok(body)
    }

    /// What people are told of it.
    pub(super) fn told(&self, destination: &Destination) -> TestEvent {
        let mut timestamp = Vec::new();
        write_rfc3339(self.at_ms, &mut timestamp);
        let (query, ask) = query(destination, &self.id);
        TestEvent {
            event_id: self.id.clone(),
            action: ACTION,
            tenant_id: self.tenant.clone(),
            timestamp: String::from_utf8_lossy(&timestamp).into_owned(),
            query,
            ask: ask.to_owned(),
        }
    }
}

/// What finds the event with this id there, and where that is to be asked.
pub(crate) fn query(destination: &Destination, id: &str) -> (String, &'static str) {
    match &destination.kind {
        Kind::SplunkHec(hec) => {
            let index = hec.index.as_deref().unwrap_or("*");
            let (sourcetype, key) = (&hec.sourcetype, hec.shape.id_path());
            (format!("index=\"{index}\" sourcetype=\"{sourcetype}\" {key}=\"{id}\""), "Splunk, Search & Reporting")
        }
        Kind::Elastic(elastic) => (
            format!("GET {}/_search?q={}:%22{id}%22", elastic.target, elastic.shape.id_path()),
            "Kibana or OpenSearch Dashboards, Dev Tools",
        ),
        Kind::Sentinel(sentinel) => match &sentinel.api {
            SentinelApi::LogsIngestion(settings) => {
                let table = scaidrive_codecs::sentinel::table_name(&settings.stream);
                // Our own table names its columns in its own way.
                let column = if settings.shape == Shape::Asim { settings.shape.id_path() } else { "EventId" };
                (format!("{table} | where {column} == \"{id}\""), "Microsoft Sentinel, Logs; it may take 15 minutes")
            }
            SentinelApi::DataCollector(settings) => {
                let table = &settings.log_type;
                (
                    format!("{table}_CL | where event_id_s == \"{id}\""),
                    "Microsoft Sentinel, Logs; it may take 15 minutes",
                )
            }
        },
        Kind::Datadog(_) => (format!("@evt.id:{id}"), "Datadog, Logs, Search"),
        Kind::SumoLogic(sumo) => {
            let category = sumo.source_category.as_deref().unwrap_or("*");
            (format!("_sourceCategory={category} \"{id}\""), "Sumo Logic, Log Search; it may take some minutes")
        }
        Kind::Https(_) => (id.to_owned(), "whatever the receiver puts events into"),
        Kind::Syslog(_) => (format!("grep -F {id}"), "the files that the receiver writes"),
    }
}

/// What the action of a test is called; see the table of own events.
const ACTION: &str = "siem.test";
/// No other event's id begins so.
pub(super) const ID_PREFIX: &str = "evt_test_";
const NOTE: &str = "A test of the connection. No user did anything.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::judge::destination;
    use crate::runtime::virtual_time::World;

    fn made(lines: &str) -> (Made, TestEvent, Encoder) {
        let question = Question {
            destination: destination(lines),
            node: "node-7".into(),
            tenant: "system".into(),
            who: "uid 0".into(),
            lookup: |_| None,
        };
        let made = Made::new(&World::new(7).runtime("a"), &question);
        let told = made.told(&question.destination);
        let encoder = Encoder::new(&question.destination).unwrap();
        (made, told, encoder)
    }

    const ELASTIC: &str = "type = \"elastic\"\nurl = \"https://siem.example:9200\"\napi_key = { env = \"T\" }";

    #[test]
    fn the_event_is_marked_and_in_the_tenant_of_its_destination() {
        let (made, told, encoder) = made(&format!("{ELASTIC}\ntenants = [\"acme\"]"));
        let event: serde_json::Value = serde_json::from_slice(&made.raw).unwrap();
        assert_eq!((&event["action"], &event["category"]), (&"siem.test".into(), &"SECURITY".into()));
        assert_eq!((&event["tenant_id"], told.tenant_id.as_str()), (&"acme".into(), "acme"));
        assert_eq!((&event["payload"]["who"], &event["payload"]["node"]), (&"uid 0".into(), &"node-7".into()));
        assert!(told.event_id.starts_with("evt_test_") && event["event_id"] == told.event_id.as_str());
        assert!(event["siem"].is_null() && told.query.contains(&told.event_id));
        let body: Vec<u8> = made.body(&encoder).unwrap().slices(|_| &[]).flatten().copied().collect();
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains(&format!("\"_id\":\"{}\"", told.event_id)) && !text.contains("\"siem\""), "{text}");
    }

    #[test]
    fn a_destination_of_several_tenants_gets_it_in_the_agents_own() {
        let (_, told, _) = made(&format!("{ELASTIC}\ntenants = [\"acme\", \"other\"]"));
        assert_eq!(told.tenant_id, "system");
    }

    #[test]
    fn a_query_asks_for_the_id_where_the_shape_has_it() {
        const SPLUNK: &str = "type = \"splunk_hec\"\nurl = \"https://siem.example\"\ntoken = { env = \"T\" }";
        const SENTINEL: &str = "type = \"sentinel\"\nurl = \"https://dce.example\"\nrule = \"dcr-00000000000000000000000000000000\"\nmanaged_identity = \"system\"";
        for (lines, shape, asked) in [
            (ELASTIC, "canonical", "q=event_id:%22evt_test_"),
            (ELASTIC, "ecs", "q=event.id:%22evt_test_"),
            (ELASTIC, "ocsf", "q=metadata.uid:%22evt_test_"),
            (SPLUNK, "ocsf", " metadata.uid=\"evt_test_"),
            (SPLUNK, "cef", " externalId=\"evt_test_"),
            (SENTINEL, "canonical", "where EventId == \"evt_test_"),
            (SENTINEL, "asim", "where EventOriginalUid == \"evt_test_"),
        ] {
            let (_, told, _) = made(&format!("{lines}\nshape = \"{shape}\""));
            assert!(told.query.contains(asked), "{shape}: {}", told.query);
        }
    }

    #[test]
    fn every_type_has_a_query_with_the_id_in_it() {
        for lines in [
            ELASTIC,
            "type = \"splunk_hec\"\nurl = \"https://siem.example\"\ntoken = { env = \"T\" }",
            "type = \"sentinel\"\nurl = \"https://dce.example\"\nrule = \"dcr-00000000000000000000000000000000\"\nmanaged_identity = \"system\"",
            "type = \"datadog\"\napi_key = { env = \"T\" }",
            "type = \"sumo_logic\"\nurl = \"https://siem.example/receiver\"\ntoken = { env = \"T\" }",
            "type = \"https\"\nurl = \"https://siem.example/in\"",
            "type = \"syslog\"\nhost = \"siem.example\"",
        ] {
            let (made, told, encoder) = made(lines);
            assert!(told.query.contains(&made.id) && !told.ask.is_empty(), "{lines}");
            made.body(&encoder).unwrap();
        }
    }
}
