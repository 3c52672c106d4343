/* expect: module
   flags: -ldl */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

void *module_malloc(size_t size) { return malloc(size); }
void module_free(void *block) { free(block); }
char *module_strdup(const char *text) { return strdup(text); }

/* The file that this module's malloc comes from. */
const char *module_malloc_file(void)
{
    Dl_info place;
    void *volatile here = (void *)malloc;
    return dladdr(here, &place) ? place.dli_fname : "";
}
