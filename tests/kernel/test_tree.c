// SPDX-License-Identifier: MIT
/*
 * A process and all that it starts: however many there are, each is looked at, or told to be
 * missing; and what they leave behind is known though nobody looked in time.
 */
#include <sys/wait.h>

#include "casebook.h"
#include "trace_rig.h"

#define CHILDREN 90
#define ENTRIES  16
#define BGID     3

struct family {
	int here[2], go[2]; /* pipes: a byte of each child, and then the end for all */
	pid_t pids[CHILDREN];
	unsigned int nr;
};

static struct observe *follow(uint32_t processes)
{
	const struct observe_trace trace = {.kinds = CASEBOOK_KINDS,
					    .is_tree = true,
					    .is_booked = true,
					    .processes = processes};

	return watch_myself(&trace);
}

/* What a child does: a ring with a group, which it keeps until it is told to end. */
static void keep_group(const struct family *family)
{
	static char buffers[ENTRIES][BUF_BYTES];
	struct io_uring_buf_reg reg = {.ring_entries = ENTRIES, .bgid = BGID};
	struct io_uring_buf_ring *bufs;
	struct io_uring ring;
	char byte = 0;

	bufs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.ring_addr = (uintptr_t)bufs;
	if (bufs == MAP_FAILED || io_uring_queue_init(4, &ring, 0) ||
	    io_uring_register_buf_ring(&ring, &reg, 0))
		_exit(1);
	for (unsigned short i = 0; i < ENTRIES; i++)
		io_uring_buf_ring_add(bufs, buffers[i], BUF_BYTES, i, ENTRIES - 1, i);
	io_uring_buf_ring_advance(bufs, ENTRIES);
	/* an event, so that there are books of it */
	io_uring_prep_read(io_uring_get_sqe(&ring), family->go[0], NULL, BUF_BYTES, 0);
	ring.sq.sqes[0].flags |= IOSQE_BUFFER_SELECT;
	ring.sq.sqes[0].buf_group = BGID;
	io_uring_submit(&ring);
	if (write(family->here[1], &byte, 1) != 1 || read(family->go[0], &byte, 1))
		_exit(1);
	usleep(100000);
	_exit(0);
}

static void start(struct family *family, unsigned int nr)
{
	char byte;

	memset(family, 0, sizeof(*family));
	assert_int_equal(pipe(family->here), 0);
	assert_int_equal(pipe(family->go), 0);
	for (; family->nr < nr; family->nr++) {
		family->pids[family->nr] = fork();
		assert_true(family->pids[family->nr] >= 0);
		if (family->pids[family->nr])
			continue;
		close(family->go[1]);
		keep_group(family);
	}
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(read(family->here[0], &byte, 1), 1);
}

static void stop(struct family *family)
{
	close(family->go[1]);
	for (unsigned int i = 0; i < family->nr; i++) {
		int status;

		assert_int_equal(waitpid(family->pids[i], &status, 0), family->pids[i]);
		assert_int_equal(status, 0);
	}
	close(family->go[0]);
	close(family->here[0]);
	close(family->here[1]);
}

static void all_of_many(void **state)
{
	struct observe *observe = follow(0);
	struct sample sample = {0};
	struct family family;

	(void)state;
	start(&family, CHILDREN);
	assert_int_equal(observe_sample(observe, &sample), 0);
	assert_int_equal(sample.nr_groups, CHILDREN);
	assert_int_equal(sample.losses[LOSS_PROCESSES], 0);
	stop(&family);
	assert_int_equal(observe_sample(observe, &sample), 0);
	assert_int_equal(sample.nr_groups, 0);
	sample_done(&sample);
	observe_close(observe);
}

static void too_many(void **state)
{
	struct observe *observe = follow(4);
	struct sample sample = {0};
	struct family family;

	(void)state;
	start(&family, 8);
	assert_int_equal(observe_sample(observe, &sample), 0);
	/* this process is one of the four */
	assert_int_equal(sample.nr_groups, 3);
	assert_int_equal(sample.losses[LOSS_PROCESSES], 5);
	stop(&family);
	/* who has ended makes room */
	start(&family, 3);
	assert_int_equal(observe_sample(observe, &sample), 0);
	assert_int_equal(sample.nr_groups, 3);
	stop(&family);
	sample_done(&sample);
	observe_close(observe);
}

/* All that is looked at is over. */
static void left_behind(void **state)
{
	struct observe *observe = follow(0);
	struct sample sample = {0};
	struct family family;
	struct book_view view;
	uint32_t nr = 0;

	(void)state;
	start(&family, 2);
	assert_int_equal(observe_sample(observe, &sample), 0);
	stop(&family);
	assert_int_equal(observe_books(observe, &view), 0);
	for (uint32_t i = 0; i < view.nr_sums; i++) {
		const struct book_sums *sums = &view.sums[i];

		if (!sums->ring_id)
			continue;
		nr++;
		assert_true(sums->over_ns > sums->first_ns);
		assert_true(sums->left == ENTRIES || sums->left == ENTRIES - 1);
		assert_int_equal(sums->missed, 0);
	}
	assert_int_equal(nr, 2);
	sample_done(&sample);
	observe_close(observe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_many),
		cmocka_unit_test(too_many),
		cmocka_unit_test(left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
