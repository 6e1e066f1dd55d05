/* encoding: the codings that a client accepts (Accept-Encoding), and gzip.
 *
 * Threads: any; a weir_gzip has one user at a time
 * Memory:  a weir_gzip has some 350 KiB, beside the result
 *
 * gzip is ISA-L's at its level 1: JSON of points repeats itself at short distance.
 */
#ifndef WEIR_CONTROLPLANE_HTTP_ENCODING_H
#define WEIR_CONTROLPLANE_HTTP_ENCODING_H

#include "base/err.h"
#include "controlplane/http/text.h"

/* Smaller answers fit into a packet or two as they are. */
#define WEIR_GZIP_MIN 1024

/* Weights of a request's Accept-Encoding headers, in thousandths; -1: not named. */
struct weir_codings {
    int gzip;
    int identity;
    int any; /* "*" */
};

void weir_codings_init(struct weir_codings *codings);
/* Adds the value of one Accept-Encoding header (RFC 9110, section 12.5.3). Members of the list that
 * make no sense are passed over. */
void weir_codings_add(struct weir_codings *codings, const char *value);
/* Whether the client takes gzip, and likes it no less than no coding at all. */
bool weir_codings_want_gzip(const struct weir_codings *codings);

/* One gzip stream (RFC 1952), made a piece at a time. */
struct weir_gzip;

/* WEIR_NOMEM */
enum weir_err weir_gzip_new(struct weir_gzip **out) WEIR_MUST_USE;
/* NULL is allowed. */
void weir_gzip_free(struct weir_gzip *gzip);
/* Appends the packed form of bytes to out; what is left inside comes with the next piece, and all
 * of it with the last. False where out is full. */
bool weir_gzip_add(
    struct weir_gzip *gzip, const void *bytes, size_t size, bool last, struct weir_text *out);

/* Puts the text's gzip form in its place where that is smaller; true then. check is called every
 * 256 KiB; another return than WEIR_OK ends the work, and the text stays as it is. May be NULL. */
bool weir_text_gzip(struct weir_text *text, enum weir_err (*check)(void *context), void *context);

#endif
