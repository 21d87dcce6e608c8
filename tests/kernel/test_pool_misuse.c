// SPDX-License-Identifier: MIT
/*
 * Is every misuse of a pool refused with its own errno, counted, and without any effect?
 */
#include "pool_rig.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* A pool with some buffers lent, and what its statistics say. */
static void open_and_lend(struct rig *rig, struct bs_buf *bufs, unsigned int nr)
{
	unsigned int i;

	rig_open(rig, BS_POOL_RING, 4, 10);
	for (i = 0; i < nr; i++) {
		rig_send(rig, 10);
		rig_recv(rig, 0);
		assert_int_equal(rig_take_next(rig, &bufs[i], 1), 1);
	}
}

static uint64_t refused(struct rig *rig)
{
	return rig_check(rig).refused;
}

/* ---- giving */

static void give_twice(void **state)
{
	struct bs_buf buf, again;
	struct rig rig;
	int i;

	(void)state;
	open_and_lend(&rig, &buf, 1);
	rig_give(&rig, &buf, 1);
	assert_int_equal(bs_pool_give(rig.pool, &buf, 1), -EALREADY);
	assert_int_equal(refused(&rig), 1);

	/* Also when the same bid has been lent again: this copy is of the earlier lending. */
	for (i = 0; i < 4; i++) {
		rig_send(&rig, 10);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &again, 1), 1);
		if (again.bid == buf.bid)
			break;
		rig_give(&rig, &again, 1);
	}
	assert_int_equal(again.bid, buf.bid);
	assert_int_equal(bs_pool_give(rig.pool, &buf, 1), -EALREADY);
	rig_give(&rig, &again, 1);
	assert_int_equal(refused(&rig), 2);
	rig_close(&rig, 0);
}

static void give_what_was_never_lent(void **state)
{
	struct bs_buf buf, forged;
	struct rig rig;

	(void)state;
	open_and_lend(&rig, &buf, 1);
	forged = buf;
	forged.bid = (uint16_t)(buf.bid + 1);
	assert_int_equal(bs_pool_give(rig.pool, &forged, 1), -EALREADY);
	forged.bid = 4;
	assert_int_equal(bs_pool_give(rig.pool, &forged, 1), -ERANGE);
	forged.bid = 65535;
	assert_int_equal(bs_pool_give(rig.pool, &forged, 1), -ERANGE);
	forged = buf;
	forged.lease++;
	assert_int_equal(bs_pool_give(rig.pool, &forged, 1), -EALREADY);
	forged = buf;
	forged.serial++;
	assert_int_equal(bs_pool_give(rig.pool, &forged, 1), -EBADF);
	memset(&forged, 0, sizeof(forged));
	assert_int_equal(bs_pool_give(rig.pool, &forged, 1), -EXDEV);
	assert_int_equal(bs_pool_give(rig.pool, NULL, 1), -EINVAL);
	assert_int_equal(refused(&rig), 7);
	rig_give(&rig, NULL, 0);
	rig_give(&rig, &buf, 1);
	rig_close(&rig, 0);
}

static void give_to_another_pool(void **state)
{
	struct bs_buf one, two;
	struct rig first, second;

	(void)state;
	open_and_lend(&first, &one, 1);
	open_and_lend(&second, &two, 1);
	assert_int_equal(one.bid, two.bid);
	assert_int_equal(bs_pool_give(first.pool, &two, 1), -EXDEV);
	assert_int_equal(bs_pool_give(second.pool, &one, 1), -EXDEV);
	assert_int_equal(refused(&first), 1);
	assert_int_equal(refused(&second), 1);
	rig_give(&first, &one, 1);
	rig_give(&second, &two, 1);
	rig_close(&first, 0);
	rig_close(&second, 0);
}

/* The last of a batch is bad: none was given, and the others can be given afterwards. */
static void batch_is_all_or_none(void **state)
{
	struct bs_buf bufs[4], batch[4];
	struct bs_pool_stats before;
	struct rig rig;

	(void)state;
	open_and_lend(&rig, bufs, 3);
	before = rig_check(&rig);

	memcpy(batch, bufs, sizeof(batch));
	batch[3] = bufs[0];
	assert_int_equal(bs_pool_give(rig.pool, batch, 4), -EALREADY);
	batch[3].bid = 9;
	assert_int_equal(bs_pool_give(rig.pool, batch, 4), -ERANGE);
	batch[3] = bufs[0];
	batch[3].pool = NULL;
	assert_int_equal(bs_pool_give(rig.pool, batch, 4), -EXDEV);

	assert_int_equal(rig_check(&rig).returned, before.returned);
	assert_int_equal(rig_check(&rig).in_use, 3);
	assert_int_equal(rig_check(&rig).refused, 3);
	rig_give(&rig, bufs, 3);
	assert_int_equal(rig_check(&rig).in_use, 0);
	rig_close(&rig, 0);
}

