//! The loop for HTTP destinations: the request that delivery would make, its answer, and what can be asked about it.

use std::iter::once;
use std::rc::Rc;

use futures_lite::future::or;
use scaidrive_codecs::elastic::ElasticSettings;
use scaidrive_codecs::hec::{ACK_PATH, CHANNEL_HEADER, EVENT_PATH, ack_query, acknowledged};
use scaidrive_codecs::http::{Reply, USER_AGENT, write_head};
use scaidrive_codecs::https::{COUNT_HEADER, IDEMPOTENCY_HEADER, idempotency_key};
use scaidrive_codecs::{Body, Format, RequestParts, Verdict};
use serde_json::{Value, json};

use super::cause;
use super::judge::{Asked, clock_ahead, of_exchange, of_reply, of_trouble};
use super::report::Finding;
use super::sniff::Speech;
use super::stage::Stage;
use super::trace::{Trace, strange};
use crate::config::{Auth, Compression, HecAck, Kind};
use crate::credentials::{Shown, Signable};
use crate::delivery::http::guid;
use crate::time::Millis;
use crate::transport::{self, Connection, Gzip};

/// Sends the event and finds out what became of it.
pub(super) async fn send(
    trace: &mut Trace<'_>,
    format: &dyn Format,
    body: &Body,
    event_id: &str,
) -> Result<(), Finding> {
    let connection = trace.connect().await?;
    let headers = session_headers(trace, event_id);
    let mut talk = Talk { connection: Some(connection), headers };
    let frame = format.frame();
    let pieces = once(frame.opening).chain(body.slices(|_| &[])).chain(once(frame.closing));
    let plain: Vec<u8> = pieces.flatten().copied().collect();
    demand_acks(trace, &mut talk, format).await?;
    let Answered { reply, shown, verdict, is_second } = ask_to_take(trace, &mut talk, format, &plain).await?;
    let now_ms = trace.runtime().wall_ms();
    trace.compare_clocks(clock_ahead(&reply, now_ms));
    let destination = trace.destination();
    let asked = Asked {
        kind: &destination.kind,
        auth: &destination.auth,
        host: trace.host(),
        has_tls: trace.way.has_tls,
        has_identity: trace.way.has_identity,
        now_ms,
    };
    if let Some(mut finding) = of_reply(&reply, &verdict, &asked) {
        finding.said.iter_mut().for_each(|said| shown.hide_in(said));
        show_what_is_behind(trace, &finding, &reply);
        return Err(finding);
    }
    trace.over(Stage::Answer, Some(format!("HTTP {}", reply.status)));
    know_us(trace);
    trace.passed(Stage::Permission, None);
    trace.passed(Stage::Accepted, Some(format!("HTTP {}", reply.status)));
    if is_second {
        let what = String::from("it takes no compressed requests; the agent then sends them uncompressed");
        trace.warn(cause::WARNING_COMPRESSION, what, "write compression = \"none\" to save the first try");
    }
    if matches!(verdict, Verdict::Delivered { slow_down: true }) {
        let what = String::from("it took the event and asks for less: its queues are nearly full");
        trace.warn(cause::WARNING_SLOW_DOWN, what, "see that what is behind {host} keeps up");
    }
    find(trace, &mut talk, format, &reply, event_id).await?;
    trace.look_at_others().await;
    Ok(())
}

/// The answer to the event, and what delivery makes of it.
struct Answered {
    reply: Reply,
    shown: Shown,
    verdict: Verdict,
    /// The first try was compressed, and in vain for that.
    is_second: bool,
}

/// Sends the event, and again uncompressed where that is what was wrong, as delivery does.
async fn ask_to_take(
    trace: &mut Trace<'_>,
    talk: &mut Talk,
    format: &dyn Format,
    plain: &[u8],
) -> Result<Answered, Finding> {
    let compression = trace.destination().compression;
    let mut request = Request { parts: format.request().clone(), body: plain, compression };
    let mut is_second = false;
    loop {
        let (reply, shown) = talk.ask(trace, &request).await?;
        let verdict = format.verdict_by_length(&reply, 1, plain.len(), trace.runtime().wall_ms());
        if !matches!(verdict, Verdict::Uncompressed { .. }) || request.compression == Compression::None {
            return Ok(Answered { reply, shown, verdict, is_second });
        }
        request.compression = Compression::None;
        is_second = true;
    }
}

