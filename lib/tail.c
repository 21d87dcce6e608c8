// SPDX-License-Identifier: MIT
/* Where does a process store the tail of a ring, and how is each of these stores noticed? */
#include "tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uapi.h"

/* ---- from a page to an address */

#define FRAME_MASK ((UINT64_C(1) << 55) - 1) /* of an entry of /proc/PID/pagemap */
#define IS_PRESENT (UINT64_C(1) << 63)
#define CHUNK      4096U
#define MAX_PAGES  (UINT64_C(1) << 28) /* of a mapping: larger ones are reservations */

static int open_map(uint32_t tgid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s", tgid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The frame of memory that is behind an address of ours; 0: not told. */
static uint64_t own_frame(const void *address)
{
	uint64_t page = (uintptr_t)address / (uint64_t)sysconf(_SC_PAGESIZE);
	int pagemap = open_map((uint32_t)getpid(), "pagemap");
	uint64_t entry = 0;

	if (pagemap < 0)
		return 0;
	if (pread(pagemap, &entry, sizeof(entry), (off_t)(page * sizeof(entry))) != sizeof(entry))
		entry = 0;
	close(pagemap);
	return entry & IS_PRESENT ? entry & FRAME_MASK : 0;
}

/* Where the frame is mapped between two addresses; 0: nowhere. */
static uint64_t search_mapping(int pagemap, uint64_t frame, uint64_t from, uint64_t to)
{
	static uint64_t entries[CHUNK];
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t page = from / page_bytes, end = to / page_bytes;

	if (end - page > MAX_PAGES)
		return 0;
	while (page < end) {
		size_t want = end - page < CHUNK ? end - page : CHUNK;
		ssize_t n = pread(pagemap, entries, want * sizeof(*entries),
				  (off_t)(page * sizeof(*entries)));
		size_t got = n > 0 ? (size_t)n / sizeof(*entries) : 0;

		for (size_t i = 0; i < got; i++)
			if (entries[i] & IS_PRESENT && (entries[i] & FRAME_MASK) == frame)
				return (page + i) * page_bytes;
		if (got == 0)
			return 0;
		page += got;
	}
	return 0;
}

/* In all writable mappings. 0 or -errno. */
static int search_process(uint32_t tgid, uint64_t frame, uint64_t *address)
{
	char line[512], access[8];
	int pagemap = open_map(tgid, "pagemap"), fd = open_map(tgid, "maps");
	FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
	uint64_t from, to;

	*address = 0;
	while (pagemap >= 0 && maps && !*address && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, access) == 3 &&
		    access[1] == 'w')
			*address = search_mapping(pagemap, frame, from, to);
	}
	if (maps)
		fclose(maps);
	if (pagemap >= 0)
		close(pagemap);
	if (pagemap < 0 || fd < 0)
		return pagemap < 0 ? pagemap : fd;
	return *address ? 0 : -ENOENT;
}

/* A ring whose frame we can look up ourselves: how far is its page's name from its frame? */
static int ask_own(tail_ask_fn *ask, void *context, struct ring_page *own, uint64_t *frame)
{
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct bs_buf_reg reg = {.ring_addr = (uintptr_t)memory, .ring_entries = 1};
	struct io_uring ring;
	int err;

	if (memory == MAP_FAILED)
		return -ENOMEM;
	err = io_uring_queue_init(1, &ring, 0);
	if (!err) {
		own->fd = ring.ring_fd;
		err = syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg,
			      1)
			      ? -errno
			      : ask(context, own);
		*frame = own_frame(memory);
		io_uring_queue_exit(&ring);
	}
	munmap(memory, bytes);
	return err;
}

static int find_frame(const struct observe_watch *watch, tail_ask_fn *ask, void *context,
		      uint64_t *frame)
{
	struct ring_page wanted = {.ring_id = watch->ring_id, .bgid = watch->bgid}, own = {0};
	int err = ask_own(ask, context, &own, frame);

	err = err ? err : ask(context, &wanted);
	if (err)
		return err;
	if (*frame == 0)
		return -EPERM;
	if (!own.page || !wanted.page || !wanted.page_size)
		return -ENOENT;
	*frame += (uint64_t)((int64_t)(wanted.page - own.page) / (int64_t)wanted.page_size);
	return 0;
}

