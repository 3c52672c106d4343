/* Factors of big numbers by trial division. As in the program cfrac, each result of an operation,
   quotients and remainders alike, is a block of its own of as many limbs as it needs, and lives for a
   step or two: almost all requests are tiny and short-lived, and blocks shrink as factors are found.

   The numbers have up to `digits` decimal digits and factors below 4096. */
#include "workload.h"

/* Least significant limb first; the highest is not zero. */
struct number {
    size_t limbs;
    uint32_t limb[];
};

struct division {
    struct number *quotient, *remainder;
};

static struct number *number_of(size_t limbs)
{
    struct number *number = take(sizeof *number + limbs * 4);
    number->limbs = limbs;
    return number;
}

static struct number *small_number(uint32_t value)
{
    struct number *number = number_of(value != 0);
    if (value != 0)
        number->limb[0] = value;
    return number;
}

static struct number *trimmed(struct number *number)
{
    size_t limbs = number->limbs;
    while (limbs != 0 && number->limb[limbs - 1] == 0)
        limbs--;
    if (limbs != number->limbs) {
        number = taken(realloc(number, sizeof *number + limbs * 4));
        number->limbs = limbs;
    }
    return number;
}

static struct number *product(const struct number *a, uint32_t b)
{
    struct number *result = number_of(a->limbs + 1);
    uint64_t carry = 0;
    for (size_t i = 0; i < a->limbs; i++, carry >>= 32) {
        carry += (uint64_t)a->limb[i] * b;
        result->limb[i] = (uint32_t)carry;
    }
    result->limb[a->limbs] = (uint32_t)carry;
    return trimmed(result);
}

static struct division divide(const struct number *a, uint32_t b)
{
    struct number *quotient = number_of(a->limbs);
    uint64_t rest = 0;
    for (size_t i = a->limbs; i-- != 0; rest %= b) {
        rest = rest << 32 | a->limb[i];
        quotient->limb[i] = (uint32_t)(rest / b);
    }
    return (struct division){trimmed(quotient), small_number((uint32_t)rest)};
}

/* Takes the number for itself, and gives it back multiplied together from the factors found. */
static struct number *factorise(struct number *number, uint64_t *check)
{
    struct number *found = small_number(1);
    for (uint32_t factor = 2; number->limbs > 1 || number->limb[0] != 1;) {
        struct division division = divide(number, factor);
        if (division.remainder->limbs == 0) {
            struct number *more = product(found, factor);
            free(found);
            free(number);
            found = more;
            number = division.quotient;
            *check += factor;
        } else {
            free(division.quotient);
            factor++;
        }
        free(division.remainder);
    }
    free(number);
    return found;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t digits = argument("digits", 40), rounds = scaled(argument("rounds", 20000));
    uint64_t check = 0, state = draw_seed(0);
    for (size_t round = 0; round < rounds; round++) {
        struct number *number = small_number(1);
        /* A factor has at most 3.6 digits. */
        for (size_t factors = 1 + draw_below(&state, digits * 10 / 36 + 1); factors != 0; factors--) {
            struct number *larger = product(number, 2 + (uint32_t)draw_below(&state, 4094));
            free(number);
            number = larger;
        }
        struct number *copy = product(number, 1), *found = factorise(number, &check);
        if (copy->limbs != found->limbs || memcmp(copy->limb, found->limb, copy->limbs * 4) != 0)
            fail("the factors are not those of the number");
        free(copy);
        free(found);
    }
    return finish(check);
}
