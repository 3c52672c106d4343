/* A client of redis-server on `port`: sets `keys` keys to values of 100 to 1124 bytes, then reads and
   writes, half and half, `requests` of them, the key of rank r with a chance of about 1/r, 16 at a
   time. In the middle it orders a snapshot (BGSAVE), and waits for its end after all requests. Every
   value read is compared with what was written last. At its end it ends the server. `request` is the wall time of one, `load` of the
   keys. */
#include "heap.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { PIPELINE = 16, LEAST = 100, SPAN = 1024, MOST_KEYS = 1 << 22 };

static int server;
static char answers[1 << 16];
static size_t answer_at, answer_end;
static uint32_t versions[MOST_KEYS];

static void send_all(const char *bytes, size_t length)
{
    while (length) {
        ssize_t sent = write(server, bytes, length);
        if (sent <= 0)
            fail("the server does not listen any more");
        bytes += sent;
        length -= (size_t)sent;
    }
}

static char answer_byte(void)
{
    if (answer_at == answer_end) {
        ssize_t length = read(server, answers, sizeof answers);
        if (length <= 0)
            fail("the server does not answer any more");
        answer_at = 0;
        answer_end = (size_t)length;
    }
    return answers[answer_at++];
}

static void answer_line(char *line, size_t size)
{
    size_t length = 0;
    for (char byte; (byte = answer_byte()) != '\n';)
        if (byte != '\r' && length + 1 < size)
            line[length++] = byte;
    line[length] = '\0';
}

/* The value of a key: as compressible as its texts, and its own in each version. */
static size_t value_of(size_t key, uint32_t version, char *value)
{
    static const char *const words[8] = {"customer", "2026-01-01T00:", "{\"id\":", "\"name\":\"",
                                         "delivered ", "street ", ",\"total\":", "null,"};
    uint64_t drawn = mixed((uint64_t)key << 24 | version);
    size_t size = LEAST + mixed(key) % SPAN;
    size_t length = (size_t)snprintf(value, 64, "%zu.%u.", key, version);
    while (length < size) {
        drawn = mixed(drawn + length);
        length += (size_t)snprintf(value + length, 32, "%s%04x", words[drawn % 8], (unsigned)(drawn >> 48));
    }
    return size;
}

static size_t put_set(char *out, size_t key)
{
    char value[LEAST + SPAN + 64], name[32];
    size_t size = value_of(key, versions[key], value);
    int digits = snprintf(name, sizeof name, "key:%zu", key);
    size_t length = (size_t)sprintf(out, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%zu\r\n", digits, name, size);
    memcpy(out + length, value, size);
    memcpy(out + length + size, "\r\n", 2);
    return length + size + 2;
}

static size_t put_get(char *out, size_t key)
{
    char name[32];
    int digits = snprintf(name, sizeof name, "key:%zu", key);
    return (size_t)sprintf(out, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", digits, name);
}

static void expect_ok(void)
{
    char line[128];
    answer_line(line, sizeof line);
    if (line[0] != '+')
        fail(line);
}

static void expect_value(size_t key, uint32_t version)
{
    char line[128], value[LEAST + SPAN + 64];
    answer_line(line, sizeof line);
    size_t size = value_of(key, version, value);
    if (line[0] != '$' || strtoull(line + 1, NULL, 10) != size)
        fail("a value of another size");
    for (size_t i = 0; i < size; i++)
        if (answer_byte() != value[i])
            fail("another value");
    answer_line(line, sizeof line);
}

static void command(const char *words, const char *begins)
{
    char line[128];
    send_all(words, strlen(words));
    answer_line(line, sizeof line);
    if (strncmp(line, begins, strlen(begins)) != 0)
        fail(line);
}

/* Whether a snapshot is being written. */
static int is_saving(void)
{
    static const char order[] = "INFO persistence\r\n", field[] = "rdb_bgsave_in_progress:1";
    char line[256];
    send_all(order, sizeof order - 1);
    answer_line(line, sizeof line);
    int saving = 0;
    for (size_t left = strtoull(line + 1, NULL, 10), length; left > 0; left -= length) {
        answer_line(line, sizeof line);
        length = strlen(line) + 2;
        saving |= strcmp(line, field) == 0;
        if (length > left)
            fail("INFO");
    }
    answer_line(line, sizeof line);
    return saving;
}

/* A server that starts may take a while. */
static int connected(const struct sockaddr_in *address)
{
    for (int tries = 0; tries < 1500; tries++) {
        int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection >= 0 && connect(connection, (const struct sockaddr *)address, sizeof *address) == 0)
            return connection;
        close(connection);
        usleep(20000);
    }
    fail("no server");
    return -1;
}

static size_t draw_key(uint64_t *state, size_t keys)
{
    /* The inverse of the logarithm that the sum of 1/r is near. */
    double part = (double)(draw(state) >> 11) * 0x1p-53;
    size_t rank = (size_t)__builtin_exp2(part * __builtin_log2((double)keys));
    return (rank - 1) * 1000003 % keys;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t keys = argument("keys", 1000000), requests = scaled(argument("requests", 1000000));
    uint64_t state = draw_seed(argument("seed", 0)), check = 0;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)argument("port", 6379)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int at_once = 1;
    if (keys > MOST_KEYS || keys % 1000003 == 0)
        fail("keys");
    server = connected(&address);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);

    static char out[PIPELINE * (LEAST + SPAN + 128)];
    uint64_t begin = now_ns();
    for (size_t key = 0; key < keys;) {
        size_t length = 0, count = 0;
        for (; count < PIPELINE && key < keys; count++)
            length += put_set(out + length, key++);
        send_all(out, length);
        while (count--)
            expect_ok();
    }
    uint64_t loaded = now_ns();
    for (size_t done = 0; done < requests; done += PIPELINE) {
        /* A version, one higher, of what is read; 0: it was set. */
        size_t drawn[PIPELINE], length = 0;
        uint32_t read_version[PIPELINE];
        if (done / PIPELINE == requests / PIPELINE / 2)
            command("BGSAVE\r\n", "+Background saving");
        for (size_t i = 0; i < PIPELINE; i++) {
            size_t key = drawn[i] = draw_key(&state, keys);
            if (draw(&state) >> 63) {
                versions[key]++;
                read_version[i] = 0;
                length += put_set(out + length, key);
            } else {
                read_version[i] = versions[key] + 1;
                length += put_get(out + length, key);
            }
        }
        send_all(out, length);
        for (size_t i = 0; i < PIPELINE; i++) {
            if (read_version[i])
                expect_value(drawn[i], read_version[i] - 1);
            else
                expect_ok();
        }
    }
    uint64_t end = now_ns();
    metric("load", (double)(loaded - begin) / 1e9, "s");
    metric("request", (double)(end - loaded) / (double)requests / 1e3, "us");
    while (is_saving())
        usleep(20000);
    send_all("SHUTDOWN NOSAVE\r\n", 17);
    for (size_t key = 0; key < keys; key++)
        check = mixed(check ^ versions[key]);
    return finish(check);
}
