//! The real OpenSearch, one node of it, as a receiver (`tests/receivers/opensearch`).
//!
//! The node keeps its data through [`OpenSearch::stop`] and [`OpenSearch::kill`]: what it has answered for is there after
//! [`OpenSearch::come_up`].

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::arrival::Arrivals;
use crate::daemon::Daemon;
use crate::http::{self, HttpReply};
use crate::install::{install, script};
use crate::ports::free_port;
use crate::wait::wait_until;

const RECEIVER: &str = "opensearch";
/// A node comes up in five seconds on an idle machine, and in half a minute beside other work.
const START_WITHIN: Duration = Duration::from_secs(120);
const JSON: &[(&str, &str)] = &[("Content-Type", "application/json"), ("Connection", "close")];
const NDJSON: &[(&str, &str)] = &[("Content-Type", "application/x-ndjson"), ("Connection", "close")];
/// Documents read at once.
const PAGE: usize = 2_000;

/// A single node.
pub struct OpenSearch {
    address: SocketAddr,
    folder: PathBuf,
    settings: Vec<String>,
    daemon: Daemon,
}

/// A document as the node holds it.
#[derive(Debug)]
pub struct Document {
    /// Its `_id`.
    pub id: String,
    /// The index that holds it: of a data stream, one of its backing indexes.
    pub index: String,
    /// What was indexed, byte for byte.
    pub source: Box<[u8]>,
}

impl Document {
    /// The id that the agent gives a document that is called by its number: its stream's name and its number there.
    ///
    /// # Panics
    /// When the document says neither.
    #[track_caller]
    pub fn stream_and_number(&self) -> String {
        let source: Source = serde_json::from_slice(&self.source).expect("the node holds JSON objects");
        let Siem { stream, n } = source.siem.expect("what the agent sends from its log has a number");
        format!("{stream}:{n}")
    }
}

/// What the node has counted about an index or data stream since it came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Documents in it.
    pub documents: u64,
    /// Write operations that went well.
    pub written: u64,
    /// Write operations that failed in the index itself, as a second document of one id does.
    pub failed: u64,
}

impl OpenSearch {
    /// Installs it where needed and says why it cannot be used on this machine; `None` when it can.
    pub fn missing() -> Option<String> {
        install(RECEIVER).err()
    }

    /// Starts a node on a free loopback port, with its files in `folder`.
    ///
    /// # Panics
    /// When it is not ready in time; the text holds what it said.
    #[track_caller]
    pub fn start(folder: &Path) -> OpenSearch {
        OpenSearch::start_with(folder, &[])
    }

    /// Starts a node whose queue for writes is so short that a few requests at the same time overflow it.
    ///
    /// # Panics
    /// As [`OpenSearch::start`].
    #[track_caller]
    pub fn start_with_small_queue(folder: &Path) -> OpenSearch {
        OpenSearch::start_with(folder, &["node.processors=1", "thread_pool.write.queue_size=1"])
    }

    /// Starts a node with further `settings`, each written as `NAME=VALUE`.
    ///
    /// # Panics
    /// As [`OpenSearch::start`].
    #[track_caller]
    pub fn start_with(folder: &Path, settings: &[&str]) -> OpenSearch {
        let mut node = OpenSearch {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            folder: folder.to_owned(),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            daemon: Daemon::new("OpenSearch", folder.join("opensearch.out"), START_WITHIN),
        };
        node.come_up();
        node
    }

    /// Starts it again after [`OpenSearch::stop`] or [`OpenSearch::kill`], on the same port and data.
    #[track_caller]
    pub fn come_up(&mut self) {
        let mut command = Command::new(script(RECEIVER, "start"));
        command.arg(self.address.port().to_string()).arg(self.folder.join("node")).args(&self.settings);
        let address = self.address;
        // HTTP answers before the indexes of an earlier run are open again.
        self.daemon.start(&mut command, || {
            http::get(address, "/_cluster/health?wait_for_status=yellow&timeout=1s")
                .is_ok_and(|reply| reply.status == 200)
        });
    }

