/*
 * A small Lisp: reader, closures, symbol table, mark and sweep over blocks from
 * malloc. It runs a few programs and prints their values; every cell, name and
 * environment is a block of its own.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { NUMBER, SYMBOL, PAIR, PRIMITIVE, CLOSURE, NIL } Kind;
typedef struct Value Value;
typedef Value *(*Primitive)(Value *arguments);
struct Value {
    Kind kind;
    int marked;
    Value *next; /* all values, for the sweep */
    union {
        long number;
        struct { char *name; Value *value; } symbol;
        struct { Value *first, *rest; } pair;
        Primitive primitive;
        struct { Value *parameters, *body, *environment; } closure;
    } as;
};

static Value nil_value = {.kind = NIL};
static Value *const nil = &nil_value;
static Value *values, *symbols[257], *roots[1 << 16];
static size_t root_count, value_count, threshold = 20000, sweeps, freed;

static void mark(Value *value) {
    while (value && value->kind != NIL && !value->marked) {
        value->marked = 1;
        switch (value->kind) {
        case SYMBOL: value = value->as.symbol.value; break;
        case PAIR: mark(value->as.pair.first); value = value->as.pair.rest; break;
        case CLOSURE:
            mark(value->as.closure.parameters);
            mark(value->as.closure.body);
            value = value->as.closure.environment;
            break;
        default: return;
        }
    }
}

static void collect(void) {
    for (size_t i = 0; i < 257; i++)
        for (Value *list = symbols[i]; list != nil && list; list = list->as.pair.rest) mark(list);
    for (size_t i = 0; i < root_count; i++) mark(roots[i]);
    for (Value **link = &values; *link;) {
        Value *value = *link;
        if (value->marked) {
            value->marked = 0;
            link = &value->next;
        } else {
            *link = value->next;
            if (value->kind == SYMBOL) free(value->as.symbol.name);
            free(value);
            value_count--;
            freed++;
        }
    }
    threshold = value_count * 2 + 20000;
    sweeps++;
}

static Value *make(Kind kind) {
    Value *value = calloc(1, sizeof *value);
    if (!value) abort();
    value->kind = kind;
    value->next = values;
    values = value;
    value_count++;
    return value;
}
static Value *number(long n) { Value *v = make(NUMBER); v->as.number = n; return v; }
static Value *pair(Value *first, Value *rest) {
    Value *v = make(PAIR);
    v->as.pair.first = first;
    v->as.pair.rest = rest;
    return v;
}
#define FIRST(v) ((v)->as.pair.first)
#define REST(v) ((v)->as.pair.rest)

static Value *symbol(const char *name) {
    unsigned hash = 5381;
    for (const char *c = name; *c; c++) hash = hash * 33 + (unsigned char)*c;
    Value **bucket = &symbols[hash % 257];
    if (!*bucket) *bucket = nil;
    for (Value *list = *bucket; list != nil; list = REST(list))
        if (!strcmp(FIRST(list)->as.symbol.name, name)) return FIRST(list);
    Value *v = make(SYMBOL);
    v->as.symbol.name = strdup(name);
    *bucket = pair(v, *bucket);
    return v;
}

static Value *read_value(const char **text) {
    while (isspace((unsigned char)**text)) ++*text;
    if (**text == '(') {
        ++*text;
        Value *head = nil, **tail = &head;
        for (;;) {
            while (isspace((unsigned char)**text)) ++*text;
            if (**text == ')') { ++*text; return head; }
            *tail = pair(read_value(text), nil);
            tail = &REST(*tail);
        }
    }
    size_t length = strcspn(*text, " \n()");
    char *word = strndup(*text, length);
    *text += length;
    char *end;
    long n = strtol(word, &end, 10);
    Value *result = *end ? symbol(word) : number(n);
    free(word);
    return result;
}

static Value *evaluate(Value *form, Value *environment);

static Value *look_up(Value *name, Value *environment) {
    for (; environment != nil; environment = REST(environment))
        if (FIRST(FIRST(environment)) == name) return REST(FIRST(environment));
    if (!name->as.symbol.value) { printf("unbound: %s\n", name->as.symbol.name); exit(1); }
    return name->as.symbol.value;
}

static Value *keep(Value *value) { return roots[root_count++] = value; }

