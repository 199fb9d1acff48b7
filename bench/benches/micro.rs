//! What the hot operations cost, in instructions: counted, not timed, so that the machine's mood does not matter and a
//! change of two per cent can be believed.
//!
//! Each benchmark does one thing to [`EVENTS`] different events of the generator, as the agent does it, through a public
//! face. Buffers have grown and pages are present before the count begins; making the input is not counted, nor is
//! dropping it. Threads have no part in it: the log's helpers are stepped beforehand.
//!
//! | benchmark | what is counted for each event |
//! |---|---|
//! | `ingest::lines` | finding its line in a read buffer, which it is copied into |
//! | `ingest::index_events` | validating it and finding its fields |
//! | `ingest::store_index`, `load_index` | its index to bytes of a record, and back |
//! | `log::crc` | one checksum of its bytes |
//! | `log::append`, `scan` | the whole way into a mapped segment, and out of it |
//! | `route::scope_includes`, `filter_selects` | whether a destination may see it, and wants it |
//! | `encoding::hec`, `elastic`, `syslog` | glue and borrowed ranges in a body, until they are slices |
//! | `shapes::ecs`, `ocsf`, `asim`, `cef`, `leef` | the same in another shape: JSON to Elastic, text over syslog |
//! | `shapes::redacted` | the same as `elastic` with one value masked and one hashed |
//! | `compression::gzip_batch`, `zstd_batch` | its share of a compressed batch of [`BATCH`] events, as shipped |
//! | `compression::libdeflate_batch` | the same by a library that is not shipped |
//! | `replies::judge_hec`, `judge_elastic` | its share of the reply to such a batch, read and judged |
//!
//! Elasticsearch is asked for a `shortened` reply; a server that does not know how sends the `whole` one.
//!
//! `.ci/run micro` runs it and divides by [`EVENTS`]. By hand: `cargo bench -p scaidrive-bench --features micro`,
//! with valgrind and a `gungraun-runner` of the version that `Cargo.lock` has of `gungraun`.

#![expect(missing_docs, reason = "gungraun makes public items of each benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use gungraun::Callgrind;
use gungraun::prelude::*;
use libdeflater::{CompressionLvl, Compressor};
use scaidrive_codecs::elastic::{DocumentId, Elastic, ElasticSettings, Op};
use scaidrive_codecs::hec::{EVENT_PATH, Hec, HecSettings, SOURCETYPE};
use scaidrive_codecs::http::{Progress, ReplyReader};
use scaidrive_codecs::syslog::{ENTERPRISE_ID_DEFAULT, Framing, Header, MAX_LEN_DEFAULT, Msg, Syslog, SyslogSettings};
use scaidrive_codecs::{
    Body, Entry, Event, Field, Filter, FilterSpec, Format, Index, Redacted, Redaction, RedactionSpec, Scope, Scratch,
    Shape, Stamp, Verdict, index,
};
use scaidrive_siem::ingest::lines::{Line, Lines};
use scaidrive_siem::transport::{Gzip, zstd};
use scaidrive_tests::generator::{Sequence, event_line};
use scaidrive_wal::{
    AppendError, Budget, ByteCount, Keeper, Log, LogTime, MappedDisk, NewRecord, Options, Position, Read, Seq, Syncer,
    WallTime,
};
use tempfile::TempDir;

/// Events of each benchmark; what divides its count.
const EVENTS: usize = 1_000;
/// Events of a batch, as destinations get them by default.
const BATCH: usize = 500;
/// Bytes of an event.
const SIZE: usize = 600;
const TENANTS: u32 = 500;
/// The level of gzip and zstd that the agent ships with.
const LEVEL: i32 = 1;
const NOW_MS: i64 = 1_778_595_781_453;

/// Events with what ingest knows of them, and buffers that have grown.
struct Events {
    raws: Vec<Vec<u8>>,
    indexes: Vec<Index>,
    stored: Vec<Vec<u8>>,
    scratch: Scratch,
    body: Body,
    out: Vec<u8>,
}

