// SPDX-License-Identifier: MIT
/* Are returns told as they happen, by the thread that does them? */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <semaphore.h>

#include "cmd.h"
#include "trace_rig.h"
#include "trace_watch.h"

struct returner {
	struct io_uring_buf_ring *br;
	uint16_t bid; /* of the first */
	pid_t tid;
};

static void *return_ten(void *context)
{
	struct returner *returner = context;

	returner->tid = gettid();
	for (uint16_t i = 0; i < 10; i++)
		put(returner->br, 64, returner->bid + i);
	return NULL;
}

/* A stage whose ring of 64 is watched, or a skip. */
static struct stage *watched_stage(struct io_uring_buf_ring **br, uint64_t address, uint16_t flags)
{
	static struct stage stage;
	const struct observe_trace trace = {.kinds = ALL_KINDS, .is_watched = true};
	struct bs_buf_reg reg = {.ring_entries = 64, .bgid = 6, .flags = flags};
	struct observe_watch watch = {.bgid = 6, .tgid = (uint32_t)getpid()};
	int nr;

	raise_stage(&stage, &trace);
	*br = new_memory();
	if (!flags)
		reg.ring_addr = (uintptr_t)*br;
	nr = control(&stage, IORING_REGISTER_PBUF_RING, &reg);
	if (!nr && flags)
		*br = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, stage.ring.ring_fd,
			   (off_t)(BS_OFF_PBUF_RING | 6ULL << BS_OFF_PBUF_RING_SHIFT));
	read_on(&stage);
	if (!nr) {
		watch.ring_id = event(&stage, 0, TRACE_REGISTER)->ring_id;
		watch.address = address ? (uintptr_t)*br : 0;
		nr = observe_watch(stage.observe, &watch);
	}
	if (nr > 0)
		return &stage;
	strike(&stage);
	/* no such kind of ring, no breakpoints, where they are refused, or where they do not fire
	 */
	if (nr != -EINVAL && nr != -ENODEV && nr != -EOPNOTSUPP && nr != -ENODATA)
		fail_msg("watching: %s", strerror(-nr));
	needs(nr != -ENODATA, "breakpoints that fire");
	needs(0, "this kind of ring, or breakpoints");
	return NULL;
}

static void expect_exact(struct stage *stage, unsigned int *i, const struct returner *returner)
{
	read_on(stage);
	for (uint16_t k = 0; k < 10; k++, (*i)++) {
		const struct trace_rec *rec = event(stage, *i, *i == 1 ? TRACE_FILL : TRACE_RETURN);

		assert_int_equal(rec->bid, returner->bid + k);
		assert_int_equal(rec->nr, 1);
		assert_int_equal(rec->tid, returner->tid);
		assert_int_equal(rec->available, *i);
		assert_true(rec->flags & TRACE_EXACT);
		assert_true(rec->at_ns > stage->events[*i - 1].at_ns);
	}
}

static void watch(bool with_address, uint16_t flags)
{
	struct returner returner = {.bid = 100};
	struct stage *stage;
	unsigned int i = 1;
	pthread_t thread;

	stage = watched_stage(&returner.br, with_address, flags);
	return_ten(&returner);
	expect_exact(stage, &i, &returner);
	/* a thread that was not there yet */
	returner.bid = 200;
	assert_int_equal(pthread_create(&thread, NULL, return_ten, &returner), 0);
	pthread_join(thread, NULL);
	expect_exact(stage, &i, &returner);
	assert_int_not_equal(returner.tid, gettid());
	assert_int_equal(observe_watch(stage->observe, NULL), 0);
	return_ten(&returner);
	read_on(stage);
	assert_int_equal(stage->nr, i);
	strike(stage);
}

static void watch_address(void **state)
{
	(void)state;
	watch(true, 0);
}

static void watch_found(void **state)
{
	(void)state;
	watch(false, 0);
}

static void watch_mapped(void **state)
{
	(void)state;
	watch(false, IOU_PBUF_RING_MMAP);
}

/* ---- threads, and what else has breakpoints */

struct worker {
	struct returner returner;
	pthread_t thread;
	sem_t go;
};

static void *return_when_told(void *context)
{
	struct worker *worker = context;

	while (sem_wait(&worker->go))
		;
	return return_ten(&worker->returner);
}

