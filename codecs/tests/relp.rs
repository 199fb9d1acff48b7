//! A RELP session, against a server written from librelp's `doc/relp.md` that knows nothing of the client.

mod common;

use common::golden;
use proptest::prelude::*;
use scaidrive_codecs::relp::*;

/// What a server has received: number, command, data.
type Command = (u32, String, Vec<u8>);

/// The server's side of the wire: reads commands, and keeps to the rules of librelp's server.
#[derive(Default)]
struct Server {
    unread: Vec<u8>,
    expected: u32,
}

impl Server {
    fn new() -> Server {
        Server::expecting(1)
    }

    fn expecting(expected: u32) -> Server {
        Server { unread: Vec::new(), expected }
    }

    /// Takes all complete commands. Panics at whatever librelp would end the session for.
    fn read(&mut self, bytes: &[u8]) -> Vec<Command> {
        self.unread.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&self.unread).into_owned();
            let words: Vec<&str> = text.splitn(3, ' ').collect();
            let [txnr, command, rest] = words[..] else { return found };
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if digits.len() == rest.len() {
                return found;
            }
            let length: usize = digits.parse().expect("a length");
            let begun = txnr.len() + 1 + command.len() + 1 + digits.len();
            let data_at = begun + usize::from(length > 0);
            if self.unread.len() < data_at + length + 1 {
                return found;
            }
            assert!(!txnr.starts_with('0') && txnr.len() <= 9, "{txnr:?}");
            assert!(command.bytes().all(|byte| byte.is_ascii_lowercase()) && command.len() <= 32, "{command:?}");
            assert!(length == 0 || self.unread[begun] == b' ', "a space before the data");
            assert_eq!(self.unread[data_at + length], b'\n', "a trailer");
            let number: u32 = txnr.parse().unwrap();
            assert_eq!(number, self.expected, "librelp demands the exact next number");
            self.expected = if number == 999_999_999 { 1 } else { number + 1 };
            found.push((number, command.to_owned(), self.unread[data_at..data_at + length].to_vec()));
            self.unread.drain(..data_at + length + 1);
        }
    }
}

fn answer(txnr: u32, data: &str) -> Vec<u8> {
    if data.is_empty() { format!("{txnr} rsp 0\n") } else { format!("{txnr} rsp {} {data}\n", data.len()) }.into_bytes()
}

const WELCOME: &str =
    "200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog";

/// A session that the server has accepted.
fn opened() -> RelpSession {
    let (mut session, mut out) = (RelpSession::new(), Vec::new());
    session.open(&mut out);
    assert_eq!(told(&mut session, &answer(1, WELCOME)), Ok(vec![News::Opened]));
    session
}

fn told(session: &mut RelpSession, bytes: &[u8]) -> Result<Vec<News>, RelpError> {
    let mut news = Vec::new();
    session.receive(bytes, &mut news).map(|()| news)
}

fn send(session: &mut RelpSession, message: &str, out: &mut Vec<u8>) -> u64 {
    let number = session.begin_message(out);
    out.extend(format!("{} {message}\n", message.len()).bytes());
    number
}

#[test]
fn the_golden_conversation_has_not_changed() {
    let mut shown = String::new();
    let mut note = |who: &str, bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap().replace('\n', "<LF>");
        shown.push_str(&format!("{who}: {text}\n"));
    };
    let (mut session, mut out) = (RelpSession::new(), Vec::new());
    session.open(&mut out);
    note("C", &out);
    let replies = [answer(1, WELCOME), answer(2, "200 OK"), answer(3, "500 no room"), answer(4, "")];
    note("S", &replies[0]);
    told(&mut session, &replies[0]).unwrap();
    for (message, reply) in
        [("<134>1 2026-05-12T14:23:01.453Z h a - - - ok", &replies[1]), ("<134>1 - - - - - -", &replies[2])]
    {
        out.clear();
        send(&mut session, message, &mut out);
        note("C", &out);
        note("S", reply);
        told(&mut session, reply).unwrap();
    }
    out.clear();
    session.close(&mut out);
    note("C", &out);
    note("S", &replies[3]);
    assert_eq!(told(&mut session, &replies[3]), Ok(vec![News::Closed]));
    golden("relp.txt", &shown);
}

