# Brotli's encoder: the target Brotli::Encoder.
find_path(BROTLI_INCLUDE_DIR brotli/encode.h)
find_library(BROTLI_ENCODER_LIBRARY brotlienc)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Brotli REQUIRED_VARS BROTLI_ENCODER_LIBRARY BROTLI_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libbrotli-dev")
if(Brotli_FOUND AND NOT TARGET Brotli::Encoder)
  add_library(Brotli::Encoder UNKNOWN IMPORTED)
  set_target_properties(Brotli::Encoder PROPERTIES
    IMPORTED_LOCATION ${BROTLI_ENCODER_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${BROTLI_INCLUDE_DIR})
endif()
mark_as_advanced(BROTLI_INCLUDE_DIR BROTLI_ENCODER_LIBRARY)
