//! Destinations over the API: made, changed, deleted, given as a whole set, checked and tested.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, ETAG, HeaderMap, IF_MATCH, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::destinations::{list, show};
use super::{Panel, Path, Problem, Shared, body, off_the_thread, only_get, only_post, query};
use crate::config::managed::{self as files, ManagedFile, Misconfigured};
use crate::config::{Config, Destination, DestinationId, Weight, editable, keys_of, table_of};
use crate::control::access::{Admin, Person, Reach, Via};
use crate::control::destinations::{Tested, find_for, settings, tell_about, tested_event};
use crate::control::managed::tell::{Changed, Editable, Error, OriginTold};
use crate::control::managed::{Condition, Wish, carry_out, made_by, name_of, not_known, plan, tag_of_all, tag_of_one};
use crate::control::reload;
use crate::control::status::DestinationStatus;
use crate::heap;
use crate::probe::{Question, Report, probe_here};

/// Their routes.
pub(super) fn routes() -> Router<Arc<Panel>> {
    let one = get(show).merge(put(change)).merge(delete(remove));
    Router::new()
        .route(
            "/v1/destinations",
            get(list_tagged).merge(post(create)).merge(put(set)).fallback(|| async { Problem::method(METHODS_OF_ALL) }),
        )
        .route("/v1/destinations/{destination}", one.fallback(|| async { Problem::method(METHODS_OF_ONE) }))
        .route("/v1/destinations/{destination}/settings", only_get(get(show_settings)))
        .route("/v1/destinations/{destination}/check", only_post(post(check_change)))
        .route("/v1/destinations/{destination}/test", only_post(post(test_saved)))
        .route("/v1/destinations/check", beside("check", post(check_new)))
        .route("/v1/destinations/test", beside("test", post(test_new)))
        .route("/v1/check", only_post(post(check_files)))
}

/// The routes of a destination that is called like something else that is there.
fn beside(name: &'static str, posted: MethodRouter<Arc<Panel>>) -> MethodRouter<Arc<Panel>> {
    let path = move || Path(name.to_owned());
    posted
        .get(move |panel: Shared, person: Person| show(panel, person, path()))
        .put(move |panel: Shared, admin: Admin, request: Request| change(panel, path(), admin, request))
        .delete(move |panel: Shared, admin: Admin, headers: HeaderMap| remove(panel, path(), admin, headers))
        .fallback(|| async { Problem::method(METHODS_OF_BOTH) })
}

/// The destinations: how each is. Without a tag where the files are not, or not yet, what is in force: then ask again.
#[utoipa::path(
    get,
    path = "/v1/destinations",
    operation_id = "listDestinations",
    tag = "destinations",
    responses((status = 200, description = "Each that the caller may see", body = Vec<DestinationStatus>, headers(("ETag" = String, description = "The tag of the whole set, to replace it; not there while a change of it is on its way"))))
)]
async fn list_tagged(State(panel): Shared, person: Person) -> Result<Response, Problem> {
    let list = |config: &Config| list(&panel, &person, config);
    let (listed, tag) = tagged(|| panel.view.config(), || panel.managed.is_changing(), list).await?;
    let mut response = ([(CACHE_CONTROL, "no-store")], Json(listed)).into_response();
    tag_header(&mut response, tag);
    Ok(response)
}

/// What `list` says of the configuration in force, and the tag of that: not where it says that this is not the whole, nor
/// where the files may be others than those of that configuration.
async fn tagged<T>(
    config: impl Fn() -> Arc<Config>,
    is_changing: impl Fn() -> bool,
    list: impl FnOnce(&Config) -> (T, bool),
) -> Result<(T, Option<String>), Problem> {
    let listed_by = config();
    let in_force = Arc::clone(&listed_by);
    let tag = off_the_thread(move || Ok(tag_in_force(&known_files(&in_force)?, &in_force))).await?;
    let (listed, is_whole) = list(&listed_by);
    // A change is in force before it is done: while none is on its way and none has come, the files are these still.
    let is_settled = !is_changing() && Arc::ptr_eq(&listed_by, &config());
    Ok((listed, tag.filter(|_| is_settled && is_whole)))
}

