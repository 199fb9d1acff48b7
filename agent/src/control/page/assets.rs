//! The page's style, script and icon. Each has a hash of its content in its name, so that a browser may keep it for ever.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};

use crate::control::http::Problem;

/// A file that is part of the program.
pub(super) struct Asset {
    name: &'static str,
    extension: &'static str,
    kind: &'static str,
    content: &'static str,
}

/// How the page looks.
pub(super) const STYLE: Asset =
    Asset { name: "page", extension: "css", kind: "text/css; charset=utf-8", content: include_str!("page.css") };
/// What makes it live.
pub(super) const SCRIPT: Asset =
    Asset { name: "page", extension: "js", kind: "text/javascript; charset=utf-8", content: include_str!("page.js") };
/// What stands in the tab.
pub(super) const ICON: Asset =
    Asset { name: "icon", extension: "svg", kind: "image/svg+xml", content: include_str!("icon.svg") };

impl Asset {
    /// Where it is.
    pub(super) fn path(&self) -> String {
        format!("/assets/{}", self.file())
    }

    fn file(&self) -> String {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.content.as_bytes());
        format!("{}.{:08x}.{}", self.name, hasher.finalize(), self.extension)
    }
}

/// Answers with an asset.
pub(super) async fn serve(Path(file): Path<String>) -> Result<Response, Problem> {
    let asset = [STYLE, SCRIPT, ICON].into_iter().find(|asset| asset.file() == file);
    let gone =
        || Problem::new(StatusCode::NOT_FOUND, "this version has no such file".to_owned()).advise("reload the page");
    let asset = asset.ok_or_else(gone)?;
    let headers = [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, FOR_EVER), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, asset.content).into_response())
}

const FOR_EVER: &str = "public, max-age=31536000, immutable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_needs_nothing_from_elsewhere() {
        assert!(SCRIPT.content.len() < 6_400, "{} bytes", SCRIPT.content.len());
        for content in [SCRIPT.content, STYLE.content] {
            assert!(!content.contains("http:") && !content.contains("https:") && !content.contains("import"));
        }
        assert!(SCRIPT.path().starts_with("/assets/page.") && SCRIPT.path().ends_with(".js"));
    }
}
