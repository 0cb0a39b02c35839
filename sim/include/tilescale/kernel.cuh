// SPDX-License-Identifier: MIT
// Simulator twin of tilescale/kernel.cuh: kernel text compiled by the host compiler runs as one
// fiber per thread. What looks like a call of the hardware is a call of the simulator's library.
#pragma once

#include <tilescale/numeric/numeric.cuh>
#include <tilescale/ptx/barrier.cuh>
#include <tilescale/ptx/config.cuh>
#include <tilescale/ptx/misc.cuh>

// How users' sources (T.import_source) declare their functions.
#define __device__
#define __host__
#define __forceinline__ inline
