/* expect: exit 0 "warning: " "GLEBE_SOURCE" "auto" "break" "mmap"
   modes: link preload static
   under: GLEBE_SOURCE=nonsense
   under: GLEBE_SOURCE=
   under: GLEBE_SOURCE=BREAK
   One line that names the variable and the accepted values. */
#include "churn.h"

int main(void)
{
    pthread_t thread[4];
    churn_start(thread, 4);
    churn_end(thread, 4);
    return 0;
}
