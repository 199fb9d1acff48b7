//! The starter content of `packaging/content/` against the bytes that each format really sends.
//!
//! Every file is what its ending says, and every field that a query names is one that the golden events have when they are
//! encoded for that SIEM. A query is read word by word: a word is in the short list of its language, or the query itself made
//! it, or it is such a field; anything else is a slip.

mod events;
mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use events::{NOW_MS, STAMP, own_events, request_body};
use scaidrive_codecs::catalogue::{actions, fallbacks};
use scaidrive_codecs::datadog::{Datadog, DatadogSettings};
use scaidrive_codecs::elastic::{DocumentId, Elastic, ElasticSettings, Flavor, Op, index_template};
use scaidrive_codecs::hec::{EVENT_PATH, Hec, HecSettings, SOURCETYPE};
use scaidrive_codecs::sentinel::{STREAM, Sentinel, SentinelSettings, data_collection_rule, table_name};
use scaidrive_codecs::sumo::{Sumo, SumoSettings};
use scaidrive_codecs::{Format, Shape};
use serde_json::Value;

const SETS: [&str; 6] = ["splunk_hec", "sentinel", "elastic", "opensearch", "datadog", "sumo_logic"];

#[test]
fn every_file_is_what_its_ending_says() {
    for (path, text) in files("") {
        let place = path.display();
        assert!(text.ends_with('\n') && !text.contains(['\t', '\r']), "{place}");
        match path.extension().unwrap().to_str().unwrap() {
            "json" => drop(serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{place}: {error}"))),
            "ndjson" => drop(lines_of_json(&text)),
            "xml" => drop(roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{place}: {error}"))),
            "conf" | "meta" => assert!(!stanzas(&text).is_empty(), "{place}"),
            "kql" | "esql" => assert_balanced(&text),
            "md" => assert!(text.starts_with("# ScaiDrive audit for "), "{place}"),
            other => panic!("{place}: nobody knows what {other} is"),
        }
    }
}

#[test]
fn no_file_holds_a_secret_or_an_address_of_somebody() {
    const HOSTS: [&str; 5] = ["attack.mitre.org", "schema.management.azure.com", "github.com", "KIBANA", "DASHBOARDS"];
    for (path, text) in files("") {
        let lower = text.to_lowercase();
        for word in ["password", "secret", "api_key", "apikey", "bearer", "authorization"] {
            assert!(!lower.contains(word), "{}: {word}", path.display());
        }
        for rest in text.split("https://").skip(1) {
            let host = rest.split(['/', '"', '\'']).next().unwrap();
            assert!(HOSTS.contains(&host), "{}: {host}", path.display());
        }
    }
}

/// The same questions everywhere: a new action is added to all sets or to none.
#[test]
fn every_set_asks_for_the_same_actions_and_each_is_in_the_catalogue() {
    let asked = SETS.map(|set| (set, actions_of(set)));
    let known: BTreeSet<&str> = actions().iter().map(|action| action.name).collect();
    for (set, found) in &asked {
        let unknown: Vec<_> = found.iter().filter(|action| !known.contains(action.as_str())).collect();
        assert!(unknown.is_empty(), "{set}: {unknown:?}");
        assert_eq!(*found, asked[0].1, "{set} and {}", asked[0].0);
    }
    assert!(asked[0].1.len() > 15, "{:?}", asked[0].1);
}

#[test]
fn splunk_searches_name_only_fields_that_splunk_has() {
    let fields = splunk_fields();
    let searches = searches_of_splunk();
    assert!(searches.len() > 10);
    for (name, search) in &searches {
        assert_balanced(search);
        assert_known(name, search, &fields, SPL);
    }
    let indexed = conf("default/fields.conf");
    for (field, keys) in &indexed {
        assert!(fields.contains(field) && keys["INDEXED"] == "true", "{field}");
    }
}

#[test]
fn the_splunk_app_is_whole() {
    let app = conf("default/app.conf");
    assert_eq!((&*app["package"]["id"], &*app["id"]["name"]), ("scaidrive_audit", "scaidrive_audit"));
    assert_eq!(app["launcher"]["version"], app["id"]["version"]);
    assert!(conf("default/props.conf").contains_key(SOURCETYPE));
    let macros = conf("default/macros.conf");
    let searches = conf("default/savedsearches.conf");
    assert!(macros["scaidrive"]["definition"].contains(&format!("sourcetype=\"{SOURCETYPE}\"")));
    for (name, keys) in &searches {
        for called in keys["search"].split('`').skip(1).step_by(2) {
            assert!(macros.contains_key(called), "{name}: {called}");
        }
        for other in keys["search"].split("savedsearch \"").skip(1) {
            assert!(searches.contains_key(other.split('"').next().unwrap()), "{name}: {other}");
        }
        assert!(keys.contains_key("dispatch.earliest_time") && keys.contains_key("description"), "{name}");
        // Nothing runs by itself before somebody wants it.
        assert_eq!(keys.contains_key("enableSched"), name.contains(" alert: "), "{name}");
        if let Some(cron) = keys.get("cron_schedule") {
            assert_eq!((cron.split(' ').count(), keys["disabled"].as_str()), (5, "1"), "{name}");
        }
    }
    let view = file("splunk_hec/scaidrive_audit/default/data/ui/views/scaidrive_audit.xml");
    let view = roxmltree::Document::parse(&view).unwrap();
    assert_eq!(view.root_element().attribute("version"), Some("1.1"));
    let shown: BTreeSet<&str> = view.descendants().filter_map(|node| node.attribute("ref")).collect();
    let reports: BTreeSet<&str> = searches.keys().map(String::as_str).filter(|name| !name.contains("alert")).collect();
    assert_eq!(shown, reports);
    let nav = file("splunk_hec/scaidrive_audit/default/data/ui/nav/default.xml");
    assert!(nav.contains("name=\"scaidrive_audit\" default=\"true\""));
}

#[test]
fn sentinel_queries_name_only_columns_of_the_table() {
    let fields = sentinel_fields();
    for (name, query) in queries_of_sentinel() {
        assert!(query.contains(&table_name(STREAM)), "{name}");
        assert_balanced(&query);
        assert_known(&name, &query, &fields, KQL);
    }
}

#[test]
fn the_sentinel_template_is_whole_and_has_the_queries_that_lie_beside_it() {
    let template: Value = serde_json::from_str(&file("sentinel/scaidrive.json")).unwrap();
    let resources = template["resources"].as_array().unwrap();
    let of = |kind: &'static str| resources.iter().filter(move |one| one["type"].as_str().unwrap().ends_with(kind));
    let beside: BTreeSet<String> =
        files("sentinel/queries").into_iter().map(|(_, text)| text.trim_end().to_owned()).collect();
    let saved: BTreeSet<String> = of("/savedSearches").map(|one| text(&one["properties"]["query"])).collect();
    assert_eq!(saved, beside);
    let names: BTreeSet<&str> = resources.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), resources.len());
    for rule in of("/alertRules") {
        let properties = &rule["properties"];
        assert_eq!((&rule["kind"], &properties["enabled"]), (&"Scheduled".into(), &false.into()));
        assert!(hours(&properties["queryPeriod"]) >= hours(&properties["queryFrequency"]), "{properties}");
        let query = properties["query"].as_str().unwrap();
        for mapping in properties["entityMappings"].as_array().into_iter().flatten() {
            for field in mapping["fieldMappings"].as_array().unwrap() {
                assert!(query.contains(field["columnName"].as_str().unwrap()), "{query}");
            }
        }
    }
    let workbook = of("/workbooks").next().unwrap();
    let workbook: Value = serde_json::from_str(workbook["properties"]["serializedData"].as_str().unwrap()).unwrap();
    let items = workbook["items"].as_array().unwrap();
    let shown: BTreeSet<String> =
        items.iter().filter(|item| item["type"] == 3).map(|item| text(&item["content"]["query"])).collect();
    assert_eq!(shown, beside);
    assert!(of("/alertRules").count() > 2);
}

