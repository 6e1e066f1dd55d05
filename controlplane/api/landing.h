/* landing: the page of GET /, for a person with a browser.
 *
 * Threads: any; constant
 */
#ifndef WEIR_CONTROLPLANE_API_LANDING_H
#define WEIR_CONTROLPLANE_API_LANDING_H

extern const char weir_landing_page[];
/* Its Content-Security-Policy: nothing but the page's own style, by its hash. */
extern const char weir_landing_policy[];

#endif
