//! RELP from the sender's side: messages go out, an answer to each comes back. What is said is decided by
//! [`RelpSession`]; here are the connection and the time.
//!
//! The read side is polled whenever anything is awaited, so an answer, a `serverclose` and a FIN are seen at once. When
//! neither a byte goes out nor an answer comes in for the time allowed, the connection is given up.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::AsyncRead;
use futures_lite::future::{self, poll_fn};
use scaidrive_codecs::framing::CountedMessages;
use scaidrive_codecs::relp::{News, RelpSession};

use crate::runtime::Runtime;
use crate::time::Millis;
use crate::transport::connect::within;
use crate::transport::gather::Gather;
use crate::transport::syslog::ended_by;
use crate::transport::{Connection, FailureKind, Stage, TransportError};

/// A connection with an open session.
pub struct RelpConnection {
    connection: Connection,
    session: RelpSession,
    /// What ended it, once something has.
    ended: Option<TransportError>,
    /// What the server said and nobody has looked at.
    news: Vec<News>,
}

/// What became of the messages of one exchange, by their places in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Messages that the server has taken.
    pub accepted: usize,
    /// Messages that it does not take, each with its words, in order.
    pub refused: Vec<(usize, String)>,
    /// Messages that have no answer, sent or not, in order. They go again in another session.
    pub unanswered: Vec<usize>,
    /// Why there are such messages.
    pub ended: Option<TransportError>,
}

impl RelpConnection {
    /// Opens a session on a fresh connection. When the peer's kernel acknowledges nothing for `timeout`, or the server
    /// says nothing, it is given up.
    ///
    /// # Errors
    /// At the stage `Reply`: with the kind `Refused` when the server will have no session or takes no syslog; else as the
    /// connection failed.
    pub async fn open(
        runtime: &Rc<dyn Runtime>,
        connection: Connection,
        timeout: Millis,
    ) -> Result<RelpConnection, TransportError> {
        connection.fail_after(timeout)?;
        let mut relp = RelpConnection { connection, session: RelpSession::new(), ended: None, news: Vec::new() };
        let mut command = Vec::new();
        relp.session.open(&mut command);
        let mut gather = Gather::new(std::iter::once(&command[..]));
        let opened = poll_fn(|cx| {
            relp.poll_news(cx)?;
            if let Poll::Ready(Err(error)) = gather.poll_all(&mut relp.connection, cx) {
                return Poll::Ready(Err(ended_by(&error, Stage::Write)));
            }
            if relp.session.is_open() { Poll::Ready(Ok(())) } else { Poll::Pending }
        });
        let late = || {
            TransportError::new(
                Stage::Reply,
                FailureKind::TimedOut,
                format!("no answer to the RELP open within {timeout}"),
            )
        };
        within(runtime, runtime.now().plus(timeout), opened, late).await?;
        relp.news.clear();
        Ok(relp)
    }