/// The tag of all files, if they are those of the destinations that this configuration has.
fn tag_in_force(files: &[ManagedFile], config: &Config) -> Option<String> {
    let managed = config.destinations.iter().map(|known| known.id).filter(|id| config.is_managed(*id));
    let in_force: HashSet<DestinationId> = managed.chain(config.misconfigured.iter().map(Misconfigured::id)).collect();
    let on_disk: HashSet<DestinationId> = files.iter().map(|file| DestinationId::from_text(&file.key)).collect();
    let texts = files.iter().map(|file| (file.key.as_str(), file.text())).collect();
    (in_force == on_disk).then(|| tag_of_all(&texts))
}

/// Makes a destination.
#[utoipa::path(
    post,
    path = "/v1/destinations",
    operation_id = "createDestination",
    tag = "destinations",
    request_body(content = Object, description = "The keys of a destination's file; a secret as `{\"value\": …}`, or left as it is by leaving it out"),
    responses((
        status = 201,
        description = "It is made",
        body = Changed,
        headers(("ETag" = String, description = "Its tag"), ("Location" = String, description = "Its path"))
    ))
)]
async fn create(State(panel): Shared, Admin(person): Admin, request: Request) -> Result<Response, Problem> {
    let value = json_of(&body(request, ONE_MAX).await?)?;
    let name = value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let base = base_of(&panel, &person);
    let changed = carry_out(panel, person, Wish::Create(value), Condition::None, false).await?;
    let mut response = answer(StatusCode::CREATED, changed);
    // A name that was accepted has letters, digits, `.`, `_` and `-` alone.
    if let Ok(place) = HeaderValue::from_str(&format!("{base}/v1/destinations/{name}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// What stands before every path, the way that somebody has come: the socket has nothing there.
fn base_of(panel: &Panel, person: &Person) -> String {
    if person.via == Via::Cli { String::new() } else { panel.access.base_path().to_owned() }
}

/// Changes a destination that was made here.
#[utoipa::path(
    put,
    path = "/v1/destinations/{destination}",
    operation_id = "changeDestination",
    tag = "destinations",
    params(
        ("destination" = String, Path, description = "Its name"),
        ("If-Match" = String, Header, description = "The `ETag` of what is to be changed, or `*` however it is"),
        ("dry_run" = Option<bool>, Query, description = "Whether nothing is to be changed, and only said what would be")
    ),
    request_body(content = Object, description = "The keys of a destination's file; a secret as `{\"value\": …}`, or left as it is by leaving it out"),
    responses((status = 200, description = "It is as was sent", body = Changed, headers(("ETag" = String, description = "The tag of what there is now"))))
)]
async fn change(
    State(panel): Shared,
    Path(name): Path<String>,
    Admin(person): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let (condition, is_dry) = (condition(request.headers())?, is_dry(&request)?);
    let value = json_of(&body(request, ONE_MAX).await?)?;
    carry_out(panel, person, Wish::Change(name, value), condition, is_dry)
        .await
        .map(|changed| answer(StatusCode::OK, changed))
}

/// Deletes a destination that was made here.
#[utoipa::path(
    delete,
    path = "/v1/destinations/{destination}",
    operation_id = "deleteDestination",
    tag = "destinations",
    params(
        ("destination" = String, Path, description = "Its name"),
        ("If-Match" = String, Header, description = "The `ETag` of what is to be changed, or `*` however it is")
    ),
    responses((status = 200, description = "It is gone", body = Changed))
)]
async fn remove(
    State(panel): Shared,
    Path(name): Path<String>,
    Admin(person): Admin,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let condition = condition(&headers)?;
    carry_out(panel, person, Wish::Delete(name), condition, false).await.map(|changed| answer(StatusCode::OK, changed))
}