    /// Ends it in order (SIGTERM).
    #[track_caller]
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    /// Kills it hard (SIGKILL).
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Its process.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What goes into a destination's `url`.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// Sends a request with a JSON body, which `Value::Null` leaves empty.
    ///
    /// # Errors
    /// When the node cannot be reached or the connection breaks before a whole reply.
    pub fn request(&self, method: &str, path: &str, body: &Value) -> io::Result<HttpReply> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        http::request_once(self.address, method, path, JSON, body.as_bytes())
    }

    /// Sends a request that must succeed and returns the reply's body.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let reply = self.request(method, path, body).expect("the node answers");
        assert!(reply.status < 300, "{method} {path}: {} {}", reply.status, reply.text());
        serde_json::from_slice(&reply.body).expect("the node answers with JSON")
    }

    /// Posts `lines`, a body of the bulk API, to an index or data stream.
    ///
    /// # Errors
    /// As [`OpenSearch::request`].
    pub fn bulk(&self, index: &str, lines: &[u8]) -> io::Result<HttpReply> {
        http::request_once(self.address, "POST", &format!("/{index}/_bulk"), NDJSON, lines)
    }

    /// Makes everything written so far visible to searches, and counts.
    #[track_caller]
    pub fn counters(&self, index: &str) -> Counters {
        self.ask("POST", &format!("/{index}/_refresh"), &Value::Null);
        let stats = self.ask("GET", &format!("/{index}/_stats/docs,indexing"), &Value::Null);
        let primaries = &stats["_all"]["primaries"];
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no such number in {stats}"));
        Counters {
            documents: number(&primaries["docs"]["count"]),
            written: number(&primaries["indexing"]["index_total"]),
            failed: number(&primaries["indexing"]["index_failed"]),
        }
    }

    /// How many writes the node has refused since it came up because its queue was full.
    #[track_caller]
    pub fn rejected_writes(&self) -> u64 {
        let stats = self.ask("GET", "/_nodes/stats/thread_pool", &Value::Null);
        let nodes = stats["nodes"].as_object().unwrap_or_else(|| panic!("no nodes in {stats}"));
        let rejected = |node: &Value| node["thread_pool"]["write"]["rejected"].as_u64();
        nodes.values().map(|node| rejected(node).unwrap_or_else(|| panic!("no such number in {stats}"))).sum()
    }

    /// Every document of an index or data stream, each backing index in the order in which it was written.
    #[track_caller]
    pub fn documents(&self, index: &str) -> Vec<Document> {
        self.ask("POST", &format!("/{index}/_refresh"), &Value::Null);
        let first = json!({ "size": PAGE, "sort": ["_seq_no"] });
        let mut page = self.page(&format!("/{index}/_search?scroll=1m"), &first);
        let mut documents = Vec::new();
        while !page.hits.hits.is_empty() {
            documents.extend(page.hits.hits.iter().map(|hit| Document {
                id: hit.id.clone(),
                index: hit.index.clone(),
                source: hit.source.get().as_bytes().into(),
            }));
            page = self.page("/_search/scroll", &json!({ "scroll": "1m", "scroll_id": page.scroll_id }));
        }
        self.ask("DELETE", "/_search/scroll", &json!({ "scroll_id": page.scroll_id }));
        documents
    }

    /// The same as arrivals. An index that is not there holds nothing.
    #[track_caller]
    pub fn arrivals(&self, index: &str) -> Arrivals {
        let mut arrivals = Arrivals::default();
        let found = self.request("GET", &format!("/{index}"), &Value::Null).expect("the node answers");
        if found.status == 404 {
            return arrivals;
        }
        for document in self.documents(index) {
            let source: Source = serde_json::from_slice(&document.source).expect("the node holds JSON objects");
            let stream = source.siem.as_ref().map(|siem| siem.stream.as_str());
            let n = source.siem.as_ref().map(|siem| siem.n);
            arrivals.push_stored(source.event_id.as_deref(), stream, n, &document.source);
        }
        arrivals
    }

    /// Waits until at least `count` different generated events are in it.
    #[track_caller]
    pub fn wait_distinct(&self, index: &str, count: usize, within: Duration) {
        wait_until(&format!("{count} different events in OpenSearch's {index}"), within, || {
            // Counting is cheap, reading everything is not.
            let found = self.request("POST", &format!("/{index}/_refresh"), &Value::Null);
            found.is_ok_and(|reply| reply.status == 200)
                && self.counters(index).documents >= count as u64
                && self.arrivals(index).distinct() >= count
        });
    }

    #[track_caller]
    fn page(&self, path: &str, body: &Value) -> Page {
        let reply = self.request("POST", path, body).expect("the node answers");
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_slice(&reply.body).expect("the node answers a search with hits")
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "_scroll_id")]
    scroll_id: String,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_source")]
    source: Box<RawValue>,
}

/// What is read of a document: the event's own id, and the numbers that the agent put beside it.
#[derive(Deserialize)]
struct Source {
    event_id: Option<String>,
    siem: Option<Siem>,
}

#[derive(Deserialize)]
struct Siem {
    stream: String,
    n: u64,
}
