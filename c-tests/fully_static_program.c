/* expect: exit 0
   modes: static
   flags: -static
   under: nothing
   under: GLEBE_HARDENED=1
   Without any shared library; C only. */
#include "churn.h"

int main(void)
{
    pthread_t thread[2];
    churn_start(thread, 2);
    uint64_t random = 17;
    for (int i = 0; i < 20000; i++)
        churn_step(&random, i % 512 ? 64 * KIB : 3 * MIB);
    churn_end(thread, 2);
    FILE *file = fopen("/dev/null", "w");
    CHECK(file && fprintf(file, "%f", 1.5) > 0 && fclose(file) == 0);
    return 0;
}
