/* series_internal: what tests need to force collisions; nothing else includes it. */
#ifndef WEIR_DATAPLANE_SERIES_INTERNAL_H
#define WEIR_DATAPLANE_SERIES_INTERNAL_H

#include "dataplane/series/series.h"

/* Attempts a series may take until it finds a fingerprint of its own. */
#define WEIR_SERIES_ATTEMPTS_MAX 64

/* Ands every fingerprint with mask from now on. Before the first definition only. */
void weir_series_narrow(struct weir_series *series, struct weir_hash128 mask);

#endif
