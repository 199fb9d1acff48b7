//! The rows, as data. What several rows have in common is one function.

use super::{Action, Asim, AsimSchema, Cim, CimModel, Ecs, Fact, Ocsf, OcsfClass, Outcome};

/// What a row means, apart from its name and title.
#[derive(Clone, Copy)]
struct Meaning {
    ecs: Ecs,
    ocsf: Ocsf,
    asim: Asim,
    cim: Cim,
}

type Words = &'static [&'static str];

const fn row(name: &'static str, category: &'static str, title: &'static str, meaning: Meaning) -> Action {
    let Meaning { ecs, ocsf, asim, cim } = meaning;
    Action { name, category, title, outcome: Outcome::Success, ecs, ocsf, asim, cim, facts: &[] }
}

impl Action {
    const fn failed(mut self) -> Action {
        self.outcome = Outcome::Failure;
        self.facts = &[Fact::Reason];
        self
    }

    const fn open(mut self) -> Action {
        self.outcome = Outcome::Unknown;
        self
    }

    const fn with(mut self, facts: &'static [Fact]) -> Action {
        self.facts = facts;
        self
    }
}

const fn meaning(ecs: Ecs, class: OcsfClass, activity: u16, asim: Asim, cim: Cim) -> Meaning {
    Meaning { ecs, ocsf: Ocsf { class, activity }, asim, cim }
}

const fn file(kind: Words, activity: u16, event_type: &'static str, action: &'static str) -> Meaning {
    meaning(
        Ecs { category: &["file"], kind },
        OcsfClass::FileHosting,
        activity,
        Asim { schema: AsimSchema::FileEvent, event_type },
        Cim { model: CimModel::DataAccess, action },
    )
}

/// A link or a share. ASIM has no type for sharing: the file is what is there, and what was done is in the words.
const fn share(kind: Words, activity: u16, action: &'static str) -> Meaning {
    file(kind, activity, "FileModified", action)
}

const fn sign_in(
    category: Words,
    kind: Words,
    activity: u16,
    event_type: &'static str,
    action: &'static str,
) -> Meaning {
    meaning(
        Ecs { category, kind },
        OcsfClass::Authentication,
        activity,
        Asim { schema: AsimSchema::Authentication, event_type },
        Cim { model: CimModel::Authentication, action },
    )
}

const fn user(kind: Words, activity: u16, event_type: &'static str, action: &'static str) -> Meaning {
    meaning(
        Ecs { category: &["iam"], kind },
        OcsfClass::AccountChange,
        activity,
        Asim { schema: AsimSchema::UserManagement, event_type },
        Cim { model: CimModel::Change, action },
    )
}

const fn group(kind: Words, activity: u16, event_type: &'static str, action: &'static str) -> Meaning {
    meaning(
        Ecs { category: &["iam"], kind },
        OcsfClass::GroupManagement,
        activity,
        Asim { schema: AsimSchema::UserManagement, event_type },
        Cim { model: CimModel::Change, action },
    )
}

/// Rights, settings, policies, tenants, tokens.
const fn managed(
    category: Words,
    kind: Words,
    activity: u16,
    event_type: &'static str,
    action: &'static str,
) -> Meaning {
    meaning(
        Ecs { category, kind },
        OcsfClass::EntityManagement,
        activity,
        Asim { schema: AsimSchema::AuditEvent, event_type },
        Cim { model: CimModel::Change, action },
    )
}

/// Something that somebody should look at, and that no class is made for.
const fn finding(category: Words) -> Meaning {
    meaning(
        Ecs { category, kind: &["info"] },
        OcsfClass::BaseEvent,
        OTHER_ACTIVITY,
        Asim { schema: AsimSchema::AuditEvent, event_type: "Other" },
        Cim { model: CimModel::Alerts, action: "" },
    )
}

/// A word of the agent about itself.
const fn own(class: OcsfClass, activity: u16, event_type: &'static str) -> Meaning {
    meaning(
        Ecs { category: &["configuration"], kind: &["info"] },
        class,
        activity,
        Asim { schema: AsimSchema::AuditEvent, event_type },
        Cim { model: CimModel::None, action: "" },
    )
}

const TROUBLE: Meaning = own(OcsfClass::ApplicationError, 1, "Other");
const NEWS: Meaning = own(OcsfClass::BaseEvent, OTHER_ACTIVITY, "Other");

