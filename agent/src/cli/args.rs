//! Every command and option.

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::exit::Exit;

/// Ships ScaiDrive audit events to your SIEM, with a proof that they are complete.
#[derive(Debug, Parser)]
#[command(
    name = "scaidrive-siem",
    version = VERSION,
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = true,
    after_help = exit_help()
)]
pub struct Cli {
    /// The configuration; destinations.d is looked for beside it
    #[arg(long, global = true, value_name = "FILE", default_value = CONFIG_DEFAULT)]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent until it is told to stop
    Run,
    /// Show the agent at work on made-up events, without installing anything
    Demo(DemoArgs),
    /// Read the configuration and say what it means, what to think about and what is wrong
    Check(CheckArgs),
    /// Show how the running agent and its destinations are
    Status(StatusArgs),
    /// Watch the running agent and its destinations in a table that is always new
    Top(TopArgs),
    /// Show events as the running agent makes them durable, until Ctrl-C
    Tail(TailArgs),
    /// Hand events to the running agent and wait until they are durable
    Emit(EmitArgs),
    /// Have the running agent read its configuration again: whole or not at all
    Reload(ReloadArgs),
    /// Look at destinations, test them, pause them, send them again what they got, and print what has to be set up at the SIEM
    #[command(subcommand)]
    Destination(DestinationCommand),
    /// Look at the events that a destination refused for good, edit them, send them again, and give them up
    #[command(subcommand)]
    Deadletter(DeadletterCommand),
    /// Make, list and revoke the tokens that let people and programs in over HTTP
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look at the log on the disk, whether the agent runs or not
    #[command(subcommand)]
    Log(LogCommand),
    /// List the searches, dashboards and alerts that come with this program for each SIEM, and write them out
    #[command(subcommand)]
    Content(ContentCommand),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print what a shell completes command lines with
    Completions(CompletionsArgs),
    /// Print a page of the manual, or write all of them into a folder
    Man(ManArgs),
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Events a second
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Stop by itself after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `reload`.
#[derive(Debug, Args)]
#[command(after_help = RELOAD_HELP)]
pub struct ReloadArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `top`.
#[derive(Debug, Args)]
#[command(after_help = TOP_HELP)]
pub struct TopArgs {
    /// Print one table and end, as where standard output is no terminal
    #[arg(long)]
    pub once: bool,
    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub every: u64,
    /// Answer in JSON: the status at each look, as one line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL", value_parser = shells())]
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = MAN_HELP)]
pub struct ManArgs {
    /// Which page, by the name of its file
    #[arg(value_name = "PAGE", default_value = PAGE_DEFAULT, value_parser = NonEmptyStringValueParser::new())]
    pub page: String,
    /// Write every page into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    pub out: Option<PathBuf>,
}

/// Arguments of `tail`.
#[derive(Debug, Default, Args)]
#[command(after_help = TAIL_HELP)]
pub struct TailArgs {
    /// Only this category; may be given again
    #[arg(long, value_name = "CATEGORY")]
    pub category: Vec<String>,
    /// Only this severity; may be given again
    #[arg(long, value_name = "SEVERITY")]
    pub severity: Vec<String>,
    /// Only this action, `*` standing for any part; may be given again
    #[arg(long, value_name = "ACTION")]
    pub action: Vec<String>,
    /// Only this tenant's events; may be given again
    #[arg(long, value_name = "TENANT_ID")]
    pub tenant: Vec<String>,
    /// Only what this user did: user id, e-mail or service account; may be given again
    #[arg(long, value_name = "USER")]
    pub user: Vec<String>,
    /// Write each event as JSON, in an object with its log, number and time of receipt
    #[arg(long)]
    pub json: bool,
    /// End when the agent does, instead of waiting for it to come back
    #[arg(long)]
    pub once: bool,
}

/// Arguments of `emit`.
#[derive(Debug, Args)]
#[command(after_help = EMIT_HELP)]
pub struct EmitArgs {
    /// A file of events, one JSON object a line; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-", conflicts_with = "action")]
    pub file: PathBuf,
    /// The socket to write to, instead of the configured one
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// One event, made from these options
    #[command(flatten)]
    pub event: EmitEvent,
}

