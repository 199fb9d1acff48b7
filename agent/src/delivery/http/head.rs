//! What stands before a body: written anew where it shows something of its own, else only told another length.

use std::iter::once;

use scaidrive_codecs::http::{USER_AGENT, restate_length, write_head};
use scaidrive_codecs::https::{COUNT_HEADER, IDEMPOTENCY_HEADER, idempotency_key};
use scaidrive_codecs::{Body, RequestParts};

use super::{HttpCarrier, Outgoing, whole};
use crate::config::Kind;
use crate::credentials::Signable;
use crate::credentials::cache::{Trouble, TroubleKind};
use crate::delivery::carrier::{misconfigured, payload_of};
use crate::delivery::gate::Hold;
use crate::delivery::sender::Outcome;
use crate::heap::wiping;

/// What heads have in common that differ in the length of their bodies only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadOf {
    target: usize,
    coding: Option<&'static str>,
    /// See [`Credentials::lasting`](crate::credentials::Credentials::lasting).
    secrets: u64,
}

/// A request before its head is written.
pub(super) struct Whole<'w> {
    pub(super) headers: Vec<(String, String)>,
    pub(super) length: usize,
    pub(super) coding: Option<&'static str>,
    pub(super) plain: &'w dyn Fn(&mut dyn FnMut(&[u8])),
    pub(super) sent: &'w dyn Fn(&mut dyn FnMut(&[u8])),
}

impl HttpCarrier<'_> {
    /// Writes the head of a request; most differ from the one before in the length of the body only.
    ///
    /// # Errors
    /// How the request ends without having been sent.
    pub(super) async fn write_request_head(&mut self, target: usize, batch: &Outgoing<'_>) -> Result<(), Outcome> {
        let head_of = self.head_of(target, batch).await;
        if head_of.is_some() && head_of == self.head_of {
            let length = if batch.coding.is_some() { self.zipped.len() } else { self.length(batch) };
            restate_length(&mut self.head, length as u64);
            return Ok(());
        }
        Box::pin(self.write_new_head(target, batch)).await?;
        self.head_of = head_of;
        Ok(())
    }

    /// What the head of a batch depends on, if nothing in it belongs to this batch alone.
    async fn head_of(&self, target: usize, batch: &Outgoing<'_>) -> Option<HeadOf> {
        let secrets = self.place.route.credentials().lasting(&self.shard.runtime).await?;
        (!self.names_each_batch()).then_some(HeadOf { target, coding: batch.coding, secrets })
    }

    async fn write_new_head(&mut self, target: usize, batch: &Outgoing<'_>) -> Result<(), Outcome> {
        let request = self.format.request();
        let headers = [request.headers.clone(), self.batch_headers(batch), self.session_headers()].concat();
        let zipped = std::mem::take(&mut self.zipped);
        let length = if batch.coding.is_some() { zipped.len() } else { self.length(batch) };
        let format = self.format;
        let plain = |visit: &mut dyn FnMut(&[u8])| whole(format, batch.body, batch.items).for_each(visit);
        let compressed = |visit: &mut dyn FnMut(&[u8])| visit(&zipped);
        let sent: &dyn Fn(&mut dyn FnMut(&[u8])) = if batch.coding.is_some() { &compressed } else { &plain };
        let written = self
            .write_head(target, request, &Whole { headers, length, coding: batch.coding, plain: &plain, sent })
            .await;
        self.zipped = zipped;
        written
    }

    /// Writes a head with what the destination wants to be shown, and leaves nothing of that anywhere else.
    ///
    /// # Errors
    /// How the request ends without having been sent.
    pub(super) async fn write_head(
        &mut self,
        target: usize,
        request: &RequestParts,
        whole: &Whole<'_>,
    ) -> Result<(), Outcome> {
        wiping(Box::pin(self.write_secret_head(target, request, whole))).await
    }

    async fn write_secret_head(
        &mut self,
        target: usize,
        request: &RequestParts,
        whole: &Whole<'_>,
    ) -> Result<(), Outcome> {
        self.head_of = None;
        let RequestParts { method, path, .. } = request;
        let host = self.place.route.host_header(target);
        let Whole { headers, length, coding, plain, sent } = whole;
        let signable =
            Signable { method, host: &host, target: path, headers, length: *length, plain: *plain, sent: *sent };
        let shown = self.place.route.credentials().show(&self.shard.runtime, &signable).await;
        let shown = shown.map_err(in_the_way)?;
        let own = once(("User-Agent", USER_AGENT));
        let others = headers.iter().chain(&shown.headers).map(|(name, value)| (name.as_str(), value.as_str()));
        let coding = coding.map(|coding| ("Content-Encoding", coding));
        let path = shown.target.as_deref().unwrap_or(path);
        self.head.clear();
        write_head(&mut self.head, method, path, &host, own.chain(others).chain(coding), *length as u64)
            .map_err(|problem| misconfigured(problem.to_string()))?;
        // So that a longer length moves nothing.
        self.head.reserve(LENGTH_DIGITS);
        self.shown = shown.into();
        Ok(())
    }

    /// Whether each request carries a key of its own.
    fn names_each_batch(&self) -> bool {
        matches!(&self.place.destination.kind, Kind::Https(https) if https.idempotency)
    }

    /// Headers that differ from batch to batch.
    fn batch_headers(&self, batch: &Outgoing<'_>) -> Vec<(String, String)> {
        if !self.names_each_batch() {
            return Vec::new();
        }
        let count = (COUNT_HEADER.to_owned(), batch.items.len().max(1).to_string());
        let key = if batch.items.is_empty() {
            own_key(batch.body)
        } else {
            let outlet = self.place.outlet.borrow();
            idempotency_key(outlet.stream().text(), batch.items.iter().map(|item| item.n))
        };
        vec![(IDEMPOTENCY_HEADER.to_owned(), key), count]
    }
}

/// What it means that nothing could be shown.
fn in_the_way(trouble: Trouble) -> Outcome {
    let hold = match trouble.kind {
        TroubleKind::Unreachable => Hold::Unreachable,
        TroubleKind::Busy => Hold::Trouble,
        TroubleKind::Refused => Hold::Credentials,
        TroubleKind::Misconfigured => Hold::Misconfigured,
    };
    Outcome::Retry { hold, after: trouble.after, why: trouble.why }
}

/// What an announcement is called. Its time is that of the try, and receivers refuse another body under the same key, so
/// the key follows the body.
fn own_key(body: &Body) -> String {
    let bytes: Vec<u8> = body.slices(payload_of(&[])).collect::<Vec<_>>().concat();
    idempotency_key(&String::from_utf8_lossy(&bytes), [])
}

/// Digits of the longest length.
const LENGTH_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_with_another_body_has_another_key() {
        let key = |text: &[u8]| {
            let mut body = Body::new();
            body.push_glue(text);
            own_key(&body)
        };
        assert_eq!(key(b"{\"timestamp\":1}"), key(b"{\"timestamp\":1}"));
        assert_ne!(key(b"{\"timestamp\":1}"), key(b"{\"timestamp\":2}"));
    }
}
