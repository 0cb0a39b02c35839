// SPDX-License-Identifier: MIT
// A driver without a GPU: prints what it is asked, so that the calls of runtime/cuda can be tested on any machine.
// With STUB_QUIET it says nothing, and its launches do nothing at all: benchmarks/launch.py times the calls above it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
  unsigned grid[3], block[3], shared;
  void* stream;
  struct {
    int id;
    char pad[4];
    union {
      char bytes[64];
      unsigned words[3];
    } value;
  }* attributes;
  unsigned num_attributes;
} Config;

static void* current;
static int last_file; /* of cuMemAlloc */
static size_t last_bytes;

static long option(const char* name, long otherwise) {
  const char* text = getenv(name);
  return text ? atol(text) : otherwise;
}

static int quiet(void) {
  static int known = -1;
  return known >= 0 ? known : (known = option("STUB_QUIET", 0));
}

#define printf(...) (quiet() ? 0 : printf(__VA_ARGS__))

int cuInit(unsigned flags) { return option("STUB_INIT", 0); }
int cuDriverGetVersion(int* version) { return *version = option("STUB_VERSION", 13000), 0; }
int cuGetErrorName(int error, const char** text) { return *text = "STUB_ERROR", 0; }
int cuGetErrorString(int error, const char** text) { return *text = "planned", 0; }
int cuDeviceGetCount(int* count) { return *count = option("STUB_DEVICES", 1), 0; }
int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, 0; }
int cuDeviceGetName(char* name, int length, int device) { return strcpy(name, "stub"), 0; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  switch (attribute) {
    case 75: return *value = 8, 0;
    case 76: return *value = 9, 0;
    case 97: return *value = 101376, 0;
    case 1: return *value = 1024, 0;
    case 103: return *value = option("STUB_FILES", 1), 0;
    default: return *value = 1, 0;
  }
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { return *bytes = 1u << 30, 0; }
int cuDevicePrimaryCtxRetain(void** context, int device) { return *context = (void*)0x11, 0; }
int cuCtxGetCurrent(void** context) { return *context = current, 0; }
int cuCtxPushCurrent_v2(void* context) { return current = context, 0; }
int cuCtxPopCurrent_v2(void** context) { return *context = current, current = 0, 0; }
int cuModuleLoadData(void** module, const void* image) {
  printf("load %.4s in context %p\n", (const char*)image + 1, current);
  return *module = (void*)0x22, 0;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  return *function = (void*)0x33, strcmp(name, "nowhere") ? 0 : 500;
}
int cuFuncSetAttribute(void* function, int attribute, int value) {
  return printf("attribute %d = %d\n", attribute, value), 0;
}
/* STUB_HANG=1: a launch has two threads that wait until they are ended; 2: it loops for ever. */
typedef struct {
  uint64_t ticket, address, seen, expected;
  uint32_t is_signed, block[3], thread, line;
  char what[24], file[96];
} Record;
static struct {
  volatile uint32_t* abort;
  Record* records;
  uint32_t count, unused;
} watch;
static int hangs;
static char* mapped; /* the host's memory that the GPU can reach: the last of it */
static size_t mapped_bytes;

static void hang(void) {
  hangs = option("STUB_HANG", 0);
  if (hangs == 1 && (size_t)((char*)watch.abort - mapped) >= mapped_bytes) abort();
  for (int i = 0; hangs == 1 && i < 2; ++i) {
    Record r = {i + 1, 0x1000, -5, 3, 1, {1, 2, 0}, 33 + i, 17, "wait_ge", "/home/me/prog.py"};
    watch.records[i + 7] = r;
  }
}
static int hung(void) {
  if (hangs == 1 && *watch.abort) {
    hangs = 0;
    watch.records[7].ticket = watch.records[8].ticket = 0;
  }
  return hangs;
}
static int launched(const char* call, const unsigned* grid, const unsigned* block, unsigned shared, void** args) {
  if (quiet()) return 0;
  printf("%s grid %u,%u,%u block %u,%u,%u shared %u args %p %d in context %p\n", call, grid[0], grid[1], grid[2],
         block[0], block[1], block[2], shared, *(void**)args[0], *(int*)args[1], current);
  hang();
  return option("STUB_LAUNCH", 0);
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** args, void** extra) {
  const unsigned grid[] = {gx, gy, gz}, block[] = {bx, by, bz};
  if (option("STUB_STREAMS", 0)) printf("launch on %p\n", stream);
  return launched("plain", grid, block, shared, args);
}
int cuLaunchKernelEx(const Config* config, void* function, void** args, void** extra) {
  for (unsigned i = 0; i < config->num_attributes; ++i) {
    const unsigned* words = config->attributes[i].value.words;
    printf("launch attribute %d: %u,%u,%u\n", config->attributes[i].id, words[0], words[1], words[2]);
  }
  return launched("extended", config->grid, config->block, config->shared, args);
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* function, int threads, size_t shared) {
  return *blocks = threads > 512 ? 1 : 2, 0;
}
int cuMemAllocAsync(void** address, size_t bytes, void* stream) {
  printf("allocate %zu\n", bytes);
  return *address = aligned_alloc(256, (bytes + 255) / 256 * 256), 0;
}
int cuMemFreeAsync(void* address, void* stream) { return printf("free\n"), free(address), 0; }
int cuMemcpyAsync(void* target, void* source, size_t bytes, void* stream) { return memcpy(target, source, bytes), 0; }
int cuMemsetD8Async(void* address, unsigned char value, size_t bytes, void* stream) {
  if (value || bytes < 1u << 28) memset(address, value, bytes); /* what is large is new, and zero */
  return 0;
}
int cuDeviceCanAccessPeer(int* can, int device, int peer) { return *can = option("STUB_PEERS", 1), 0; }
int cuMemGetAllocationGranularity(size_t* bytes, const void* properties, int which) {
  return *bytes = 2u << 20, 0;
}
int cuMemAddressReserve(void** address, size_t bytes, size_t align, void* wish, unsigned long long flags) {
  printf("reserve %zu\n", bytes);
  *address = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return 0;
}
int cuMemAddressFree(void* address, size_t bytes) { return printf("unreserve\n"), munmap(address, bytes); }
/* Memory is a file, so that other processes can have it, too; its handle is the descriptor. */
int cuMemCreate(unsigned long long* handle, size_t bytes, const int* properties, unsigned long long flags) {
  int fd;
  printf("create %zu on GPU %d\n", bytes, properties[3]);
  if (bytes > (size_t)option("STUB_MEMORY", 1 << 30)) return 2;
  fd = memfd_create("stub", 0);
  return *handle = fd, ftruncate(fd, bytes);
}
int cuMemRelease(unsigned long long handle) { return close(handle); }
int cuMemExportToShareableHandle(int* file, unsigned long long handle, int type, unsigned long long flags) {
  return *file = dup(handle), type == 1 ? 0 : 1;
}
int cuMemImportFromShareableHandle(unsigned long long* handle, void* file, int type) {
  return *handle = dup((int)(intptr_t)file), type == 1 ? 0 : 1;
}
int cuMemMap(void* address, size_t bytes, size_t offset, unsigned long long handle, unsigned long long flags) {
  printf("map %zu\n", bytes);
  return mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, handle, offset) == address ? 0 : 1;
}
int cuMemUnmap(void* address, size_t bytes) {
  mmap(address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return printf("unmap %zu\n", bytes), 0;
}
int cuMemAlloc_v2(void** address, size_t bytes) {
  last_file = memfd_create("stub", 0);
  last_bytes = bytes;
  if (ftruncate(last_file, bytes)) return 2;
  *address = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, last_file, 0);
  return printf("allocate %zu\n", bytes), 0;
}
int cuMemFree_v2(void* address) { return printf("free\n"), 0; }
typedef struct {
  int process, file;
  size_t bytes;
  char pad[48];
} IpcHandle;
int cuIpcGetMemHandle(IpcHandle* handle, void* address) {
  return handle->process = getpid(), handle->file = last_file, handle->bytes = last_bytes, 0;
}
int cuIpcOpenMemHandle_v2(void** address, IpcHandle handle, unsigned flags) {
  char path[64];
  sprintf(path, "/proc/%d/fd/%d", handle.process, handle.file);
  *address = mmap(0, handle.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR), 0);
  return *address == MAP_FAILED ? 1 : 0;
}
int cuIpcCloseMemHandle(void* address) { return printf("close\n"), 0; }
int cuStreamWriteValue32_v2(void* stream, uint32_t* at, uint32_t value, unsigned flags) { return *at = value, 0; }
int cuStreamWriteValue64_v2(void* stream, uint64_t* at, uint64_t value, unsigned flags) { return *at = value, 0; }
int cuStreamWaitValue32_v2(void* stream, uint32_t* at, uint32_t value, unsigned flags) {
  return printf("wait for %u of 4 bytes, how %u: %d\n", value, flags, *at == value), 0;
}
int cuStreamWaitValue64_v2(void* stream, uint64_t* at, uint64_t value, unsigned flags) {
  return printf("wait for %llu of 8 bytes, how %u: %d\n", (unsigned long long)value, flags, *at == value), 0;
}
int cuMemHostAlloc(void** host, size_t bytes, unsigned flags) {
  printf("host %zu, flags %u\n", bytes, flags);
  *host = mapped = malloc(mapped_bytes = bytes);
  return 0;
}
int cuMemHostGetDevicePointer_v2(void** device, void* host, unsigned flags) { return *device = host, 0; }
int cuMemFreeHost(void* host) { return printf("free host\n"), free(host), 0; }
int cuMemSetAccess(void* address, size_t bytes, const int* access, size_t count) {
  for (size_t i = 0; i < count; ++i) printf("access for GPU %d: %d\n", access[3 * i + 1], access[3 * i + 2]);
  return 0;
}
static char constant[8 + 8 * 72];
int cuModuleGetGlobal_v2(void** address, size_t* bytes, void* module, const char* name) {
  if (!strcmp(name, "ts_watch")) return *address = &watch, *bytes = sizeof watch, 0;
  return *address = constant, *bytes = sizeof constant, strcmp(name, "ts_heap") ? 500 : 0;
}
int cuMemcpyHtoD_v2(void* target, const void* source, size_t bytes) {
  const int* words = source;
  const uint64_t* bases = (const uint64_t*)source + 1;
  memcpy(target, source, bytes);
  if (target == &watch) return 0;
  return printf("rank %d of %d, next at %d\n", words[0], words[1], bases[1] != bases[0] && bases[1] != 0), 0;
}
int cuCtxSynchronize(void) { return printf("synchronize\n"), 0; }
int cuStreamCreate(void** stream, unsigned flags) { return *stream = (void*)0x44, 0; }
int cuStreamDestroy_v2(void* stream) { return 0; }
int cuStreamSynchronize(void* stream) {
  if (option("STUB_STREAMS", 0)) printf("wait for %p\n", stream);
  return 0;
}
int cuStreamWaitEvent(void* stream, void* event, unsigned flags) { return 0; }
int cuEventCreate(void** event, unsigned flags) { return *event = (void*)0x55, 0; }
int cuEventDestroy_v2(void* event) { return printf("destroy event\n"), 0; }
int cuEventRecord(void* event, void* stream) { return printf("record on %p\n", stream), 0; }
int cuEventSynchronize(void* event) { return 0; }
int cuEventQuery(void* event) { return hung() ? 600 : 0; }
int cuStreamIsCapturing(void* stream, int* status) { return *status = option("STUB_CAPTURE", 0), 0; }
int cuThreadExchangeStreamCaptureMode(int* mode) { return 0; }
int cuEventElapsedTime(float* milliseconds, void* start, void* stop) { return *milliseconds = 1.5f, 0; }