/// What an answer shows of the stages before the one that failed.
fn show_what_is_behind(trace: &mut Trace<'_>, finding: &Finding, reply: &Reply) {
    if finding.stage > Stage::Answer {
        trace.over(Stage::Answer, Some(format!("HTTP {}", reply.status)));
    }
    let is_silent = !finding.knows_us;
    for stage in [Stage::Authentication, Stage::Permission].into_iter().filter(|stage| *stage < finding.stage) {
        match stage {
            _ if is_silent => trace.skipped(stage, "this answer does not show it"),
            Stage::Authentication => know_us(trace),
            _ => trace.passed(stage, None),
        }
    }
}

fn know_us(trace: &mut Trace<'_>) {
    if trace.destination().auth.is_empty() && !trace.way.has_identity {
        return trace.skipped(Stage::Authentication, "no credentials are set");
    }
    trace.passed(Stage::Authentication, None);
}

/// A request, before it is written.
struct Request<'b> {
    parts: RequestParts,
    body: &'b [u8],
    compression: Compression,
}

/// What is said on one connection after another.
struct Talk {
    connection: Option<Connection>,
    /// What every request carries beside what its format wants.
    headers: Vec<(String, String)>,
}

impl Talk {
    /// Asks, and brings the answer.
    async fn ask(&mut self, trace: &mut Trace<'_>, request: &Request<'_>) -> Result<(Reply, Shown), Finding> {
        let kept = self.connection.take().and_then(|mut connection| connection.is_reusable().then_some(connection));
        let (sent, coding) = compressed(request);
        let (head, shown) = self.head(trace, request, &sent, coding).await?;
        // A connection that nobody has used yet is used whatever has happened to it: how it ends is the answer.
        let mut connection = match kept {
            Some(connection) => connection,
            None => trace.connect().await?,
        };
        let (watched, patience) = (trace.watched(), trace.patience());
        let exchange = transport::exchange(&watched, &mut connection, &head, once(&sent[..]), patience, REPLY_MAX);
        let stranger = async {
            trace.stranger_speaks(Speech::Http).await;
            Err(strange())
        };
        let exchanged = or(exchange, stranger).await;
        trace.look_at_witness();
        let reply = exchanged.map_err(|error| {
            let mut finding = of_exchange(&error, &trace.seen(), &trace.way);
            finding.said.iter_mut().for_each(|said| shown.hide_in(said));
            finding
        })?;
        if reply.keep_alive {
            self.connection = Some(connection);
        }
        self.note_cookies(&reply);
        Ok((reply, shown))
    }

    /// The head of a request, with what lets us in.
    async fn head(
        &self,
        trace: &mut Trace<'_>,
        request: &Request<'_>,
        sent: &[u8],
        coding: Option<&'static str>,
    ) -> Result<(Vec<u8>, Shown), Finding> {
        let destination = trace.destination();
        let host = destination.kind.urls().first().map(crate::config::HttpUrl::host_header).unwrap_or_default();
        let RequestParts { method, path, headers } = &request.parts;
        let headers = [headers.clone(), self.headers.clone()].concat();
        let plain = |visit: &mut dyn FnMut(&[u8])| visit(request.body);
        let wire = |visit: &mut dyn FnMut(&[u8])| visit(sent);
        let signable = Signable {
            method,
            host: &host,
            target: path,
            headers: &headers,
            length: sent.len(),
            plain: &plain,
            sent: &wire,
        };
        let shown = self.show(trace, &signable).await?;
        let pairs = headers.iter().chain(&shown.headers).map(|(name, value)| (name.as_str(), value.as_str()));
        let coding = coding.map(|coding| ("Content-Encoding", coding));
        let path = shown.target.as_deref().unwrap_or(path);
        let mut head = Vec::new();
        let all = once(("User-Agent", USER_AGENT)).chain(pairs).chain(coding);
        write_head(&mut head, method, path, &host, all, sent.len() as u64)
            .map_err(|problem| Finding::of(&cause::SETTINGS_UNUSABLE).saying(problem.to_string()))?;
        Ok((head, shown))
    }

