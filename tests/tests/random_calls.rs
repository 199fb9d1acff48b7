//! Random calls of the admin API, over the network and by whoever may or may not, against a model of what they do: every
//! answer is the model's, and what there is afterwards is too, also after a restart and after a `kill -9`.

use std::collections::{BTreeMap, BTreeSet};

use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::http::{HttpReply, request_once};
use scaidrive_tests::rng::{Rng, count_from_env, seed};
use serde_json::{Value, json};

/// Calls in one run, unless `SCAIDRIVE_CALLS` says how many.
const CALLS: u64 = 400;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const ALL: &str = "*";
const ACME: &str = "tnt_acme";
const OTHER: &str = "tnt_other";

/// Whoever asks.
#[derive(Clone, Debug)]
struct Caller {
    name: String,
    secret: String,
    is_admin: bool,
    /// The one tenant that they see, where it is not all.
    tenant: Option<&'static str>,
    /// Neither revoked nor made up.
    is_known: bool,
}

/// A destination, in the model, beside its key.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    port: u64,
    tenant: &'static str,
    is_ordered: bool,
    rest: Option<Rest>,
}

/// What an operator wishes of the sending to one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rest {
    Paused,
    Drained,
}

/// What is sent as a destination.
#[derive(Clone, Copy, Debug)]
struct Body {
    name: &'static str,
    port: u64,
    tenant: &'static str,
    is_ordered: bool,
    is_usable: bool,
}

#[derive(Clone, Copy, Debug)]
enum Tag {
    Absent,
    Stale,
    Right,
    Any,
}

