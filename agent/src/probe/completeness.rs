//! The question that whoever reads a SIEM asks there to see whether a number is missing: for each kind in its own words.
//!
//! All of them come to the same: for each stream the first and the last number found, how many different ones, and how many
//! are `missing` between the first and the last. A number that is there twice counts once.

use scaidrive_codecs::Shape;
use scaidrive_codecs::elastic::DocumentId;
use scaidrive_codecs::syslog::{Header, Msg};

use crate::config::{Datadog, Destination, Elastic, Https, Kind, SentinelApi, SplunkHec, SumoLogic, Syslog};

/// A question to a SIEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completeness {
    /// What to ask.
    pub(crate) query: String,
    /// Where.
    pub(crate) ask: &'static str,
    /// What to know about the answer.
    pub(crate) note: Option<&'static str>,
}

/// What shows each gap in the numbers that a destination has.
pub(crate) fn completeness(destination: &Destination) -> Completeness {
    match &destination.kind {
        Kind::SplunkHec(hec) => splunk(hec),
        Kind::Elastic(elastic) => self::elastic(elastic),
        Kind::Sentinel(sentinel) => self::sentinel(&sentinel.api),
        Kind::Datadog(datadog) => self::datadog(datadog),
        Kind::SumoLogic(sumo) => self::sumo(sumo),
        Kind::Https(https) => self::https(https),
        Kind::Syslog(syslog) => self::syslog(syslog),
    }
}

/// Where stream and number stand in an event that is a JSON object: keys with dots between them.
fn paths(shape: Shape) -> (&'static str, &'static str) {
    match shape {
        Shape::Ecs => ("labels.siem_stream", "event.sequence"),
        Shape::Ocsf => ("unmapped.siem.stream", "unmapped.siem.n"),
        Shape::Asim => ("AdditionalFields.siem.stream", "AdditionalFields.siem.n"),
        // A line of text names them by keys of its own.
        Shape::Cef => ("cs5", "cn1"),
        Shape::Leef => ("siemStream", "siemN"),
        Shape::Canonical => ("siem.stream", "siem.n"),
    }
}

fn splunk(hec: &SplunkHec) -> Completeness {
    let named = hec.index.iter().chain(hec.indexes.iter().map(|rule| &rule.index));
    let indexes: Vec<String> = named.map(|index| format!("index=\"{index}\"")).collect();
    // Without an index of its own an event goes where the token says.
    let indexes = if hec.index.is_none() { "index=*".to_owned() } else { format!("({})", indexes.join(" OR ")) };
    let query = format!(
        "{indexes} sourcetype=\"{}\" siem_n=*\n\
         | stats min(siem_n) AS first, max(siem_n) AS last, dc(siem_n) AS distinct BY siem_stream\n\
         | eval missing = last - first + 1 - distinct",
        hec.sourcetype
    );
    Completeness { query, ask: "Splunk, Search & Reporting", note: None }
}

fn elastic(elastic: &Elastic) -> Completeness {
    let (stream, n) = paths(elastic.shape);
    let (count, distinct, note) = match elastic.id {
        DocumentId::StreamAndNumber => ("_count", String::new(), NOTE_ROLLOVER),
        _ => {
            let cardinality = format!(
                "\n      \"distinct\": {{\"cardinality\": {{\"field\": \"{n}\", \"precision_threshold\": 40000}}}},"
            );
            ("distinct", cardinality, NOTE_CARDINALITY)
        }
    };
    let query = format!(
        r#"GET {}/_search?size=0
{{
  "query": {{"exists": {{"field": "{n}"}}}},
  "aggs": {{"streams": {{
    "terms": {{"field": "{stream}", "size": 1000}},
    "aggs": {{
      "first": {{"min": {{"field": "{n}"}}}},
      "last": {{"max": {{"field": "{n}"}}}},{distinct}
      "missing": {{"bucket_script": {{
        "buckets_path": {{"first": "first", "last": "last", "distinct": "{count}"}},
        "script": "params.last - params.first + 1 - params.distinct"
      }}}}
    }}
  }}}}
}}"#,
        elastic.target
    );
    Completeness { query, ask: "Kibana or OpenSearch Dashboards, Dev Tools", note: Some(note) }
}