/// An event made from options; its id and time are filled in.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "One event instead of a file")]
pub struct EmitEvent {
    /// What was done, such as `file.download`; makes one event instead of reading a file
    #[arg(long, requires_all = ["category", "tenant"])]
    pub action: Option<String>,
    /// Its category, such as `DATA_ACCESS`
    #[arg(long, requires = "action")]
    pub category: Option<String>,
    /// Whose event it is
    #[arg(long, value_name = "TENANT_ID", requires = "action")]
    pub tenant: Option<String>,
    /// How grave it is: debug, info, notice, warning, error or critical; info if not given
    #[arg(long, requires = "action")]
    pub severity: Option<String>,
    /// Who did it
    #[arg(long, value_name = "USER_ID", requires = "action")]
    pub user: Option<String>,
    /// Who did it, by address
    #[arg(long, value_name = "EMAIL", requires = "action")]
    pub user_email: Option<String>,
    /// To what
    #[arg(long, value_name = "PATH", requires = "action")]
    pub resource_path: Option<String>,
    /// To what, by its id
    #[arg(long, value_name = "ID", requires = "action")]
    pub resource_id: Option<String>,
    /// From where
    #[arg(long, value_name = "ADDRESS", requires = "action")]
    pub ip: Option<String>,
    /// In which session
    #[arg(long, value_name = "ID", requires = "action")]
    pub session: Option<String>,
    /// More, as a JSON object
    #[arg(long, value_name = "JSON", requires = "action")]
    pub payload: Option<String>,
}

/// What to do with destinations.
#[derive(Debug, Subcommand)]
pub enum DestinationCommand {
    /// List them: how each is, and what waits for it
    List(DestinationListArgs),
    /// Show one with its settings, its books and its streams
    Show(DestinationShowArgs),
    /// Say what the filter of one would have sent of the events that the log holds
    Preview(DestinationPreviewArgs),
    /// Stop sending to one until it is resumed, also over restarts; its events wait in the log meanwhile
    Pause(DestinationNameArgs),
    /// Send one what is in the log now and no more, also over restarts; then it stands until it is resumed
    Drain(DestinationNameArgs),
    /// Go on sending to one that was paused or drained
    Resume(DestinationNameArgs),
    /// Send one again what the log still holds; each event goes under the stream and number it had
    Replay(DestinationReplayArgs),
    /// Send one marked event and say stage by stage how far it gets, why, and what to do; needs no running agent
    Test(DestinationTestArgs),
    /// Print what has to be set up at the SIEM beforehand; needs no running agent
    Template(DestinationTemplateArgs),
}

/// Arguments of `destination list`.
#[derive(Debug, Args)]
pub struct DestinationListArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `destination show`.
#[derive(Debug, Args)]
pub struct DestinationShowArgs {
    /// The destination's name
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new())]
    pub destination: String,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `destination preview`.
#[derive(Debug, Args)]
pub struct DestinationPreviewArgs {
    /// The destination's name
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new())]
    pub destination: String,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `destination pause`, `drain` and `resume`.
#[derive(Debug, Args)]
pub struct DestinationNameArgs {
    /// The destination's name
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new())]
    pub destination: String,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `destination replay`.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_HELP)]
pub struct DestinationReplayArgs {
    /// The destination's name
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new())]
    pub destination: String,
    /// Only what was accepted since this time (RFC 3339), or so long ago, such as 10m; else all that the log holds
    #[arg(long, value_name = "TIME|SPAN")]
    pub from: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `destination test`.
#[derive(Debug, Args)]
#[command(after_help = TEST_HELP)]
pub struct DestinationTestArgs {
    /// The destination's name; with --file only where the file holds several
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new(), required_unless_present = "file")]
    pub destination: Option<String>,
    /// A file with a destination that is not in use yet; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `destination template`.
#[derive(Debug, Args)]
#[command(after_help = TEMPLATE_HELP)]
pub struct DestinationTemplateArgs {
    /// The destination's name
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new())]
    pub destination: String,
    /// For `elastic`: whose template it is to be; opensearch if requests are signed for AWS, else elasticsearch
    #[arg(long, value_name = "FLAVOR", value_parser = ["elasticsearch", "opensearch"])]
    pub flavor: Option<String>,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadletterCommand {
    /// List them
    List(DeadletterListArgs),
    /// Show one with the event and the destination's reply
    Show(DeadletterShowArgs),
    /// Put another event in the place of one that was refused; it keeps its number, its event_id and its tenant_id
    Edit(DeadletterEditArgs),
    /// Send letters again, each under its own number: edited or not, or because the destination takes them now
    Replay(DeadletterReplayArgs),
    /// Give letters up for good; nothing else holds them any more
    Drop(DeadletterDropArgs),
}

/// Arguments of `deadletter list`.
#[derive(Debug, Args)]
pub struct DeadletterListArgs {
    /// Only those of this destination
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `deadletter show`.
#[derive(Debug, Args)]
pub struct DeadletterShowArgs {
    /// The destination's name
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new())]
    pub destination: String,
    /// The stream, as `list` shows it
    #[arg(value_name = "STREAM", value_parser = NonEmptyStringValueParser::new())]
    pub stream: String,
    /// The event's number in the stream
    #[arg(value_name = "N")]
    pub n: u64,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `deadletter edit`.
