#include "storage/log/replay.h"

#include "base/assert.h"
#include "base/event.h"
#include "model/labels.h"
#include "model/sender_state/state.h"

#include <inttypes.h>
#include <string.h>

/* More lost numbers than this in one hole are not believed. */
#define LOST_DEFINITIONS_MAX (UINT64_C(1) << 28)

/* The sender's next line defines the series anew. */
static enum weir_err
define_lost(struct weir_replay *replay)
{
    uint8_t labels[WEIR_LOST_LABELS_MAX];
    size_t size;
    weir_labels_lost(replay->through, labels, &size);
    return replay->define(replay->define_context, replay->through, labels, size);
}

enum weir_err
weir_replay_lost(struct weir_replay *replay, uint64_t until)
{
    if (until <= replay->through)
        return WEIR_OK;
    if (until - replay->through > LOST_DEFINITIONS_MAX)
        return weir_fail(WEIR_CORRUPT, 0, "definitions %" PRIu64 " to %" PRIu64 " are missing",
            replay->through, until);
    weir_event(WEIR_LEVEL_ERROR, "definitions_lost", "first=%" PRIu64 " count=%" PRIu64,
        replay->through, until - replay->through);
    replay->lost += until - replay->through;
    for (; replay->through < until; replay->through++) {
        enum weir_err err = define_lost(replay);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

enum weir_err
weir_replay_list(struct weir_replay *replay, uint64_t first, uint32_t count,
    const uint8_t *list, size_t size)
{
    enum weir_err err = weir_replay_lost(replay, first);
    size_t at = 0;
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        const uint8_t *labels;
        size_t labels_size;
        if (weir_definition_next(list, size, &at, &labels, &labels_size) != WEIR_OK)
            return WEIR_OK; /* the rest counts as lost */
        if (first + i != replay->through)
            continue;
        err = replay->define(replay->define_context, replay->through, labels, labels_size);
        if (err == WEIR_OK) {
            /* its name may have been given when its segment was trimmed */
            bool lost = weir_labels_are_lost(replay->through++, labels, labels_size);
            replay->lost += lost;
            replay->defined += !lost;
        }
    }
    return err;
}

/* Do all of the front's lists check out? */
static bool
front_is_whole(const uint8_t *frame, const struct weir_frame_header *header)
{
    struct weir_frame_state state;
    struct weir_frame_definitions definitions;
    uint64_t at = 0;
    enum weir_err err;
    while ((err = weir_frame_state_next(frame, header->bytes, &at, &state)) == WEIR_OK)
        continue;
    at = 0;
    err = err == WEIR_END ? WEIR_OK : err;
    while (err == WEIR_OK)
        err = weir_frame_definitions_next(frame, header->bytes, &at, &definitions);
    return err == WEIR_END;
}

/* Reads header, index, state entries and definitions. Damaged lists are read once more. */
static enum weir_err
read_front(struct weir_segment_reader *reader, const struct weir_frame_header *header,
    const uint8_t **frame)
{
    uint64_t front = weir_frame_front(header);
    WEIR_ASSERT(front <= header->bytes); /* weir_frame_check_header saw to it */
    front = (front + WEIR_FRAME_ALIGN - 1) & ~(uint64_t)(WEIR_FRAME_ALIGN - 1);
    for (int reads = 0; reads < 2; reads++) {
        enum weir_err err = weir_segment_reader_frame(reader, header->offset, front, frame);
        if (err != WEIR_OK)
            return err;
        if (memcmp(*frame, header, sizeof *header) != 0)
            return weir_fail(WEIR_IO, 0,
                "the header at %" PRIu64 " reads differently a second time", header->offset);
        if (front_is_whole(*frame, header))
            break;
    }
    return WEIR_OK;
}

/* Of damaged pieces the numbers are lost, the others are handed over. Each is reported. */
static enum weir_err
replay_definitions(struct weir_replay *replay, const uint8_t *frame,
    const struct weir_frame_header *header)
{
    struct weir_frame_definitions piece;
    uint64_t at = 0;
    for (;;) {
        enum weir_err err = weir_frame_definitions_next(frame, header->bytes, &at, &piece);
        if (err == WEIR_END)
            return WEIR_OK;
        if (err == WEIR_OK)
            err = weir_replay_list(replay, piece.first, piece.count, piece.list, piece.size);
        else if (err == WEIR_CORRUPT) {
            weir_event(WEIR_LEVEL_ERROR, "definitions_damaged",
                "offset=%" PRIu64 " reason=\"%s\"", header->offset, weir_err_detail());
            continue;
        }
        if (err != WEIR_OK)
            return err;
    }
}

/* Nothing says of which channels a damaged piece was: those that no later entry names go on from
 * what was known of them before, and what they send again counts anew. */
static void
report_lost_state(const struct weir_replay *replay, const struct weir_frame_header *header,
    uint64_t from, uint64_t to)
{
    if (replay->sender_state != NULL)
        weir_event(WEIR_LEVEL_ERROR, "sender_state_lost",
            "offset=%" PRIu64 " from=%" PRIu64 " bytes=%" PRIu64, header->offset, from, to - from);
}

/* Damaged pieces are passed over, the others are handed over. */
static enum weir_err
replay_sender_state(struct weir_replay *replay, const uint8_t *frame,
    const struct weir_frame_header *header)
{
    struct weir_frame_state piece;
    for (uint64_t at = 0;;) {
        uint64_t from = at;
        enum weir_err err = weir_frame_state_next(frame, header->bytes, &at, &piece);
        if (err == WEIR_END)
            return WEIR_OK;
        if (err == WEIR_OK)
            err = weir_state_check(piece.list, piece.size);
        else if (err == WEIR_CORRUPT) {
            report_lost_state(replay, header, from, at);
            continue;
        }
        if (err != WEIR_OK)
            return err;
        if (replay->sender_state != NULL)
            replay->sender_state(replay->sender_state_context, piece.list, piece.size);
    }
}

enum weir_err
weir_replay_frame(struct weir_replay *replay, struct weir_segment_reader *reader,
    const struct weir_frame_header *header)
{
    if (replay->define == NULL) {
        replay->through = header->definitions_through;
        replay->defined += header->definition_count;
        return WEIR_OK;
    }
    enum weir_err err = WEIR_OK;
    const uint8_t *frame = NULL;
    bool wants_sender_state = header->state_bytes != 0 && replay->sender_state != NULL;
    if (header->definition_count != 0 || wants_sender_state) {
        err = read_front(reader, header, &frame);
        if (err == WEIR_OK)
            err = replay_definitions(replay, frame, header);
    }
    if (err == WEIR_OK)
        err = weir_replay_lost(replay, header->definitions_through);
    if (err == WEIR_OK && frame != NULL)
        err = replay_sender_state(replay, frame, header);
    return err;
}
