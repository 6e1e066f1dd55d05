/* A whole agent: two metrics of this machine, sent to Weir each second.
 *
 *   cc -std=c11 -I. client/example.c build/client/libweir_client.a -o agent
 *   ./agent 127.0.0.1 8090 tcp 5      sends five times by TCP to the weir listener there
 *
 * The listener is `weir run --weir-tcp 127.0.0.1:8090`.
 */
#define _POSIX_C_SOURCE 200809L
#include "client/weir_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t
wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int
main(int argc, char **argv)
{
    if (argc != 5 || atoi(argv[2]) < 1 || atoi(argv[2]) > 65535 || atoi(argv[4]) < 1 ||
        (strcmp(argv[3], "tcp") != 0 && strcmp(argv[3], "udp") != 0)) {
        fprintf(stderr, "usage: %s ADDRESS PORT tcp|udp TIMES\n", argv[0]);
        return 2;
    }
    char host[256] = "unknown";
    gethostname(host, sizeof host - 1);
    /* A real agent keeps its sender id in a file; it must not change, nor be another agent's. */
    const struct weir_client_options options = {.address = argv[1],
        .port = (uint16_t)atoi(argv[2]),
        .tcp = strcmp(argv[3], "tcp") == 0,
        .sender = 4711};
    struct weir_client *client;
    int err = weir_client_new(&options, &client);
    if (err != 0) {
        fprintf(stderr, "connect to %s port %s: %s\n", argv[1], argv[2], strerror(-err));
        return 1;
    }
    const struct weir_client_label common[] = {{"job", "example"}, {"host", host}};
    const struct weir_client_label uptime[] = {{"__name__", "example_uptime_seconds"}};
    const struct weir_client_label idle[] = {{"__name__", "example_idle_seconds"}};
    const struct weir_client_series series[] = {{uptime, 1}, {idle, 1}};
    uint16_t id;
    err = weir_client_add_template(client, common, 2, series, 2, &id);
    for (int i = 0; i < atoi(argv[4]) && err == 0; i++) {
        double values[2] = {0, 0};
        FILE *file = fopen("/proc/uptime", "r");
        if (file != NULL) {
            if (fscanf(file, "%lf %lf", &values[0], &values[1]) != 2)
                values[0] = values[1] = 0;
            fclose(file);
        }
        err = weir_client_add_values(client, id, 0, values, 2, wall_ms());
        if (err == 0)
            err = weir_client_flush(client);
        if (i + 1 < atoi(argv[4]))
            sleep(1);
    }
    int end = weir_client_close(client, 30000);
    if (err != 0 || end != 0)
        fprintf(stderr, "not all was acknowledged: %s\n", strerror(err != 0 ? -err : -end));
    return err == 0 && end == 0 ? 0 : 1;
}
