//! Who looks at the page, at which destination, and what the form that they sent holds.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::kept::AGAIN;
use super::note::Note;
use super::view::frame::Frame;
use crate::config::Destination;
use crate::control::access::{Person, Session};
use crate::control::destinations::find_for;
use crate::control::http::{Panel, Path, Problem, body};
use crate::runtime::clock;

impl Frame {
    /// What is around the answer to a request.
    ///
    /// # Errors
    /// When nobody is known to have sent it.
    pub(super) fn of(panel: &Panel, uri: &Uri, headers: &HeaderMap, extensions: &Extensions) -> Result<Frame, Problem> {
        let nobody = || Problem::new(StatusCode::UNAUTHORIZED, "nobody is logged in".to_owned()).advise("log in first");
        Ok(Frame {
            person: extensions.get::<Person>().cloned().ok_or_else(nobody)?,
            csrf: extensions.get::<Session>().map(|session| session.csrf.clone()),
            may_leave: extensions.get::<Session>().is_some_and(|session| session.began_here),
            base: panel.access.base_path().to_owned(),
            node: panel.view.config().agent.node.clone(),
            note: field(uri.query().unwrap_or_default().as_bytes(), "done").and_then(|code| Note::named(&code)),
            is_fragment: headers.contains_key(FRAGMENT),
            now_ms: clock::wall_ms(),
        })
    }
}

impl FromRequestParts<Arc<Panel>> for Frame {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, panel: &Arc<Panel>) -> Result<Frame, Problem> {
        Frame::of(panel, &parts.uri, &parts.headers, &parts.extensions)
    }
}

/// A destination that the path names and that whoever looks may see.
pub(super) struct Asked {
    /// What is around it.
    pub(super) frame: Frame,
    /// Its name.
    pub(super) name: String,
    /// Its settings.
    pub(super) destination: Arc<Destination>,
}

/// The part of a path that names it.
#[derive(Deserialize)]
struct Named {
    destination: String,
}

impl FromRequestParts<Arc<Panel>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, panel: &Arc<Panel>) -> Result<Asked, Problem> {
        let frame = Frame::from_request_parts(parts, panel).await?;
        let Path(Named { destination: name }) = Path::from_request_parts(parts, panel).await?;
        let destination = find_for(&frame.person, &panel.view.config(), &name)?;
        Ok(Asked { frame, name, destination })
    }
}

/// What stands behind the question mark.
pub(super) struct Query(String);

/// The fields of a form that was sent. It may hold a secret, so it is wiped when it is dropped.
pub(super) struct Form(Zeroizing<Vec<u8>>);

impl Query {
    /// The first value of this name.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        field(self.0.as_bytes(), name)
    }
}

impl Form {
    /// The first value of this name.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        field(&self.0, name)
    }

    /// Whether somebody only comes back to what they had written, and nothing is to be done.
    pub(super) fn is_back(&self) -> bool {
        self.field("_do").as_deref() == Some(AGAIN)
    }

    /// Every value of this name.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let pairs = form_urlencoded::parse(&self.0);
        pairs.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).collect()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Query, Problem> {
        Ok(Query(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Form, Problem> {
        Ok(Form(body(request, FORM_MAX).await?))
    }
}

fn field(pairs: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(pairs).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// By this header a script says that it has what is around a page already.
pub(in crate::control) const FRAGMENT: &str = "x-fragment";
/// Bytes of a form at most: the longest event, every byte of it written as three.
const FORM_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form(Zeroizing::new(b"letter=a%3A1&letter=b%3A2&event=%7B%22a%22+%3A1%7D&up_to=".to_vec()));
        assert_eq!(form.all("letter"), ["a:1", "b:2"]);
        assert_eq!(form.field("event").as_deref(), Some("{\"a\" :1}"));
        assert_eq!((form.field("up_to").as_deref(), form.field("none")), (Some(""), None));
    }
}
