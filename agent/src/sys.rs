//! System calls that no safe crate offers; the only unsafe code of the agent beside its heap.
//!
//! Each wrapper is one call, checks what it is given, and returns the kernel's error as it came.

use std::ffi::CString;
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::time::Millis;

/// The most slices one `sendmsg` takes (`UIO_MAXIOV`); more is `EMSGSIZE`.
pub const GATHER_MAX: usize = 1024;

/// Who is at the other end of a Unix socket, as the kernel saw them when they connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process id, in this process's pid namespace.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What a process without privileges may still use.
    pub available: u64,
}

/// Sends the front of `slices` without waiting and without raising `SIGPIPE`.
///
/// At most [`GATHER_MAX`] slices are looked at. Returns the number of bytes the kernel took.
///
/// # Errors
/// `WouldBlock` when the socket's buffer is full; `EFAULT` when a page behind a slice is gone (a mapped file was cut
/// short or its disk fails); else as `sendmsg(2)`.
pub fn send_slices(socket: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let count = slices.len().min(GATHER_MAX);
    // SAFETY: `msghdr` is plain data and all zeroes is a valid value of it (no address, no control data).
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    // `IoSlice` is guaranteed to have the layout of `iovec`; sendmsg only reads through the pointer.
    message.msg_iov = slices.as_ptr() as *mut libc::iovec;
    message.msg_iovlen = count as _;
    // SAFETY: `message` points to `count` valid slices, all borrowed for the length of the call.
    let sent = unsafe { libc::sendmsg(socket, &message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

/// Turns a descriptor into any type that is made of one.
///
/// A descriptor of the wrong kind gives a value whose calls fail; it cannot break memory.
pub fn wrap<T: FromRawFd>(descriptor: OwnedFd) -> T {
    // SAFETY: the descriptor is open and owned, and its ownership ends here.
    unsafe { T::from_raw_fd(descriptor.into_raw_fd()) }
}

/// Keeps the descriptor from being inherited by programs this one starts.
///
/// # Errors
/// As `fcntl(2)`.
pub fn set_close_on_exec(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) })
}

/// Sends small writes at once instead of gathering them (`TCP_NODELAY`).
///
/// # Errors
/// As `setsockopt(2)`.
pub fn set_nodelay(socket: RawFd) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
}

/// Probes a silent peer after `idle`, then every tenth of it, and gives it up after five probes.
///
/// # Errors
/// As `setsockopt(2)`.
pub fn set_keepalive(socket: RawFd, idle: Millis) -> io::Result<()> {
    let seconds = clamp_int(idle.0 / 1000).max(1);
    set_option(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, seconds)?;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (seconds / 10).max(1))?;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 5)
}

/// Gives a connection up when written bytes stay unacknowledged for `wait` (`TCP_USER_TIMEOUT`).
///
/// # Errors
/// As `setsockopt(2)`.
pub fn set_user_timeout(socket: RawFd, wait: Millis) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, clamp_int(wait.0))
}

/// How many finished connections may wait to be accepted; a listener may be asked again at any time.
///
/// # Errors
/// As `listen(2)`.
pub fn set_backlog(listener: RawFd, waiting: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::listen(listener, waiting) })
}

/// Who connected to this Unix stream socket (`SO_PEERCRED`).
///
/// # Errors
/// As `getsockopt(2)`.
pub fn peer_credentials(socket: RawFd) -> io::Result<Credentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `found`.
    check(unsafe {
        libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut found).cast(), &mut length)
    })?;
    Ok(Credentials { pid: found.pid, uid: found.uid, gid: found.gid })
}

/// Room on the file system that holds `path`.
///
/// # Errors
/// `InvalidInput` when the path holds a zero byte; else as `statvfs(3)`.
pub fn disk_space(path: &Path) -> io::Result<Space> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in a zero byte, and the result has room for what the call writes.
    check(unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) })?;
    // SAFETY: a successful call has filled it in.
    let found = unsafe { found.assume_init() };
    let block = found.f_frsize;
    Ok(Space { total: block.saturating_mul(found.f_blocks), available: block.saturating_mul(found.f_bavail) })
}

/// Whether a process with this id exists, whoever owns it.
pub fn process_exists(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    if pid == 0 {
        return false;
    }
    // SAFETY: signal 0 sends nothing; the call only looks the process up.
    let answer = unsafe { libc::kill(pid, 0) };
    answer == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// `CLOCK_MONOTONIC` in microseconds: what `sd_notify(3)` wants beside `RELOADING=1`.
pub fn monotonic_usec() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills in the struct it is given; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64).saturating_mul(1_000_000).saturating_add(time.tv_nsec as u64 / 1_000)
}

/// Asks a process to stop (SIGTERM).
///
/// # Errors
/// `InvalidInput` for what is not one process's id; else as `kill(2)`.
pub fn ask_to_stop(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: takes no pointers.
    check(unsafe { libc::kill(pid, libc::SIGTERM) })
}

/// Has the program that `command` starts killed as soon as the thread that starts it ends, however it ends.
pub fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let ask = move || {
        // SAFETY: takes no pointers.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        // The parent may have died before the call above; nobody would tell.
        // SAFETY: always succeeds and takes nothing.
        let is_orphan = u32::try_from(unsafe { libc::getppid() }) != Ok(parent);
        if is_orphan { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are two system calls, and the
    // errors are made without allocating.
    unsafe { command.pre_exec(ask) };
}

/// The user this process acts as.
pub fn effective_uid() -> u32 {
    // SAFETY: always succeeds and takes nothing.
    unsafe { libc::geteuid() }
}

/// Bytes this process may lock in memory; `None` when there is no limit.
///
/// # Errors
/// As `getrlimit(2)`.
pub fn memlock_limit() -> io::Result<Option<u64>> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills in the struct it is given.
    check(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) })?;
    Ok((limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur))
}