#[derive(Debug, Args)]
#[command(after_help = EDIT_HELP)]
pub struct DeadletterEditArgs {
    /// The destination's name
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new())]
    pub destination: String,
    /// The stream, as `list` shows it
    #[arg(value_name = "STREAM", value_parser = NonEmptyStringValueParser::new())]
    pub stream: String,
    /// The event's number in the stream
    #[arg(value_name = "N")]
    pub n: u64,
    /// The file with the event, one JSON object; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `deadletter drop`.
#[derive(Debug, Args)]
pub struct DeadletterDropArgs {
    /// Which of them.
    #[command(flatten)]
    pub chosen: DeadletterChosenArgs,
    /// Do not ask; needed where nobody can be asked
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `deadletter replay`.
#[derive(Debug, Args)]
pub struct DeadletterReplayArgs {
    /// Which of them.
    #[command(flatten)]
    pub chosen: DeadletterChosenArgs,
}

/// Which dead letters are meant.
#[derive(Debug, Args)]
pub struct DeadletterChosenArgs {
    /// The destination's name
    #[arg(value_name = "DESTINATION", value_parser = NonEmptyStringValueParser::new())]
    pub destination: String,
    /// The stream, as `list` shows it
    #[arg(value_name = "STREAM", required_unless_present = "all")]
    pub stream: Option<String>,
    /// The events' numbers in the stream
    #[arg(value_name = "N", required_unless_present = "all")]
    pub n: Vec<u64>,
    /// All that are there now
    #[arg(long, conflicts_with_all = ["stream", "n"])]
    pub all: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make one; its secret goes to standard output, this once
    Create(TokenCreateArgs),
    /// List them; their secrets are nowhere
    List(TokenListArgs),
    /// Take one away; its sessions end with it
    Revoke(TokenRevokeArgs),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
#[command(after_help = TOKEN_HELP)]
pub struct TokenCreateArgs {
    /// What to call it, after who or what will show it
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// What whoever shows it may: change things, or look
    #[arg(long, value_name = "ROLE", value_parser = ["admin", "viewer"], default_value = "viewer")]
    pub role: String,
    /// Only for this tenant's destinations and events; may be given again
    #[arg(long, value_name = "TENANT_ID")]
    pub tenant: Vec<String>,
    /// Until when it is worth something: after so long, such as 90d, or a time (RFC 3339); for ever if not given
    #[arg(long, value_name = "TIME|SPAN")]
    pub expires: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `token list`.
#[derive(Debug, Args)]
pub struct TokenListArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `token revoke`.
#[derive(Debug, Args)]
pub struct TokenRevokeArgs {
    /// The token's name
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Show its segments: sizes, times, what is sealed
    Inspect(LogInspectArgs),
    /// Check every record; exits 1 if one is damaged
    Verify(LogVerifyArgs),
    /// Write its events to standard output, one JSON object a line
    Export(LogExportArgs),
}

/// Arguments of `log inspect`.
#[derive(Debug, Args)]
pub struct LogInspectArgs {
    /// The directory of one log, instead of all those of the configured state directory
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `log verify`.
#[derive(Debug, Args)]
pub struct LogVerifyArgs {
    /// The directory of one log, instead of all those of the configured state directory
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `log export`.
#[derive(Debug, Args)]
pub struct LogExportArgs {
    /// The directory of one log, instead of all those of the configured state directory
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
    /// Start at this record of each log
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,
    /// Stop before this record of each log
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,
    /// Only what was received at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only what was received before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only this tenant's events; may be given again
    #[arg(long, value_name = "TENANT_ID")]
    pub tenant: Vec<String>,
    /// Put each event into an object with its shard, number and time of receipt
    #[arg(long)]
    pub meta: bool,
}

/// What to do with the starter content.
#[derive(Debug, Subcommand)]
pub enum ContentCommand {
    /// List for which SIEMs there is some
    List(ContentListArgs),
    /// Write the files for one SIEM into a folder; README.md among them says what to do with them
    Export(ContentExportArgs),
}

/// Arguments of `content list`.
#[derive(Debug, Args)]
pub struct ContentListArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `content export`.
#[derive(Debug, Args)]
#[command(after_help = CONTENT_HELP)]
pub struct ContentExportArgs {
    /// For which kind of destination
    #[arg(value_name = "KIND", value_parser = PossibleValuesParser::new(super::content::kinds()))]
    pub kind: String,
    /// The folder, by default one that is called like the kind; `-` writes a tar archive to standard output
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

/// Where packages put the configuration.
pub const CONFIG_DEFAULT: &str = "/etc/scaidrive-siem/agent.toml";

/// The exit codes and what they mean.
fn exit_help() -> String {
    let lines = Exit::ALL.map(|exit| format!("\n  {:>2}  {}", exit.code(), exit.meaning()));
    format!("Exit codes:{}", lines.concat())
}

/// The shells for which packages have a place.
fn shells() -> impl TypedValueParser<Value = Shell> {
    PossibleValuesParser::new(["bash", "zsh", "fish"]).try_map(|name| name.parse::<Shell>())
}

const EMIT_HELP: &str = "Exits with 0 when every event is durable, with 1 when some were refused, with 69 when nobody \
listens.

Examples:
  scaidrive-siem emit events.ndjson
  scaidrive-siem emit --tenant tnt_1 --category DATA_ACCESS --action file.download --user alice --payload '{\"n\":1}'";

const RELOAD_HELP: &str = "\
Destinations that are not changed keep their connections. Exits with 0 when the files are in force, with 78 when they can't be \
used; what was in force stays then. `check` says beforehand what is wrong with them.";

const TAIL_HELP: &str = "\
At most 200 events a second are shown; how many were left out is said on standard error.

Examples:
  scaidrive-siem tail --severity error --severity critical
  scaidrive-siem tail --tenant tnt_1 --action 'file.*' --json";

const EDIT_HELP: &str = "\
Example; `show` writes the event alone to standard output:
  scaidrive-siem deadletter show splunk-prod STREAM N > event.json
  vi event.json
  scaidrive-siem deadletter edit splunk-prod STREAM N --file event.json
  scaidrive-siem deadletter replay splunk-prod STREAM N";

const TOP_HELP: &str = "\
Keys: up, down, page up, page down, home and end move; n, s, l, w, r and h sort by name, state, lag, waiting events, rate \
and head-room, a second time the other way round; q ends.

Head-room is how long the oldest waiting event can still wait before it is given up. The small chart shows the events \
accepted in each of the last looks, the newest on the right; its height is that destination's own highest.";

const COMPLETIONS_HELP: &str = "\
Where shells look for them:
  scaidrive-siem completions bash > /usr/share/bash-completion/completions/scaidrive-siem
  scaidrive-siem completions zsh  > /usr/share/zsh/vendor-completions/_scaidrive-siem
  scaidrive-siem completions fish > /usr/share/fish/vendor_completions.d/scaidrive-siem.fish";

const CONTENT_HELP: &str = "\
The content fits destinations in their default shape. A file that is there already and is another one is left alone.

Examples:
  scaidrive-siem content export sentinel
  scaidrive-siem content export splunk_hec --to - | gzip > scaidrive_audit.tgz";

const MAN_HELP: &str = "\
Section 1 has a page for each command, scaidrive-siem.5 is the configuration, scaidrive-siem.8 the agent.

Examples:
  scaidrive-siem man scaidrive-siem.5 | man -l -
  scaidrive-siem man --out /usr/local/share/man";

/// The page of the whole command line.
const PAGE_DEFAULT: &str = "scaidrive-siem.1";

const REPLAY_HELP: &str =
    "Delivery of new events goes on meanwhile. One replay of a destination runs at a time; that of a \
paused destination waits. It is forgotten when the agent stops or the destination's settings change.

Examples:
  scaidrive-siem destination replay splunk-prod --from 10m
  scaidrive-siem destination replay splunk-prod --from 2026-05-12T14:00:00Z";

const TOKEN_HELP: &str = "Examples:
  scaidrive-siem token create alice --role admin
  scaidrive-siem token create acme-dashboard --tenant tnt_acme --expires 90d";

const TEST_HELP: &str =
    "The event has the action siem.test and an id that begins with evt_test_; it has no number and \
moves no cursor. An agent that runs notes the test in the audit trail. Takes 14 s at most.

Exits with 0 when all went well, with 1 when a stage failed, with 78 when the settings can't be used.

Examples:
  scaidrive-siem destination test splunk-prod
  scaidrive-siem destination test --file new.toml --json";

const TEMPLATE_HELP: &str = "The JSON alone goes to standard output, what to do with it to standard error.

A Sentinel destination must name a rule before there is one: write \
rule = \"dcr-00000000000000000000000000000000\" and any url, print the template, deploy it, and put its outputs in their place.";

/// The version and what drives the shards with `runtime = "auto"`.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (runtime: io_uring where the system allows it, else epoll)");
