// SPDX-License-Identifier: MIT
/*
 * What is left when memory cannot be had, or the kernel refuses a registration, at any step of
 * opening and of using a pool? Nothing may be: every allocation and every mapping is counted, and
 * the same ring and group must do at once when the failure is over. The linker puts the functions
 * that fail in the place of those that the library calls.
 */
#include "pool_rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

enum what { FAIL_MEMORY, FAIL_REGISTER };

/* From arm() to disarm() the n-th call of a kind fails; what is got and given back is counted. */
static struct {
	bool is_armed;
	enum what what;
	unsigned int left; /* calls until the one that fails */
	bool has_failed;
	int err;
	long blocks;
	long maps;
} trap;

static void arm(enum what what, unsigned int nth, int err)
{
	trap.what = what;
	trap.left = nth;
	trap.err = err;
	trap.has_failed = false;
	trap.is_armed = true;
}

/* True if a call has failed since arm(). */
static bool disarm(void)
{
	trap.is_armed = false;
	return trap.has_failed;
}

static bool fails(enum what what)
{
	if (!trap.is_armed || trap.what != what || trap.left == 0 || --trap.left > 0)
		return false;
	trap.has_failed = true;
	errno = trap.err;
	return true;
}

void *__real_calloc(size_t nr, size_t bytes);
void *__real_malloc(size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
int __real_posix_memalign(void **out, size_t align, size_t bytes);
void __real_free(void *block);
void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
long __real_syscall(long nr, ...);

void *__wrap_calloc(size_t nr, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
int __wrap_posix_memalign(void **out, size_t align, size_t bytes);
void __wrap_free(void *block);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);
long __wrap_syscall(long nr, ...);

void *__wrap_calloc(size_t nr, size_t bytes)
{
	void *block = fails(FAIL_MEMORY) ? NULL : __real_calloc(nr, bytes);

	trap.blocks += block != NULL;
	return block;
}

void *__wrap_malloc(size_t bytes)
{
	void *block = fails(FAIL_MEMORY) ? NULL : __real_malloc(bytes);

	trap.blocks += block != NULL;
	return block;
}

/* Of a pool's header, which stays for later pools: not counted. */
void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return fails(FAIL_MEMORY) ? NULL : __real_aligned_alloc(align, bytes);
}

int __wrap_posix_memalign(void **out, size_t align, size_t bytes)
{
	int err = fails(FAIL_MEMORY) ? ENOMEM : __real_posix_memalign(out, align, bytes);

	trap.blocks += err == 0;
	return err;
}

void __wrap_free(void *block)
{
	trap.blocks -= block != NULL;
	__real_free(block);
}

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *mem =
		fails(FAIL_MEMORY) ? MAP_FAILED : __real_mmap(at, bytes, prot, flags, fd, offset);

	trap.maps += mem != MAP_FAILED;
	return mem;
}

int __wrap_munmap(void *at, size_t bytes)
{
	trap.maps--;
	return __real_munmap(at, bytes);
}

/* To take away succeeds always. */
static bool is_registration(long nr, unsigned int op)
{
	op &= ~IORING_REGISTER_USE_REGISTERED_RING;
	return nr == __NR_io_uring_register && op != IORING_UNREGISTER_PBUF_RING &&
	       op != IORING_UNREGISTER_BUFFERS;
}

long __wrap_syscall(long nr, ...)
{
	long arg[4];
	va_list list;

	va_start(list, nr);
	for (int i = 0; i < 4; i++)
		arg[i] = va_arg(list, long);
	va_end(list);
	if (is_registration(nr, (unsigned int)arg[1]) && fails(FAIL_REGISTER))
		return -1;
	return __real_syscall(nr, arg[0], arg[1], arg[2], arg[3]);
}

/* ---- the pools */

#define BUFFERS 8
#define BYTES   64

