// SPDX-License-Identifier: MIT
// Nanoseconds of one cuLaunchKernel without any language around it: three pointers, an int and a float.
#include <time.h>

typedef int (*Launch)(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, void* stream, void** args, void** extra);

double bare_launch(Launch launch, void* function, void* stream, void** args, long count) {
  struct timespec start, stop;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (long i = 0; i < count; ++i) {
    if (launch(function, 1, 1, 1, 128, 1, 1, 0, stream, args, 0) != 0) return -1;
  }
  clock_gettime(CLOCK_MONOTONIC, &stop);
  return ((double)(stop.tv_sec - start.tv_sec) * 1e9 + (double)(stop.tv_nsec - start.tv_nsec)) / (double)count;
}
