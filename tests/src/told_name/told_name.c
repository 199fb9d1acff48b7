// Loaded before all other libraries: the name in TOLD_NAME has the address that the file TOLD_NAME_FILE holds, and none while
// that is empty. All other names are the system's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int resolve(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    resolve *system_resolve = (resolve *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *name = getenv("TOLD_NAME"), *path = getenv("TOLD_NAME_FILE");
    if (!node || !name || !path || strcmp(node, name) != 0)
        return system_resolve(node, service, hints, found);
    char address[64] = "";
    FILE *file = fopen(path, "r");
    if (file) {
        if (!fgets(address, sizeof address, file))
            address[0] = 0;
        fclose(file);
    }
    return address[0] ? system_resolve(address, service, hints, found) : EAI_NONAME;
}
