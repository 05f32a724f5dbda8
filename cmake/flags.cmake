# How everything of ours is compiled. cress_flags is linked privately by every
# target of the project; nothing of it reaches those who use the library.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()
# Assertions stay: they cost little and turn a wrong state into a report.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

add_library(cress_flags INTERFACE)
target_compile_options(cress_flags INTERFACE
  -fstack-clash-protection
  -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes)
target_link_options(cress_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,--as-needed)

# libdw finds an address's source by a table that gcc makes without being asked.
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  target_compile_options(cress_flags INTERFACE -gdwarf-aranges)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug" OR CRESS_SANITIZE)
  target_compile_options(cress_flags INTERFACE -fno-omit-frame-pointer)
endif()
if(CRESS_BOOST_CONTEXT)
  target_compile_definitions(cress_flags INTERFACE CRESS_BOOST_CONTEXT)
endif()
# Misuse of a primitive stops a debug build: see greenlet/misuse.h.
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_definitions(cress_flags INTERFACE CRESS_DEBUG)
endif()
# Tests put functions of theirs between the library and the C library's: see greenlet/system.h.
if(CRESS_TESTS)
  target_compile_definitions(cress_flags INTERFACE CRESS_LIBC_CALLS)
endif()
if(CRESS_WERROR)
  target_compile_options(cress_flags INTERFACE -Werror)
endif()
if(CRESS_COVERAGE)
  target_compile_options(cress_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(cress_flags INTERFACE --coverage)
endif()

set(sanitize ${CRESS_SANITIZE})
if(CRESS_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CRESS_FUZZ needs clang: configure with -DCMAKE_C_COMPILER=clang")
  endif()
  string(JOIN "," fuzzed fuzzer-no-link ${sanitize})
  set(sanitize ${fuzzed})
endif()
if(sanitize)
  target_compile_options(cress_flags INTERFACE -fsanitize=${sanitize} -fno-sanitize-recover=all)
  target_link_options(cress_flags INTERFACE -fsanitize=${sanitize})
endif()

# What is inside the library only: nothing leaves it but what says CRESS_API.
add_library(cress_library_flags INTERFACE)
target_link_libraries(cress_library_flags INTERFACE cress_flags)
target_compile_options(cress_library_flags INTERFACE
  -fvisibility=hidden -fno-semantic-interposition -ftls-model=initial-exec)

# Small structs are cleared by stores, others by the library: "rep stos", gcc's choice, takes 8 ns
# to begin.
include(CheckCCompilerFlag)
set(clear_by_stores -mmemset-strategy=unrolled_loop:192:noalign,libcall:-1:noalign)
check_c_compiler_flag(${clear_by_stores} CRESS_HAS_MEMSET_STRATEGY)
if(CRESS_HAS_MEMSET_STRATEGY AND CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(cress_library_flags INTERFACE ${clear_by_stores})
endif()

# The layers are optimised as one: a request crosses them some thirty times. The
# objects hold plain code as well, for linkers that know nothing of it and for libcress.a: clang
# makes no such objects.
if(CRESS_LTO AND NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
  message(STATUS "Without link-time optimisation: it is set up for gcc only")
  set(CRESS_LTO OFF)
endif()
if(CRESS_LTO)
  target_compile_options(cress_library_flags INTERFACE -flto -ffat-lto-objects)
  target_link_options(cress_library_flags INTERFACE -O2 -flto=auto)
endif()

# One layer: the sources of this folder, EXCEPT those with a target of their own (their
# public headers go with them). Whoever links it sees its include/ folder and
# those of the layers below, never its private headers.
function(cress_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "EXCEPT;BELOW;PRIVATE")
  file(GLOB sources CONFIGURE_DEPENDS *.c)
  foreach(source IN LISTS arg_EXCEPT)
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  endforeach()
  add_library(${name} OBJECT ${sources})
  target_include_directories(${name}
    PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include
    PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_BELOW} PRIVATE ${arg_PRIVATE} cress_library_flags)
  file(GLOB headers CONFIGURE_DEPENDS include/cress/*.h)
  foreach(source IN LISTS arg_EXCEPT)
    get_filename_component(basename ${source} NAME_WE)
    list(REMOVE_ITEM headers ${CMAKE_CURRENT_SOURCE_DIR}/include/cress/${basename}.h)
  endforeach()
  install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cress)
endfunction()
