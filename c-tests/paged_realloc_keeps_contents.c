/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Objects that are out grow and shrink, small and huge, in place and moved. A huge one is moved
   without its bytes coming back to memory. */
#include "paged.h"

static struct Painted set[100000];

static void resize(struct Painted *object, size_t size)
{
    size_t kept = size < object->size ? size : object->size;
    CHECK((object->start = realloc(object->start, size)) != NULL);
    CHECK(painted(object->start, kept, object->seed));
    /* What is new is painted as if it had always been there. */
    kept &= ~(size_t)7;
    paint_part(object->start, kept, size - kept, object->seed);
    object->size = size;
}

static void small_and_medium(void)
{
    uint64_t random = 4;
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    push_out();
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            size_t size = set[i].size;
            resize(&set[i], i % 3 == 0 ? size + size / 2 : i % 3 == 1 ? size / 2 + 1 : mixed_size(&random));
        }
        shuffle(set, count, &random);
        check_budget_is_kept();
    }
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
}

static void huge(void)
{
    size_t size = budgets(1);
    struct Painted object = make_painted(size, 2);
    for (int round = 0; round < 3; round++) {
        /* In the way of growth in place. */
        void *blocker = malloc(3 * MIB);
        push_out_object(object.start, object.size);
        object.start = realloc(object.start, object.size + 8 * MIB);
        CHECK(object.start != NULL);
        CHECK(budget() == 0 || absent_pages(object.start, object.size) >= object.size / PAGE / 2);
        check_budget_is_kept();
        CHECK(painted(object.start, object.size, object.seed));
        paint_part(object.start, object.size, 8 * MIB, object.seed);
        object.size += 8 * MIB;
        free(blocker);
    }
    resize(&object, size / 2);
    push_out();
    resize(&object, 100);
    free_painted(&object);
}

int main(void)
{
    start_paged();
    small_and_medium();
    huge();
    return 0;
}
