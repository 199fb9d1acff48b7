//! The catalogue of actions: what each one means, in the words of every schema that an event can go out in.
//!
//! Shapes, content and documents take their words from here and from nowhere else, so that one action is the same thing
//! in every SIEM. An action is looked up in three steps, and each later one claims less:
//!
//! | step | row | what is claimed |
//! |------|-----|-----------------|
//! | the action itself | `file.download` | all |
//! | its family, the part before the first dot | `file.*` | the kind of thing, not what was done to it |
//! | its category | `FILE_ACCESS` | the same, more broadly |
//!
//! An outcome is claimed where the row's own words are about one; beside that only an action whose last word says so
//! has failed ([`is_failure`]).
//!
//! Sources: Elastic Common Schema 9.4, "ECS categorization fields"; OCSF 1.8.0, classes and their activities; Microsoft's
//! "ASIM schemas" for File Event 0.2.2, Authentication 0.1.4, User Management 0.1.2, Audit Event 0.1.2; Splunk's Common
//! Information Model, "Data Access", "Authentication", "Change" and "Alerts".

mod rows;

use rows::{ACTIONS, CATEGORIES, FAMILIES, OTHER};

/// One action, or a group of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// `file.download`, or `file.*` for a family, or a category, or `*`.
    pub name: &'static str,
    /// The category it is usually in.
    pub category: &'static str,
    /// What happened, without saying to whom: `File downloaded`.
    pub title: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The meaning in the Elastic Common Schema.
    pub ecs: Ecs,
    /// The meaning in the Open Cybersecurity Schema Framework.
    pub ocsf: Ocsf,
    /// The meaning in Microsoft's Advanced Security Information Model.
    pub asim: Asim,
    /// The meaning in Splunk's Common Information Model.
    pub cim: Cim,
    /// Members of the payload that schemas have a place for.
    pub facts: &'static [Fact],
}

/// How what was tried ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was not.
    Failure,
    /// The action does not say.
    Unknown,
}

/// `event.category` and `event.type`, both among the allowed values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecs {
    /// `event.category`.
    pub category: &'static [&'static str],
    /// `event.type`.
    pub kind: &'static [&'static str],
}

/// Class and activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ocsf {
    /// The class.
    pub class: OcsfClass,
    /// `activity_id`; 99 where the class has none that fits.
    pub activity: u16,
}

/// The classes of OCSF in use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcsfClass {
    /// Nothing more is known.
    BaseEvent,
    /// Something was done to a file, a folder or a link to one in a place that hosts files.
    FileHosting,
    /// Somebody signed in or out.
    Authentication,
    /// A user's account was changed.
    AccountChange,
    /// A group was changed.
    GroupManagement,
    /// A setting, a policy, a role or another managed thing was changed.
    EntityManagement,
    /// A program has trouble.
    ApplicationError,
}

impl OcsfClass {
    /// `class_uid`.
    pub fn uid(self) -> u16 {
        match self {
            OcsfClass::BaseEvent => 0,
            OcsfClass::FileHosting => 6006,
            OcsfClass::Authentication => 3002,
            OcsfClass::AccountChange => 3001,
            OcsfClass::GroupManagement => 3006,
            OcsfClass::EntityManagement => 3004,
            OcsfClass::ApplicationError => 6008,
        }
    }

    /// `category_uid`: the class without its last three digits.
    pub fn category_uid(self) -> u16 {
        self.uid() / 1000
    }
}

/// Schema and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asim {
    /// The schema.
    pub schema: AsimSchema,
    /// `EventType`.
    pub event_type: &'static str,
}

/// The schemas of ASIM in use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsimSchema {
    /// What is done to files.
    FileEvent,
    /// Sign-ins and sign-outs.
    Authentication,
    /// Users and groups.
    UserManagement,
    /// All else.
    AuditEvent,
}

impl AsimSchema {
    /// `EventSchema`.
    pub fn name(self) -> &'static str {
        match self {
            AsimSchema::FileEvent => "FileEvent",
            AsimSchema::Authentication => "Authentication",
            AsimSchema::UserManagement => "UserManagement",
            AsimSchema::AuditEvent => "AuditEvent",
        }
    }

    /// `EventSchemaVersion`.
    pub fn version(self) -> &'static str {
        match self {
            AsimSchema::FileEvent => "0.2.2",
            AsimSchema::Authentication => "0.1.4",
            AsimSchema::UserManagement | AsimSchema::AuditEvent => "0.1.2",
        }
    }
}

/// Model and action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cim {
    /// The data model.
    pub model: CimModel,
    /// Its word for what was done; empty where it has none.
    pub action: &'static str,
}

/// The data models of CIM in use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CimModel {
    /// What is done to data.
    DataAccess,
    /// Sign-ins and sign-outs.
    Authentication,
    /// What is done to accounts and settings.
    Change,
    /// What somebody should look at.
    Alerts,
    /// None.
    None,
}

