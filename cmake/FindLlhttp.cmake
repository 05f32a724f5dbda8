# The HTTP parser llhttp, whose readings tests compare with ours: the target Llhttp::Llhttp.
#
# Of the C sources that Debian's node-llhttp installs, because they can be compiled strict.
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
find_path(LLHTTP_SOURCE_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH)
mark_as_advanced(LLHTTP_SOURCE_DIR LLHTTP_SOURCE_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Llhttp REQUIRED_VARS LLHTTP_SOURCE_DIR LLHTTP_SOURCE_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install node-llhttp (its C sources)")

if(Llhttp_FOUND AND NOT TARGET Llhttp::Llhttp)
  add_library(llhttp STATIC EXCLUDE_FROM_ALL
    ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c ${LLHTTP_SOURCE_DIR}/llhttp.c)
  add_library(Llhttp::Llhttp ALIAS llhttp)
  target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_SOURCE_INCLUDE_DIR})
  target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(llhttp PRIVATE -w)
endif()
