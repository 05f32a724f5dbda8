# libev, the event loop: the target Ev::Ev. (libev ships no pkg-config file.)
find_path(EV_INCLUDE_DIR ev.h PATH_SUFFIXES libev)
find_library(EV_LIBRARY ev)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Ev REQUIRED_VARS EV_LIBRARY EV_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libev-dev")
if(Ev_FOUND AND NOT TARGET Ev::Ev)
  add_library(Ev::Ev UNKNOWN IMPORTED)
  set_target_properties(Ev::Ev PROPERTIES
    IMPORTED_LOCATION ${EV_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${EV_INCLUDE_DIR}
    INTERFACE_LINK_LIBRARIES m)
endif()
mark_as_advanced(EV_INCLUDE_DIR EV_LIBRARY)