impl Events {
    fn each(&self) -> impl Iterator<Item = Event<'_>> {
        self.raws.iter().zip(&self.indexes).map(|(raw, index)| Event::new(raw, index))
    }

    /// All of them as lines.
    fn text(&self) -> Vec<u8> {
        let mut text = self.raws.join(&b'\n');
        text.push(b'\n');
        text
    }
}

fn events() -> Events {
    let mut sequence = Sequence::new(1, TENANTS, 7);
    let raws: Vec<Vec<u8>> = (0..EVENTS).map(|_| event_line(sequence.next_key(), SIZE)).collect();
    let indexes: Vec<Index> = raws.iter().map(|raw| index(raw).expect("generated events are valid")).collect();
    let stored = indexes.iter().map(|index| {
        let mut stored = Vec::new();
        index.encode(&mut stored);
        stored
    });
    let stored = stored.collect();
    let (scratch, body, out) = (Scratch::default(), Body::new(), Vec::with_capacity(EVENTS * SIZE * 2));
    Events { raws, indexes, stored, scratch, body, out }
}

// ---- ingest

fn read_buffer() -> (Lines, Vec<u8>) {
    (Lines::new(256 << 10), events().text())
}

#[library_benchmark]
#[bench::read(read_buffer())]
fn lines((mut lines, text): (Lines, Vec<u8>)) -> (Lines, Vec<u8>) {
    let (mut rest, mut found) = (&text[..], 0);
    while !rest.is_empty() {
        let space = lines.space();
        let count = space.len().min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        lines.fill(count);
        rest = &rest[count..];
        while let Some(line) = lines.next_line() {
            found += usize::from(matches!(black_box(line), Line::Text(_)));
        }
    }
    assert_eq!(found, EVENTS);
    (lines, text)
}

#[library_benchmark]
#[bench::validate(events())]
fn index_events(events: Events) -> Events {
    for raw in &events.raws {
        black_box(index(black_box(raw))).expect("generated events are valid");
    }
    events
}

#[library_benchmark]
#[bench::encode(events())]
fn store_index(mut events: Events) -> Events {
    for index in &events.indexes {
        events.out.clear();
        black_box(index).encode(&mut events.out);
    }
    events
}

#[library_benchmark]
#[bench::decode(events())]
fn load_index(events: Events) -> Events {
    for stored in &events.stored {
        black_box(Index::decode(black_box(stored))).expect("it was just encoded");
    }
    events
}

// ---- log

#[library_benchmark]
#[bench::crc32fast(events())]
fn crc(events: Events) -> Events {
    for raw in &events.raws {
        black_box(crc32fast::hash(black_box(raw)));
    }
    events
}

/// A log in a directory that goes away with it, and one record in it.
struct Disk {
    log: Log,
    syncer: Syncer,
    keeper: Keeper,
    position: Position,
    events: Events,
    _directory: TempDir,
}

impl Disk {
    fn append(&mut self, event: usize) -> Result<Seq, AppendError> {
        let (index, payload) = (&self.events.stored[event], &self.events.raws[event]);
        let record = NewRecord { wall: WallTime::from_ms(NOW_MS), tenant_hash: 5, flags: 0, index, payload };
        self.log.append(&record, LogTime::default())
    }

    fn append_all(&mut self) {
        for event in 0..EVENTS {
            self.append(event).expect("the segment has room and its pages are present");
        }
    }

    /// Only what is durable is read.
    fn sync(&mut self) {
        self.log.request_sync();
        while let Some(job) = self.syncer.begin() {
            let result = job.execute();
            self.syncer.finish(job, result);
        }
    }

    /// Lets the keeper do what it has to do, on this thread.
    fn keep(&mut self) {
        while self.keeper.step() {}
        self.log.tick(LogTime::default());
    }
}

