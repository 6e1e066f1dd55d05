/* senders: the page of the channels that lost the most (docs/api.md). */
#ifndef WEIR_CONTROLPLANE_SENDERS_H
#define WEIR_CONTROLPLANE_SENDERS_H

#include "base/shared.h"
#include "controlplane/text.h"

/* Worst first. WEIR_AGAIN where there is nothing to read now. */
enum weir_err weir_senders_write(struct weir_shared *shared, struct weir_text *text) WEIR_MUST_USE;

#endif