/* Threads that were there before, one of them after the other. */
static void watch_threads(void **state)
{
	struct worker workers[3] = {0};
	struct stage *stage;
	unsigned int i = 1;

	(void)state;
	for (int w = 0; w < 3; w++) {
		sem_init(&workers[w].go, 0, 0);
		assert_int_equal(
			pthread_create(&workers[w].thread, NULL, return_when_told, &workers[w]), 0);
	}
	stage = watched_stage(&workers[0].returner.br, 0, 0);
	for (int w = 0; w < 3; w++) {
		workers[w].returner.br = workers[0].returner.br;
		workers[w].returner.bid = (uint16_t)(w * 100);
		sem_post(&workers[w].go);
		pthread_join(workers[w].thread, NULL);
		expect_exact(stage, &i, &workers[w].returner);
	}
	strike(stage);
}

/* A thread has four: one of ours more is refused, and those of other threads are given up. */
static void no_breakpoint_left(void **state)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_BREAKPOINT,
				       .size = sizeof(attr),
				       .bp_type = HW_BREAKPOINT_W,
				       .bp_len = HW_BREAKPOINT_LEN_8,
				       .exclude_kernel = 1};
	struct returner returner = {.bid = 100};
	struct stage *stage = watched_stage(&returner.br, 1, 0);
	struct observe_watch watch = {.ring_id = stage->events[0].ring_id,
				      .bgid = 6,
				      .tgid = (uint32_t)getpid(),
				      .address = (uintptr_t)returner.br};
	static uint64_t others[4];
	unsigned int i = 1;
	int fds[4];

	(void)state;
	assert_int_equal(observe_watch(stage->observe, NULL), 0);
	for (int k = 0; k < 4; k++) {
		attr.bp_addr = (uintptr_t)&others[k];
		fds[k] = (int)syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);
		assert_true(fds[k] >= 0);
	}
	assert_int_equal(observe_watch(stage->observe, &watch), -ENOSPC);
	close(fds[3]);
	assert_int_equal(observe_watch(stage->observe, &watch), 1);
	return_ten(&returner);
	expect_exact(stage, &i, &returner);
	for (int k = 0; k < 3; k++)
		close(fds[k]);
	strike(stage);
}

/* ---- the group that a user names */

static void sample_now(struct stage *stage, struct trace_watch *watch)
{
	struct sample sample = {0};

	assert_int_equal(observe_sample(stage->observe, &sample), 0);
	assert_int_equal(trace_watch_begin(watch, stage->observe, &sample), EXIT_OK);
	sample_done(&sample);
}

/* What `trace` does with each event. */
static unsigned int note_all(struct stage *stage, struct trace_watch *watch)
{
	unsigned int from = read_on(stage);

	for (unsigned int i = from; i < stage->nr; i++) {
		const struct trace_event told = {.rec = &stage->events[i]};

		trace_watch_note(watch, stage->observe, &told);
	}
	return from;
}

/* Registered, taken away and registered elsewhere while it is watched. */
static void comes_and_goes(void **state)
{
	struct returner returner = {.bid = 100};
	struct stage *stage = watched_stage(&returner.br, 1, 0);
	struct bs_buf_reg reg = {.bgid = 6};
	struct trace_watch watch = {0};
	unsigned int from;
	char name[64];

	(void)state;
	assert_int_equal(observe_watch(stage->observe, NULL), 0);
	snprintf(name, sizeof(name), "%d/%d:6", (int)getpid(), stage->ring.ring_fd);
	assert_int_equal(trace_watch_parse(&watch, name), 0);
	sample_now(stage, &watch);
	assert_true(watch.is_set);
	assert_int_equal(control(stage, IORING_UNREGISTER_PBUF_RING, &reg), 0);
	note_all(stage, &watch);
	assert_false(watch.is_set);
	assert_false(trace_watch_is_due(&watch));
	returner.br = new_group(stage, 6, 64);
	note_all(stage, &watch);
	assert_true(watch.is_set);
	return_ten(&returner);
	from = note_all(stage, &watch);
	assert_int_equal(stage->nr - from, 10);
	for (unsigned int i = from; i < stage->nr; i++) {
		assert_true(stage->events[i].flags & TRACE_EXACT);
		assert_int_equal(stage->events[i].nr, 1);
		assert_int_equal(stage->events[i].tid, gettid());
	}
	strike(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watch_address),      cmocka_unit_test(watch_found),
		cmocka_unit_test(watch_mapped),       cmocka_unit_test(watch_threads),
		cmocka_unit_test(no_breakpoint_left), cmocka_unit_test(comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
