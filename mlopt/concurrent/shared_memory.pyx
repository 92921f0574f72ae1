"""Memory of queues: blocks of the slab pool, and named segments of POSIX shared memory.

A segment is the file ``mlopt-<name>`` of the system's shared memory (``/dev/shm`` on Linux), of mode 0600.  It ends
with the object that made it.  Where the process died before that, it stays behind until somebody makes one of
this name, or :func:`clean_up` finds it.
"""
import errno
import fcntl
import os
import re
import stat
import time

from libc.errno cimport errno as c_errno
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap, shm_open, shm_unlink

from mlopt.concurrent.ring cimport (
    MLOPT_RING_APART,
    MLOPT_RING_MAGIC,
    mlopt_ring_aligned,
    mlopt_ring_is_leftover,
    mlopt_ring_shared,
)
from mlopt.memory.pool cimport new_block

PREFIX = "mlopt-"
FOLDER = "/dev/shm"  # where Linux shows them; other systems have no list
UNFINISHED_SECONDS = 5.0  # the age from which a segment without contents is nobody's work in progress
NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")


cdef class Memory:
    """Memory that holds a ring, unmapped or given back when the last array over it is gone."""

    def __init__(self):
        raise TypeError("memory of queues is made by SPSCQueue")

    def __dealloc__(self):
        if self.is_mapped:
            munmap(self.address, self.nbytes)

    cdef int unlink(self) except -1:
        """Take the name away, once, in the process that made it, and only from what it made."""
        if self.creator is None or self.creator != os.getpid():
            return 0
        self.creator = None
        try:
            remove(self.name, self.identity)
        except FileNotFoundError:
            pass
        return 0


cdef Memory private_memory(size_t nbytes):
    cdef Memory memory = Memory.__new__(Memory)
    memory.block = new_block(nbytes + MLOPT_RING_APART, True)
    memory.address = mlopt_ring_aligned(memory.block.data)
    memory.nbytes = nbytes
    return memory


def path_of(name):
    """The system's name of a segment; ValueError where there can be no such name."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not NAME.fullmatch(name):
        raise ValueError(f"name must be 1 to 200 letters, digits, '_', '-' and '.', not {name!r}")
    return f"/{PREFIX}{name}"


def open_file(name, int flags):
    """A descriptor of a segment; OSError where that fails."""
    path = os.fsencode(path_of(name))
    # a segment is no symbolic link, whoever put one there; macOS knows no such flag
    cdef int file = shm_open(path, flags | (os.O_NOFOLLOW if os.path.isdir(FOLDER) else 0), 0o600)
    if file < 0:
        if c_errno == errno.EEXIST:
            raise FileExistsError(errno.EEXIST, "a queue of this name exists", name)
        if c_errno == errno.ENOENT:
            raise FileNotFoundError(errno.ENOENT, "no queue of this name", name)
        raise OSError(c_errno, f"shm_open: {os.strerror(c_errno)}", name)
    return file


def remove(name, identity):
    """Unlink a name if it stands for the segment of that identity."""
    path = os.fsencode(path_of(name))
    file = open_file(name, os.O_RDONLY)
    try:
        if identity_of(os.fstat(file)) == identity:
            shm_unlink(path)
    finally:
        os.close(file)


def identity_of(status):
    return status.st_dev, status.st_ino


cdef Memory mapped(str name, int file, size_t nbytes, status):
    cdef Memory memory = Memory.__new__(Memory)
    cdef void *address = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    if address == MAP_FAILED:
        raise OSError(c_errno, f"mmap of {nbytes} bytes: {os.strerror(c_errno)}", name)
    memory.address = address
    memory.nbytes = nbytes
    memory.is_mapped = True
    memory.name = name
    memory.identity = identity_of(status)
    return memory


cdef Memory create_segment(str name, size_t nbytes):
    """A new segment, zeroed; FileExistsError where one is in use under that name."""
    cdef Memory memory
    while True:
        try:
            file = open_file(name, os.O_CREAT | os.O_EXCL | os.O_RDWR)
            break
        except FileExistsError:
            if not remove_leftover(name):
                raise
    try:
        status = os.fstat(file)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, nbytes)  # a page that the system has not would kill who touches it
            else:
                os.ftruncate(file, nbytes)
            memory = mapped(name, file, nbytes, status)
        except OSError as error:
            remove(name, identity_of(status))
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                raise MemoryError(f"no shared memory for {nbytes} bytes") from error
            raise
    finally:
        os.close(file)
    memory.creator = os.getpid()
    return memory


cdef Memory open_segment(str name):
    """An existing segment, checked to be ours alone; None while whoever makes it has not given it a size."""
    file = open_file(name, os.O_RDWR)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) and stat.S_IFMT(status.st_mode):
            raise PermissionError(errno.EPERM, "not a segment of shared memory", name)
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"the queue belongs to user {status.st_uid}, not {os.geteuid()}", name)
        if stat.S_IMODE(status.st_mode) != 0o600:
            raise PermissionError(
                errno.EPERM, f"the queue's mode is {stat.S_IMODE(status.st_mode):#o}, not 0o600", name)
        if status.st_size < <Py_ssize_t>sizeof(mlopt_ring_shared):
            return None
        return mapped(name, file, status.st_size, status)
    finally:
        os.close(file)


def remove_leftover(name):
    """Unlink a segment that no living process uses; whether the name is free now."""
    cdef Memory memory
    cdef mlopt_ring_shared *shared
    try:
        file = open_file(name, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        status = os.fstat(file)
        if status.st_uid != os.geteuid():
            return False
        try:
            # of two that find the same leftover, the second would unlink what the first made in its place
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # not every system locks segments
        unfinished = True
        if status.st_size >= <Py_ssize_t>sizeof(mlopt_ring_shared):
            memory = mapped(name, file, status.st_size, status)
            shared = <mlopt_ring_shared *>memory.address
            unfinished = shared.magic == 0
            # of another kind, or another version of this one: not ours to judge
            if not unfinished and (shared.magic != MLOPT_RING_MAGIC or not mlopt_ring_is_leftover(shared)):
                return False
        if unfinished and time.time() - status.st_mtime < UNFINISHED_SECONDS:
            return False
        try:
            remove(name, identity_of(status))
        except FileNotFoundError:
            pass
        return True
    finally:
        os.close(file)


def clean_up():
    """Unlink all segments that no living process uses; their names."""
    try:
        files = os.listdir(FOLDER)
    except OSError:
        return []
    names = sorted(file.removeprefix(PREFIX) for file in files if file.startswith(PREFIX))
    return [name for name in names if NAME.fullmatch(name) and remove_leftover(name)]


__all__ = ["Memory", "clean_up"]