fn disk() -> Disk {
    let directory = tempfile::tempdir().expect("there is a directory for temporary files");
    let disk = MappedDisk::open(directory.path()).expect("a new directory can be opened");
    let options = Options {
        segment_size: SEGMENT,
        populate_ahead: SEGMENT,
        read_ahead: SEGMENT,
        min_free: ByteCount::new(0),
        min_free_percent: 0,
        ..Options::default()
    };
    let (mut log, _) = Log::open(Arc::new(disk), options, Budget::new(4), WallTime::from_ms(NOW_MS), &mut || 7)
        .expect("an empty log can be opened");
    let (syncer, keeper) = log.helpers();
    let position = Position::at(Seq::FIRST);
    let mut disk = Disk { log, syncer, keeper, position, events: events(), _directory: directory };
    for _ in 0..STEPS_MAX {
        disk.keep();
        if disk.append(0).is_ok() {
            disk.keep();
            return disk;
        }
    }
    panic!("the keeper makes no room");
}

fn written_disk() -> Disk {
    let mut disk = disk();
    disk.append_all();
    disk.sync();
    for _ in 0..STEPS_MAX {
        match disk.log.read(&mut disk.position, disk.log.next_seq()) {
            Read::Wait => disk.keep(),
            Read::Record(_) => return disk,
            other => panic!("the first record cannot be read: {other:?}"),
        }
    }
    panic!("the keeper does not bring the log into memory");
}

#[library_benchmark]
#[bench::mapped(disk())]
fn append(mut disk: Disk) -> Disk {
    disk.append_all();
    disk
}

#[library_benchmark]
#[bench::mapped(written_disk())]
fn scan(mut disk: Disk) -> Disk {
    let mut found = 0;
    while let Read::Record(record) = disk.log.read(&mut disk.position, disk.log.next_seq()) {
        black_box(record.payload());
        found += 1;
    }
    assert_eq!(found, EVENTS);
    disk
}

// ---- route

fn scope() -> (Events, Scope) {
    let tenants: Vec<String> = ["acme", "globex", "tnt-00007"].map(String::from).into();
    (events(), Scope::compile(&tenants).expect("these are tenants"))
}

#[library_benchmark]
#[bench::three_tenants(scope())]
fn scope_includes((events, scope): (Events, Scope)) -> (Events, Scope) {
    for event in events.each() {
        black_box(scope.includes(event.field(Field::TenantId).unwrap_or_default()));
    }
    (events, scope)
}

fn filter() -> (Events, Filter) {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    let spec = FilterSpec {
        categories: list(&["SECURITY", "AUTHENTICATION", "FILE_ACCESS"]),
        actions: list(&["*"]),
        severities: list(&["info", "warning", "critical"]),
        excluded_users: list(&["svc_backup"]),
        excluded_paths: list(&["/tmp/**"]),
    };
    let filter = Filter::compile(&spec).expect("this is a filter");
    let mut events = events();
    let mut scratch = Scratch::default();
    black_box(events.each().filter(|event| filter.selects(event, &mut scratch)).count());
    events.scratch = scratch;
    (events, filter)
}

#[library_benchmark]
#[bench::all_lists(filter())]
fn filter_selects((mut events, filter): (Events, Filter)) -> (Events, Filter) {
    let mut scratch = std::mem::take(&mut events.scratch);
    for event in events.each() {
        black_box(filter.selects(&event, &mut scratch));
    }
    events.scratch = scratch;
    (events, filter)
}

// ---- encode

/// Encodes all events into bodies of a batch each, and looks at the slices as a gathered write does.
fn encode(events: &mut Events, one: impl Fn(&Event<'_>, &Stamp<'_>, u32, &mut Body, &mut Scratch)) {
    let (mut body, mut scratch) = (std::mem::take(&mut events.body), std::mem::take(&mut events.scratch));
    for (batch, (raws, indexes)) in events.raws.chunks(BATCH).zip(events.indexes.chunks(BATCH)).enumerate() {
        body.clear();
        for (item, (raw, index)) in raws.iter().zip(indexes).enumerate() {
            let n = (batch * BATCH + item + 1) as u64;
            let stamp = Stamp { node: "node-7", stream: "853adf776ab9.92eb6d5d.0.8481f91f593a2f5e", n };
            one(&Event::new(raw, index), &stamp, item as u32, &mut body, &mut scratch);
        }
        for slice in body.slices(|item| &raws[item as usize]) {
            black_box(slice);
        }
    }
    (events.body, events.scratch) = (body, scratch);
}

