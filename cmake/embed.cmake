# Turns a text file into a C header, so that a program carries it inside:
#
#     #include "chat_html.h"     from chat.html
#     static const unsigned char chat_html[];     the bytes, then a '\0'
#     static const size_t chat_html_len;          without the '\0'
#
# cress_embed(FILE ret_header) makes the rule; run as a script it does the work.

function(cress_embed file ret_header)
  get_filename_component(base ${file} NAME)
  string(MAKE_C_IDENTIFIER ${base} name)
  set(header ${CMAKE_CURRENT_BINARY_DIR}/embedded/${name}.h)
  add_custom_command(
    OUTPUT ${header}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DNAME=${name} -DOUTPUT=${header}
      -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM
    COMMENT "Embedding ${base}")
  set(${ret_header} ${header} PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  file(READ ${INPUT} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(................................................................................)"
    "\\1\n" bytes "${bytes}")
  get_filename_component(base ${INPUT} NAME)
  file(WRITE ${OUTPUT}
    "/* Made from ${base}. */\n"
    "#include <stddef.h>\n\n"
    "static const unsigned char ${NAME}[] = {\n${bytes}0x00\n};\n"
    "static const size_t ${NAME}_len = sizeof ${NAME} - 1;\n")
endif()
