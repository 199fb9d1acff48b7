//! What the agent says to a producer on its socket.
//!
//! One JSON object a line:
//!
//! | key | when | meaning |
//! |---|---|---|
//! | `acked` | always | the first N lines of this connection are durable, blank or refused |
//! | `refused` | some lines were | `[{"line":3,"code":"syntax","reason":"…"}]`; each is named once, perhaps before `acked` comes to it |
//! | `refused_more` | more were than are named | how many lines beside those named were refused |
//! | `waiting` | there is no room for the next event | why; the agent reads on when there is |
//! | `error` | the connection is about to be closed | why; what is not acknowledged still belongs to the producer |
//!
//! Acks coalesce: only the latest state is kept for a producer that does not read, and a line partly written is finished
//! before the next begins.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::AsyncWrite;

use crate::ingest::ledger::{Ledger, RefusedLine};

/// Tells one producer how far its lines are settled.
#[derive(Debug, Default)]
pub struct Teller {
    line: Vec<u8>,
    written: usize,
    is_flushed: bool,
    told_acked: u64,
    told_waiting: Option<String>,
    told_error: bool,
}

/// What there is to tell beside the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct State<'a> {
    /// Why no more is read for now.
    pub waiting: Option<&'a str>,
    /// Why the connection ends.
    pub error: Option<&'a str>,
}

impl Teller {
    /// Writes what is new as far as the stream takes it. Ready when all is told and written.
    ///
    /// # Errors
    /// When the stream does not take any more, ever.
    pub fn poll_tell(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin + ?Sized),
        ledger: &mut Ledger,
        state: State<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            std::task::ready!(self.poll_write_rest(stream, cx))?;
            if !self.has_news(ledger, state) {
                return Poll::Ready(Ok(()));
            }
            self.compose(ledger, state);
        }
    }

    fn poll_write_rest(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin + ?Sized),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.line.len() {
            let count = std::task::ready!(Pin::new(&mut *stream).poll_write(cx, &self.line[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.is_flushed = false;
        }
        if !self.is_flushed {
            std::task::ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn has_news(&mut self, ledger: &Ledger, state: State<'_>) -> bool {
        if state.waiting.is_none() {
            self.told_waiting = None;
        }
        ledger.acked() != self.told_acked
            || !ledger.refusals.is_empty()
            || state.waiting != self.told_waiting.as_deref()
            || (state.error.is_some() && !self.told_error)
    }

    fn compose(&mut self, ledger: &mut Ledger, state: State<'_>) {
        self.line.clear();
        self.written = 0;
        let line = &mut self.line;
        push(line, format_args!("{{\"acked\":{}", ledger.acked()));
        if !ledger.refusals.named.is_empty() {
            line.extend_from_slice(b",\"refused\":");
            push_refused(line, &ledger.refusals.named);
        }
        if ledger.refusals.more > 0 {
            push(line, format_args!(",\"refused_more\":{}", ledger.refusals.more));
        }
        if let Some(why) = state.waiting {
            line.extend_from_slice(b",\"waiting\":");
            push_string(line, why);
        }
        if let Some(why) = state.error {
            line.extend_from_slice(b",\"error\":");
            push_string(line, why);
        }
        line.extend_from_slice(b"}\n");
        ledger.refusals.clear();
        self.told_acked = ledger.acked();
        self.told_waiting = state.waiting.map(str::to_owned);
        self.told_error = state.error.is_some();
    }
}

/// Writes refused lines as a JSON array.
pub(crate) fn push_refused(out: &mut Vec<u8>, refused: &[RefusedLine]) {
    out.push(b'[');
    for (at, refused) in refused.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, format_args!("{{\"line\":{},\"code\":\"{}\",\"reason\":", refused.line, refused.code));
        push_string(out, &refused.reason);
        out.push(b'}');
    }
    out.push(b']');
}

/// Writes a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string always becomes JSON in memory");
}

/// Writes formatted text.
pub(crate) fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes any bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::ledger::Window;
    use serde_json::{Value, json};
    use std::task::Waker;

    /// Takes `room` bytes, then none until it gets more.
    #[derive(Default)]
    struct Narrow {
        got: Vec<u8>,
        room: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Poll::Pending;
            }
            self.room -= count;
            self.got.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn tell(teller: &mut Teller, stream: &mut Narrow, ledger: &mut Ledger, state: State<'_>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        teller.poll_tell(stream, ledger, state, &mut cx).map(Result::unwrap).is_ready()
    }

    fn said(stream: &Narrow) -> Vec<Value> {
        let text = std::str::from_utf8(&stream.got).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn acks_coalesce_and_a_partly_written_line_is_finished_first() {
        let mut ledger = Ledger::new(Window::default());
        let (mut teller, mut stream) = (Teller::default(), Narrow { room: 5, ..Narrow::default() });
        ledger.blank();
        assert!(!tell(&mut teller, &mut stream, &mut ledger, State::default()));
        for _ in 0..500 {
            ledger.blank();
            assert!(!tell(&mut teller, &mut stream, &mut ledger, State::default()));
        }
        stream.room = 1000;
        assert!(tell(&mut teller, &mut stream, &mut ledger, State::default()));
        assert_eq!(said(&stream), [json!({"acked":1}), json!({"acked":501})]);
    }

    #[test]
    fn a_producer_that_never_reads_costs_bounded_memory() {
        let mut ledger = Ledger::new(Window::default());
        let (mut teller, mut stream) = (Teller::default(), Narrow::default());
        for _ in 0..100_000 {
            ledger.refuse("x".repeat(200), "syntax");
            tell(&mut teller, &mut stream, &mut ledger, State::default());
        }
        assert!(teller.line.capacity() < 100_000);
        stream.room = usize::MAX;
        assert!(tell(&mut teller, &mut stream, &mut ledger, State::default()));
        let said = said(&stream);
        assert_eq!(said.len(), 2);
        assert_eq!(said[1]["refused"].as_array().unwrap().len(), 100);
        let named: usize = said.iter().map(|line| line["refused"].as_array().unwrap().len()).sum();
        assert_eq!(named as u64 + said[1]["refused_more"].as_u64().unwrap(), 100_000);
    }

    #[test]
    fn waiting_and_errors_are_told_once_each() {
        let mut ledger = Ledger::new(Window::default());
        let (mut teller, mut stream) = (Teller::default(), Narrow { room: usize::MAX, ..Narrow::default() });
        let waiting = State { waiting: Some("the \"disk\" is full"), error: None };
        for state in [waiting, waiting, State::default(), waiting, State { waiting: None, error: Some("gone") }] {
            assert!(tell(&mut teller, &mut stream, &mut ledger, state));
        }
        let wait = json!({"acked":0,"waiting":"the \"disk\" is full"});
        assert_eq!(said(&stream), [wait.clone(), wait, json!({"acked":0,"error":"gone"})]);
    }
}
