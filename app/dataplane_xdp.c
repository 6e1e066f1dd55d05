#include "app/dataplane_xdp.h"

#include "app/programs.h"

#include <errno.h>
#include <stdarg.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRIVER "net_af_xdp"

static bool
is_af_xdp(const char *vdev)
{
    return strncmp(vdev, DRIVER, sizeof DRIVER - 1) == 0;
}

bool
weir_config_has_af_xdp(const struct weir_config *config)
{
    for (uint32_t i = 0; i < config->port_count; i++)
        if (is_af_xdp(config->ports[i]))
            return true;
    return false;
}

/* The value of NAME in "driver,NAME=value,...", as long as it fits. */
static bool
argument(const char *vdev, const char *name, char *out, size_t size)
{
    size_t name_size = strlen(name);
    for (const char *at = strchr(vdev, ','); at != NULL; at = strchr(at, ',')) {
        at++;
        if (strncmp(at, name, name_size) != 0 || at[name_size] != '=')
            continue;
        const char *value = at + name_size + 1;
        size_t value_size = strcspn(value, ",");
        if (value_size >= size)
            return false;
        memcpy(out, value, value_size);
        out[value_size] = '\0';
        return true;
    }
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

static bool
ethtool(const char *interface, void *command)
{
    struct ifreq request = {.ifr_data = command};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool known = ioctl(fd, SIOCETHTOOL, &request) == 0;
    close(fd);
    return known;
}

/* Queues of an interface, 1 where it does not say. */
static uint32_t
queues_of(const char *interface)
{
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    bool known = ethtool(interface, &channels);
    return known && channels.combined_count > 0 ? channels.combined_count : 1;
}

static bool
is_veth(const char *interface)
{
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
    return ethtool(interface, &driver) && strcmp(driver.driver, "veth") == 0;
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
    if (!argument(vdev, "iface", interface, sizeof interface) || interface[0] == '\0')
        return weir_fail(WEIR_INVALID, 0, "port %s: iface=INTERFACE is missing", vdev);
    enum weir_err err = weir_xdp_interface_free(interface);
    if (err == WEIR_OK && !argument(vdev, "queue_count", given, sizeof given)) {
        uint32_t queues = queues_of(interface);
        if (argument(vdev, "start_queue", given, sizeof given))
            queues = 1;
        err = append(vdev, ",queue_count=%u", queues);
    }
    /* the driver's busy polling and veth's own softirq get into each other's way: at 200,000
     * frames a second on a loaded machine 2 to 78 % were lost with it, 1 to 4 % without */
    if (err == WEIR_OK && is_veth(interface) &&
        !argument(vdev, "busy_budget", given, sizeof given))
        err = append(vdev, ",busy_budget=0");
    if (err == WEIR_OK && !argument(vdev, "xdp_prog", given, sizeof given)) {
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
        if (is_af_xdp(config->ports[i]))
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
