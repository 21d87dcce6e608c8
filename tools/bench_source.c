// SPDX-License-Identifier: MIT
/* What is there to read: a file, a connection with messages, a tree of files. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench_job.h"

#define TREE_DIRS  8u
#define TREE_FILES 16u /* in each */

/* ---- files */

static const char *directory(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/var/tmp";
}

static int fill_file(int fd)
{
	static const unsigned char part[1u << 20] __attribute__((aligned(4096)));

	for (uint32_t at = 0; at < BENCH_FILE_BYTES; at += sizeof(part)) {
		if (pwrite(fd, part, sizeof(part), at) != (ssize_t)sizeof(part))
			return errno ? -errno : -EIO;
	}
	return 0;
}

/*
 * A file of memory alone cannot be asked without waiting: io_uring gives each read of it to a
 * worker, which costs more than all else. It serves only where there is no other one.
 */
static int open_file(struct bench_job *j)
{
	bool is_direct = j->work->source == BENCH_DIRECT;
	int flags = O_TMPFILE | O_RDWR | O_CLOEXEC | (is_direct ? O_DIRECT : 0);

	j->fd = open(directory(), flags, 0600);
	if (j->fd < 0 && !is_direct)
		j->fd = (int)syscall(SYS_memfd_create, "bench", 0);
	return j->fd < 0 ? -errno : fill_file(j->fd);
}

/* ---- connections */

static int open_pair(struct bench_job *j)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	j->fd = fds[0];
	j->in = fds[1];
	return 0;
}

static int open_pipe(struct bench_job *j)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	j->fd = fds[0];
	j->in = fds[1];
	return 0;
}