fn sentinel(api: &SentinelApi) -> Completeness {
    let (table, stream, n) = match api {
        SentinelApi::LogsIngestion(settings) => {
            let table = scaidrive_codecs::sentinel::table_name(&settings.stream);
            let (stream, n) = match settings.shape {
                // Our own table names its columns in its own way.
                Shape::Canonical => ("SiemStream", "SiemN"),
                shape => paths(shape),
            };
            (table.to_string(), stream, n)
        }
        SentinelApi::DataCollector(settings) => (format!("{}_CL", settings.log_type), "siem_stream_s", "siem_n_d"),
    };
    let query = format!(
        "{table}\n\
         | extend Stream = tostring({stream}), N = tolong({n})\n\
         | where isnotnull(N)\n\
         | distinct Stream, N\n\
         | summarize First = min(N), Last = max(N), Distinct = count() by Stream\n\
         | extend Missing = Last - First + 1 - Distinct"
    );
    Completeness { query, ask: "Microsoft Sentinel, Logs; what is new may take 15 minutes", note: None }
}

fn datadog(datadog: &Datadog) -> Completeness {
    let site = datadog.site.unwrap_or("YOUR-SITE");
    let query = format!(
        r#"POST https://api.{site}/api/v2/logs/analytics/aggregate
{{
  "filter": {{"query": "@siem.n:*", "from": "now-1d", "to": "now"}},
  "compute": [
    {{"aggregation": "min", "metric": "@siem.n"}},
    {{"aggregation": "max", "metric": "@siem.n"}},
    {{"aggregation": "cardinality", "metric": "@siem.n"}}
  ],
  "group_by": [{{"facet": "@siem.stream", "limit": 1000}}]
}}"#
    );
    Completeness { query, ask: "Datadog's API, with an application key that may read logs", note: Some(NOTE_DATADOG) }
}

fn sumo(sumo: &SumoLogic) -> Completeness {
    let category = sumo.source_category.as_deref().unwrap_or("*");
    let (stream, n) = paths(sumo.shape);
    let found = if sumo.shape.is_text() {
        format!("| parse regex \"{stream}=(?<stream>\\S+)\" | parse regex \"{n}=(?<n>\\d+)\"")
    } else {
        format!("| json \"{stream}\", \"{n}\" as stream, n")
    };
    let query = format!(
        "_sourceCategory={category}\n\
         {found}\n\
         | count by stream, n | num(n)\n\
         | min(n) as lowest, max(n) as highest, count as different by stream\n\
         | highest - lowest + 1 - different as missing"
    );
    Completeness { query, ask: "Sumo Logic, Log Search; what is new may take some minutes", note: None }
}

fn https(https: &Https) -> Completeness {
    let (stream, n) = match &https.request.template {
        Some(_) => ("what the template makes of ${siem.stream}", "what it makes of ${siem.n}"),
        None => paths(https.request.shape),
    };
    let query = format!(
        "-- stream is {stream}, and n is {n}\n\
         SELECT stream, MIN(n) AS first, MAX(n) AS last, MAX(n) - MIN(n) + 1 - COUNT(DISTINCT n) AS missing\n\
         FROM events GROUP BY stream"
    );
    Completeness { query, ask: "whatever the receiver puts events into, here in the words of SQL", note: None }
}

