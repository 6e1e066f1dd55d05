/* encoding: the codings that a client accepts (Accept-Encoding), and gzip.
 *
 * Threads: any; no state
 * Memory:  gzip: a window of 256 KiB beside the result
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

/* Puts the text's gzip form in its place where that is smaller; true then. check is called every
 * 256 KiB; another return than WEIR_OK ends the work, and the text stays as it is. May be NULL. */
bool weir_text_gzip(struct weir_text *text, enum weir_err (*check)(void *context), void *context);

#endif
