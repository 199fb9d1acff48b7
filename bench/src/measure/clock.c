/* Lets the main thread's clock run faster than the machine's once it is told to; see clock.rs beside this file. What that
   thread waits for comes sooner by as much. All other threads keep the machine's time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t before[1];
static volatile uint64_t *speed = before;
/* When the main thread first saw that it is to be fast. */
static int64_t since;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof before, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) speed = mapped;
}

static int is_fast(void) { return *speed > 1 && syscall(SYS_gettid) == getpid(); }

int clock_gettime(clockid_t id, struct timespec *out) {
    int failed = (int)syscall(SYS_clock_gettime, id, out);
    if (failed || id != CLOCK_MONOTONIC || !is_fast()) return failed;
    int64_t now = out->tv_sec * 1000000000 + out->tv_nsec;
    if (since == 0) since = now;
    now = since + (now - since) * (int64_t)*speed;
    out->tv_sec = now / 1000000000;
    out->tv_nsec = now % 1000000000;
    return 0;
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout) {
    if (timeout > 0 && is_fast()) {
        timeout /= (int)*speed;
        if (timeout == 0) timeout = 1;
    }
    return (int)syscall(SYS_epoll_pwait, fd, events, max, timeout, NULL, 8);
}
