# What users get, all made of the same objects: libcress.so, libcress.a and the
# program cress, and beside them libcress_zmq. Each shows the names that start with
# cress_ and no others.

set(CRESS_OBJECTS
  $<TARGET_OBJECTS:cress_greenlet> $<TARGET_OBJECTS:cress_http> $<TARGET_OBJECTS:cress_server>)

# What a program that contains those objects links as well.
add_library(cress_needs INTERFACE)
target_link_libraries(cress_needs INTERFACE
  $<LINK_ONLY:Cares::Cares>
  $<LINK_ONLY:OpenSSL::SSL> $<LINK_ONLY:ZLIB::ZLIB>
  $<$<TARGET_EXISTS:Brotli::Encoder>:$<LINK_ONLY:Brotli::Encoder>>
  $<$<TARGET_EXISTS:Zstd::Zstd>:$<LINK_ONLY:Zstd::Zstd>> Threads::Threads ${CMAKE_DL_LIBS} m)
target_include_directories(cress_needs INTERFACE
  ${PROJECT_SOURCE_DIR}/greenlet/include
  ${PROJECT_SOURCE_DIR}/http/include
  ${PROJECT_SOURCE_DIR}/server/include)

# The headers alone, for modules that the program loads.
add_library(cress_headers INTERFACE)
target_include_directories(cress_headers INTERFACE
  $<TARGET_PROPERTY:cress_needs,INTERFACE_INCLUDE_DIRECTORIES>)

# The same for cress.pc and cressConfig.cmake.
set(CRESS_CODING_LIBS)
set(CRESS_CODING_LIST)
if(TARGET Brotli::Encoder)
  string(APPEND CRESS_CODING_LIBS " -lbrotlienc")
  string(APPEND CRESS_CODING_LIST ";brotlienc")
endif()
if(TARGET Zstd::Zstd)
  string(APPEND CRESS_CODING_LIBS " -lzstd")
  string(APPEND CRESS_CODING_LIST ";zstd")
endif()

# ---- libcress.so -------------------------------------------------------------
set(version_script ${CMAKE_CURRENT_BINARY_DIR}/cress.map)
file(CONFIGURE OUTPUT ${version_script} CONTENT "{ global: cress_*; local: *; };\n")
add_library(cress_shared SHARED ${CRESS_OBJECTS})
target_link_libraries(cress_shared PRIVATE cress_library_flags cress_needs
  BoostContext::BoostContext)
target_link_options(cress_shared PRIVATE
  -Wl,--version-script=${version_script} -Wl,--exclude-libs,ALL)
set_target_properties(cress_shared PROPERTIES
  OUTPUT_NAME cress
  EXPORT_NAME cress
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}
  LINK_DEPENDS ${version_script}
  LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
