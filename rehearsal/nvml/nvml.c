/*
 * libnvidia-ml.so.1 for machines without a GPU: the part of NVIDIA's Management Library (NVML) that the Kubernetes
 * device plugin calls, answering from a file. Types and codes follow NVML's documented interface, version 13.
 *
 * The file (REHEARSAL_GPUS_FILE, or DEFAULT_GPUS_FILE below) holds key=value lines; `uuid` comes once for each GPU:
 *
 *     product=NVIDIA-L4
 *     memory_mib=24576
 *     driver=580.95.05
 *     cuda=13.0
 *     uuid=GPU-a866cb59-c448-5420-a04a-0e89cd416033
 *
 * Every line "<GPU index> <XID>" appended to the file `rehearsal-xid` beside it reaches the event sets that exist by
 * then as a critical XID event of that GPU, as the driver would report it.
 */
#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DEFAULT_GPUS_FILE "/var/lib/kubelet/device-plugins/rehearsal-gpus"
#define XID_FILE "rehearsal-xid"
#define MAX_GPUS 16
#define MAX_LINE 256
#define MAX_PATH 4096
#define POLL_MS 50

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    TIMEOUT = 10,
    OUT_OF_MEMORY = 20,
    UNKNOWN = 999,
};

static const unsigned long long XID_CRITICAL_ERROR = 0x8;
static const int TOPOLOGY_SYSTEM = 50; /* no closer link than the system's: every choice of GPUs is as good */
static const unsigned int NO_INSTANCE = 0xFFFFFFFF;
static const int COMPUTE_MAJOR = 8, COMPUTE_MINOR = 9; /* Ada; the plugin asks, and decides nothing by it here */

struct gpu {
    unsigned int index;
    char uuid[80];
};

struct event_set {
    long offset; /* how much of the XID file this set has seen */
    unsigned long long wanted[MAX_GPUS];
};

typedef struct {
    char legacy_bus_id[16];
    unsigned int domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} pci_info;

typedef struct {
    unsigned long long total, free, used; /* bytes */
} memory_info;

typedef struct {
    struct gpu *device;
    unsigned long long type, data;
    unsigned int gpu_instance, compute_instance;
} event_data;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users; /* nvmlInit counts its callers: the last nvmlShutdown forgets the file */
static struct gpu gpus[MAX_GPUS];
static unsigned int gpu_count;
static char product[96], driver[80];
static unsigned long long memory_mib;
static unsigned int cuda_major, cuda_minor;

static const char *gpus_file(void) {
    const char *path = getenv("REHEARSAL_GPUS_FILE");
    return path && *path ? path : DEFAULT_GPUS_FILE;
}

static FILE *open_xids(void) {
    char folder[MAX_PATH], path[MAX_PATH + sizeof XID_FILE];
    snprintf(folder, sizeof folder, "%s", gpus_file());
    snprintf(path, sizeof path, "%s/" XID_FILE, dirname(folder));
    return fopen(path, "re");
}

static int copy(char *to, size_t size, const char *from) {
    return (size_t)snprintf(to, size, "%s", from) < size ? SUCCESS : INSUFFICIENT_SIZE;
}

/* One line of the file without its newline. Returns whether it could be understood. */
static int read_line(const char *line) {
    const char *value = strchr(line, '=');
    char end;
    if (!value++ || !*value)
        return 0;
    if (!strncmp(line, "product=", 8))
        return copy(product, sizeof product, value) == SUCCESS;
    if (!strncmp(line, "driver=", 7))
        return copy(driver, sizeof driver, value) == SUCCESS;
    if (!strncmp(line, "memory_mib=", 11))
        return sscanf(value, "%llu%c", &memory_mib, &end) == 1;
    if (!strncmp(line, "cuda=", 5))
        return sscanf(value, "%u.%u%c", &cuda_major, &cuda_minor, &end) == 2;
    if (strncmp(line, "uuid=GPU-", 9) || gpu_count == MAX_GPUS)
        return 0;
    gpus[gpu_count].index = gpu_count;
    return copy(gpus[gpu_count++].uuid, sizeof gpus[0].uuid, value) == SUCCESS;
}

static int read_gpus(void) {
    char line[MAX_LINE];
    int number = 0;
    FILE *file = fopen(gpus_file(), "re");
    if (!file) {
        fprintf(stderr, "rehearsal NVML: %s: %s; it lists the node's GPUs\n", gpus_file(), strerror(errno));
        return DRIVER_NOT_LOADED;
    }
    gpu_count = 0, memory_mib = 0, cuda_major = 0, product[0] = 0, driver[0] = 0;
    while (fgets(line, sizeof line, file)) {
        number++;
        line[strcspn(line, "\n")] = 0;
        if (!read_line(line)) {
            fprintf(stderr, "rehearsal NVML: %s:%d: cannot use '%s'\n", gpus_file(), number, line);
            fclose(file);
            return UNKNOWN;
        }
    }
    fclose(file);
    if (!memory_mib || !cuda_major || !product[0] || !driver[0]) {
        fprintf(stderr, "rehearsal NVML: %s: product, memory_mib, driver and cuda must all be set\n", gpus_file());
        return UNKNOWN;
    }
    return SUCCESS;
}

int nvmlInit_v2(void) {
    pthread_mutex_lock(&lock);
    int result = users ? SUCCESS : read_gpus();
    users += result == SUCCESS;
    pthread_mutex_unlock(&lock);
    return result;
}

