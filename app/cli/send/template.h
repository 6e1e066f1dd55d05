/* template: new series as templates of the weir protocol: the labels that all of them have, then
 * those of each.
 *
 * Memory:  some for the call
 */
#ifndef WEIR_APP_CLI_SEND_TEMPLATE_H
#define WEIR_APP_CLI_SEND_TEMPLATE_H

#include "base/err.h"
#include "client/weir_client.h"

#include <stddef.h>
#include <stdint.h>

/* Definitions, as weir_definition_next reads them; at: of the next one. Borrowed. */
struct weir_send_definitions {
    const uint8_t *labels;
    size_t size;
    size_t at;
};

/* Defines a template of the next `count` definitions and moves past them. *result: of the client
 * library, set if WEIR_OK is returned. WEIR_INVALID if a series' labels fit no packet. */
enum weir_err weir_send_template_add(struct weir_client *client,
    struct weir_send_definitions *definitions, uint32_t count, uint16_t *id,
    int *result) WEIR_MUST_USE;

#endif
