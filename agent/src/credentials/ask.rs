//! One request to whoever issues tokens or keys, on a connection of its own.

use std::iter::once;
use std::rc::Rc;
use std::sync::Arc;

use scaidrive_codecs::http::{Reply, USER_AGENT, write_head};

use super::cache::{Trouble, TroubleCause, TroubleKind};
use super::{Credentials, lock, misconfigured};
use crate::config::{HttpUrl, TlsSettings};
use crate::runtime::{Runtime, offload_value};
use crate::time::Millis;
use crate::transport::{self, Endpoint, FailureKind, TlsClient};

/// What is asked. The body and the values of headers may be secret, so it has no `Debug`.
pub(super) struct Question<'q> {
    pub(super) method: &'q str,
    /// With its query.
    pub(super) url: &'q str,
    pub(super) headers: &'q [(&'q str, &'q str)],
    pub(super) body: &'q str,
    pub(super) whereabouts: Whereabouts,
}

/// Where whoever is asked may be found. It decides what guards the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// A public service: it may be behind the destination's proxy, and is where the destination itself may be.
    Public,
    /// On this machine or its link only, and only on some machines. It is never behind a proxy, and it tells the agent who
    /// it is: where a destination may be has no say in that.
    Near,
}

impl Whereabouts {
    /// How long making the connection may take.
    const fn connect_timeout(self) -> Millis {
        match self {
            Whereabouts::Public => Millis::from_secs(10),
            Whereabouts::Near => Millis::from_secs(2),
        }
    }
}

/// Asks, and brings the whole reply.
pub(super) async fn ask(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    question: &Question<'_>,
) -> Result<Reply, Trouble> {
    let (address, query) = match question.url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (question.url, None),
    };
    let url = HttpUrl::parse(address).map_err(|why| misconfigured(format!("`{address}` is an address which {why}")))?;
    // As written: some of those asked tell a path that ends in a slash from one that does not.
    let path = address.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..])).unwrap_or("/");
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut head = Vec::new();
    let headers = once(("User-Agent", USER_AGENT)).chain(question.headers.iter().copied());
    write_head(&mut head, question.method, &target, &url.host_header(), headers, question.body.len() as u64)
        .map_err(|problem| misconfigured(problem.to_string()))?;
    let tls = if url.tls { Some(credentials.issuer_tls(runtime).await?) } else { None };
    let (proxy, targets) = match question.whereabouts {
        Whereabouts::Public => (credentials.proxy_to(&url.host), Arc::clone(&credentials.targets)),
        Whereabouts::Near => (None, Arc::default()),
    };
    let endpoint = Endpoint {
        proxy,
        host: url.host,
        port: url.port,
        targets,
        tls,
        connect_timeout: question.whereabouts.connect_timeout(),
        request_timeout: REQUEST_TIMEOUT,
    };
    let unreachable = |error: transport::TransportError| {
        let kind = match error.kind {
            // The proxy on the way wants another password.
            FailureKind::Credentials => TroubleKind::Refused,
            _ if error.is_misconfiguration() => TroubleKind::Misconfigured,
            _ => TroubleKind::Unreachable,
        };
        let why = format!("no answer from {endpoint}, which lets us in elsewhere: {error}");
        Trouble { kind, why, after: None, cause: TroubleCause::Transport(error) }
    };
    let mut connection = transport::connect(runtime, &endpoint).await.map_err(unreachable)?;
    let body = once(question.body.as_bytes());
    let asked = transport::exchange(runtime, &mut connection, &head, body, REQUEST_TIMEOUT, REPLY_MAX).await;
    asked.map_err(unreachable)
}

impl Credentials {
    async fn issuer_tls(&self, runtime: &Rc<dyn Runtime>) -> Result<Arc<TlsClient>, Trouble> {
        if let Some(client) = &*lock(&self.issuer_tls) {
            return Ok(Arc::clone(client));
        }
        let made = offload_value(runtime, || TlsClient::new(&TlsSettings::default())).await;
        let client = match made {
            Ok(Ok(client)) => Arc::new(client),
            Ok(Err(problem)) => return Err(misconfigured(problem.to_string())),
            Err(panicked) => return Err(misconfigured(panicked.to_string())),
        };
        *lock(&self.issuer_tls) = Some(Arc::clone(&client));
        Ok(client)
    }
}

const REQUEST_TIMEOUT: Millis = Millis::from_secs(30);
/// Tokens are a few KiB.
const REPLY_MAX: usize = 256 << 10;
