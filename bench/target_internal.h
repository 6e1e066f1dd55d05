/* target_internal: the inside of a target, for target.c and target_figures.c. */
#ifndef WEIR_BENCH_TARGET_INTERNAL_H
#define WEIR_BENCH_TARGET_INTERNAL_H

#include "bench/target.h"
#include "config/config.h"

#include <sys/types.h>

struct weir_bench_target {
    char data[WEIR_CONFIG_PATH_MAX];
    int lock_fd;
    int data_fd; /* the lock on DATA itself; -1 where there is none */
    int shared_fd;
    enum weir_bench_source source;
    enum weir_bench_proto proto;
    uint32_t workers; /* 0: as the configuration has it */
    pid_t pid;
    int status;
    bool reaped;
    struct weir_shared *shared;
    struct weir_bench_feed *feed;
    uint64_t log_limit; /* offset near which the log is full; UINT64_MAX where it recycles */
};

/* A file below the data directory. */
void weir_bench_target_path(char *out, size_t size, const char *data, const char *name);

#endif