#[test]
fn objects_of_kibana_and_opensearch_refer_only_to_each_other_and_all_are_shown() {
    for set in ["elastic", "opensearch"] {
        let objects = lines_of_json(&file(&format!("{set}/dashboard.ndjson")));
        let ids: BTreeSet<(String, String)> =
            objects.iter().map(|one| (text(&one["type"]), text(&one["id"]))).collect();
        assert_eq!(ids.len(), objects.len(), "{set}");
        let mut referred = BTreeSet::new();
        for object in &objects {
            let references = object["references"].as_array().unwrap();
            let names: BTreeSet<&str> = references.iter().map(|one| one["name"].as_str().unwrap()).collect();
            assert_eq!(names.len(), references.len(), "{object}");
            referred.extend(references.iter().map(|one| (text(&one["type"]), text(&one["id"]))));
            let unfolded = unfolded(object);
            let inner = strings_under(&unfolded, &["indexRefName", "panelRefName"]);
            // Kibana puts the number of the panel before the name of its reference.
            let is_met = |name: &String| names.iter().any(|known| known.rsplit(':').next() == Some(name));
            assert!(inner.iter().all(is_met), "{inner:?} in {names:?}");
        }
        assert!(referred.is_subset(&ids), "{set}");
        let dashboards = ids.iter().filter(|(kind, _)| kind == "dashboard").count();
        assert_eq!((dashboards, referred.len()), (1, ids.len() - 1), "{set}");
    }
}

