// SPDX-License-Identifier: MIT
/*
 * The examination that a key of the dashboard begins, of this very process: does it say what the
 * doctor says, and does it take no record for a single completion?
 */
#include "exam.h"
#include "trace_rig.h"

#define ENTRIES 32
#define BGID    5

static struct exam exam;
static struct sample around; /* what the dashboard has besides */

/* room: in the books; 0: as much as there is. */
static void examine(int bgid, uint32_t room)
{
	uint32_t tgid = (uint32_t)getpid();
	const struct observe_opts opts = {.stuck_ns = 1000000000,
					  .scan_entries = 32768,
					  .tgids = &tgid,
					  .nr_tgids = 1,
					  .bgid = bgid,
					  .trace.room = room};
	char why[EXAM_WHY] = "";

	if (exam_begin(&exam, &opts, why))
		fail_msg("%s", why);
}

static void look(void)
{
	assert_int_equal(exam_look(&exam, &around), 0);
}

static void end(struct stage *stage)
{
	exam_end(&exam);
	sample_done(&around);
	memset(&around, 0, sizeof(around));
	io_uring_queue_exit(&stage->ring);
	close(stage->near);
	close(stage->far);
}

/* The finding of this group, or NULL. */
static const struct finding *find(enum complaint complaint)
{
	for (size_t i = 0; i < exam.diagnosis.nr; i++) {
		const struct finding *finding = &exam.diagnosis.findings[i];

		if (finding->complaint == complaint && finding->bgid == BGID)
			return finding;
	}
	return NULL;
}

static void must_find(enum complaint complaint)
{
	if (!find(complaint))
		fail_msg("no %s among %zu findings", complaint_texts[complaint].code,
			 exam.diagnosis.nr);
}

static const struct case_group *book(void)
{
	for (size_t i = 0; i < exam.book.nr_groups; i++) {
		if (exam.book.groups[i]->bgid == BGID && exam.book.groups[i]->is_live)
			return exam.book.groups[i];
	}
	fail_msg("the group is not in the book");
	return NULL;
}

/* A group with all its buffers in. */
static struct io_uring_buf_ring *fill(struct stage *stage)
{
	struct io_uring_buf_ring *br = new_group(stage, BGID, ENTRIES);

	for (uint16_t bid = 0; bid < ENTRIES; bid++)
		put(br, ENTRIES, bid);
	return br;
}

/* ---- */

static void no_record_for_a_completion(void **state)
{
	const uint32_t rounds = getenv("SLOW") ? 2000 : 20000;
	struct stage stage;
	struct io_uring_buf_ring *br;
	uint16_t bid = 0;

	(void)state;
	set_stage(&stage);
	examine(-1, 0);
	br = fill(&stage);
	look();
	for (uint32_t i = 0; i < rounds; i++) {
		assert_int_equal(receive(&stage, BGID, 8), 8);
		put(br, ENTRIES, bid);
		bid = (bid + 1) % ENTRIES;
	}
	look();
	assert_int_equal(book()->sums.taken, rounds);
	assert_int_equal(book()->sums.held, 0);
	/* such as the registration of the group */
	assert_in_range(exam.nr_records, 1, 8);
	assert_int_equal(exam.diagnosis.nr, 0);
	end(&stage);
}

static void what_was_out_before_is_known(void **state)
{
	struct stage stage;

	(void)state;
	set_stage(&stage);
	fill(&stage);
	for (int i = 0; i < 3; i++)
		assert_int_equal(receive(&stage, BGID, 8), 8);
	examine(BGID, 1);
	look();
	assert_int_equal(book()->sums.early, 3);
	assert_int_equal(book()->sums.held, 3);
	end(&stage);
}

static void what_never_came_back_is_told(void **state)
{
	struct stage stage;

	(void)state;
	set_stage(&stage);
	examine(-1, 0);
	fill(&stage);
	for (int i = 0; i < ENTRIES; i++)
		assert_int_equal(receive(&stage, BGID, 8), 8);
	assert_int_equal(receive(&stage, BGID, 8), -ENOBUFS);
	look();
	assert_null(find(NEVER_RETURNED));
	/* none can be told to be lost before it was out for a while */
	usleep(1100000);
	look();
	must_find(NEVER_RETURNED);
	end(&stage);
}

static void memory_of_the_ring_is_read(void **state)
{
	struct io_uring_buf_ring *br;
	struct stage stage;

	(void)state;
	set_stage(&stage);
	br = fill(&stage);
	br->bufs[3].len = 0;
	br->bufs[5].addr = 8;
	examine(BGID, 1);
	look();
	look(); /* what is being written may look like this once */
	must_find(ZERO_LENGTH);
	must_find(BAD_ADDRESS);
	end(&stage);
}

/* The least room is for 8192 buffers, and a ring of 256 takes a page. */
static void what_does_not_fit_is_counted(void **state)
{
	struct stage stage;

	(void)state;
	set_stage(&stage);
	examine(-1, 1);
	for (uint16_t bgid = 0; bgid <= 8192 / 256; bgid++)
		new_group(&stage, bgid, 256);
	look();
	assert_int_equal(exam.sample.losses[LOSS_LEDGERS], 1);
	end(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_record_for_a_completion),
		cmocka_unit_test(what_was_out_before_is_known),
		cmocka_unit_test(what_never_came_back_is_told),
		cmocka_unit_test(memory_of_the_ring_is_read),
		cmocka_unit_test(what_does_not_fit_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