const OTHER_ACTIVITY: u16 = 99;
const AUTHENTICATION: &str = "AUTHENTICATION";
const FILE_ACCESS: &str = "FILE_ACCESS";
const SHARING: &str = "SHARING";
const USER_MANAGEMENT: &str = "USER_MANAGEMENT";
const ADMINISTRATION: &str = "ADMINISTRATION";
const SECURITY: &str = crate::own::CATEGORY;
const SIGN_IN: Words = &["authentication"];
const SESSION: Words = &["authentication", "session"];
const CONFIGURATION: Words = &["configuration"];
const IAM: Words = &["iam"];

#[rustfmt::skip]
pub(super) static ACTIONS: [Action; 73] = [
    row("admin.config", ADMINISTRATION, "Configuration changed", managed(CONFIGURATION, &["change"], 3, "Set", "modified")),
    row("admin.config_changed", ADMINISTRATION, "Configuration changed", managed(CONFIGURATION, &["change"], 3, "Set", "modified")),
    row("auth.login", AUTHENTICATION, "User signed in", sign_in(SIGN_IN, &["start"], 1, "Logon", "success")),
    row("auth.login_failed", AUTHENTICATION, "Sign-in failed", sign_in(SIGN_IN, &["start"], 1, "Logon", "failure")).failed(),
    row("auth.logout", AUTHENTICATION, "User signed out", sign_in(SESSION, &["end"], 2, "Logoff", "success")),
    row("auth.mfa_disabled", AUTHENTICATION, "Second factor disabled", user(&["user", "change"], 11, "UserModified", "modified")),
    row("auth.mfa_enabled", AUTHENTICATION, "Second factor enabled", user(&["user", "change"], 10, "UserModified", "modified")),
    row("auth.mfa_failed", AUTHENTICATION, "Second factor failed", sign_in(SIGN_IN, &["start"], 1, "Logon", "failure")).failed(),
    row("auth.password_changed", AUTHENTICATION, "Password changed", user(&["user", "change"], 3, "PasswordChanged", "modified")),
    row("auth.password_reset", AUTHENTICATION, "Password reset", user(&["user", "change"], 4, "PasswordReset", "modified")),
    row("auth.session_expired", AUTHENTICATION, "Session expired", sign_in(SESSION, &["end"], 2, "Logoff", "success")),
    row("file.copy", FILE_ACCESS, "File copied", file(&["creation"], 6, "FileCopied", "copied")),
    row("file.create", FILE_ACCESS, "File created", file(&["creation"], 1, "FileCreated", "created")),
    row("file.delete", FILE_ACCESS, "File deleted", file(&["deletion"], 4, "FileDeleted", "deleted")),
    row("file.download", FILE_ACCESS, "File downloaded", file(&["access"], 2, "FileAccessed", "downloaded")),
    row("file.download_denied", FILE_ACCESS, "File download denied", file(&["access"], 2, "FileAccessed", "")).failed(),
    row("file.lock", FILE_ACCESS, "File locked", file(&["change"], 10, "FileModified", "locked")),
    row("file.move", FILE_ACCESS, "File moved", file(&["change"], 7, "FileMoved", "moved")),
    row("file.preview", FILE_ACCESS, "File previewed", file(&["access"], 9, "FileAccessed", "read")),
    row("file.rename", FILE_ACCESS, "File renamed", file(&["change"], 5, "FileRenamed", "modified")),
    row("file.restore", FILE_ACCESS, "File restored", file(&["change"], 8, "FileModified", "undeleted")),
    row("file.sync", FILE_ACCESS, "File synchronised", file(&["access"], 15, "FileAccessed", "read")),
    row("file.unlock", FILE_ACCESS, "File unlocked", file(&["change"], 11, "FileModified", "unlocked")),
    row("file.update", FILE_ACCESS, "File changed", file(&["change"], 3, "FileModified", "modified")),
    row("file.upload", FILE_ACCESS, "File uploaded", file(&["creation"], 1, "FileCreated", "uploaded")),
    row("file.view", FILE_ACCESS, "File viewed", file(&["access"], 14, "FileAccessed", "read")),
    row("folder.create", FILE_ACCESS, "Folder created", file(&["creation"], 1, "FolderCreated", "created")),
    row("folder.delete", FILE_ACCESS, "Folder deleted", file(&["deletion"], 4, "FolderDeleted", "deleted")),
    row("folder.move", FILE_ACCESS, "Folder moved", file(&["change"], 7, "FolderMoved", "moved")),
    row("folder.rename", FILE_ACCESS, "Folder renamed", file(&["change"], 5, "FolderModified", "modified")),
    row("group.create", USER_MANAGEMENT, "Group created", group(&["group", "creation"], 6, "GroupCreated", "created")),
    row("group.delete", USER_MANAGEMENT, "Group deleted", group(&["group", "deletion"], 5, "GroupDeleted", "deleted")),
    row("group.member_add", USER_MANAGEMENT, "User added to group", group(&["group", "change"], 3, "UserAddedToGroup", "modified")),
    row("group.member_remove", USER_MANAGEMENT, "User removed from group", group(&["group", "change"], 4, "UserRemovedFromGroup", "modified")),
    row("group.update", USER_MANAGEMENT, "Group changed", group(&["group", "change"], OTHER_ACTIVITY, "GroupModified", "modified")),
    row("link.access", SHARING, "Link opened", file(&["access"], 14, "FileAccessed", "read")).with(&[Fact::Scope]),
    row("link.create", SHARING, "Link created", share(&["change"], 12, "shared")).with(&[Fact::Scope]),
    row("link.created", SHARING, "Link created", share(&["change"], 12, "shared")).with(&[Fact::Scope]),
    row("link.delete", SHARING, "Link removed", share(&["change"], 13, "unshared")).with(&[Fact::Scope]),
    row("link.update", SHARING, "Link changed", share(&["change"], 3, "modified")).with(&[Fact::Scope]),
    row("malware.found", SECURITY, "Malware found", finding(&["malware"])),
    row("policy.update", ADMINISTRATION, "Policy changed", managed(CONFIGURATION, &["change"], 3, "Set", "modified")),
    row("role.assign", ADMINISTRATION, "Role assigned", managed(IAM, &["admin", "change"], 3, "Set", "modified")),
    row("role.changed", ADMINISTRATION, "Role changed", managed(IAM, &["admin", "change"], 3, "Set", "modified")),
    row("role.remove", ADMINISTRATION, "Role removed", managed(IAM, &["admin", "change"], 3, "Set", "modified")),
    row("share.create", SHARING, "Share created", share(&["change"], 12, "shared")).with(&[Fact::Scope]),
    row("share.delete", SHARING, "Share removed", share(&["change"], 13, "unshared")).with(&[Fact::Scope]),
    row("siem.agent_started", SECURITY, "Agent started", own(OcsfClass::BaseEvent, OTHER_ACTIVITY, "Start")),
    row("siem.agent_stopped", SECURITY, "Agent stopped", own(OcsfClass::BaseEvent, OTHER_ACTIVITY, "Stop")),
    row("siem.buffer_overflow", SECURITY, "Events passed over", TROUBLE).open().with(&[Fact::DroppedCount, Fact::Destination]),
    row("siem.config_changed", SECURITY, "Agent configuration changed", managed(CONFIGURATION, &["change"], 3, "Set", "modified")),
    row("siem.dead_letters_full", SECURITY, "Store of refused events full", TROUBLE).open().with(&[Fact::Destination]),
    row("siem.destination_state", SECURITY, "Destination changed state", NEWS).open().with(&[Fact::Destination]),
    row("siem.events_refused", SECURITY, "Events refused by destination", TROUBLE).open().with(&[Fact::Reason, Fact::Destination]),
    row("siem.format_set_aside", SECURITY, "File of a newer version set aside", NEWS).open(),
    row("siem.identity_changed", SECURITY, "Agent identity changed", NEWS).open(),
    row("siem.intake_changed", SECURITY, "Intake stopped or resumed", NEWS).open(),
    row("siem.log_damaged", SECURITY, "Log damaged", TROUBLE).open(),
    row("siem.stream_statement", SECURITY, "Statement of completeness", NEWS).open().with(&[Fact::Destination]),
    row("siem.sync_failed", SECURITY, "Disk sync failed", TROUBLE).open(),
    row("siem.test", SECURITY, "Test of the destination", NEWS).open().with(&[Fact::Destination]),
    row("tenant.update", ADMINISTRATION, "Tenant changed", managed(CONFIGURATION, &["change"], 3, "Set", "modified")),
    row("token.create", ADMINISTRATION, "Access token created", managed(IAM, &["admin", "creation"], 1, "Create", "created")),
    row("token.revoke", ADMINISTRATION, "Access token revoked", managed(IAM, &["admin", "deletion"], 4, "Delete", "deleted")),
    row("user.create", USER_MANAGEMENT, "User created", user(&["user", "creation"], 1, "UserCreated", "created")),
    row("user.delete", USER_MANAGEMENT, "User deleted", user(&["user", "deletion"], 6, "UserDeleted", "deleted")),
    row("user.disable", USER_MANAGEMENT, "User disabled", user(&["user", "change"], 5, "UserDisabled", "modified")),
    row("user.enable", USER_MANAGEMENT, "User enabled", user(&["user", "change"], 2, "UserEnabled", "modified")),
    row("user.lock", USER_MANAGEMENT, "User locked", user(&["user", "change"], 9, "UserLocked", "lockout")),
    row("user.login", AUTHENTICATION, "User signed in", sign_in(SIGN_IN, &["start"], 1, "Logon", "success")),
    row("user.login_failed", AUTHENTICATION, "Sign-in failed", sign_in(SIGN_IN, &["start"], 1, "Logon", "failure")).failed(),
    row("user.logout", AUTHENTICATION, "User signed out", sign_in(SESSION, &["end"], 2, "Logoff", "success")),
    row("user.update", USER_MANAGEMENT, "User changed", user(&["user", "change"], OTHER_ACTIVITY, "UserModified", "modified")),
];

