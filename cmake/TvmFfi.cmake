# SPDX-License-Identifier: MIT
# Finds the tvm-ffi of the Python environment that builds us: headers and shared library come from
# its wheel, so what we compile against is what `import tvm_ffi` loads.

if(NOT Python_EXECUTABLE AND EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  set(Python_EXECUTABLE ${CMAKE_SOURCE_DIR}/.venv/bin/python)
endif()
find_package(Python COMPONENTS Interpreter REQUIRED)

execute_process(
  COMMAND ${Python_EXECUTABLE} -m tvm_ffi.config --cmakedir
  OUTPUT_VARIABLE tvm_ffi_DIR
  OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE status
  ERROR_VARIABLE reason)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "apache-tvm-ffi is not installed for ${Python_EXECUTABLE}; run ./dev setup\n"
                      "${reason}")
endif()
find_package(tvm_ffi CONFIG REQUIRED)
target_link_libraries(ts_flags INTERFACE tvm_ffi::shared)
# Its checks print their file: the same text wherever the environment lies.
target_compile_options(ts_flags INTERFACE -ffile-prefix-map=${tvm_ffi_INCLUDE_DIR}=tvm_ffi)
