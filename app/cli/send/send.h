/* send: what the files of `weir send` share.
 *
 *   send.c        the command; text protocols
 *   send_source.c lines of a file, of standard input, or made up
 *   send_records.c the same lines as records, by the rules of Weir
 *   send_points.c these as points of series, and
 *   send_weir.c   these by the weir protocol
 *
 * Threads: the main thread
 * Errors:  the detail is for standard error
 */
#ifndef WEIR_APP_CLI_SEND_SEND_H
#define WEIR_APP_CLI_SEND_SEND_H

#include "app/cli/send/chaos.h"

#include <stdbool.h>
#include <stdio.h>

/* Behind a number of records that were rejected. */
#define WEIR_SEND_WHY "; weir rejected, on that machine, shows the last ones and why"
#define WEIR_SEND_WAIT_MS 30000 /* for the other side, where nothing else is said */
/* After so long without a word the other side may be somebody else. Weir acknowledges what is
 * durable within milliseconds, and says within a second where its log takes nothing. */
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
    uint64_t sender;   /* weir; 0: a random one */
    int timeout_ms;    /* for a connection, for progress, and for the answer */
};

struct weir_send_source {
    FILE *file; /* NULL: generate */
    const char *name; /* of it, for messages; borrowed */
    uint64_t count;
    uint64_t made;
    uint64_t series;
    bool graphite;
    int64_t first_ms;
    char *line;
    size_t capacity;
    size_t left; /* bytes of line that weir_send_source_fill has not handed out */
    size_t left_at;
    int error; /* errno of the read that ended it; 0: none did */
};

enum weir_err weir_send_source_open(struct weir_send_source *source, const char *path)
    WEIR_MUST_USE;
void weir_send_source_close(struct weir_send_source *source);
/* The next line with its newline, in source->line; false at the end, or where reading failed. */
bool weir_send_source_next(struct weir_send_source *source, size_t *size);
/* WEIR_IO where it was a failed read that ended the lines. */
enum weir_err weir_send_source_ended(const struct weir_send_source *source) WEIR_MUST_USE;
/* As many bytes of lines as are there now, at most room; waits for the first. 0 at the end. */
enum weir_err weir_send_source_fill(struct weir_send_source *source, uint8_t *out, size_t room,
    size_t *size) WEIR_MUST_USE;

/* Sleeps until `lines` sent since started_ns are due. */
void weir_send_pace(int64_t started_ns, uint64_t lines, uint64_t rate);
/* Reads `ok ACCEPTED REJECTED OFFSET` and a newline: three whole numbers of 64 bits, and nothing
 * else. */
bool weir_send_read_ok(const char *answer, uint64_t *accepted, uint64_t *rejected,
    uint64_t *offset) WEIR_MUST_USE;
/* Sends one datagram. */
enum weir_err weir_send_datagram(int fd, const uint8_t *packet, size_t size) WEIR_MUST_USE;
/* What went out by UDP. */
void weir_send_print_sent(uint64_t lines, uint64_t packets);
/* The truth's members of a JSON object, with the units' name. */
void weir_send_print_truth(const struct weir_chaos_truth *truth, const char *units);

/* All of the source by the weir protocol. */
enum weir_err weir_send_weir(const struct weir_send_options *options,
    struct weir_send_source *source) WEIR_MUST_USE;

#endif
