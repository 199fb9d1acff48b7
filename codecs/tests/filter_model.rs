//! Filters and scopes agree with a model that parses every event anew and compares the plain way; escapes change nothing.

use scaidrive_codecs::event::Event;
use scaidrive_codecs::{Filter, FilterSpec, Scope, Scratch, index};
use serde_json::Value;

/// A small seeded generator, so that a failing seed can be run again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn some(&mut self, words: &[&str], up_to: usize) -> Vec<String> {
        (0..self.below(up_to + 1)).map(|_| self.pick(words).to_owned()).collect()
    }
}

const CATEGORIES: [&str; 5] = ["SECURITY", "FILE_ACCESS", "SHARING", "security", "É"];
const ACTIONS: [&str; 6] = ["file.download", "file.upload", "file", "link.create", "auth.login_failed", "file.x.y"];
const SEVERITIES: [&str; 10] =
    ["debug", "info", "notice", "low", "warning", "medium", "error", "high", "critical", "odd"];
const USERS: [&str; 7] =
    ["usr_1", "usr_2", "svc_backup", "svc_ci", "alice@example.com", "Alice@Example.COM", "bob@example.org"];
const PATHS: [&str; 14] = [
    "/tmp",
    "/tmp/",
    "/tmp/x",
    "/tmp/a/b",
    "/TMP/x",
    "/home/a/.git/config",
    "/home/a/b.txt",
    "/home/a/b.log",
    "/x.log",
    "/a\\b",
    "/é/ü.txt",
    "relative/x.log",
    "",
    "/home/a\nb/c.txt",
];
const USER_PATTERNS: [&str; 7] = ["usr_1", "svc_*", "*@example.com", "ALICE@example.com", "*ci", "SVC_BACKUP", "u*_*2"];
const PATH_PATTERNS: [&str; 9] =
    ["/tmp/**", "/tmp/*", "**/*.log", "/home/*/b.*", "/home/**/config", "/tm?", "/é/*.txt", "**/.git/**", "/x.log"];

fn spec(chance: &mut Chance) -> FilterSpec {
    FilterSpec {
        categories: chance.some(&["SECURITY", "FILE_ACCESS", "SHARING", "*", "S*", "É"], 2),
        actions: chance.some(&["file.download", "file.*", "link.create", "*", "*.login_failed", "*.*.*", "f*d"], 2),
        severities: chance.some(&["info", "low", "WARNING", "medium", "error", "high", "critical", "*", "debug"], 3),
        excluded_users: chance.some(&USER_PATTERNS, 2),
        excluded_paths: chance.some(&PATH_PATTERNS, 2),
    }
}

/// Writes a JSON string, some of its characters as escapes that mean the same.
fn write_text(text: &str, chance: &mut Chance) -> String {
    let escapes = chance.one_in(3);
    let mut out = String::from("\"");
    for character in text.chars() {
        if character < ' ' || matches!(character, '"' | '\\') || escapes && chance.one_in(3) {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().for_each(|unit| out += &format!("\\u{unit:04x}"));
        } else if escapes && character == '/' {
            out += "\\/";
        } else {
            out.push(character);
        }
    }
    out + "\""
}

fn event(chance: &mut Chance) -> String {
    let mut members = vec![
        format!("\"event_id\":{}", write_text("evt_1", chance)),
        "\"timestamp\":\"2026-05-12T14:23:01.453Z\"".to_owned(),
    ];
    let tenant = chance.pick(&TENANTS);
    members.push(format!("\"tenant_id\":{}", write_text(tenant, chance)));
    for (key, words) in [("category", &CATEGORIES[..]), ("action", &ACTIONS), ("severity", &SEVERITIES)] {
        let word = chance.pick(words);
        members.push(format!("\"{key}\":{}", write_text(word, chance)));
    }
    for (key, words) in
        [("user_id", &USERS[..]), ("user_email", &USERS), ("service_account", &USERS), ("resource_path", &PATHS)]
    {
        match chance.below(6) {
            0 => {}
            1 => members.push(format!("\"{key}\":null")),
            _ => {
                let word = chance.pick(words);
                members.push(format!("\"{key}\":{}", write_text(word, chance)));
            }
        }
    }
    let middle = chance.below(members.len());
    members.rotate_left(middle);
    format!("{{{}}}", members.join(","))
}

const TENANTS: [&str; 4] = ["tnt_1", "tnt_2", "tnt_10", "_agent"];

