/* hosts: labels as a fleet sends them, in the order of first contact: host after host. */
#ifndef WEIR_BENCH_INDEX_HOSTS_H
#define WEIR_BENCH_INDEX_HOSTS_H

#include "model/labels.h"

#define HOSTS_SERIES 200 /* of a host */
#define HOSTS_PODS 10    /* of a host, with 10 series each; the other 100 are the node's */

/* Canonical labels of series n; returns their size. */
size_t hosts_labels(uint64_t n, uint8_t labels[WEIR_LABELS_BYTES_MAX]);
/* Values that a query asks for. */
void hosts_instance(uint64_t host, char *out, size_t size);
void hosts_pod(uint64_t host, unsigned pod, char *out, size_t size);

#endif
