#include "app/dataplane_xdp.h"

#include "app/programs.h"
#include "app/vdev.h"

#include <errno.h>
#include <stdarg.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

bool
weir_config_has_af_xdp(const struct weir_config *config)
{
    for (uint32_t i = 0; i < config->port_count; i++)
        if (weir_vdev_is_af_xdp(config->ports[i]))
            return true;
    return false;
}

/* The object beside this program. */
static enum weir_err
find_object(char *out, size_t size)
{
    char program[WEIR_CONFIG_PATH_MAX];
    enum weir_err err = weir_programs_own(program, sizeof program);
    if (err != WEIR_OK)
        return err;
    snprintf(out, size, "%s/" WEIR_XDP_OBJECT, program);
    if (access(out, R_OK) != 0)
        return weir_fail(WEIR_UNSUPPORTED, errno, "AF_XDP ports need %s, which a build without "
            "clang leaves out", out);
    if (strchr(out, ',') != NULL)
        return weir_fail(WEIR_UNSUPPORTED, 0, "AF_XDP ports cannot name %s: it has a comma", out);
    return WEIR_OK;
}

__attribute__((format(printf, 2, 3))) static enum weir_err
append(char *vdev, const char *format, ...)
{
    size_t at = strlen(vdev);
    va_list args;
    va_start(args, format);
    int added = vsnprintf(vdev + at, WEIR_VDEV_MAX - at, format, args);
    va_end(args);
    if (added < 0 || (size_t)added >= WEIR_VDEV_MAX - at)
        return weir_fail(WEIR_INVALID, 0, "a vdev string of more than %d bytes", WEIR_VDEV_MAX);
    return WEIR_OK;
}

static enum weir_err
complete(char *vdev)
{
    char interface[IFNAMSIZ];
    char object[WEIR_CONFIG_PATH_MAX + 32];
    char given[WEIR_VDEV_MAX];
    if (!weir_vdev_argument(vdev, "iface", interface, sizeof interface) || interface[0] == '\0')
        return weir_fail(WEIR_INVALID, 0, "port %s: iface=INTERFACE is missing", vdev);
    enum weir_err err = weir_xdp_interface_free(interface);
    if (err == WEIR_OK && !weir_vdev_argument(vdev, "queue_count", given, sizeof given))
        err = append(vdev, ",queue_count=%u", weir_vdev_queues(vdev));
    /* the driver's busy polling and veth's own softirq get into each other's way: at 200,000
     * frames a second on a loaded machine 2 to 78 % were lost with it, 1 to 4 % without */
    if (err == WEIR_OK && weir_vdev_is_veth(interface) &&
        !weir_vdev_argument(vdev, "busy_budget", given, sizeof given))
        err = append(vdev, ",busy_budget=0");
    if (err == WEIR_OK && !weir_vdev_argument(vdev, "xdp_prog", given, sizeof given)) {
        err = find_object(object, sizeof object);
        if (err == WEIR_OK)
            err = append(vdev, ",xdp_prog=%s", object);
    }
    return err;
}

enum weir_err
weir_dataplane_xdp_prepare(struct weir_dataplane_xdp *xdp, const struct weir_config *config)
{
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < config->port_count && err == WEIR_OK; i++) {
        snprintf(xdp->vdevs[i], WEIR_VDEV_MAX, "%s", config->ports[i]);
        if (weir_vdev_is_af_xdp(config->ports[i]))
            err = complete(xdp->vdevs[i]);
    }
    if (err != WEIR_OK || !weir_config_has_af_xdp(config))
        return err;
    char rules[WEIR_CONFIG_PATH_MAX + 32];
    snprintf(rules, sizeof rules, "%s/" WEIR_FILTER_RULES_FILE, config->data);
    err = weir_rules_load(&xdp->rules, rules);
    if (err == WEIR_OK)
        err = weir_xdp_pins(config->data, xdp->pins);
    if (err == WEIR_OK)
        err = weir_xdp_pins_make(xdp->pins);
    return err;
}
