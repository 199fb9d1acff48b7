//! No stored bytes panic, not even an index that belongs to another event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scaidrive_codecs::event::{Event, Field};
use scaidrive_codecs::hec::{Hec, HecSettings};
use scaidrive_codecs::https::{Https, HttpsSettings, Method, BodyForm};
use scaidrive_codecs::sentinel::{STREAM, Sentinel, SentinelSettings};
use scaidrive_codecs::syslog::{Framing, Header, Msg, Syslog, SyslogSettings};
use scaidrive_codecs::{Body, Entry, Filter, FilterSpec, Format, Index, Scratch, Shape, Stamp};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (stored, raw) = input;
    let Ok(index) = Index::decode(stored) else { return };
    let mut again = Vec::new();
    index.encode(&mut again);
    assert_eq!(Index::decode(&again).unwrap(), index);

    let event = Event::new(raw, &index);
    let mut scratch = Scratch::default();
    let mut text = String::new();
    for field in Field::ALL {
        event.text(field, &mut text);
    }
    event.tenant_hash();
    let filter =
        Filter::compile(&FilterSpec { excluded_paths: vec!["/tmp/**".into()], ..FilterSpec::default() }).unwrap();
    filter.selects(&event, &mut scratch);
    let stamp = Stamp { node: "n", stream: "s", n: 1 };
    let labels = HecSettings { path: String::from("/"), host: String::new(), source: String::new(), sourcetype: String::new(), index: None, indexes: Vec::new(), shape: Shape::Canonical, cim_fields: true };
    let mut body = Body::new();
    let entry = Entry { item: 0, stamp: Some(&stamp), now_ms: 0 };
    Hec::new(&labels).unwrap().encode(&event, &entry, &mut body, &mut scratch).unwrap();
    let rule = SentinelSettings { dcr: format!("dcr-{:032}", 0), stream: STREAM.into(), shape: Shape::Canonical };
    let mut receiver = HttpsSettings {
        method: Method::Post,
        path: "/".into(),
        headers: Vec::new(),
        form: BodyForm::Single,
        content_type: None,
        template: Some(r#"["${event}",${payload},"${payload.x.y}",${user_id}]"#.into()),
        success: Vec::new(),
        conflict_is_success: false,
        shape: Shape::Canonical,
    };
    let _ = Sentinel::new(&rule).unwrap().encode(&event, &entry, &mut body, &mut scratch);
    let _ = Https::new(&receiver).unwrap().encode(&event, &entry, &mut body, &mut scratch);
    receiver.template = None;
    for shape in [Shape::Ecs, Shape::Ocsf, Shape::Asim, Shape::Cef, Shape::Leef] {
        receiver.shape = shape;
        let _ = Https::new(&receiver).unwrap().encode(&event, &entry, &mut body, &mut scratch);
    }
    let headers = [Header::Rfc5424, Header::Rfc3164 { utc_offset: 60 }];
    for (msg, header) in [Msg::Json, Msg::StructuredData].into_iter().flat_map(|msg| headers.map(|header| (msg, header))) {
        let settings = SyslogSettings {
            header,
            facility: 0,
            hostname: String::new(),
            app_name: "a".into(),
            procid: String::new(),
            msg,
            framing: Framing::OctetCounting,
            bom: header == Header::Rfc5424,
            max_len: 480,
            enterprise_id: 1,
            shape: Shape::Canonical,
        };
        let encoder = Syslog::new(&settings).unwrap();
        if encoder.encode(&event, &stamp, 0, &mut body, &mut scratch).is_err() {
            // Without a stamp it is shorter and may fit.
            let _ = encoder.encode_own(&event, &mut body, &mut scratch);
        }
    }
    assert_eq!(body.slices(|_| raw).map(<[u8]>::len).sum::<usize>(), body.len());
});