fn encode_with(events: &mut Events, format: &dyn Format) {
    encode(events, |event, stamp, item, body, scratch| {
        let entry = Entry { item, stamp: Some(stamp), now_ms: NOW_MS };
        format.encode(event, &entry, body, scratch).expect("generated events fit every format");
    });
}

fn encode_syslog(events: &mut Events, syslog: &Syslog) {
    encode(events, |event, stamp, item, body, scratch| {
        syslog.encode(event, stamp, item, body, scratch).expect("generated events are short");
    });
}

fn hec_format() -> Hec {
    let text = String::from;
    Hec::new(&HecSettings {
        path: text(EVENT_PATH),
        host: text("node-7"),
        source: text("scaidrive"),
        sourcetype: text(SOURCETYPE),
        index: None,
        indexes: Vec::new(),
        shape: Shape::Canonical,
        cim_fields: false,
    })
    .expect("there is no rule to be wrong")
}

fn elastic_format() -> Elastic {
    let (base, target) = (String::new(), String::from("logs-scaidrive.audit-default"));
    let settings =
        ElasticSettings { base, target, op: Op::Create, id: DocumentId::StreamAndNumber, shape: Shape::Canonical };
    Elastic::new(&settings).expect("it is the name of a data stream")
}

fn syslog_format() -> Syslog {
    syslog_in(Shape::Canonical)
}

fn syslog_in(shape: Shape) -> Syslog {
    let text = String::from;
    Syslog::new(&SyslogSettings {
        header: Header::Rfc5424,
        facility: 13,
        hostname: text("node-7"),
        app_name: text("scaidrive"),
        procid: text("-"),
        msg: Msg::Json,
        framing: Framing::OctetCounting,
        bom: false,
        max_len: MAX_LEN_DEFAULT,
        enterprise_id: ENTERPRISE_ID_DEFAULT,
        shape,
    })
    .expect("these settings can be")
}

/// Events for a format whose buffers have grown.
fn warm<F>(format: F, run: impl Fn(&mut Events, &F)) -> (Events, F) {
    let mut events = events();
    run(&mut events, &format);
    (events, format)
}

#[library_benchmark]
#[bench::json(warm(hec_format(), |events, format| encode_with(events, format)))]
fn hec((mut events, format): (Events, Hec)) -> (Events, Hec) {
    encode_with(&mut events, &format);
    (events, format)
}

#[library_benchmark]
#[bench::bulk(warm(elastic_format(), |events, format| encode_with(events, format)))]
fn elastic((mut events, format): (Events, Elastic)) -> (Events, Elastic) {
    encode_with(&mut events, &format);
    (events, format)
}

#[library_benchmark]
#[bench::rfc5424(warm(syslog_format(), encode_syslog))]
fn syslog((mut events, format): (Events, Syslog)) -> (Events, Syslog) {
    encode_syslog(&mut events, &format);
    (events, format)
}

// ---- shapes

fn shaped_elastic(shape: Shape) -> Elastic {
    let (base, target) = (String::new(), String::from("logs-scaidrive.audit-default"));
    let settings = ElasticSettings { base, target, op: Op::Create, id: DocumentId::StreamAndNumber, shape };
    Elastic::new(&settings).expect("it is the name of a data stream")
}

#[library_benchmark]
#[bench::document(warm(shaped_elastic(Shape::Ecs), |events, format| encode_with(events, format)))]
fn ecs((mut events, format): (Events, Elastic)) -> (Events, Elastic) {
    encode_with(&mut events, &format);
    (events, format)
}