    /// What lets us in, fetched where it does not last.
    async fn show(&self, trace: &mut Trace<'_>, signable: &Signable<'_>) -> Result<Shown, Finding> {
        let runtime = Rc::clone(trace.runtime());
        let late = async {
            runtime.sleep(trace.at_most(TOKEN_MAX)).await;
            None
        };
        let shown = or(async { Some(trace.credentials.show(&runtime, signable).await) }, late).await;
        let is_fetched = trace.destination().auth.iter().any(|way| matches!(way, Auth::OAuth(_) | Auth::Entra(_)));
        match shown {
            Some(Ok(shown)) => {
                if is_fetched {
                    trace.over(Stage::Authentication, Some("a token was issued".to_owned()));
                }
                Ok(shown)
            }
            Some(Err(trouble)) => Err(of_trouble(&trouble, &trace.destination().auth)),
            None => Err(Finding::of(&cause::TOKEN_SERVER_SILENT)),
        }
    }

    /// Cookies lead to the same indexer again.
    fn note_cookies(&mut self, reply: &Reply) {
        let Some(value) = reply.header("set-cookie") else { return };
        let pair = value.split(';').next().unwrap_or_default().trim();
        if self.headers.iter().any(|(name, _)| name == CHANNEL_HEADER)
            && pair.bytes().all(|byte| byte.is_ascii_graphic())
        {
            self.headers.retain(|(name, _)| name != "Cookie");
            self.headers.push(("Cookie".to_owned(), pair.to_owned()));
        }
    }
}

/// The body as it is sent, and its coding.
fn compressed(request: &Request<'_>) -> (Vec<u8>, Option<&'static str>) {
    let mut sent = Vec::new();
    match request.compression {
        Compression::None => return (request.body.to_vec(), None),
        Compression::Gzip => Gzip::default().pack(once(request.body), GZIP_LEVEL, &mut sent),
        Compression::Zstd => transport::zstd(once(request.body), ZSTD_LEVEL, &mut sent),
    }
    (sent, Some(request.compression.name()))
}

/// What requests of some types carry: Splunk's channel, the name of a batch.
fn session_headers(trace: &Trace<'_>, event_id: &str) -> Vec<(String, String)> {
    let runtime = trace.runtime();
    match &trace.destination().kind {
        Kind::SplunkHec(hec) if hec.ack != HecAck::Off => {
            vec![(CHANNEL_HEADER.to_owned(), guid(runtime.entropy(), runtime.entropy()))]
        }
        Kind::Https(https) if https.idempotency => vec![
            (IDEMPOTENCY_HEADER.to_owned(), idempotency_key(event_id, [])),
            (COUNT_HEADER.to_owned(), "1".to_owned()),
        ],
        _ => Vec::new(),
    }
}

/// Where acknowledgement is demanded, a token without it is found out before it stores an event.
async fn demand_acks(trace: &mut Trace<'_>, talk: &mut Talk, format: &dyn Format) -> Result<(), Finding> {
    if !matches!(&trace.destination().kind, Kind::SplunkHec(hec) if hec.ack == HecAck::On) {
        return Ok(());
    }
    let (reply, _) = talk.ask(trace, &about_acks(format, &ack_query([0]))).await?;
    match acknowledged(&reply) {
        Err(unanswered) if unanswered.is_disabled => {
            let finding = Finding::of(&cause::ACKNOWLEDGEMENT_DISABLED).saying(unanswered.why).knowing_us();
            show_what_is_behind(trace, &finding, &reply);
            Err(finding)
        }
        // What else is in the way is met again by the event, and judged there.
        _ => Ok(()),
    }
}

fn about_acks<'b>(format: &dyn Format, body: &'b str) -> Request<'b> {
    let parts = format.request();
    let parts = RequestParts { path: parts.path.replace(EVENT_PATH, ACK_PATH), ..parts.clone() };
    Request { parts, body: body.as_bytes(), compression: Compression::None }
}

/// Looks for the event where there is a way to.
async fn find(
    trace: &mut Trace<'_>,
    talk: &mut Talk,
    format: &dyn Format,
    reply: &Reply,
    event_id: &str,
) -> Result<(), Finding> {
    match &trace.destination().kind {
        Kind::SplunkHec(_) => match format.acknowledgement(reply) {
            Some(id) => find_ack(trace, talk, format, id).await,
            None => {
                trace.skipped(Stage::Found, "a collector's token may not search");
                Ok(())
            }
        },
        Kind::Elastic(elastic) => find_document(trace, talk, &elastic.for_codec(), event_id).await,
        Kind::Sentinel(_) => {
            trace.skipped(Stage::Found, "rows can be searched after some minutes, and not with this identity");
            Ok(())
        }
        Kind::Datadog(_) | Kind::SumoLogic(_) => {
            trace.skipped(Stage::Found, "what lets us in may not search");
            Ok(())
        }
        Kind::Https(_) | Kind::Syslog(_) => {
            trace.skipped(Stage::Found, "there is no way to ask this receiver");
            Ok(())
        }
    }
}

