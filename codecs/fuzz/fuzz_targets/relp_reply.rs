//! A RELP server's bytes mean the same in any division, and no bytes answer a message twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scaidrive_codecs::relp::{News, RelpError, RelpSession, WINDOW};

const WELCOME: &[u8] = b"1 rsp 37 200 OK\nrelp_version=0\ncommands=syslog\n";

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (step, is_open, wire) = (usize::from(input.0).max(1), input.1, input.2);
    let whole = heard(wire, wire.len().max(1), is_open);
    assert_eq!(whole, heard(wire, step, is_open));
    let mut answered = [false; WINDOW];
    for news in whole.0 {
        let messages = match news {
            News::Accepted { messages } => messages,
            News::Refused { message, .. } => message..message + 1,
            _ => continue,
        };
        for message in messages {
            assert!(!std::mem::replace(&mut answered[message as usize], true));
        }
    }
});

fn heard(wire: &[u8], step: usize, is_open: bool) -> (Vec<News>, Result<(), RelpError>) {
    let (mut session, mut out, mut news) = (RelpSession::new(), Vec::new(), Vec::new());
    session.open(&mut out);
    if is_open {
        session.receive(WELCOME, &mut news).unwrap();
        assert_eq!(news, [News::Opened]);
        for _ in 0..session.room() {
            session.begin_message(&mut out);
        }
    }
    for part in wire.chunks(step) {
        if let Err(error) = session.receive(part, &mut news) {
            return (news, Err(error));
        }
    }
    assert!(session.room() + session.unanswered() <= WINDOW);
    (news, Ok(()))
}