/// The whole set of destinations that are made over the API.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WholeSet {
    /// The keys of a file each, as for one.
    #[schema(value_type = Vec<Object>)]
    destinations: Vec<Value>,
}

/// Gives the whole set of destinations that are made here; the same again changes nothing.
#[utoipa::path(
    put,
    path = "/v1/destinations",
    operation_id = "replaceDestinations",
    tag = "destinations",
    params(
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the set that is to be replaced; without it, however it is"),
        ("dry_run" = Option<bool>, Query, description = "Whether nothing is to be changed, and only said what would be")
    ),
    request_body = WholeSet,
    responses((status = 200, description = "These are there, and no others that were made here", body = Changed, headers(("ETag" = String, description = "The tag of what there is now"))))
)]
async fn set(State(panel): Shared, Admin(person): Admin, request: Request) -> Result<Response, Problem> {
    let is_dry = is_dry(&request)?;
    // Who gives every node the same set has not read it from each.
    let condition =
        if request.headers().contains_key(IF_MATCH) { condition(request.headers())? } else { Condition::None };
    let value = json_of(&body(request, ALL_MAX).await?)?;
    let WholeSet { destinations } = serde_json::from_value(value).map_err(|problem| not_json(&problem))?;
    carry_out(panel, person, Wish::Set(destinations), condition, is_dry)
        .await
        .map(|changed| answer(StatusCode::OK, changed))
}

/// Says what would come of making a destination.
#[utoipa::path(
    post,
    path = "/v1/destinations/check",
    operation_id = "checkNewDestination",
    tag = "destinations",
    request_body(content = Object, description = "The keys of a destination's file; a secret as `{\"value\": …}`, or left as it is by leaving it out"),
    responses((status = 200, description = "It could be made", body = Changed))
)]
async fn check_new(State(panel): Shared, Admin(person): Admin, request: Request) -> Result<Response, Problem> {
    let value = json_of(&body(request, ONE_MAX).await?)?;
    let checked = carry_out(panel, person, Wish::Create(value), Condition::None, true).await?;
    Ok(answer(StatusCode::OK, checked))
}

/// Says what would come of changing a destination.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/check",
    operation_id = "checkChange",
    tag = "destinations",
    params(
        ("destination" = String, Path, description = "Its name")
    ),
    request_body(content = Object, description = "The keys of a destination's file; a secret as `{\"value\": …}`, or left as it is by leaving it out"),
    responses((status = 200, description = "It could be changed so", body = Changed))
)]
async fn check_change(
    State(panel): Shared,
    Path(name): Path<String>,
    Admin(person): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let value = json_of(&body(request, ONE_MAX).await?)?;
    let checked = carry_out(panel, person, Wish::Change(name, value), Condition::None, true).await?;
    Ok(answer(StatusCode::OK, checked))
}

/// How a destination is configured, also where it can't be used; its secrets are named, not shown.
#[utoipa::path(
    get,
    path = "/v1/destinations/{destination}/settings",
    operation_id = "showSettings",
    tag = "destinations",
    params(
        ("destination" = String, Path, description = "Its name")
    ),
    responses((status = 200, description = "What to send to change it", body = Editable, headers(("ETag" = String, description = "The tag of what there is now"))))
)]
async fn show_settings(State(panel): Shared, person: Person, Path(name): Path<String>) -> Result<Response, Problem> {
    off_the_thread(move || {
        let (editable, tag) = editable_of(&panel.view.config(), &person, &name)?;
        let mut response = ([(CACHE_CONTROL, "no-store")], Json(editable)).into_response();
        tag_header(&mut response, Some(tag));
        Ok(response)
    })
    .await
}

