/* parts: the inside of the supervisor, for app/supervisor/ only. */
#ifndef WEIR_APP_SUPERVISOR_PARTS_H
#define WEIR_APP_SUPERVISOR_PARTS_H

#include "app/supervisor/filter.h"
#include "app/supervisor/instance.h"
#include "app/supervisor/supervisor.h"
#include "config/config.h"
#include "model/shared.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MS INT64_C(1000000) /* nanoseconds */

enum { DATAPLANE, CONTROLPLANE, KEEPER, CHILDREN };

struct weir_child {
    const char *name;    /* of the pid file */
    const char *program;
    bool wanted;
    pid_t pid;           /* 0: not running */
    bool ready;
    bool was_ready;      /* in any of its lives */
    uint32_t starts;
    int64_t first_ns;    /* its first start */
    int64_t started_ns;
    int64_t restart_ns;  /* when to start it again */
    int64_t backoff_ns;
};

struct weir_supervisor {
    const struct weir_supervisor_options *options;
    struct weir_config *config;
    struct weir_instance instance;
    struct weir_shared *shared;
    char programs[WEIR_CONFIG_PATH_MAX];
    struct weir_child children[CHILDREN];
    struct weir_supervisor_filter filter;
    int udp_fds[WEIR_CONFIG_LISTENERS_MAX]; /* 0: not bound */
    uint32_t udp_count;
    int http_fd; /* listens; -1: no HTTP, or closed for the end */
    sigset_t signals;
    int signal_fd;
    bool announced;
    bool hangs; /* the dataplane, by the last event */
    int64_t locks_due_ns; /* of their next check */
    int64_t published_ns; /* the processes' figures */
    int64_t stopping_ns; /* 0: running */
    int exit_code;
};

/* children.c: start, death and end of the children. */
void weir_supervisor_start(struct weir_supervisor *supervisor); /* those that are due */
void weir_supervisor_reap(struct weir_supervisor *supervisor);
/* Notes which children have become ready. True when all are. */
bool weir_supervisor_watch(struct weir_supervisor *supervisor);
void weir_supervisor_watch_heartbeat(struct weir_supervisor *supervisor);
/* Begins the end of the instance, once. */
void weir_supervisor_stop(struct weir_supervisor *supervisor, int exit_code);
/* One round of ending. True when every child is gone. */
bool weir_supervisor_stop_children(struct weir_supervisor *supervisor);

/* reload.c: by SIGHUP (out is NULL), or for `weir reload`, whose answer goes to out. context: the
 * supervisor. */
void weir_supervisor_reload(void *context, FILE *out);

/* last_ledger.c: events with the sums of the dataplane's last life, once it is gone. */
void weir_supervisor_print_ledger(struct weir_supervisor *supervisor);

#endif