/// The smallest io_uring the kernel will make; it is closed again when the value is dropped.
///
/// # Errors
/// `ENOSYS` when the kernel has none, `EPERM` when a seccomp filter or `kernel.io_uring_disabled` refuses it, `ENOMEM`
/// when the limit on locked memory is too low.
pub fn open_io_uring() -> io::Result<OwnedFd> {
    // `struct io_uring_params` is 120 bytes of integers; all zeroes asks for nothing special.
    let mut parameters = [0_u64; 15];
    // SAFETY: the kernel reads and writes 120 bytes, which is what it is given.
    let answer = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4_u32, parameters.as_mut_ptr()) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor that nobody else owns.
    let ring = unsafe { OwnedFd::from_raw_fd(answer as RawFd) };
    set_close_on_exec(ring.as_raw_fd())?;
    Ok(ring)
}

/// Keeps this process's memory, and the secrets in it, out of core dumps.
///
/// The limit is one byte: no file is that short, and it is what the kernel takes for "no dump" where a program is to get
/// it, who is else given all of it whatever the limit is (`do_coredump` in Linux' `fs/coredump.c`).
///
/// # Errors
/// As `setrlimit(2)`.
pub fn refuse_core_dumps() -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
    // SAFETY: the kernel reads `limit`, which is alive for the length of the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) })
}

/// Test helper: makes every io_uring call of this thread, and of threads it starts later, fail with `EPERM`, as the
/// default seccomp profiles of container runtimes do. It cannot be undone for the thread.
///
/// # Errors
/// As `prctl(2)`.
#[cfg(any(test, feature = "sim"))]
pub fn refuse_io_uring() -> io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let jump_if_equal = |k: i64, jt: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt,
        jf: 0,
        k: k as u32,
    };
    let mut program = [
        // The system call's number stands at offset 0 of what the filter is shown.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump_if_equal(libc::SYS_io_uring_setup, 3),
        jump_if_equal(libc::SYS_io_uring_enter, 2),
        jump_if_equal(libc::SYS_io_uring_register, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: takes no pointers; needed so that an ordinary user may install a filter.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: the kernel copies the program, which is alive for the length of the call.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) })
}

fn set_option(socket: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let size = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads `size` bytes, the size of `value`.
    check(unsafe { libc::setsockopt(socket, level, name, (&raw const value).cast(), size) })
}

fn clamp_int(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn check(answer: i32) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn slices_arrive_in_order_and_never_more_than_the_kernel_takes() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let pieces: Vec<Vec<u8>> = (0..GATHER_MAX + 10).map(|n| vec![n as u8; 3]).collect();
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let sent = send_slices(near.as_raw_fd(), &slices).unwrap();
        assert_eq!(sent, GATHER_MAX * 3);
        let mut got = vec![0; sent];
        far.read_exact(&mut got).unwrap();
        assert_eq!(got, pieces.concat()[..sent]);
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error_and_not_a_signal() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let error = send_slices(near.as_raw_fd(), &[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_full_buffer_is_would_block() {
        let (near, _far) = UnixStream::pair().unwrap();
        let block = vec![0; 1 << 16];
        let error = loop {
            if let Err(error) = send_slices(near.as_raw_fd(), &[IoSlice::new(&block)]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn socket_options_are_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        set_nodelay(stream.as_raw_fd()).unwrap();
        set_keepalive(stream.as_raw_fd(), Millis::from_secs(60)).unwrap();
        set_user_timeout(stream.as_raw_fd(), Millis::from_secs(30)).unwrap();
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn the_kernel_says_who_we_are() {
        let (near, _far) = UnixStream::pair().unwrap();
        let peer = peer_credentials(near.as_raw_fd()).unwrap();
        assert_eq!(peer.uid, effective_uid());
        assert_eq!(peer.pid, std::process::id() as i32);
    }

    #[test]
    fn the_disk_and_the_process_table_are_seen() {
        let space = disk_space(Path::new("/")).unwrap();
        assert!(space.total >= space.available && space.total > 0);
        assert!(disk_space(Path::new("/does/not/exist")).is_err());
        assert!(process_exists(std::process::id()));
        assert!(!process_exists(0) && !process_exists(u32::MAX) && !process_exists(i32::MAX as u32));
    }

    /// What a send meets when the file under a mapping was cut short.
    #[test]
    fn a_page_that_is_gone_is_an_error_value() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 * 4096).unwrap();
        // SAFETY: a fresh mapping of two pages; its address is only passed to the kernel.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), 2 * 4096, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(base, libc::MAP_FAILED);
        file.set_len(4096).unwrap();
        // SAFETY: both pages stay mapped until the end of the test, and nothing here reads through the slices.
        let (good, gone) = unsafe {
            let base = base.cast::<u8>();
            (std::slice::from_raw_parts(base, 4096), std::slice::from_raw_parts(base.add(4096), 4096))
        };
        let (near, _far) = UnixStream::pair().unwrap();
        assert_eq!(send_slices(near.as_raw_fd(), &[IoSlice::new(good)]).unwrap(), 4096);
        let error = send_slices(near.as_raw_fd(), &[IoSlice::new(gone)]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        // SAFETY: the mapping made above; the slices are not used any more.
        check(unsafe { libc::munmap(base, 2 * 4096) }).unwrap();
    }
}