/// How the destination of this name is configured, for `person`, and the tag of that. Blocks on the disk.
pub(in crate::control) fn editable_of(
    config: &Config,
    person: &Person,
    name: &str,
) -> Result<(Editable, String), Problem> {
    let sees_all = person.reach == Reach::All;
    let known = find_for(person, config, name);
    if let Ok(known) = &known
        && !config.is_managed(known.id)
    {
        let origin = OriginTold::of(config.origins.get(&known.id), sees_all);
        let tag = tag_of_one(&Value::from(settings(known)).to_string());
        return Ok((Editable { origin, settings_json: None, secrets: Vec::new(), problems: Vec::new() }, tag));
    }
    let files = known_files(config)?;
    let file: Option<&ManagedFile> = files.iter().find(|file| name_of(file).as_deref() == Some(name));
    // What can't be used has no tenants, so it is for those who see all of them.
    let Some(file) = file.filter(|_| known.is_ok() || sees_all) else {
        return Err(known.map_or_else(Problem::from, |_| gone(name)));
    };
    let (settings_json, secrets) = table_of(file.text()).map(|table| editable(&table, sees_all)).unzip();
    let unusable = config.misconfigured.iter().filter(|unusable| unusable.key == file.key);
    let problems = unusable.flat_map(|unusable| &unusable.problems).map(Error::of).collect();
    let editable =
        Editable { origin: OriginTold::Managed, settings_json, secrets: secrets.unwrap_or_default(), problems };
    Ok((editable, tag_of_one(file.text())))
}

/// A destination of the API that can't be used as it lies on the disk.
pub(in crate::control) struct Unusable {
    /// What its file is named after.
    pub(in crate::control) key: String,
    /// What it is called, where its file can be read so far that it can be changed here.
    pub(in crate::control) name: Option<String>,
    /// Why it can't be used.
    pub(in crate::control) problems: Vec<Error>,
}

/// Those that can't be used. They have no tenants, so they are for those who see all of them. Blocks on the disk.
pub(in crate::control) fn unusable_of(config: &Config, person: &Person) -> Result<Vec<Unusable>, Problem> {
    if person.reach != Reach::All || config.misconfigured.is_empty() {
        return Ok(Vec::new());
    }
    let files = known_files(config)?;
    let of = |known: &Misconfigured| {
        let file = files.iter().find(|file| file.key == known.key && has_kind(file));
        let problems = known.problems.iter().map(Error::of).collect();
        Unusable { key: known.key.clone(), name: file.and_then(name_of), problems }
    };
    Ok(config.misconfigured.iter().map(of).collect())
}

fn has_kind(file: &ManagedFile) -> bool {
    let table = table_of(file.text());
    let kind = table.as_ref().and_then(|table| table.get("type")?.as_str());
    kind.is_some_and(|kind| keys_of(kind).is_some())
}

fn known_files(config: &Config) -> Result<Vec<ManagedFile>, Problem> {
    files::files(&config.agent.state_dir).map_err(|found| not_known(&found))
}

fn gone(name: &str) -> Problem {
    let detail = format!("the file of \"{name}\" is gone, and it runs as it did before");
    Problem::new(StatusCode::CONFLICT, detail).advise("make it again over the API, or reload the configuration")
}

/// Sends a test event to a destination that is not made yet.
#[utoipa::path(
    post,
    path = "/v1/destinations/test",
    operation_id = "testNewDestination",
    tag = "destinations",
    request_body(content = Object, description = "The keys of a destination's file; a secret as `{\"value\": …}`, or left as it is by leaving it out"),
    responses((status = 200, description = "How far the event came, as `destination test --json` says it", body = Report))
)]
async fn test_new(State(panel): Shared, Admin(person): Admin, request: Request) -> Result<Response, Problem> {
    let value = json_of(&body(request, ONE_MAX).await?)?;
    let planned = off_with(&panel, &person, Wish::Create(value)).await?;
    told(test(panel, person, planned, false).await?)
}

