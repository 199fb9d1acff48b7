//! HTTP/1.1 heads, replies and requests: what is accepted, what is refused, in any division of the bytes.

use proptest::prelude::*;
use scaidrive_codecs::http::*;

fn reply(wire: &[u8]) -> Result<(Reply, usize), HttpError> {
    match ReplyReader::new(1000).push(wire)? {
        Progress::Done { message, used } => Ok((message, used)),
        Progress::More => panic!("not complete: {}", String::from_utf8_lossy(wire)),
    }
}

fn request(wire: &[u8]) -> Result<(Request, usize), HttpError> {
    match RequestReader::new(1000).push(wire)? {
        Progress::Done { message, used } => Ok((message, used)),
        Progress::More => panic!("not complete: {}", String::from_utf8_lossy(wire)),
    }
}

#[test]
fn a_counted_reply_is_read_to_its_end() {
    let wire = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 5\r\n\r\nhello";
    let (found, used) = reply(wire).unwrap();
    assert_eq!((found.status, &found.body[..], found.keep_alive, used), (200, &b"hello"[..], true, wire.len()));
    assert_eq!(found.header("CONTENT-TYPE"), Some("application/json"));
    assert!(!found.is_cut);
}

#[test]
fn replies_without_a_body_end_with_their_head() {
    for head in [
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert_eq!(reply(head.as_bytes()).unwrap().1, head.len(), "{head}");
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert!(matches!(ReplyReader::for_head_requests().push(head), Ok(Progress::Done { .. })));
}

#[test]
fn interim_replies_are_skipped() {
    let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";
    let (found, used) = reply(wire).unwrap();
    assert_eq!((found.status, used), (503, wire.len()));
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    assert!(matches!(reply(upgrade), Err(HttpError::Head { .. })));
}

#[test]
fn a_body_may_end_with_the_connection() {
    let mut reader = ReplyReader::new(3);
    assert_eq!(reader.push(b"HTTP/1.1 200 OK\r\n\r\nab"), Ok(Progress::More));
    assert_eq!(reader.push(b"cdef"), Ok(Progress::More));
    let found = reader.closed().unwrap();
    assert_eq!((&found.body[..], found.keep_alive), (&b"abc"[..], false));
}

#[test]
fn a_connection_closed_too_early_is_an_error() {
    assert_eq!(ReplyReader::new(9).closed(), Err(HttpError::ClosedBefore));
    for part in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        let mut reader = ReplyReader::new(9);
        assert_eq!(reader.push(part.as_bytes()), Ok(Progress::More));
        assert!(reader.is_inside());
        assert_eq!(reader.closed(), Err(HttpError::ClosedInside), "{part}");
    }
}

#[test]
fn whether_a_connection_stays_open_is_read_from_version_and_header() {
    let rows = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nnot asked for", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
    ];
    for (wire, keep_alive) in rows {
        assert_eq!(reply(wire.as_bytes()).unwrap().0.keep_alive, keep_alive, "{wire}");
    }
}

#[test]
fn a_doubtful_length_is_an_error() {
    let lengths = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Content-Length:",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
    ];
    for length in lengths {
        let found = reply(format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n").as_bytes());
        assert!(matches!(found, Err(HttpError::Length { .. })), "{length}: {found:?}");
        let found = request(format!("POST / HTTP/1.1\r\n{length}\r\n\r\n").as_bytes());
        assert!(matches!(found, Err(HttpError::Length { .. })), "{length}: {found:?}");
    }
    assert_eq!(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok").unwrap().0.body, b"ok");
}

#[test]
fn heads_are_bounded_and_must_be_http() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_MAX));
    let crowded = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_MAX + 1));
    for wire in [&endless, &crowded] {
        assert_eq!(reply(wire.as_bytes()), Err(HttpError::HeadTooLarge));
    }
    for wire in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "\u{16}\u{3}\u{1}\n\n",
    ] {
        assert!(matches!(reply(wire.as_bytes()), Err(HttpError::Head { .. })), "{wire:?}");
    }
    assert!(matches!(reply("\r\n".repeat(1000).as_bytes()), Err(HttpError::Head { .. })));
}

#[test]
fn blank_lines_before_a_head_are_bounded_however_they_come() {
    let mut reader = ReplyReader::new(10);
    let refused = (0..1000).map(|_| reader.push(b"\r\n")).find(|progress| progress.is_err());
    assert!(matches!(refused, Some(Err(HttpError::Head { .. }))));
}

