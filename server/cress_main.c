/* A whole server program in one call: options, checks, serving. */
#include "config.h"

int cress_main(int argc, char *argv[], cress_app *app, void *self)
{
    cress_config config = { .app = app, .self = self };
    config_command command;
    int result = config_parse(argc, argv, false, &config, &command);

    if (result != 0)
        return result < 0 ? CRESS_EXIT_USAGE : CRESS_EXIT_OK;
    return config_run(&config, &command);
}
