// SPDX-License-Identifier: MIT
/* Which works and which ways there are, and what a run of one over the other opens and closes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench_job.h"

const struct bench_case bench_cases[] = {
	{"file.4K.qd1", BENCH_FILE, 4096, 1, 1},
	{"file.4K.qd32", BENCH_FILE, 4096, 32, 1},
	{"file.4K.qd128", BENCH_FILE, 4096, 128, 1},
	{"file.4K.qd32.t2", BENCH_FILE, 4096, 32, 2},
	{"file.64K.qd32", BENCH_FILE, 65536, 32, 1},
	{"file.1M.qd4", BENCH_FILE, 1u << 20, 4, 1},
	{"direct.4K.qd32", BENCH_DIRECT, 4096, 32, 1},
	{"direct.64K.qd8", BENCH_DIRECT, 65536, 8, 1},
	{"socket.64", BENCH_SOCKET, 64, 64, 1},
	{"socket.4K", BENCH_SOCKET, 4096, 16, 1},
	{"socket.4K.t2", BENCH_SOCKET, 4096, 16, 2},
	{"tcp.4K", BENCH_TCP, 4096, 16, 1},
	{"pipe.4K", BENCH_PIPE, 4096, 16, 1},
	{"tree.64K", BENCH_TREE, 65536, 8, 1},
	{"acquire", BENCH_NOTHING, 4096, 1, 1},
	{"acquire.t2", BENCH_NOTHING, 4096, 1, 2},
	{"idle", BENCH_IDLE, 4096, 64, 1},
};
const size_t bench_nr_cases = sizeof(bench_cases) / sizeof(bench_cases[0]);

const struct bench_strategy bench_strategies[] = {
	{"hand-plain", -1, HAND_PLAIN},
	{"hand-heap", -1, HAND_HEAP},
	{"heap", BS_POOL_HEAP, HAND_HEAP},
	{"hand-global", -1, HAND_GLOBAL},
	{"global", BS_POOL_GLOBAL, HAND_GLOBAL},
	{"hand-local", -1, HAND_LOCAL},
	{"local", BS_POOL_LOCAL, HAND_LOCAL},
	{"hand-fixed", -1, HAND_FIXED},
	{"fixed", BS_POOL_FIXED, HAND_FIXED},
	{"hand-ring", -1, HAND_RING},
	{"ring", BS_POOL_RING, HAND_RING},
	{"hand-mmap", -1, HAND_MMAP},
	{"mmap", BS_POOL_MMAP, HAND_MMAP},
	{"inc", BS_POOL_INC, HAND_NONE},
	{"hand-legacy", -1, HAND_LEGACY},
	{"legacy", BS_POOL_LEGACY, HAND_LEGACY},
	{"hand-read", -1, HAND_READ},
	{"fallback", BS_POOL_FALLBACK, HAND_READ},
};
const size_t bench_nr_strategies = sizeof(bench_strategies) / sizeof(bench_strategies[0]);

static bool kernel_picks(const struct bench_strategy *s)
{
	return bench_hand_picks(s->hand) || s->kind == BS_POOL_INC;
}

static bool is_ringless(const struct bench_strategy *s)
{
	return s->kind < 0 ? s->hand == HAND_READ : s->kind == BS_POOL_FALLBACK;
}

bool bench_stays_armed(const struct bench_strategy *s)
{
	return kernel_picks(s) || is_ringless(s);
}

const char *bench_why_not(const struct bench_strategy *s, const struct bench_case *work)
{
	switch (work->source) {
	case BENCH_NOTHING:
		if (kernel_picks(s) || is_ringless(s))
			return "acquires nothing: completions bring buffers";
		return NULL;
	case BENCH_SOCKET:
	case BENCH_TCP:
	case BENCH_IDLE:
		return s->hand == HAND_FIXED ? "there is no fixed receive" : NULL;
	default:
		if (s->kind == BS_POOL_INC)
			return "for sockets: reads move it by what they ask";
		return NULL;
	}
}

/* ---- before and after */

static int open_ring(struct bench_job *j)
{
	unsigned int flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	int err;

	if (is_ringless(j->strategy) ||
	    (j->work->source == BENCH_NOTHING && j->strategy->hand != HAND_FIXED))
		return 0;
	err = io_uring_queue_init(2 * BENCH_MAX_DEPTH, &j->ring, flags);
	j->is_deferred = !err;
	if (err == -EINVAL) /* before 6.1 */
		err = io_uring_queue_init(2 * BENCH_MAX_DEPTH, &j->ring, 0);
	j->has_ring = !err;
	return err;
}

static struct bs_pool *open_pool(const struct bench_shared *s, struct io_uring *ring)
{
	const struct bench_case *work = s->work;
	bool is_idle = work->source == BENCH_IDLE;
	uint32_t sharers = s->strategy->kind == BS_POOL_GLOBAL ? work->threads : 1;
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = (enum bs_pool_kind)s->strategy->kind,
				    .buffers = 2 * work->depth * sharers,
				    .buf_bytes = work->bytes};

	/* An operation that waits has a buffer, unless the kernel picks, or nobody does before. */
	if (is_idle && !bench_stays_armed(s->strategy))
		opts.buffers = s->ops;
	return bs_pool_open(ring, &opts);
}

