/* A process and an object in it, named in 64 bits that may lie in shared memory.
 *
 *     63        48 47                22 21             0
 *     serial       start of the process  process number
 *
 * Process numbers are used again; the time at which the process started (in ticks since the system's start,
 * as /proc/<number>/stat has it, its low 26 bits) tells a dead one from its successor.  The serial number
 * tells the objects of one process apart.  0 names nobody.  Serial MLOPT_PROCESS_LEFT says that the object
 * is gone while the process may go on. */
#ifndef MLOPT_LOCKFREE_PROCESS_H
#define MLOPT_LOCKFREE_PROCESS_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <fcntl.h>
#endif

#define MLOPT_PROCESS_NUMBER_BITS 22 /* the largest that Linux gives out: 2^22 */
#define MLOPT_PROCESS_START_BITS 26
#define MLOPT_PROCESS_LEFT 0xffff

static inline uint64_t mlopt_process_number(uint64_t token)
{
    return token & ((UINT64_C(1) << MLOPT_PROCESS_NUMBER_BITS) - 1);
}

static inline uint64_t mlopt_process_serial(uint64_t token)
{
    return token >> (MLOPT_PROCESS_NUMBER_BITS + MLOPT_PROCESS_START_BITS);
}

/* The same process, another object. */
static inline uint64_t mlopt_process_with_serial(uint64_t token, uint64_t serial)
{
    const int shift = MLOPT_PROCESS_NUMBER_BITS + MLOPT_PROCESS_START_BITS;
    return (token & ((UINT64_C(1) << shift) - 1)) | serial << shift;
}

/* 1 and the start of a process that runs; 0 where there is none, or what is left of it waits for its
 * parent to take notice (a zombie). */
static inline int mlopt_process_start(uint64_t number, uint64_t *start)
{
    *start = 0;
#ifdef __linux__
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)number);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        const ssize_t length = read(file, text, sizeof text - 1);
        close(file);
        if (length <= 0)
            return 0;
        text[length] = 0;
        const char *field = strrchr(text, ')'); /* field 2 is the name, in brackets, with whatever it contains */
        if (field == NULL || field[1] == 0 || strchr("ZXx", field[2]))
            return 0;
        for (int i = 3; i <= 22 && field != NULL; i++) /* 22: start time */
            field = strchr(field + 1, ' ');
        if (field != NULL)
            *start = strtoull(field, NULL, 10) & ((UINT64_C(1) << MLOPT_PROCESS_START_BITS) - 1);
        return 1;
    }
    if (errno == ENOENT && access("/proc/self/stat", R_OK) == 0)
        return 0;
#endif
    return kill((pid_t)number, 0) == 0 || errno == EPERM;
}

/* The calling process. */
static inline uint64_t mlopt_process_self(uint64_t serial)
{
    const uint64_t number = (uint64_t)getpid();
    uint64_t start;
    mlopt_process_start(number, &start);
    return mlopt_process_with_serial(number | start << MLOPT_PROCESS_NUMBER_BITS, serial);
}

/* Whether the process of a token still runs.  About 10 us, unless it is the calling one. */
static inline int mlopt_process_alive(uint64_t token)
{
    const uint64_t number = mlopt_process_number(token);
    uint64_t start;
    if (number == 0 || !mlopt_process_start(number, &start))
        return 0;
    return mlopt_process_with_serial(token, 0) == (number | start << MLOPT_PROCESS_NUMBER_BITS);
}

#endif
