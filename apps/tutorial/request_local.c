/* The request at hand, found from anywhere in its greenlet: greet() takes no
 * request as an argument, and still greets whoever asked, also after it waited
 * while hundreds of others were being served.
 *
 *     request_local --bind 127.0.0.1:8000
 *     curl '127.0.0.1:8000/?name=Ada&ms=500'
 */
#include <cress/cress.h>

#include <stdlib.h>

static const char *query(const char *name, const char *otherwise)
{
    cress_str value = cress_query_get(cress_environ_current(), name);

    return value.data ? value.data : otherwise;
}

static cress_str greet(void)
{
    const char *before = query("name", "you");

    if (cress_sleep(fmin(1e-3 * strtod(query("ms", "0"), NULL), 1)) < 0)
        return (cress_str){ NULL, 0 };
    return cress_environ_printf(cress_environ_current(), "Hello %s, still %s, from %s\n", before,
                                query("name", "you"),
                                cress_remote_addr(cress_environ_current()).data);
}

static int application(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    cress_str text = greet();

    if (!text.data)
        return -1;
    return cress_respond(res, 200, "text/plain", text.data, text.len);
}

int main(int argc, char *argv[])
{
    return cress_main(argc, argv, application, NULL);
}