target_include_directories(cress_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# ---- libcress.a --------------------------------------------------------------
# One relocatable object with everything in it, whose other names are made local:
# a program may have its own boost.context beside it. It is plain code: merged
# objects cannot be optimised again when linking.
set(CRESS_ARCHIVE ${PROJECT_BINARY_DIR}/libcress.a)
set(object ${CMAKE_CURRENT_BINARY_DIR}/cress.o)
add_custom_command(
  OUTPUT ${CRESS_ARCHIVE}
  COMMAND ${CMAKE_LINKER} -r -o ${object} ${CRESS_OBJECTS} ${BOOST_CONTEXT_LIBRARY}
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=cress_*
    --remove-section=.gnu.lto_* --remove-section=.gnu.debuglto_* ${object}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${CRESS_ARCHIVE}
  COMMAND ${CMAKE_AR} rcs ${CRESS_ARCHIVE} ${object}
  DEPENDS ${CRESS_OBJECTS}
  COMMAND_EXPAND_LISTS VERBATIM
  COMMENT "Linking C static library libcress.a")
add_custom_target(cress_archive_file ALL DEPENDS ${CRESS_ARCHIVE})
add_dependencies(cress_archive_file cress_greenlet cress_http cress_server)
add_library(cress_archive STATIC IMPORTED GLOBAL)
add_dependencies(cress_archive cress_archive_file)
set_target_properties(cress_archive PROPERTIES IMPORTED_LOCATION ${CRESS_ARCHIVE})
target_link_libraries(cress_archive INTERFACE cress_needs)

# ---- libcress_zmq: green ZeroMQ, where libzmq is ------------------------------
# It stands on libcress and libzmq; libcress itself does not know of it.
if(TARGET cress_zmq_objects)
  add_library(cress_zmq SHARED $<TARGET_OBJECTS:cress_zmq_objects>)
  target_link_libraries(cress_zmq PUBLIC cress_shared ZeroMQ::ZeroMQ PRIVATE cress_library_flags)
  target_link_options(cress_zmq PRIVATE -Wl,--version-script=${version_script})
  set_target_properties(cress_zmq PROPERTIES
    EXPORT_NAME zmq
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${version_script}
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  target_include_directories(cress_zmq INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

  add_library(cress_zmq_archive STATIC $<TARGET_OBJECTS:cress_zmq_objects>)
  target_link_libraries(cress_zmq_archive PUBLIC cress_archive ZeroMQ::ZeroMQ)
  set_target_properties(cress_zmq_archive PROPERTIES
    OUTPUT_NAME cress_zmq
    ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endif()

# ---- the same objects with all their names, for tests and benchmarks ----------
add_library(cress_internal STATIC ${CRESS_OBJECTS})
set_target_properties(cress_internal PROPERTIES EXCLUDE_FROM_ALL ON)
target_link_libraries(cress_internal PUBLIC cress_needs BoostContext::BoostContext)
target_link_options(cress_internal PUBLIC $<$<BOOL:${CRESS_LTO}>:-flto=auto>)

# ---- the program --------------------------------------------------------------
# Modules that it loads find every cress_ name in it, so it contains them all,
# used by itself or not.
add_executable(cress_program ${CMAKE_CURRENT_SOURCE_DIR}/main.c ${CRESS_OBJECTS})
target_link_libraries(cress_program PRIVATE cress_library_flags cress_needs
  BoostContext::BoostContext)
target_link_options(cress_program PRIVATE -Wl,--export-dynamic-symbol=cress_*)
set_target_properties(cress_program PROPERTIES
  OUTPUT_NAME cress
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})

# ---- cmake --install ------------------------------------------------------------
install(TARGETS cress_program RUNTIME)
install(TARGETS cress_shared EXPORT cressTargets LIBRARY)
install(FILES ${CRESS_ARCHIVE} DESTINATION ${CMAKE_INSTALL_LIBDIR})

install(FILES ${PROJECT_SOURCE_DIR}/greenlet/gdb/cress-gdb.py
  DESTINATION ${CMAKE_INSTALL_DATADIR}/cress)

file(GLOB manuals CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/man/*.1)
install(FILES ${manuals} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix /prefix/${pkgconfig_dir} /prefix)
configure_file(${PROJECT_SOURCE_DIR}/cmake/cress.pc.in cress.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cress.pc DESTINATION ${pkgconfig_dir})
if(TARGET cress_zmq)
  install(TARGETS cress_zmq EXPORT cressZmqTargets LIBRARY)
  install(FILES $<TARGET_FILE:cress_zmq_archive> DESTINATION ${CMAKE_INSTALL_LIBDIR})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/cress_zmq.pc.in cress_zmq.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cress_zmq.pc DESTINATION ${pkgconfig_dir})
endif()

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cress)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/cressConfig.cmake.in cressConfig.cmake
  INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(cressConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/cressConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/cressConfigVersion.cmake
  DESTINATION ${package_dir})
install(EXPORT cressTargets NAMESPACE cress:: DESTINATION ${package_dir})
if(TARGET cress_zmq)
  install(EXPORT cressZmqTargets NAMESPACE cress:: DESTINATION ${package_dir})
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/FindZeroMQ.cmake DESTINATION ${package_dir})
endif()
