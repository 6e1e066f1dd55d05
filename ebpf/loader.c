#include "ebpf/loader_internal.h"

#include "base/event.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/magic.h>

#define BPF_ROOT "/sys/fs/bpf"
#define PROGRAM "weir_xdp"
#define PATH_SIZE 512
#define INTERFACES_MAX 64

static const char *const map_names[MAPS] = {[PORTS] = "weir_ports",
    [VERDICTS] = "weir_verdicts",
    [CONFIG] = "weir_config",
    [RULES_V4] = "weir_rules_v4",
    [RULES_V6] = "weir_rules_v6",
    [SOURCES] = "weir_sources",
    [XSKS] = "xsks_map"};

const char *const weir_xdp_verdict_names[WEIR_XDP_VERDICTS] = {
    [WEIR_XDP_PASSED] = "passed",
    [WEIR_XDP_NO_SOCKET] = "no_socket",
    [WEIR_XDP_REDIRECTED] = "redirected",
    [WEIR_XDP_DENIED] = "denied",
    [WEIR_XDP_MARTIAN] = "martian",
    [WEIR_XDP_MALFORMED] = "malformed",
    [WEIR_XDP_FRAGMENT] = "fragments",
    [WEIR_XDP_LIMITED] = "limited"};

/* libbpf writes to standard error by itself; our results say everything that matters. */
static int
be_quiet(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

static struct weir_xdp *
xdp_new(uint32_t interface_index)
{
    struct weir_xdp *xdp = malloc(sizeof *xdp);
    if (xdp == NULL)
        return NULL;
    *xdp = (struct weir_xdp){.interface_index = interface_index, .program_fd = -1,
        .cpus = libbpf_num_possible_cpus()};
    for (int i = 0; i < MAPS; i++)
        xdp->maps[i] = -1;
    libbpf_set_print(be_quiet);
    return xdp;
}

void
weir_xdp_close(struct weir_xdp *xdp)
{
    if (xdp == NULL)
        return;
    for (int i = 0; i < MAPS; i++)
        if (xdp->maps[i] >= 0)
            close(xdp->maps[i]);
    if (xdp->program_fd >= 0)
        close(xdp->program_fd);
    free(xdp);
}

/* pins */

enum weir_err
weir_xdp_pins(const char *data, char out[WEIR_XDP_PINS_MAX])
{
    /* the directory itself names the instance: its name may change, and be long */
    struct stat status;
    if (stat(data, &status) != 0)
        return weir_fail(WEIR_IO, errno, "stat %s", data);
    snprintf(out, WEIR_XDP_PINS_MAX, BPF_ROOT "/weir/%llx-%llx",
        (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
    return WEIR_OK;
}

static bool
is_bpf_root(void)
{
    struct statfs status;
    return statfs(BPF_ROOT, &status) == 0 && status.f_type == BPF_FS_MAGIC;
}

enum weir_err
weir_xdp_pins_make(const char *pins)
{
    if (!is_bpf_root() && mount("bpf", BPF_ROOT, "bpf", 0, "mode=0700") != 0)
        return weir_fail(WEIR_UNSUPPORTED, errno, "mount the BPF file system at " BPF_ROOT);
    if (mkdir(BPF_ROOT "/weir", 0700) != 0 && errno != EEXIST)
        return weir_fail(WEIR_IO, errno, "make directory " BPF_ROOT "/weir");
    if (mkdir(pins, 0700) != 0 && errno != EEXIST)
        return weir_fail(WEIR_IO, errno, "make directory %s", pins);
    return WEIR_OK;
}

static void
pin_path(char *out, const char *pins, uint32_t interface_index, const char *name)
{
    snprintf(out, PATH_SIZE, "%s/if%u%s%s", pins, interface_index, name[0] != '\0' ? "/" : "",
        name);
}

static enum weir_err
pin(int fd, const char *pins, uint32_t interface_index, const char *name)
{
    char path[PATH_SIZE];
    pin_path(path, pins, interface_index, name);
    (void)unlink(path); /* of a program that is gone */
    if (bpf_obj_pin(fd, path) != 0)
        return weir_fail(WEIR_IO, errno, "pin %s", path);
    return WEIR_OK;
}

static enum weir_err
pin_all(const struct weir_xdp *xdp, const char *pins)
{
    char path[PATH_SIZE];
    pin_path(path, pins, xdp->interface_index, "");
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return weir_fail(WEIR_IO, errno, "make directory %s", path);
    /* the program first: by it a leftover is known */
    enum weir_err err = pin(xdp->program_fd, pins, xdp->interface_index, PROGRAM);
    for (int i = 0; i < MAPS && err == WEIR_OK; i++)
        err = pin(xdp->maps[i], pins, xdp->interface_index, map_names[i]);
    return err;
}

static void
unpin(const char *pins, uint32_t interface_index)
{
    char path[PATH_SIZE];
    for (int i = 0; i < MAPS; i++) {
        pin_path(path, pins, interface_index, map_names[i]);
        (void)unlink(path);
    }
    pin_path(path, pins, interface_index, PROGRAM);
    (void)unlink(path);
    pin_path(path, pins, interface_index, "");
    (void)rmdir(path);
    (void)rmdir(pins); /* stays while another interface is there */
}

void
weir_xdp_unpin(const struct weir_xdp *xdp, const char *pins)
{
    unpin(pins, xdp->interface_index);
}

/* programs */

/* For messages: its name, or its number where it is gone. */
static const char *
interface_name(uint32_t index, char out[IF_NAMESIZE])
{
    if (if_indextoname(index, out) == NULL)
        snprintf(out, IF_NAMESIZE, "%u", index);
    return out;
}

/* The program on an interface: its id, 0 for none, and whether it runs in the driver. */
static enum weir_err
query(uint32_t interface_index, uint32_t *id, bool *native)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, opts);
    int failed = bpf_xdp_query((int)interface_index, 0, &opts);
    char name[IF_NAMESIZE];
    if (failed != 0)
        return weir_fail(WEIR_IO, -failed, "ask for the XDP program of interface %s",
            interface_name(interface_index, name));
    *id = opts.prog_id != 0 ? opts.prog_id : opts.drv_prog_id;
    *native = opts.attach_mode == XDP_ATTACHED_DRV || opts.attach_mode == XDP_ATTACHED_HW;
    return WEIR_OK;
}

enum weir_err
weir_xdp_interface_free(const char *interface)
{
    uint32_t index = if_nametoindex(interface);
    uint32_t id = 0;
    bool native;
    if (index == 0)
        return weir_fail(WEIR_NOT_FOUND, errno, "interface %s", interface);
    enum weir_err err = query(index, &id, &native);
    if (err == WEIR_OK && id != 0)
        return weir_fail(WEIR_BUSY, 0, "an XDP program (id %u) that is not ours is on %s: another "
            "instance or tool filters there. Where none runs any more, `ip link set dev %s xdp "
            "off` takes it away", id, interface, interface);
    return err;
}

/* Opens the program's maps by name. */
static enum weir_err
open_maps(struct weir_xdp *xdp)
{
    uint32_t ids[MAPS * 2] = {0};
    struct bpf_prog_info info = {.nr_map_ids = MAPS * 2, .map_ids = (uintptr_t)ids};
    uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(xdp->program_fd, &info, &size) != 0)
        return weir_fail(WEIR_IO, errno, "ask for the maps of an XDP program");
    xdp->program_id = info.id;
    for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS * 2; i++) {
        struct bpf_map_info map = {0};
        uint32_t map_size = sizeof map;
        int fd = bpf_map_get_fd_by_id(ids[i]);
        if (fd < 0)
            continue;
        int at = -1;
        if (bpf_obj_get_info_by_fd(fd, &map, &map_size) == 0)
            for (int k = 0; k < MAPS; k++)
                if (strcmp(map.name, map_names[k]) == 0)
                    at = k;
        if (at < 0 || xdp->maps[at] >= 0)
            close(fd);
        else
            xdp->maps[at] = fd;
    }
    for (int i = 0; i < MAPS; i++)
        if (xdp->maps[i] < 0)
            return weir_fail(WEIR_UNSUPPORTED, 0, "the XDP program has no map %s", map_names[i]);
    return WEIR_OK;
}