#[test]
fn objects_of_kibana_and_opensearch_name_only_fields_that_are_mapped() {
    for (set, flavor) in [("elastic", Flavor::Elasticsearch), ("opensearch", Flavor::OpenSearch)] {
        let fields = elastic_fields();
        let template: Value = serde_json::from_str(&index_template(&elastic_settings(), flavor)).unwrap();
        let pattern = template["index_patterns"][0].as_str().unwrap();
        for (path, value) in json_files(set) {
            let place = path.display().to_string();
            let aggregated = strings_under(&value, &["sourceField", "field"]);
            let shown = strings_under(&value, &["columns"]);
            for field in aggregated.iter().chain(&shown).filter(|field| *field != "___records___") {
                assert!(fields.contains(field) && is_mapped(&template, field), "{place}: {field}");
            }
            // Neither ES|QL nor OpenSearch's aggregations read what lies in a flattened object.
            assert!(aggregated.iter().all(|field| !field.starts_with("payload")), "{place}: {aggregated:?}");
            for query in strings_under(&value, &["query"]).iter().filter(|query| !query.starts_with("FROM ")) {
                assert_balanced(query);
                assert_known(&place, query, &fields, KUERY);
            }
            for index in strings_under(&value, &["index", "indices"]).iter().chain(&strings_under(&value, &["title"])) {
                if index.starts_with("logs-") {
                    assert!(pattern.starts_with(index.trim_end_matches('*')), "{place}: {index}");
                }
            }
        }
    }
    let question = file("elastic/missing_numbers.esql");
    assert_known("missing_numbers.esql", &question, &elastic_fields(), ESQL);
    assert!(!question.contains("payload"));
}

