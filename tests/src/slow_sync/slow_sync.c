/* Takes the place of fdatasync and fsync; see mod.rs beside this file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void path_in_dir(char *out, size_t size, const char *name) {
    const char *dir = getenv("SLOW_SYNC_DIR");
    snprintf(out, size, "%s/%s", dir ? dir : "/nonexistent", name);
}

static int is_meant(int fd) {
    char link[64], target[PATH_MAX];
    const char *only = getenv("SLOW_SYNC_ONLY");
    if (!only || !*only) return 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    return strstr(target, only) != NULL;
}

static void touch(const char *name, int append) {
    char path[PATH_MAX];
    path_in_dir(path, sizeof path, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | (append ? O_APPEND : 0), 0600);
    if (fd < 0) return;
    if (append && write(fd, "x", 1) != 1) abort();
    close(fd);
}

static int slow(int fd, const char *name) {
    if (is_meant(fd)) {
        char hold[PATH_MAX], fail[PATH_MAX], waiting[PATH_MAX];
        path_in_dir(hold, sizeof hold, "hold");
        path_in_dir(fail, sizeof fail, "fail");
        path_in_dir(waiting, sizeof waiting, "waiting");
        if (access(hold, F_OK) == 0) {
            touch("waiting", 0);
            const struct timespec pause = {0, 2000000};
            while (access(hold, F_OK) == 0) nanosleep(&pause, NULL);
            unlink(waiting);
        }
        if (unlink(fail) == 0) {
            errno = EIO;
            return -1;
        }
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (is_meant(fd)) touch("made", 1);
    return result;
}

int fdatasync(int fd) { return slow(fd, "fdatasync"); }
int fsync(int fd) { return slow(fd, "fsync"); }