/// One call of the API.
#[derive(Clone, Debug)]
enum Call {
    List,
    Show(&'static str),
    Create(Body),
    Change(&'static str, Body, Tag),
    Delete(&'static str, Tag),
    Replace(Vec<Body>),
    DryRun(Vec<Body>),
    Rest(&'static str, Option<Rest>),
    MakeToken { is_admin: bool, tenant: Option<&'static str> },
    Revoke(usize),
    Tokens,
}

impl Body {
    fn any(rng: &mut Rng) -> Body {
        Body {
            name: rng.pick::<&str>(&NAMES),
            port: 8_000 + rng.below(3),
            tenant: rng.pick::<&str>(&[ALL, ACME, ACME, OTHER]),
            is_ordered: rng.one_in(2),
            is_usable: !rng.one_in(8),
        }
    }

    fn json(&self) -> Value {
        // Nobody answers by this name anywhere (RFC 6761, section 6.5).
        let mut value = json!({
            "name": self.name, "type": "https", "url": format!("https://siem.invalid:{}", self.port),
            "tenants": [self.tenant], "ordered": self.is_ordered,
        });
        if !self.is_usable {
            value["batch"] = json!({"linger": "10 parsecs"});
        }
        value
    }

    fn known(&self, rest: Option<Rest>) -> Known {
        Known { port: self.port, tenant: self.tenant, is_ordered: self.is_ordered, rest }
    }
}

impl Call {
    fn any(rng: &mut Rng, callers: usize) -> Call {
        let name = *rng.pick(&NAMES);
        let tag = *rng.pick(&[Tag::Right, Tag::Right, Tag::Right, Tag::Any, Tag::Stale, Tag::Absent]);
        let bodies = |rng: &mut Rng| {
            let mut bodies: Vec<Body> = (0..rng.below(4)).map(|_| Body::any(rng)).collect();
            bodies.sort_by_key(|body| body.name);
            bodies.dedup_by_key(|body| body.name);
            bodies
        };
        match rng.below(20) {
            0 => Call::List,
            1 => Call::Show(name),
            2..=5 => Call::Create(Body::any(rng)),
            6..=9 => Call::Change(name, Body::any(rng), tag),
            10 | 11 => Call::Delete(name, tag),
            12 => Call::Replace(bodies(rng)),
            13 => Call::DryRun(bodies(rng)),
            14..=16 => Call::Rest(name, *rng.pick(&[Some(Rest::Paused), Some(Rest::Drained), None])),
            17 => Call::MakeToken { is_admin: rng.one_in(2), tenant: *rng.pick(&[None, Some(ACME)]) },
            18 => Call::Revoke(rng.below(callers as u64) as usize),
            _ => Call::Tokens,
        }
    }

    fn is_reading(&self) -> bool {
        matches!(self, Call::List | Call::Show(_) | Call::Tokens)
    }
}

/// What there is, as far as the calls have come.
struct Model {
    there: BTreeMap<&'static str, Known>,
    /// The name that each had first; it is the same destination as long as it has this.
    keys: BTreeMap<&'static str, &'static str>,
    callers: Vec<Caller>,
}

impl Model {
    fn sees(&self, caller: &Caller, name: &str) -> bool {
        self.there.get(name).is_some_and(|known| caller.tenant.is_none_or(|tenant| tenant == known.tenant))
    }

    /// The status that the call must be answered with; what it does is done, where it does anything.
    fn answer(&mut self, caller: &Caller, call: &Call) -> u16 {
        match call {
            _ if !caller.is_known => 401,
            // Tokens are for those who may change the agent itself.
            Call::Tokens if caller.tenant.is_some() || !caller.is_admin => 403,
            _ if !caller.is_admin && !call.is_reading() => 403,
            Call::List | Call::Tokens => 200,
            Call::Show(name) => {
                if self.sees(caller, name) {
                    200
                } else {
                    404
                }
            }
            Call::Create(body) => {
                let is_fit = self.is_fit(caller, body, None);
                if is_fit {
                    self.there.insert(body.name, body.known(None));
                    self.keys.insert(body.name, body.name);
                }
                if is_fit { 201 } else { 422 }
            }
            Call::Change(.., Tag::Absent) | Call::Delete(_, Tag::Absent) => 428,
            Call::Change(name, ..) | Call::Delete(name, _) if !self.sees(caller, name) => 404,
            Call::Change(name, body, _) if !self.is_fit(caller, body, Some(name)) => 422,
            // A tag is looked at where all else is well (RFC 9110, section 13.2.1).
            Call::Change(.., Tag::Stale) | Call::Delete(_, Tag::Stale) => 412,
            Call::Change(name, body, _) => {
                let rest = self.there.remove(name).and_then(|known| known.rest);
                let key = self.keys.remove(name).expect("each has a key");
                self.there.insert(body.name, body.known(rest));
                self.keys.insert(body.name, key);
                200
            }
            Call::Delete(name, _) => {
                self.there.remove(name);
                self.keys.remove(name);
                200
            }
            Call::Replace(_) | Call::DryRun(_) if caller.tenant.is_some() => 403,
            Call::Replace(bodies) | Call::DryRun(bodies) => {
                let Some((there, keys)) = self.replaced(bodies) else { return 422 };
                if matches!(call, Call::Replace(_)) {
                    (self.there, self.keys) = (there, keys);
                }
                200
            }
            Call::Rest(name, _) if !self.sees(caller, name) => 404,
            Call::Rest(name, wish) => {
                self.there.get_mut(name).expect("it is seen").rest = *wish;
                200
            }
            Call::MakeToken { .. } | Call::Revoke(_) if caller.tenant.is_some() => 403,
            Call::MakeToken { .. } => 201,
            Call::Revoke(at) => {
                let was_known = std::mem::replace(&mut self.callers[*at].is_known, false);
                if was_known { 200 } else { 404 }
            }
        }
    }

    /// Whether this can be made, or made of the destination `of`.
    fn is_fit(&self, caller: &Caller, body: &Body, of: Option<&str>) -> bool {
        let is_taken = match of {
            None => self.there.contains_key(body.name) || self.keys.values().any(|key| *key == body.name),
            Some(name) => self.there.contains_key(body.name) && name != body.name,
        };
        body.is_usable && !is_taken && caller.tenant.is_none_or(|tenant| tenant == body.tenant)
    }

    /// What a whole set makes of it. A name means the destination that had it first, before the one that has it now.
    fn replaced(
        &self,
        bodies: &[Body],
    ) -> Option<(BTreeMap<&'static str, Known>, BTreeMap<&'static str, &'static str>)> {
        let (mut there, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for body in bodies {
            let by_key = self.keys.iter().find(|(_, key)| **key == body.name).map(|(name, _)| *name);
            let old = by_key.or(self.there.contains_key(body.name).then_some(body.name));
            let key = old.map_or(body.name, |old| self.keys[old]);
            there.insert(body.name, body.known(old.and_then(|old| self.there[old].rest)));
            keys.insert(body.name, key);
        }
        let different: BTreeSet<_> = keys.values().collect();
        (bodies.iter().all(|body| body.is_usable) && different.len() == keys.len()).then_some((there, keys))
    }
}

fn send(agent: &Agent, secret: &str, method: &str, path: &str, tag: Option<&str>, body: &Value) -> HttpReply {
    let bearer = format!("Bearer {secret}");
    let mut headers = vec![("Authorization", bearer.as_str())];
    headers.extend(tag.map(|tag| ("If-Match", tag)));
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    request_once(agent.config.admin, method, path, &headers, &body).expect("the agent answers")
}

fn json_of(reply: &HttpReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

/// Makes a call, and returns what was answered.
fn make(agent: &Agent, model: &Model, first: &str, caller: &Caller, call: &Call) -> HttpReply {
    let send = |method: &str, path: &str, tag: Option<&str>, body: &Value| {
        send(agent, &caller.secret, method, path, tag, body)
    };
    let tagged = |tag: &Tag, name: &str| match tag {
        Tag::Absent => None,
        Tag::Any => Some("*".to_owned()),
        Tag::Stale => Some("\"0123456789abcdef\"".to_owned()),
        Tag::Right => {
            let shown = self::send(agent, first, "GET", &of(name), None, &Value::Null);
            Some(shown.header("etag").unwrap_or("*").to_owned())
        }
    };
    let set = |bodies: &[Body]| json!({"destinations": bodies.iter().map(Body::json).collect::<Vec<_>>()});
    match call {
        Call::List => send("GET", "/v1/destinations", None, &Value::Null),
        Call::Show(name) => send("GET", &of(name), None, &Value::Null),
        Call::Create(body) => send("POST", "/v1/destinations", None, &body.json()),
        Call::Change(name, body, tag) => send("PUT", &of(name), tagged(tag, name).as_deref(), &body.json()),
        Call::Delete(name, tag) => send("DELETE", &of(name), tagged(tag, name).as_deref(), &Value::Null),
        Call::Replace(bodies) => send("PUT", "/v1/destinations", None, &set(bodies)),
        Call::DryRun(bodies) => send("PUT", "/v1/destinations?dry_run=true", None, &set(bodies)),
        Call::Rest(name, wish) => {
            let verb = match wish {
                Some(Rest::Paused) => "pause",
                Some(Rest::Drained) => "drain",
                None => "resume",
            };
            send("POST", &format!("{}/{verb}", of(name)), None, &Value::Null)
        }
        Call::MakeToken { is_admin, tenant } => {
            let role = if *is_admin { "admin" } else { "viewer" };
            let mut wish = json!({"name": format!("t{}", model.callers.len()), "role": role});
            if let Some(tenant) = tenant {
                wish["tenants"] = json!([tenant]);
            }
            send("POST", "/v1/tokens", None, &wish)
        }
        Call::Revoke(at) => send("DELETE", &format!("/v1/tokens/{}", model.callers[*at].name), None, &Value::Null),
        Call::Tokens => send("GET", "/v1/tokens", None, &Value::Null),
    }
}

fn of(name: &str) -> String {
    format!("/v1/destinations/{name}")
}

/// What the agent says there is, as the model has it, for whoever has this secret.
fn told(agent: &Agent, secret: &str) -> BTreeMap<String, Known> {
    let listed = json_of(&send(agent, secret, "GET", "/v1/destinations", None, &Value::Null));
    let one = |listed: &Value| {
        let name = listed["name"].as_str().expect("a destination has a name").to_owned();
        let shown = json_of(&send(agent, secret, "GET", &of(&name), None, &Value::Null));
        let settings = &shown["settings_json"];
        let port = settings["url"].as_str().and_then(|url| url.rsplit_once(':')).map(|(_, port)| port.to_owned());
        let tenant = [ALL, ACME, OTHER].into_iter().find(|tenant| settings["tenants"] == json!([tenant]));
        let rest = match &listed["pause"] {
            Value::Null => None,
            pause if pause["drain"].is_null() => Some(Rest::Paused),
            _ => Some(Rest::Drained),
        };
        let known = Known {
            port: port.and_then(|port| port.parse().ok()).unwrap_or_default(),
            tenant: tenant.unwrap_or("another"),
            is_ordered: settings["ordered"] == true,
            rest,
        };
        (name, known)
    };
    listed.as_array().expect("the list is a list").iter().map(one).collect()
}

fn assert_same(agent: &Agent, model: &Model, first: &str, after: &str) {
    let there = |sees: &dyn Fn(&Known) -> bool| -> BTreeMap<String, Known> {
        let seen = model.there.iter().filter(|(_, known)| sees(known));
        seen.map(|(name, known)| ((*name).to_owned(), known.clone())).collect()
    };
    assert_eq!(told(agent, first), there(&|_| true), "after {after}");
    let of_acme = model.callers.iter().find(|caller| caller.is_known && caller.tenant == Some(ACME));
    if let Some(caller) = of_acme {
        assert_eq!(told(agent, &caller.secret), there(&|known| known.tenant == ACME), "for a tenant, after {after}");
    }
}

#[test]
fn whatever_anybody_calls_the_answers_and_the_state_are_the_models_also_after_restarts_and_crashes() {
    let mut rng = Rng::new(seed(6));
    let mut agent = Agent::new();
    agent.start();
    let path = agent.config.state_dir.join("admin-token");
    let first = std::fs::read_to_string(path).expect("the first start makes a token").trim().to_owned();
    let caller = |name: &str, secret: &str, is_known: bool| Caller {
        name: name.to_owned(),
        secret: secret.to_owned(),
        is_admin: true,
        tenant: None,
        is_known,
    };
    let mut model = Model {
        there: BTreeMap::new(),
        keys: BTreeMap::new(),
        callers: vec![caller("nobody", "sds_made_up", false), caller("first-admin", &first, true)],
    };
    for nth in 0..count_from_env("SCAIDRIVE_CALLS", CALLS) {
        match rng.below(80) {
            0 => agent.restart(),
            1 => {
                agent.kill();
                agent.start();
            }
            _ => {}
        }
        // The first admin is the one who looks at what there is, and stays.
        let mut call = Call::any(&mut rng, model.callers.len());
        if let Call::Revoke(at @ 1) = &mut call {
            *at = 0;
        }
        // A drain may have ended meanwhile; then it would stay drained.
        if let Call::Rest(name, wish @ Some(Rest::Paused)) = &mut call
            && model.there.get(name).is_some_and(|known| known.rest == Some(Rest::Drained))
        {
            *wish = None;
        }
        let caller = if rng.one_in(2) { model.callers[1].clone() } else { rng.pick(&model.callers).clone() };
        let reply = make(&agent, &model, &first, &caller, &call);
        let expected = model.answer(&caller, &call);
        let after = format!("call {nth}: {call:?} by {caller:?}");
        assert_eq!(reply.status, expected, "{after}, with {:?}: {}", model.there, reply.text());
        if let (201, Call::MakeToken { is_admin, tenant }) = (expected, &call) {
            let made = json_of(&reply);
            let text = |told: &Value| told.as_str().expect("a token has a name and a secret").to_owned();
            model.callers.push(Caller {
                name: text(&made["token"]["name"]),
                secret: text(&made["secret"]),
                is_admin: *is_admin,
                tenant: *tenant,
                is_known: true,
            });
        }
        assert_same(&agent, &model, &first, &after);
    }
    agent.kill();
    agent.start();
    assert_same(&agent, &model, &first, "a crash at the end");
    agent.restart();
    assert_same(&agent, &model, &first, "a restart at the end");
}
