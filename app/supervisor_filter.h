/* supervisor_filter: the supervisor's socket for `weir filter`, and the XDP maps behind it.
 *
 *   DATA/run/supervisor.sock  one line in, an answer out, closed; mode 0600
 *   DATA/filter.rules         the rules, as lines; written before a change is answered
 *
 * A line is `show` or one of ebpf/rules.h. The answer's first line is `ok` or `error REASON`;
 * behind the ok of show come the ports with their verdicts, and the rules.
 *
 * Threads: the supervisor's
 * Memory:  one struct of the caller
 * Errors:  WEIR_IO, WEIR_INVALID rules that do not read; a client's go to the client
 * Limits:  a line of WEIR_RULE_LINE_MAX bytes, CLIENT_WAIT_MS for a client to send it
 */
#ifndef WEIR_APP_SUPERVISOR_FILTER_H
#define WEIR_APP_SUPERVISOR_FILTER_H

#include "base/config.h"
#include "ebpf/loader.h"

#define WEIR_FILTER_SOCKET "run/supervisor.sock"

struct weir_supervisor_filter {
    int listen_fd; /* polls readable when a client waits */
    int client_fd; /* of whom a line is awaited; -1: of nobody. Others wait behind it */
    int64_t client_until_ns;
    size_t line_size;
    char line[WEIR_RULE_LINE_MAX];
    bool af_xdp;   /* a port is configured */
    char socket_path[WEIR_CONFIG_PATH_MAX + 32];
    char rules_path[WEIR_CONFIG_PATH_MAX + 32];
    char pins[WEIR_XDP_PINS_MAX];
    struct weir_rules rules;
};

enum weir_err weir_supervisor_filter_open(struct weir_supervisor_filter *filter,
    const struct weir_config *config) WEIR_MUST_USE;
void weir_supervisor_filter_close(struct weir_supervisor_filter *filter);

/* The descriptor to poll: of the client that is to send its line, else of those who wait; -1 where
 * there is no socket. */
int weir_supervisor_filter_fd(const struct weir_supervisor_filter *filter);
/* Takes a client, or what it has sent, and answers a whole line. Never waits; to be called when the
 * descriptor is readable, and once a second. */
void weir_supervisor_filter_serve(struct weir_supervisor_filter *filter);
/* Gives the rules to the ports again: a dataplane that started meanwhile read the file before. */
void weir_supervisor_filter_apply(struct weir_supervisor_filter *filter);
/* Takes our XDP programs off their interfaces. No dataplane runs. */
void weir_supervisor_filter_detach(struct weir_supervisor_filter *filter);

#endif
