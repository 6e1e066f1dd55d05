/* text: lines by the text protocols, as they are. */
#ifndef WEIR_APP_CLI_SEND_TEXT_H
#define WEIR_APP_CLI_SEND_TEXT_H

#include "app/cli/send/common.h"
#include "app/cli/send/source.h"

#define WEIR_SEND_DATAGRAM_MAX 65507 /* IPv4 */

/* Sends all of the source, and waits for the answer by TCP. */
enum weir_err weir_send_text(
    const struct weir_send_options *options, struct weir_send_source *source) WEIR_MUST_USE;
/* Reads `ok ACCEPTED REJECTED OFFSET` and a newline: three whole numbers of 64 bits, and nothing
 * else. */
bool weir_send_read_ok(
    const char *answer, uint64_t *accepted, uint64_t *rejected, uint64_t *offset) WEIR_MUST_USE;

#endif