/// Sends a test event to a destination as it is saved, or as it would be after a change.
///
/// A change is tested with the secrets that are saved, where it names no others.
#[utoipa::path(
    post,
    path = "/v1/destinations/{destination}/test",
    operation_id = "testDestination",
    tag = "destinations",
    params(
        ("destination" = String, Path, description = "Its name")
    ),
    request_body(content = Option<Object>, description = "The keys of a destination's file; a secret as `{\"value\": …}`, or left as it is by leaving it out. Without a body what is saved is tested"),
    responses((status = 200, description = "How far the event came, as `destination test --json` says it", body = Report))
)]
async fn test_saved(
    State(panel): Shared,
    Path(name): Path<String>,
    Admin(person): Admin,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = body(request, ONE_MAX).await?;
    if bytes.is_empty() {
        let destination = find_for(&person, &panel.view.config(), &name)?;
        return told(test(panel, person, destination, true).await?);
    }
    let planned = off_with(&panel, &person, Wish::Change(name, json_of(&bytes)?)).await?;
    told(test(panel, person, planned, false).await?)
}

fn told(report: Report) -> Result<Response, Problem> {
    Ok(([(CACHE_CONTROL, "no-store")], Json(report)).into_response())
}

/// The destination that a wish would make.
///
/// # Errors
/// When the wish can't be carried out.
pub(in crate::control) async fn off_with(
    panel: &Arc<Panel>,
    person: &Person,
    wish: Wish,
) -> Result<Arc<Destination>, Problem> {
    let (panel, person) = (Arc::clone(panel), person.clone());
    let planned = tokio::task::spawn_blocking(move || {
        let config = panel.view.config();
        let files = known_files(&config)?;
        let plan = plan(&config, &files, &person, &wish, &panel.managed.surroundings)?;
        made_by(&plan).cloned().ok_or_else(failed)
    });
    planned.await.map_err(|_| failed())?
}

/// Tests a destination, saved or not; what came of it goes into the audit trail, also where nobody waits for it any more.
///
/// # Errors
/// When as many tests as may run at a time run already, or the machine has no thread for it.
pub(in crate::control) async fn test(
    panel: Arc<Panel>,
    person: Person,
    destination: Arc<Destination>,
    is_saved: bool,
) -> Result<Report, Problem> {
    let seat = panel.desk.tests.take(&person)?;
    let config = panel.view.config();
    let question = Question {
        destination: Arc::clone(&destination),
        node: config.agent.node.clone(),
        tenant: config.agent.tenant.clone(),
        who: person.who.clone(),
        lookup: panel.managed.surroundings.lookup,
    };
    let (give, take) = oneshot::channel();
    // A test takes seconds, and those who wait for the disk have few threads; it ends by itself within its own bound.
    let run = move || {
        heap::wipe_here();
        let report = probe_here(question);
        if let Ok(report) = &report {
            let tested = tested_event(&person, &destination.name, &came_of(report, is_saved));
            tell_about(&panel, &destination, tested);
        }
        drop(seat);
        // Who asked may be gone.
        let _ = give.send(report);
    };
    thread::Builder::new().name("test".to_owned()).spawn(run).map_err(|_| failed())?;
    take.await.map_err(|_| failed())?.map_err(|_| failed())
}

/// What the audit trail says of a test.
fn came_of(report: &Report, is_saved: bool) -> Tested {
    Tested {
        is_saved,
        ok: report.ok,
        stage: report.failure.as_ref().map(|failure| failure.stage.name().to_owned()),
        code: report.failure.as_ref().map(|failure| failure.code.to_owned()),
        event_id: report.event.as_ref().map(|event| event.event_id.clone()),
    }
}

/// What a reload would come to.
#[derive(Serialize, ToSchema)]
struct FilesChecked {
    /// Whether the configuration can be used.
    is_usable: bool,
    /// What it would change, in words; `null` where it can't be used.
    changes: Option<Vec<String>>,
    /// What would take effect with the next start only.
    needs_restart: Option<String>,
    /// Why it can't be used: each problem in words with its place.
    problems: Vec<String>,
    /// What to think about.
    warnings: Vec<String>,
}