int tail_locate(const struct observe_watch *watch, tail_ask_fn *ask, void *context,
		uint64_t *address)
{
	uint64_t frame;
	int err = find_frame(watch, ask, context, &frame);

	return err ? err : search_process(watch->tgid, frame, address);
}

/* ---- breakpoints */

struct thread {
	uint32_t tid;
	int fd;
};

struct tail_watch {
	struct thread *threads;
	size_t nr;
};

static bool has_thread(const struct tail_watch *watch, uint32_t tid)
{
	for (size_t i = 0; i < watch->nr; i++)
		if (watch->threads[i].tid == tid)
			return true;
	return false;
}

/* Stores by a thread (0: this one) and those that it starts; processes do not inherit it. */
static int open_stores(uint32_t tid, uint64_t address, bool is_enabled)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = address,
		.bp_len = HW_BREAKPOINT_LEN_2,
		.sample_period = 1,
		.inherit = 1,
		.inherit_thread = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.disabled = !is_enabled,
	};
	int fd =
		(int)syscall(__NR_perf_event_open, &attr, (pid_t)tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * Some hypervisors let a guest set breakpoints that never fire: a store of our own shows it. Where
 * this thread can set none, nothing is known, and the watch itself will tell.
 */
static int expect_fires(void)
{
	volatile uint16_t own = 0;
	uint64_t hits = 0;
	int fd = open_stores(0, (uintptr_t)&own, true);
	ssize_t got;

	if (fd < 0)
		return 0;
	own = 1;
	got = read(fd, &hits, sizeof(hits));
	close(fd);
	return got != sizeof(hits) || hits ? 0 : -ENODATA;
}

static int open_breakpoint(uint32_t tid, uint64_t address, int program)
{
	int fd = open_stores(tid, address, false);
	int err;

	if (fd < 0)
		return fd;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0 &&
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* A thread that has ended meanwhile is no failure. */
static int add_thread(struct tail_watch *watch, uint32_t tid, uint64_t address, int program)
{
	struct thread *threads = realloc(watch->threads, (watch->nr + 1) * sizeof(*threads));
	int fd;

	if (!threads)
		return -ENOMEM;
	watch->threads = threads;
	fd = open_breakpoint(tid, address, program);
	if (fd < 0)
		return fd == -ESRCH ? 0 : fd;
	watch->threads[watch->nr++] = (struct thread){.tid = tid, .fd = fd};
	return 0;
}

/* One pass over the threads; how many were new, or -errno. */
static int add_threads(struct tail_watch *watch, uint32_t tgid, uint64_t address, int program)
{
	char path[64];
	struct dirent *entry;
	size_t before = watch->nr;
	int err = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task", tgid);
	tasks = opendir(path);
	if (!tasks)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!err && (entry = readdir(tasks))) {
		uint32_t tid = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (tid && !has_thread(watch, tid))
			err = add_thread(watch, tid, address, program);
	}
	closedir(tasks);
	return err ? err : (int)(watch->nr - before);
}

struct tail_watch *tail_watch(uint32_t tgid, uint64_t address, int program)
{
	struct tail_watch *watch = calloc(1, sizeof(*watch));
	uint64_t tail = address + offsetof(struct io_uring_buf_ring, tail);
	int more = expect_fires();

	if (!watch)
		return NULL;
	/* one that starts during a pass may have been started by one not yet watched */
	if (!more) {
		do {
			more = add_threads(watch, tgid, tail, program);
		} while (more > 0);
	}
	if (more == 0 && watch->nr)
		return watch;
	tail_release(watch);
	errno = more ? -more : ESRCH;
	return NULL;
}

size_t tail_watch_threads(const struct tail_watch *watch)
{
	return watch->nr;
}

void tail_release(struct tail_watch *watch)
{
	if (!watch)
		return;
	for (size_t i = 0; i < watch->nr; i++)
		close(watch->threads[i].fd);
	free(watch->threads);
	free(watch);
}