#[test]
fn a_body_is_kept_up_to_the_limit_and_read_to_the_end() {
    let wire = [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n".to_vec(), vec![b'x'; 5000]].concat();
    let (found, used) = reply(&wire).unwrap();
    assert_eq!((found.body.len(), found.is_cut, found.keep_alive, used), (1000, true, true, wire.len()));
}

#[test]
fn a_body_without_end_is_given_up() {
    let mut reader = ReplyReader::new(10);
    assert_eq!(reader.push(b"HTTP/1.1 400 Bad\r\nContent-Length: 99999999999\r\n\r\n"), Ok(Progress::More));
    let block = vec![b'x'; 1 << 20];
    for _ in 0..DISCARD_MAX >> 20 {
        assert_eq!(reader.push(&block), Ok(Progress::More));
    }
    let Ok(Progress::Done { message, .. }) = reader.push(&block) else { panic!("still reading") };
    assert_eq!((message.status, message.body.len(), message.is_cut, message.keep_alive), (400, 10, true, false));
}

#[test]
fn the_next_request_is_left_for_the_next_push() {
    let wire = b"POST /v1/events?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n\r\n";
    let mut reader = RequestReader::new(10);
    let Ok(Progress::Done { message, used }) = reader.push(wire) else { panic!("not complete") };
    assert_eq!(
        (message.method.as_str(), message.path.as_str(), &message.body[..]),
        ("POST", "/v1/events?x=1", &b"{}"[..])
    );
    let Ok(Progress::Done { message, used }) = reader.push(&wire[used..]).map(|next| match next {
        Progress::Done { message, used: more } => Progress::Done { message, used: used + more },
        more => more,
    }) else {
        panic!("not complete")
    };
    assert_eq!((message.method.as_str(), used, message.keep_alive), ("GET", wire.len(), true));
}

#[test]
fn a_request_body_over_the_limit_is_an_error() {
    let counted = b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n";
    assert_eq!(request(counted), Err(HttpError::BodyTooLarge { limit: 1000 }));
    let chunked = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}", "x".repeat(1001));
    assert_eq!(request(chunked.as_bytes()), Err(HttpError::BodyTooLarge { limit: 1000 }));
    let both = b"POST / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(matches!(request(both), Err(HttpError::Length { .. })));
}

#[test]
fn a_client_that_waits_for_leave_to_send_is_noticed_once() {
    let mut reader = RequestReader::new(10);
    assert!(!reader.wants_continue());
    assert_eq!(
        reader.push(b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"),
        Ok(Progress::More)
    );
    assert!(reader.wants_continue());
    assert!(!reader.wants_continue());
    assert!(matches!(reader.push(b"{}"), Ok(Progress::Done { .. })));
}

#[test]
fn retry_after_is_read_in_both_forms_and_clamped() {
    let now_ms = 784_111_777_000;
    let rows = [
        ("120", Some(120_000)),
        ("0", Some(1000)),
        ("999999", Some(3_600_000)),
        ("99999999999999999999999", Some(3_600_000)),
        ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30_000)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", Some(1000)),
        ("Sun Nov  6 08:50:07 1994", Some(30_000)),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
    ];
    for (value, wait) in rows {
        let found = Reply { headers: vec![("Retry-After".into(), value.into())], ..Reply::default() };
        assert_eq!(found.retry_after(now_ms), wait, "{value}");
    }
    assert_eq!(Reply::default().retry_after(now_ms), None);
}

#[test]
fn a_head_is_written_with_its_length_last() {
    let mut out = b"before ".to_vec();
    write_head(&mut out, "POST", "/a?b=c", "h:1", [("X-Tab", "a\tb"), ("Empty", "")], 7).unwrap();
    let expected = "before POST /a?b=c HTTP/1.1\r\nHost: h:1\r\nX-Tab: a\tb\r\nEmpty: \r\nContent-Length: 7\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn nothing_can_be_injected_into_a_head() {
    let mut out = b"as it was".to_vec();
    for bad in ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "é", "a\u{7f}"] {
        assert!(write_head(&mut out, bad, "/", "h", [], 0).is_err(), "{bad:?}");
        assert!(write_head(&mut out, "GET", &format!("/{bad}"), "h", [], 0).is_err(), "{bad:?}");
        assert!(write_head(&mut out, "GET", "/", bad, [], 0).is_err(), "{bad:?}");
        assert!(write_head(&mut out, "GET", "/", "h", [(bad, "v")], 0).is_err(), "{bad:?}");
        let refused = write_head(&mut out, "GET", "/", "h", [("Authorization", bad)], 0).unwrap_err();
        assert!(!refused.to_string().contains(bad), "a value may be a secret");
    }
    for (method, path, host) in [
        ("", "/", "h"),
        ("GET", "a", "h"),
        ("GET", "", "h"),
        ("GET", "/a b", "h"),
        ("GET", "/", ""),
        ("GET", "/", "a b"),
    ] {
        assert!(write_head(&mut out, method, path, host, [], 0).is_err(), "{method} {path} {host}");
    }
    for own in ["host", "Content-Length", "TRANSFER-ENCODING"] {
        assert!(write_head(&mut out, "GET", "/", "h", [(own, "1")], 0).is_err(), "{own}");
    }
    assert_eq!(out, b"as it was");
}

