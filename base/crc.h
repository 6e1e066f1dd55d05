/* crc: CRC-32C (Castagnoli), RFC 3720 appendix B.4. */
#ifndef WEIR_BASE_CRC_H
#define WEIR_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CRC of data continued from seed (0 to start): crc(crc(0, a), b) == crc(0, a||b). Uses SSE 4.2
 * where the CPU has it. */
uint32_t weir_crc32c(uint32_t seed, const void *data, size_t size);
/* The bytewise twin, for tests and other machines. */
uint32_t weir_crc32c_portable(uint32_t seed, const void *data, size_t size);

#endif
