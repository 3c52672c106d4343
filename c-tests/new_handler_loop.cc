/* expect: exit 0
   modes: link preload static
   under: confine as=1G
   The handler is called until it has freed enough, throws, or takes itself away. */
#include "check.h"
#include <initializer_list>
#include <new>

static int calls;
static void *ballast[3];

static void free_one_piece()
{
    free(ballast[calls++]);
    if (calls == 3)
        std::set_new_handler(nullptr);
}

struct Refusal : std::bad_alloc {};
static void refuse() { throw Refusal(); }

int main()
{
    for (void *&piece : ballast)
        CHECK((piece = malloc(250 * MIB)) != nullptr);
    std::set_new_handler(free_one_piece);
    char *block = new char[600 * MIB];
    CHECK(block && calls >= 1);
    block[0] = block[600 * MIB - 1] = 1;
    bool caught = false;
    try {
        new char[600 * MIB];
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    CHECK(caught && calls == 3);
    std::set_new_handler(refuse);
    caught = false;
    try {
        new char[2000 * MIB];
    } catch (const Refusal &) {
        caught = true;
    }
    CHECK(caught);
    delete[] block;
    return 0;
}
