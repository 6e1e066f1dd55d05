#include "controlplane/http/host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#define PORT_MAX 65535

static void
lower(char *text)
{
    for (; *text != '\0'; text++)
        *text = (char)tolower((unsigned char)*text);
}

void
weir_http_hosts_init(struct weir_http_hosts *hosts, const char (*names)[WEIR_CONFIG_HOST_SIZE],
    uint32_t count)
{
    *hosts = (struct weir_http_hosts){.names = names, .count = count};
    if (gethostname(hosts->machine, sizeof hosts->machine - 1) != 0)
        hosts->machine[0] = '\0';
    lower(hosts->machine);
}

/* Takes a port off the end. False where it is none. An empty one is allowed: "host:". */
static bool
cut_port(char *host)
{
    /* the colons of an IPv6 address are within brackets */
    char *bracket = strrchr(host, ']');
    char *colon = strchr(bracket != NULL ? bracket : host, ':');
    unsigned port = 0;
    if (colon == NULL)
        return true;
    *colon = '\0';
    for (const char *at = colon + 1; *at != '\0'; at++) {
        if (!isdigit((unsigned char)*at))
            return false;
        port = port * 10 + (unsigned)(*at - '0');
        if (port > PORT_MAX)
            return false;
    }
    return true;
}

static bool
is_name(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    return host[0] != '\0' && host[0] != '.' && host[strspn(host, allowed)] == '\0' &&
        strstr(host, "..") == NULL;
}

static bool
equals(const char *name, const char *host)
{
    return name[0] != '\0' && strcmp(name, host) == 0;
}

/* The machine's name, whole or up to its first dot. */
static bool
is_machine(const char *machine, const char *host)
{
    size_t size = strcspn(machine, ".");
    return equals(machine, host) ||
        (size > 0 && strncmp(machine, host, size) == 0 && host[size] == '\0');
}

static bool
is_listed(const char *listed, const char *host)
{
    size_t size = strlen(listed);
    size_t host_size = strlen(host);
    if (strcmp(listed, "*") == 0)
        return true;
    if (listed[0] == '.')
        return host_size > size && strcmp(host + host_size - size, listed) == 0;
    return equals(listed, host);
}

enum weir_host_verdict
weir_http_host_check(const struct weir_http_hosts *hosts, const char *text)
{
    char host[WEIR_CONFIG_HOST_SIZE];
    unsigned char binary[sizeof(struct in6_addr)];
    size_t size = strlen(text);
    if (size == 0 || size >= sizeof host)
        return WEIR_HOST_INVALID;
    memcpy(host, text, size + 1);
    lower(host);
    if (!cut_port(host))
        return WEIR_HOST_INVALID;
    size = strlen(host);
    if (host[0] == '[') {
        if (size < 2 || host[size - 1] != ']')
            return WEIR_HOST_INVALID;
        host[size - 1] = '\0';
        return inet_pton(AF_INET6, host + 1, binary) == 1 ? WEIR_HOST_OURS : WEIR_HOST_INVALID;
    }
    if (inet_pton(AF_INET, host, binary) == 1)
        return WEIR_HOST_OURS;
    if (size > 1 && host[size - 1] == '.') /* a name that is written out to the root */
        host[size - 1] = '\0';
    if (!is_name(host))
        return WEIR_HOST_INVALID;
    if (strcmp(host, "localhost") == 0 || is_machine(hosts->machine, host))
        return WEIR_HOST_OURS;
    for (uint32_t i = 0; i < hosts->count; i++)
        if (is_listed(hosts->names[i], host))
            return WEIR_HOST_OURS;
    return WEIR_HOST_OTHER;
}