int nvmlShutdown(void) {
    pthread_mutex_lock(&lock);
    int result = users ? SUCCESS : UNINITIALIZED;
    users -= result == SUCCESS;
    pthread_mutex_unlock(&lock);
    return result;
}

const char *nvmlErrorString(int code) {
    switch (code) {
    case SUCCESS: return "The operation was successful";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case TIMEOUT: return "Timeout";
    case OUT_OF_MEMORY: return "Insufficient Memory";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *version, unsigned int size) { return copy(version, size, driver); }

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = (int)(cuda_major * 1000 + cuda_minor * 10);
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    if (!users)
        return UNINITIALIZED;
    *count = gpu_count;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct gpu **device) {
    if (index >= gpu_count)
        return INVALID_ARGUMENT;
    *device = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **device) {
    for (unsigned int i = 0; i < gpu_count; i++)
        if (!strcmp(gpus[i].uuid, uuid))
            return nvmlDeviceGetHandleByIndex_v2(i, device);
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(struct gpu *device, char *uuid, unsigned int size) { return copy(uuid, size, device->uuid); }

int nvmlDeviceGetName(struct gpu *device, char *name, unsigned int size) {
    (void)device;
    return copy(name, size, product);
}

int nvmlDeviceGetMinorNumber(struct gpu *device, unsigned int *minor) {
    *minor = device->index;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(struct gpu *device, memory_info *memory) {
    (void)device;
    memory->total = memory->free = memory_mib << 20;
    memory->used = 0;
    return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(struct gpu *device, int *major, int *minor) {
    (void)device;
    *major = COMPUTE_MAJOR, *minor = COMPUTE_MINOR;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(struct gpu *device, unsigned int *current, unsigned int *pending) {
    (void)device, (void)current, (void)pending;
    return NOT_SUPPORTED;
}

int nvmlDeviceGetPciInfo_v3(struct gpu *device, pci_info *pci) {
    /* A PCI domain that no host has, so that nothing of this host's /sys is taken for the GPU's. */
    *pci = (pci_info){.domain = 0xFFFF, .bus = device->index, .device = 0};
    snprintf(pci->legacy_bus_id, sizeof pci->legacy_bus_id, "FFFF:%02X:00.0", device->index & 0xFF);
    snprintf(pci->bus_id, sizeof pci->bus_id, "0000FFFF:%02X:00.0", device->index & 0xFF);
    return SUCCESS;
}

int nvmlDeviceGetTopologyCommonAncestor(struct gpu *one, struct gpu *other, int *level) {
    (void)one, (void)other;
    *level = TOPOLOGY_SYSTEM;
    return SUCCESS;
}

int nvmlDeviceGetNvLinkState(struct gpu *device, unsigned int link, int *active) {
    (void)device, (void)link, (void)active;
    return NOT_SUPPORTED;
}

int nvmlDeviceGetSupportedEventTypes(struct gpu *device, unsigned long long *types) {
    (void)device;
    *types = XID_CRITICAL_ERROR;
    return SUCCESS;
}

int nvmlEventSetCreate(struct event_set **set) {
    struct stat status;
    FILE *xids = open_xids();
    *set = calloc(1, sizeof **set);
    if (*set && xids && !fstat(fileno(xids), &status))
        (*set)->offset = status.st_size; /* the driver reports no event of before */
    if (xids)
        fclose(xids);
    return *set ? SUCCESS : OUT_OF_MEMORY;
}

int nvmlDeviceRegisterEvents(struct gpu *device, unsigned long long types, struct event_set *set) {
    if (types & ~XID_CRITICAL_ERROR)
        return NOT_SUPPORTED;
    set->wanted[device->index] |= types;
    return SUCCESS;
}

/* The next XID of a GPU that the set wants to hear of. Returns whether there is one. */
static int next_xid(struct event_set *set, event_data *data) {
    char line[MAX_LINE], end;
    unsigned int index;
    unsigned long long xid;
    struct stat status;
    int found = 0;
    FILE *xids = open_xids();
    if (!xids)
        return 0;
    if (!fstat(fileno(xids), &status) && status.st_size < set->offset)
        set->offset = 0; /* a new file in the place of the old one */
    fseek(xids, set->offset, SEEK_SET);
    /* A line without its newline is still being written. */
    while (!found && fgets(line, sizeof line, xids) && strchr(line, '\n')) {
        set->offset = ftell(xids);
        if (sscanf(line, "%u %llu%c", &index, &xid, &end) != 3 || end != '\n' || index >= gpu_count)
            fprintf(stderr, "rehearsal NVML: " XID_FILE ": not '<GPU index> <XID>': %s", line);
        else if (set->wanted[index] & XID_CRITICAL_ERROR) {
            *data = (event_data){&gpus[index], XID_CRITICAL_ERROR, xid, NO_INSTANCE, NO_INSTANCE};
            found = 1;
        }
    }
    fclose(xids);
    return found;
}

int nvmlEventSetWait_v2(struct event_set *set, event_data *data, unsigned int timeout_ms) {
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    for (unsigned int waited = 0;; waited += POLL_MS) {
        if (next_xid(set, data))
            return SUCCESS;
        if (waited >= timeout_ms)
            return TIMEOUT;
        nanosleep(&pause, NULL);
    }
}

int nvmlEventSetFree(struct event_set *set) {
    free(set);
    return SUCCESS;
}
