/* common: the options of weir send, and the steps that both kinds of protocols share.
 *
 * Threads: the main thread
 * Errors:  the detail is for standard error
 */
#ifndef WEIR_APP_CLI_SEND_COMMON_H
#define WEIR_APP_CLI_SEND_COMMON_H

#include "app/cli/send/chaos.h"

#include <stdbool.h>

/* Follows a number of records that were rejected. */
#define WEIR_SEND_WHY "; weir rejected, on that machine, shows the last ones and why"
#define WEIR_SEND_WAIT_MS 30000 /* for the other side, unless --timeout is given */
/* After so long without an answer the other side may be no Weir. Weir acknowledges durable samples
 * within milliseconds, and reports within a second that its log is full. */
#define WEIR_SEND_DOUBT_MS 5000
/* Slower than this many lines a second, nothing waits for a full packet. */
#define WEIR_SEND_SLOW 1000

struct weir_send_options {
    const char *udp; /* one of both is NULL */
    const char *tcp;
    uint64_t rate;     /* lines a second; 0: as fast as it goes */
    uint64_t datagram; /* bytes */
    bool has_chaos;    /* UDP only */
    struct weir_chaos_options chaos;
    uint64_t sender; /* weir; 0: a random one */
    int timeout_ms;  /* for a connection, for progress, and for the answer */
};

/* Sleeps until `lines` sent since started_ns are due. */
void weir_send_pace(int64_t started_ns, uint64_t lines, uint64_t rate);
/* Sends one datagram. */
enum weir_err weir_send_datagram(int fd, const uint8_t *packet, size_t size) WEIR_MUST_USE;
/* Waits for news that the last datagrams were refused (ICMP, RFC 1122, section 4.1.3.3). Silence
 * proves nothing: the news may be late, or a firewall may drop it. */
enum weir_err weir_send_await_refusal(int fd) WEIR_MUST_USE;
/* Prints how much went out by UDP. */
void weir_send_print_sent(uint64_t lines, uint64_t packets);
/* Prints the truth as members of a JSON object; units is the name of the counted things. */
void weir_send_print_truth(const struct weir_chaos_truth *truth, const char *units);

#endif
