/* JSON in and out by Jansson: what to write to use any such library with cress. */
#ifndef TODO_JSON_BODY_H
#define TODO_JSON_BODY_H

#include <cress/cress.h>
#include <jansson.h>

/* [waits] The request's body, at most limit bytes, as a value that is freed after the response; NULL:
 * EBADMSG (it is no JSON, or nested too deeply), ENOMEM, or what reading a body can say. */
json_t *read_json(cress_environ *env, size_t limit);

/* Answers with a value, and drops a reference to it. */
int respond_json(cress_response *res, int status, json_t *value);

#endif
