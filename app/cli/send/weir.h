/* weir: lines by the weir protocol. */
#ifndef WEIR_APP_CLI_SEND_WEIR_H
#define WEIR_APP_CLI_SEND_WEIR_H

#include "app/cli/send/common.h"
#include "app/cli/send/source.h"

/* Sends all of the source. By TCP it waits until everything is acknowledged. */
enum weir_err weir_send_weir(
    const struct weir_send_options *options, struct weir_send_source *source) WEIR_MUST_USE;

#endif