#[library_benchmark]
#[bench::document(warm(shaped_elastic(Shape::Ocsf), |events, format| encode_with(events, format)))]
fn ocsf((mut events, format): (Events, Elastic)) -> (Events, Elastic) {
    encode_with(&mut events, &format);
    (events, format)
}

#[library_benchmark]
#[bench::document(warm(shaped_elastic(Shape::Asim), |events, format| encode_with(events, format)))]
fn asim((mut events, format): (Events, Elastic)) -> (Events, Elastic) {
    encode_with(&mut events, &format);
    (events, format)
}

#[library_benchmark]
#[bench::rfc5424(warm(syslog_in(Shape::Cef), encode_syslog))]
fn cef((mut events, format): (Events, Syslog)) -> (Events, Syslog) {
    encode_syslog(&mut events, &format);
    (events, format)
}

#[library_benchmark]
#[bench::rfc5424(warm(syslog_in(Shape::Leef), encode_syslog))]
fn leef((mut events, format): (Events, Syslog)) -> (Events, Syslog) {
    encode_syslog(&mut events, &format);
    (events, format)
}

fn redacting() -> Box<dyn Format> {
    let (mask, hash) = (vec![String::from("ip")], vec![String::from("user_email")]);
    let spec = RedactionSpec { drop: Vec::new(), mask, hash };
    let redaction = Redaction::compile(&spec, Some(b"a key of the bench")).expect("these values can be hidden");
    Redacted::wrap(Box::new(elastic_format()), &redaction)
}

#[library_benchmark]
#[bench::mask_and_hash(warm(redacting(), |events, format| encode_with(events, &**format)))]
fn redacted((mut events, format): (Events, Box<dyn Format>)) -> (Events, Box<dyn Format>) {
    encode_with(&mut events, &*format);
    (events, format)
}

// ---- compress

/// The batches as destinations get them, and room for what becomes of one.
fn batches() -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut events = events();
    let text = events.text();
    let ends = (BATCH..=EVENTS).step_by(BATCH).map(|end| events.raws[..end].iter().map(|raw| raw.len() + 1).sum());
    let mut start = 0;
    let batches = ends.map(|end: usize| text[std::mem::replace(&mut start, end)..end].to_vec()).collect();
    (batches, std::mem::take(&mut events.out))
}

fn compress(batches: &[Vec<u8>], out: &mut Vec<u8>, mut one: impl FnMut(&[u8], &mut Vec<u8>)) {
    for batch in batches {
        out.clear();
        one(batch, out);
        assert!(out.len() < batch.len(), "it becomes smaller");
    }
}

/// As [`batches`], with a compressor that has worked before, as a shard's has.
fn shard() -> (Vec<Vec<u8>>, Vec<u8>, Gzip) {
    let (batches, mut out) = batches();
    let mut gzip = Gzip::default();
    compress(&batches, &mut out, |batch, out| gzip.pack(std::iter::once(batch), LEVEL as u32, out));
    (batches, out, gzip)
}

#[library_benchmark]
#[bench::zlib_rs_as_shipped(shard())]
fn gzip_batch((batches, mut out, mut gzip): (Vec<Vec<u8>>, Vec<u8>, Gzip)) -> (Vec<Vec<u8>>, Vec<u8>, Gzip) {
    compress(&batches, &mut out, |batch, out| gzip.pack(std::iter::once(batch), LEVEL as u32, out));
    (batches, out, gzip)
}

#[library_benchmark]
#[bench::as_shipped(batches())]
fn zstd_batch((batches, mut out): (Vec<Vec<u8>>, Vec<u8>)) -> (Vec<Vec<u8>>, Vec<u8>) {
    compress(&batches, &mut out, |batch, out| zstd(std::iter::once(batch), LEVEL, out));
    (batches, out)
}

