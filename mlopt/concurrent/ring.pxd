# The C side of queues, declared for Cython.
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "lockfree/process.h" nogil:
    enum:
        MLOPT_PROCESS_LEFT
    uint64_t mlopt_process_self(uint64_t serial)
    uint64_t mlopt_process_number(uint64_t token)
    int mlopt_process_alive(uint64_t token)


cdef extern from "lockfree/futex.h" nogil:
    int mlopt_fence_register()


cdef extern from "lockfree/queue.h" nogil:
    enum:
        MLOPT_RING_APART
        MLOPT_RING_READY
        MLOPT_RING_NOT_YET
        MLOPT_RING_CLOSED
        MLOPT_RING_DIED
        MLOPT_RING_DAMAGED
        MLOPT_RING_NO_MORE
        MLOPT_RING_NO_READER
        MLOPT_RING_SLICE
    uint64_t MLOPT_RING_MAGIC
    ctypedef struct mlopt_ring_shared:
        uint64_t magic, creator, producer, consumer, published, released
        unsigned char description[1]
    ctypedef struct mlopt_ring_producer "typeof(((mlopt_ring *)0)->producer)":
        uint64_t position, slot, seen, reserved
        int claimed
    ctypedef struct mlopt_ring_consumer "typeof(((mlopt_ring *)0)->consumer)":
        uint64_t position, slot, released, seen
        int claimed
    ctypedef struct mlopt_ring:
        mlopt_ring_shared *shared
        unsigned char *records
        uint64_t record_bytes, stride, capacity, slots, self
        int registered
        mlopt_ring_producer producer
        mlopt_ring_consumer consumer

    void *mlopt_ring_aligned(void *)
    uint64_t mlopt_ring_bytes(uint64_t record_bytes, uint64_t capacity, uint64_t description_bytes, int overwrites,
                              uint64_t *offset)
    void mlopt_ring_create(mlopt_ring_shared *, uint64_t record_bytes, uint64_t capacity, const void *description,
                           uint64_t description_bytes, int overwrites, uint64_t creator)
    int mlopt_ring_attach(mlopt_ring *, mlopt_ring_shared *, uint64_t bytes, uint64_t self, uint64_t *description_bytes)

    int mlopt_queue_claim_producer(mlopt_ring *)
    int mlopt_queue_claim_consumer(mlopt_ring *)
    void mlopt_ring_leave(mlopt_ring *)
    void mlopt_ring_close(mlopt_ring *, uint32_t bits)
    uint32_t mlopt_ring_closed(const mlopt_ring *)
    uint64_t mlopt_ring_published(const mlopt_ring *)
    uint64_t mlopt_ring_released(const mlopt_ring *)
    uint64_t mlopt_ring_holder(const mlopt_ring *, int producer)

    unsigned char *mlopt_ring_slot(const mlopt_ring *, uint64_t slot)
    void *mlopt_queue_try_reserve(mlopt_ring *)
    uint64_t mlopt_queue_try_reserve_many(mlopt_ring *, uint64_t count, void **first)
    void mlopt_queue_publish(mlopt_ring *, uint64_t count)
    void *mlopt_queue_try_acquire(mlopt_ring *)
    uint64_t mlopt_queue_try_acquire_many(mlopt_ring *, uint64_t count, void **first)
    void mlopt_queue_release(mlopt_ring *, uint64_t count)
    int mlopt_queue_await_space(mlopt_ring *, int64_t nanoseconds)
    int mlopt_queue_await_records(mlopt_ring *, int64_t nanoseconds)

    int mlopt_queue_overwrites(const mlopt_ring *)
    uint64_t mlopt_queue_dropped(mlopt_ring *)
    int mlopt_queue_damaged(const mlopt_ring *)

    int mlopt_ring_is_leftover(mlopt_ring_shared *)