impl CimModel {
    /// The tags that make an event part of the model.
    pub fn tags(self) -> &'static [&'static str] {
        match self {
            CimModel::DataAccess => &["data", "access"],
            CimModel::Authentication => &["authentication"],
            CimModel::Change => &["change", "audit"],
            CimModel::Alerts => &["alert"],
            CimModel::None => &[],
        }
    }
}

/// A member of the payload that schemas have a place of their own for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Who a link is for: `external` or `internal`.
    Scope,
    /// Why something failed.
    Reason,
    /// How many events a destination missed.
    DroppedCount,
    /// Which destination a word of the agent is about.
    Destination,
}

impl Fact {
    /// The member's key.
    pub fn key(self) -> &'static str {
        match self {
            Fact::Scope => "scope",
            Fact::Reason => "reason",
            Fact::DroppedCount => "dropped_count",
            Fact::Destination => "destination",
        }
    }
}

/// Every action that is known by its name, sorted by it.
pub fn actions() -> &'static [Action] {
    &ACTIONS
}

/// What stands for actions that are not: the families, the categories, and the row for all the rest.
pub fn fallbacks() -> impl Iterator<Item = &'static Action> {
    FAMILIES.iter().chain(&CATEGORIES).chain([&OTHER])
}

/// The row for an action, both without escapes.
pub fn meaning(action: &str, category: &str) -> &'static Action {
    known(action.as_bytes()).unwrap_or_else(|| fallback(action.as_bytes(), category.as_bytes()))
}

/// The row of an action that is known by its name.
pub(crate) fn known(action: &[u8]) -> Option<&'static Action> {
    let mut place = place_of(action)?;
    loop {
        let row = ACTIONS.get(usize::from(PLACES[place]))?;
        if row.name.as_bytes() == action {
            return Some(row);
        }
        place = (place + 1) % PLACES.len();
    }
}

/// The row of an action that is not.
pub(crate) fn fallback(action: &[u8], category: &[u8]) -> &'static Action {
    let family = action.split(|byte| *byte == b'.').next().unwrap_or_default();
    let in_family = FAMILIES.iter().find(|row| row.name.as_bytes().strip_suffix(b".*") == Some(family));
    let in_category = || CATEGORIES.iter().find(|row| row.name.as_bytes() == category);
    in_family.or_else(in_category).unwrap_or(&OTHER)
}

impl Action {
    /// How an event of this row ended, whose action is `action`.
    pub fn outcome_of(&self, action: impl AsRef<[u8]>) -> Outcome {
        match self.outcome {
            Outcome::Unknown if is_failure(action.as_ref()) => Outcome::Failure,
            known => known,
        }
    }
}

