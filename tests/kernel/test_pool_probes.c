// SPDX-License-Identifier: MIT
/*
 * Do the probes of the library tell exactly what the pool itself counts? The kernel counts how
 * often this process comes by each of them; where they are, the notes of this very program say.
 */
#include "pool_rig.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BUFFERS    16u
#define TABLE      4u
#define STEPS      600u
#define MAX_PLACES 128u

enum probe { ACQUIRE, RELEASE, STARVE, EVICT, REGISTER, NR_PROBES };

static const char *const names[NR_PROBES] = {"acquire", "release", "starve", "evict", "register"};

/* A probe is where it was compiled into, so there are several places of each. */
static struct {
	int fds[MAX_PLACES];
	enum probe probes[MAX_PLACES];
	unsigned int nr;
	int err;
} places;

/* ---- where they are */

struct program {
	const unsigned char *bytes;
	size_t size;
};

static const Elf64_Ehdr *head_of(const struct program *p)
{
	return (const void *)p->bytes;
}

/* Addresses of code are moved against its place in the file by as much as its segment. */
static uint64_t offset_of(const struct program *p, uint64_t address)
{
	const Elf64_Phdr *at = (const void *)(p->bytes + head_of(p)->e_phoff);

	for (unsigned int i = 0; i < head_of(p)->e_phnum; i++) {
		if (at[i].p_type == PT_LOAD && address - at[i].p_vaddr < at[i].p_filesz)
			return address - at[i].p_vaddr + at[i].p_offset;
	}
	fail_msg("no segment has %#llx", (unsigned long long)address);
	return 0;
}

static int uprobe_type(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -1;

	if (file && fscanf(file, "%d", &type) != 1)
		type = -1;
	if (file)
		fclose(file);
	return type;
}

/*
 * The byte is read first: a page that is not in memory the kernel reads for a uprobe without the
 * lock that ext4 wants held, and one built with CONFIG_EXT4_DEBUG complains (seen with 6.18).
 */
static void count_at(const struct program *p, uint64_t offset, enum probe probe)
{
	volatile char in_memory = p->bytes[offset];
	struct perf_event_attr attr = {.size = sizeof(attr),
				       .type = (uint32_t)uprobe_type(),
				       .config1 = (uintptr_t) "/proc/self/exe",
				       .config2 = offset};
	int fd = (int)syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	(void)in_memory;
	assert_true(places.nr < MAX_PLACES);
	if (fd < 0) {
		places.err = errno;
		return;
	}
	places.fds[places.nr] = fd;
	places.probes[places.nr++] = probe;
}

/* Three addresses, then the provider's name and the probe's. */
static void read_note(const struct program *p, const char *note)
{
	const char *name = note + 3 * sizeof(uint64_t);
	uint64_t address;

	memcpy(&address, note, sizeof(address));
	if (strcmp(name, "bufscope") != 0)
		return;
	name += strlen(name) + 1;
	for (int i = 0; i < NR_PROBES; i++) {
		if (strcmp(name, names[i]) == 0)
			count_at(p, offset_of(p, address), (enum probe)i);
	}
}

static void read_notes(const struct program *p, const Elf64_Shdr *section)
{
	const char *at = (const char *)p->bytes + section->sh_offset;
	const char *end = at + section->sh_size;

	while (at < end) {
		const Elf64_Nhdr *note = (const void *)at;

		at += sizeof(*note) + ((note->n_namesz + 3) & ~3u);
		read_note(p, at);
		at += (note->n_descsz + 3) & ~3u;
	}
}

static int attach(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct program p;
	struct stat st;
	const Elf64_Shdr *sections;
	const char *texts;

	(void)state;
	if (fd < 0 || fstat(fd, &st))
		return -1;
	p.size = (size_t)st.st_size;
	p.bytes = mmap(NULL, p.size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p.bytes == MAP_FAILED)
		return -1;
	sections = (const void *)(p.bytes + head_of(&p)->e_shoff);
	texts = (const char *)p.bytes + sections[head_of(&p)->e_shstrndx].sh_offset;
	for (unsigned int i = 0; i < head_of(&p)->e_shnum; i++) {
		if (strcmp(texts + sections[i].sh_name, ".note.stapsdt") == 0)
			read_notes(&p, &sections[i]);
	}
	munmap((void *)p.bytes, p.size);
	return 0;
}

static int detach(void **state)
{
	(void)state;
	while (places.nr)
		close(places.fds[--places.nr]);
	return 0;
}

/* ---- what they tell */

