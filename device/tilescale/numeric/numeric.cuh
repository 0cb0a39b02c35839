// SPDX-License-Identifier: MIT
// Types, arithmetic, conversions and mathematics together.
#pragma once
#include <tilescale/math.cuh>
#include <tilescale/numeric/cast.cuh>
#include <tilescale/numeric/half.cuh>
#include <tilescale/numeric/types.cuh>
