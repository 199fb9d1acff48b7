//! Reading a request body, gzip or not, within two bounds: its own, and that of all requests together.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use flate2::write::MultiGzDecoder;
use futures_lite::StreamExt;

use crate::ingest::http::problem::Problem;

/// Most bytes of one body, before and after unpacking.
pub(super) const BODY_MAX: usize = 16 * 1024 * 1024;

/// Most bytes of all bodies together that are not acknowledged.
pub(super) const HELD_MAX: u64 = 64 * 1024 * 1024;

/// How long a body may take to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);

/// When to come again after all requests together held too much, in seconds.
const HELD_RETRY_S: u32 = 1;

/// How many bytes all requests together hold.
#[derive(Debug, Default)]
pub(super) struct Held(AtomicU64);

/// The bytes one request holds; given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    held: Arc<Held>,
    bytes: u64,
}

impl Share {
    pub(super) fn new(held: Arc<Held>) -> Share {
        Share { held, bytes: 0 }
    }

    /// Takes `bytes` more, unless that would be too much for all together.
    fn grow(&mut self, bytes: u64) -> bool {
        let before = self.held.0.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > HELD_MAX {
            self.held.0.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the whole body, unpacked. The bytes count against `held` until the share is dropped.
///
/// # Errors
/// 400 (broken gzip, broken transfer), 408, 413, 415, 429.
pub(super) async fn read(headers: &HeaderMap, body: Body, held: &Arc<Held>) -> Result<(Vec<u8>, Share), Problem> {
    let is_gzip = is_gzip(headers)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > BODY_MAX as u64) {
        return Err(over_limit());
    }
    let sink = Sink { bytes: Vec::new(), share: Share::new(held.clone()), refused: None };
    let gathering = gather(body, Unpacker::new(sink, is_gzip));
    match tokio::time::timeout(ARRIVAL_MAX, gathering).await {
        Ok(gathered) => gathered.map(|sink| (sink.bytes, sink.share)),
        Err(_) => Err(Problem::too_slow()),
    }
}

async fn gather(body: Body, mut unpacker: Unpacker) -> Result<Sink, Problem> {
    let mut chunks = body.into_data_stream();
    let mut arrived = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::unframed("the body did not arrive whole"))?;
        arrived += chunk.len();
        if arrived > BODY_MAX {
            return Err(over_limit());
        }
        unpacker.take(&chunk)?;
    }
    unpacker.finish()
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = codings.next().map_or(b"identity".as_slice(), |coding| coding.as_bytes());
    let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
    if codings.next().is_some() || !(is("gzip") || is("x-gzip") || is("identity")) {
        return Err(Problem::encoding("the only Content-Encoding taken is gzip"));
    }
    Ok(!is("identity"))
}

fn over_limit() -> Problem {
    Problem::too_large(format!(
        "a body may have {BODY_MAX} bytes, before and after unpacking; send the events in parts"
    ))
}

enum Unpacker {
    Plain(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
}

impl Unpacker {
    fn new(sink: Sink, is_gzip: bool) -> Unpacker {
        if is_gzip { Unpacker::Gzip(Box::new(MultiGzDecoder::new(sink))) } else { Unpacker::Plain(sink) }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        let written = match self {
            Unpacker::Plain(sink) => sink.write_all(chunk),
            Unpacker::Gzip(decoder) => decoder.write_all(chunk),
        };
        written.map_err(|_| self.sink().refused.take().unwrap_or_else(broken_gzip))
    }

    fn finish(mut self) -> Result<Sink, Problem> {
        if let Unpacker::Gzip(decoder) = &mut self
            && decoder.try_finish().is_err()
        {
            return Err(self.sink().refused.take().unwrap_or_else(broken_gzip));
        }
        match self {
            Unpacker::Plain(sink) => Ok(sink),
            Unpacker::Gzip(decoder) => decoder.finish().map_err(|_| broken_gzip()),
        }
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Unpacker::Plain(sink) => sink,
            Unpacker::Gzip(decoder) => decoder.get_mut(),
        }
    }
}

fn broken_gzip() -> Problem {
    Problem::unframed("the body is not valid gzip, or not all of it arrived")
}

/// Takes unpacked bytes within the bounds.
struct Sink {
    bytes: Vec<u8>,
    share: Share,
    /// Why it took no more.
    refused: Option<Problem>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > BODY_MAX {
            self.refused = Some(over_limit());
        } else if !self.share.grow(bytes.len() as u64) {
            let detail = format!("requests of {HELD_MAX} bytes together are not yet durable");
            self.refused = Some(Problem::too_much(detail, HELD_RETRY_S));
        } else {
            self.bytes.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        Err(io::ErrorKind::OutOfMemory.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures_lite::future::block_on;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_body(coding: Option<&str>, body: Vec<u8>, held: &Arc<Held>) -> Result<(Vec<u8>, Share), StatusCode> {
        let mut headers = HeaderMap::new();
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        block_on(read(&headers, Body::from(body), held)).map_err(|problem| problem.into_response().status())
    }

    #[test]
    fn a_body_is_read_plain_or_unpacked_and_counts_until_it_is_dropped() {
        let held = Arc::default();
        let (bytes, share) = read_body(None, b"{}".to_vec(), &held).unwrap();
        assert_eq!((bytes.as_slice(), held.0.load(Ordering::Relaxed)), (b"{}".as_slice(), 2));
        let two_members = [gzip(b"{}\n"), gzip(b"[]\n")].concat();
        let (bytes, other) = read_body(Some("gzip"), two_members, &held).unwrap();
        assert_eq!((bytes.as_slice(), held.0.load(Ordering::Relaxed)), (b"{}\n[]\n".as_slice(), 8));
        drop((share, other));
        assert_eq!(held.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn lesson_10_a_bomb_is_refused_before_it_is_unpacked() {
        let held = Arc::default();
        let bomb = gzip(&vec![b' '; BODY_MAX + 1]);
        assert!(bomb.len() < BODY_MAX / 100);
        assert_eq!(read_body(Some("gzip"), bomb, &held).unwrap_err(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(read_body(None, vec![b' '; BODY_MAX + 1], &held).unwrap_err(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(held.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn lesson_10_all_requests_together_are_bounded() {
        let held = Arc::default();
        let mut shares = Vec::new();
        for _ in 0..4 {
            shares.push(read_body(None, vec![b' '; BODY_MAX], &held).unwrap().1);
        }
        assert_eq!(read_body(None, b"{}".to_vec(), &held).unwrap_err(), StatusCode::TOO_MANY_REQUESTS);
        shares.pop();
        assert!(read_body(None, b"{}".to_vec(), &held).is_ok());
    }

    #[test]
    fn broken_gzip_and_other_codings_are_refused() {
        let held = Arc::default();
        let whole = gzip(b"{\"a\":1}\n");
        for cut in [whole.len() - 1, whole.len() / 2, 3] {
            assert_eq!(
                read_body(Some("gzip"), whole[..cut].to_vec(), &held).unwrap_err(),
                StatusCode::BAD_REQUEST,
                "{cut}"
            );
        }
        assert_eq!(read_body(Some("gzip"), b"not gzip at all".to_vec(), &held).unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(read_body(Some("br"), whole, &held).unwrap_err(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
