#include "app/supervisor/instance.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/folder.h"
#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every user may read pids: every user may list processes. */
#define PID_MODE 0644
#define CONFIG_MODE 0640
#define PATH_SIZE (WEIR_CONFIG_PATH_MAX + 64)

/* Root on a user's data would leave files that the user can no longer open, and a user on another
 * one's data meets those. A directory that is not there yet will be ours. */
static enum weir_err
check_owner(const char *data)
{
    struct stat status;
    if (stat(data, &status) != 0 || status.st_uid == geteuid())
        return WEIR_OK;
    return weir_fail(WEIR_INVALID, 0, "data: %s belongs to uid %u and this is uid %u; run as its "
        "owner, give it to this one (chown -R), or name another --data", data,
        (unsigned)status.st_uid, (unsigned)geteuid());
}

static enum weir_err
make_directories(const char *path)
{
    return weir_folder_make(path, false) == WEIR_OK ? WEIR_OK : weir_err_prefix(WEIR_IO, "data");
}

static enum weir_err
make_data_directory(const char *data, const char *name)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", data, name);
    return make_directories(path);
}

static enum weir_err
config_text(const struct weir_config *config, char **text, size_t *size)
{
    FILE *stream = open_memstream(text, size);
    if (stream == NULL)
        return weir_fail(WEIR_NOMEM, errno, "text of the configuration");
    weir_config_print(config, stream);
    bool failed = ferror(stream) != 0;
    if (fclose(stream) == 0 && !failed)
        return WEIR_OK;
    free(*text);
    return weir_fail(WEIR_NOMEM, errno, "text of the configuration");
}

/* If the device has no room for the copy, memory has: the children inherit it, under the same
 * number. */
static enum weir_err
config_in_memory(struct weir_instance *instance, const char *text, size_t size)
{
    int fd = memfd_create("weir.yaml", 0);
    if (fd < 0)
        return weir_fail(WEIR_IO, errno, "memory of the configuration");
    if (write(fd, text, size) != (ssize_t)size) {
        close(fd);
        return weir_fail(WEIR_NOMEM, errno, "memory of the configuration");
    }
    weir_event(WEIR_LEVEL_WARN, "disk_full", "file=\"%s\" effect=\"kept in memory\"",
        instance->config_path);
    snprintf(instance->config_path, sizeof instance->config_path, "/proc/self/fd/%d", fd);
    instance->config_fd = fd;
    return WEIR_OK;
}

enum weir_err
weir_instance_write_config(struct weir_instance *instance)
{
    char *text = NULL;
    size_t size = 0;
    snprintf(instance->config_path, sizeof instance->config_path, "%s/weir.yaml", instance->run);
    enum weir_err err = config_text(instance->config, &text, &size);
    if (err != WEIR_OK)
        return err;
    err = weir_replace(instance->config_path, text, size, CONFIG_MODE, 0);
    if (instance->config_fd >= 0)
        close(instance->config_fd);
    instance->config_fd = -1;
    if (err == WEIR_FULL)
        err = config_in_memory(instance, text, size);
    free(text);
    return err;
}

enum weir_err
weir_instance_open(struct weir_instance *instance, const struct weir_config *config)
{
    *instance = (struct weir_instance){
        .config = config, .config_fd = -1};
    snprintf(instance->run, sizeof instance->run, "%s/run", config->data);
    enum weir_err err = check_owner(config->data);
    if (err == WEIR_OK)
        err = make_directories(instance->run);
    /* before its readers, who may be allowed to open only the folder below */
    if (err == WEIR_OK)
        err = make_data_directory(config->data, "log");
    if (err == WEIR_OK && config->keeper_enabled)
        err = make_data_directory(config->data, "store");
    if (err == WEIR_OK && config->keeper_enabled)
        err = make_data_directory(config->data, "aside");
    if (err == WEIR_OK)
        err = weir_locks_acquire(&instance->locks, config->data);
    if (err != WEIR_OK)
        return err;
    err = weir_instance_write_config(instance);
    if (err != WEIR_OK) {
        weir_locks_release(&instance->locks);
        return err;
    }
    /* left by a killed instance */
    weir_instance_set_pid(instance, "dataplane", 0);
    weir_instance_set_pid(instance, "controlplane", 0);
    weir_instance_set_pid(instance, "keeper", 0);
    weir_instance_set_pid(instance, "supervisor", getpid());
    return WEIR_OK;
}

void
weir_instance_close(struct weir_instance *instance)
{
    weir_instance_set_pid(instance, "dataplane", 0);
    weir_instance_set_pid(instance, "controlplane", 0);
    weir_instance_set_pid(instance, "supervisor", 0);
    weir_locks_release(&instance->locks);
}

void
weir_instance_set_pid(const struct weir_instance *instance, const char *process, pid_t pid)
{
    char path[PATH_SIZE];
    char text[16];
    snprintf(path, sizeof path, "%s/%s.pid", instance->run, process);
    if (pid == 0) {
        if (unlink(path) != 0 && errno != ENOENT)
            weir_event(
                WEIR_LEVEL_WARN, "pid_file", "path=\"%s\" reason=\"%s\"", path, strerror(errno));
        return;
    }
    int size = snprintf(text, sizeof text, "%d\n", (int)pid);
    if (weir_replace(path, text, (size_t)size, PID_MODE, WEIR_REPLACE_UNSYNCED) != WEIR_OK)
        weir_event(WEIR_LEVEL_WARN, "pid_file", "reason=\"%s\"", weir_err_detail());
}
