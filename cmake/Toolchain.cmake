# SPDX-License-Identifier: MIT
# Language level, flags and tools that every target shares.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# ccache does not know that a precompiled header stands for the headers it was made from; these let
# it. Time stamps of headers are not compared, since a fresh clone has none worth comparing.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(sloppiness pch_defines,time_macros,include_file_mtime,include_file_ctime)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=${sloppiness} ${CCACHE})
endif()

find_package(Threads REQUIRED)

# As ccache names our files, so that clones in other folders find what one of them has compiled.
file(RELATIVE_PATH source_from_build ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR})
string(REGEX REPLACE "/$" "" source_from_build "${source_from_build}")

# What every target of ours compiles and links with.
add_library(ts_flags INTERFACE)
target_include_directories(ts_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(
  ts_flags
  INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall>
            $<$<COMPILE_LANGUAGE:CXX>:-Wextra>
            $<$<COMPILE_LANGUAGE:CXX>:-Wno-unused-parameter> # clang-tidy has the better check
            -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -ffile-prefix-map=${source_from_build}/=)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False reports of g++ 12 on std::string concatenation and on optional fields at -O2.
  target_compile_options(
    ts_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>
                       $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
endif()
if(TS_SANITIZE)
  target_compile_options(ts_flags INTERFACE -fsanitize=${TS_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(ts_flags INTERFACE -fsanitize=${TS_SANITIZE})
  if(TS_SANITIZE MATCHES undefined)
    # The handlers of undefined behaviour are the simulator's (sim/ubsan.cc): of kernels. Here it traps.
    target_compile_options(ts_flags INTERFACE -fsanitize-undefined-trap-on-error -fno-sanitize=vptr)
  endif()
endif()
target_link_libraries(ts_flags INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
