/* The files of one folder: $FOLDER, or else the current one.
 *
 *     FOLDER=public cress 'apps/static.so:make()'
 *     curl -i 127.0.0.1:8000/index.html
 *     curl -i 127.0.0.1:8000/index.html -r 0-99          # a part of it
 *     curl -i 127.0.0.1:8000/index.html -z index.html       # 304: this one is as new
 *
 * `cress --static /=public` does the same without a line of C. In an application of your own,
 * put other paths in front, or check who may see the files.
 */
#include <cress/cress.h>

#include <stdlib.h>

static void finish(void *files)
{
    cress_static_destroy(files);
}

cress_factory make;

int make(cress_application *ret_application)
{
    const char *folder = getenv("FOLDER");
    cress_static_root *files = cress_static_create(&(cress_static_options){
        .root = folder ? folder : ".",
        .charset = "utf-8",
        .cache_control = "no-cache", /* ask again each time; it is 304 then */
    });

    *ret_application = (cress_application){ .app = cress_static, .self = files, .finish = finish };
    return files ? 0 : -1;
}
