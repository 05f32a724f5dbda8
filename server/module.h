/* Applications in shared objects: MODULE.so[:symbol], :factory(). */
#ifndef CRESS_MODULE_H
#define CRESS_MODULE_H

#include <cress/serve.h>

/* Loads it and fills config's app or factory, and app_name. CRESS_EXIT_OK, or
 * CRESS_EXIT_MODULE or CRESS_EXIT_SYMBOL after a line on stderr. */
int module_load(const char *text, cress_config *config);

#endif
