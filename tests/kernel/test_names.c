// SPDX-License-Identifier: MIT
/*
 * Does an observer see the name of every pool of a program, those of before it began too, and what
 * does it make of a roster that lies?
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bufscope.h"
#include "names.h"
#include "observe.h"
#include "pool_rig.h"
#include "pool_roster.h"

static struct observe *open_for(uint32_t tgid)
{
	struct observe_opts opts = {.tgids = &tgid, .nr_tgids = 1, .bgid = -1};
	struct observe_err err = {0};
	struct observe *o = observe_open(&opts, &err);

	if (!o)
		fail_msg("%s", err.what);
	return o;
}

static const struct ring_rec *ring_at(const struct sample *sample, int fd)
{
	for (size_t i = 0; i < sample->nr_rings; i++)
		if (sample->rings[i].fd == fd)
			return &sample->rings[i];
	fail_msg("no ring with fd %d", fd);
	return NULL;
}

/* What the group is called; NULL: nothing. */
static const char *name_of(const struct sample *sample, int fd, uint32_t bgid)
{
	const struct ring_rec *ring = ring_at(sample, fd);

	for (size_t i = 0; i < sample->nr_groups; i++)
		if (sample->groups[i].ring_id == ring->ring_id && sample->groups[i].bgid == bgid)
			return names_text(sample->groups[i].name);
	fail_msg("no group %u", bgid);
	return NULL;
}

static struct bs_pool *open_pool(struct io_uring *ring, enum bs_pool_kind kind, uint16_t bgid,
				 const char *name)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = kind,
				    .buffers = 8,
				    .buf_bytes = 64,
				    .bgid = bgid,
				    .name = name};
	struct bs_pool *pool = bs_pool_open(ring, &opts);

	if (!pool)
		fail_msg("cannot open a pool: %s", strerror(errno));
	return pool;
}

static struct io_uring *make_ring(void)
{
	struct io_uring *ring = calloc(1, sizeof(*ring));

	assert_non_null(ring);
	assert_int_equal(io_uring_queue_init(8, ring, 0), 0);
	return ring;
}

static void drop_ring(struct io_uring *ring)
{
	io_uring_queue_exit(ring);
	free(ring);
}

/* ---- names that are true */

static void test_kinds(void **state)
{
	static const struct {
		enum bs_pool_kind kind;
		const char *name, *needs;
	} kinds[] = {
		{BS_POOL_RING, "exactly thirty-one bytes of it.", NULL},
		{BS_POOL_MMAP, "in \x1b[31mkernel memory", "pbuf_ring.mmap"},
		{BS_POOL_INC, "piecewise", "pbuf_ring.inc"},
		{BS_POOL_LEGACY, "l", NULL},
		{BS_POOL_RING, NULL, NULL},
		{BS_POOL_RING, "", NULL},
	};
	struct io_uring *ring = make_ring();
	struct bs_pool *pools[6] = {0}, *fixed;
	struct sample sample = {0};
	struct observe *o;

	(void)state;
	for (uint16_t i = 0; i < 6; i++)
		if (!kinds[i].needs || caps_can(kinds[i].needs))
			pools[i] = open_pool(ring, kinds[i].kind, i, kinds[i].name);
	fixed = open_pool(ring, BS_POOL_FIXED, 0, "fixed ones");
	o = open_for((uint32_t)getpid());
	assert_int_equal(observe_sample(o, &sample), 0);
	assert_string_equal(name_of(&sample, ring->ring_fd, 0), "exactly thirty-one bytes of it.");
	for (uint16_t i = 0; i < 4; i++)
		if (pools[i])
			assert_string_equal(name_of(&sample, ring->ring_fd, i), kinds[i].name);
	assert_null(name_of(&sample, ring->ring_fd, 4));
	assert_null(name_of(&sample, ring->ring_fd, 5));
	assert_string_equal(names_text(ring_at(&sample, ring->ring_fd)->table_name), "fixed ones");
	for (int i = 0; i < 6; i++)
		if (pools[i])
			assert_int_equal(bs_pool_close(pools[i]), 0);
	bs_pool_close(fixed);
	observe_close(o);
	sample_done(&sample);
	drop_ring(ring);
}

static void test_too_long(void **state)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = BS_POOL_LOCAL,
				    .buffers = 1,
				    .buf_bytes = 64,
				    .name = "32 bytes, which is one too many."};

	(void)state;
	assert_int_equal(strlen(opts.name), BS_NAME_BYTES);
	assert_null(bs_pool_open(NULL, &opts));
	assert_int_equal(errno, EINVAL);
}

