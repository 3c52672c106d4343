/* expect: module */
static __thread char large[4096];
static __thread int initialised = 7;

int touch_tls(void)
{
    large[4095]++;
    return initialised++ == 7 && large[4095] == 1;
}
