// SPDX-License-Identifier: MIT
/* Is each byte of a user's locked memory put down to the right part? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "memlock.h"

static struct ring_rec ring(uint64_t id, uint32_t tgid, uint32_t charged)
{
	return (struct ring_rec){
		.ring_id = id,
		.tgid = tgid,
		.uid = 1000,
		.charged_uid = charged,
		.locked_bytes = 1 << 20,
		.queue_bytes = 8192,
		.region_bytes = 4096,
		.table_locked_bytes = 65536,
	};
}

static struct sample sample_of(struct ring_rec *rings, size_t nr, struct group_rec *groups,
			       size_t nr_groups)
{
	return (struct sample){
		.rings = rings, .nr_rings = nr, .groups = groups, .nr_groups = nr_groups};
}

static const struct memlock_charging all = {.known = true, .queues = true, .groups = true};

static void test_parts_and_rest(void **state)
{
	struct ring_rec rings[] = {ring(1, 10, 1000), ring(2, 10, 1001),
				   ring(3, 11, REC_UNKNOWN_U32), ring(4, 12, 1000)};
	struct group_rec groups[] = {
		{.ring_id = 1, .mem_bytes = 4096},  {.ring_id = 1, .mem_bytes = 4096},
		{.ring_id = 2, .mem_bytes = 32768}, {.ring_id = 3, .mem_bytes = 65536},
		{.ring_id = 4, .mem_bytes = 16384},
	};
	struct sample sample = sample_of(rings, 4, groups, 5);
	struct memlock_account account = {.uid = 1000, .charging = all};
	struct memlock_ledger l;

	(void)state;
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.nr_rings, 2);
	assert_int_equal(l.nr_free, 1);
	assert_int_equal(l.locked_bytes, 1 << 20);
	assert_int_equal(l.part[MEMLOCK_QUEUES], 2 * 8192);
	assert_int_equal(l.part[MEMLOCK_GROUPS], 4096 + 4096 + 16384);
	assert_int_equal(l.part[MEMLOCK_TABLES], 2 * 65536);
	assert_int_equal(l.part[MEMLOCK_REGIONS], 2 * 4096);
	assert_int_equal(l.rest_bytes, (1 << 20) - 16384 - 24576 - 131072 - 8192);
	account.only_tgid = 12;
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.part[MEMLOCK_GROUPS], 16384);
	assert_int_equal(l.nr_free, 0);
	assert_int_equal(l.rest_bytes, COUNT_UNKNOWN);
	account = (struct memlock_account){.uid = 1000, .charging.known = true};
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.part[MEMLOCK_QUEUES] + l.part[MEMLOCK_GROUPS], 0);
}

static void test_unknown_stays_unknown(void **state)
{
	struct ring_rec rings[] = {ring(1, 10, 1000), ring(2, 11, 1001)};
	struct sample sample = sample_of(rings, 2, NULL, 0);
	struct memlock_account account = {.uid = 1000};
	struct memlock_ledger l;

	(void)state;
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.part[MEMLOCK_QUEUES], COUNT_UNKNOWN);
	assert_int_equal(l.rest_bytes, COUNT_UNKNOWN);
	account.charging = all;
	rings[0].table_locked_bytes = COUNT_UNKNOWN;
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.part[MEMLOCK_TABLES], COUNT_UNKNOWN);
	assert_int_equal(l.rest_bytes, COUNT_UNKNOWN);
	account.uid = 1002;
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.locked_bytes, COUNT_UNKNOWN);
}

/* Three tables share a page and its charge: a third each, told in whole bytes. */
static void test_shared_buffers(void **state)
{
	struct ring_rec rings[] = {ring(1, 10, 1000), ring(2, 11, 1000), ring(3, 12, 1000)};
	struct sample sample = sample_of(rings, 3, NULL, 0);
	const struct memlock_account account = {.uid = 1000, .charging = all};
	struct memlock_ledger l;

	(void)state;
	for (int i = 0; i < 3; i++)
		rings[i].table_locked_bytes = 4096 / 3;
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.part[MEMLOCK_TABLES], 4096);
}

static void test_witness_is_left_out(void **state)
{
	struct ring_rec rings[] = {ring(1, 10, 1000)};
	struct sample sample = sample_of(rings, 1, NULL, 0);
	const struct memlock_account account = {.uid = 1000, .witness = 10, .charging = all};
	struct memlock_ledger l;

	(void)state;
	rings[0].locked_bytes = 8192 + 4096;
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.nr_rings, 0);
	assert_int_equal(l.locked_bytes, 4096);
	assert_int_equal(l.rest_bytes, 4096);
	rings[0].locked_bytes = 8192;
	memlock_count(&sample, &account, &l);
	assert_int_equal(l.locked_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_and_rest),
		cmocka_unit_test(test_unknown_stays_unknown),
		cmocka_unit_test(test_shared_buffers),
		cmocka_unit_test(test_witness_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