/// An indexer acknowledges what it has written.
async fn find_ack(trace: &mut Trace<'_>, talk: &mut Talk, format: &dyn Format, id: u64) -> Result<(), Finding> {
    let query = ack_query([id]);
    let request = about_acks(format, &query);
    for wait in ACK_WAITS {
        trace.runtime().sleep(trace.at_most(wait)).await;
        let Ok((reply, _)) = talk.ask(trace, &request).await else { break };
        if acknowledged(&reply).is_ok_and(|ids| ids.contains(&id)) {
            trace.over(Stage::Found, Some("the indexer acknowledges it".to_owned()));
            return Ok(());
        }
    }
    trace.skipped(Stage::Found, "the indexer has not acknowledged it yet");
    let what =
        String::from("the indexer has not acknowledged the event within some seconds; that may be a busy indexer");
    trace.warn(cause::WARNING_NOT_FOUND_YET, what, "search for it with the query below");
    Ok(())
}

/// Searches for the document. Where these credentials may have the index refreshed, what is not found then is not there.
async fn find_document(
    trace: &mut Trace<'_>,
    talk: &mut Talk,
    elastic: &ElasticSettings,
    event_id: &str,
) -> Result<(), Finding> {
    let request = |what: &str, body: &'static str| Request {
        parts: RequestParts {
            method: "POST".to_owned(),
            path: format!("{}/{}/{what}", elastic.base, elastic.target),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        },
        body: body.as_bytes(),
        compression: Compression::None,
    };
    let refreshed = talk.ask(trace, &request("_refresh", "")).await;
    let is_fresh = matches!(&refreshed, Ok((reply, _)) if reply.status == 200);
    let question = json!({
        "size": 1,
        "_source": false,
        "query": {"bool": {"minimum_should_match": 1, "should": [
            {"ids": {"values": [event_id]}},
            {"match": {(elastic.shape.id_path()): event_id}},
        ]}},
    })
    .to_string();
    let search = Request { body: question.as_bytes(), ..request("_search", "") };
    let waits: &[Millis] = if is_fresh { &FRESH_WAITS } else { &SEARCH_WAITS };
    for wait in waits {
        trace.runtime().sleep(trace.at_most(*wait)).await;
        let Ok((reply, _)) = talk.ask(trace, &search).await else { break };
        match hits(&reply) {
            None => {
                trace.skipped(Stage::Found, "these credentials may write and not search");
                return Ok(());
            }
            Some(0) => {}
            Some(_) => {
                trace.over(Stage::Found, Some(format!("in {}", elastic.target)));
                return Ok(());
            }
        }
    }
    if is_fresh {
        return Err(Finding::of(&cause::ACCEPTED_AND_NOT_FOUND).knowing_us());
    }
    trace.skipped(Stage::Found, "not found within some seconds");
    let what = String::from("the event was accepted and could not be found yet; the index may refresh more slowly");
    trace.warn(cause::WARNING_NOT_FOUND_YET, what, "search for it with the query below");
    Ok(())
}

/// How many documents a search has found; `None` when it is no answer to a search.
fn hits(reply: &Reply) -> Option<usize> {
    if reply.status != 200 {
        return None;
    }
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    Some(body["hits"]["hits"].as_array()?.len())
}

/// Replies are kept up to this length, in bytes.
const REPLY_MAX: usize = 256 << 10;
/// For whoever issues tokens.
const TOKEN_MAX: Millis = Millis::from_secs(5);
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;
/// Before each question whether the indexer has written the event.
const ACK_WAITS: [Millis; 4] = [Millis(200), Millis(800), Millis(1_500), Millis(2_500)];
/// Before each search: after a refresh one more look is for a replica that lags; otherwise an index refreshes every
/// second, or every five.
const FRESH_WAITS: [Millis; 2] = [Millis::ZERO, Millis(500)];
const SEARCH_WAITS: [Millis; 4] = [Millis(200), Millis(1_000), Millis(1_500), Millis(3_000)];
