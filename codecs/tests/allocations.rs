//! Formats of HTTP destinations do not allocate for an event once their buffers have grown.

mod events;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use events::*;
use scaidrive_codecs::datadog::{Datadog, DatadogSettings};
use scaidrive_codecs::elastic::{DocumentId, Elastic, ElasticSettings, Op};
use scaidrive_codecs::sumo::{Sumo, SumoSettings};
use scaidrive_codecs::{Body, Entry, Event, Format, Redacted, Redaction, RedactionSpec, Scratch, Shape, index};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and every block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn encoding_does_not_allocate_after_warm_up() {
    let elastic = |shape| {
        let (base, target) = (String::new(), String::from("audit"));
        let settings = ElasticSettings { base, target, op: Op::Create, id: DocumentId::StreamAndNumber, shape };
        Elastic::new(&settings).unwrap()
    };
    let text = String::from("scaidrive");
    let datadog =
        Datadog::new(&DatadogSettings { source: text.clone(), service: text.clone(), hostname: text, tags: vec![] });
    let mut formats: Vec<Box<dyn Format>> = vec![Box::new(datadog.unwrap())];
    for shape in Shape::ALL {
        let sumo = SumoSettings { path: "/".into(), name: None, host: None, category: None, fields: vec![], shape };
        formats.push(Box::new(Sumo::new(&sumo).unwrap()));
        if !shape.is_text() {
            formats.push(Box::new(elastic(shape)));
        }
        let hidden = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        let spec = RedactionSpec {
            drop: hidden(&["payload.x", "session_id"]),
            mask: hidden(&["ip", "extra"]),
            hash: hidden(&["user_email"]),
        };
        let redaction = Redaction::compile(&spec, Some(b"0123456789abcdef")).unwrap();
        formats.push(Redacted::wrap(Box::new(Sumo::new(&sumo).unwrap()), &redaction));
    }
    let large = raw_with_payload(20, 10_000);
    let raws = [RAW, MINIMAL, &large];
    let indexes = raws.map(|raw| index(raw.as_bytes()).unwrap());
    let (mut body, mut scratch) = (Body::new(), Scratch::default());
    let mut warm_up = 0;
    for format in formats {
        let mut counts = [0; 2];
        for count in &mut counts {
            let before = ALLOCATIONS.get();
            body.clear();
            for (item, (raw, found)) in raws.iter().zip(&indexes).enumerate() {
                let entry = Entry { item: item as u32, stamp: Some(&STAMP), now_ms: NOW_MS };
                format.encode(&Event::new(raw.as_bytes(), found), &entry, &mut body, &mut scratch).unwrap();
            }
            *count = ALLOCATIONS.get() - before;
        }
        warm_up += counts[0];
        assert_eq!(counts[1], 0, "{format:?}");
    }
    assert!(warm_up > 0, "the counter counts");
}
