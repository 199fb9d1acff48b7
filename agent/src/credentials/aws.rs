//! Where AWS keys come from: the configuration, or what AWS gives a process where it runs.
//!
//! Without keys in the configuration the sources are tried in the order of AWS's own libraries ("AWS SDKs and Tools
//! Reference Guide: Standardized credential providers"): the environment, a web identity, the container's endpoint,
//! the machine's metadata service, version 2.

use std::path::PathBuf;
use std::rc::Rc;

use scaidrive_codecs::http::Reply;
use scaidrive_codecs::time::parse_rfc3339;
use serde_json::Value;

use super::ask::{Question, Whereabouts, ask};
use super::cache::{Trouble, TroubleCause, TroubleKind};
use super::entra::read_text;
use super::sigv4::AwsKeys;
use super::{Credentials, leased, misconfigured};
use crate::config::{Aws, AwsSource};
use crate::runtime::Runtime;
use crate::time::Millis;

impl Credentials {
    /// Keys to sign with; with a number where they are temporary.
    pub(super) async fn aws_keys(
        &self,
        runtime: &Rc<dyn Runtime>,
        aws: &Aws,
    ) -> Result<(AwsKeys, Option<u64>), Trouble> {
        match &aws.source {
            AwsSource::Keys { access_key_id, secret_access_key, session_token } => {
                let keys = AwsKeys {
                    access_key_id: access_key_id.clone(),
                    secret_access_key: secret_access_key.reveal().to_owned(),
                    session_token: session_token.as_ref().map(|token| token.reveal().to_owned()),
                };
                Ok((keys, None))
            }
            AwsSource::Surroundings => {
                let fetch = || surroundings(self, runtime, aws);
                let (keys, generation) = leased(runtime, &self.aws_keys, fetch).await?;
                Ok((keys, Some(generation)))
            }
        }
    }
}

async fn surroundings(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    aws: &Aws,
) -> Result<(AwsKeys, Millis), Trouble> {
    let variable = |name: &str| (credentials.lookup)(name).filter(|value| !value.is_empty());
    if let (Some(access_key_id), Some(secret_access_key)) =
        (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
    {
        let keys = AwsKeys { access_key_id, secret_access_key, session_token: variable("AWS_SESSION_TOKEN") };
        return Ok((keys, ENVIRONMENT_LIFE));
    }
    if let (Some(file), Some(role)) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN")) {
        let session = variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| String::from("scaidrive-siem"));
        let endpoint =
            variable("AWS_ENDPOINT_URL_STS").unwrap_or_else(|| format!("https://sts.{}.amazonaws.com", aws.region));
        let token = read_text(runtime, PathBuf::from(file), TOKEN_MAX).await?;
        return web_identity(credentials, runtime, &endpoint, &role, &session, &token).await;
    }
    let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{CONTAINER_HOST}{path}"));
    if let Some(url) = relative.or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        let token = match variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(file) => Some(read_text(runtime, PathBuf::from(file), TOKEN_MAX).await?),
            None => variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        };
        let headers: Vec<(&str, &str)> = token.iter().map(|token| ("Authorization", token.as_str())).collect();
        let question =
            Question { method: "GET", url: &url, headers: &headers, body: "", whereabouts: Whereabouts::Near };
        return json_keys(&ask(credentials, runtime, &question).await?, runtime.wall_ms());
    }
    let endpoint = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| METADATA_HOST.to_owned());
    machine(credentials, runtime, endpoint.trim_end_matches('/')).await
}

/// `AssumeRoleWithWebIdentity` ("AWS Security Token Service API Reference").
async fn web_identity(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    endpoint: &str,
    role: &str,
    session: &str,
    token: &str,
) -> Result<(AwsKeys, Millis), Trouble> {
    let fields = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", session),
        ("WebIdentityToken", token),
    ];
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", form_value(value))).collect();
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/xml")];
    let url = format!("{}/", endpoint.trim_end_matches('/'));
    let question = Question {
        method: "POST",
        url: &url,
        headers: &headers,
        body: &body.join("&"),
        whereabouts: Whereabouts::Public,
    };
    xml_keys(&ask(credentials, runtime, &question).await?, runtime.wall_ms())
}

/// The machine's metadata service, version 2: a session first, then the role, then its keys.
async fn machine(
    credentials: &Credentials,
    runtime: &Rc<dyn Runtime>,
    endpoint: &str,
) -> Result<(AwsKeys, Millis), Trouble> {
    let url = format!("{endpoint}/latest/api/token");
    let life = [("X-aws-ec2-metadata-token-ttl-seconds", "300")];
    let question = Question { method: "PUT", url: &url, headers: &life, body: "", whereabouts: Whereabouts::Near };
    let session = text_of(&ask(credentials, runtime, &question).await?)?;
    let headers = [("X-aws-ec2-metadata-token", session.as_str())];
    let url = format!("{endpoint}/latest/meta-data/iam/security-credentials/");
    let question = Question { method: "GET", url: &url, headers: &headers, ..question };
    let roles = text_of(&ask(credentials, runtime, &question).await?)?;
    let Some(role) = roles.lines().map(str::trim).find(|role| !role.is_empty()) else {
        return Err(misconfigured(String::from("this machine has no role, so it has no AWS keys")));
    };
    let url = format!("{url}{role}");
    let question = Question { url: &url, ..question };
    json_keys(&ask(credentials, runtime, &question).await?, runtime.wall_ms())
}