    /// Sends the octet-counted messages that `slices` make together and waits for all answers. Gives up when for
    /// `timeout` nothing moves. `expected` is how many messages there are.
    pub async fn exchange<'a>(
        &mut self,
        runtime: &Rc<dyn Runtime>,
        slices: impl Iterator<Item = &'a [u8]>,
        expected: usize,
        timeout: Millis,
    ) -> Answers {
        let mut ledger = Ledger { verdicts: vec![None; expected], first: None };
        let ended = self.send_all(runtime, slices, &mut ledger, timeout).await.err();
        if let Some(error) = &ended {
            self.ended = Some(error.clone());
        }
        ledger.into_answers(ended)
    }

    async fn send_all<'a>(
        &mut self,
        runtime: &Rc<dyn Runtime>,
        slices: impl Iterator<Item = &'a [u8]>,
        ledger: &mut Ledger,
        timeout: Millis,
    ) -> Result<(), TransportError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let mut messages = CountedMessages::new(slices);
        let (mut heads, mut begun) = (Vec::new(), 0);
        while begun < ledger.verdicts.len() || self.session.unanswered() > 0 {
            heads.clear();
            let group = self.begin_messages(&mut messages, &mut heads, ledger, &mut begun)?;
            let parts = group.iter().map(|part| match part {
                Part::Head { start, end } => &heads[*start..*end],
                Part::Message(slice) => *slice,
            });
            self.send_group(runtime, Gather::new(parts), ledger, timeout).await?;
        }
        Ok(())
    }

    /// Begins as many messages as there is room for.
    fn begin_messages<'a, S: Iterator<Item = &'a [u8]>>(
        &mut self,
        messages: &mut CountedMessages<'a, S>,
        heads: &mut Vec<u8>,
        ledger: &mut Ledger,
        begun: &mut usize,
    ) -> Result<Vec<Part<'a>>, TransportError> {
        let (mut group, mut message) = (Vec::new(), Vec::new());
        for _ in 0..self.session.room().min(ledger.verdicts.len() - *begun) {
            messages.next_into(&mut message).ok_or_else(|| {
                TransportError::new(Stage::Write, FailureKind::Local, "the batch holds fewer messages than events")
            })?;
            let start = heads.len();
            let number = self.session.begin_message(heads);
            ledger.first.get_or_insert(number);
            group.push(Part::Head { start, end: heads.len() });
            group.extend(message.iter().map(|slice| Part::Message(slice)));
            group.push(Part::Message(b"\n"));
            *begun += 1;
        }
        Ok(group)
    }

    /// Writes one group, and waits until there is room for more, or no answer is missing any more.
    async fn send_group<'a, S: Iterator<Item = &'a [u8]>>(
        &mut self,
        runtime: &Rc<dyn Runtime>,
        mut gather: Gather<'a, S>,
        ledger: &mut Ledger,
        timeout: Millis,
    ) -> Result<(), TransportError> {
        let open = self.session.unanswered();
        // When a byte went out or an answer came in last.
        let mut moved_at = runtime.now();
        loop {
            let deadline = moved_at.plus(timeout);
            let work = poll_fn(|cx| {
                let before = (gather.sent(), self.session.unanswered());
                // First the read side: after a FIN nothing may be written any more.
                let heard = self.poll_news(cx);
                ledger.take(self.news.drain(..));
                heard?;
                let written = gather.poll_all(&mut self.connection, cx);
                if (gather.sent(), self.session.unanswered()) != before {
                    moved_at = runtime.now();
                }
                if let Err(error) = ready!(written) {
                    return Poll::Ready(Err(ended_by(&error, Stage::Write)));
                }
                if self.session.unanswered() < open || open == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
            });
            let late = || {
                let what = format!("the receiver answers nothing: messages were without an answer for {timeout}");
                TransportError::new(Stage::Reply, FailureKind::TimedOut, what)
            };
            match within(runtime, deadline, work, late).await {
                // Slow is not stalled: whatever moved begins the wait anew.
                Err(error) if error.kind == FailureKind::TimedOut && moved_at.plus(timeout) > runtime.now() => {}
                outcome => return outcome,
            }
        }
    }

    /// Resolves when the server ends the session or the connection. Await it whenever there is nothing to send.
    pub async fn closed(&mut self) -> TransportError {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let ended = poll_fn(|cx| match self.poll_news(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error),
        })
        .await;
        self.ended.insert(ended).clone()
    }

    /// Ends the session in good order, for at most `wait`: `close`, then its answer.
    pub async fn finish(mut self, runtime: &Rc<dyn Runtime>, wait: Millis) {
        if future::poll_once(self.closed()).await.is_some() {
            return;
        }
        let mut command = Vec::new();
        self.session.close(&mut command);
        let mut gather = Gather::new(std::iter::once(&command[..]));
        let goodbye = poll_fn(|cx| {
            if self.poll_news(cx).is_err() || self.news.contains(&News::Closed) {
                return Poll::Ready(Ok(()));
            }
            match gather.poll_all(&mut self.connection, cx) {
                Poll::Ready(Err(_)) => Poll::Ready(Ok(())),
                _ => Poll::Pending,
            }
        });
        // Everything was answered before, so however this ends nothing is lost.
        let _ = within(runtime, runtime.now().plus(wait), goodbye, || ()).await;
    }

    /// Reads what is there, a bounded part at a time; the context is woken when there is more.
    fn poll_news(&mut self, cx: &mut Context<'_>) -> Result<(), TransportError> {
        let mut block = [0; READ_BLOCK];
        for _ in 0..READS_MAX {
            match Pin::new(&mut self.connection).poll_read(cx, &mut block) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => {
                    let what = "the receiver closed the connection";
                    return Err(TransportError::new(Stage::Reply, FailureKind::Closed, what));
                }
                Poll::Ready(Ok(size)) => self.hear(&block[..size])?,
                Poll::Ready(Err(error)) => return Err(ended_by(&error, Stage::Reply)),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let heard = self.session.receive(bytes, &mut self.news);
        for news in &self.news {
            match news {
                News::OpenRefused { why } => {
                    let what = format!("RELP cannot be spoken with the receiver: {why}");
                    return Err(TransportError::new(Stage::Reply, FailureKind::Refused, what));
                }
                News::ServerClosed => {
                    let what = "the receiver closed the RELP session";
                    return Err(TransportError::new(Stage::Reply, FailureKind::Closed, what));
                }
                News::Opened | News::Accepted { .. } | News::Refused { .. } | News::Closed => {}
            }
        }
        heard.map_err(|error| {
            let what = format!("the receiver does not speak RELP as it should: {error}");
            TransportError::new(Stage::Reply, FailureKind::Protocol, what)
        })
    }
}

