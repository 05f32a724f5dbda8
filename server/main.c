/* cress: serves the application in a shared object. */
#include "config.h"
#include "module.h"

int main(int argc, char *argv[])
{
    cress_config config = { 0 };
    config_command command;
    int result = config_parse(argc, argv, true, &config, &command);

    if (result != 0)
        return result < 0 ? CRESS_EXIT_USAGE : CRESS_EXIT_OK;
    if (command.module)
        result = module_load(command.module, &config);
    return result == CRESS_EXIT_OK ? config_run(&config, &command) : result;
}