#[test]
fn relp_8_2_open_offers_version_0_and_syslog() {
    let (mut session, mut out) = (RelpSession::new(), Vec::new());
    session.open(&mut out);
    let commands = Server::new().read(&out);
    let offers = "relp_version=0\nrelp_software=scaidrive-siem\ncommands=syslog\n";
    assert_eq!(commands, [(1, "open".to_owned(), offers.as_bytes().to_vec())]);
    assert!(session.room() == 0 && !session.is_open(), "nothing goes before the answer");
}

#[test]
fn relp_8_2_version_0_and_1_are_taken_and_unknown_offers_ignored() {
    for data in [
        "200 OK\nrelp_version=1\ncommands=starttls,syslog\n",
        "200\ncommands=syslog\nwhatever=1,2\nnonsense\n\nrelp_version=0",
        "200 OK\r\nrelp_version=0\r\ncommands=eventlog, syslog\r\n",
    ] {
        let (mut session, mut out) = (RelpSession::new(), Vec::new());
        session.open(&mut out);
        assert_eq!(told(&mut session, &answer(1, data)), Ok(vec![News::Opened]), "{data:?}");
        assert_eq!(session.room(), WINDOW);
    }
}

#[test]
fn relp_8_2_an_open_without_version_or_syslog_or_with_500_is_a_wrong_setting() {
    for (data, words) in [
        ("500 you are not welcome", "refuses the session: 500 you are not welcome"),
        ("500", "500"),
        ("201 OK\nrelp_version=0\ncommands=syslog", "201"),
        ("200 OK\ncommands=syslog", "which version"),
        ("200 OK\nrelp_version=2\ncommands=syslog", "version 2"),
        ("200 OK\nrelp_version=0", "`syslog` is not among"),
        ("200 OK\nrelp_version=0\ncommands=eventlog,syslogs", "`syslog` is not among"),
        ("200 OK relp_version=0 commands=syslog", "which version"),
    ] {
        let (mut session, mut out) = (RelpSession::new(), Vec::new());
        session.open(&mut out);
        let news = told(&mut session, &answer(1, data)).unwrap();
        let [News::OpenRefused { why }] = &news[..] else { panic!("{data:?}: {news:?}") };
        assert!(why.contains(words), "{why}");
        assert_eq!(session.room(), 0);
    }
}

#[test]
fn relp_8_2_at_most_128_messages_wait_for_their_answers() {
    let (mut session, mut out) = (opened(), Vec::new());
    for expected in 0..WINDOW as u64 {
        assert_eq!(send(&mut session, "x", &mut out), expected);
    }
    assert_eq!((session.room(), session.unanswered()), (0, 128));
    assert_eq!(told(&mut session, &answer(2, "200 OK")), Ok(vec![News::Accepted { messages: 0..1 }]));
    assert_eq!((session.room(), session.unanswered()), (1, 127));
}

#[test]
fn relp_8_2_a_500_names_its_message_and_says_why() {
    let (mut session, mut out) = (opened(), Vec::new());
    for _ in 0..4 {
        send(&mut session, "x", &mut out);
    }
    let replies =
        [answer(2, "200 OK"), answer(3, "200 OK"), answer(4, "500 too\u{7} big\nmore"), answer(5, "200 OK")].concat();
    let refused = News::Refused { message: 2, why: "500 too  big".to_owned() };
    assert_eq!(
        told(&mut session, &replies),
        Ok(vec![News::Accepted { messages: 0..2 }, refused, News::Accepted { messages: 3..4 }])
    );
    assert_eq!(session.room(), WINDOW, "the session goes on");
}

#[test]
fn relp_8_1_answers_in_another_order_are_matched_by_their_number() {
    let (mut session, mut out) = (opened(), Vec::new());
    for _ in 0..3 {
        send(&mut session, "x", &mut out);
    }
    assert_eq!(told(&mut session, &answer(4, "200 OK")), Ok(vec![News::Accepted { messages: 2..3 }]));
    assert_eq!(session.unanswered(), 2);
    assert_eq!(told(&mut session, &answer(4, "200 OK")), Err(RelpError::Unasked { txnr: 4 }));
}

