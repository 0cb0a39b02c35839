// SPDX-License-Identifier: MIT
// libtilescale.so is made of the folders' objects; CMake wants one source file besides.
