/* senders: questions and answers about the channels of the weir protocol (docs/api.md).
 *
 * Threads: the event loop's
 */
#ifndef WEIR_CONTROLPLANE_API_SENDERS_H
#define WEIR_CONTROLPLANE_API_SENDERS_H

#include "controlplane/http/params.h"
#include "controlplane/http/text.h"
#include "model/shared.h"

/* Reads a request: to forget, or a page; rows_max is that of the whole page. WEIR_INVALID. */
enum weir_err weir_senders_read_params(const struct weir_params *params, bool forget,
    int64_t now_ms, struct weir_channel_question *out) WEIR_MUST_USE;
/* The answer up to its list of channels, with those that lost the most. WEIR_AGAIN while they
 * are being published, WEIR_NOT_FOUND before they were. */
enum weir_err weir_senders_write_head(struct weir_shared *shared, struct weir_text *text)
    WEIR_MUST_USE;
/* Rows of a list; more: some are there already. */
void weir_senders_write_rows(const struct weir_channel_row *rows, uint64_t count, bool more,
    struct weir_text *text);

#endif
