/* expect: exit 0
   modes: link preload static
   flags: -ldl */
#include "copy_module.h"
#include <pthread.h>

static void *module[100];

static void *touch_all(void *unused)
{
    for (int i = 0; i < 100; i++) {
        void *block = malloc(100 * i);
        CHECK(((int (*)(void))dlsym(module[i], "touch_tls"))());
        free(block);
    }
    return unused;
}

int main(void)
{
    pthread_t before[4], after[4];
    for (int i = 0; i < 100; i++)
        module[i] = load_copy(MODULES "/module_with_tls.so");
    touch_all(NULL);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&before[i], NULL, touch_all, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(before[i], NULL);
    for (int i = 0; i < 100; i++)
        dlclose(module[i]);
    for (int i = 0; i < 100; i++)
        module[i] = load_copy(MODULES "/module_with_tls.so");
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&after[i], NULL, touch_all, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(after[i], NULL);
    return 0;
}
