/* record: records of a packet of the weir protocol, read from bytes that are not aligned.
 *
 * Threads: any; no state
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_RECORD_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_RECORD_H

#include "client/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline struct weir_wire_record
weir_wire_load_record(const uint8_t *at)
{
    struct weir_wire_record record;
    memcpy(&record, at, sizeof record);
    return record;
}

/* The list after its u16 size at *at of a definition; moves *at past it. */
static inline bool
weir_wire_next_list(const uint8_t *record, size_t length, size_t *at, const uint8_t **list,
    size_t *size)
{
    uint16_t bytes;
    if (length - *at < sizeof bytes)
        return false;
    memcpy(&bytes, record + *at, sizeof bytes);
    *size = bytes;
    *list = record + *at + sizeof bytes;
    if (*size > length - *at - sizeof bytes)
        return false;
    *at += sizeof bytes + *size;
    return true;
}

#endif