static void pieces_are_all_or_none(void **state)
{
	struct bs_buf bufs[4], batch[4];
	struct rig rig;
	int i;

	(void)state;
	rig_open(&rig, BS_POOL_INC, 2, 40);
	rig_recv(&rig, RIG_MULTISHOT);
	for (i = 0; i < 4; i++) {
		rig_send(&rig, 10);
		assert_int_equal(rig_take_next(&rig, &bufs[i], 1), 1);
	}
	assert_int_equal(bufs[3].more, 0);
	memcpy(batch, bufs, sizeof(batch));
	batch[3] = bufs[1];
	assert_int_equal(bs_pool_give(rig.pool, batch, 4), -EALREADY);
	assert_int_equal(rig_check(&rig).returned, 2);
	assert_int_equal(rig_check(&rig).in_use, 1);
	rig_give(&rig, &bufs[1], 1);
	assert_int_equal(bs_pool_give(rig.pool, &bufs[1], 1), -EALREADY);
	assert_int_equal(bs_pool_give(rig.pool, bufs, 4), -EALREADY);
	rig_give(&rig, &bufs[3], 1);
	rig_give(&rig, &bufs[0], 1);
	assert_int_equal(rig_check(&rig).returned, 2);
	rig_give(&rig, &bufs[2], 1);
	assert_int_equal(rig_check(&rig).returned, 3);
	rig_close(&rig, 0);
}

/* ---- taking */

static void take_what_is_not_there(void **state)
{
	struct io_uring_cqe cqe = {.res = 10};
	struct bs_buf bufs[8];
	struct rig rig;

	(void)state;
	open_and_lend(&rig, bufs, 1);
	cqe.flags = IORING_CQE_F_BUFFER | (uint32_t)bufs[0].bid << IORING_CQE_BUFFER_SHIFT;
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &bufs[1], 1), -EPROTO);
	cqe.flags = IORING_CQE_F_BUFFER | 4u << IORING_CQE_BUFFER_SHIFT;
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &bufs[1], 1), -ERANGE);
	cqe.flags = IORING_CQE_F_BUFFER | 65535u << IORING_CQE_BUFFER_SHIFT;
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &bufs[1], 1), -ERANGE);
	cqe.flags = IORING_CQE_F_BUFFER | (bufs[0].bid + 1u) << IORING_CQE_BUFFER_SHIFT;
	cqe.res = 41; /* more than all that follow can hold */
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &bufs[1], 7), -EPROTO);
	assert_int_equal(bs_pool_take(rig.pool, NULL, &bufs[1], 7), -EINVAL);
	assert_int_equal(refused(&rig), 5);
	assert_int_equal(rig_check(&rig).selected, 1);
	assert_int_equal(bs_pool_available(rig.pool), 3);
	rig_give(&rig, bufs, 1);
	rig_close(&rig, 0);
}

/* What would follow is with the program already: the completion cannot be true. */
static void take_what_is_lent(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	struct io_uring_cqe first, second;
	struct bs_buf bufs[3];
	struct rig rig;

	rig_open(&rig, kind, 4, 10);
	rig_send(&rig, 20);
	rig_recv(&rig, RIG_MULTISHOT);
	rig_next(&rig, &first);
	rig_next(&rig, &second);
	assert_int_equal(bs_pool_take(rig.pool, &second, NULL, 1), -ENOSPC);
	assert_int_equal(bs_pool_take(rig.pool, &second, &bufs[1], 1), 1);
	assert_int_equal(bs_pool_take(rig.pool, &second, &bufs[1], 1), -EPROTO);
	first.res = 20;
	assert_int_equal(bs_pool_take(rig.pool, &first, bufs, 3), -EPROTO);
	first.res = 10;
	assert_int_equal(bs_pool_take(rig.pool, &first, bufs, 3), 1);
	assert_int_equal(refused(&rig), 2);
	rig_expect_data(&rig, &bufs[0]);
	rig_expect_data(&rig, &bufs[1]);
	rig_give(&rig, bufs, 2);
	rig_close(&rig, 0);
}