static Value *evaluate(Value *form, Value *environment) {
    size_t mark_roots = root_count;
    keep(form);
    keep(environment);
    for (;;) {
        if (form->kind == SYMBOL) { form = look_up(form, environment); break; }
        if (form->kind != PAIR) break;
        Value *head = FIRST(form);
        if (head == symbol("quote")) { form = FIRST(REST(form)); break; }
        if (head == symbol("if")) {
            Value *test = evaluate(FIRST(REST(form)), environment);
            Value *branches = REST(REST(form));
            form = keep(test != nil ? FIRST(branches) : FIRST(REST(branches)));
            continue;
        }
        if (head == symbol("define")) {
            FIRST(REST(form))->as.symbol.value = evaluate(FIRST(REST(REST(form))), environment);
            form = FIRST(REST(form));
            break;
        }
        if (head == symbol("lambda")) {
            Value *closure = make(CLOSURE);
            closure->as.closure.parameters = FIRST(REST(form));
            closure->as.closure.body = FIRST(REST(REST(form)));
            closure->as.closure.environment = environment;
            form = closure;
            break;
        }
        Value *function = keep(evaluate(head, environment));
        Value *arguments = nil, **tail = &arguments;
        size_t slot = root_count;
        keep(nil);
        for (Value *list = REST(form); list != nil; list = REST(list)) {
            *tail = pair(evaluate(FIRST(list), environment), nil);
            tail = &REST(*tail);
            roots[slot] = arguments;
        }
        if (function->kind == PRIMITIVE) { form = function->as.primitive(arguments); break; }
        environment = function->as.closure.environment;
        for (Value *name = function->as.closure.parameters; name != nil; name = REST(name)) {
            environment = keep(pair(pair(FIRST(name), FIRST(arguments)), environment));
            arguments = REST(arguments);
        }
        form = function->as.closure.body;
        if (root_count > (1 << 16) - 64) { puts("too deep"); exit(1); }
        /* a tail call: only the new form and environment stay rooted */
        root_count = mark_roots;
        keep(form);
        keep(environment);
        if (value_count > threshold) collect();
    }
    root_count = mark_roots;
    return form;
}

#define SECOND(v) FIRST(REST(v))
static Value *truth(int it) { return it ? number(1) : nil; }
static Value *add(Value *a) { return number(FIRST(a)->as.number + SECOND(a)->as.number); }
static Value *subtract(Value *a) { return number(FIRST(a)->as.number - SECOND(a)->as.number); }
static Value *multiply(Value *a) { return number(FIRST(a)->as.number * SECOND(a)->as.number); }
static Value *remainder_of(Value *a) { return number(FIRST(a)->as.number % SECOND(a)->as.number); }
static Value *less(Value *a) { return truth(FIRST(a)->as.number < SECOND(a)->as.number); }
static Value *equal(Value *a) { return truth(FIRST(a)->as.number == SECOND(a)->as.number); }
static Value *cons(Value *a) { return pair(FIRST(a), SECOND(a)); }
static Value *car(Value *a) { return FIRST(FIRST(a)); }
static Value *cdr(Value *a) { return REST(FIRST(a)); }
static Value *is_nil(Value *a) { return truth(FIRST(a) == nil); }

static void print(Value *value) {
    switch (value->kind) {
    case NUMBER: printf("%ld", value->as.number); break;
    case SYMBOL: printf("%s", value->as.symbol.name); break;
    case NIL: printf("()"); break;
    case PAIR:
        putchar('(');
        for (; value->kind == PAIR; value = REST(value)) {
            print(FIRST(value));
            if (REST(value) != nil) putchar(' ');
        }
        putchar(')');
        break;
    default: printf("#function");
    }
}

static const char program[] =
    "(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))"
    "(fib 21)"
    "(define range (lambda (from to) (if (= from to) (quote ()) (cons from (range (+ from 1) to)))))"
    "(define filter (lambda (keep? list) (if (nil? list) list (if (keep? (car list))"
    "  (cons (car list) (filter keep? (cdr list))) (filter keep? (cdr list))))))"
    "(define sieve (lambda (list) (if (nil? list) list (cons (car list)"
    "  (sieve (filter (lambda (n) (if (= (% n (car list)) 0) (quote ()) 1)) (cdr list)))))))"
    "(sieve (range 2 300))"
    "(define fold (lambda (f seed list) (if (nil? list) seed (fold f (f seed (car list)) (cdr list)))))"
    "(fold (lambda (a b) (% (+ (* a 31) b) 1000003)) 7 (range 0 2000))"
    "(define loop (lambda (n total) (if (= n 0) total (loop (- n 1) (% (+ total (* n n)) 1000003)))))"
    "(loop 100000 0)";

int main(void) {
    static const struct { const char *name; Primitive function; } primitives[] = {
        {"+", add}, {"-", subtract}, {"*", multiply}, {"%", remainder_of}, {"<", less},
        {"=", equal}, {"cons", cons}, {"car", car}, {"cdr", cdr}, {"nil?", is_nil}};
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++) {
        Value *function = make(PRIMITIVE);
        function->as.primitive = primitives[i].function;
        symbol(primitives[i].name)->as.symbol.value = function;
    }
    for (const char *text = program; *text;) {
        print(evaluate(read_value(&text), nil));
        putchar('\n');
    }
    printf("collected %s\n", sweeps > 3 && freed > 500000 ? "often" : "seldom");
    return 0;
}
