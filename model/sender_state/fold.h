/* fold: a list of state entries made short. A replay of the folded list leaves the same channels,
 * templates and forgotten channels as a replay of everything that was added. A folded list can
 * therefore be folded again together with later entries.
 *
 * Format:  docs/format/sender_state.md
 * Threads: the caller's
 * Memory:  from malloc, of the order of the folded list
 * Errors:  WEIR_CORRUPT for bytes that do not check out; WEIR_NOMEM, and then from every call,
 *          because a list that lacks an entry must not replace the whole; WEIR_IO without
 * randomness Limits:  channels as memory allows; WEIR_STATE_TEMPLATES_MAX,
 * WEIR_STATE_TEMPLATE_SERIES_MAX and WEIR_STATE_FORGOTTEN_MAX as in a replay
 *
 * Same as in a replay whose table is never full. A full table refuses channels and templates: it
 * may refuse others of the folded list, since what was forgotten or replaced is no longer in it.
 * Numbers given up count as come, as in every state entry.
 */
#ifndef WEIR_MODEL_SENDER_STATE_FOLD_H
#define WEIR_MODEL_SENDER_STATE_FOLD_H

#include "model/sender_state/state.h"

struct weir_state_fold;

enum weir_err weir_state_fold_new(struct weir_state_fold **out) WEIR_MUST_USE;
void weir_state_fold_free(struct weir_state_fold *fold);

/* Count of series that are defined at the next list's place in the log. Numbers from series_count
 * on are passed over, as a replay does: another series may be given them later. Without limit at
 * first. */
void weir_state_fold_set_series_count(struct weir_state_fold *fold, uint64_t series_count);
/* Adds a list as a frame has it, aligned to 8 bytes, in log order. WEIR_CORRUPT: the entries before
 * the damage were added. */
enum weir_err weir_state_fold_add(struct weir_state_fold *fold, const uint8_t *sender_state,
    size_t size) WEIR_MUST_USE;

/* Borrows a whole list, aligned to 8 bytes, of at most WEIR_BATCH_STATE_BYTES_MAX bytes. */
typedef enum weir_err weir_state_emit_fn(void *context, const uint8_t *sender_state, size_t size);
/* Emits lists whose replay in order, from nothing, gives the state of everything that was added; no
 * list if that is nothing. Ends with the error of an emit that fails. The fold stays as it is. */
enum weir_err weir_state_fold_write(const struct weir_state_fold *fold,
    weir_state_emit_fn *emit, void *context) WEIR_MUST_USE;

#endif
