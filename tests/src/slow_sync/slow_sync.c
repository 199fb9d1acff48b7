/* Takes the place of fdatasync, fsync and msync; see mod.rs beside this file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void path_in_dir(char *out, size_t size, const char *name) {
    const char *dir = getenv("SLOW_SYNC_DIR");
    snprintf(out, size, "%s/%s", dir ? dir : "/nonexistent", name);
}

static int is_path_meant(const char *path) {
    const char *only = getenv("SLOW_SYNC_ONLY");
    return !only || !*only || strstr(path, only) != NULL;
}

static int is_file_meant(int fd) {
    char link[64], target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    return is_path_meant(target);
}

/* The path of a mapping is at the end of its line in the table of mappings. */
static int is_mapping_meant(const void *address) {
    char line[PATH_MAX + 128];
    int meant = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) return 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) != 2) continue;
        if ((unsigned long)address < start || (unsigned long)address >= end) continue;
        const char *path = strchr(line, '/');
        meant = path && is_path_meant(path);
        break;
    }
    fclose(maps);
    return meant;
}

static void touch(const char *name, int append) {
    char path[PATH_MAX];
    path_in_dir(path, sizeof path, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | (append ? O_APPEND : 0), 0600);
    if (fd < 0) return;
    if (append && write(fd, "x", 1) != 1) abort();
    close(fd);
}

/* What a meant sync does before it is made: waits, or fails (-1). */
static int before(void) {
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
    return 0;
}

static int slow_file(int fd, const char *name) {
    int meant = is_file_meant(fd);
    if (meant && before() != 0) return -1;
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (meant) touch("made", 1);
    return result;
}

int fdatasync(int fd) { return slow_file(fd, "fdatasync"); }
int fsync(int fd) { return slow_file(fd, "fsync"); }

int msync(void *address, size_t length, int flags) {
    int meant = (flags & MS_SYNC) && is_mapping_meant(address);
    if (meant && before() != 0) return -1;
    int (*real)(void *, size_t, int) = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");
    int result = real(address, length, flags);
    if (meant) touch("made", 1);
    return result;
}