#[test]
fn what_stands_in_two_files_of_a_set_is_the_same() {
    let question = file("elastic/missing_numbers.esql");
    let bare: Vec<&str> = question.lines().filter(|line| !line.starts_with("//")).collect();
    let rules = lines_of_json(&file("elastic/rules.ndjson"));
    let asked: Vec<&Value> = rules.iter().filter(|rule| rule["type"] == "esql").collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["query"], bare.join("\n"));
    let ids: BTreeSet<String> = rules.iter().map(|rule| text(&rule["rule_id"])).collect();
    assert_eq!(ids.len(), rules.len());
    assert!(rules.iter().all(|rule| rule["enabled"] == false));
    let numbers: Value = serde_json::from_str(&file("opensearch/missing_numbers.json")).unwrap();
    let monitor: Value = serde_json::from_str(&file("opensearch/monitors/missing_numbers.json")).unwrap();
    assert_eq!(monitor["inputs"][0]["search"]["query"], numbers);
}

#[test]
fn datadog_content_names_only_attributes_that_logs_have() {
    let fields = datadog_fields();
    for (path, text) in files("datadog") {
        let place = path.display();
        for rest in text.split('@').skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_')).unwrap_or(rest.len());
            assert!(fields.contains(&rest[..end]), "{place}: @{}", &rest[..end]);
        }
        if path.extension().is_some_and(|ending| ending == "json") {
            let value: Value = serde_json::from_str(&text).unwrap();
            let queries = strings_under(&value, &["query", "query_string"]);
            assert!(!queries.is_empty() && queries.iter().all(|query| query.contains("source:scaidrive")), "{place}");
            queries.iter().for_each(|query| assert_balanced(query));
            for source in strings_under(&value, &["sources"]) {
                assert!(fields.contains(&source), "{place}: {source}");
            }
        }
    }
}

