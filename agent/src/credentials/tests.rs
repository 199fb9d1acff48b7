use super::*;
use crate::config::{Aws, AwsSource, Config, Entra, EntraIdentity, OAuth, Secret, SecretSource, Surroundings};
use crate::runtime::tests::on_each_side;
use futures_lite::future::zip;
use scaidrive_codecs::http::{Progress, Request, RequestReader};
use scaidrive_codecs::oauth::{ClientAuth, Cloud};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use tempfile::TempDir;

/// A destination that is let in by these ways.
fn credentials(auth: Vec<Auth>, lookup: fn(&str) -> Option<String>) -> Arc<Credentials> {
    Credentials::new(&destination(auth), lookup)
}

fn destination(auth: Vec<Auth>) -> Destination {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("agent.toml");
    let text = "[[destination]]\nname = \"d\"\ntype = \"https\"\nurl = \"https://siem.example.com/in\"\n";
    std::fs::write(&file, text).unwrap();
    let surroundings = Surroundings { host_name: "node".into(), cpus: 1, credentials: None, lookup: |_| None };
    let (config, _) = Config::load(&file, &surroundings).unwrap();
    Destination { auth, ..Destination::clone(&config.destinations[0]) }
}

fn secret(text: &str) -> Secret {
    let directory = TempDir::new().unwrap();
    secret_in(&directory.path().join("secret"), text)
}

fn secret_in(path: &Path, text: &str) -> Secret {
    std::fs::write(path, text).unwrap();
    Secret::read(SecretSource::File(path.to_owned()), |_| None).unwrap()
}

/// What a request with the body `abc` shows.
async fn show(credentials: &Arc<Credentials>, runtime: &Rc<dyn Runtime>) -> Result<Shown, Trouble> {
    let body = |visit: &mut dyn FnMut(&[u8])| visit(b"abc");
    let request = Signable {
        method: "POST",
        host: "siem.example.com",
        target: "/in?a=b,c",
        headers: &[],
        length: 3,
        plain: &body,
        sent: &body,
    };
    credentials.show(runtime, &request).await
}

