/* filter: the supervisor's socket for `weir filter` and `weir reload`, and the XDP maps that it
 * changes.
 *
 *   DATA/run/supervisor.sock  one line in, an answer out, closed; mode 0600
 *   DATA/filter.rules         the rules, as lines; written before a change is answered
 *
 * A line is `show`, `reload` or one of ebpf/rules.h. The answer's first line is `ok` or
 * `error REASON`. After the ok of show follow the ports with their verdicts, and the rules; after
 * that of reload the keys that hold from now on.
 *
 * Threads: the supervisor's
 * Memory:  one struct of the caller
 * Errors:  WEIR_IO, WEIR_INVALID rules that do not read; a client's go to the client
 * Limits:  a line of WEIR_RULE_LINE_MAX bytes; WEIR_FILTER_CLIENTS clients at once, of whom the one
 *          that is silent for the longest goes where another one comes
 *
 * Nobody waits for a client, and no client for another one.
 */
#ifndef WEIR_APP_SUPERVISOR_FILTER_H
#define WEIR_APP_SUPERVISOR_FILTER_H

#include "config/config.h"
#include "ebpf/loader.h"

#define WEIR_FILTER_SOCKET "run/supervisor.sock"

#define WEIR_FILTER_CLIENTS 16

/* One whose line is awaited. */
struct weir_filter_client {
    int fd;         /* -1: none */
    uint64_t order; /* of its coming */
    size_t line_size;
    char line[WEIR_RULE_LINE_MAX];
};

struct weir_supervisor_filter {
    int epoll_fd;  /* of the two below; -1 where there is no socket */
    int listen_fd; /* -1 where there is none */
    int spare_fd;  /* closed for a moment where no descriptor is left, to refuse a client with it */
    struct weir_filter_client clients[WEIR_FILTER_CLIENTS];
    uint64_t clients_come;
    bool af_xdp;   /* a port is configured */
    char socket_path[WEIR_CONFIG_PATH_MAX + 32];
    char rules_path[WEIR_CONFIG_PATH_MAX + 32];
    char pins[WEIR_XDP_PINS_MAX];
    struct weir_rules rules;
    void (*reload)(void *context, FILE *out); /* writes the answer to `reload`; NULL: none */
    void *reload_context;
};

enum weir_err weir_supervisor_filter_open(struct weir_supervisor_filter *filter,
    const struct weir_config *config) WEIR_MUST_USE;
void weir_supervisor_filter_close(struct weir_supervisor_filter *filter);

/* The descriptor to poll: readable where a client comes or has sent something; -1 where there is no
 * socket. */
int weir_supervisor_filter_fd(const struct weir_supervisor_filter *filter);
/* Accepts clients, reads their lines and answers whole ones. Never waits; to be called when the
 * descriptor is readable. */
void weir_supervisor_filter_serve(struct weir_supervisor_filter *filter);
/* Gives the rules to the ports again: a dataplane that started meanwhile read the file before. */
void weir_supervisor_filter_apply(struct weir_supervisor_filter *filter);
/* Takes our XDP programs off their interfaces. No dataplane runs. */
void weir_supervisor_filter_detach(struct weir_supervisor_filter *filter);

#endif