/// Says what a reload would come to, with nothing changed.
#[utoipa::path(
    post,
    path = "/v1/check",
    operation_id = "checkConfiguration",
    tag = "agent",
    responses((status = 200, description = "What it would change, or why it can't be used", body = FilesChecked))
)]
async fn check_files(State(panel): Shared, Admin(person): Admin) -> Result<Response, Problem> {
    if person.reach != Reach::All {
        let detail = "the configuration is for those who administer all tenants".to_owned();
        return Err(Problem::new(StatusCode::FORBIDDEN, detail).advise("ask one of them"));
    }
    off_the_thread(move || {
        let running = panel.view.config();
        let (config, problems) = match Config::load_again(&running.file, &panel.managed.surroundings, &running) {
            Ok((config, warnings)) => (Some(config), warnings),
            Err(problems) => (None, problems),
        };
        let changes = config.as_ref().map(|config| reload::Reloaded::done(&Config::differences(&running, config)));
        let told = |weight| -> Vec<String> {
            problems.iter().filter(|problem| problem.weight == weight).map(reload::one_line).collect()
        };
        let (changes, needs_restart) = changes.map(|changes| (changes.changes, changes.needs_restart)).unzip();
        let (problems, warnings) = (told(Weight::Error), told(Weight::Warning));
        let needs_restart = needs_restart.flatten();
        let checked = FilesChecked { is_usable: config.is_some(), changes, needs_restart, problems, warnings };
        Ok(Json(checked).into_response())
    })
    .await
}

fn answer(status: StatusCode, changed: Changed) -> Response {
    let tag = changed.tag.clone();
    let mut response = (status, [(CACHE_CONTROL, "no-store")], Json(changed)).into_response();
    tag_header(&mut response, tag);
    response
}

fn tag_header(response: &mut Response, tag: Option<String>) {
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        response.headers_mut().insert(ETAG, tag);
    }
}

/// What `If-Match` says. Who changes something that is there must have seen it, or say `*` (RFC 6585, section 3).
fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    let tags: Vec<String> = headers
        .get_all(IF_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .collect();
    if tags.is_empty() {
        let detail = "what is to be changed may not be what you have seen".to_owned();
        let advice = "send the ETag that came with it in If-Match, or `*` to change it however it is";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail).advise(advice));
    }
    Ok(Condition::Tags(tags))
}

/// Whether nothing is to be changed. Who has misspelt that wishes least of all that it be carried out.
fn is_dry(request: &Request) -> Result<bool, Problem> {
    let mut is_dry = false;
    for (name, value) in query(request.uri().query().unwrap_or_default()) {
        match (name.as_str(), value.as_str()) {
            ("dry_run", "true") => is_dry = true,
            ("dry_run", "false") => {}
            ("dry_run", value) => {
                let detail = format!("dry_run is \"{value}\", which says neither yes nor no");
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail).advise("write `true` or `false`"));
            }
            _ => {}
        }
    }
    Ok(is_dry)
}

fn json_of(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|problem| not_json(&problem))
}

/// Says where the mistake is and not what stands there, which may be a secret.
fn not_json(problem: &serde_json::Error) -> Problem {
    let (line, column) = (problem.line(), problem.column());
    let detail = match line {
        0 => "the request has not the members that belong here".to_owned(),
        _ => format!("the request is not JSON: see line {line}, column {column}"),
    };
    let advice = "send the keys of a destination's file as a JSON object; a whole set as {\"destinations\": […]}";
    Problem::new(StatusCode::BAD_REQUEST, detail).advise(advice)
}

fn failed() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; see the agent's log".to_owned())
}