/// A whole reply and how a reader should see it.
fn any_reply() -> impl Strategy<Value = (Vec<u8>, u16, Vec<u8>)> {
    let body = prop::collection::vec(any::<u8>(), 0..60);
    (200u16..204, body, prop::collection::vec(1usize..9, 0..9), any::<bool>(), "[a-z]{0,20}").prop_map(
        |(status, body, cuts, chunked, text)| {
            let mut wire = format!("HTTP/1.1 {status} {text}\r\nX-Text: {text}\r\n").into_bytes();
            if chunked {
                wire.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = &body[..];
                for cut in cuts.into_iter().chain([usize::MAX]) {
                    let (chunk, after) = rest.split_at(cut.min(rest.len()));
                    if !chunk.is_empty() {
                        wire.extend(format!("{:X}\r\n", chunk.len()).bytes());
                        wire.extend(chunk);
                        wire.extend(b"\r\n");
                    }
                    rest = after;
                }
                wire.extend(b"0\r\nTrailer: x\r\n\r\n");
            } else {
                wire.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                wire.extend(&body);
            }
            (wire, status, body)
        },
    )
}

proptest! {
    #[test]
    fn replies_read_the_same_in_any_division(replies in prop::collection::vec(any_reply(), 1..4), steps in prop::collection::vec(1usize..40, 1..20)) {
        let wire: Vec<u8> = replies.iter().flat_map(|(wire, ..)| wire.clone()).collect();
        let mut reader = ReplyReader::new(1000);
        let mut found = Vec::new();
        let (mut at, mut nth) = (0, 0);
        while at < wire.len() {
            let end = (at + steps[nth % steps.len()]).min(wire.len());
            nth += 1;
            at = match reader.push(&wire[at..end]).unwrap() {
                Progress::More => end,
                Progress::Done { message, used } => {
                    prop_assert_eq!(message.keep_alive, at + used == end);
                    found.push((message.status, message.body));
                    at + used
                }
            };
        }
        let expected: Vec<_> = replies.into_iter().map(|(_, status, body)| (status, body)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), prefix in "(HTTP/1\\.1 [12]00 OK\r\n)?(Content-Length: 1\r\n|Transfer-Encoding: chunked\r\n)?(\r\n)?") {
        let wire = [prefix.as_bytes(), &bytes].concat();
        let mut reader = ReplyReader::new(10);
        let _ = reader.push(&wire);
        let _ = reader.closed();
        let _ = RequestReader::new(10).push(&wire);
    }
}

#[test]
fn a_head_that_states_another_length_is_the_head_written_with_it() {
    for (first, second) in [(0, 7), (123_456, 9), (9, u64::MAX)] {
        let written = |length| {
            let mut head = Vec::new();
            let headers = [("X-Content-Length", "1"), ("X-Note", "Content-Length: 5")];
            write_head(&mut head, "POST", "/x", "host", headers, length).unwrap();
            head
        };
        let mut head = written(first);
        restate_length(&mut head, second);
        assert_eq!(head, written(second), "{first}, then {second}");
    }
}

#[test]
fn a_reply_that_takes_the_memory_of_another_takes_nothing_else_of_it() {
    let long = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nX-Long: abcdefgh\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut reader = ReplyReader::new(1);
    let cut = match reader.push(long).unwrap() {
        Progress::Done { message, .. } => message,
        Progress::More => panic!("it is whole"),
    };
    assert!(cut.is_cut);
    // What is left of another exchange goes with it.
    assert_eq!(reader.push(b"HTTP/1.1 404 Not").unwrap(), Progress::More);
    for wire in [&short[..], &long[..]] {
        reader.begin(1000, cut.clone());
        let Progress::Done { message, .. } = reader.push(wire).unwrap() else { panic!("it is whole") };
        assert_eq!(message, reply(wire).unwrap().0);
    }
}