/* Without a ring there is no order: the bid alone tells, and no result means several buffers. */
static void take_legacy(void **state)
{
	struct io_uring_cqe cqe;
	struct bs_buf bufs[2];
	struct rig rig;

	(void)state;
	rig_open(&rig, BS_POOL_LEGACY, 4, 10);
	rig_send(&rig, 10);
	rig_recv(&rig, 0);
	rig_next(&rig, &cqe);
	assert_int_equal(bs_pool_take(rig.pool, &cqe, NULL, 1), -ENOSPC);
	assert_int_equal(bs_pool_take(rig.pool, &cqe, bufs, 1), 1);
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &bufs[1], 1), -EPROTO);
	cqe.flags = IORING_CQE_F_BUFFER | 4 << IORING_CQE_BUFFER_SHIFT;
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &bufs[1], 1), -ERANGE);
	cqe.flags = IORING_CQE_F_BUFFER | (bufs[0].bid ^ 1) << IORING_CQE_BUFFER_SHIFT;
	cqe.res = 100; /* a datagram cut short */
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &bufs[1], 1), 1);
	assert_int_equal(bufs[1].len, 10);
	assert_int_equal(refused(&rig), 2);
	assert_int_equal(bs_pool_close(rig.pool), 2);
	io_uring_queue_exit(&rig.ring);
	close(rig.in);
	close(rig.out);
}

/* Nothing follows the buffer published last, also when it is the same again. */
static void take_more_than_there_is(void **state)
{
	struct io_uring_cqe cqe = {.res = 11, .flags = IORING_CQE_F_BUFFER};
	struct bs_buf bufs[2];
	struct rig rig;
	int i;

	(void)state;
	rig_open(&rig, BS_POOL_RING, 1, 10);
	for (i = 0; i < 3; i++) {
		assert_int_equal(bs_pool_take(rig.pool, &cqe, bufs, 2), -EPROTO);
		rig_send(&rig, 10);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, bufs, 1), 1);
		rig_give(&rig, bufs, 1);
	}
	rig_close(&rig, 0);
}

/* ---- threads */

struct foreign {
	struct rig *rig;
	struct bs_buf *buf;
	int take, give, available, close, stats;
};

static void *use_foreign(void *arg)
{
	struct io_uring_cqe cqe = {.flags = IORING_CQE_F_BUFFER | 1u << IORING_CQE_BUFFER_SHIFT};
	struct foreign *f = arg;
	struct bs_pool_stats stats;
	struct bs_buf buf, copy = *f->buf;

	f->take = bs_pool_take(f->rig->pool, &cqe, &buf, 1);
	f->give = bs_pool_give(f->rig->pool, f->buf, 1);
	f->available = bs_pool_available(f->rig->pool);
	f->close = bs_pool_close(f->rig->pool);
	f->stats = bs_pool_read_stats(f->rig->pool, &stats);
	bs_buf_drop(&copy);
	return NULL;
}

