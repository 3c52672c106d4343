/* expect: exit 0
   modes: link preload
   Other threads hold stdio's locks and allocate under them; the child uses stdio and ends by exit. */
#include "churn.h"
#include <sys/wait.h>

static void *use_stdio(void *unused)
{
    char *line = NULL;
    size_t length = 0;
    while (!churn_stop) {
        FILE *file = fopen("/etc/passwd", "r");
        while (getline(&line, &length, file) > 0)
            ;
        fclose(file);
        fflush(NULL);
        free(line);
        line = NULL;
        length = 0;
    }
    return unused;
}

int main(void)
{
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&thread[i], NULL, use_stdio, NULL) == 0);
    for (int i = 0; i < 300; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            char *text;
            size_t size;
            FILE *memory = open_memstream(&text, &size), *null = fopen("/dev/null", "w");
            CHECK(memory && null && fprintf(memory, "%01000d", i) == 1000);
            CHECK(fprintf(null, "%d\n", i) > 0 && fclose(memory) == 0 && size == 1000);
            free(text);
            exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    churn_end(thread, 4);
    return 0;
}
