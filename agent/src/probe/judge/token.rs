//! Why there is nothing to show: what whoever issues tokens or keys says, or that it cannot be asked.

use crate::config::Auth;
use crate::credentials::cache::{Trouble, TroubleCause, TroubleKind};
use crate::probe::cause::{self, Cause};
use crate::probe::report::Finding;
use crate::transport::FailureKind;

/// Why there is nothing to show for these ways of being let in.
pub(in crate::probe) fn of_trouble(trouble: &Trouble, auth: &[Auth]) -> Finding {
    let is_aws = auth.iter().any(|way| matches!(way, Auth::Aws(_)));
    let cause = match &trouble.cause {
        _ if is_aws => &cause::AWS_KEYS_MISSING,
        TroubleCause::Transport(error) if error.kind == FailureKind::TimedOut => &cause::TOKEN_SERVER_SILENT,
        TroubleCause::Transport(error) if error.kind == FailureKind::Protocol => &cause::TOKEN_SERVER_WRONG,
        TroubleCause::Transport(_) => &cause::TOKEN_SERVER_UNREACHABLE,
        TroubleCause::Answer { status, error, codes } => of_answer(*status, error.as_deref(), codes, trouble.kind),
        TroubleCause::Unknown => &cause::IDENTITY_FILE_UNUSABLE,
    };
    Finding::of(cause).saying(&trouble.why)
}

fn of_answer(status: u16, error: Option<&str>, codes: &[u64], kind: TroubleKind) -> &'static Cause {
    if let Some(cause) = codes.iter().find_map(|code| of_code(*code)) {
        return cause;
    }
    match (status, error) {
        (404 | 405, None) | (..=399, _) => &cause::TOKEN_SERVER_WRONG,
        (_, Some("invalid_scope")) => &cause::TOKEN_SCOPE_WRONG,
        _ if kind == TroubleKind::Busy => &cause::TOKEN_SERVER_BUSY,
        (_, Some(_)) | (401 | 403, None) => &cause::TOKEN_NOT_ISSUED,
        (_, None) => &cause::TOKEN_SERVER_WRONG,
    }
}

/// "Microsoft Entra authentication and authorization error codes".
fn of_code(code: u64) -> Option<&'static Cause> {
    match code {
        90_002 => Some(&cause::TENANT_UNKNOWN),
        700_016 => Some(&cause::APPLICATION_UNKNOWN),
        7_000_222 => Some(&cause::CLIENT_SECRET_EXPIRED),
        7_000_215 => Some(&cause::CLIENT_SECRET_WRONG),
        700_024 => Some(&cause::CLOCK_WRONG),
        700_211..=700_213 => Some(&cause::FEDERATION_MISMATCH),
        70_011 => Some(&cause::TOKEN_SCOPE_WRONG),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, error: Option<&str>, codes: &[u64], kind: TroubleKind) -> &'static str {
        let cause = TroubleCause::Answer { status, error: error.map(str::to_owned), codes: codes.to_vec() };
        of_trouble(&Trouble { kind, why: "why".into(), after: None, cause }, &[]).cause.code
    }

    #[test]
    fn connectors_2_5_numbers_of_entra_come_before_everything_else() {
        for (number, expected) in [
            (90_002, "tenant_unknown"),
            (700_016, "application_unknown"),
            (7_000_222, "client_secret_expired"),
            (7_000_215, "client_secret_wrong"),
            (700_024, "clock_wrong"),
            (700_212, "federation_mismatch"),
        ] {
            assert_eq!(code(401, Some("invalid_client"), &[number], TroubleKind::Refused), expected);
        }
    }

    #[test]
    fn an_answer_without_numbers_is_judged_by_its_status_and_its_name() {
        assert_eq!(code(401, Some("invalid_client"), &[], TroubleKind::Refused), "token_not_issued");
        assert_eq!(code(400, Some("invalid_scope"), &[], TroubleKind::Refused), "token_scope_wrong");
        assert_eq!(code(200, None, &[], TroubleKind::Refused), "token_server_wrong");
        assert_eq!(code(404, None, &[], TroubleKind::Busy), "token_server_wrong");
        assert_eq!(code(503, None, &[], TroubleKind::Busy), "token_server_busy");
    }
}