enum weir_err
weir_xdp_wrap(int program_fd, struct weir_xdp **out)
{
    struct weir_xdp *xdp = xdp_new(0);
    if (xdp == NULL)
        return weir_fail(WEIR_NOMEM, 0, "XDP program");
    xdp->program_fd = program_fd;
    enum weir_err err = open_maps(xdp);
    if (err != WEIR_OK) {
        weir_xdp_close(xdp);
        return err;
    }
    *out = xdp;
    return WEIR_OK;
}

enum weir_err
weir_xdp_adopt(uint32_t interface_index, const char *pins, struct weir_xdp **out)
{
    struct weir_xdp *xdp = xdp_new(interface_index);
    if (xdp == NULL)
        return weir_fail(WEIR_NOMEM, 0, "XDP program");
    uint32_t id = 0;
    bool native = false;
    char name[IF_NAMESIZE];
    enum weir_err err = query(interface_index, &id, &native);
    if (err == WEIR_OK && !native)
        err = weir_fail(WEIR_UNSUPPORTED, 0, "the driver of interface %s has no native XDP, and "
            "its generic form is slower than a socket: use kernel sockets, or net_af_packet",
            interface_name(interface_index, name));
    if (err == WEIR_OK && (xdp->program_fd = bpf_prog_get_fd_by_id(id)) < 0)
        err = weir_fail(WEIR_IO, errno, "open XDP program %u", id);
    if (err == WEIR_OK)
        err = open_maps(xdp);
    if (err == WEIR_OK)
        err = pin_all(xdp, pins);
    if (err != WEIR_OK) {
        weir_xdp_close(xdp);
        return err;
    }
    *out = xdp;
    return WEIR_OK;
}