static void read_counts(uint64_t counts[NR_PROBES])
{
	memset(counts, 0, NR_PROBES * sizeof(*counts));
	for (unsigned int i = 0; i < places.nr; i++) {
		uint64_t nr;

		assert_int_equal(read(places.fds[i], &nr, sizeof(nr)), sizeof(nr));
		counts[places.probes[i]] += nr;
	}
}

/* Takes some, certain ones and any, more than there are, and gives some back. */
static void work(struct bs_pool *pool)
{
	struct bs_buf out[BUFFERS];
	unsigned int nr = 0, seed = 1;

	for (unsigned int i = 0; i < STEPS; i++) {
		unsigned int want = (seed = seed * 1103515245u + 12345u) >> 16;

		if (want % 3 == 0 && nr < BUFFERS)
			nr += !bs_pool_acquire_bid(pool, (uint16_t)(want % BUFFERS), &out[nr]);
		else if (want % 3 == 1)
			nr += (unsigned int)bs_pool_acquire(
				pool, &out[nr], nr < BUFFERS ? 1 + want % (BUFFERS - nr) : 0);
		if (nr == BUFFERS) { /* there is none */
			struct bs_buf none;

			assert_int_equal(bs_pool_acquire(pool, &none, 1), 0);
		}
		while (nr && (want % 3 == 2 || nr > BUFFERS - 2)) {
			assert_int_equal(bs_pool_give(pool, &out[--nr], 1), 0);
			want /= 7;
		}
	}
	if (nr)
		assert_int_equal(bs_pool_give(pool, out, nr), 0);
}

static void compare(const struct bs_pool_opts *opts)
{
	uint64_t before[NR_PROBES], after[NR_PROBES], registered;
	struct bs_pool_stats stats;
	struct bs_pool *pool;
	struct io_uring ring;

	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	read_counts(before);
	pool = bs_pool_open(&ring, opts);
	assert_non_null(pool);
	work(pool);
	assert_int_equal(bs_pool_read_stats(pool, &stats), 0);
	read_counts(after);
	assert_int_equal(bs_pool_close(pool), 0);
	io_uring_queue_exit(&ring);

	assert_true(stats.taken > BUFFERS && stats.starved > 0);
	assert_int_equal(after[ACQUIRE] - before[ACQUIRE], stats.taken);
	assert_int_equal(after[RELEASE] - before[RELEASE], stats.returned - stats.buffers);
	assert_int_equal(after[STARVE] - before[STARVE], stats.starved);
	assert_int_equal(after[EVICT] - before[EVICT], stats.evicted);
	/* All at once is one event, which tells how many. */
	registered = opts->table || !stats.registered ? stats.registered : 1;
	assert_int_equal(after[REGISTER] - before[REGISTER], registered);
	assert_int_equal(stats.evicted > 0, opts->table && opts->evict != BS_EVICT_NONE);
}

static void need_counts(void)
{
	needs(places.nr && !places.err, places.err ? "uprobes" : "a build with probes (sys/sdt.h)");
}

static void test_each_has_places(void **state)
{
	unsigned int nr[NR_PROBES] = {0};

	(void)state;
	need_counts();
	for (unsigned int i = 0; i < places.nr; i++)
		nr[places.probes[i]]++;
	for (int i = 0; i < NR_PROBES; i++)
		assert_true(nr[i] > 0);
}

static void test_of_kind(void **state)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = *(enum bs_pool_kind *)*state,
				    .buffers = BUFFERS,
				    .buf_bytes = 64};

	need_counts();
	if (opts.kind == BS_POOL_FIXED)
		rig_need("pbuf_ring");
	compare(&opts);
}

static void test_evictions(void **state)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = BS_POOL_FIXED,
				    .buffers = BUFFERS,
				    .buf_bytes = 64,
				    .table = TABLE};

	(void)state;
	need_counts();
	rig_need("pbuf_ring");
	for (int evict = BS_EVICT_CLOCK; evict <= BS_EVICT_LRU; evict++) {
		opts.evict = (enum bs_evict)evict;
		compare(&opts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_has_places), RIG_TEST(test_of_kind, HEAP),
		RIG_TEST(test_of_kind, GLOBAL),         RIG_TEST(test_of_kind, LOCAL),
		RIG_TEST(test_of_kind, FIXED),          cmocka_unit_test(test_evictions),
	};

	if (!caps_can("io_uring")) {
		puts("ok 1 - pool_probes # SKIP no io_uring for this user\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, attach, detach);
}