static void foreign_thread(void **state)
{
	struct foreign f = {0};
	struct bs_buf buf;
	pthread_t thread;
	struct rig rig;

	(void)state;
	open_and_lend(&rig, &buf, 1);
	f.rig = &rig;
	f.buf = &buf;
	assert_int_equal(pthread_create(&thread, NULL, use_foreign, &f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(f.take, -EPERM);
	assert_int_equal(f.give, -EPERM);
	assert_int_equal(f.available, -EPERM);
	assert_int_equal(f.close, -EPERM);
	assert_int_equal(f.stats, 0);
	assert_int_equal(refused(&rig), 5);
	rig_give(&rig, &buf, 1);
	rig_close(&rig, 0);
}

static void *open_foreign(void *arg)
{
	open_and_lend(arg, &(struct bs_buf){0}, 0);
	return NULL;
}

/* A thread that comes later, even with the thread id of the owner, does not inherit the pool. */
static void owner_has_ended(void **state)
{
	static struct rig rig; /* nobody can close the pool any more */
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, open_foreign, &rig), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(bs_pool_available(rig.pool), -EPERM);
	assert_int_equal(bs_pool_close(rig.pool), -EPERM);
	io_uring_queue_exit(&rig.ring);
	close(rig.in);
	close(rig.out);
}

/* A child shares the ring, but the pool is a copy that knows nothing of what the parent does. */
static void forked_child(void **state)
{
	struct bs_buf buf;
	struct rig rig;
	int status;
	pid_t pid;

	(void)state;
	open_and_lend(&rig, &buf, 1);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct bs_pool_opts opts = rig.opts;
		struct io_uring ring;
		struct bs_pool *own;
		int bad;

		bad = bs_pool_give(rig.pool, &buf, 1) != -EPERM;
		bad |= bs_pool_close(rig.pool) != -EPERM;
		bad |= io_uring_queue_init(8, &ring, 0) != 0;
		own = bs_pool_open(&ring, &opts);
		bad |= !own || bs_pool_close(own) != 0;
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(refused(&rig), 0);
	rig_give(&rig, &buf, 1);
	rig_send(&rig, 10);
	rig_recv(&rig, 0);
	assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
	rig_close(&rig, 1);
}

/* ---- closing */

static void after_close(void **state)
{
	struct io_uring_cqe cqe = {.flags = IORING_CQE_F_BUFFER};
	struct bs_pool_stats stats;
	struct bs_buf bufs[3];
	struct rig rig;

	(void)state;
	open_and_lend(&rig, bufs, 3);
	assert_int_equal(bs_pool_close(rig.pool), 3);
	assert_int_equal(bs_pool_close(rig.pool), -EBADF);
	assert_int_equal(bs_pool_take(rig.pool, &cqe, bufs, 1), -EBADF);
	assert_int_equal(bs_pool_give(rig.pool, bufs, 3), -EBADF);
	assert_int_equal(bs_pool_available(rig.pool), -EBADF);
	assert_int_equal(bs_pool_read_stats(rig.pool, &stats), -EBADF);
	bs_buf_drop(&bufs[0]);
	assert_null(bufs[0].pool);

	/* The group is gone from the ring: its id is free again. */
	rig.pool = bs_pool_open(&rig.ring, &rig.opts);
	assert_non_null(rig.pool);
	assert_int_equal(bs_pool_give(rig.pool, &bufs[1], 1), -EXDEV);
	rig_close(&rig, 0);
}

static void expect_fresh(struct rig *rig)
{
	const struct bs_pool_stats fresh = {
		.entries = 4, .buffers = 4, .returned = 4, .allocated = 4};
	struct bs_pool_stats stats = rig_check(rig);

	assert_memory_equal(&stats, &fresh, sizeof(stats));
}

/* However many pools come after it, what is stale is known to be. */
static void stale_serial(void **state)
{
	struct bs_buf buf, fresh;
	bool reused = false;
	struct bs_pool *old;
	struct rig rig;
	int i;

	(void)state;
	open_and_lend(&rig, &buf, 1);
	old = rig.pool;
	for (i = 0; i < 300; i++) {
		assert_int_equal(bs_pool_close(rig.pool), i == 0);
		rig.pool = bs_pool_open(&rig.ring, &rig.opts);
		assert_non_null(rig.pool);
		if (rig.pool != old) {
			assert_int_equal(bs_pool_give(old, &buf, 1), -EBADF);
			continue;
		}
		reused = true;
		expect_fresh(&rig);
		assert_int_equal(bs_pool_give(old, &buf, 1), -EBADF);
		rig_send(&rig, 10);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &fresh, 1), 1);
		assert_int_equal(bs_pool_give(old, &buf, 1), -EBADF);
		assert_int_equal(refused(&rig), 2);
		rig_give(&rig, &fresh, 1);
	}
	assert_true(reused);
	rig_close(&rig, 0);
}

static void scope(void **state)
{
	struct bs_buf copy;
	struct rig rig;
	int i;

	(void)state;
	open_and_lend(&rig, &copy, 1);
	rig_give(&rig, &copy, 1);
	for (i = 0; i < 100; i++) {
		struct bs_buf buf BS_SCOPED_BUF = {0};
		struct bs_buf unused BS_SCOPED_BUF = {0};

		rig_send(&rig, 10);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
		assert_int_equal(rig_check(&rig).in_use, 1);
		if (i % 3 == 0) /* given by hand: the end of the scope does not mind */
			rig_give(&rig, &buf, 1);
		if (i % 3 == 1)
			continue;
	}
	assert_int_equal(rig_check(&rig).in_use, 0);
	assert_int_equal(rig_check(&rig).returned, 4 + 1 + 100);
	assert_int_equal(refused(&rig), 0);
	rig_close(&rig, 0);
}

/* ---- opening */

static struct io_uring ring;

static int open_errno(const struct bs_pool_opts *opts)
{
	struct bs_pool *pool;

	errno = 0;
	pool = bs_pool_open(&ring, opts);
	if (!pool)
		return errno;
	bs_pool_close(pool);
	return 0;
}

static uint64_t mapped_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long long pages = 0;

	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%llu", &pages), 1);
	fclose(statm);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What the kernel refuses to open leaves nothing mapped or registered: a number in use, */
