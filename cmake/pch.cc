// SPDX-License-Identifier: MIT
// The file that a precompiled header is built with.