enum weir_err
weir_xdp_open(uint32_t interface_index, const char *pins, struct weir_xdp **out)
{
    struct weir_xdp *xdp = xdp_new(interface_index);
    char path[PATH_SIZE];
    if (xdp == NULL)
        return weir_fail(WEIR_NOMEM, 0, "XDP program");
    pin_path(path, pins, interface_index, PROGRAM);
    xdp->program_fd = bpf_obj_get(path);
    enum weir_err err = WEIR_OK;
    if (xdp->program_fd < 0)
        err = weir_fail(errno == ENOENT ? WEIR_NOT_FOUND : WEIR_IO, errno, "open %s", path);
    if (err == WEIR_OK)
        err = open_maps(xdp);
    if (err != WEIR_OK) {
        weir_xdp_close(xdp);
        return err;
    }
    *out = xdp;
    return WEIR_OK;
}

bool
weir_xdp_attached(const struct weir_xdp *xdp)
{
    uint32_t id = 0;
    bool native;
    return query(xdp->interface_index, &id, &native) == WEIR_OK && id == xdp->program_id;
}

uint32_t
weir_xdp_program_id(const struct weir_xdp *xdp)
{
    return xdp->program_id;
}

int
weir_xdp_program_fd(const struct weir_xdp *xdp)
{
    return xdp->program_fd;
}

size_t
weir_xdp_interfaces(const char *pins, uint32_t *indexes, size_t max)
{
    DIR *directory = opendir(pins);
    size_t count = 0;
    if (directory == NULL)
        return 0;
    for (struct dirent *entry; count < max && (entry = readdir(directory)) != NULL;)
        if (sscanf(entry->d_name, "if%u", &indexes[count]) == 1)
            count++;
    closedir(directory);
    return count;
}

/* The kernel compares: a program that is not the pinned one stays. */
static bool
detach(const struct weir_xdp *xdp)
{
    LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = xdp->program_fd);
    int failed = bpf_xdp_detach((int)xdp->interface_index, XDP_FLAGS_DRV_MODE | XDP_FLAGS_REPLACE,
        &opts);
    if (failed != 0)
        weir_event(WEIR_LEVEL_WARN, "xdp_detach", "interface=%u program=%u reason=\"%s\"",
            xdp->interface_index, xdp->program_id, strerror(-failed));
    return failed == 0;
}

size_t
weir_xdp_detach_leftovers(const char *pins)
{
    uint32_t indexes[INTERFACES_MAX];
    size_t detached = 0;
    size_t count = weir_xdp_interfaces(pins, indexes, INTERFACES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct weir_xdp *xdp;
        if (weir_xdp_open(indexes[i], pins, &xdp) == WEIR_OK) {
            if (weir_xdp_attached(xdp) && detach(xdp)) {
                detached++;
                weir_event(WEIR_LEVEL_INFO, "xdp_detached", "interface=%u program=%u", indexes[i],
                    xdp->program_id);
            }
            weir_xdp_close(xdp);
        }
        unpin(pins, indexes[i]);
    }
    (void)rmdir(pins); /* of a start that came to nothing */
    return detached;
}