fn text_of(reply: &Reply) -> Result<String, Trouble> {
    checked(reply)?;
    Ok(String::from_utf8_lossy(&reply.body).trim().to_owned())
}

/// Keys as the container's endpoint and the metadata service give them.
fn json_keys(reply: &Reply, wall_ms: i64) -> Result<(AwsKeys, Millis), Trouble> {
    checked(reply)?;
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str();
    keys(text("AccessKeyId"), text("SecretAccessKey"), text("Token"), text("Expiration"), wall_ms)
}

/// Keys as the Security Token Service gives them.
fn xml_keys(reply: &Reply, wall_ms: i64) -> Result<(AwsKeys, Millis), Trouble> {
    checked(reply)?;
    let body = String::from_utf8_lossy(&reply.body);
    // The values are Base64 text and times, which XML never escapes.
    let text = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.trim())
    };
    keys(text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken"), text("Expiration"), wall_ms)
}

fn keys(
    access_key_id: Option<&str>,
    secret_access_key: Option<&str>,
    session_token: Option<&str>,
    expiration: Option<&str>,
    wall_ms: i64,
) -> Result<(AwsKeys, Millis), Trouble> {
    let (Some(access_key_id), Some(secret_access_key)) = (access_key_id, secret_access_key) else {
        return Err(misconfigured(String::from("the answer holds no AWS keys")));
    };
    let until = expiration.and_then(|text| parse_rfc3339(text.as_bytes()));
    let life = until.map_or(UNKNOWN_LIFE, |until| Millis(u64::try_from(until - wall_ms).unwrap_or(0)));
    let keys = AwsKeys {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: secret_access_key.to_owned(),
        session_token: session_token.map(str::to_owned),
    };
    Ok((keys, life))
}

/// The words of an error never hold keys: there are none in it.
fn checked(reply: &Reply) -> Result<(), Trouble> {
    let kind = match reply.status {
        200..300 => return Ok(()),
        429 | 500.. => TroubleKind::Busy,
        _ => TroubleKind::Refused,
    };
    let words = scaidrive_codecs::verdict::shown(&String::from_utf8_lossy(&reply.body));
    let cause = TroubleCause::Answer { status: reply.status, error: None, codes: Vec::new() };
    Err(Trouble { kind, why: format!("no AWS keys: HTTP {}: {words}", reply.status), after: None, cause })
}

/// A value in a form (the percent-encoding of RFC 3986).
fn form_value(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

const CONTAINER_HOST: &str = "http://169.254.170.2";
const METADATA_HOST: &str = "http://169.254.169.254";
const TOKEN_MAX: u64 = 64 << 10;
/// The environment of a process does not change, so this only says how often it is looked at.
const ENVIRONMENT_LIFE: Millis = Millis::from_secs(24 * 3600);
/// Keys that do not say when they end are fetched again this often.
const UNKNOWN_LIFE: Millis = Millis::from_secs(900);

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() }
    }

    #[test]
    fn keys_are_read_from_both_forms_with_their_end() {
        let json = r#"{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s/x+","Token":"t==","Expiration":"1970-01-01T01:00:00Z"}"#;
        let xml = "<R><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/x+</SecretAccessKey><SessionToken>t==</SessionToken><Expiration>1970-01-01T01:00:00Z</Expiration></Credentials></R>";
        let expected = AwsKeys {
            access_key_id: "ASIA1".into(),
            secret_access_key: "s/x+".into(),
            session_token: Some("t==".into()),
        };
        for found in [json_keys(&reply(200, json), 600_000), xml_keys(&reply(200, xml), 600_000)] {
            assert_eq!(found.unwrap(), (expected.clone(), Millis::from_secs(3000)));
        }
    }

    #[test]
    fn an_answer_without_keys_is_trouble_of_its_kind() {
        assert_eq!(json_keys(&reply(503, ""), 0).unwrap_err().kind, TroubleKind::Busy);
        assert_eq!(json_keys(&reply(403, ""), 0).unwrap_err().kind, TroubleKind::Refused);
        assert_eq!(xml_keys(&reply(200, "<html>"), 0).unwrap_err().kind, TroubleKind::Misconfigured);
    }

    #[test]
    fn a_role_is_escaped_in_a_form() {
        assert_eq!(form_value("arn:aws:iam::1:role/a b"), "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b");
    }
}
