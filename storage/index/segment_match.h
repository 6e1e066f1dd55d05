/* index_segment_match: the series of a segment that meet matchers.
 *
 * Each matcher becomes postings to keep or postings to leave out; the one with the fewest series
 * comes first. Where a dictionary or postings are damaged, and where few candidates are left and a
 * regular expression would have to be run over many values, labels are read instead.
 *
 * Threads: its reader's
 * Errors:  WEIR_IO, WEIR_LIMIT, WEIR_NOMEM; damage is counted and worked round
 */
#ifndef WEIR_STORAGE_INDEX_SEGMENT_MATCH_H
#define WEIR_STORAGE_INDEX_SEGMENT_MATCH_H

#include "storage/index/matcher.h"
#include "storage/index/segment_terms.h"

/* out is one of reader->sets: the first. Others are used. range: see weir_index_select. */
enum weir_err weir_segment_match(struct weir_index_reader *reader,
    const struct weir_segment *segment, const struct weir_index_matchers *matchers,
    struct weir_index_range range, struct weir_ordinals *out) WEIR_MUST_USE;

/* Does a series meet one matcher? list is its labels. */
enum weir_err weir_matcher_meets(const struct weir_matcher *matcher,
    const struct weir_names_list *list, bool *out) WEIR_MUST_USE;

#endif
