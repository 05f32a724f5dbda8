# The HTTP parser llhttp: the target Llhttp::Llhttp.
#
# Preferred are the C sources that Debian's node-llhttp installs, because they
# can be compiled strict (see http/README.md); then a system libllhttp. With
# sources, LLHTTP_OBJECTS is the object library to put into ours.
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
find_path(LLHTTP_SOURCE_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH)
mark_as_advanced(LLHTTP_SOURCE_DIR LLHTTP_SOURCE_INCLUDE_DIR)

if(LLHTTP_SOURCE_DIR AND LLHTTP_SOURCE_INCLUDE_DIR)
  set(llhttp_where ${LLHTTP_SOURCE_DIR})
else()
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(LLHTTP QUIET IMPORTED_TARGET libllhttp)
  endif()
  if(LLHTTP_FOUND)
    set(llhttp_where ${LLHTTP_LINK_LIBRARIES})
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Llhttp REQUIRED_VARS llhttp_where
  REASON_FAILURE_MESSAGE
  "install node-llhttp (its C sources) or a libllhttp that pkg-config finds")

if(Llhttp_FOUND AND NOT TARGET Llhttp::Llhttp)
  add_library(llhttp_interface INTERFACE)
  add_library(Llhttp::Llhttp ALIAS llhttp_interface)
  if(LLHTTP_SOURCE_DIR)
    set(LLHTTP_OBJECTS llhttp_objects)
    add_library(llhttp_objects OBJECT
      ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c ${LLHTTP_SOURCE_DIR}/llhttp.c)
    target_include_directories(llhttp_objects PRIVATE ${LLHTTP_SOURCE_INCLUDE_DIR})
    target_compile_definitions(llhttp_objects PRIVATE LLHTTP_STRICT_MODE=1)
    target_compile_options(llhttp_objects PRIVATE -O2 -w -fvisibility=hidden)
    if(CRESS_LTO)
      target_compile_options(llhttp_objects PRIVATE -flto -ffat-lto-objects)
    endif()
    if(CRESS_FUZZ)
      target_compile_options(llhttp_objects PRIVATE -fsanitize=fuzzer-no-link,address)
    elseif(CRESS_SANITIZE MATCHES "address")
      target_compile_options(llhttp_objects PRIVATE -fsanitize=address)
    endif()
    target_include_directories(llhttp_interface SYSTEM INTERFACE ${LLHTTP_SOURCE_INCLUDE_DIR})
    target_compile_definitions(llhttp_interface INTERFACE LLHTTP_STRICT_MODE=1)
  else()
    set(LLHTTP_OBJECTS)
    target_link_libraries(llhttp_interface INTERFACE PkgConfig::LLHTTP)
  endif()
endif()