/// Whether the action's last word says that what was tried did not happen. That it did is never claimed: no word of an
/// action proves it.
pub fn is_failure(action: &[u8]) -> bool {
    let last = action.rsplit(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
    FAILURE_WORDS.iter().any(|word| word.eq_ignore_ascii_case(last))
}

/// Where in [`PLACES`] the search for an action begins; nowhere for one that is shorter than all that are known.
const fn place_of(action: &[u8]) -> Option<usize> {
    let (Some(first), Some(last)) = (action.first_chunk(), action.last_chunk()) else { return None };
    let both = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(32);
    Some((both.wrapping_mul(GOLDEN_RATIO) >> 56) as usize)
}

/// The actions' places in [`ACTIONS`], each where [`place_of`] says, or in the next place that was free.
static PLACES: [u8; 256] = {
    let mut places = [FREE; 256];
    let mut nth = 0;
    while nth < ACTIONS.len() {
        let mut place = place_of(ACTIONS[nth].name.as_bytes()).expect("no action is shorter than eight bytes");
        while places[place] != FREE {
            place = (place + 1) % places.len();
        }
        places[place] = nth as u8;
        nth += 1;
    }
    places
};
const FREE: u8 = u8::MAX;
const _: () = assert!(ACTIONS.len() < FREE as usize);
/// 2^64 divided by it, made odd: products of it differ most in their highest bits.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

const FAILURE_WORDS: [&[u8]; 5] = [b"failed", b"failure", b"denied", b"rejected", b"blocked"];

#[cfg(test)]
mod tests {
    use super::*;

    /// The allowed values of `event.type` for each `event.category` in use (ECS 9.4, "ECS categorization field:
    /// event.category").
    const ECS_ALLOWED: &[(&str, &[&str])] = &[
        ("authentication", &["start", "end", "info"]),
        ("configuration", &["access", "change", "creation", "deletion", "info"]),
        ("file", &["access", "change", "creation", "deletion", "info"]),
        ("iam", &["admin", "change", "creation", "deletion", "group", "info", "user"]),
        ("malware", &["info"]),
        ("session", &["start", "end", "info"]),
    ];

    /// The activities of each class (OCSF 1.8.0), beside 0 and 99.
    fn activities(class: OcsfClass) -> u16 {
        match class {
            OcsfClass::BaseEvent => 0,
            OcsfClass::FileHosting => 17,
            OcsfClass::Authentication => 7,
            OcsfClass::AccountChange => 12,
            OcsfClass::GroupManagement => 8,
            OcsfClass::EntityManagement => 13,
            OcsfClass::ApplicationError => 2,
        }
    }

    const ASIM_TYPES: &[(AsimSchema, &[&str])] = &[
        (
            AsimSchema::FileEvent,
            &[
                "FileAccessed",
                "FileCreated",
                "FileModified",
                "FileDeleted",
                "FileRenamed",
                "FileCopied",
                "FileMoved",
                "FolderCreated",
                "FolderDeleted",
                "FolderMoved",
                "FolderModified",
                "FileCreatedOrModified",
            ],
        ),
        (AsimSchema::Authentication, &["Logon", "Logoff", "Elevate"]),
        (
            AsimSchema::UserManagement,
            &[
                "UserCreated",
                "UserDeleted",
                "UserModified",
                "UserLocked",
                "UserUnlocked",
                "UserDisabled",
                "UserEnabled",
                "PasswordChanged",
                "PasswordReset",
                "GroupCreated",
                "GroupDeleted",
                "GroupModified",
                "UserAddedToGroup",
                "UserRemovedFromGroup",
            ],
        ),
        (
            AsimSchema::AuditEvent,
            &[
                "Set",
                "Read",
                "Create",
                "Delete",
                "Execute",
                "Install",
                "Clear",
                "Enable",
                "Disable",
                "Initialize",
                "Start",
                "Stop",
                "Other",
            ],
        ),
    ];

    /// The documented values of `action` for each model.
    fn cim_actions(model: CimModel) -> &'static [&'static str] {
        match model {
            CimModel::DataAccess => &[
                "accepted",
                "commented",
                "copied",
                "created",
                "deleted",
                "disabled",
                "downloaded",
                "enabled",
                "forwarded",
                "granted",
                "invited",
                "locked",
                "modified",
                "moved",
                "read",
                "restarted",
                "revoked",
                "shared",
                "started",
                "stopped",
                "uncommented",
                "undeleted",
                "unlocked",
                "unshared",
                "uploaded",
                "",
            ],
            CimModel::Authentication => &["success", "failure", "pending", "error", ""],
            CimModel::Change => &[
                "acl_modified",
                "cleared",
                "created",
                "deleted",
                "modified",
                "read",
                "stopped",
                "updated",
                "started",
                "lockout",
                "unlocked",
                "",
            ],
            CimModel::Alerts | CimModel::None => &[""],
        }
    }

    fn all() -> impl Iterator<Item = &'static Action> {
        actions().iter().chain(fallbacks())
    }

    #[test]
    fn names_are_sorted_and_unique_so_that_each_is_found() {
        assert!(ACTIONS.is_sorted_by(|a, b| a.name < b.name));
        for row in actions() {
            assert_eq!(meaning(row.name, "").name, row.name);
            let family = format!("{}.*", row.name.split('.').next().unwrap());
            assert!(FAMILIES.iter().any(|fallback| fallback.name == family), "{family}");
        }
    }

    #[test]
    fn every_word_is_one_that_its_schema_allows() {
        for row in all() {
            assert!(!row.ecs.category.is_empty(), "{}", row.name);
            for kind in row.ecs.kind {
                let fits =
                    |category: &&str| ECS_ALLOWED.iter().any(|(name, kinds)| name == category && kinds.contains(kind));
                assert!(row.ecs.category.iter().any(fits), "{}: {kind}", row.name);
            }
            let activity = row.ocsf.activity;
            assert!(activity == 99 || activity <= activities(row.ocsf.class), "{}", row.name);
            let types = ASIM_TYPES.iter().find(|(schema, _)| *schema == row.asim.schema).unwrap().1;
            assert!(types.contains(&row.asim.event_type), "{}: {}", row.name, row.asim.event_type);
            assert!(cim_actions(row.cim.model).contains(&row.cim.action), "{}: {}", row.name, row.cim.action);
            assert!(!row.title.is_empty() && row.title.len() <= 512 && !row.title.contains(['|', '\\', '"', '=']));
        }
    }

    #[test]
    fn an_action_that_is_not_known_is_told_by_its_family_and_else_by_its_category() {
        assert_eq!(meaning("file.annotated", "X").name, "file.*");
        assert_eq!(meaning("file", "X").name, "file.*");
        assert_eq!(meaning("zip.made", "FILE_ACCESS").name, "FILE_ACCESS");
        assert_eq!(meaning("zip.made", "X").name, "*");
        assert_eq!(meaning("", "").name, "*");
        // The outcome is not claimed for what is not known, unless its name says that it failed.
        assert_eq!(meaning("file.annotated", "").outcome_of("file.annotated"), Outcome::Unknown);
        assert_eq!(meaning("file.download_denied", "").outcome_of("file.download_denied"), Outcome::Failure);
    }

    #[test]
    fn every_word_of_the_agents_own_is_in_the_catalogue() {
        for own in crate::own::table() {
            let row = meaning(own.action, own.category);
            assert_eq!((row.name, row.category), (own.action, own.category));
        }
    }
}
