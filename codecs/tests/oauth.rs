//! Token requests byte by byte, and every row of the table of token replies.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use scaidrive_codecs::http::Reply;
use scaidrive_codecs::oauth::*;
use serde_json::{Value, json};

const NOW: i64 = 1_778_595_781_453;

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() }
}

fn with_header(reply: Reply, name: &str, value: &str) -> Reply {
    Reply { headers: vec![(name.to_owned(), value.to_owned())], ..reply }
}

#[test]
fn a_client_secret_is_sent_as_a_form_to_the_clouds_own_authority() {
    let url = Cloud::Public.token_url("11111111-2222-3333-4444-555555555555");
    let request = client_secret(&url, "app", "s3cr&t+é ~", &Cloud::Public.monitor_scope());
    assert_eq!(request.method, "POST");
    assert_eq!(request.url, "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token");
    assert_eq!(request.headers[0], ("Content-Type", "application/x-www-form-urlencoded".to_owned()));
    assert_eq!(
        request.body,
        "grant_type=client_credentials&client_id=app&client_secret=s3cr%26t%2B%C3%A9%20~&scope=https%3A%2F%2Fmonitor.azure.com%2F.default"
    );
}

#[test]
fn each_cloud_has_hosts_of_its_own() {
    let hosts = |cloud: Cloud| [cloud.token_url("a/b"), cloud.monitor_scope(), cloud.data_collector_host("w")];
    assert_eq!(
        hosts(Cloud::UsGov),
        [
            "https://login.microsoftonline.us/a%2Fb/oauth2/v2.0/token",
            "https://monitor.azure.us/.default",
            "w.ods.opinsights.azure.us"
        ]
    );
    assert_eq!(
        hosts(Cloud::China),
        [
            "https://login.chinacloudapi.cn/a%2Fb/oauth2/v2.0/token",
            "https://monitor.azure.cn/.default",
            "w.ods.opinsights.azure.cn"
        ]
    );
    assert_eq!(hosts(Cloud::Public)[2], "w.ods.opinsights.azure.com");
}

