/* generator: frames of Influx lines, made and sent by a program in the kernel (weir_gen.bpf.c) onto
 * an interface of a veth pair, so that they arrive at its peer as from a wire.
 *
 * Threads: one; run blocks until all frames are sent, and uses the CPU of its caller
 * Memory:  one struct of the heap
 * Errors:  WEIR_UNSUPPORTED no program, or the kernel has no live frames (5.18 has); WEIR_IO
 */
#ifndef WEIR_EBPF_GENERATOR_H
#define WEIR_EBPF_GENERATOR_H

#include "base/err.h"
#include "ebpf/weir_gen.h"

#include <stdint.h>

#define WEIR_GEN_OBJECT "weir_gen.bpf.o"

struct weir_generator;

/* object: path of WEIR_GEN_OBJECT. Frames go to `port` at 192.0.2.2. */
enum weir_err weir_generator_new(const char *object, uint16_t port, struct weir_generator **out)
    WEIR_MUST_USE;
/* Sends `frames` frames as config says, numbered from 0. */
enum weir_err weir_generator_run(struct weir_generator *generator,
    const struct weir_gen_config *config, uint32_t frames) WEIR_MUST_USE;
/* Frames sent by the last run. */
uint64_t weir_generator_sent(const struct weir_generator *generator);
void weir_generator_free(struct weir_generator *generator);

#endif