static int open_job(struct bench_job *j, struct bench_shared *shared, uint32_t slots)
{
	int err;

	j->shared = shared;
	j->work = shared->work;
	j->strategy = shared->strategy;
	j->nr_slots = slots;
	j->fd = j->in = j->dir = -1;
	j->slots = aligned_alloc(_Alignof(struct bench_slot), slots * sizeof(*j->slots));
	j->samples = calloc(BENCH_SAMPLES, sizeof(*j->samples));
	if (!j->slots || !j->samples)
		return -ENOMEM;
	memset(j->slots, 0, slots * sizeof(*j->slots));
	for (uint32_t i = 0; i < slots; i++)
		j->slots[i].op.fd = j->slots[i].to = -1;
	err = open_ring(j);
	if (!err)
		err = bench_source_open(j);
	return err;
}

static int open_buffers(struct bench_job *j)
{
	if (j->strategy->kind < 0)
		return bench_hand_open(j);
	j->pool = j->shared->pool ? j->shared->pool
				  : open_pool(j->shared, j->has_ring ? &j->ring : NULL);
	for (uint32_t i = 0; i < j->nr_slots; i++) {
		j->slots[i].op.ring = j->has_ring ? &j->ring : NULL;
		j->slots[i].op.flags = bench_is_multishot(j) ? BS_OP_MULTISHOT : 0;
	}
	return j->pool ? 0 : -errno;
}

static void read_stats(struct bench_job *j)
{
	if (j->pool && !bs_pool_read_stats(j->pool, &j->stats))
		j->allocated = j->stats.allocated;
}

static int next_completion(struct bench_job *j, struct io_uring_cqe *cqe)
{
	struct io_uring_cqe *seen;
	int err;

	if (!j->has_ring)
		return bs_pool_next(j->pool, cqe, -1);
	err = io_uring_submit_and_wait(&j->ring, 1);
	if (err < 0)
		return err;
	err = io_uring_peek_cqe(&j->ring, &seen);
	if (err)
		return err;
	cqe->user_data = seen->user_data;
	cqe->res = seen->res;
	cqe->flags = seen->flags;
	io_uring_cqe_seen(&j->ring, seen);
	return 1;
}

/* Ends what this thread has in flight on the pool; others may have more. */
static void cancel_ops(struct bench_job *j)
{
	struct io_uring_cqe cqe;
	struct bs_buf buf;

	for (uint32_t i = 0; i < j->nr_slots; i++) {
		struct bs_op *op = &j->slots[i].op;

		if (op->armed)
			bs_op_cancel(op);
		while (op->armed && next_completion(j, &cqe) == 1) {
			struct bs_op *ended = io_uring_cqe_get_data(&cqe);

			if (ended && !(cqe.user_data & BENCH_WRITTEN) &&
			    bs_op_done(ended, &cqe, &buf, 1) == 1)
				bs_pool_give(j->pool, &buf, 1);
		}
	}
}