#[library_benchmark]
#[bench::gzip(batches())]
fn libdeflate_batch((batches, mut out): (Vec<Vec<u8>>, Vec<u8>)) -> (Vec<Vec<u8>>, Vec<u8>) {
    compress(&batches, &mut out, |batch, out| {
        let mut compressor = Compressor::new(CompressionLvl::new(LEVEL).expect("libdeflate has this level"));
        out.resize(compressor.gzip_compress_bound(batch.len()), 0);
        let used = compressor.gzip_compress(batch, out).expect("it has as much room as it may need");
        out.truncate(used);
    });
    (batches, out)
}

// ---- reply

fn reply(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn hec_reply() -> (Hec, ReplyReader, Vec<u8>) {
    (hec_format(), ReplyReader::new(REPLY_MAX), reply(r#"{"text":"Success","code":0}"#))
}

/// A reply that took every event, by what it says of event number `n`.
fn elastic_reply(item: impl Fn(usize) -> String) -> (Elastic, ReplyReader, Vec<u8>) {
    let items: Vec<String> = (1..=BATCH).map(item).collect();
    let body = format!(r#"{{"errors":false,"took":30,"items":[{}]}}"#, items.join(","));
    (elastic_format(), ReplyReader::new(REPLY_MAX), reply(&body))
}

fn shortened(_: usize) -> String {
    String::from(r#"{"create":{"status":201}}"#)
}

fn whole(n: usize) -> String {
    format!(
        r#"{{"create":{{"_index":".ds-logs-scaidrive.audit-default-2026.05.12-000001","_id":"853adf776ab9.92eb6d5d.0.8481f91f593a2f5e.{n}","_version":1,"result":"created","_shards":{{"total":2,"successful":1,"failed":0}},"_seq_no":{n},"_primary_term":1,"status":201}}}}"#
    )
}

fn judge(format: &dyn Format, reader: &mut ReplyReader, bytes: &[u8]) {
    for _ in 0..EVENTS / BATCH {
        let Ok(Progress::Done { message: reply, .. }) = reader.push(black_box(bytes)) else {
            panic!("this is a whole reply")
        };
        let verdict = format.verdict_by_length(&reply, BATCH, BATCH * SIZE, NOW_MS);
        assert!(matches!(black_box(verdict), Verdict::Delivered { .. }), "everything was taken");
    }
}

#[library_benchmark]
#[bench::accepted(hec_reply())]
fn judge_hec((format, mut reader, bytes): (Hec, ReplyReader, Vec<u8>)) -> (Hec, ReplyReader, Vec<u8>) {
    judge(&format, &mut reader, &bytes);
    (format, reader, bytes)
}

#[library_benchmark]
#[bench::shortened(elastic_reply(shortened))]
#[bench::whole(elastic_reply(whole))]
fn judge_elastic((format, mut reader, bytes): (Elastic, ReplyReader, Vec<u8>)) -> (Elastic, ReplyReader, Vec<u8>) {
    judge(&format, &mut reader, &bytes);
    (format, reader, bytes)
}

/// A segment that holds all events and more.
const SEGMENT: u32 = 4 << 20;
/// Times that the keeper is asked before a log is used.
const STEPS_MAX: usize = 10;
/// Bytes of a reply that are kept, as the agent does.
const REPLY_MAX: usize = 1 << 20;

library_benchmark_group!(name = ingest, benchmarks = [lines, index_events, store_index, load_index]);
library_benchmark_group!(name = log, benchmarks = [crc, append, scan]);
library_benchmark_group!(name = route, benchmarks = [scope_includes, filter_selects]);
library_benchmark_group!(name = encoding, benchmarks = [hec, elastic, syslog]);
library_benchmark_group!(name = shapes, benchmarks = [ecs, ocsf, asim, cef, leef, redacted]);
library_benchmark_group!(name = compression, benchmarks = [gzip_batch, zstd_batch, libdeflate_batch]);
library_benchmark_group!(name = replies, benchmarks = [judge_hec, judge_elastic]);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = [ingest, log, route, encoding, shapes, compression, replies]
);