#[test]
fn relp_8_1_after_the_last_number_comes_1() {
    let mut session = RelpSession::starting_at(TXNR_MAX - 1);
    let mut server = Server::expecting(TXNR_MAX - 1);
    let mut out = Vec::new();
    session.open(&mut out);
    assert_eq!(told(&mut session, &answer(TXNR_MAX - 1, WELCOME)), Ok(vec![News::Opened]));
    for _ in 0..3 {
        send(&mut session, "x", &mut out);
    }
    let numbers: Vec<u32> = server.read(&out).iter().map(|(txnr, ..)| *txnr).collect();
    assert_eq!(numbers, [999_999_998, 999_999_999, 1, 2]);
    let replies = [answer(TXNR_MAX, "200 OK"), answer(1, "200 OK"), answer(2, "200 OK")].concat();
    assert_eq!(told(&mut session, &replies), Ok(vec![News::Accepted { messages: 0..3 }]));
}

#[test]
fn relp_8_2_serverclose_ends_the_session_without_an_answer() {
    for hint in ["0 serverclose 0\n", "0 serverclose 3 bye\n"] {
        let (mut session, mut out) = (opened(), Vec::new());
        send(&mut session, "x", &mut out);
        assert_eq!(told(&mut session, hint.as_bytes()), Ok(vec![News::ServerClosed]));
        assert_eq!((session.room(), session.unanswered()), (0, 1));
        out.clear();
        session.close(&mut out);
        assert!(out.is_empty());
        assert_eq!(told(&mut session, b"whatever comes now"), Ok(Vec::new()));
    }
    let mut session = opened();
    assert_eq!(told(&mut session, b"0 somehint 2 ab\n"), Ok(Vec::new()), "other hints mean nothing");
    assert!(session.is_open());
}

#[test]
fn relp_8_2_close_waits_for_what_is_unanswered() {
    let (mut session, mut out) = (opened(), Vec::new());
    send(&mut session, "x", &mut out);
    session.close(&mut out);
    assert!(!session.is_open() && session.room() == 0);
    let replies = [answer(2, "200 OK"), answer(3, "200 OK")].concat();
    assert_eq!(told(&mut session, &replies), Ok(vec![News::Accepted { messages: 0..1 }, News::Closed]));
}

#[test]
fn relp_8_2_a_framing_error_ends_the_session_at_once() {
    for wrong in [
        "x",
        " rsp 6 200 OK\n",
        "1234567890",
        "2rsp",
        "2 rsp6",
        "2  6 200 OK\n",
        "2 rs1 6 200 OK\n",
        "2 rsp x",
        "2 rsp  ",
        "2 rsp 6 200 OKx",
        "2 rsp 6\n200 OK\n",
        "2 rsp 0x",
        "2 rsp 6x200 OK\n",
        "2 rsp 1234567890",
    ] {
        let (mut session, mut out) = (opened(), Vec::new());
        send(&mut session, "x", &mut out);
        let refused = told(&mut session, wrong.as_bytes());
        assert!(matches!(refused, Err(RelpError::Frame { .. })), "{wrong:?}: {refused:?}");
        assert_eq!((session.room(), session.unanswered()), (0, 1));
    }
    let long = format!("2 {}", "a".repeat(33));
    assert_eq!(told(&mut opened(), long.as_bytes()), Err(RelpError::Frame { what: "its command" }));
    assert_eq!(told(&mut opened(), b"2 rsp 131073 "), Err(RelpError::TooLong { bytes: 131_073 }));
    assert_eq!(told(&mut opened(), b"2 syslog 1 x\n"), Err(RelpError::Command));
    assert_eq!(told(&mut opened(), b"7 rsp 6 200 OK\n"), Err(RelpError::Unasked { txnr: 7 }));
    for code in ["OK", "2000 OK", "20x", " 200 OK"] {
        let (mut session, mut out) = (opened(), Vec::new());
        send(&mut session, "x", &mut out);
        assert_eq!(told(&mut session, &answer(2, code)), Err(RelpError::NoCode { txnr: 2 }), "{code:?}");
    }
    let (mut session, mut out) = (opened(), Vec::new());
    send(&mut session, "x", &mut out);
    assert_eq!(
        told(&mut session, &answer(2, "")),
        Err(RelpError::NoCode { txnr: 2 }),
        "only close has an empty answer"
    );
}