#[test]
fn an_assertion_names_the_certificate_and_is_good_for_ten_minutes() {
    let to_sign = assertion_to_sign("https://a/token", "app", b"certificate", "random", NOW);
    let parts: Vec<Value> = to_sign
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    // `printf certificate | openssl dgst -sha256 -binary | base64`, in the alphabet for URLs.
    let thumbprint = "A9Zt0Ig1wco_EozOrNHzGslBYwlrIPRFroQoW8CDLXI";
    assert_eq!(parts[0], json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
    let seconds = NOW / 1000;
    assert_eq!(
        parts[1],
        json!({"aud": "https://a/token", "iss": "app", "sub": "app", "jti": "random", "iat": seconds, "nbf": seconds, "exp": seconds + 600})
    );
    assert_eq!(signed_assertion("a.b", &[0xfb, 0xff]), "a.b.-_8");
}

#[test]
fn a_certificate_and_a_federated_token_go_into_the_same_form() {
    let request = client_assertion("https://a/token", "app", "h.c.s\n", "scope");
    assert_eq!(
        request.body,
        "grant_type=client_credentials&client_id=app&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=h.c.s&scope=scope"
    );
}

#[test]
fn client_credentials_are_shown_in_the_header_or_in_the_form() {
    let basic = client_credentials("https://a/token", "my app", "s:é", ClientAuth::Basic, Some("a b"), Some("aud"));
    assert_eq!(basic.body, "grant_type=client_credentials&scope=a%20b&audience=aud");
    let (name, value) = basic.headers.last().unwrap();
    assert_eq!(
        (*name, value.as_str()),
        ("Authorization", format!("Basic {}", STANDARD.encode("my%20app:s%3A%C3%A9")).as_str())
    );
    let form = client_credentials("https://a/token", "app", "s", ClientAuth::Form, None, None);
    assert_eq!(form.body, "grant_type=client_credentials&client_id=app&client_secret=s");
    assert!(form.headers.iter().all(|(name, _)| *name != "Authorization"));
}

#[test]
fn a_virtual_machine_asks_its_own_endpoint_for_a_resource_without_default() {
    let request = imds(Cloud::Public.monitor(), &Identity::System);
    assert_eq!(
        (request.method, request.url.as_str()),
        (
            "GET",
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com"
        )
    );
    assert_eq!(request.headers, [("Metadata", "true".to_owned())]);
    assert!(request.body.is_empty());
    let chosen = [
        (Identity::ClientId("c".into()), "&client_id=c"),
        (Identity::ObjectId("o".into()), "&object_id=o"),
        (Identity::ResourceId("/s/r".into()), "&msi_res_id=%2Fs%2Fr"),
    ];
    for (identity, ending) in chosen {
        assert!(imds("r", &identity).url.ends_with(ending), "{ending}");
    }
}

#[test]
fn app_service_gets_the_header_of_its_environment() {
    let request = app_service("http://127.0.0.1:4141/msi/token?x=1", "s3cr3t", "r", &Identity::ClientId("c".into()));
    assert_eq!(request.url, "http://127.0.0.1:4141/msi/token?x=1&api-version=2019-08-01&resource=r&client_id=c");
    assert_eq!(request.headers, [("X-IDENTITY-HEADER", "s3cr3t".to_owned())]);
}

#[test]
fn arc_answers_a_challenge_with_the_key_of_the_file_it_names() {
    let request = arc(ARC_URL, "r", None);
    assert_eq!(request.url, "http://127.0.0.1:40342/metadata/identity/oauth2/token?api-version=2019-11-01&resource=r");
    assert_eq!(request.headers, [("Metadata", "true".to_owned())]);
    let challenge = |value: &str| arc_challenge(&with_header(reply(401, ""), "WWW-Authenticate", value));
    let path = "/var/opt/azcmagent/tokens/1f-2_a.key";
    assert_eq!(challenge(&format!("Basic realm={path}")).as_deref(), Some(path));
    assert_eq!(challenge(&format!("basic  realm=\"{path}\"")).as_deref(), Some(path));
    assert_eq!(arc(ARC_URL, "r", Some("k\n")).headers[1], ("Authorization", "Basic k".to_owned()));
}

#[test]
fn arc_cannot_name_a_file_elsewhere() {
    let elsewhere = [
        "/etc/shadow",
        "/etc/ssl/x.key",
        "/var/opt/azcmagent/tokens/../../x.key",
        "/var/opt/azcmagent/tokens/a/b.key",
        "/var/opt/azcmagent/tokens/.key",
        "/var/opt/azcmagent/tokens/a.pem",
        "",
    ];
    for path in elsewhere {
        let challenge = with_header(reply(401, ""), "WWW-Authenticate", &format!("Basic realm={path}"));
        assert_eq!(arc_challenge(&challenge), None, "{path}");
    }
    let path = "/var/opt/azcmagent/tokens/a.key";
    for (status, value) in
        [(200, format!("Basic realm={path}")), (401, format!("Bearer realm={path}")), (401, "Basic".into())]
    {
        assert_eq!(arc_challenge(&with_header(reply(status, ""), "WWW-Authenticate", &value)), None);
    }
}

fn outcome(status: u16, body: &Value) -> TokenOutcome {
    token_reply(&reply(status, &body.to_string()), NOW)
}

fn expires_at(body: &Value) -> i64 {
    let TokenOutcome::Token { token, expires_at_ms } = outcome(200, body) else { panic!("{body}") };
    assert_eq!(token.secret(), "t0k3n");
    expires_at_ms
}

#[test]
fn a_token_of_entra_has_its_life_as_a_number() {
    let body = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "t0k3n"});
    assert_eq!(expires_at(&body), NOW + 3_599_000);
}

#[test]
fn a_token_of_a_machine_has_its_life_as_a_string() {
    let body = json!({"token_type": "Bearer", "expires_in": "3599", "expires_on": "1778599999", "not_before": "1", "access_token": "t0k3n"});
    assert_eq!(expires_at(&body), NOW + 3_599_000);
}

#[test]
fn a_token_of_app_service_has_only_its_end() {
    for end in [json!("1778599381"), json!(1_778_599_381)] {
        assert_eq!(expires_at(&json!({"expires_on": end, "access_token": "t0k3n"})), 1_778_599_381_000);
    }
}

#[test]
fn a_life_that_is_not_told_is_short_and_no_life_is_negative_or_endless() {
    assert_eq!(expires_at(&json!({"access_token": "t0k3n"})), NOW + 600_000);
    assert_eq!(expires_at(&json!({"access_token": "t0k3n", "expires_in": "soon"})), NOW + 600_000);
    assert_eq!(expires_at(&json!({"access_token": "t0k3n", "expires_in": -5})), NOW);
    assert_eq!(expires_at(&json!({"access_token": "t0k3n", "expires_in": 1e300})), NOW + 30 * 86_400_000);
    assert_eq!(expires_at(&json!({"access_token": "t0k3n", "expires_on": 5})), NOW);
}