const METHODS_OF_ALL: &str = "GET, HEAD, POST, PUT";
const METHODS_OF_ONE: &str = "GET, HEAD, PUT, DELETE";
const METHODS_OF_BOTH: &str = "GET, HEAD, POST, PUT, DELETE";
/// Bytes of a request with one destination at most: a file's bound is four times that.
const ONE_MAX: usize = 256 << 10;
/// Bytes of a request with all of them.
const ALL_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::config::Surroundings;

    #[test]
    fn who_changes_something_says_what_they_have_seen() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, HeaderValue::from_static(value));
            }
            condition(&headers).map_err(|problem| problem.status)
        };
        assert_eq!(with(&[]), Err(StatusCode::PRECONDITION_REQUIRED));
        assert_eq!(with(&["*"]), Ok(Condition::Tags(vec!["*".to_owned()])));
        let three = ["\"a\"", "\"b\"", "\"c\""].map(str::to_owned).to_vec();
        assert_eq!(with(&["\"a\", \"b\"", "\"c\""]), Ok(Condition::Tags(three)));
    }

    #[test]
    fn a_list_has_a_tag_only_while_the_files_are_those_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        let state_dir = directory.path().join("state");
        let folder = files::folder(&state_dir);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, format!("[agent]\nstate_dir = {:?}\n", state_dir.display().to_string())).unwrap();
        let write = |name: &str| {
            let text = format!("[[destination]]\nname = \"{name}\"\ntype = \"syslog\"\nhost = \"siem.example\"\n");
            std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
        };
        let here = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None };
        let load = || Config::load(&path, &here).unwrap().0;
        write("one");
        std::fs::write(folder.join("unusable.toml"), "x").unwrap();
        let before = load();
        let tag = tag_in_force(&known_files(&before).unwrap(), &before).unwrap();
        write("two");
        assert_eq!(tag_in_force(&known_files(&before).unwrap(), &before), None, "somebody has made another");
        let after = load();
        let changed = tag_in_force(&known_files(&after).unwrap(), &after).unwrap();
        assert_ne!(changed, tag);
        std::fs::remove_file(folder.join("two.toml")).unwrap();
        assert_eq!(tag_in_force(&known_files(&after).unwrap(), &after), None, "somebody has deleted one");
        assert_eq!(tag_in_force(&known_files(&before).unwrap(), &before), Some(tag));
    }

    #[tokio::test]
    async fn a_list_has_no_tag_while_a_change_is_on_its_way_after_a_reload_or_before_all_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        std::fs::write(&path, format!("[agent]\nstate_dir = {:?}\n", directory.path().display().to_string())).unwrap();
        let here = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None };
        let load = || Arc::new(Config::load(&path, &here).unwrap().0);
        let (before, after) = (load(), load());
        let names = |config: &Config| config.destinations.len();
        let has_tag = async |is_changing: bool, is_reloaded: bool, is_whole: bool| {
            let looks = Cell::new(0);
            let config = || {
                let is_first = looks.replace(1) == 0;
                Arc::clone(if is_first || !is_reloaded { &before } else { &after })
            };
            let (listed, tag) = tagged(config, || is_changing, |config| (names(config), is_whole)).await.ok().unwrap();
            assert_eq!(listed, 0, "it is told what there is all the same");
            tag.is_some()
        };
        assert!(has_tag(false, false, true).await);
        assert!(!has_tag(true, false, true).await, "a change is on its way");
        assert!(!has_tag(false, true, true).await, "another configuration came into force meanwhile, the same or not");
        assert!(!has_tag(false, false, false).await, "not every shard has said what it knows");
    }

    #[test]
    fn a_dry_run_that_is_misspelt_is_refused_and_not_carried_out() {
        let asks = |query: &str| {
            let mut request = Request::default();
            *request.uri_mut() = format!("/v1/destinations?{query}").parse().unwrap();
            is_dry(&request).map_err(|problem| problem.status)
        };
        assert_eq!((asks(""), asks("dry_run=false"), asks("x=1")), (Ok(false), Ok(false), Ok(false)));
        assert_eq!((asks("dry_run=true"), asks("x&dry_run=tru%65")), (Ok(true), Ok(true)));
        for misspelt in ["dry_run", "dry_run=1", "dry_run=True", "dry_run=true&dry_run=yes"] {
            assert_eq!(asks(misspelt), Err(StatusCode::BAD_REQUEST), "{misspelt}");
        }
    }

    #[test]
    fn a_body_that_is_not_json_is_not_repeated() {
        let refused = json_of(b"{\"token\": hush}").err().unwrap();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
}