/// A piece of a group of frames.
enum Part<'a> {
    /// Number and command, in the buffer of heads.
    Head { start: usize, end: usize },
    /// A part of a message.
    Message(&'a [u8]),
}

/// The verdicts of one exchange.
struct Ledger {
    verdicts: Vec<Option<Result<(), String>>>,
    /// The session's number of the first message.
    first: Option<u64>,
}

impl Ledger {
    fn take(&mut self, news: impl Iterator<Item = News>) {
        for one in news {
            match one {
                News::Accepted { messages } => messages.for_each(|message| self.note(message, Ok(()))),
                News::Refused { message, why } => self.note(message, Err(why)),
                News::Opened | News::OpenRefused { .. } | News::Closed | News::ServerClosed => {}
            }
        }
    }

    fn note(&mut self, message: u64, verdict: Result<(), String>) {
        let place = self.first.and_then(|first| usize::try_from(message.checked_sub(first)?).ok());
        if let Some(slot) = place.and_then(|place| self.verdicts.get_mut(place)) {
            *slot = Some(verdict);
        }
    }

    fn into_answers(self, ended: Option<TransportError>) -> Answers {
        let mut answers = Answers { ended, ..Answers::default() };
        for (place, verdict) in self.verdicts.into_iter().enumerate() {
            match verdict {
                Some(Ok(())) => answers.accepted += 1,
                Some(Err(why)) => answers.refused.push((place, why)),
                None => answers.unanswered.push(place),
            }
        }
        answers
    }
}

