/* The request as the application sees it: the whole environ, as a JSON object.
 *
 * Clients send any bytes they like. What is UTF-8 stays as it is, every other byte
 * becomes U+FFFD, and what JSON keeps for itself is escaped.
 *
 *     cress apps/environ.so
 *     curl '127.0.0.1:8000/some/path?name=value' -H 'X-Colour: green'
 */
#include <cress/cress.h>

enum { MOST = 1024 * 1024 };

static int add_member(void *arg, cress_str key, cress_str value)
{
    cress_json *json = arg;

    cress_json_key(json, key.data);
    cress_json_string(json, value);
    return 0;
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    cress_json json;

    (void)self;
    cress_json_begin(&json, env, MOST);
    json.replaces_malformed = true;
    cress_json_object(&json);
    cress_environ_each(env, add_member, &json);
    cress_json_end(&json);
    return cress_json_respond(&json, res, 200);
}