#[test]
fn what_is_no_usable_token_is_refused_without_showing_it() {
    let bodies = [
        json!({}),
        json!("t0k3n"),
        json!({"access_token": ""}),
        json!({"access_token": ["t0k3n"]}),
        json!({"access_token": "t0k3n\r\nX: y"}),
        json!({"access_token": "t0k3n".repeat(20_000)}),
        json!({"access_token": "t0k3n", "token_type": "mac"}),
    ];
    for body in bodies {
        let found = outcome(200, &body);
        assert!(matches!(found, TokenOutcome::Refused { .. }), "{found:?}");
        assert!(!format!("{found:?}").contains("t0k3n"), "{found:?}");
    }
    assert!(matches!(token_reply(&reply(200, "<html>"), NOW), TokenOutcome::Refused { .. }));
    assert!(matches!(token_reply(&reply(302, ""), NOW), TokenOutcome::Refused { .. }));
}

#[test]
fn lesson_32_errors_400_and_401_of_entra_are_refused_with_a_hint_for_each_known_code() {
    let known = [
        (7_000_215, "wrong"),
        (7_000_222, "expired"),
        (700_016, "client id"),
        (90_002, "tenant"),
        (70_011, "scope"),
        (700_211, "federated"),
        (700_212, "federated"),
        (700_213, "federated"),
    ];
    for (code, hint) in known {
        let body = json!({"error": "invalid_client", "error_description": "AADSTS: D\r\nTrace", "error_codes": [code]});
        for status in [400, 401] {
            let TokenOutcome::Refused { why } = outcome(status, &body) else { panic!("{code}") };
            assert!(why.starts_with(&format!("HTTP {status}, invalid_client: AADSTS: D  Trace (")), "{why}");
            assert!(why.contains(hint), "{why}");
        }
    }
    let unknown = json!({"error": "invalid_client", "error_codes": [1]});
    assert_eq!(outcome(401, &unknown), TokenOutcome::Refused { why: "HTTP 401, invalid_client".into() });
}

#[test]
fn errors_429_and_5xx_of_entra_are_retried() {
    for status in [429, 500, 502, 503, 504] {
        retried(status);
    }
}

fn retried(status: u16) {
    let slow = with_header(reply(status, "B"), "Retry-After", "7");
    let expected = TokenOutcome::Retry { after_ms: Some(7_000), why: format!("HTTP {status}: B") };
    assert_eq!(token_reply(&slow, NOW), expected);
}

#[test]
fn imds_400_bad_request_102_is_refused_with_a_hint() {
    let TokenOutcome::Refused { why } = outcome(400, &json!({"error": "bad_request_102"})) else { panic!() };
    assert!(why.contains("Metadata: true"), "{why}");
}

#[test]
fn imds_400_invalid_resource_is_refused_with_a_hint() {
    let TokenOutcome::Refused { why } = outcome(400, &json!({"error": "invalid_resource"})) else { panic!() };
    assert!(why.contains("cloud"), "{why}");
}

#[test]
fn imds_401_no_identity_is_refused() {
    let TokenOutcome::Refused { why } = outcome(401, &json!({"error": "unknown_source"})) else { panic!() };
    assert!(why.contains("no identity"), "{why}");
}

#[test]
fn imds_404_endpoint_updating_is_retried() {
    retried(404);
}

#[test]
fn imds_410_back_within_70_seconds_is_retried() {
    retried(410);
}

#[test]
fn imds_429_throttled_is_retried() {
    retried(429);
}

#[test]
fn imds_5xx_is_retried() {
    for status in [500, 502, 503, 504] {
        retried(status);
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let requests = [
        client_secret("https://a/token", "app", "s3cr3t", "scope"),
        client_assertion("https://a/token", "app", "s3cr3t", "scope"),
        client_credentials("https://a/token?k=s3cr3t", "app", "s3cr3t", ClientAuth::Basic, None, None),
        client_credentials("https://a/token", "app", "s3cr3t", ClientAuth::Form, None, None),
        app_service("http://127.0.0.1/", "s3cr3t", "r", &Identity::System),
        arc(ARC_URL, "r", Some("s3cr3t")),
    ];
    for request in requests {
        let shown = format!("{request:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains(&STANDARD.encode("app:s3cr3t")), "{shown}");
    }
    let shown = format!("{:?}", outcome(200, &json!({"access_token": "s3cr3t"})));
    assert!(shown.contains("***") && !shown.contains("s3cr3t"), "{shown}");
}
