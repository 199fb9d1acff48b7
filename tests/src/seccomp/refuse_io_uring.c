/* Starts a program that cannot use io_uring: refuse-io-uring PROGRAM ARGUMENTS...
 *
 * The three system calls answer EPERM, as under the default profiles of container runtimes. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The same numbers on every architecture. */
enum { IO_URING_FIRST = 425, IO_URING_LAST = 427 };

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: refuse-io-uring PROGRAM ARGUMENTS...\n");
        return 64;
    }
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, IO_URING_FIRST, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, IO_URING_LAST, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("refuse-io-uring: cannot set the filter");
        return 69;
    }
    execvp(argv[1], argv + 1);
    perror("refuse-io-uring: cannot start the program");
    return 69;
}
