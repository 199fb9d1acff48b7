//! Writing many slices without joining them.
//!
//! A plain socket gets them by `sendmsg`, straight from where they lie: no copy and one call for up to 1,024 of them.
//! TLS gets as many at once as fill its records. A full buffer is waited for through the stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use futures_lite::future::poll_fn;

use crate::sys;
use crate::transport::Connection;

/// Why slices could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A page behind one of the slices is gone: the file under it was cut short, or its disk fails.
    #[error("a page of the log cannot be read any more")]
    BadMapping,
    /// The connection failed.
    #[error("the connection failed while being written to")]
    Io(#[source] io::Error),
}

/// Writes all of `slices` and flushes.
///
/// # Errors
/// See [`WriteError`]. How much has gone out by then is not known.
pub async fn write_slices<'a>(
    connection: &mut Connection,
    slices: impl Iterator<Item = &'a [u8]>,
) -> Result<(), WriteError> {
    let mut gather = Gather::new(slices);
    poll_fn(|cx| gather.poll_all(connection, cx)).await.map_err(WriteError::from)
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        if error.raw_os_error() == Some(libc::EFAULT) { WriteError::BadMapping } else { WriteError::Io(error) }
    }
}

/// A write in progress, to be polled beside other things.
pub(super) struct Gather<'a, S> {
    slices: S,
    /// The next slices to go; what is before `first` has gone.
    window: Vec<IoSlice<'a>>,
    first: usize,
    is_flushed: bool,
    sent: u64,
}

impl<'a, S: Iterator<Item = &'a [u8]>> Gather<'a, S> {
    pub(super) fn new(slices: S) -> Self {
        Gather::with_window(slices, Vec::new())
    }

    /// As [`Gather::new`], with the memory of a window that [`Gather::into_window`] gave back.
    pub(super) fn with_window(slices: S, window: Window) -> Self {
        let mut window = emptied(window);
        window.reserve(slices.size_hint().1.unwrap_or(WINDOW).min(WINDOW));
        Gather { slices, window, first: 0, is_flushed: false, sent: 0 }
    }

    /// The window's memory, for the next one.
    pub(super) fn into_window(self) -> Window {
        emptied(self.window)
    }

    /// Bytes handed to the connection so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether all has been handed over and flushed.
    pub(super) fn is_done(&self) -> bool {
        self.is_flushed
    }

    /// Goes on until all is written or the connection has no room.
    pub(super) fn poll_all(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.refill() {
            let size = ready!(poll_slices(connection, cx, &self.window[self.first..]))?;
            if size == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(size);
        }
        if !self.is_flushed {
            ready!(Pin::new(connection).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// False when nothing is left to write.
    fn refill(&mut self) -> bool {
        if self.first < self.window.len() {
            return true;
        }
        self.window.clear();
        self.first = 0;
        let filled = self.slices.by_ref().filter(|slice| !slice.is_empty()).take(WINDOW);
        self.window.extend(filled.map(IoSlice::new));
        !self.window.is_empty()
    }

    fn advance(&mut self, size: usize) {
        self.sent += size as u64;
        let mut left = size;
        while left > 0 {
            let front = &mut self.window[self.first];
            let taken = left.min(front.len());
            front.advance(taken);
            left -= taken;
            if front.is_empty() {
                self.first += 1;
            }
        }
    }
}

/// An empty window: only its memory is of use.
pub(super) type Window = Vec<IoSlice<'static>>;

/// The memory of a window without its slices.
fn emptied<'b>(mut window: Vec<IoSlice<'_>>) -> Vec<IoSlice<'b>> {
    window.clear();
    // Elements of one size are collected in place, so this neither allocates nor copies.
    window.into_iter().map(|_| unreachable!("it is empty")).collect()
}

fn poll_slices(connection: &mut Connection, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    let Connection::Plain(stream) = connection else {
        return Pin::new(connection).poll_write_vectored(cx, slices);
    };
    if let Some(socket) = stream.raw_fd() {
        match sys::send_slices(socket, slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return Poll::Ready(sent),
        }
    }
    // No room: the stream tries once more and waits. The runtimes' streams write one slice at a time.
    Pin::new(stream).poll_write(cx, &slices[0])
}

/// Slices looked at together; the most one `sendmsg` takes.
const WINDOW: usize = sys::GATHER_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests::on_each_side;
    use crate::transport::connect;
    use crate::transport::testbed::{Authority, endpoint, read_all, serve_once, serve_tls_once};
    use futures_lite::AsyncWriteExt;
    use std::thread;
    use std::time::Duration;

    /// Some 6 MB in pieces of 0 to 900 bytes: more than any socket buffer holds and more pieces than one call takes.
    fn pieces() -> Vec<Vec<u8>> {
        (0..13_000_usize).map(|n| vec![(n % 253) as u8; n * 7 % 901]).collect()
    }

    #[test]
    fn many_slices_arrive_whole_through_a_slow_reader() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(|mut socket| {
                thread::sleep(Duration::from_millis(100));
                read_all(&mut socket).unwrap()
            });
            let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
            let pieces = pieces();
            write_slices(&mut connection, pieces.iter().map(Vec::as_slice)).await.unwrap();
            connection.close().await.unwrap();
            assert!(server.join().unwrap() == pieces.concat());
        });
    }

    #[test]
    fn many_slices_arrive_whole_through_tls() {
        on_each_side(|runtime| async move {
            let authority = Authority::new();
            let config = authority.server(&authority.issue("localhost", 2999), false, &rustls::version::TLS13);
            let (address, server) = serve_tls_once(config, |mut stream| {
                thread::sleep(Duration::from_millis(100));
                read_all(&mut stream).unwrap()
            });
            let mut connection = connect(&runtime, &authority.endpoint(address)).await.unwrap();
            let pieces = pieces();
            write_slices(&mut connection, pieces.iter().map(Vec::as_slice)).await.unwrap();
            connection.close().await.unwrap();
            assert!(server.join().unwrap() == pieces.concat());
        });
    }

    #[test]
    fn a_window_keeps_its_memory_from_one_write_to_the_next() {
        let pieces = pieces();
        let mut gather = Gather::new(pieces.iter().map(Vec::as_slice));
        assert!(gather.refill());
        let (window, most) = (gather.window.as_ptr(), gather.window.capacity());
        let again = Gather::with_window(pieces.iter().map(Vec::as_slice), gather.into_window());
        assert_eq!((again.window.as_ptr(), again.window.capacity()), (window, most));
        assert!(again.window.is_empty());
    }

    #[test]
    fn a_closed_peer_is_an_error() {
        on_each_side(|runtime| async move {
            let (address, server) = serve_once(drop);
            let mut connection = connect(&runtime, &endpoint(address)).await.unwrap();
            server.join().unwrap();
            let pieces = pieces();
            let outcome = write_slices(&mut connection, pieces.iter().map(Vec::as_slice)).await;
            assert!(matches!(outcome, Err(WriteError::Io(_))), "{outcome:?}");
        });
    }

    #[test]
    fn a_bad_page_has_an_error_of_its_own() {
        let fault = io::Error::from_raw_os_error(libc::EFAULT);
        assert!(matches!(WriteError::from(fault), WriteError::BadMapping));
        assert!(matches!(WriteError::from(io::Error::from(io::ErrorKind::BrokenPipe)), WriteError::Io(_)));
    }
}
