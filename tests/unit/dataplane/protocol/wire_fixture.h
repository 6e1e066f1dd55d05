/* wire_fixture: channels of the weir protocol, for tests. */
#ifndef WEIR_TESTS_UNIT_DATAPLANE_PROTOCOL_WIRE_FIXTURE_H
#define WEIR_TESTS_UNIT_DATAPLANE_PROTOCOL_WIRE_FIXTURE_H

#include "base/crc.h"
#include "client/weir_client.h"
#include "dataplane/protocol/weir/group_append.h"
#include "dataplane/protocol/weir/definition.h"
#include "dataplane/protocol/weir/record.h"
#include "dataplane/protocol/weir/weir.h"
#include "dataplane/protocol/weir/channels/internal.h"
#include "tests/unit/dataplane/stages_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHANNELS 8
#define TEMPLATE_BYTES (1u << 20)
#define SERIES_MAX 100
#define NOW_MS INT64_C(1700000000000)

static struct weir_hash_key key;

static inline struct weir_channels *
channels_of(uint32_t channels)
{
    return weir_channels_init(zeroed(weir_channels_footprint(channels, TEMPLATE_BYTES)), channels,
        TEMPLATE_BYTES, &key);
}

static inline struct weir_channels *
channels_new(void)
{
    return channels_of(CHANNELS);
}

struct packets {
    size_t count;
    size_t size[8];
    uint8_t data[8][2048];
};

#endif
