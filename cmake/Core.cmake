# SPDX-License-Identifier: MIT
# The core's folders, one OBJECT library each: compiler/ir is ts_compiler_ir. A folder is globbed, so
# adding a file needs no change here; a folder that is missing or empty is left out.

# Folder, then the folders whose objects its unit tests link besides its own (the closure is taken).
# It follows layers.toml; where a layer calls through registration, the registering folder is named.
set(TS_FOLDERS support compiler/target compiler/layout compiler/ir compiler/arith compiler/isa
               compiler/ops compiler/analysis compiler/passes compiler/codegen runtime sim
               compiler/driver)
set(TS_NEEDS_support "")
set(TS_NEEDS_compiler_target support)
set(TS_NEEDS_compiler_layout support)
set(TS_NEEDS_compiler_ir support compiler/layout)
set(TS_NEEDS_compiler_arith compiler/ir)
set(TS_NEEDS_compiler_isa compiler/ir compiler/target)
set(TS_NEEDS_compiler_ops compiler/arith compiler/isa)
set(TS_NEEDS_compiler_analysis compiler/ops)
set(TS_NEEDS_compiler_passes compiler/analysis runtime)
set(TS_NEEDS_compiler_codegen compiler/isa)
set(TS_NEEDS_compiler_driver compiler/passes compiler/codegen)
set(TS_NEEDS_runtime support)
set(TS_NEEDS_sim support runtime)

# Folders of plain C++: at most a file ffi.cc there includes tvm-ffi, so they skip its header.
set(TS_PLAIN support compiler/layout sim)

# The expensive headers, parsed once. A target of its own: any folder may be missing.
add_library(ts_pch OBJECT cmake/pch.cc)
target_precompile_headers(ts_pch PRIVATE cmake/pch.h)
target_link_libraries(ts_pch PRIVATE ts_flags)

function(ts_target_of folder out)
  string(REPLACE "/" "_" name "${folder}")
  set(${out} ts_${name} PARENT_SCOPE)
endfunction()

foreach(folder ${TS_FOLDERS})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cc
       ${CMAKE_SOURCE_DIR}/${folder}/*.S)
  if(NOT sources)
    continue()
  endif()
  ts_target_of(${folder} target)
  add_library(${target} OBJECT ${sources})
  target_link_libraries(${target} PRIVATE ts_flags)
  if(NOT folder IN_LIST TS_PLAIN)
    target_precompile_headers(${target} REUSE_FROM ts_pch)
  endif()
endforeach()
if(TARGET ts_sim)
  # The twins of the device headers are compiled here and called by compiled kernels.
  target_include_directories(ts_sim PRIVATE ${CMAKE_SOURCE_DIR}/sim/include)
  target_include_directories(ts_sim SYSTEM PRIVATE ${CMAKE_SOURCE_DIR}/device)
  if(TS_SANITIZE)
    # It switches stacks, gives up fibers that have frames, and is a sanitizer's runtime itself.
    # Of the sources: options of the target come before those of ts_flags.
    get_target_property(sources ts_sim SOURCES)
    set_property(SOURCE ${sources} APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=all)
  endif()
endif()
if(TARGET ts_support)
  set_property(
    SOURCE ${CMAKE_SOURCE_DIR}/support/build_info.cc
    APPEND
    PROPERTY COMPILE_DEFINITIONS TS_VERSION="${PROJECT_VERSION}")
endif()

# Sets `out` to the objects of all folders.
function(ts_all_objects out)
  set(objects "")
  foreach(folder ${TS_FOLDERS})
    ts_target_of(${folder} target)
    if(TARGET ${target})
      list(APPEND objects $<TARGET_OBJECTS:${target}>)
    endif()
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()

# Sets `out` to the objects of `folder` and of all folders it needs.
function(ts_closure_objects folder out)
  set(closure "")
  set(open ${folder})
  while(open)
    list(POP_FRONT open next)
    if(next IN_LIST closure)
      continue()
    endif()
    list(APPEND closure ${next})
    string(REPLACE "/" "_" name "${next}")
    list(APPEND open ${TS_NEEDS_${name}})
  endwhile()
  set(objects "")
  foreach(needed ${closure})
    ts_target_of(${needed} target)
    if(TARGET ${target})
      list(APPEND objects $<TARGET_OBJECTS:${target}>)
    endif()
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()
