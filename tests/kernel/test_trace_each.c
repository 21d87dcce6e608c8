// SPDX-License-Identifier: MIT
/* Is each of many completions and returns told, in order, as the program itself saw it? */
#include "trace_rig.h"

#define ENTRIES  32
#define ROUNDS   20000
#define MAX_BOOK 512

struct book {
	struct stage *stage;
	struct io_uring_buf_ring *br;
	struct io_uring_cqe seen[MAX_BOOK];
	uint16_t returned[MAX_BOOK];
	unsigned int nr_seen, nr_returned;
	uint16_t mine[ENTRIES]; /* bids that are with the program */
	unsigned int nr_mine;
	uint32_t random;
	uint32_t available; /* as the events add up */
	uint64_t requests;
	bool is_armed;
};

#define MULTISHOT (1ULL << 63) /* in user_data */

static uint32_t roll(struct book *book, uint32_t sides)
{
	book->random = book->random * 1664525 + 1013904223;
	return (book->random >> 8) % sides;
}

static void give_back(struct book *book)
{
	unsigned int which = roll(book, book->nr_mine);

	put(book->br, ENTRIES, book->mine[which]);
	book->returned[book->nr_returned++] = book->mine[which];
	book->mine[which] = book->mine[--book->nr_mine];
}

static void request(struct book *book, bool is_multishot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&book->stage->ring);

	io_uring_prep_recv(sqe, book->stage->near, NULL, 0, is_multishot ? 0 : MSG_DONTWAIT);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->ioprio |= is_multishot ? IORING_RECV_MULTISHOT : 0;
	sqe->buf_group = 3;
	sqe->user_data = ++book->requests | (is_multishot ? MULTISHOT : 0);
	assert_int_equal(io_uring_submit(&book->stage->ring), 1);
	book->is_armed |= is_multishot;
}

/*
 * A receive that failed may name a buffer that it has put back (6.16): the kernel's next one still.
 * The program is the only one that receives, and looks before it goes on.
 */
static bool is_put_back(const struct book *book, const struct io_uring_cqe *cqe)
{
	struct bs_buf_status status = {.buf_group = 3};

	if (cqe->res >= 0 || !(cqe->flags & IORING_CQE_F_BUFFER) ||
	    syscall(__NR_io_uring_register, book->stage->ring.ring_fd, IORING_REGISTER_PBUF_STATUS,
		    &status, 1) ||
	    (uint16_t)status.head == book->br->tail)
		return false;
	return book->br->bufs[status.head & (ENTRIES - 1)].bid ==
	       cqe->flags >> IORING_CQE_BUFFER_SHIFT;
}

static void note_completions(struct book *book)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&book->stage->ring, &cqe) == 0) {
		bool is_end = cqe->user_data & MULTISHOT && !(cqe->flags & IORING_CQE_F_MORE);

		if (is_put_back(book, cqe))
			cqe->flags &= ~IORING_CQE_F_BUFFER;
		assert_true(book->nr_seen < MAX_BOOK);
		if (cqe->flags & IORING_CQE_F_BUFFER || cqe->res == -ENOBUFS || is_end)
			book->seen[book->nr_seen++] = *cqe;
		if (cqe->flags & IORING_CQE_F_BUFFER && !(cqe->flags & IORING_CQE_F_BUF_MORE))
			book->mine[book->nr_mine++] =
				(uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		book->is_armed &= !is_end;
		io_uring_cqe_seen(&book->stage->ring, cqe);
	}
}

static void play_round(struct book *book)
{
	switch (roll(book, 4)) {
	case 0:
		send_bytes(book->stage, 1 + roll(book, BUF_BYTES));
		break;
	case 1:
		request(book, false);
		break;
	case 2:
		if (!book->is_armed)
			request(book, true);
		break;
	default:
		for (uint32_t nr = roll(book, 4); nr && book->nr_mine; nr--)
			give_back(book);
	}
	note_completions(book);
}

/* One completion is up to two events. Returns the index behind them. */
static unsigned int expect_completion(struct book *book, unsigned int i,
				      const struct io_uring_cqe *cqe)
{
	bool is_whole = !(cqe->flags & IORING_CQE_F_BUF_MORE);
	const struct trace_rec *rec;

	if (cqe->flags & IORING_CQE_F_BUFFER) {
		rec = event(book->stage, i++, is_whole ? TRACE_SELECT : TRACE_PARTIAL);
		assert_int_equal(rec->bid, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		book->available -= is_whole;
	} else if (cqe->res == -ENOBUFS) {
		rec = event(book->stage, i++, TRACE_STARVE);
		assert_int_equal(book->available, 0);
	} else {
		rec = event(book->stage, i, TRACE_MSHOT_END);
	}
	assert_int_equal(rec->res, cqe->res);
	assert_int_equal(rec->user_data, cqe->user_data);
	assert_int_equal(rec->available, book->available);
	if (cqe->user_data & MULTISHOT && !(cqe->flags & IORING_CQE_F_MORE))
		assert_int_equal(event(book->stage, i++, TRACE_MSHOT_END)->user_data,
				 cqe->user_data);
	return i;
}

/* Buffers that were told to be back, so far; `told` of them before. */
static unsigned int expect_return(struct book *book, const struct trace_rec *rec, unsigned int told)
{
	for (uint32_t k = 0; k < rec->nr; k++, told++) {
		assert_true(told < book->nr_returned);
		assert_int_equal(rec->bid + k, book->returned[told]);
	}
	book->available += rec->nr;
	assert_int_equal(rec->available, book->available);
	return told;
}

/* Nothing but what was written down, all of it, in its order. */
static void compare(struct book *book)
{
	unsigned int i = 0, seen = 0, told = 0;

	read_on(book->stage);
	while (i < book->stage->nr) {
		const struct trace_rec *rec = &book->stage->events[i];

		if (rec->kind == TRACE_FILL || rec->kind == TRACE_RETURN) {
			told = expect_return(book, rec, told);
			i++;
			continue;
		}
		assert_true(seen < book->nr_seen);
		i = expect_completion(book, i, &book->seen[seen++]);
	}
	assert_int_equal(seen, book->nr_seen);
	/* the last returns are told with the next event */
	book->nr_returned -= told;
	memmove(book->returned, book->returned + told, book->nr_returned * sizeof(uint16_t));
	book->stage->nr = book->nr_seen = 0;
}

static void compare_each(uint16_t flags)
{
	static struct book book;
	struct stage *stage = new_stage();
	struct io_uring_buf_ring *br = new_memory();
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)br, .ring_entries = ENTRIES, .bgid = 3, .flags = flags};

	book = (struct book){.stage = stage, .br = br, .random = 1};
	if (control(stage, IORING_REGISTER_PBUF_RING, &reg) == -EINVAL && flags) {
		strike(stage);
		needs(0, "this kind of ring");
	}
	read_on(stage);
	event(stage, 0, TRACE_REGISTER);
	stage->nr = 0;
	for (uint16_t bid = 0; bid < ENTRIES; bid++)
		book.mine[book.nr_mine++] = (uint16_t)(bid * 7 % ENTRIES);
	for (int i = 0; i < ROUNDS; i++) {
		play_round(&book);
		if (i % 128 == 127)
			compare(&book);
	}
	assert_true(book.requests > ROUNDS / 8);
	strike(stage);
}

static void each_whole(void **state)
{
	(void)state;
	compare_each(0);
}

static void each_piecewise(void **state)
{
	(void)state;
	compare_each(IOU_PBUF_RING_INC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_whole),
		cmocka_unit_test(each_piecewise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
