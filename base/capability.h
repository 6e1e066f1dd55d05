/* capability: which of root's rights this process has (capabilities(7)).
 *
 * Threads: any; of the calling thread
 */
#ifndef WEIR_BASE_CAPABILITY_H
#define WEIR_BASE_CAPABILITY_H

#include <linux/capability.h>
#include <stdbool.h>

/* Whether a capability, CAP_NET_ADMIN say, is in force. */
bool weir_capability_held(unsigned capability);

#endif