/// Bytes read at once; a full window of answers has about two thousand.
const READ_BLOCK: usize = 4096;
/// Reads in one go before others get a turn.
const READS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests::on_each_side;
    use crate::runtime::virtual_time::World;
    use crate::transport::connect;
    use crate::transport::testbed::{Authority, endpoint, serve_once, serve_tls_once};
    use std::cell::Cell;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::SocketAddr;
    use std::time::Duration;

    const PATIENT: Millis = Millis::from_secs(20);
    const WELCOME: &str = "200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog";

    /// The server's end, on a blocking socket.
    struct Peer<S: Read + Write> {
        stream: BufReader<S>,
    }

    impl<S: Read + Write> Peer<S> {
        fn new(stream: S) -> Peer<S> {
            Peer { stream: BufReader::new(stream) }
        }

        /// The next command: number, name, data. `None` at the end.
        fn command(&mut self) -> Option<(u32, String, Vec<u8>)> {
            let mut word = |ends: &[u8]| {
                let mut word = Vec::new();
                loop {
                    let byte = *self.stream.fill_buf().ok()?.first()?;
                    self.stream.consume(1);
                    if ends.contains(&byte) {
                        return Some((String::from_utf8(word).unwrap(), byte));
                    }
                    word.push(byte);
                }
            };
            let (txnr, command, (length, end)) = (word(b" ")?.0, word(b" ")?.0, word(b" \n")?);
            let mut data = vec![0; length.parse().unwrap()];
            if end == b' ' {
                self.stream.read_exact(&mut data).ok()?;
                let mut trailer = [0];
                self.stream.read_exact(&mut trailer).ok()?;
                assert_eq!(trailer, *b"\n");
            }
            Some((txnr.parse().unwrap(), command, data))
        }

        fn answer(&mut self, txnr: u32, data: &str) {
            let frame =
                if data.is_empty() { format!("{txnr} rsp 0\n") } else { format!("{txnr} rsp {} {data}\n", data.len()) };
            let stream = self.stream.get_mut();
            let _ = stream.write_all(frame.as_bytes()).and_then(|()| stream.flush());
        }

        /// Takes everything until `close` or the end; returns the messages.
        fn serve(&mut self) -> Vec<Vec<u8>> {
            let mut messages = Vec::new();
            while let Some((txnr, command, data)) = self.command() {
                match command.as_str() {
                    "open" => self.answer(txnr, WELCOME),
                    "syslog" => {
                        messages.push(data);
                        self.answer(txnr, "200 OK");
                    }
                    _ => {
                        self.answer(txnr, "");
                        return messages;
                    }
                }
            }
            messages
        }
    }

    fn messages(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|n| format!("<134>1 - h a - - - number {n} {}", "x".repeat(n % 700)).into_bytes()).collect()
    }

    /// The messages as the encoder writes them, in slices of all lengths.
    fn counted(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let cut = |message: &Vec<u8>| {
            let (front, back) = message.split_at(message.len() / 3);
            [format!("{} ", message.len()).into_bytes(), front.to_vec(), back.to_vec()]
        };
        messages.iter().flat_map(cut).collect()
    }

    async fn exchange(runtime: &Rc<dyn Runtime>, relp: &mut RelpConnection, messages: &[Vec<u8>]) -> Answers {
        let slices = counted(messages);
        relp.exchange(runtime, slices.iter().map(Vec::as_slice), messages.len(), PATIENT).await
    }

    #[test]
    fn more_messages_than_a_window_holds_are_all_answered_and_arrive_in_order() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|socket| Peer::new(socket).serve());
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let mut relp = RelpConnection::open(&runtime, connection, PATIENT).await.unwrap();
            let messages = messages(1000);
            for batch in messages.chunks(700) {
                let answers = exchange(&runtime, &mut relp, batch).await;
                assert_eq!(answers, Answers { accepted: batch.len(), ..Answers::default() });
            }
            relp.finish(&runtime, PATIENT).await;
            assert!(server.join().unwrap() == messages);
        });
    }

    #[test]
    fn relp_through_tls_starts_with_the_first_byte() {
        on_each_side(|runtime| async move {
            let authority = Authority::new();
            let config = authority.server(&authority.issue("localhost", 2999), false, &rustls::version::TLS13);
            let (address, server) = serve_tls_once(config, |stream| Peer::new(stream).serve());
            let connection = connect(&runtime, &authority.endpoint(address)).await.unwrap();
            let mut relp = RelpConnection::open(&runtime, connection, PATIENT).await.unwrap();
            let messages = messages(300);
            let answers = exchange(&runtime, &mut relp, &messages).await;
            assert_eq!(answers.accepted, 300, "{answers:?}");
            relp.finish(&runtime, PATIENT).await;
            assert!(server.join().unwrap() == messages);
        });
    }

    #[test]
    fn connectors_8_2_a_refused_message_is_told_apart_from_the_others() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|socket| {
                let mut peer = Peer::new(socket);
                while let Some((txnr, command, data)) = peer.command() {
                    match &*command {
                        "open" => peer.answer(txnr, WELCOME),
                        "syslog" if data.ends_with(b"number 2 xx") => peer.answer(txnr, "500 too strange"),
                        _ => peer.answer(txnr, "200 OK"),
                    }
                }
            });
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let mut relp = RelpConnection::open(&runtime, connection, PATIENT).await.unwrap();
            let answers = exchange(&runtime, &mut relp, &messages(4)).await;
            let refused = vec![(2, String::from("500 too strange"))];
            assert_eq!(answers, Answers { accepted: 3, refused, ..Answers::default() });
            drop(relp);
            server.join().unwrap();
        });
    }

    #[test]
    fn connectors_8_2_an_open_that_is_refused_is_a_misconfiguration() {
        on_each_side(|runtime| async move {
            for (welcome, words) in [("500 not you", "500 not you"), ("200 OK\nrelp_version=0", "`syslog`")] {
                let (address, server) = serve_once(move |socket| {
                    let mut peer = Peer::new(socket);
                    peer.command();
                    peer.answer(1, welcome);
                    peer.command();
                });
                let connection = connect(&runtime, &endpoint(address)).await.unwrap();
                let error = RelpConnection::open(&runtime, connection, PATIENT).await.err().unwrap();
                assert!(error.is_misconfiguration() && error.what.contains(words), "{error:?}");
                server.join().unwrap();
            }
        });
    }

    #[test]
    fn connectors_8_2_what_has_no_answer_when_the_session_ends_is_named() {
        on_each_side(|runtime| async move {
            // In order: the hint, a FIN, a frame that is none.
            for (last, kind) in [
                (&b"0 serverclose 0\n"[..], FailureKind::Closed),
                (b"", FailureKind::Closed),
                (b"HTTP/1.1 400 Bad Request\r\n", FailureKind::Protocol),
            ] {
                let (address, server) = serve_once(move |socket| {
                    let mut peer = Peer::new(socket);
                    for (txnr, answer) in [(1, WELCOME), (2, "200 OK"), (3, "200 OK")] {
                        peer.command();
                        peer.answer(txnr, answer);
                    }
                    while peer.command().is_some_and(|(txnr, ..)| txnr < 6) {}
                    peer.stream.get_mut().write_all(last).unwrap();
                });
                let connection = connect(&runtime, &endpoint(address)).await.unwrap();
                let mut relp = RelpConnection::open(&runtime, connection, PATIENT).await.unwrap();
                let answers = exchange(&runtime, &mut relp, &messages(5)).await;
                let ended = answers.ended.clone().unwrap();
                assert_eq!((answers.accepted, answers.unanswered, ended.kind), (2, vec![2, 3, 4], kind), "{ended}");
                server.join().unwrap();
                let later = exchange(&runtime, &mut relp, &messages(1)).await;
                assert_eq!((later.unanswered, later.ended), (vec![0], Some(ended)));
            }
        });
    }

    #[test]
    fn connectors_8_2_a_serverclose_while_idle_is_noticed() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|socket| {
                let mut peer = Peer::new(socket);
                peer.command();
                peer.answer(1, WELCOME);
                std::thread::sleep(Duration::from_millis(50));
                peer.stream.get_mut().write_all(b"0 serverclose 0\n").unwrap();
                assert_eq!(peer.command(), None, "no answer is allowed");
            });
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let mut relp = RelpConnection::open(&runtime, connection, PATIENT).await.unwrap();
            let ended = relp.closed().await;
            assert!(ended.kind == FailureKind::Closed && ended.what.contains("RELP session"), "{ended:?}");
            relp.finish(&runtime, PATIENT).await;
            server.join().unwrap();
        });
    }

    /// A server in a world that answers `open` and then, of messages, only the first `answered`.
    fn in_a_world<F: Future<Output = ()> + 'static>(
        seed: u64,
        answered: usize,
        client: impl FnOnce(Rc<dyn Runtime>, Connection) -> F + 'static,
    ) {
        let address: SocketAddr = "192.0.2.9:20514".parse().unwrap();
        let world = World::new(seed);
        world.network().serve(address, move |mut stream| {
            Box::pin(async move {
                use futures_lite::{AsyncReadExt, AsyncWriteExt};
                let (mut heard, mut block, mut said) = (Vec::new(), [0; 4096], 0);
                while let Ok(size @ 1..) = stream.read(&mut block).await {
                    heard.extend_from_slice(&block[..size]);
                    let frames = heard.windows(8).filter(|part| part.ends_with(b" syslog ")).count();
                    let mut answer = Vec::new();
                    if said == 0 {
                        answer.extend(format!("1 rsp {} {WELCOME}\n", WELCOME.len()).bytes());
                        said = 1;
                    }
                    while said <= frames.min(answered) {
                        said += 1;
                        answer.extend(format!("{said} rsp 6 200 OK\n").bytes());
                    }
                    if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            })
        });
        let (runtime, done) = (world.runtime("a"), Rc::new(Cell::new(false)));
        let ended = Rc::clone(&done);
        world.spawn(Box::pin(async move {
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            client(Rc::clone(&runtime), connection).await;
            ended.set(true);
        }));
        world.run_until(Millis::from_secs(600));
        assert!(done.get(), "seed {seed}");
    }

    #[test]
    fn connectors_8_2_answers_that_do_not_come_in_time_end_the_session() {
        for seed in 0..20 {
            in_a_world(seed, 3, |runtime, connection| async move {
                let mut relp = RelpConnection::open(&runtime, connection, PATIENT).await.unwrap();
                let begun = runtime.now();
                let slices = counted(&messages(200));
                let timeout = Millis::from_secs(90);
                let answers = relp.exchange(&runtime, slices.iter().map(Vec::as_slice), 200, timeout).await;
                let ended = answers.ended.unwrap();
                assert_eq!((answers.accepted, answers.unanswered.len(), ended.kind), (3, 197, FailureKind::TimedOut));
                let waited = runtime.now().since(begun);
                assert!((Millis::from_secs(90)..Millis::from_secs(100)).contains(&waited), "{waited}");
            });
        }
    }

    #[test]
    fn a_receiver_that_never_answers_open_is_given_up() {
        let address: SocketAddr = "192.0.2.9:20514".parse().unwrap();
        let world = World::new(7);
        world.network().serve(address, |stream| {
            Box::pin(async move {
                let _open = stream;
                std::future::pending::<()>().await;
            })
        });
        let (runtime, done) = (world.runtime("a"), Rc::new(Cell::new(false)));
        let ended = Rc::clone(&done);
        world.spawn(Box::pin(async move {
            let connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let error = RelpConnection::open(&runtime, connection, Millis::from_secs(5)).await.err().unwrap();
            assert_eq!((error.stage, error.kind), (Stage::Reply, FailureKind::TimedOut), "{error}");
            ended.set(true);
        }));
        world.run_until(Millis::from_secs(60));
        assert!(done.get());
    }
}
