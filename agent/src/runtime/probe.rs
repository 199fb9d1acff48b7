//! Which side can run here. glommio panics where io_uring is refused (lesson 51), so it is tried out first.

use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::runtime::{Backend, Panicked, RuntimeSetting, uring};
use crate::sys;

/// What the shards will run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The side.
    pub backend: Backend,
    /// Why, in words for `status`.
    pub why: String,
}

/// io_uring was asked for and cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("runtime = \"io_uring\" was asked for, but {why}")]
pub struct ChooseError {
    /// What refused it.
    pub why: String,
}

/// Decides what the shards run on. Tries io_uring out, really, unless the setting rules it out.
///
/// # Errors
/// `ChooseError` when the setting demands io_uring and it does not work here; the text says what refused it.
pub fn choose(setting: RuntimeSetting) -> Result<Choice, ChooseError> {
    if setting == RuntimeSetting::Epoll {
        return Ok(Choice { backend: Backend::Epoll, why: "runtime = \"epoll\" in the configuration".into() });
    }
    match (io_uring_works(), setting) {
        (Ok(()), RuntimeSetting::IoUring) => {
            Ok(Choice { backend: Backend::IoUring, why: "runtime = \"io_uring\" in the configuration".into() })
        }
        (Ok(()), _) => Ok(Choice { backend: Backend::IoUring, why: "io_uring works here".into() }),
        (Err(why), RuntimeSetting::IoUring) => Err(ChooseError { why }),
        (Err(why), _) => Ok(Choice { backend: Backend::Epoll, why }),
    }
}

fn io_uring_works() -> Result<(), String> {
    sys::open_io_uring().map(drop).map_err(|error| why_refused(&error))?;
    if let Ok(Some(limit)) = sys::memlock_limit()
        && limit < uring::MEMLOCK_MIN
    {
        return Err(format!(
            "the limit on locked memory is {} KiB and io_uring needs {} KiB for each shard (LimitMEMLOCK=)",
            limit / 1024,
            uring::MEMLOCK_MIN / 1024
        ));
    }
    try_out().map_err(|why| format!("io_uring is there but does not work: {why}"))
}

fn why_refused(error: &io::Error) -> String {
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    match (error.raw_os_error(), disabled.trim()) {
        (Some(libc::EPERM), "1" | "2") => {
            format!("io_uring is switched off on this machine (kernel.io_uring_disabled = {})", disabled.trim())
        }
        (Some(libc::EPERM | libc::EACCES), _) => {
            "io_uring is not permitted here (a seccomp filter, as in most containers, refuses it)".into()
        }
        (Some(libc::ENOSYS), _) => "this kernel has no io_uring, or a sandbox hides it".into(),
        (Some(libc::ENOMEM), _) => "there is not enough lockable memory for io_uring (LimitMEMLOCK=)".into(),
        _ => format!("io_uring cannot be set up: {error}"),
    }
}

/// On a thread of its own, because what fails in glommio may panic or hang.
fn try_out() -> Result<(), String> {
    let (tell, told) = mpsc::sync_channel(1);
    let attempt = move || {
        let outcome = panic::catch_unwind(AssertUnwindSafe(uring::try_out));
        // Nobody listens any more when the wait below has ended.
        let _ = tell.send(match outcome {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(payload) => Err(Panicked::caught("its trial", &*payload).message),
        });
    };
    thread::Builder::new().name("probe".into()).spawn(attempt).map_err(|error| error.to_string())?;
    told.recv_timeout(TRIAL_MAX).unwrap_or_else(|_| Err(format!("its trial did not end in {TRIAL_MAX:?}")))
}

/// The trial takes a few milliseconds where it works.
const TRIAL_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// A seccomp filter holds for a thread and its children, so each refusal is tried on a thread of its own.
    fn where_io_uring_is_refused<T: Send + 'static>(check: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(|| {
            sys::refuse_io_uring().unwrap();
            check()
        })
        .join()
        .unwrap()
    }

    #[test]
    fn lesson_51_a_refused_io_uring_means_epoll_and_says_why() {
        let choice = where_io_uring_is_refused(|| choose(RuntimeSetting::Auto)).unwrap();
        assert_eq!(choice.backend, Backend::Epoll);
        assert!(choice.why.contains("not permitted"), "{}", choice.why);
    }

    #[test]
    fn io_uring_asked_for_and_refused_is_an_error_that_says_why() {
        let error = where_io_uring_is_refused(|| choose(RuntimeSetting::IoUring)).unwrap_err();
        assert!(error.to_string().contains("not permitted"), "{error}");
    }

    #[test]
    fn a_shard_on_a_refused_io_uring_is_an_error_and_not_a_panic() {
        let refused = where_io_uring_is_refused(|| {
            crate::runtime::start(Backend::IoUring, "refused".into(), |_| Box::pin(async {})).err()
        });
        assert!(refused.is_some());
    }

    #[test]
    fn lesson_51_epoll_runs_where_io_uring_is_refused() {
        where_io_uring_is_refused(|| {
            crate::runtime::start(Backend::Epoll, "plain".into(), |runtime| {
                Box::pin(async move { runtime.sleep(crate::time::Millis(1)).await })
            })
            .unwrap()
            .join()
        })
        .unwrap();
    }

    #[test]
    fn the_setting_epoll_is_not_probed() {
        let choice = choose(RuntimeSetting::Epoll).unwrap();
        assert_eq!(choice.backend, Backend::Epoll);
        assert!(choice.why.contains("configuration"));
    }
}
