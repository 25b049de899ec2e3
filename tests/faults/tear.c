/* Faults at chosen file operations, preloaded into a process (LD_PRELOAD).
 *
 * Counts what changes files under one folder: open with O_CREAT or O_TRUNC, write, fsync, ftruncate, rename, unlink,
 * mkdir, rmdir. At the operation number `at` it strikes by `mode`. What to do lies in a small shared file (struct
 * control, written by tests/faults/tear.py), so that a process and its workers count together and the count is still
 * there when they were killed. TEAR_CONTROL names it; a forked process takes another with tear_use().
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum mode { COUNT, KILL, TEAR, FAIL, JUMP };
enum operation { OPEN, WRITE, SYNC, TRUNCATE, RENAME, UNLINK, MKDIR };

struct control {
    long counted;  /* operations so far */
    long at;       /* the operation that it strikes at, from 1; 0: never */
    long mode;
    long error;    /* FAIL: the errno, from then on */
    long group;    /* KILL, TEAR: the process group, or this process alone */
    long jump;     /* JUMP: seconds that the clock is off by, from then on */
    char folder[1024];
};

static struct control *control;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }
#define REAL(kind, name) \
    static kind real_##name; \
    if (!real_##name) real_##name = (kind)real(#name)

void tear_use(const char *file) {
    typedef int (*opener)(const char *, int, ...);
    control = NULL;
    if (!file || !*file) return;
    int fd = ((opener)real("open"))(file, O_RDWR);
    if (fd < 0) return;
    void *seen = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (seen != MAP_FAILED) control = seen;
}

__attribute__((constructor)) static void start(void) { tear_use(getenv("TEAR_CONTROL")); }

static int under(const char *path) {
    size_t length = strlen(control->folder);
    return length && !strncmp(path, control->folder, length) && (path[length] == '/' || !path[length]);
}

static int path_under(int dirfd, const char *path) {
    char whole[4096], link[64];
    if (!control || !path) return 0;
    if (*path == '/') return under(path);
    ssize_t length;
    if (dirfd == AT_FDCWD) {
        if (!getcwd(whole, sizeof whole - 1)) return 0;
        length = strlen(whole);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
        if ((length = readlink(link, whole, sizeof whole - 1)) < 0) return 0;
    }
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return under(whole);
}

static int fd_under(int fd) {
    char whole[4096], link[64];
    if (!control) return 0;
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    errno = kept;
    if (length < 0) return 0;
    whole[length] = 0;
    return under(whole);
}

static void die(void) {
    kill(control->group ? 0 : getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether a full or failing disk refuses the operation: a full one can still remove and shorten. */
static int refused(enum operation operation) {
    switch (control->error) {
    case EROFS: return 1;
    case EIO: return operation == WRITE || operation == SYNC;
    default: return operation == WRITE || operation == OPEN || operation == MKDIR;
    }
}

/* Count the operation. 0: go on; 1: fail with errno set; 2: do half of it, then die(). */
static int strike(enum operation operation) {
    long number = __sync_add_and_fetch(&control->counted, 1);
    if (!control->at || number < control->at) return 0;
    if (control->mode == KILL && number == control->at) die();
    if (control->mode == TEAR && number == control->at) return 2;
    if (control->mode == FAIL && refused(operation)) {
        errno = (int)control->error;
        return 1;
    }
    return 0;
}

/* An operation that cannot be halved is done whole before the process dies. */
#define WHOLE(inside, operation, call) \
    int struck = (inside) ? strike(operation) : 0; \
    if (struck == 1) return -1; \
    int result = (call); \
    if (struck == 2) die(); \
    return result

#define OPENS(flags) ((flags) & (O_CREAT | O_TRUNC) || (control && control->error == EROFS && ((flags) & O_ACCMODE) != O_RDONLY))
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

#define OPEN_AS(name) \
    int name(const char *path, int flags, ...) { \
        typedef int (*kind)(const char *, int, ...); \
        REAL(kind, name); \
        MODE(flags) \
        WHOLE(OPENS(flags) && path_under(AT_FDCWD, path), OPEN, real_##name(path, flags, mode)); \
    }
OPEN_AS(open)
OPEN_AS(open64)

#define OPENAT_AS(name) \
    int name(int dirfd, const char *path, int flags, ...) { \
        typedef int (*kind)(int, const char *, int, ...); \
        REAL(kind, name); \
        MODE(flags) \
        WHOLE(OPENS(flags) && path_under(dirfd, path), OPEN, real_##name(dirfd, path, flags, mode)); \
    }
OPENAT_AS(openat)
OPENAT_AS(openat64)

ssize_t write(int fd, const void *from, size_t count) {
    typedef ssize_t (*kind)(int, const void *, size_t);
    REAL(kind, write);
    int struck = fd_under(fd) ? strike(WRITE) : 0;
    if (struck == 1) return -1;
    ssize_t result = real_write(fd, from, struck == 2 ? count / 2 : count);
    if (struck == 2) die();
    return result;
}

ssize_t writev(int fd, const struct iovec *from, int count) {
    typedef ssize_t (*kind)(int, const struct iovec *, int);
    REAL(kind, writev);
    int struck = fd_under(fd) ? strike(WRITE) : 0;
    if (struck == 1) return -1;
    ssize_t result = real_writev(fd, from, struck == 2 ? (count + 1) / 2 : count);
    if (struck == 2) die();
    return result;
}

#define PWRITE_AS(name, offset_kind) \
    ssize_t name(int fd, const void *from, size_t count, offset_kind offset) { \
        typedef ssize_t (*kind)(int, const void *, size_t, offset_kind); \
        REAL(kind, name); \
        int struck = fd_under(fd) ? strike(WRITE) : 0; \
        if (struck == 1) return -1; \
        ssize_t result = real_##name(fd, from, struck == 2 ? count / 2 : count, offset); \
        if (struck == 2) die(); \
        return result; \
    }
PWRITE_AS(pwrite, off_t)
PWRITE_AS(pwrite64, off64_t)

#define SENDFILE_AS(name, offset_kind) \
    ssize_t name(int to, int from, offset_kind *offset, size_t count) { \
        typedef ssize_t (*kind)(int, int, offset_kind *, size_t); \
        REAL(kind, name); \
        int struck = fd_under(to) ? strike(WRITE) : 0; \
        if (struck == 1) return -1; \
        struct stat about; \
        if (struck == 2 && !fstat(from, &about)) count = about.st_size / 2; \
        ssize_t result = real_##name(to, from, offset, count); \
        if (struck == 2) die(); \
        return result; \
    }
SENDFILE_AS(sendfile, off_t)
SENDFILE_AS(sendfile64, off64_t)

#define ON_FD(name, operation) \
    int name(int fd) { \
        typedef int (*kind)(int); \
        REAL(kind, name); \
        WHOLE(fd_under(fd), operation, real_##name(fd)); \
    }
ON_FD(fsync, SYNC)
ON_FD(fdatasync, SYNC)

#define FTRUNCATE_AS(name, offset_kind) \
    int name(int fd, offset_kind length) { \
        typedef int (*kind)(int, offset_kind); \
        REAL(kind, name); \
        WHOLE(fd_under(fd), TRUNCATE, real_##name(fd, length)); \
    }
FTRUNCATE_AS(ftruncate, off_t)
FTRUNCATE_AS(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    typedef int (*kind)(const char *, const char *);
    REAL(kind, rename);
    WHOLE(path_under(AT_FDCWD, to), RENAME, real_rename(from, to));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    typedef int (*kind)(int, const char *, int, const char *);
    REAL(kind, renameat);
    WHOLE(path_under(to_dir, to), RENAME, real_renameat(from_dir, from, to_dir, to));
}

#define ON_PATH(name, operation) \
    int name(const char *path) { \
        typedef int (*kind)(const char *); \
        REAL(kind, name); \
        WHOLE(path_under(AT_FDCWD, path), operation, real_##name(path)); \
    }
ON_PATH(unlink, UNLINK)
ON_PATH(rmdir, UNLINK)

int unlinkat(int dirfd, const char *path, int flags) {
    typedef int (*kind)(int, const char *, int);
    REAL(kind, unlinkat);
    WHOLE(path_under(dirfd, path), UNLINK, real_unlinkat(dirfd, path, flags));
}

int mkdir(const char *path, mode_t mode) {
    typedef int (*kind)(const char *, mode_t);
    REAL(kind, mkdir);
    WHOLE(path_under(AT_FDCWD, path), MKDIR, real_mkdir(path, mode));
}

static time_t off(void) {
    return control && control->mode == JUMP && control->counted >= control->at ? control->jump : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    typedef int (*kind)(clockid_t, struct timespec *);
    REAL(kind, clock_gettime);
    int result = real_clock_gettime(clock, now);
    if (!result && clock == CLOCK_REALTIME) now->tv_sec += off();
    return result;
}

time_t time(time_t *kept) {
    typedef time_t (*kind)(time_t *);
    REAL(kind, time);
    time_t now = real_time(NULL) + off();
    if (kept) *kept = now;
    return now;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    typedef int (*kind)(struct timeval *, void *);
    REAL(kind, gettimeofday);
    int result = real_gettimeofday(now, zone);
    if (!result) now->tv_sec += off();
    return result;
}
