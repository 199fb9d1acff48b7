//! `token`: what lets people and programs in over HTTP. Always by the agent that runs: it alone keeps them, and each change
//! becomes an audit event.

use std::path::Path;

use scaidrive_codecs::time::parse_rfc3339;
use serde_json::json;

use super::args::{TokenCommand, TokenCreateArgs, TokenListArgs, TokenRevokeArgs};
use super::client::{Client, Sockets, path_segment};
use super::words::{moment, table};
use super::{Exit, Failure, Output};
use crate::config::{Surroundings, span_of};
use crate::control::access::{Role, TokenLine, TokenMade, TokenWish};
use crate::runtime::clock;

/// Makes one, lists them, or takes one away.
pub(super) fn run(
    path: &Path,
    command: &TokenCommand,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let Some(sockets) = Sockets::find(path, surroundings, output) else { return Ok(Exit::Config) };
    let client = Client::new(&sockets.admin, path);
    match command {
        TokenCommand::Create(args) => create(&client, args, output),
        TokenCommand::List(args) => list(&client, args, output),
        TokenCommand::Revoke(args) => revoke(&client, args, output),
    }
}

fn create(client: &Client, args: &TokenCreateArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let wish = wish(args, clock::wall_ms())?;
    let made: TokenMade = client.post("/v1/tokens", json!(wish).to_string().as_bytes())?;
    if args.json {
        output.json(&json!(made));
        return Ok(Exit::Ok);
    }
    output.data(&made.secret);
    output.talk(&format!("{}: {}", made.token.name, in_words(&made.token, clock::wall_ms())));
    output.talk("this secret is shown now and never again; send it as `Authorization: Bearer …`, or log in with it");
    Ok(Exit::Ok)
}

fn wish(args: &TokenCreateArgs, now_ms: i64) -> Result<TokenWish, Failure> {
    let expires_ms = args.expires.as_deref().map(|text| until(text, now_ms)).transpose()?;
    let tenants = (!args.tenant.is_empty()).then(|| args.tenant.iter().cloned().collect());
    let role = if args.role == "admin" { Role::Admin } else { Role::Viewer };
    Ok(TokenWish { name: args.name.clone(), role, tenants, expires_ms })
}

/// A moment, or in how long it comes, in ms since 1970.
fn until(text: &str, now_ms: i64) -> Result<i64, Failure> {
    let ahead = span_of(text).map(|span| now_ms.saturating_add_unsigned(span.0));
    ahead.or_else(|| parse_rfc3339(text.as_bytes())).ok_or_else(|| Failure {
        exit: Exit::Usage,
        what: format!("--expires is \"{text}\", which is neither a time nor a span of time"),
        place: "the command line".to_owned(),
        advice: "write it like 90d or 12h for so long from now, or like 2027-03-14T09:26:53Z".to_owned(),
    })
}

fn list(client: &Client, args: &TokenListArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let tokens: Vec<TokenLine> = client.get("/v1/tokens")?;
    if args.json {
        output.json(&json!({ "tokens": tokens }));
        return Ok(Exit::Ok);
    }
    if tokens.is_empty() {
        output.talk("there are no tokens; `scaidrive-siem token create` makes one");
        return Ok(Exit::Ok);
    }
    let head = ["NAME", "ROLE", "TENANTS", "CREATED", "BY", "EXPIRES", "LAST USED"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(tokens.iter().map(|token| row(token, clock::wall_ms())));
    table(&rows).iter().for_each(|line| output.data(line));
    Ok(Exit::Ok)
}

fn row(token: &TokenLine, now_ms: i64) -> Vec<String> {
    let expires = match token.expires_ms {
        Some(_) if token.is_expired(now_ms) => "expired".to_owned(),
        Some(expires_ms) => moment(expires_ms),
        None => "never".to_owned(),
    };
    vec![
        token.name.clone(),
        role(token.role).to_owned(),
        tenants(token).unwrap_or_else(|| "all".to_owned()),
        moment(token.created_ms),
        token.created_by.clone(),
        expires,
        token.last_used_ms.map_or_else(|| "not since the start".to_owned(), moment),
    ]
}

fn revoke(client: &Client, args: &TokenRevokeArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let gone: TokenLine = client.delete(&format!("/v1/tokens/{}", path_segment(&args.name)))?;
    if args.json {
        output.json(&json!(gone));
        return Ok(Exit::Ok);
    }
    output.data(&format!("{} is worth nothing any more, and its sessions have ended", gone.name));
    Ok(Exit::Ok)
}

/// What a token is good for.
fn in_words(token: &TokenLine, now_ms: i64) -> String {
    let of = tenants(token).map_or_else(|| "all tenants".to_owned(), |tenants| format!("tenants {tenants}"));
    let until = match token.expires_ms {
        Some(_) if token.is_expired(now_ms) => "expired".to_owned(),
        Some(expires_ms) => format!("until {}", moment(expires_ms)),
        None => "until it is revoked".to_owned(),
    };
    format!("{}, {of}, {until}", role(token.role))
}

fn tenants(token: &TokenLine) -> Option<String> {
    Some(token.tenants.as_ref()?.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Viewer => "viewer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(tenants: &[&str], expires: Option<&str>) -> TokenCreateArgs {
        TokenCreateArgs {
            name: "a".to_owned(),
            role: "viewer".to_owned(),
            tenant: tenants.iter().map(|tenant| (*tenant).to_owned()).collect(),
            expires: expires.map(str::to_owned),
            json: false,
        }
    }

    #[test]
    fn a_wish_says_for_whom_and_until_when() {
        let wished = wish(&args(&["b", "a", "a"], Some("90d")), 1_000).unwrap();
        assert_eq!(wished.tenants, Some(["a".to_owned(), "b".to_owned()].into()));
        assert_eq!(wished.expires_ms, Some(1_000 + 90 * 86_400_000));
        let wished = wish(&args(&[], Some("1970-01-01T00:00:01Z")), 0).unwrap();
        assert_eq!((wished.tenants, wished.expires_ms), (None, Some(1_000)));
        let refused = wish(&args(&[], Some("soon")), 0).unwrap_err();
        assert_eq!((refused.exit, refused.what.contains("soon")), (Exit::Usage, true));
    }

    #[test]
    fn a_token_is_told_in_words() {
        let token = TokenLine {
            name: "a".to_owned(),
            role: Role::Viewer,
            tenants: Some(["t1".to_owned(), "t2".to_owned()].into()),
            created_ms: 0,
            created_by: "uid 0".to_owned(),
            expires_ms: Some(1_000),
            last_used_ms: None,
        };
        assert_eq!(in_words(&token, 0), "viewer, tenants t1, t2, until 1970-01-01T00:00:01.000Z");
        assert_eq!(
            row(&token, 1_000)[2..],
            ["t1, t2", "1970-01-01T00:00:00.000Z", "uid 0", "expired", "not since the start"]
        );
        let all = TokenLine { tenants: None, expires_ms: None, role: Role::Admin, ..token };
        assert_eq!(in_words(&all, 0), "admin, all tenants, until it is revoked");
    }
}
