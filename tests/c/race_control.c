/* The negative control of `make test-tsan`: a message published without an ordering, which
 * ThreadSanitizer must report. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static int message;
static _Atomic int ready;

static void *publish(void *unused)
{
    (void)unused;
    message = 42;
    atomic_store_explicit(&ready, 1, memory_order_relaxed);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, publish, NULL))
        return 1;
    while (!atomic_load_explicit(&ready, memory_order_relaxed))
        ;
    printf("%d\n", message);
    pthread_join(thread, NULL);
    return 0;
}