fn syslog(syslog: &Syslog) -> Completeness {
    let has_elements = syslog.header == Header::Rfc5424 || syslog.msg == Msg::StructuredData;
    // The first that looks so is ours: numbers stand before whatever a producer made up itself.
    let (found, order) = match syslog.shape {
        Shape::Canonical if has_elements => (r#"\[siem@[0-9]+ node="[^"]*" stream="([^"]+)" n="([0-9]+)""#, r"\1 \2"),
        Shape::Canonical | Shape::Ocsf | Shape::Asim => {
            (r#""siem":\{"node":"[^"]*","stream":"([^"]+)","n":([0-9]+)"#, r"\1 \2")
        }
        Shape::Ecs => (r#""sequence":([0-9]+).*"labels":\{"siem_node":"[^"]*","siem_stream":"([^"]+)""#, r"\2 \1"),
        Shape::Cef => (r" cs5=([^ ]+) .*cn1=([0-9]+)", r"\1 \2"),
        Shape::Leef => (r"siemStream=([^[:space:]]+)[[:space:]]siemN=([0-9]+)", r"\1 \2"),
    };
    let query = format!(
        "sed -nE 's/{found}/\\n{order}\\n/; s/.*\\n(.*)\\n.*/\\1/p' FILES | sort -u | awk '\n  \
         {{ n = $2 + 0; if (!distinct[$1]++) first[$1] = last[$1] = n }}\n  \
         {{ if (n < first[$1]) first[$1] = n; if (n > last[$1]) last[$1] = n }}\n  \
         END {{ for (s in distinct) print s, first[s], last[s], \"missing\", last[s] - first[s] + 1 - distinct[s] }}'"
    );
    Completeness { query, ask: "the files that the receiver writes, in a shell", note: Some(NOTE_SYSLOG) }
}

const NOTE_ROLLOVER: &str = "A document is named by its stream and number, so what was sent twice is there once. Only a \
repeat that came after a rollover of the data stream is there twice; then `missing` is too small by one. \
Up to 1000 streams are shown, those with the most documents.";
const NOTE_CARDINALITY: &str = "The count is exact for up to 40,000 numbers of a stream; ask for a shorter time where \
there are more. Up to 1000 streams are shown, those with the most documents.";
const NOTE_DATADOG: &str = "`@siem.n` has to be a measure and `@siem.stream` a facet. Missing are the largest less the \
smallest plus 1 less the cardinality, which Datadog estimates where it is large: ask for a shorter time then.";
const NOTE_SYSLOG: &str = "FILES are all files of the time in question, those that were rotated too.";

#[cfg(test)]
mod tests {
    use std::process::Command;

    use scaidrive_codecs::{Body, Entry, Event, Scratch, Stamp};
    use serde_json::Value;

    use super::*;
    use crate::delivery::encoder::Encoder;
    use crate::probe::judge::destination;

    const STREAM: &str = "853adf776ab9.92eb6d5d.0.8481f91f593a2f5e";
    const EVENT: &str = r#"{"event_id":"e","timestamp":"2026-05-12T14:23:01.453Z","tenant_id":"t","category":"SECURITY","action":"file.download","severity":"info","user_id":"u","payload":{"siem":{"node":"x","stream":"x","n":99}}}"#;

    /// An event as a destination gets it, with this number.
    fn sent(destination: &Destination, n: u64) -> String {
        let index = scaidrive_codecs::index(EVENT.as_bytes()).unwrap();
        let stamp = Stamp { node: "node-7", stream: STREAM, n };
        let entry = Entry { item: 0, stamp: Some(&stamp), now_ms: 1_778_595_781_453 };
        let mut body = Body::new();
        let event = Event::new(EVENT.as_bytes(), &index);
        Encoder::new(destination).unwrap().encode(&event, &entry, &mut body, &mut Scratch::default()).unwrap();
        let bytes: Vec<u8> = body.slices(|_| EVENT.as_bytes()).flatten().copied().collect();
        String::from_utf8(bytes).unwrap()
    }

    /// What stands at a path in any of the objects of a body.
    fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
        let here = path.split('.').try_fold(value, |value, key| value.get(key));
        let below = || match value {
            Value::Object(members) => members.values().find_map(|value| at(value, path)),
            Value::Array(items) => items.iter().find_map(|value| at(value, path)),
            _ => None,
        };
        here.or_else(below)
    }

    const SPLUNK: &str = "type = \"splunk_hec\"\nurl = \"https://siem.example\"\ntoken = { env = \"T\" }";
    const ELASTIC: &str = "type = \"elastic\"\nurl = \"https://siem.example:9200\"\napi_key = { env = \"T\" }";
    const SENTINEL: &str = "type = \"sentinel\"\nurl = \"https://dce.example\"\nrule = \"dcr-00000000000000000000000000000000\"\nmanaged_identity = \"system\"";
    const COLLECTOR: &str = "type = \"sentinel\"\napi = \"data_collector\"\nworkspace_id = \"00000000-0000-0000-0000-000000000000\"\nworkspace_key = { env = \"KEY\" }";
    const DATADOG: &str = "type = \"datadog\"\napi_key = { env = \"T\" }";
    const SUMO: &str = "type = \"sumo_logic\"\nurl = \"https://siem.example/receiver\"\ntoken = { env = \"T\" }";
    const HTTPS: &str = "type = \"https\"\nurl = \"https://siem.example/in\"";
    const SYSLOG: &str = "type = \"syslog\"\nhost = \"siem.example\"";

    #[test]
    fn a_query_names_the_fields_in_which_stream_and_number_really_are() {
        for (lines, shape, stream, n) in [
            (SPLUNK, "canonical", "siem_stream", "siem_n"),
            (SPLUNK, "ocsf", "siem_stream", "siem_n"),
            (SPLUNK, "cef", "siem_stream", "siem_n"),
            (ELASTIC, "canonical", "siem.stream", "siem.n"),
            (ELASTIC, "ecs", "labels.siem_stream", "event.sequence"),
            (ELASTIC, "ocsf", "unmapped.siem.stream", "unmapped.siem.n"),
            (SENTINEL, "canonical", "SiemStream", "SiemN"),
            (SENTINEL, "asim", "AdditionalFields.siem.stream", "AdditionalFields.siem.n"),
            (SUMO, "canonical", "siem.stream", "siem.n"),
            (SUMO, "ecs", "labels.siem_stream", "event.sequence"),
            (SUMO, "ocsf", "unmapped.siem.stream", "unmapped.siem.n"),
            (HTTPS, "canonical", "siem.stream", "siem.n"),
            (HTTPS, "asim", "AdditionalFields.siem.stream", "AdditionalFields.siem.n"),
        ] {
            let destination = destination(&format!("{lines}\nshape = \"{shape}\""));
            assert_found(&destination, (stream, n), (stream, n));
        }
        assert_found(&destination(DATADOG), ("@siem.stream", "@siem.n"), ("siem.stream", "siem.n"));
        // The service adds a letter for the type that it sees.
        assert_found(&destination(COLLECTOR), ("siem_stream_s", "siem_n_d"), ("siem_stream", "siem_n"));
    }

    #[track_caller]
    fn assert_found(destination: &Destination, asked: (&str, &str), found: (&str, &str)) {
        let Completeness { query, ask, .. } = completeness(destination);
        assert!(query.contains(asked.0) && query.contains(asked.1) && !ask.is_empty(), "{query}");
        let body = sent(destination, 7);
        let values: Vec<Value> = serde_json::Deserializer::from_str(&body).into_iter().flatten().collect();
        let at = |path| values.iter().find_map(|value| at(value, path));
        assert_eq!(at(found.0), Some(&STREAM.into()), "{body}");
        assert_eq!(at(found.1), Some(&7.into()), "{body}");
    }

    #[test]
    fn the_files_of_a_syslog_receiver_show_a_gap_and_count_a_repeat_once() {
        for settings in [
            "",
            "msg = \"structured\"",
            "header = \"rfc3164\"",
            "shape = \"ecs\"",
            "shape = \"ocsf\"",
            "shape = \"asim\"",
            "shape = \"cef\"",
            "shape = \"leef\"",
            "header = \"rfc3164\"\nmsg = \"structured\"",
        ] {
            let destination = destination(&format!("{SYSLOG}\n{settings}"));
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("received");
            let lines: Vec<String> = [9, 10, 12, 12, 11, 14].map(|n| sent(&destination, n)).into();
            std::fs::write(&file, lines.join("\n") + "\n").unwrap();
            let query = completeness(&destination).query.replace("FILES", &file.display().to_string());
            let ran = Command::new("sh").args(["-c", &query]).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout);
            assert_eq!(said.trim(), format!("{STREAM} 9 14 missing 1"), "{settings}: {lines:?}");
        }
    }

    #[test]
    fn lines_of_text_are_found_by_the_keys_they_have() {
        for (shape, keys) in [("cef", ["cs5", "cn1"]), ("leef", ["siemStream", "siemN"])] {
            let destination = destination(&format!("{SUMO}\nshape = \"{shape}\""));
            let (query, line) = (completeness(&destination).query, sent(&destination, 7));
            assert!(keys.iter().all(|key| query.contains(&format!("\"{key}=("))), "{query}");
            assert!(
                line.contains(&format!("{}={STREAM}", keys[0])) && line.contains(&format!("{}=7", keys[1])),
                "{line}"
            );
        }
    }

    #[test]
    fn every_index_that_events_go_to_is_searched() {
        let query = |settings: &str| completeness(&destination(&format!("{SPLUNK}\n{settings}"))).query;
        assert!(query("").starts_with("index=* sourcetype=\"scaidrive:audit\" siem_n=*\n| stats"));
        let rules = "index = \"main\"\nindexes = [{ index = \"acme\", tenants = [\"acme\"] }]";
        assert!(query(rules).starts_with("(index=\"main\" OR index=\"acme\") sourcetype="), "{}", query(rules));
    }

    #[test]
    fn documents_are_counted_by_their_names_where_those_are_their_numbers() {
        let asked = |settings: &str| completeness(&destination(&format!("{ELASTIC}\n{settings}")));
        let counted = asked("");
        assert!(counted.query.contains("\"distinct\": \"_count\"") && counted.note == Some(NOTE_ROLLOVER));
        let estimated = asked("document_id = \"event_id\"");
        assert!(estimated.query.contains("\"cardinality\"") && estimated.note == Some(NOTE_CARDINALITY));
        for Completeness { query, note, .. } in [counted, estimated] {
            // What is left out is said.
            assert!(query.contains("\"size\": 1000") && note.is_some_and(|note| note.contains("1000")), "{note:?}");
            let body = query.split_once('\n').unwrap().1;
            serde_json::from_str::<Value>(body).unwrap_or_else(|problem| panic!("{problem}: {body}"));
        }
    }

    #[test]
    fn a_template_says_itself_where_the_numbers_are() {
        let lines = format!("{HTTPS}\ntemplate = '{{\"s\":\"${{siem.stream}}\",\"n\":${{siem.n}}}}'");
        assert!(completeness(&destination(&lines)).query.contains("${siem.stream}"));
    }
}
