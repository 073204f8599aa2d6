# cmake -DCMAKE_TOOLCHAIN_FILE=.../cloudskin.toolchain.cmake: build a CMake project for cells.
# Tests and try_run() run under `cloudskin run` where that program is beside the compilers or on the path.
get_filename_component(_cloudskin_here "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
list(APPEND CMAKE_MODULE_PATH "${_cloudskin_here}/cmake")

set(CMAKE_SYSTEM_NAME WASI)
set(CMAKE_SYSTEM_VERSION 1)
set(CMAKE_SYSTEM_PROCESSOR wasm32)

# Installed: share/cloudskin/; in a source tree: sdk/.
find_program(CLOUDSKIN_CC cloudskin-cc HINTS "${_cloudskin_here}" "${_cloudskin_here}/../../bin" NO_CMAKE_FIND_ROOT_PATH)
find_program(CLOUDSKIN_CXX cloudskin-c++ HINTS "${_cloudskin_here}" "${_cloudskin_here}/../../bin"
  NO_CMAKE_FIND_ROOT_PATH)
set(CMAKE_C_COMPILER "${CLOUDSKIN_CC}")
set(CMAKE_CXX_COMPILER "${CLOUDSKIN_CXX}")
foreach(_tool AR RANLIB NM STRIP OBJDUMP)
  string(TOLOWER "${_tool}" _name)
  find_program(CLOUDSKIN_${_tool} NAMES llvm-${_name}-19 llvm-${_name} NO_CMAKE_FIND_ROOT_PATH)
  set(CMAKE_${_tool} "${CLOUDSKIN_${_tool}}")
endforeach()
foreach(_language C CXX)
  set(CMAKE_${_language}_COMPILER_AR "${CLOUDSKIN_AR}")
  set(CMAKE_${_language}_COMPILER_RANLIB "${CLOUDSKIN_RANLIB}")
endforeach()

find_program(CLOUDSKIN_RUN cloudskin HINTS "${_cloudskin_here}/../../bin" NO_CMAKE_FIND_ROOT_PATH)
if(CLOUDSKIN_RUN)
  set(CMAKE_CROSSCOMPILING_EMULATOR "${CLOUDSKIN_RUN};run;--dir;/")
endif()

# Programs of the host, headers and libraries of the guest.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Threads are a matter of the flag, not of a library: -pthread chooses the sysroot that has them.
set(CMAKE_HAVE_LIBC_PTHREAD FALSE CACHE INTERNAL "")
set(CMAKE_HAVE_PTHREADS_CREATE FALSE CACHE INTERNAL "")
set(CMAKE_HAVE_PTHREAD_CREATE FALSE CACHE INTERNAL "")
