/* place: where the times of a grid fall among the times of samples.
 *
 * Threads: any; no state
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_PLACE_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_PLACE_H

#include "controlplane/promql/scan/row.h"

/* out[i]: how many samples are at or before time i of the grid. times_ms rise.
 *
 * The place is guessed from the mean spacing and both neighbours are looked at, since samples come
 * about evenly and a cursor's branches would be random; where the guess is wrong, the search goes
 * on from the place before. */
void weir_promql_places(const int64_t *times_ms, uint32_t count,
    const struct weir_promql_grid *grid, uint32_t *out);

#endif