static const struct pool_case {
	const char *name;
	const char *needs; /* an ability of the kernel, or NULL */
	struct bs_pool_opts opts;
} cases[] = {
	{"ring", "pbuf_ring", {.kind = BS_POOL_RING}},
	{"mmap", "pbuf_ring.mmap", {.kind = BS_POOL_MMAP}},
	{"inc", "pbuf_ring.inc", {.kind = BS_POOL_INC}},
	{"legacy", "pbuf_legacy", {.kind = BS_POOL_LEGACY}},
	{"heap", NULL, {.kind = BS_POOL_HEAP}},
	{"global", NULL, {.kind = BS_POOL_GLOBAL, .max_buffers = 2 * BUFFERS}},
	{"local", NULL, {.kind = BS_POOL_LOCAL}},
	{"fixed", "pbuf_ring", {.kind = BS_POOL_FIXED}},
	{"fixed lazily", "pbuf_ring", {.kind = BS_POOL_FIXED, .table = 2}},
	{"fallback", NULL, {.kind = BS_POOL_FALLBACK}},
};

struct scene {
	const struct pool_case *c;
	struct bs_pool_opts opts;
	struct io_uring ring;
	struct bs_pool *pool;
	int in, out;
};

static void open_scene(struct scene *s, const struct pool_case *c, uint32_t meta)
{
	int fds[2];

	*s = (struct scene){.c = c, .opts = c->opts};
	s->opts.size = sizeof(s->opts);
	s->opts.buffers = BUFFERS;
	s->opts.buf_bytes = BYTES;
	s->opts.meta_buffers = meta;
	if (s->opts.kind < BS_POOL_HEAP) { /* the kernel picks, by group */
		s->opts.bgid = 3;
		s->opts.meta_bgid = meta ? 4 : 0;
	}
	assert_int_equal(io_uring_queue_init(64, &s->ring, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	s->in = fds[0];
	s->out = fds[1];
}

static void close_scene(struct scene *s)
{
	io_uring_queue_exit(&s->ring);
	close(s->in);
	close(s->out);
}

static bool picks_program(const struct scene *s)
{
	return s->opts.kind >= BS_POOL_HEAP && s->opts.kind != BS_POOL_FALLBACK;
}

/* The next completion, wherever it comes from. */
static int next(struct scene *s, struct io_uring_cqe *out)
{
	struct io_uring_cqe *cqe;

	if (s->opts.kind == BS_POOL_FALLBACK)
		return bs_pool_next(s->pool, out, -1);
	if (io_uring_submit_and_wait(&s->ring, 1) < 0 || io_uring_peek_cqe(&s->ring, &cqe))
		return 0;
	out->user_data = cqe->user_data;
	out->res = cqe->res;
	out->flags = cqe->flags;
	io_uring_cqe_seen(&s->ring, cqe);
	return 1;
}

/* One receive; 5: it has brought what was sent, else what went wrong. */
static int receive(struct scene *s)
{
	struct bs_op op = {.fd = s->out,
			   .ring = s->opts.kind == BS_POOL_FALLBACK ? NULL : &s->ring};
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	int nr, err = bs_recv_managed(s->pool, &op), got = 0;

	if (err)
		return err;
	while (op.armed) {
		nr = next(s, &cqe);
		if (nr < 0) {
			/* A failure of the library's own: it is over now, and there is data. */
			assert_true(trap.has_failed);
			got = nr;
			continue;
		}
		if (nr == 0 || cqe.user_data != (uintptr_t)&op)
			continue;
		nr = bs_op_done(&op, &cqe, &buf, 1);
		assert_true(nr >= 0);
		if (nr == 1) {
			assert_memory_equal(buf.addr, "hello", 5);
			assert_int_equal(buf.len, 5);
			assert_int_equal(bs_pool_give(s->pool, &buf, 1), 0);
			got = 5;
		}
	}
	return got ? got : op.res;
}

/* All that a pool can do; with a failure within, less may come, never less be left. */
static void use_one(struct scene *s)
{
	struct bs_buf bufs[2 * BUFFERS];
	int nr = 0;

	if (picks_program(s)) {
		nr = bs_pool_acquire(s->pool, bufs, 2 * BUFFERS);
		assert_true(nr >= 0 && nr <= 2 * BUFFERS);
		for (int i = 0; i < nr; i++)
			memset(bufs[i].addr, 1, BYTES);
		if (nr)
			assert_int_equal(bs_pool_give(s->pool, bufs, (unsigned int)nr), 0);
	}
	nr = receive(s);
	assert_true(nr == 5 || trap.has_failed);
	if (nr != 5) /* still there for the next one */
		assert_int_equal(receive(s), 5);
}

static void send_hello(struct scene *s)
{
	assert_int_equal(send(s->in, "hello", 5, 0), 5);
}

/* The pool, and that of its metadata. */
static void use(struct scene *s)
{
	struct bs_pool *pool = s->pool, *meta = bs_pool_meta(pool);

	assert_int_equal(meta != NULL, s->opts.meta_buffers > 0);
	send_hello(s);
	use_one(s);
	if (!meta)
		return;
	s->pool = meta;
	send_hello(s);
	use_one(s);
	s->pool = pool;
}

static void check_idle_one(const struct scene *s, struct bs_pool *pool)
{
	struct bs_pool_stats stats;

	assert_int_equal(bs_pool_read_stats(pool, &stats), 0);
	assert_int_equal(stats.in_use, 0);
	assert_int_equal(stats.in_flight, 0);
	if (s->opts.kind != BS_POOL_INC) /* a buffer that is begun is not available as a whole */
		assert_int_equal(bs_pool_available(pool), stats.buffers);
}

static void check_idle(const struct scene *s)
{
	check_idle_one(s, s->pool);
	if (s->opts.meta_buffers)
		check_idle_one(s, bs_pool_meta(s->pool));
}

/* The pool opens and works, and all that it got is given back. */
static void check_works(struct scene *s)
{
	long blocks = trap.blocks, maps = trap.maps;

	trap.has_failed = false;
	s->pool = bs_pool_open(&s->ring, &s->opts);
	if (!s->pool)
		fail_msg("%s does not open: %s", s->c->name, strerror(errno));
	use(s);
	check_idle(s);
	assert_int_equal(bs_pool_close(s->pool), 0);
	assert_int_equal(trap.blocks, blocks);
	assert_int_equal(trap.maps, maps);
}

/*
 * Every step of opening fails once; some the pool can do without. Returns how many steps there
 * were.
 */
static unsigned int fail_opening(struct scene *s, enum what what, int err)
{
	for (unsigned int nth = 1;; nth++) {
		long blocks = trap.blocks, maps = trap.maps;
		bool failed;

		arm(what, nth, err);
		s->pool = bs_pool_open(&s->ring, &s->opts);
		failed = disarm();
		if (s->pool)
			assert_int_equal(bs_pool_close(s->pool), 0);
		else
			assert_int_equal(errno, err);
		assert_int_equal(trap.blocks, blocks);
		assert_int_equal(trap.maps, maps);
		if (!failed)
			return nth - 1;
		check_works(s);
	}
}

/* Every step of working fails once. */
static unsigned int fail_working(struct scene *s, enum what what)
{
	unsigned int nth = 0;
	bool failed;

	s->pool = bs_pool_open(&s->ring, &s->opts);
	assert_non_null(s->pool);
	do {
		arm(what, ++nth, ENOMEM);
		use(s);
		failed = disarm();
		check_idle(s);
	} while (failed);
	assert_int_equal(bs_pool_close(s->pool), 0);
	return nth - 1;
}

/* ---- tests */

/* Each pool that this kernel has, with metadata and without. */
static void for_each(unsigned int (*play)(struct scene *s), unsigned int least)
{
	unsigned int steps = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (cases[i].needs && !caps_can(cases[i].needs)) {
			print_message("# %s: needs %s\n", cases[i].name, cases[i].needs);
			continue;
		}
		for (uint32_t meta = 0; meta < 4; meta += 2) {
			struct scene s;
			unsigned int n;

			open_scene(&s, &cases[i], meta);
			check_works(&s);
			n = play(&s);
			if (n)
				print_message("# %s, metadata %u: %u steps\n", cases[i].name, meta,
					      n);
			steps += n;
			close_scene(&s);
		}
	}
	assert_true(steps >= least);
}

static unsigned int open_without_memory(struct scene *s)
{
	unsigned int steps = fail_opening(s, FAIL_MEMORY, ENOMEM);

	assert_true(steps >= (s->opts.meta_buffers ? 4 : 2));
	return steps;
}

static unsigned int open_refused(struct scene *s)
{
	static const int errs[] = {ENOMEM, EINVAL, EBUSY, EEXIST};
	unsigned int steps = 0;

	for (size_t i = 0; i < sizeof(errs) / sizeof(*errs); i++)
		steps += fail_opening(s, FAIL_REGISTER, errs[i]);
	assert_int_equal(steps > 0, !s->c->needs ? 0 : 1);
	return steps;
}

static unsigned int work_without_memory(struct scene *s)
{
	return fail_working(s, FAIL_MEMORY);
}

static unsigned int work_refused(struct scene *s)
{
	return fail_working(s, FAIL_REGISTER);
}

static void test_opening_without_memory(void **state)
{
	(void)state;
	for_each(open_without_memory, 40);
}

static void test_opening_refused(void **state)
{
	(void)state;
	for_each(open_refused, caps_can("pbuf_ring") ? 8 : 0);
}

static void test_working_without_memory(void **state)
{
	(void)state;
	for_each(work_without_memory, 2 * BUFFERS);
}

static void test_working_refused(void **state)
{
	(void)state;
	for_each(work_refused, caps_can("pbuf_ring") ? 2 : 0);
}

/* Where it may be another kind, a refusal makes it one, and nothing is left of the first. */
static void test_refused_falls_back(void **state)
{
	unsigned int fallen = 0;
	bool failed = true;
	struct scene s;

	(void)state;
	rig_need("pbuf_ring");
	open_scene(&s, &cases[0], 0);
	s.opts.flags = BS_POOL_FALL_BACK;
	for (unsigned int nth = 1; failed; nth++) {
		long blocks = trap.blocks, maps = trap.maps;
		struct bs_pool_stats stats;

		arm(FAIL_REGISTER, nth, ENOMEM);
		s.pool = bs_pool_open(&s.ring, &s.opts);
		assert_non_null(s.pool);
		bs_pool_read_stats(s.pool, &stats);
		failed = disarm();
		assert_true(stats.kind == BS_POOL_RING || (failed && stats.kind == BS_POOL_LOCAL));
		fallen += stats.kind == BS_POOL_LOCAL;
		send_hello(&s);
		assert_int_equal(receive(&s), 5);
		assert_int_equal(bs_pool_close(s.pool), 0);
		assert_int_equal(trap.blocks, blocks);
		assert_int_equal(trap.maps, maps);
	}
	assert_true(fallen > 0);
	close_scene(&s);
}

/* With no ring given it opens its own, and does without where it cannot. */
static void test_own_ring_without_memory(void **state)
{
	bool failed = true;
	struct scene s;

	(void)state;
	rig_need("pbuf_ring");
	open_scene(&s, &cases[0], 0);
	s.opts.flags = BS_POOL_FALL_BACK;
	for (unsigned int nth = 1; failed; nth++) {
		long blocks = trap.blocks, maps = trap.maps;

		arm(FAIL_MEMORY, nth, ENOMEM);
		s.pool = bs_pool_open(NULL, &s.opts);
		failed = disarm();
		assert_true(s.pool || (failed && errno == ENOMEM));
		if (s.pool)
			assert_int_equal(bs_pool_close(s.pool), 0);
		assert_int_equal(trap.blocks, blocks);
		assert_int_equal(trap.maps, maps);
	}
	close_scene(&s);
}

/* The names that the strategies go by elsewhere; "two" is each of them with metadata. */
static void test_every_kind_is_here(void **state)
{
	(void)state;
	for (int kind = BS_POOL_RING; kind <= BS_POOL_FALLBACK; kind++) {
		size_t i = 0;

		while (i < sizeof(cases) / sizeof(*cases) && (int)cases[i].opts.kind != kind)
			i++;
		assert_true(i < sizeof(cases) / sizeof(*cases));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opening_without_memory),
		cmocka_unit_test(test_opening_refused),
		cmocka_unit_test(test_working_without_memory),
		cmocka_unit_test(test_working_refused),
		cmocka_unit_test(test_refused_falls_back),
		cmocka_unit_test(test_own_ring_without_memory),
		cmocka_unit_test(test_every_kind_is_here),
	};

	if (!caps_can("io_uring")) {
		puts("ok 1 - pool_failure # SKIP no io_uring for this user\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
