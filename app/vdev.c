#include "app/vdev.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define AF_XDP_DRIVER "net_af_xdp"

bool
weir_vdev_is_af_xdp(const char *vdev)
{
    return strncmp(vdev, AF_XDP_DRIVER, sizeof AF_XDP_DRIVER - 1) == 0;
}

bool
weir_vdev_argument(const char *vdev, const char *name, char *out, size_t size)
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

/* Queues of an interface; 1 if it does not report them. */
static uint32_t
interface_queues(const char *interface)
{
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    bool known = ethtool(interface, &channels);
    return known && channels.combined_count > 0 ? channels.combined_count : 1;
}

bool
weir_vdev_is_veth(const char *interface)
{
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
    return ethtool(interface, &driver) && strcmp(driver.driver, "veth") == 0;
}

uint32_t
weir_vdev_queues(const char *vdev)
{
    char text[IFNAMSIZ];
    if (!weir_vdev_is_af_xdp(vdev))
        return 1;
    if (weir_vdev_argument(vdev, "queue_count", text, sizeof text)) {
        unsigned long count = strtoul(text, NULL, 10);
        return count > 0 && count <= UINT16_MAX ? (uint32_t)count : 1;
    }
    if (weir_vdev_argument(vdev, "start_queue", text, sizeof text) ||
        !weir_vdev_argument(vdev, "iface", text, sizeof text))
        return 1;
    return interface_queues(text);
}
