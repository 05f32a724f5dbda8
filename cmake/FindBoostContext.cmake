# The static archive of boost.context: the target BoostContext::BoostContext.
# Its three C symbols are all that is used, so no header and no C++ is needed.
find_library(BOOST_CONTEXT_LIBRARY libboost_context.a)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BoostContext REQUIRED_VARS BOOST_CONTEXT_LIBRARY
  REASON_FAILURE_MESSAGE "install libboost-context-dev")
if(BoostContext_FOUND AND NOT TARGET BoostContext::BoostContext)
  add_library(BoostContext::BoostContext STATIC IMPORTED)
  set_target_properties(BoostContext::BoostContext PROPERTIES
    IMPORTED_LOCATION ${BOOST_CONTEXT_LIBRARY})
endif()
mark_as_advanced(BOOST_CONTEXT_LIBRARY)
