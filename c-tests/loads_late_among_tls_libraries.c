/* expect: exit 0
   modes: bare
   flags: -ldl
   A program on glibc's malloc loads 100 libraries with TLS and then ours, with threads running:
   there is static TLS left for us, and the functions by name work on every thread. */
#include "copy_module.h"
#include <pthread.h>

static void *(*ours)(size_t);
static void (*free_ours)(void *);
static int (*owns)(const void *);
static pthread_barrier_t loaded;

static void *work(void *wait)
{
    if (wait)
        pthread_barrier_wait(&loaded);
    for (size_t size = 1; size < 2 * MIB; size += size / 2 + 1) {
        void *block = ours(size);
        CHECK(block && owns(block));
        fill(block, size, 1);
        free_ours(block);
    }
    return NULL;
}

int main(void)
{
    pthread_t earlier, later;
    pthread_barrier_init(&loaded, NULL, 2);
    CHECK(pthread_create(&earlier, NULL, work, &loaded) == 0);
    for (int i = 0; i < 100; i++)
        load_copy(MODULES "/module_with_tls.so");
    void *library = dlopen(getenv("LIBRARY"), RTLD_NOW);
    if (!library)
        puts(dlerror());
    CHECK(library != NULL);
    ours = (void *(*)(size_t))dlsym(library, "glebe_malloc");
    free_ours = (void (*)(void *))dlsym(library, "glebe_free");
    owns = (int (*)(const void *))dlsym(library, "glebe_owns");
    pthread_barrier_wait(&loaded);
    CHECK(pthread_create(&later, NULL, work, NULL) == 0);
    work(NULL);
    pthread_join(earlier, NULL);
    pthread_join(later, NULL);
    CHECK(dlclose(library) == 0);
    return 0;
}