static void close_job(struct bench_job *j)
{
	if (j->pool) {
		cancel_ops(j);
		if (!j->shared->pool)
			bs_pool_close(j->pool);
	}
	if (j->has_ring)
		io_uring_queue_exit(&j->ring);
	if (j->strategy->kind < 0 && j->slots)
		bench_hand_close(j);
	bench_source_close(j);
	free(j->slots);
	free(j->samples);
	j->slots = NULL;
	j->samples = NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void read_latency(struct bench_job *j, struct bench_result *result)
{
	uint32_t nr = j->nr_samples < BENCH_SAMPLES ? j->nr_samples : BENCH_SAMPLES;
	uint32_t median = nr ? (nr - 1) / 2 : 0, late = nr ? (nr - 1) * 99 / 100 : 0;

	if (!nr)
		return;
	qsort(j->samples, nr, sizeof(*j->samples), compare);
	result->p50_ns = (double)j->samples[median];
	result->p99_ns = (double)j->samples[late];
}

/* ---- threads */

struct worker {
	struct bench_shared *shared;
	struct bench_result *result; /* NULL: the first thread tells of memory for both */
	struct bench_job *job;
	int err;
};

struct memory {
	uint64_t resident, pinned;
};

static struct memory read_memory(void)
{
	struct memory memory;

	bench_read_memory(&memory.resident, &memory.pinned);
	return memory;
}

static void note_memory(struct bench_result *result, const struct memory *before)
{
	struct memory now = read_memory();

	if (now.resident > before->resident)
		result->resident += now.resident - before->resident;
	if (now.pinned > before->pinned)
		result->pinned += now.pinned - before->pinned;
}

static int work_on(struct worker *w)
{
	struct bench_job *j = w->job;
	struct memory before = read_memory();
	int err = open_buffers(j);

	if (err && j->work->threads > 1) /* the other one waits */
		pthread_barrier_wait(&w->shared->start);
	if (!err)
		err = j->work->source == BENCH_IDLE ? bench_idle(j) : bench_job_measure(j);
	read_stats(j);
	if (err || !w->result)
		return err;
	note_memory(w->result, &before);
	w->result->allocated += j->allocated;
	w->result->buffers = j->stats.buffers;
	w->result->peak = j->stats.peak;
	w->result->starved = j->stats.starved;
	read_latency(j, w->result);
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	const struct bench_case *what = w->shared->work;
	uint32_t slots = what->source == BENCH_IDLE ? w->shared->ops : what->depth;

	w->err = open_job(w->job, w->shared, slots);
	if (w->err && what->threads > 1)
		pthread_barrier_wait(&w->shared->start);
	if (!w->err)
		w->err = work_on(w);
	close_job(w->job);
	return NULL;
}

static int run_threads(struct bench_shared *s, struct worker *workers)
{
	pthread_t second;
	int err;

	if (s->work->threads == 1) {
		work(&workers[0]);
		return workers[0].err;
	}
	pthread_barrier_init(&s->start, NULL, 2);
	err = pthread_create(&second, NULL, work, &workers[1]);
	if (err)
		return -err;
	work(&workers[0]);
	pthread_join(second, NULL);
	pthread_barrier_destroy(&s->start);
	return workers[0].err ? workers[0].err : workers[1].err;
}

static void add_up(const struct bench_shared *s, const struct bench_job *jobs,
		   struct bench_result *result)
{
	double ops = 0, wall = 0, cpu = 0;

	for (uint32_t i = 0; i < s->work->threads; i++) {
		ops += (double)jobs[i].done;
		cpu += jobs[i].cpu_ns;
		wall = jobs[i].wall_ns > wall ? jobs[i].wall_ns : wall;
	}
	result->ops = (uint32_t)ops;
	if (s->work->source == BENCH_IDLE)
		return;
	result->cpu_ns = cpu / ops;
	result->wall_ns = wall / ops;
}

/* ---- what threads share: buffers behind a mutex, the library's or by hand */

static int open_stack(struct bench_shared *s, uint32_t nr)
{
	s->mem_bytes = (size_t)nr * s->work->bytes;
	s->stack = calloc(nr, sizeof(*s->stack));
	s->mem = mmap(NULL, s->mem_bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (s->mem == MAP_FAILED)
		s->mem = NULL;
	if (!s->stack || !s->mem)
		return -ENOMEM;
	for (; s->nr < nr; s->nr++) /* the first on top, as in a pool */
		s->stack[s->nr] = s->mem + (size_t)(nr - 1 - s->nr) * s->work->bytes;
	return 0;
}

static int open_shared(struct bench_shared *s, struct bench_result *result)
{
	uint32_t nr = 2 * s->work->depth * s->work->threads;
	struct memory before = read_memory();
	int err = 0;

	pthread_mutex_init(&s->lock, NULL);
	if (s->strategy->kind == BS_POOL_GLOBAL) {
		s->pool = open_pool(s, NULL);
		err = s->pool ? 0 : -errno;
	} else if (s->strategy->kind < 0 && s->strategy->hand == HAND_GLOBAL) {
		nr = s->work->source == BENCH_IDLE ? s->ops : nr;
		result->allocated = nr;
		err = open_stack(s, nr);
	}
	note_memory(result, &before);
	return err;
}

static void close_shared(struct bench_shared *s)
{
	if (s->pool)
		bs_pool_close(s->pool);
	if (s->mem)
		munmap(s->mem, s->mem_bytes);
	free(s->stack);
	pthread_mutex_destroy(&s->lock);
}

static int run_once(struct bench_shared *shared, struct bench_result *result)
{
	struct bench_job *jobs = calloc(2, sizeof(*jobs));
	struct worker workers[2] = {{shared, result, jobs, 0},
				    {shared, NULL, jobs ? jobs + 1 : NULL, 0}};
	int err;

	if (!jobs)
		return -ENOMEM;
	memset(result, 0, sizeof(*result));
	err = open_shared(shared, result);
	if (!err)
		err = run_threads(shared, workers);
	if (!err)
		add_up(shared, jobs, result);
	close_shared(shared);
	free(jobs);
	return err;
}

/* Locked memory of what ran before is charged to the user for a while after it is gone. */
#define CHARGED_MS  50
#define CHARGED_MAX 3

int bench_run(const struct bench_case *what, const struct bench_strategy *strategy, uint32_t ops,
	      struct bench_result *result)
{
	const struct timespec charged = {0, CHARGED_MS * 1000000};
	int err;

	if (what->source == BENCH_IDLE)
		ops = bench_idle_connections(ops);
	if (!ops)
		return -EMFILE;
	for (int tries = 0;; tries++) {
		struct bench_shared shared = {.work = what, .strategy = strategy, .ops = ops};

		err = run_once(&shared, result);
		if (err != -ENOMEM || tries == CHARGED_MAX)
			return err;
		nanosleep(&charged, NULL);
	}
}