static int connect_tcp(struct bench_job *j, int listener)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	int one = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		return -errno;
	j->in = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (j->in < 0 || connect(j->in, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	setsockopt(j->in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	j->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return j->fd < 0 ? -errno : 0;
}

static int open_tcp(struct bench_job *j)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = listener < 0 ? -errno : connect_tcp(j, listener);

	if (listener >= 0)
		close(listener);
	return err;
}

/* What waits to be read afterwards; a short write would stop the loop, so it is an error. */
int bench_source_fill(struct bench_job *j)
{
	static const char data[4096];
	ssize_t bytes = (ssize_t)j->work->bytes;

	for (uint32_t i = 0; i < j->work->depth; i++) {
		if (write(j->in, data, j->work->bytes) != bytes)
			return -EIO;
	}
	return 0;
}

/* ---- a tree */

static void tree_path(char *path, size_t size, const char *top, const struct bench_slot *at)
{
	snprintf(path, size, "%s/%u/%u", top, at->dir, at->file);
}

/* 1 byte ... 200 KiB, small ones more often; no multiple of a chunk. */
static uint32_t tree_bytes(uint32_t i)
{
	uint32_t bytes = i * 7919u % 200000u;

	return 1 + (i % 4 ? bytes % 9973 : bytes) / 4096 * 4096;
}

static int write_tree_file(int dir, uint32_t i)
{
	struct bench_slot at = {.dir = (uint16_t)(i / TREE_FILES),
				.file = (uint16_t)(i % TREE_FILES)};
	char path[64];
	uint32_t left = tree_bytes(i);
	static const char data[4096] = "tree";
	int fd;

	tree_path(path, sizeof(path), "from", &at);
	fd = openat(dir, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (left) {
		uint32_t bytes = left < sizeof(data) ? left : (uint32_t)sizeof(data);

		if (write(fd, data, bytes) != (ssize_t)bytes)
			break;
		left -= bytes;
	}
	close(fd);
	return left ? -EIO : 0;
}

static int make_dirs(int dir, const char *top)
{
	char path[64];

	if (mkdirat(dir, top, 0700))
		return -errno;
	for (uint32_t i = 0; i < TREE_DIRS; i++) {
		snprintf(path, sizeof(path), "%s/%u", top, i);
		if (mkdirat(dir, path, 0700))
			return -errno;
	}
	return 0;
}

static int open_tree(struct bench_job *j)
{
	char path[4096];
	int err;

	if ((size_t)snprintf(path, sizeof(path), "%s/bufscope.XXXXXX", directory()) >= sizeof(path))
		return -ENAMETOOLONG;
	if (!mkdtemp(path))
		return -errno;
	j->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	j->tree = strdup(path);
	if (j->dir < 0 || !j->tree)
		return -ENOMEM;
	err = make_dirs(j->dir, "from");
	if (!err)
		err = make_dirs(j->dir, "to");
	for (uint32_t i = 0; i < TREE_DIRS * TREE_FILES && !err; i++)
		err = write_tree_file(j->dir, i);
	return err;
}

static void remove_top(int dir, const char *top)
{
	char path[64];

	for (uint32_t i = 0; i < TREE_DIRS * TREE_FILES; i++) {
		snprintf(path, sizeof(path), "%s/%u/%u", top, i / TREE_FILES, i % TREE_FILES);
		unlinkat(dir, path, 0);
	}
	for (uint32_t i = 0; i < TREE_DIRS; i++) {
		snprintf(path, sizeof(path), "%s/%u", top, i);
		unlinkat(dir, path, AT_REMOVEDIR);
	}
	unlinkat(dir, top, AT_REMOVEDIR);
}

static void close_tree(struct bench_job *j)
{
	if (j->dir >= 0) {
		remove_top(j->dir, "from");
		remove_top(j->dir, "to");
		close(j->dir);
	}
	if (j->tree)
		rmdir(j->tree);
	free(j->tree);
}

static void close_slot(struct bench_slot *slot)
{
	if (slot->op.fd >= 0)
		close(slot->op.fd);
	if (slot->to >= 0)
		close(slot->to);
	slot->op.fd = slot->to = -1;
}

static int next_file(struct bench_job *j, struct bench_slot *slot)
{
	uint32_t i = j->next_file++ % (TREE_DIRS * TREE_FILES);
	char path[64];

	close_slot(slot);
	slot->dir = (uint16_t)(i / TREE_FILES);
	slot->file = (uint16_t)(i % TREE_FILES);
	slot->op.offset = 0;
	tree_path(path, sizeof(path), "from", slot);
	slot->op.fd = openat(j->dir, path, O_RDONLY | O_CLOEXEC);
	tree_path(path, sizeof(path), "to", slot);
	slot->to = openat(j->dir, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return slot->op.fd < 0 || slot->to < 0 ? -errno : 0;
}

/* ---- all */

int bench_source_open(struct bench_job *j)
{
	switch (j->work->source) {
	case BENCH_FILE:
	case BENCH_DIRECT:
		return open_file(j);
	case BENCH_SOCKET:
		return open_pair(j);
	case BENCH_TCP:
		return open_tcp(j);
	case BENCH_PIPE:
		return open_pipe(j);
	case BENCH_TREE:
		return open_tree(j);
	case BENCH_NOTHING:
	case BENCH_IDLE:
		break;
	}
	return 0;
}

int bench_source_next(struct bench_job *j, struct bench_slot *slot)
{
	if (j->work->source == BENCH_TREE) {
		/* The end of a file is known by a chunk that is not full. */
		if (slot->op.fd >= 0 && slot->chunk.len == j->work->bytes) {
			slot->op.offset += slot->chunk.len;
			return 0;
		}
		return next_file(j, slot);
	}
	slot->op.fd = j->fd;
	slot->op.offset = 0;
	if (j->work->source == BENCH_FILE || j->work->source == BENCH_DIRECT) {
		slot->op.offset = j->next;
		j->next = (j->next + j->work->bytes) % BENCH_FILE_BYTES;
	} else if (j->work->source == BENCH_PIPE) {
		slot->op.offset = UINT64_MAX;
	}
	return 0;
}

void bench_source_close(struct bench_job *j)
{
	bool has_own = j->work->source == BENCH_TREE || j->work->source == BENCH_IDLE;

	for (uint32_t i = 0; has_own && j->slots && i < j->nr_slots; i++)
		close_slot(&j->slots[i]);
	if (j->work->source == BENCH_TREE)
		close_tree(j);
	if (j->fd >= 0)
		close(j->fd);
	if (j->in >= 0)
		close(j->in);
}
