# Flags of all code, and the functions that make module libraries.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(cs_flags INTERFACE)
target_compile_options(cs_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wswitch-enum
  -Werror -fno-strict-aliasing -fvisibility=hidden
  "$<$<COMPILE_LANGUAGE:C>:SHELL:-include ${PROJECT_SOURCE_DIR}/src/base/include/base/banned.h>")
target_compile_definitions(cs_flags INTERFACE _GNU_SOURCE CLOUDSKIN_VERSION="${PROJECT_VERSION}")
if(CLOUDSKIN_SANITIZE)
  target_compile_options(cs_flags INTERFACE -fsanitize=${CLOUDSKIN_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer
    # gcc sees conversions and uninitialised uses in the code that the sanitizers add
    -Wno-conversion -Wno-sign-conversion $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(cs_flags INTERFACE -fsanitize=${CLOUDSKIN_SANITIZE})
endif()
if(CLOUDSKIN_FUZZ)
  target_compile_options(cs_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# cs_module(<name> DIR <dir> DEPS <module libraries>...): a static library of <dir>/*.c whose public headers
# are in <dir>/include. Only what is named in DEPS is on its include path: that is how layers are kept.
function(cs_module name)
  cmake_parse_arguments(ARG "" "DIR" "DEPS;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_DIR}/*.c ${ARG_DIR}/*.S)
  if(NOT sources)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.c "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.c)
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${ARG_DIR}/include PRIVATE ${ARG_DIR})
  target_link_libraries(${name} PRIVATE cs_flags PUBLIC ${ARG_DEPS} ${ARG_LINK})
  set_target_properties(${name} PROPERTIES CS_DIR ${ARG_DIR})
endfunction()

# cs_program(<name> DIR <dir> DEPS ...): an executable of <dir>/*.c.
function(cs_program name)
  cmake_parse_arguments(ARG "" "DIR;OUTPUT" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_DIR}/*.c)
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${ARG_DIR})
  target_link_libraries(${name} PRIVATE cs_flags ${ARG_DEPS})
endfunction()