/// What was done is not claimed here: the type is `info`, the activity another one.
#[rustfmt::skip]
pub(super) static FAMILIES: [Action; 14] = [
    row("admin.*", ADMINISTRATION, "Administrative action", managed(CONFIGURATION, &["info"], OTHER_ACTIVITY, "Other", "")).open(),
    row("auth.*", AUTHENTICATION, "Authentication event", sign_in(SIGN_IN, &["info"], OTHER_ACTIVITY, "Logon", "")).open(),
    row("file.*", FILE_ACCESS, "File event", file(&["info"], OTHER_ACTIVITY, "FileAccessed", "")).open(),
    row("folder.*", FILE_ACCESS, "Folder event", file(&["info"], OTHER_ACTIVITY, "FolderModified", "")).open(),
    row("group.*", USER_MANAGEMENT, "Group event", group(&["group", "info"], OTHER_ACTIVITY, "GroupModified", "")).open(),
    row("link.*", SHARING, "Link event", file(&["info"], OTHER_ACTIVITY, "FileModified", "")).open().with(&[Fact::Scope]),
    row("malware.*", SECURITY, "Malware event", finding(&["malware"])).open(),
    row("policy.*", ADMINISTRATION, "Policy event", managed(CONFIGURATION, &["info"], OTHER_ACTIVITY, "Other", "")).open(),
    row("role.*", ADMINISTRATION, "Role event", managed(IAM, &["admin", "info"], OTHER_ACTIVITY, "Other", "")).open(),
    row("share.*", SHARING, "Sharing event", file(&["info"], OTHER_ACTIVITY, "FileModified", "")).open().with(&[Fact::Scope]),
    row("siem.*", SECURITY, "Agent event", NEWS).open(),
    row("tenant.*", ADMINISTRATION, "Tenant event", managed(CONFIGURATION, &["info"], OTHER_ACTIVITY, "Other", "")).open(),
    row("token.*", ADMINISTRATION, "Access token event", managed(IAM, &["admin", "info"], OTHER_ACTIVITY, "Other", "")).open(),
    row("user.*", USER_MANAGEMENT, "User event", user(&["user", "info"], OTHER_ACTIVITY, "UserModified", "")).open(),
];