#[test]
fn datadog_monitors_say_their_threshold_twice_and_tables_calculate_with_their_own_queries() {
    for (path, text) in files("datadog/monitors") {
        let monitor: Value = serde_json::from_str(&text).unwrap();
        let last = monitor["query"].as_str().unwrap().rsplit(' ').next().unwrap();
        assert_eq!(monitor["options"]["thresholds"]["critical"].to_string(), last, "{}", path.display());
    }
    let dashboard: Value = serde_json::from_str(&file("datadog/dashboard.json")).unwrap();
    let widgets = dashboard["widgets"].as_array().unwrap();
    let variables: Vec<&Value> =
        dashboard["template_variables"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(variables, ["tenant"]);
    for widget in widgets.iter().filter(|widget| widget["definition"]["type"] == "query_table") {
        let request = &widget["definition"]["requests"][0];
        let names: BTreeSet<String> =
            request["queries"].as_array().unwrap().iter().map(|one| text(&one["name"])).collect();
        for formula in request["formulas"].as_array().unwrap() {
            for word in words(formula["formula"].as_str().unwrap()) {
                assert!(word == "default_zero" || names.contains(&word), "{word} in {formula}");
            }
        }
    }
}

#[test]
fn sumo_logic_searches_read_only_keys_that_messages_have() {
    let fields = sumo_fields();
    let searches = searches_of_sumo();
    for query in &searches {
        assert_balanced(query);
        let mut stages = query.split(" | ");
        assert!(stages.next().unwrap().starts_with("_sourceCategory=scaidrive/audit "), "{query}");
        let mut made = BTreeSet::new();
        for stage in stages {
            let Some(read) = stage.strip_prefix("json ") else {
                assert_known(query, stage, &made, SUMO);
                made.extend(made_in(stage));
                continue;
            };
            let (keys, names) = read.strip_suffix(" nodrop").unwrap().split_once(" as ").unwrap();
            let keys: Vec<&str> = keys.split(", ").map(|key| key.trim_matches('"')).collect();
            let names: Vec<String> = names.split(", ").map(str::to_owned).collect();
            assert_eq!(keys.len(), names.len(), "{query}");
            assert!(keys.iter().all(|key| fields.contains(*key)), "{keys:?}");
            made.extend(names);
        }
    }
}

#[test]
fn the_sumo_logic_folder_is_whole() {
    let folder: Value = serde_json::from_str(&file("sumo_logic/content.json")).unwrap();
    let children = folder["children"].as_array().unwrap();
    let of = |kind: &'static str| children.iter().filter(move |one| one["type"] == kind);
    let saved: BTreeSet<String> =
        of("SavedSearchWithScheduleSyncDefinition").map(|one| text(&one["search"]["queryText"])).collect();
    let dashboard = of("DashboardV2SyncDefinition").next().unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let shown: BTreeSet<String> = panels.iter().map(|panel| text(&panel["queries"][0]["queryString"])).collect();
    assert_eq!(shown, saved);
    let keys: Vec<&Value> = panels.iter().map(|panel| &panel["key"]).collect();
    let placed = dashboard["layout"]["layoutStructures"].as_array().unwrap();
    assert_eq!(placed.iter().map(|one| &one["key"]).collect::<Vec<_>>(), keys);
    assert_eq!(keys.iter().map(|key| key.as_str()).collect::<BTreeSet<_>>().len(), keys.len());
    for inner in placed.iter().map(|one| &one["structure"]).chain(panels.iter().map(|one| &one["visualSettings"])) {
        assert!(serde_json::from_str::<Value>(inner.as_str().unwrap()).unwrap().is_object());
    }
}

/// Words of Splunk's language, and fields that Splunk itself gives every event.
const SPL: &[&str] = &[
    "_index_earliest",
    "_index_latest",
    "_time",
    "AND",
    "BY",
    "IN",
    "OR",
    "append",
    "coalesce",
    "convert",
    "count",
    "ctime",
    "dc",
    "dedup",
    "earliest",
    "eval",
    "if",
    "latest",
    "max",
    "min",
    "mvappend",
    "mvexpand",
    "now",
    "relative_time",
    "rename",
    "savedsearch",
    "search",
    "sort",
    "stats",
    "streamstats",
    "sum",
    "table",
    "tonumber",
    "values",
    "where",
];
/// Words of the Kusto Query Language, and the table.
const KQL: &[&str] = &[
    "ScaiDriveAudit_CL",
    "ago",
    "and",
    "arg_max",
    "asc",
    "between",
    "by",
    "case",
    "coalesce",
    "count",
    "count_distinct",
    "dcount",
    "desc",
    "distinct",
    "expand",
    "extend",
    "iff",
    "in",
    "ingestion_time",
    "isnotempty",
    "isnotnull",
    "let",
    "long",
    "make_set",
    "max",
    "min",
    "mv",
    "or",
    "pack_array",
    "prev",
    "project",
    "row_cumsum",
    "sort",
    "sum",
    "summarize",
    "take_any",
    "to",
    "tobool",
    "tolong",
    "tostring",
    "true",
    "typeof",
    "union",
    "where",
];
/// Words of Kibana's and OpenSearch Dashboards' query language.
const KUERY: &[&str] = &["and", "or"];
/// Words of ES|QL, and the pattern of the data streams.
const ESQL: &[&str] = &[
    "BY",
    "COUNT",
    "DESC",
    "EVAL",
    "FROM",
    "IS",
    "MAX",
    "MIN",
    "NOT",
    "NULL",
    "SORT",
    "STATS",
    "WHERE",
    "audit",
    "logs",
    "scaidrive.audit",
];
/// Words of Sumo Logic's language, and the time of a message.
const SUMO: &[&str] = &[
    "_messagetime",
    "and",
    "as",
    "by",
    "count",
    "count_distinct",
    "if",
    "in",
    "isBlank",
    "max",
    "min",
    "now",
    "num",
    "or",
    "sort",
    "sum",
    "where",
];

/// Fails on a word that is neither of the language, nor made by the query, nor a field.
#[track_caller]
fn assert_known(place: &str, query: &str, fields: &BTreeSet<String>, language: &[&str]) {
    let made = made_in(query);
    for word in words(query) {
        let is_known = language.contains(&word.as_str()) || made.contains(&word) || fields.contains(&word);
        assert!(is_known || word.eq_ignore_ascii_case("as"), "{place}: {word} in\n{query}");
    }
}

/// The names that a query makes: what follows `as`, and what stands before an `=` that gives a value.
fn made_in(query: &str) -> BTreeSet<String> {
    const GIVERS: [&str; 9] = [",", "BY", "EVAL", "STATS", "by", "eval", "extend", "let", "project"];
    let tokens = tokens(query);
    let at = |nth: usize| tokens.get(nth).map_or("", String::as_str);
    let mut made = BTreeSet::new();
    for (nth, token) in tokens.iter().enumerate().filter(|(_, token)| is_word(token)) {
        let before = if nth == 0 { "" } else { at(nth - 1) };
        let is_given = at(nth + 1) == "=" && at(nth + 2) != "=" && (GIVERS.contains(&before) || before == "summarize");
        if before.eq_ignore_ascii_case("as") || is_given {
            made.insert(token.clone());
        }
    }
    made
}

fn words(query: &str) -> Vec<String> {
    tokens(query).into_iter().filter(|token| is_word(token)).collect()
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Words and marks; without comments, texts in double quotes, macros in backquotes, numbers and spans of time. A field in
/// single quotes is a word, and `Payload["end"]` is `Payload.end`.
fn tokens(query: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let until = |mark: char| rest[1..].find(mark).expect("what is opened is closed") + 2;
        let run = |is_in: fn(char) -> bool| rest.find(|c: char| !is_in(c)).unwrap_or(rest.len());
        let taken = match first {
            '/' if rest.starts_with("//") => run(|c| c != '\n'),
            '"' => until('"'),
            '`' => until('`'),
            '\'' => {
                let end = until('\'');
                tokens.push(rest[1..end - 1].to_owned());
                end
            }
            '[' if rest.starts_with("[\"") => {
                let end = until(']');
                let member = rest[2..end - 2].to_owned();
                let object = tokens.last_mut().unwrap();
                *object = format!("{object}.{member}");
                end
            }
            c if c.is_ascii_digit() => run(|c| c.is_ascii_alphanumeric()),
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
                tokens.push(rest[..end].trim_end_matches('.').to_owned());
                end
            }
            '-' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                1 + rest[1..].find([' ', '\n']).unwrap_or(rest.len() - 1)
            }
            c => {
                tokens.extend((!c.is_whitespace()).then(|| c.to_string()));
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    tokens
}

/// Quotes and brackets close what they open.
#[track_caller]
fn assert_balanced(query: &str) {
    assert_eq!(query.matches('"').count() % 2, 0, "{query}");
    let mut open = Vec::new();
    for token in tokens(query) {
        match token.as_str() {
            "(" | "[" => open.push(token),
            ")" => assert_eq!(open.pop().as_deref(), Some("("), "{query}"),
            "]" => assert_eq!(open.pop().as_deref(), Some("["), "{query}"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{query}");
}

fn searches_of_splunk() -> Vec<(String, String)> {
    let searches = conf("default/savedsearches.conf").into_iter();
    searches.map(|(name, mut keys)| (name, keys.remove("search").unwrap())).collect()
}

fn queries_of_sentinel() -> Vec<(String, String)> {
    let template: Value = serde_json::from_str(&file("sentinel/scaidrive.json")).unwrap();
    let with_query = |one: &Value| Some((text(&one["name"]), one["properties"]["query"].as_str()?.to_owned()));
    template["resources"].as_array().unwrap().iter().filter_map(with_query).collect()
}

fn searches_of_sumo() -> Vec<String> {
    let folder: Value = serde_json::from_str(&file("sumo_logic/content.json")).unwrap();
    strings_under(&folder, &["queryText"]).into_iter().collect()
}

/// Words with a dot that are no field, and whose first part is a family of the catalogue.
fn actions_of(set: &str) -> BTreeSet<String> {
    let families: BTreeSet<&str> = fallbacks().filter_map(|row| row.name.strip_suffix(".*")).collect();
    let fields = elastic_fields();
    let mut found = BTreeSet::new();
    for (path, text) in files(set) {
        if path.extension().is_some_and(|ending| ending == "md") {
            continue;
        }
        for word in text.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '.')) {
            let is_action = word
                .split_once('.')
                .is_some_and(|(family, verb)| families.contains(family) && !verb.is_empty() && !fields.contains(word));
            found.extend(is_action.then(|| word.to_owned()));
        }
    }
    found
}

fn hours(span: &Value) -> u64 {
    match span.as_str().unwrap() {
        "PT1H" => 1,
        "P1D" => 24,
        "P2D" => 48,
        "P14D" => 14 * 24,
        other => panic!("{other}"),
    }
}

/// Every event that has a golden file and is not made to be odd, and all that the agent says itself.
fn raws() -> Vec<String> {
    let odd = ["hostile", "long_fields", "not_ascii"];
    let kinds = kinds::kinds().into_iter().filter(|kind| !odd.contains(&kind.name)).map(|kind| kind.raw);
    kinds.chain(own_events()).collect()
}

/// The body of one request with all of them, numbered.
fn sent(format: &dyn Format) -> Vec<u8> {
    request_body(format, &raws(), Some(STAMP), NOW_MS).unwrap()
}

fn splunk_fields() -> BTreeSet<String> {
    let settings = HecSettings {
        path: EVENT_PATH.into(),
        host: "node-7".into(),
        source: "scaidrive:audit".into(),
        sourcetype: SOURCETYPE.into(),
        index: None,
        indexes: Vec::new(),
        shape: Shape::Canonical,
        cim_fields: false,
    };
    let body = sent(&Hec::new(&settings).unwrap());
    let mut fields = BTreeSet::new();
    for object in serde_json::Deserializer::from_slice(&body).into_iter::<Value>() {
        let object = object.unwrap();
        paths(&object["event"], "", &mut fields);
        paths(&object["fields"], "", &mut fields);
    }
    fields
}

fn sentinel_settings() -> SentinelSettings {
    SentinelSettings {
        dcr: "dcr-0123456789abcdef0123456789abcdef".into(),
        stream: STREAM.into(),
        shape: Shape::Canonical,
    }
}

fn sentinel_fields() -> BTreeSet<String> {
    let rows: Value = serde_json::from_slice(&sent(&Sentinel::new(&sentinel_settings()).unwrap())).unwrap();
    let mut fields = BTreeSet::new();
    rows.as_array().unwrap().iter().for_each(|row| paths(row, "", &mut fields));
    let table: Value = serde_json::from_str(&data_collection_rule(&sentinel_settings())).unwrap();
    let columns = strings_under(&table["resources"][0]["properties"]["schema"]["columns"], &["name"]);
    assert!(fields.iter().all(|field| columns.contains(field.split('.').next().unwrap())));
    fields
}

fn elastic_settings() -> ElasticSettings {
    ElasticSettings {
        base: String::new(),
        target: "logs-scaidrive.audit-default".into(),
        op: Op::Create,
        id: DocumentId::StreamAndNumber,
        shape: Shape::Canonical,
    }
}

fn elastic_fields() -> BTreeSet<String> {
    let body = sent(&Elastic::new(&elastic_settings()).unwrap());
    let mut fields = BTreeSet::new();
    let documents = lines_of_json(std::str::from_utf8(&body).unwrap()).into_iter().skip(1).step_by(2);
    documents.for_each(|document| paths(&document, "", &mut fields));
    fields
}

/// Down to where one field takes a whole object.
fn is_mapped(template: &Value, field: &str) -> bool {
    let mut mapping = &template["template"]["mappings"];
    for step in field.split('.') {
        if mapping["type"].is_string() {
            return true;
        }
        mapping = &mapping["properties"][step];
    }
    mapping["type"].is_string()
}

fn datadog_fields() -> BTreeSet<String> {
    let settings =
        DatadogSettings { source: "scaidrive".into(), service: "s".into(), hostname: "h".into(), tags: Vec::new() };
    let logs: Value = serde_json::from_slice(&sent(&Datadog::new(&settings).unwrap())).unwrap();
    let mut fields = BTreeSet::new();
    logs.as_array().unwrap().iter().for_each(|log| paths(log, "", &mut fields));
    fields
}

fn sumo_fields() -> BTreeSet<String> {
    let settings = SumoSettings {
        path: "/receiver".into(),
        name: None,
        host: None,
        category: Some("scaidrive/audit".into()),
        fields: Vec::new(),
        shape: Shape::Canonical,
    };
    let body = sent(&Sumo::new(&settings).unwrap());
    let mut fields = BTreeSet::new();
    lines_of_json(std::str::from_utf8(&body).unwrap()).iter().for_each(|line| paths(line, "", &mut fields));
    fields
}

/// Every member at any depth by its path, objects themselves too.
fn paths(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        paths(inner, &path, found);
        found.insert(path);
    }
}

/// The texts under any of these keys, at any depth; those of a list each.
fn strings_under(value: &Value, keys: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match value {
        Value::Object(members) => {
            for (key, inner) in members {
                if keys.contains(&key.as_str()) {
                    let several = inner.as_array().map_or(std::slice::from_ref(inner), Vec::as_slice);
                    found.extend(several.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                found.extend(strings_under(inner, keys));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| found.extend(strings_under(item, keys))),
        _ => {}
    }
    found
}

/// The same with what texts hold as JSON in their place.
fn unfolded(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(key, inner)| (key.clone(), unfolded(inner))).collect(),
        Value::Array(items) => items.iter().map(unfolded).collect(),
        Value::String(inner) if inner.starts_with(['{', '[']) => {
            unfolded(&serde_json::from_str(inner).unwrap_or_else(|error| panic!("{error}: {inner}")))
        }
        other => other.clone(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn lines_of_json(text: &str) -> Vec<Value> {
    let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().filter(|line| !line.is_empty()).map(parsed).collect()
}

/// The JSON of a set, with what texts hold as JSON in their place.
fn json_files(set: &str) -> Vec<(PathBuf, Value)> {
    let parsed = |(path, text): (PathBuf, String)| match path.extension()?.to_str()? {
        "json" => Some((path, unfolded(&serde_json::from_str(&text).unwrap()))),
        "ndjson" => Some((path, lines_of_json(&text).iter().map(unfolded).collect())),
        _ => None,
    };
    files(set).into_iter().filter_map(parsed).collect()
}

type Stanzas = BTreeMap<String, BTreeMap<String, String>>;

fn conf(path: &str) -> Stanzas {
    stanzas(&file(&format!("splunk_hec/scaidrive_audit/{path}")))
}

/// Splunk's configuration: stanzas, keys, comments, and a backslash where the next line goes on.
fn stanzas(text: &str) -> Stanzas {
    let joined = text.replace("\\\n", "\n\0");
    let mut stanzas = Stanzas::new();
    let (mut stanza, mut key) = (String::new(), String::new());
    for line in joined.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(more) = line.strip_prefix('\0') {
            stanzas.get_mut(&stanza).unwrap().get_mut(&key).unwrap().push_str(&format!("\n{more}"));
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            stanza = name.to_owned();
            assert!(stanzas.insert(stanza.clone(), BTreeMap::new()).is_none(), "[{stanza}] stands twice");
        } else {
            let (name, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{line} is no setting"));
            key = name.to_owned();
            let before = stanzas.get_mut(&stanza).unwrap().insert(key.clone(), value.trim_end().to_owned());
            assert_eq!(before, None, "{name} stands twice in [{stanza}]");
        }
    }
    stanzas
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/content")
}

fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a folder of the content.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![root().join(folder)];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}