static void open_fails_cleanly(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	struct bs_pool_opts opts = {
		.size = sizeof(opts), .buffers = 64, .buf_bytes = 1 << 20, .bgid = 5};
	struct io_uring closed = {.ring_fd = -1, .enter_ring_fd = -1};
	struct bs_pool *pool;
	uint64_t before;
	int i;

	rig_need_kind(kind);
	pool = bs_pool_open(&ring, &opts);
	assert_non_null(pool);
	opts.kind = kind;
	opts.entries = kind == BS_POOL_LEGACY ? 0 : 32768;
	before = mapped_bytes();
	for (i = 0; i < 40; i++) {
		assert_int_equal(open_errno(&opts), EEXIST);
		assert_null(bs_pool_open(&closed, &opts));
		assert_true(errno == EBADF || errno == EINVAL);
	}
	assert_true(mapped_bytes() < before + (4 << 20)); /* forty rings are 20 MiB */
	assert_int_equal(bs_pool_close(pool), 0);
}

/* a number that can be registered, but whose ring cannot be mapped. */
static void open_unmappable(void **state)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = BS_POOL_MMAP,
				    .buffers = 64,
				    .buf_bytes = 1 << 20,
				    .entries = 32768,
				    .bgid = 2048};
	struct bs_buf_status status = {.buf_group = 2048};
	uint64_t before = mapped_bytes();
	int i, err;

	(void)state;
	rig_need_kind(BS_POOL_MMAP);
	for (i = 0; i < 20; i++) {
		err = open_errno(&opts);
		assert_true(err == ENOMEM || err == EINVAL); /* the newest say it better */
		if (!caps_can("pbuf_status"))
			continue;
		assert_int_equal(syscall(__NR_io_uring_register, ring.ring_fd,
					 IORING_REGISTER_PBUF_STATUS, &status, 1),
				 -1);
		assert_int_equal(errno, ENOENT);
	}
	assert_true(mapped_bytes() < before + (4 << 20));
}

struct single_issuer {
	struct io_uring ring;
	int err;
};

static void *open_on_single_issuer(void *arg)
{
	struct bs_pool_opts opts = {.size = sizeof(opts), .buffers = 1, .buf_bytes = 1};
	struct single_issuer *single = arg;

	single->err = bs_pool_open(&single->ring, &opts) ? 0 : errno;
	return NULL;
}

static void foreign_single_issuer(void **state)
{
	struct single_issuer single = {0};
	pthread_t thread;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &single.ring, IORING_SETUP_SINGLE_ISSUER), 0);
	assert_int_equal(pthread_create(&thread, NULL, open_on_single_issuer, &single), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(single.err, EEXIST);
	io_uring_queue_exit(&single.ring);
}

/* Pools of 32 TiB until there is no memory, or no address, for more. How many there were. */
static int exhaust_memory(void)
{
	struct bs_pool_opts opts = {.size = sizeof(opts), .buffers = 32768, .buf_bytes = 1u << 30};
	struct bs_pool *pools[6] = {0};
	int i, nr;

	opts.kind = BS_POOL_INC;
	for (nr = 0; nr < 6; nr++) {
		opts.bgid = (uint16_t)(100 + nr);
		pools[nr] = bs_pool_open(&ring, &opts);
		if (!pools[nr])
			break;
	}
	assert_true(nr < 6);
	assert_int_equal(errno, ENOMEM);
	for (i = 0; i < nr; i++)
		assert_int_equal(bs_pool_close(pools[i]), 0);
	return nr;
}

static void no_memory(void **state)
{
	uint64_t before;
	int first;

	(void)state;
	rig_need_kind(BS_POOL_INC);
	first = exhaust_memory();
	before = mapped_bytes();
	assert_int_equal(exhaust_memory(), first);
	assert_true(mapped_bytes() < before + (1u << 30));
}

static int setup(void **state)
{
	(void)state;
	return io_uring_queue_init(8, &ring, 0);
}

static int teardown(void **state)
{
	(void)state;
	io_uring_queue_exit(&ring);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(give_twice),
		cmocka_unit_test(give_what_was_never_lent),
		cmocka_unit_test(give_to_another_pool),
		cmocka_unit_test(batch_is_all_or_none),
		cmocka_unit_test(pieces_are_all_or_none),
		cmocka_unit_test(take_what_is_not_there),
		RIG_EACH_RING(take_what_is_lent),
		cmocka_unit_test(take_legacy),
		cmocka_unit_test(take_more_than_there_is),
		cmocka_unit_test(foreign_thread),
		cmocka_unit_test(owner_has_ended),
		cmocka_unit_test(forked_child),
		cmocka_unit_test(after_close),
		cmocka_unit_test(stale_serial),
		cmocka_unit_test(scope),
		RIG_EACH_KIND(open_fails_cleanly),
		cmocka_unit_test(open_unmappable),
		cmocka_unit_test(foreign_single_issuer),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests_name("pool_misuse", tests, setup, teardown);
}
