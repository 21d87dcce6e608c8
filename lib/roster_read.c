// SPDX-License-Identifier: MIT
/*
 * Which names stand in the rosters of the processes of a sample?
 *
 * Finding one takes a look at all mappings of a process: that is done when its rings or the number
 * of their groups have changed. One that was found tells by a counter whether it has.
 */
#include "roster_read.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "names.h"
#include "pool_roster.h"

struct call {
	int32_t fd;
	uint32_t bgid;
	uint16_t name;
};

struct process {
	uint32_t tgid;
	uint32_t moves;
	uint64_t looks;     /* what its rings looked like when its mappings were read */
	uint64_t address;   /* of its roster; 0: it has none, or it is not to be read */
	uint64_t bytes;     /* of that mapping */
	struct call *calls; /* by (fd, bgid) */
	size_t nr;
	bool has_calls;
};

/* Of the last sample, by tgid. */
struct roster_reader {
	struct process *at;
	size_t nr;
};

/* The rings of one process in a sample, and their groups. */
struct slice {
	struct ring_rec *rings;
	size_t nr_rings;
	struct group_rec *groups;
	size_t nr_groups;
};

/* ---- one roster */

/* The first mapping that is called so. */
static void find_mapping(struct process *p)
{
	static const char wanted[] = " /memfd:" ROSTER_FILE " (deleted)\n";
	char path[32], *line = NULL;
	size_t room = 0;
	ssize_t length;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%u/maps", p->tgid);
	maps = fopen(path, "re");
	p->address = 0;
	while (maps && !p->address && (length = getline(&line, &room, maps)) > 0)
		if ((size_t)length >= sizeof(wanted) &&
		    !strcmp(line + length - (sizeof(wanted) - 1), wanted) &&
		    sscanf(line, "%" SCNx64 "-%" SCNx64, &p->address, &p->bytes) == 2)
			p->bytes -= p->address;
	free(line);
	if (maps)
		fclose(maps);
}

static int by_place(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	if (x->fd != y->fd)
		return x->fd < y->fd ? -1 : 1;
	return x->bgid < y->bgid ? -1 : x->bgid > y->bgid;
}

/* What was being changed while it was read has two serials; the next look will see it. */
static void take_entries(struct process *p, const struct roster_entry *entries, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		const struct roster_entry *entry = &entries[i];
		size_t length = strnlen(entry->name, sizeof(entry->name));

		if (!entry->serial || entry->serial != entry->again || entry->ring_fd < 0)
			continue;
		p->calls[p->nr++] = (struct call){.fd = entry->ring_fd,
						  .bgid = entry->bgid,
						  .name = names_add(entry->name, length)};
	}
}

static bool read_entries(struct process *p, int mem, uint32_t nr)
{
	size_t bytes = (size_t)nr * sizeof(struct roster_entry);
	struct roster_entry *entries = calloc(nr, sizeof(*entries));
	bool is_read = entries &&
		       pread(mem, entries, bytes,
			     (off_t)(p->address + sizeof(struct roster_head))) == (ssize_t)bytes;

	free(p->calls);
	p->nr = 0;
	p->calls = is_read ? calloc(nr, sizeof(*p->calls)) : NULL;
	if (p->calls)
		take_entries(p, entries, nr);
	free(entries);
	return p->calls;
}

/* A ring is shown by the first of its descriptors; the program may have used another. */
static void follow_descriptors(struct process *p, const struct slice *slice)
{
	for (size_t i = 0; i < slice->nr_rings; i++) {
		const struct ring_rec *ring = &slice->rings[i];

		for (size_t c = 0; ring->sightings > 1 && ring->fd >= 0 && c < p->nr; c++)
			if (p->calls[c].fd != ring->fd &&
			    !syscall(SYS_kcmp, (pid_t)p->tgid, (pid_t)p->tgid, KCMP_FILE,
				     (unsigned long)p->calls[c].fd, (unsigned long)ring->fd))
				p->calls[c].fd = ring->fd;
	}
}

