/* A child for the supervisor's tests: stands in for weir-dataplane or weir-controlplane by the
 * name it is run under, and does what the file FAKE_ORDERS/<name> says:
 *
 *   refuse    ends with exit code 2       crash     ends with 1 at once
 *   deaf      ignores SIGTERM             mute      never says that it is ready
 *   reject    has refused one sample      (other)   runs until SIGTERM
 *
 * Each start, and the SIGTERM that ends it, adds a line to FAKE_ORDERS/log.
 */
#include "config/config.h"
#include "model/shared.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char log_path[512];
static const char *name;

static void
write_log(const char *what)
{
    char line[64];
    int size = snprintf(line, sizeof line, "%s %s\n", name, what);
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || write(fd, line, (size_t)size) != size)
        _exit(9);
    close(fd);
}

static void
read_order(const char *orders, char *out, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", orders, name);
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(out, (int)size, file) == NULL)
        out[0] = '\0';
    fclose(file);
}

static void
open_ingest(bool reject)
{
    struct weir_shared *shared;
    if (weir_shared_map(WEIR_SHARED_FD, &shared) != WEIR_OK)
        _exit(8);
    if (weir_shared_reset(WEIR_SHARED_FD, shared) != WEIR_OK)
        _exit(8);
    atomic_store(&shared->state, WEIR_INGEST_OPEN);
    static struct weir_counts counts;
    if (reject) {
        counts.unit[WEIR_UNIT_SAMPLES].received = 3;
        counts.unit[WEIR_UNIT_SAMPLES].rejected[WEIR_REASON_table_full] = 3;
        weir_ledger_publish(&shared->ledger.blocks[WEIR_BLOCK_WORKER], &counts);
    }
    atomic_store(&shared->epoch, 1);
}

/* The supervisor's socket, which listens. */
static void
open_http(const char *fd)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(atoi(fd), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens)
        _exit(7);
    struct weir_shared *shared;
    if (weir_shared_map(WEIR_SHARED_FD, &shared) != WEIR_OK)
        _exit(8);
    atomic_store(&shared->http_pid, (uint32_t)getpid());
}

int
main(int argc, char **argv)
{
    const char *orders = getenv("FAKE_ORDERS");
    static struct weir_config config;
    char order[32];
    const char *slash = strrchr(argv[0], '/');
    name = slash != NULL ? slash + 1 : argv[0];
    if (orders == NULL || argc < 5 || strcmp(argv[1], "--config") != 0)
        return 9;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    snprintf(log_path, sizeof log_path, "%s/log", orders);
    weir_config_init(&config);
    if (weir_config_load(&config, argv[2]) != WEIR_OK)
        return 9;
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    write_log("started");
    read_order(orders, order, sizeof order);
    if (strcmp(order, "refuse") == 0)
        return 2;
    if (strcmp(order, "crash") == 0)
        return 1;
    if (strcmp(name, "weir-dataplane") == 0)
        open_ingest(strcmp(order, "reject") == 0);
    else if (strcmp(order, "mute") != 0)
        open_http(argc == 7 && strcmp(argv[5], "--http-fd") == 0 ? argv[6] : "-1");
    int number;
    do
        sigwait(&stop, &number);
    while (strcmp(order, "deaf") == 0);
    write_log("stopped");
    return 0;
}
