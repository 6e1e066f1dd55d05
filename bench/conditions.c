#include "bench/conditions.h"

#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

static void
cpu_model(char *out, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, size, "%s", colon + 2);
        break;
    }
    if (file != NULL)
        fclose(file);
}

/* Memory of a process in huge pages of any kind. */
static uint64_t
huge_page_bytes(pid_t pid)
{
    static const char *const fields[] = {"AnonHugePages:", "ShmemPmdMapped:", "Shared_Hugetlb:",
        "Private_Hugetlb:"};
    char text[256];
    uint64_t total = 0;
    snprintf(text, sizeof text, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(text, "r");
    while (file != NULL && fgets(text, sizeof text, file) != NULL)
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            if (strncmp(text, fields[i], strlen(fields[i])) == 0)
                total += strtoull(text + strlen(fields[i]), NULL, 10) << 10;
    if (file != NULL)
        fclose(file);
    return total;
}

static uint64_t
resident_bytes(pid_t pid)
{
    char text[64];
    uint64_t pages = 0;
    snprintf(text, sizeof text, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(text, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %" SCNu64, &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

const char *
weir_bench_file_system(unsigned long type, char out[24])
{
    static const struct {
        unsigned long type;
        const char *name;
    } kinds[] = {{EXT4_SUPER_MAGIC, "ext4"}, {XFS_SUPER_MAGIC, "xfs"},
        {BTRFS_SUPER_MAGIC, "btrfs"}, {F2FS_SUPER_MAGIC, "f2fs"}, {TMPFS_MAGIC, "tmpfs"},
        {OVERLAYFS_SUPER_MAGIC, "overlayfs"}, {NFS_SUPER_MAGIC, "nfs"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].type == type)
            return kinds[i].name;
    snprintf(out, 24, "0x%lx", type);
    return out;
}

void
weir_bench_conditions_add(const struct weir_shared *shared, pid_t dataplane, const char *data,
    json_t *report)
{
    char cpu[256], number[24];
    struct statfs kind;
    cpu_model(cpu, sizeof cpu);
    json_object_set_new(report, "cpu", json_string(cpu));
    json_object_set_new(report, "cpus", json_integer(get_nprocs()));
    json_object_set_new(report, "simd", json_string(shared->simd));
    json_object_set_new(report, "io", json_string(shared->io_backend));
    json_object_set_new(report, "dataplane_huge_page_bytes",
        json_integer((json_int_t)huge_page_bytes(dataplane)));
    json_object_set_new(report, "file_system_type",
        json_string(statfs(data, &kind) == 0
                ? weir_bench_file_system((unsigned long)kind.f_type, number)
                : "unknown"));
    json_object_set_new(report, "dataplane_resident_bytes",
        json_integer((json_int_t)resident_bytes(dataplane)));
}