fn naive_selects(spec: &FilterSpec, event: &Value) -> bool {
    let text = |key: &str| event[key].as_str();
    let wants = |list: &[String], key: &str| {
        list.is_empty() || list.iter().any(|entry| entry == "*" || naive_star(entry, text(key).unwrap()))
    };
    let severity = |word: &str| match word.to_lowercase().as_str() {
        "low" => "notice".to_owned(),
        "medium" => "warning".to_owned(),
        "high" => "error".to_owned(),
        other => other.to_owned(),
    };
    let wants_severity = spec.severities.is_empty()
        || text("severity") == Some("odd")
        || spec.severities.iter().any(|entry| entry == "*" || severity(entry) == severity(text("severity").unwrap()));
    let excludes_user = spec.excluded_users.iter().any(|entry| {
        ["user_id", "service_account"].iter().any(|key| text(key).is_some_and(|name| naive_star(entry, name)))
            || text("user_email")
                .is_some_and(|email| naive_star(&entry.to_ascii_lowercase(), &email.to_ascii_lowercase()))
    });
    let excludes_path =
        text("resource_path").is_some_and(|path| spec.excluded_paths.iter().any(|glob| naive_glob(glob, path)));
    wants(&spec.categories, "category")
        && wants(&spec.actions, "action")
        && wants_severity
        && !excludes_user
        && !excludes_path
}

fn naive_star(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, rest)) => name.strip_prefix(before).is_some_and(|after| {
            (0..=after.len()).filter(|at| after.is_char_boundary(*at)).any(|at| naive_star(rest, &after[at..]))
        }),
    }
}

/// Globs by components: `**` is any number of whole components, `*` and `?` stay inside one.
fn naive_glob(glob: &str, path: &str) -> bool {
    let glob: Vec<&str> = glob.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    components(&glob, &path)
}

fn components(glob: &[&str], path: &[&str]) -> bool {
    match glob {
        [] => path.is_empty(),
        // At the end it stands for at least one component.
        ["**"] => !path.is_empty(),
        ["**", rest @ ..] => (0..=path.len()).any(|skip| components(rest, &path[skip..])),
        [first, rest @ ..] => path.first().is_some_and(|name| naive_name(first, name)) && components(rest, &path[1..]),
    }
}

fn naive_name(pattern: &str, name: &str) -> bool {
    let (mut p, mut n) = (pattern.chars(), name.chars());
    match (p.next(), n.next()) {
        (None, None) => true,
        (Some('*'), _) => {
            let rest = p.as_str();
            (0..=name.len()).filter(|at| name.is_char_boundary(*at)).any(|at| naive_name(rest, &name[at..]))
        }
        (Some('?'), Some(_)) => naive_name(p.as_str(), n.as_str()),
        (Some(a), Some(b)) if a == b => naive_name(p.as_str(), n.as_str()),
        _ => false,
    }
}

#[test]
fn a_hundred_thousand_events_are_judged_as_the_model_judges_them() {
    let mut scratch = Scratch::default();
    let mut selected = 0;
    for seed in 0..10_000 {
        let mut chance = Chance(seed);
        let spec = spec(&mut chance);
        let filter = Filter::compile(&spec).unwrap();
        let scope_names = chance.some(&["tnt_1", "tnt_2", "_agent", "*"], 2);
        let scope = Scope::compile(&scope_names).ok();
        for _ in 0..10 {
            let raw = event(&mut chance);
            let value: Value = serde_json::from_str(&raw).unwrap();
            let index = index(raw.as_bytes()).unwrap();
            let event = Event::new(raw.as_bytes(), &index);
            let found = filter.selects(&event, &mut scratch);
            assert_eq!(found, naive_selects(&spec, &value), "seed {seed}: {spec:?} {raw}");
            selected += usize::from(found);
            if let Some(scope) = &scope {
                let tenant = value["tenant_id"].as_str().unwrap();
                let expected = scope_names.iter().any(|name| name == "*" || name == tenant);
                assert_eq!(scope.includes(tenant), expected, "seed {seed}: {scope_names:?} {raw}");
            }
        }
    }
    assert!((10_000..90_000).contains(&selected), "{selected} of 100,000 were selected: the test says little");
}

fn selects(spec: &FilterSpec, raw: &str) -> bool {
    let index = index(raw.as_bytes()).unwrap();
    Filter::compile(spec).unwrap().selects(&Event::new(raw.as_bytes(), &index), &mut Scratch::default())
}

