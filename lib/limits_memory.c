// SPDX-License-Identifier: MIT
/* How much kernel memory does one object take? */
#include <errno.h>
#include <stdio.h>

#include "limits_kernel.h"
#include "limits_measure.h"
#include "limits_table.h"

#define GROUPS 65536
#define ROUNDS 3

/* Slab memory that the kernel cannot give back, in bytes. */
static uint64_t read_slab(void)
{
	unsigned long long kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f) && sscanf(line, "SUnreclaim: %llu", &kb) != 1)
		;
	fclose(f);
	return kb * 1024;
}

static int register_groups(int fd, void *memory, unsigned int *nr)
{
	struct bs_buf_reg reg = {.ring_addr = (uintptr_t)memory, .ring_entries = 1};
	int err = 0;

	for (*nr = 0; *nr < GROUPS && !err; *nr += !err) {
		reg.bgid = (uint16_t)*nr;
		err = limits_register(fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	}
	return err;
}

static int measure_groups(int fd, void *memory, uint64_t *bytes)
{
	uint64_t before = read_slab(), after;
	unsigned int nr;
	int err = register_groups(fd, memory, &nr);

	after = read_slab();
	while (nr > 0)
		limits_unregister_group(fd, --nr);
	*bytes = after > before ? (after - before) / GROUPS : 0;
	return err;
}

/*
 * The counter is the whole system's and moves in coarse steps: only very many groups stand out
 * from what everybody else does, so a user who may not have them gets no answer.
 */
static int ask_group_bytes(const struct limits_env *env, struct limits_answer *answer)
{
	void *memory = limits_map(limits_page_size());
	uint64_t bytes[ROUNDS] = {0};
	struct io_uring ring = {.ring_fd = -1};
	int err = memory ? limits_ring_open(&ring) : -ENOMEM;

	(void)env;
	for (int round = 0; round < ROUNDS && !err; round++)
		err = measure_groups(ring.ring_fd, memory, &bytes[round]);
	if (err) {
		snprintf(answer->note, sizeof(answer->note),
			 "the system's counter needs %d groups to show them", GROUPS);
		return err;
	}
	answer->how = LIMITS_MEASURED;
	answer->value = limits_median(bytes, ROUNDS);
	answer->has_value = answer->value > 0;
	return 0;
}

static const struct limits_probe probes[] = {
	{"memory.pbuf_ring", "a group, besides its ring", "bytes", ask_group_bytes},
};

const struct limits_section limits_memory_section = {
	.name = "memory",
	.title = "kernel memory",
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.measures = true,
};