/* One observer, all the time. */
static void test_changes(void **state)
{
	struct io_uring *ring = make_ring(), *other = make_ring();
	struct bs_pool *pool = open_pool(ring, BS_POOL_RING, 7, NULL), *second;
	struct sample sample = {0};
	struct observe *o = open_for((uint32_t)getpid());

	(void)state;
	assert_int_equal(observe_sample(o, &sample), 0);
	assert_null(name_of(&sample, ring->ring_fd, 7));
	bs_pool_close(pool);
	pool = open_pool(ring, BS_POOL_RING, 7, "new");
	second = open_pool(other, BS_POOL_RING, 7, "another ring's");
	assert_int_equal(observe_sample(o, &sample), 0);
	assert_string_equal(name_of(&sample, ring->ring_fd, 7), "new");
	assert_string_equal(name_of(&sample, other->ring_fd, 7), "another ring's");
	bs_pool_close(second);
	for (int i = 0; i < 200; i++) { /* headers come round */
		bs_pool_close(pool);
		pool = open_pool(ring, BS_POOL_RING, 7, i % 2 ? "odd" : "even");
		if (i % 20)
			continue;
		assert_int_equal(observe_sample(o, &sample), 0);
		assert_string_equal(name_of(&sample, ring->ring_fd, 7), "even");
	}
	bs_pool_close(pool);
	pool = open_pool(ring, BS_POOL_RING, 7, NULL);
	assert_int_equal(observe_sample(o, &sample), 0);
	assert_null(name_of(&sample, ring->ring_fd, 7));
	bs_pool_close(pool);
	observe_close(o);
	sample_done(&sample);
	drop_ring(ring);
	drop_ring(other);
}

/* The program calls its ring by a descriptor that is not the first of it. */
static void test_second_descriptor(void **state)
{
	int low = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct io_uring *ring = make_ring();
	struct bs_pool *pool = open_pool(ring, BS_POOL_RING, 3, "by another");
	struct sample sample = {0};
	struct observe *o;

	(void)state;
	assert_true(low >= 0 && low < ring->ring_fd);
	assert_int_equal(dup2(ring->ring_fd, low), low);
	o = open_for((uint32_t)getpid());
	assert_int_equal(observe_sample(o, &sample), 0);
	assert_string_equal(name_of(&sample, low, 3), "by another");
	observe_close(o);
	sample_done(&sample);
	close(low);
	bs_pool_close(pool);
	drop_ring(ring);
}

/* ---- other processes */

/* A child that says by a byte when it is ready, and stays. */
static pid_t start(void (*child)(void))
{
	int pipes[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child();
		if (write(pipes[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void child_opens(void)
{
	open_pool(make_ring(), BS_POOL_RING, 9, "the child's");
}

/* It has the parent's headers, and nothing of its roster. */
static void test_fork(void **state)
{
	struct io_uring *ring = make_ring();
	struct bs_pool *pool = open_pool(ring, BS_POOL_RING, 1, "the parent's");
	struct sample sample = {0};
	pid_t pid = start(child_opens);
	struct observe *o = open_for((uint32_t)pid);
	size_t named = 0;

	(void)state;
	assert_int_equal(observe_sample(o, &sample), 0);
	for (size_t i = 0; i < sample.nr_groups; i++) {
		const char *name = names_text(sample.groups[i].name);

		assert_true(!name || !strcmp(name, "the child's"));
		assert_int_equal(name != NULL, sample.groups[i].bgid == 9);
		named += name != NULL;
	}
	assert_int_equal(named, 1);
	end(pid);
	observe_close(o);
	sample_done(&sample);
	bs_pool_close(pool);
	drop_ring(ring);
}

/* ---- a roster that lies */

static uint32_t lie_nr;
static size_t lie_bytes;

static void child_lies(void)
{
	struct io_uring *ring = make_ring();
	int fd = memfd_create(ROSTER_FILE, MFD_CLOEXEC);
	struct roster_head *head;
	struct roster_entry *entries;
	size_t i, nr = (lie_bytes - sizeof(*head)) / sizeof(*entries);

	open_pool(ring, BS_POOL_RING, 0, NULL);
	open_pool(ring, BS_POOL_RING, 1, NULL);
	if (fd < 0 || ftruncate(fd, (off_t)lie_bytes))
		_exit(1);
	head = mmap(NULL, lie_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (head == MAP_FAILED)
		_exit(1);
	entries = (struct roster_entry *)(head + 1);
	*head = (struct roster_head){.magic = ROSTER_MAGIC, .nr = lie_nr};
	for (i = 0; i < nr; i++) {
		entries[i] = (struct roster_entry){
			.serial = 1, .again = 1 + i % 2, .ring_fd = ring->ring_fd, .bgid = i % 2};
		memset(entries[i].name, 'x', BS_NAME_BYTES);
	}
}

static void look_at_lies(uint32_t nr, size_t bytes, size_t named)
{
	struct sample sample = {0};
	struct observe *o;
	size_t seen = 0;
	pid_t pid;

	lie_nr = nr;
	lie_bytes = bytes;
	pid = start(child_lies);
	o = open_for((uint32_t)pid);
	assert_int_equal(observe_sample(o, &sample), 0);
	assert_int_equal(sample.nr_groups, 2);
	for (size_t i = 0; i < sample.nr_groups; i++) {
		const char *name = names_text(sample.groups[i].name);

		if (name)
			assert_int_equal(strlen(name), BS_NAME_BYTES); /* without its end */
		seen += name != NULL;
	}
	assert_int_equal(seen, named);
	end(pid);
	observe_close(o);
	sample_done(&sample);
}

static void test_lies(void **state)
{
	(void)state;
	look_at_lies(2, 4096, 1);              /* the second one is torn */
	look_at_lies(63, 4096, 1);             /* all call the same group */
	look_at_lies(ROSTER_ENTRIES, 4096, 0); /* more than there are */
	look_at_lies(UINT32_MAX, 4096, 0);
	look_at_lies(0, 4096, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),   cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_changes), cmocka_unit_test(test_second_descriptor),
		cmocka_unit_test(test_fork),    cmocka_unit_test(test_lies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