fn with(members: &str) -> String {
    format!(
        r#"{{"event_id":"e","timestamp":"2026-05-12T14:23:01Z","tenant_id":"t","category":"C","action":"a.b","severity":"odd"{members}}}"#
    )
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_escape_does_not_carry_an_event_past_a_filter() {
    let spec =
        FilterSpec { excluded_paths: names(&["/tmp/**"]), excluded_users: names(&["svc_*"]), ..FilterSpec::default() };
    for members in [
        r#","resource_path":"/tmp/x""#,
        r#","resource_path":"/tm\u0070/x""#,
        r#","resource_path":"\/tmp\/x""#,
        r#","service_account":"s\u0076c_x""#,
        r#","user_id":"svc\u005fx""#,
        r#","user_email":"SV\u0043_x""#,
    ] {
        assert!(!selects(&spec, &with(members)), "{members}");
    }
    let wanted = FilterSpec { actions: names(&["a.*"]), categories: names(&["C"]), ..FilterSpec::default() };
    assert!(selects(&wanted, &with("").replace("a.b", r"\u0061.b").replace("\"C\"", r#""\u0043""#)));
}

#[test]
fn an_event_without_user_or_path_is_not_excluded() {
    let spec = FilterSpec { excluded_paths: names(&["**"]), excluded_users: names(&["*"]), ..FilterSpec::default() };
    assert!(selects(&spec, &with("")));
    assert!(selects(&spec, &with(r#","resource_path":null,"user_id":null"#)));
    assert!(!selects(&spec, &with(r#","resource_path":"/x""#)));
    assert!(!selects(&spec, &with(r#","user_id":"u""#)));
}

#[test]
fn an_unknown_severity_passes_every_severity_filter() {
    let spec = FilterSpec { severities: names(&["critical"]), ..FilterSpec::default() };
    assert!(selects(&spec, &with("")));
    assert!(!selects(&spec, &with("").replace("odd", "info")));
}

#[test]
fn a_directory_pattern_names_what_lies_below_it() {
    let excluded = |glob: &str, path: &str| {
        let spec = FilterSpec { excluded_paths: names(&[glob]), ..FilterSpec::default() };
        !selects(&spec, &with(&format!(",\"resource_path\":{}", serde_json::to_string(path).unwrap())))
    };
    assert!(excluded("/tmp/**", "/tmp/a") && excluded("/tmp/**", "/tmp/a/b") && !excluded("/tmp/**", "/tmp"));
    assert!(excluded("/tmp/*", "/tmp/a") && !excluded("/tmp/*", "/tmp/a/b"));
    assert!(excluded("**/*.{log,tmp}", "/a/b.tmp") && !excluded("**/*.{log,tmp}", "/a/b.txt"));
    assert!(!excluded("/tmp/**", "/x/tmp/a") && !excluded("/tmp/**", "/TMP/a"));
    assert!(excluded("/a/[bc]", "/a/c") && !excluded("/a/[bc]", "/a/d"));
}

#[test]
fn every_entry_that_cannot_be_used_is_reported() {
    let spec = FilterSpec {
        categories: names(&[""]),
        severities: names(&["info", "sever", "worse"]),
        excluded_paths: names(&["/a/[b", "/ok/**", "{"]),
        actions: vec!["x".repeat(1025)],
        excluded_users: vec!["u".into(); 1001],
    };
    let problems = Filter::compile(&spec).unwrap_err();
    let lists: Vec<&str> = problems.iter().map(|problem| problem.list).collect();
    assert_eq!(
        lists,
        ["categories", "actions", "excluded_users", "severities", "severities", "excluded_paths", "excluded_paths"]
    );
    let found: Vec<&str> = problems.iter().map(|problem| problem.found.as_str()).collect();
    assert_eq!(found[3..], ["sever", "worse", "/a/[b", "{"]);
    assert!(problems[3].to_string().starts_with("severities: `sever` is not a severity"), "{}", problems[3]);
}

#[test]
fn the_fingerprint_follows_the_meaning() {
    let base =
        FilterSpec { categories: names(&["A", "B"]), severities: names(&["low", "high"]), ..FilterSpec::default() };
    let same = FilterSpec {
        categories: names(&["B", "A", "B"]),
        severities: names(&["ERROR", "notice", "high"]),
        ..FilterSpec::default()
    };
    let print = |spec: &FilterSpec| Filter::compile(spec).unwrap().fingerprint();
    assert_eq!(print(&base), print(&same));
    let all = FilterSpec { categories: names(&["A", "*"]), ..FilterSpec::default() };
    assert_eq!(print(&all), print(&FilterSpec::default()));
    let others = [
        FilterSpec { categories: names(&["AB"]), ..base.clone() },
        FilterSpec { actions: names(&["A", "B"]), categories: vec![], ..base.clone() },
        FilterSpec { excluded_users: names(&["x"]), ..base.clone() },
        FilterSpec { excluded_paths: names(&["x"]), ..base.clone() },
        FilterSpec { severities: names(&["low"]), ..base.clone() },
    ];
    let mut prints: Vec<u64> = others.iter().chain([&base]).map(print).collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), 6);
}