#[rustfmt::skip]
pub(super) static CATEGORIES: [Action; 7] = [
    row("AUTHENTICATION", AUTHENTICATION, "Authentication event", sign_in(SIGN_IN, &["info"], OTHER_ACTIVITY, "Logon", "")).open(),
    row("FILE", FILE_ACCESS, "File event", file(&["info"], OTHER_ACTIVITY, "FileAccessed", "")).open(),
    row("FILE_ACCESS", FILE_ACCESS, "File event", file(&["info"], OTHER_ACTIVITY, "FileAccessed", "")).open(),
    row("SHARING", SHARING, "Sharing event", file(&["info"], OTHER_ACTIVITY, "FileModified", "")).open().with(&[Fact::Scope]),
    row("USER_MANAGEMENT", USER_MANAGEMENT, "User management event", user(&["user", "info"], OTHER_ACTIVITY, "UserModified", "")).open(),
    row("ADMINISTRATION", ADMINISTRATION, "Administrative action", managed(CONFIGURATION, &["info"], OTHER_ACTIVITY, "Other", "")).open(),
    row("SECURITY", SECURITY, "Security event", finding(&["configuration"])).open(),
];

/// Nothing is known but that it happened.
pub(super) static OTHER: Action = row("*", "", "Audit event", finding(&["configuration"])).open();
