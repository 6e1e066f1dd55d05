/* fast: the fast path for simple lines of Influx line protocol, many at a time, by vectors.
 *
 * A simple line is  measurement,key=value,... name=number,... time\n  in printable ASCII without
 * quote, backslash or doubled separator. Most of its grammar is one rule about bits. Of the
 * separators between the lines' tokens, counted from a line's start,
 *
 *   m , k = v , k = v _ f = 1 , g = 2 _ 17 \n      (_ a space)
 *     1   2   3   4   5   6   7   8   9    10
 *
 * a comma or space always has an odd number, an equals sign or newline an even one, and a line's
 * count is even, and the next line starts over. A prefix sum modulo 2 over the block's
 * separators (one carry-less multiplication) therefore finds whatever breaks the pattern. It is
 * left to check that no two separators touch, and that a line has just two spaces.
 *
 * A line that is anything else is left to the parser's other code, which take all lines.
 *
 * Threads: any; no state
 * Limits:  a line that does not fit WEIR_FAST_WINDOW bytes is not simple
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_INFLUX_FAST_H
#define WEIR_DATAPLANE_PROTOCOL_INFLUX_FAST_H

#include "dataplane/protocol/common/decimal.h"
#include "dataplane/protocol/parse.h"

#define WEIR_FAST_WINDOW 4096

/* Adds the simple lines from `at` on to out, up to its targets. Returns the position after the
 * last one taken: that of the first line which is not simple or not complete. */
typedef size_t weir_influx_fast_fn(const struct weir_parse_context *context,
    const struct weir_packet *packet, size_t at, struct weir_parsed *out);

weir_influx_fast_fn weir_influx_fast_avx512; /* AVX-512 BW, VL, VBMI; VPCLMULQDQ; BMI2 */
weir_influx_fast_fn weir_influx_fast_avx2_vpclmul; /* AVX2; VPCLMULQDQ; BMI1, BMI2 */
weir_influx_fast_fn weir_influx_fast_avx2;   /* AVX2; PCLMULQDQ; BMI1, BMI2 */

struct weir_influx_variant {
    const char *name;
    uint32_t needs; /* base/cpu.h */
    weir_influx_fast_fn *fast; /* NULL: every line is left to the parser's other code */
};

/* Variants compiled in, best first; the last is the portable one. */
extern const struct weir_influx_variant weir_influx_variants[];
size_t weir_influx_variant_count(void);
bool weir_influx_variant_supported(size_t variant);
/* Index of the variant in use: the best supported one, unless a test has chosen another. */
size_t weir_influx_variant(void);
void weir_influx_variant_choose(size_t variant);

/* A number or truth value without escape or quote, in any spelling that is decimal; false for
 * what the complete decoder judges. *rounded grows by one for an integer past 2^53. */
bool weir_influx_fast_value(const uint8_t *text, size_t size, uint32_t *rounded,
    struct weir_decimal *out);

#endif
