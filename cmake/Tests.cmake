# SPDX-License-Identifier: MIT
# tilescale-opt and one GoogleTest executable for each folder of tests/unit. They link the folders'
# objects, not libtilescale.so, whose symbols are hidden; exports are on because the simulator's
# kernel modules resolve their symbols in whoever loads them.

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

file(GLOB opt_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/tilescale_opt/*.cc)
if(opt_sources)
  ts_all_objects(objects)
  # An OBJECT library first: its flags are those of the precompiled header, an executable's are not.
  add_library(tilescale_opt_objects OBJECT ${opt_sources})
  target_link_libraries(tilescale_opt_objects PRIVATE ts_flags)
  target_precompile_headers(tilescale_opt_objects REUSE_FROM ts_pch)
  add_executable(tilescale-opt $<TARGET_OBJECTS:tilescale_opt_objects> ${objects})
  target_link_libraries(tilescale-opt PRIVATE ts_flags)
  set_target_properties(tilescale-opt PROPERTIES ENABLE_EXPORTS ON LINKER_LANGUAGE CXX)
endif()

set(gtest_dir ${CMAKE_SOURCE_DIR}/third_party/googletest)
add_library(gtest STATIC ${gtest_dir}/src/gtest-all.cc ${gtest_dir}/src/gtest_main.cc)
target_include_directories(gtest SYSTEM PUBLIC ${gtest_dir}/include)
target_include_directories(gtest PRIVATE ${gtest_dir})
set_target_properties(gtest PROPERTIES COMPILE_WARNING_AS_ERROR OFF)

add_library(ts_test_pch OBJECT cmake/pch.cc)
target_precompile_headers(ts_test_pch PRIVATE cmake/pch.h <gtest/gtest.h>)
target_link_libraries(ts_test_pch PRIVATE ts_flags gtest)

file(GLOB unit_folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${CMAKE_SOURCE_DIR}/tests/unit/*)
foreach(path ${unit_folders})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${path}/*.cc)
  if(NOT sources)
    continue()
  endif()
  get_filename_component(name ${path} NAME)
  if(name IN_LIST TS_FOLDERS)
    ts_closure_objects(${name} objects)
  elseif(compiler/${name} IN_LIST TS_FOLDERS)
    ts_closure_objects(compiler/${name} objects)
  else()
    ts_all_objects(objects)
  endif()
  add_library(unit_${name}_objects OBJECT ${sources})
  target_link_libraries(unit_${name}_objects PRIVATE ts_flags gtest)
  if(name STREQUAL "sim") # its kernels are compiled into the test itself
    target_include_directories(unit_${name}_objects PRIVATE ${CMAKE_SOURCE_DIR}/sim/include)
    target_include_directories(unit_${name}_objects SYSTEM PRIVATE ${CMAKE_SOURCE_DIR}/device)
  endif()
  if(name STREQUAL "sim" AND TS_SANITIZE) # and run on fibers: as sim/ itself
    set_property(SOURCE ${sources} APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=all)
  else()
    target_precompile_headers(unit_${name}_objects REUSE_FROM ts_test_pch)
  endif()
  add_executable(unit_${name} $<TARGET_OBJECTS:unit_${name}_objects> ${objects})
  target_link_libraries(unit_${name} PRIVATE ts_flags gtest)
  set_target_properties(unit_${name} PROPERTIES ENABLE_EXPORTS ON LINKER_LANGUAGE CXX)
  add_test(NAME unit_${name} COMMAND unit_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endforeach()