/* What the process says now. */
static void read_roster(struct process *p, const struct slice *slice)
{
	struct roster_head head;
	char path[32];
	bool is_valid;
	int mem;

	snprintf(path, sizeof(path), "/proc/%u/mem", p->tgid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	is_valid = mem >= 0 &&
		   pread(mem, &head, sizeof(head), (off_t)p->address) == (ssize_t)sizeof(head) &&
		   head.magic == ROSTER_MAGIC &&
		   head.nr <= (p->bytes - sizeof(head)) / sizeof(struct roster_entry);
	if (!is_valid) {
		p->nr = 0;
		p->has_calls = false;
	} else if (!p->has_calls || head.moves != p->moves) {
		p->moves = head.moves;
		p->has_calls = read_entries(p, mem, head.nr);
		follow_descriptors(p, slice);
		if (p->nr)
			qsort(p->calls, p->nr, sizeof(*p->calls), by_place);
	}
	if (mem >= 0)
		close(mem);
}

/* ---- processes */

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t looks_of(const struct slice *slice)
{
	uint64_t h = slice->nr_rings;

	for (size_t i = 0; i < slice->nr_rings; i++) {
		const struct ring_rec *ring = &slice->rings[i];

		h = mix(h, ring->ring_id);
		h = mix(h, (uint64_t)(uint32_t)ring->fd << 32 | ring->nr_groups);
		h = mix(h, (uint64_t)ring->table_entries << 32 | ring->sightings);
	}
	return h;
}

static uint16_t name_at(const struct process *p, int32_t fd, uint32_t bgid)
{
	struct call wanted = {.fd = fd, .bgid = bgid};
	const struct call *found = NULL;

	if (p->nr)
		found = bsearch(&wanted, p->calls, p->nr, sizeof(wanted), by_place);
	return found ? found->name : 0;
}

static void give_names(const struct process *p, const struct slice *slice)
{
	size_t g = 0;

	for (size_t i = 0; i < slice->nr_rings; i++) {
		struct ring_rec *ring = &slice->rings[i];

		ring->table_name = name_at(p, ring->fd, ROSTER_TABLE);
		for (; g < slice->nr_groups && slice->groups[g].ring_id == ring->ring_id; g++)
			slice->groups[g].name = name_at(p, ring->fd, slice->groups[g].bgid);
	}
}

static void look_at(struct process *p, const struct slice *slice)
{
	uint64_t looks = looks_of(slice);

	if (!p->looks || looks != p->looks) {
		p->looks = looks;
		find_mapping(p);
		p->has_calls = false;
		p->nr = 0;
	}
	if (!p->address)
		return;
	read_roster(p, slice);
	if (p->nr)
		give_names(p, slice);
}

/* The part of the sample that begins at ring r and group g, of one process. */
static struct slice next_slice(const struct sample *sample, size_t r, size_t g)
{
	struct slice slice = {.rings = sample->rings + r, .groups = sample->groups + g};

	while (r + slice.nr_rings < sample->nr_rings &&
	       slice.rings[slice.nr_rings].tgid == slice.rings[0].tgid) {
		uint64_t ring_id = slice.rings[slice.nr_rings++].ring_id;

		while (g + slice.nr_groups < sample->nr_groups &&
		       slice.groups[slice.nr_groups].ring_id == ring_id)
			slice.nr_groups++;
	}
	return slice;
}

void roster_name(struct roster_reader *reader, struct sample *sample)
{
	struct process *next = calloc(sample->nr_rings + 1, sizeof(*next));
	size_t nr = 0, old = 0, g = 0;

	if (!next)
		return;
	for (size_t r = 0; r < sample->nr_rings;) {
		struct slice slice = next_slice(sample, r, g);
		uint32_t tgid = slice.rings[0].tgid;

		for (; old < reader->nr && reader->at[old].tgid < tgid; old++)
			free(reader->at[old].calls);
		if (old < reader->nr && reader->at[old].tgid == tgid)
			next[nr] = reader->at[old++];
		next[nr].tgid = tgid;
		look_at(&next[nr++], &slice);
		r += slice.nr_rings;
		g += slice.nr_groups;
	}
	for (; old < reader->nr; old++)
		free(reader->at[old].calls);
	free(reader->at);
	reader->at = next;
	reader->nr = nr;
}

struct roster_reader *roster_new(void)
{
	return calloc(1, sizeof(struct roster_reader));
}

void roster_free(struct roster_reader *reader)
{
	if (!reader)
		return;
	for (size_t i = 0; i < reader->nr; i++)
		free(reader->at[i].calls);
	free(reader->at);
	free(reader);
}