#[derive(Clone, Debug)]
enum Step {
    /// The client sends as many messages as there is room for, at most so many.
    Send(usize),
    /// The server answers so many of the commands it has, this one of those waiting first; refused if so.
    Answer { count: usize, pick: usize, is_refused: bool },
    /// A hint that means nothing.
    Hint,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0usize..200).prop_map(Step::Send),
        4 => (0usize..100, prop_oneof![4 => Just(0usize), 1 => 0usize..8], prop::bool::weighted(0.2))
            .prop_map(|(count, pick, is_refused)| Step::Answer { count, pick, is_refused }),
        1 => Just(Step::Hint),
    ];
    prop::collection::vec(step, 0..30)
}

proptest! {
    #[test]
    fn every_message_is_answered_once_and_as_the_server_decided(
        steps in steps(), start in prop_oneof![Just(1u32), Just(TXNR_MAX - 40)], piece in 1usize..50,
    ) {
        let (mut session, mut server) = (RelpSession::starting_at(start), Server::expecting(start));
        let mut wire = Vec::new();
        session.open(&mut wire);
        prop_assert_eq!(server.read(&wire).len(), 1);
        prop_assert_eq!(told(&mut session, &answer(start, WELCOME)), Ok(vec![News::Opened]));
        // Numbers of commands without an answer, in order, each with its message; and what was decided of each message.
        let mut waiting: Vec<(u32, u64)> = Vec::new();
        let (mut decided, mut heard): (Vec<Option<bool>>, Vec<Option<bool>>) = (Vec::new(), Vec::new());
        for step in steps {
            let mut reply = Vec::new();
            match step {
                Step::Send(count) => {
                    wire.clear();
                    for _ in 0..count.min(session.room()) {
                        let message = session.begin_message(&mut wire);
                        wire.extend(format!("{} {message}\n", message.to_string().len()).bytes());
                    }
                    // The wire divides as it likes.
                    for part in wire.chunks(piece) {
                        for (txnr, command, data) in server.read(part) {
                            prop_assert_eq!(command.as_str(), "syslog");
                            waiting.push((txnr, String::from_utf8(data).unwrap().parse().unwrap()));
                            decided.push(None);
                            heard.push(None);
                        }
                    }
                }
                Step::Answer { count, pick, is_refused } => {
                    for _ in 0..count.min(waiting.len()) {
                        let (txnr, message) = waiting.remove(pick.min(waiting.len() - 1));
                        decided[message as usize] = Some(!is_refused);
                        reply.extend(answer(txnr, if is_refused { "500 no" } else { "200 OK" }));
                    }
                }
                Step::Hint => reply.extend(b"0 hint 4 a\n b\n"),
            }
            let mut news = Vec::new();
            for part in reply.chunks(piece) {
                session.receive(part, &mut news).unwrap();
            }
            for one in news {
                let (messages, verdict) = match one {
                    News::Accepted { messages } => (messages, true),
                    News::Refused { message, why } => {
                        prop_assert_eq!(why, "500 no");
                        (message..message + 1, false)
                    }
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                for message in messages {
                    prop_assert_eq!(heard[message as usize].replace(verdict), None, "answered twice");
                }
            }
            prop_assert_eq!(&heard, &decided);
            prop_assert_eq!(session.unanswered(), waiting.len());
            prop_assert!(waiting.len() + session.room() <= WINDOW);
        }
    }

    #[test]
    fn answers_mean_the_same_in_any_division_and_no_bytes_panic(
        bytes in prop::collection::vec(
            prop_oneof![
                3 => (0u32..9, prop::sample::select(&["200 OK", "500 no", "", "x"][..])).prop_map(|(txnr, data)| answer(txnr, data)),
                1 => prop::collection::vec(any::<u8>(), 0..6),
                1 => Just(b"0 serverclose 0\n".to_vec()),
            ], 0..8),
        cuts in prop::collection::vec(1usize..9, 1..40),
    ) {
        let bytes = bytes.concat();
        let prepared = || {
            let (mut session, mut out) = (opened(), Vec::new());
            for _ in 0..5 {
                send(&mut session, "x", &mut out);
            }
            session
        };
        let (mut whole, mut parts) = (prepared(), prepared());
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let outcome = whole.receive(&bytes, &mut expected);
        let (mut rest, mut cuts, mut parted) = (&bytes[..], cuts.iter().cycle(), Ok(()));
        while !rest.is_empty() && parted.is_ok() {
            let (part, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            parted = parts.receive(part, &mut found);
            rest = after;
        }
        prop_assert_eq!(parted, outcome);
        prop_assert_eq!(found, expected);
    }
}
