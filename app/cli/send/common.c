#include "app/cli/send/common.h"

#include "app/cli/net.h"
#include "app/cli/words.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

/* Each run to a port that is open waits so long for an error that never comes. */
#define REFUSAL_WAIT_MS 100

void
weir_send_pace(int64_t started_ns, uint64_t lines, uint64_t rate)
{
    if (rate == 0)
        return;
    int64_t due = started_ns + (int64_t)((double)lines * 1e9 / (double)rate);
    int64_t early = due - weir_mono_ns();
    if (early <= 0)
        return;
    struct timespec wait = {.tv_sec = early / 1000000000, .tv_nsec = early % 1000000000};
    nanosleep(&wait, NULL);
}

static enum weir_err
fail_refused(void)
{
    return weir_fail(WEIR_IO, 0, "nobody listens on that UDP port");
}

enum weir_err
weir_send_datagram(int fd, const uint8_t *packet, size_t size)
{
    enum weir_err err = weir_net_send(fd, packet, size);
    if (err == WEIR_IO && weir_err_errno() == ECONNREFUSED)
        return fail_refused();
    return err;
}

enum weir_err
weir_send_await_refusal(int fd)
{
    struct pollfd wait = {.fd = fd};
    int errnum = 0;
    socklen_t size = sizeof errnum;
    if (poll(&wait, 1, REFUSAL_WAIT_MS) <= 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &size) != 0 || errnum == 0)
        return WEIR_OK;
    return errnum == ECONNREFUSED ? fail_refused() : weir_fail(WEIR_IO, errnum, "send");
}

void
weir_send_print_truth(const struct weir_chaos_truth *truth, const char *units)
{
    printf("\"packets\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicated\":%" PRIu64
           ",\"reordered\":%" PRIu64 ",\"%s\":%" PRIu64 ",\"%s_lost\":%" PRIu64
           ",\"%s_duplicated\":%" PRIu64,
        truth->packets, truth->lost, truth->duplicated, truth->reordered, units, truth->units,
        units, truth->units_lost, units, truth->units_duplicated);
}

void
weir_send_print_sent(uint64_t lines, uint64_t packets)
{
    printf("sent %" PRIu64 " line%s in %" PRIu64 " datagram%s\n", lines, weir_plural(lines),
        packets, weir_plural(packets));
}