fn header(shown: &Shown, name: &str) -> String {
    let found = shown.headers.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// Answers requests one after another, each on a connection of its own; tells what was asked.
fn serve(replies: Vec<(u16, &'static str)>) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for (status, body) in replies {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut reader, mut block) = (RequestReader::new(1 << 20), [0; 4096]);
            let request = loop {
                let size = socket.read(&mut block).unwrap();
                if let Progress::Done { message, .. } = reader.push(&block[..size]).unwrap() {
                    break message;
                }
            };
            tell.send(request).unwrap();
            write!(socket, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    (url, told)
}

#[test]
fn what_never_changes_is_shown_as_each_destination_wants_it() {
    on_each_side(|runtime| async move {
        let keys = AwsSource::Keys {
            access_key_id: "AKID".into(),
            secret_access_key: secret("aws"),
            session_token: Some(secret("temporary")),
        };
        let aws = Aws { region: "eu-central-1".into(), service: "es".into(), source: keys };
        let key = secret("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
        let header_auth =
            Auth::Header { key: "token", name: "Authorization".into(), prefix: "Splunk ", secret: secret("t0k") };
        for (auth, name, start) in [
            (header_auth, "Authorization", "Splunk t0k"),
            (Auth::Basic { user: "u".into(), password: secret("p w") }, "Authorization", "Basic dTpwIHc="),
            (Auth::SharedKey { workspace: "w".into(), key }, "Authorization", "SharedKey w:"),
            (Auth::Signature(vec![secret("one"), secret("two")]), "X-ScaiDrive-Signature", "t="),
            (Auth::Aws(aws), "Authorization", "AWS4-HMAC-SHA256 Credential=AKID/"),
        ] {
            let credentials = credentials(vec![auth], |_| None);
            let shown = show(&credentials, &runtime).await.unwrap();
            assert!(header(&shown, name).starts_with(start), "{name}: {}", header(&shown, name));
            assert!(!credentials.refused(&shown), "the same would be shown again");
            let is_signed = header(&shown, name).starts_with("AWS4");
            assert_eq!(shown.target.as_deref(), is_signed.then_some("/in?a=b%2Cc"));
        }
        let url = Auth::SecretUrl(secret("https://sumo.example.com/receiver/v1/http/c0de=="));
        let shown = show(&credentials(vec![url], |_| None), &runtime).await.unwrap();
        assert_eq!((shown.target.as_deref(), shown.headers.len()), (Some("/receiver/v1/http/c0de=="), 0));
    });
}

#[test]
fn lesson_32_a_secret_is_read_again_when_its_file_changes_or_the_destination_refuses_it() {
    on_each_side(|runtime| async move {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("token");
        let auth = Auth::Header { key: "token", name: "X".into(), prefix: "", secret: secret_in(&path, "first") };
        let credentials = credentials(vec![auth], |_| None);
        assert_eq!(header(&show(&credentials, &runtime).await.unwrap(), "X"), "first");
        std::fs::write(&path, "second").unwrap();
        let shown = show(&credentials, &runtime).await.unwrap();
        assert_eq!(header(&shown, "X"), "first", "files are looked at every few seconds only");
        credentials.refused(&shown);
        assert_eq!(header(&show(&credentials, &runtime).await.unwrap(), "X"), "second");
        std::fs::remove_file(&path).unwrap();
        credentials.read_again();
        assert_eq!(header(&show(&credentials, &runtime).await.unwrap(), "X"), "second", "the old one stays in use");
    });
}

fn oauth(url: &str) -> Auth {
    Auth::OAuth(OAuth {
        token_url: format!("{url}/token"),
        client_id: "me".into(),
        client_secret: secret("s3cr3t"),
        client_auth: ClientAuth::Form,
        scope: Some("events".into()),
        audience: None,
    })
}

#[test]
fn a_token_is_fetched_once_for_all_and_again_when_it_is_refused() {
    on_each_side(|runtime| async move {
        let (url, asked) = serve(vec![
            (200, r#"{"access_token":"first","token_type":"Bearer","expires_in":3600}"#),
            (200, r#"{"access_token":"second","token_type":"Bearer","expires_in":"3600"}"#),
        ]);
        let credentials = credentials(vec![oauth(&url)], |_| None);
        let (one, other) = zip(show(&credentials, &runtime), show(&credentials, &runtime)).await;
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(header(&one, "Authorization"), "Bearer first");
        assert_eq!(header(&other, "Authorization"), "Bearer first");
        let request = asked.recv().unwrap();
        let body = String::from_utf8(request.body).unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/token"));
        assert!(body.contains("client_secret=s3cr3t") && body.contains("scope=events"), "{body}");
        assert!(asked.try_recv().is_err(), "two asked, one fetched");

        assert!(credentials.refused(&one), "another token may do");
        assert_eq!(header(&show(&credentials, &runtime).await.unwrap(), "Authorization"), "Bearer second");
        credentials.refused(&other);
        let shown = show(&credentials, &runtime).await.unwrap();
        assert_eq!(header(&shown, "Authorization"), "Bearer second", "it was the first that was refused");
    });
}

#[test]
fn why_there_is_no_token_is_said_without_secrets() {
    on_each_side(|runtime| async move {
        let (url, _asked) = serve(vec![(401, r#"{"error":"invalid_client"}"#)]);
        let credentials = credentials(vec![oauth(&url)], |_| None);
        let trouble = show(&credentials, &runtime).await.err().unwrap();
        assert_eq!(trouble.kind, TroubleKind::Refused);
        assert!(trouble.why.contains("invalid_client") && !trouble.why.contains("s3cr3t"), "{}", trouble.why);
        let again = show(&credentials, &runtime).await.err().unwrap();
        assert_eq!(again, trouble, "it is not asked again at once");
        assert!(!format!("{credentials:?}").contains("s3cr3t"));

        let gone = Credentials::new(&destination(vec![oauth("http://127.0.0.1:9")]), |_| None);
        assert_eq!(show(&gone, &runtime).await.err().unwrap().kind, TroubleKind::Unreachable);
    });
}

fn entra(url: &str, identity: EntraIdentity) -> Vec<Auth> {
    let authority = Some(HttpUrl::parse(url).unwrap());
    vec![Auth::Entra(Entra { cloud: Cloud::Public, authority, identity })]
}

const TOKEN: (u16, &str) = (200, r#"{"access_token":"azure","token_type":"Bearer","expires_in":3599}"#);

#[test]
fn applications_of_entra_id_ask_with_a_secret_a_certificate_or_a_token_of_another_issuer() {
    on_each_side(|runtime| async move {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("key.pem"), include_str!("testdata/rsa.pem")).unwrap();
        let certificate = rcgen::generate_simple_self_signed(vec!["agent".into()]).unwrap().cert.pem();
        std::fs::write(at("cert.pem"), certificate).unwrap();
        std::fs::write(at("federated"), "other.issuers.token\n").unwrap();
        let (tenant, client_id) = (String::from("contoso"), String::from("app"));
        let (same_tenant, same_client) = (tenant.clone(), client_id.clone());
        for (identity, expected) in [
            (
                EntraIdentity::Secret { tenant: tenant.clone(), client_id: client_id.clone(), secret: secret("s3") },
                "client_secret=s3",
            ),
            (
                EntraIdentity::Certificate { tenant, client_id, certificate: at("cert.pem"), key: at("key.pem") },
                "client_assertion=eyJ",
            ),
            (
                EntraIdentity::Workload { tenant: same_tenant, client_id: same_client, token_file: at("federated") },
                "client_assertion=other.issuers.token",
            ),
        ] {
            let (url, asked) = serve(vec![TOKEN]);
            let credentials = credentials(entra(&url, identity), |_| None);
            let shown = show(&credentials, &runtime).await.map_err(|trouble| trouble.why).unwrap();
            assert_eq!(header(&shown, "Authorization"), "Bearer azure");
            let request = asked.recv().unwrap();
            assert_eq!(request.path, "/contoso/oauth2/v2.0/token");
            let body = String::from_utf8(request.body).unwrap();
            assert!(body.contains(expected) && body.contains("client_id=app"), "{body}");
            assert!(body.contains("scope=https%3A%2F%2Fmonitor.azure.com%2F.default"), "{body}");
        }
    });
}

#[test]
fn a_managed_identity_is_asked_for_where_app_service_says() {
    on_each_side(|runtime| async move {
        let (url, asked) = serve(vec![TOKEN]);
        let identity = EntraIdentity::Managed(scaidrive_codecs::oauth::Identity::ClientId("user-assigned".into()));
        let lookup = move |name: &str| match name {
            "IDENTITY_ENDPOINT" => Some(format!("{url}/msi/token")),
            "IDENTITY_HEADER" => Some("local-secret".to_owned()),
            _ => None,
        };
        let credentials = Credentials::new(&destination(entra("http://localhost", identity)), lookup);
        let shown = show(&credentials, &runtime).await.map_err(|trouble| trouble.why).unwrap();
        assert_eq!(header(&shown, "Authorization"), "Bearer azure");
        let request = asked.recv().unwrap();
        assert!(request.path.starts_with("/msi/token?api-version=2019-08-01"), "{}", request.path);
        assert!(request.path.contains("client_id=user-assigned"), "{}", request.path);
        let shown = request.headers.iter().find(|(name, _)| name == "X-IDENTITY-HEADER");
        assert_eq!(shown.map(|(_, value)| value.as_str()), Some("local-secret"));
    });
}

fn aws_from(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Arc<Credentials> {
    let aws = Aws { region: "eu-central-1".into(), service: "es".into(), source: AwsSource::Surroundings };
    Credentials::new(&destination(vec![Auth::Aws(aws)]), lookup)
}

const KEYS: &str =
    r#"{"AccessKeyId":"ASIA","SecretAccessKey":"secret","Token":"session","Expiration":"2100-01-01T00:00:00Z"}"#;

#[test]
fn aws_keys_come_from_the_environment_the_container_the_security_token_service_or_the_machine() {
    on_each_side(|runtime| async move {
        let environment = aws_from(|name| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKENV".into()),
            "AWS_SECRET_ACCESS_KEY" => Some("secret".into()),
            _ => None,
        });
        let shown = show(&environment, &runtime).await.map_err(|trouble| trouble.why).unwrap();
        assert!(header(&shown, "Authorization").contains("Credential=AKENV/"));

        let (url, asked) = serve(vec![(200, KEYS)]);
        let container = aws_from(move |name| match name {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Some(format!("{url}/v1/credentials?x=1")),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN" => Some("pod".into()),
            _ => None,
        });
        let shown = show(&container, &runtime).await.map_err(|trouble| trouble.why).unwrap();
        assert!(header(&shown, "Authorization").contains("Credential=ASIA/"));
        assert_eq!(header(&shown, "X-Amz-Security-Token"), "session");
        assert_eq!(asked.recv().unwrap().path, "/v1/credentials?x=1");
        assert!(container.refused(&shown), "temporary keys may be replaced");

        let directory = TempDir::new().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "web.identity.token").unwrap();
        let xml =
            "<C><AccessKeyId>ASTS</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken></C>";
        let (url, asked) = serve(vec![(200, xml)]);
        let web = aws_from(move |name| match name {
            "AWS_WEB_IDENTITY_TOKEN_FILE" => Some(file.display().to_string()),
            "AWS_ROLE_ARN" => Some("arn:aws:iam::1:role/siem".into()),
            "AWS_ENDPOINT_URL_STS" => Some(url.clone()),
            _ => None,
        });
        let shown = show(&web, &runtime).await.map_err(|trouble| trouble.why).unwrap();
        assert!(header(&shown, "Authorization").contains("Credential=ASTS/"));
        let body = String::from_utf8(asked.recv().unwrap().body).unwrap();
        assert!(body.contains("WebIdentityToken=web.identity.token"), "{body}");

        let (url, asked) = serve(vec![(200, "session-token"), (200, "siem-role\n"), (200, KEYS)]);
        let machine = aws_from(move |name| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then(|| url.clone()));
        let shown = show(&machine, &runtime).await.map_err(|trouble| trouble.why).unwrap();
        assert!(header(&shown, "Authorization").contains("Credential=ASIA/"));
        let paths: Vec<String> = asked.iter().map(|request| format!("{} {}", request.method, request.path)).collect();
        let role = "/latest/meta-data/iam/security-credentials/";
        let expected = ["PUT /latest/api/token".to_owned(), format!("GET {role}"), format!("GET {role}siem-role")];
        assert_eq!(paths, expected);
    });
}

#[test]
fn what_was_shown_is_not_repeated_in_the_words_of_a_reply() {
    on_each_side(|runtime| async move {
        let header_with =
            Auth::Header { key: "token", name: "X".into(), prefix: "Splunk ", secret: secret("t0ken-1234") };
        let url = Auth::SecretUrl(secret("https://e.sumologic.com/receiver/v1/http/C0de1234=="));
        let basic = Auth::Basic { user: "me".into(), password: secret("passw0rd") };
        let (issuer, _asked) =
            serve(vec![(200, r#"{"access_token":"b3arer","token_type":"Bearer","expires_in":3600}"#)]);
        let credentials = credentials(vec![header_with, url, basic, oauth(&issuer)], |_| None);
        let shown = show(&credentials, &runtime).await.map_err(|trouble| trouble.why).unwrap();
        for (said, expected) in [
            ("no Splunk t0ken-1234 here", "no Splunk *** here"),
            ("POST /receiver/v1/http/C0de1234== failed", "POST *** failed"),
            ("code C0de1234== is unknown", "code *** is unknown"),
            ("passw0rd, bWU6cGFzc3cwcmQ=, b3arer", "***, ***, ***"),
            ("it was cut within t0ken-12…", "it was cut within ***"),
            ("nothing of it", "nothing of it"),
        ] {
            let mut text = said.to_owned();
            shown.hide_in(&mut text);
            assert_eq!(text, expected);
        }
    });
}

#[test]
fn a_proxy_that_wants_another_password_on_the_way_to_a_token_is_a_matter_of_credentials() {
    on_each_side(|runtime| async move {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = HttpUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let proxy = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                socket.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            socket.write_all(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let behind = Destination {
            proxy: Some(ProxySettings { url, login: None, no_proxy: Vec::new() }),
            ..destination(vec![oauth("http://issuer.example.com")])
        };
        let trouble = show(&Credentials::new(&behind, |_| None), &runtime).await.err().unwrap();
        assert_eq!(trouble.kind, TroubleKind::Refused, "{}", trouble.why);
        proxy.join().unwrap();
    });
}

#[test]
fn a_turn_that_has_ended_does_not_end_the_next_one() {
    let cache = Mutex::new(Cache::<u8>::default());
    assert_eq!(lock(&cache).lease(Millis::ZERO), Lease::Fetch);
    drop(Turn { cache: &cache, is_over: true });
    assert_eq!(lock(&cache).lease(Millis::ZERO), Lease::Wait, "somebody fetches");
    drop(Turn { cache: &cache, is_over: false });
    assert_eq!(lock(&cache).lease(Millis::ZERO), Lease::Fetch, "somebody went away in the middle");
}
