// SPDX-License-Identifier: MIT
/* What did a recording see? Nothing in the file is trusted: not its order, types, sizes or ends. */
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bufscope.h"
#include "names.h"
#include "text.h"

/* ---- values: each is what it must be, or unknown */

static struct json_object *member(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(object, key, &value))
		return NULL;
	return json_object_is_type(value, type) ? value : NULL;
}

static uint64_t u64_of(struct json_object *object, const char *key, uint64_t unknown)
{
	struct json_object *value = member(object, key, json_type_int);

	/* A negative number is none of ours; json-c would clip it to 0. */
	if (!value || json_object_get_int64(value) < 0)
		return unknown;
	return json_object_get_uint64(value);
}

static __u32 u32_of(struct json_object *object, const char *key, __u32 unknown)
{
	uint64_t value = u64_of(object, key, UINT64_MAX);

	return value < UINT32_MAX ? (__u32)value : unknown;
}

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key, json_type_string);

	return value ? json_object_get_string(value) : NULL;
}

/* Whole characters, as many as there is room for; the rest is zeros. */
static void copy_name(char *out, size_t size, const char *name)
{
	const char *next = name, *end = name;

	memset(out, 0, size);
	while (name && *next) {
		text_next(&next);
		if ((size_t)(next - name) >= size)
			break;
		end = next;
	}
	if (name)
		memcpy(out, name, (size_t)(end - name));
}

/* ---- names back into numbers */

static __u32 setup_flag(const char *name)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		const char *known = sample_setup_flag_name(bit);
		char unnamed[16];

		snprintf(unnamed, sizeof(unnamed), "%#x", 1U << bit);
		if (strcmp(name, known ? known : unnamed) == 0)
			return 1U << bit;
	}
	return 0;
}

static __u32 seen_flag(const char *name)
{
	return strcmp(name, "fd") == 0           ? SEEN_FD
	       : strcmp(name, "registered") == 0 ? SEEN_REGISTERED
	       : strcmp(name, "task") == 0       ? SEEN_TASK
						 : 0;
}

static __u32 flags_of(struct json_object *object, const char *key, __u32 (*flag)(const char *))
{
	struct json_object *names = member(object, key, json_type_array);
	__u32 flags = 0;

	for (size_t i = 0; names && i < json_object_array_length(names); i++) {
		struct json_object *name = json_object_array_get_idx(names, i);

		if (json_object_is_type(name, json_type_string))
			flags |= flag(json_object_get_string(name));
	}
	return flags;
}

static int kind_of(struct json_object *object, __u32 *kind)
{
	const char *name = text_of(object, "kind");

	for (*kind = GROUP_RING; name && *kind <= GROUP_LEGACY; ++*kind)
		if (strcmp(name, sample_kind_name((enum group_kind) * kind)) == 0)
			return 0;
	return -EBADMSG;
}

static enum sample_backend backend_of(struct json_object *object)
{
	const char *name = text_of(object, "backend");
	int backend = BACKEND_ITER_TP_KBUF;

	while (backend > BACKEND_ITER &&
	       (!name || strcmp(name, sample_backend_name((enum sample_backend)backend)) != 0))
		backend--;
	return (enum sample_backend)backend;
}

/* ---- rings and groups */

static uint16_t name_of(struct json_object *object)
{
	const char *text = text_of(object, "name");

	return text ? names_add(text, strnlen(text, BS_NAME_BYTES - 1)) : 0;
}

static int read_ring(struct json_object *object, struct ring_rec *ring)
{
	struct json_object *table = member(object, "table", json_type_object);
	__u32 fd = u32_of(object, "fd", REC_UNKNOWN_U32);
	uint64_t ordinal = u64_of(object, "ring", 0);

	if (ordinal == 0 || ordinal > UINT32_MAX)
		return -EBADMSG;
	*ring = (struct ring_rec){
		.ring_id = ordinal,
		.tgid = u32_of(object, "tgid", 0),
		.tid = u32_of(object, "tid", 0),
		.fd = fd <= INT32_MAX ? (__s32)fd : -1,
		.uid = u32_of(object, "uid", REC_UNKNOWN_U32),
		.setup_flags = flags_of(object, "setup_flags", setup_flag),
		.sq_entries = u32_of(object, "sq_entries", REC_UNKNOWN_U32),
		.cq_entries = u32_of(object, "cq_entries", REC_UNKNOWN_U32),
		.sq_head = u32_of(object, "sq_head", 0),
		.sq_tail = u32_of(object, "sq_tail", 0),
		.cq_head = u32_of(object, "cq_head", 0),
		.cq_tail = u32_of(object, "cq_tail", 0),
		.cq_overflow = u32_of(object, "cq_overflow", REC_UNKNOWN_U32),
		.seen = flags_of(object, "seen", seen_flag),
		.sightings = u32_of(object, "sightings", 0),
		.nr_groups = u32_of(object, "nr_groups", 0),
		.charged_uid = REC_UNKNOWN_U32,
		.table_locked_bytes = COUNT_UNKNOWN,
	};
	ring->table_entries = u32_of(table, "entries", REC_UNKNOWN_U32);
	ring->table_registered = u32_of(table, "registered", REC_UNKNOWN_U32);
	ring->table_in_flight = u32_of(table, "in_flight", REC_UNKNOWN_U32);
	ring->table_bytes = u64_of(table, "bytes", 0);
	ring->table_name = name_of(table);
	copy_name(ring->comm, sizeof(ring->comm), text_of(object, "comm"));
	return 0;
}

static int read_group(struct json_object *object, __u64 ring_id, struct group_rec *group)
{
	*group = (struct group_rec){
		.ring_id = ring_id,
		.bgid = u32_of(object, "bgid", REC_UNKNOWN_U32),
		.entries = u32_of(object, "entries", 0),
		.available = u32_of(object, "available", REC_UNKNOWN_U32),
		.held = u32_of(object, "held", REC_UNKNOWN_U32),
		.held_least = u32_of(object, "held_at_least", REC_UNKNOWN_U32) + 1,
		.buf_bytes = u32_of(object, "buf_bytes", REC_UNKNOWN_U32),
		.head = (__u16)u32_of(object, "head", 0),
		.tail = (__u16)u32_of(object, "tail", 0),
		.raw_flags = (__u16)u32_of(object, "raw_flags", 0),
		.mem_bytes = u64_of(object, "mem_bytes", 0),
		.name = name_of(object),
	};
	if (group->bgid > UINT16_MAX)
		return -EBADMSG;
	return kind_of(object, &group->kind);
}

static void read_counts(struct json_object *object, struct group_counts *counts)
{
	static const char *const totals[COUNT_MAX] = {
		[COUNT_TAKEN] = "taken_total",
		[COUNT_RETURNED] = "returned_total",
		[COUNT_SELECTED] = "selected_total",
		[COUNT_STARVED] = "starved_total",
		[COUNT_BYTES] = "bytes_total",
		[COUNT_PARTIAL] = "partial_total",
		[COUNT_MSHOT_ENDED] = "mshot_ended_total",
		[COUNT_DOUBLE_RETURNED] = "double_returned_total",
		[COUNT_EMPTY_NS] = "empty_ns_total",
		[COUNT_KBUF_PICKED] = "kbuf_picked_total",
		[COUNT_KBUF_STARVED] = "kbuf_starved_total",
		[COUNT_KBUF_TAKEN] = "kbuf_taken_total",
		[COUNT_KBUF_SELECTED] = "kbuf_selected_total",
		[COUNT_KBUF_RECYCLED] = "kbuf_recycled_total",
		[COUNT_KBUF_DROPPED] = "kbuf_dropped_total",
		[COUNT_KBUF_REGISTERED] = "kbuf_registered_total",
		[COUNT_KBUF_UNREGISTERED] = "kbuf_unregistered_total",
	};
	static const char *const gauges[GAUGE_MAX] = {
		[GAUGE_LOW_WATER] = "low_water",           [GAUGE_HOLD_P50_NS] = "hold_p50_ns",
		[GAUGE_HOLD_P90_NS] = "hold_p90_ns",       [GAUGE_HOLD_P99_NS] = "hold_p99_ns",
		[GAUGE_HOLD_MAX_NS] = "hold_max_ns",       [GAUGE_STUCK] = "stuck",
		[GAUGE_OLDEST_HELD_NS] = "oldest_held_ns",
	};

	for (int i = 0; i < COUNT_MAX; i++)
		counts->total[i] = u64_of(object, totals[i], COUNT_UNKNOWN);
	for (int i = 0; i < GAUGE_MAX; i++)
		counts->gauge[i] = u64_of(object, gauges[i], COUNT_UNKNOWN);
	counts->wraps = u64_of(object, "wraps", 0);
}

static int read_rings(struct json_object *rings, struct sample *sample)
{
	for (size_t i = 0; i < json_object_array_length(rings); i++) {
		struct json_object *object = json_object_array_get_idx(rings, i);
		struct ring_rec *ring = &sample->rings[i];
		struct json_object *groups = member(object, "groups", json_type_array);

		if (!groups || read_ring(object, ring))
			return -EBADMSG;
		sample->nr_rings++;
		for (size_t j = 0; j < json_object_array_length(groups); j++) {
			struct json_object *group = json_object_array_get_idx(groups, j);

			if (read_group(group, ring->ring_id, &sample->groups[sample->nr_groups]))
				return -EBADMSG;
			read_counts(group, &sample->counts[sample->nr_groups++]);
		}
	}
	return 0;
}

static int make_room(struct json_object *rings, struct sample *sample)
{
	size_t nr_rings = json_object_array_length(rings), nr_groups = 0;

	for (size_t i = 0; i < nr_rings; i++) {
		struct json_object *ring = json_object_array_get_idx(rings, i);
		struct json_object *groups = member(ring, "groups", json_type_array);

		nr_groups += groups ? json_object_array_length(groups) : 0;
	}
	sample->rings = calloc(nr_rings + 1, sizeof(*sample->rings));
	sample->groups = calloc(nr_groups + 1, sizeof(*sample->groups));
	sample->counts = calloc(nr_groups + 1, sizeof(*sample->counts));
	return sample->rings && sample->groups && sample->counts ? 0 : -ENOMEM;
}

static int read_document(struct json_object *document, struct sample *sample, char *kernel)
{
	struct json_object *rings = member(document, "rings", json_type_array);
	struct json_object *losses = member(document, "losses", json_type_object);
	const char *schema = text_of(document, "schema");
	int err;

	if (!schema || !rings || !losses ||
	    (strcmp(schema, "bufscope.top/1") != 0 && strcmp(schema, "bufscope.list/1") != 0))
		return -EBADMSG;
	sample->at_ns = u64_of(document, "at_ns", 0);
	sample->wall_ns = u64_of(document, "wall_ns", 0);
	sample->backend = backend_of(document);
	sample->has_ordinals = true;
	for (int i = 0; i < LOSS_MAX; i++)
		sample->losses[i] = u64_of(losses, sample_loss_name((enum sample_loss)i), 0);
	copy_name(kernel, REPLAY_KERNEL_LEN, text_of(document, "kernel"));
	err = make_room(rings, sample);
	if (!err)
		err = read_rings(rings, sample);
	return err ? err : sample_sort(sample);
}

int replay_parse(const char *line, size_t length, struct sample *sample, char *kernel)
{
	struct json_tokener *tokener;
	struct json_object *document;
	int err = -EBADMSG;

	while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
		length--;
	sample_done(sample);
	if (length > INT32_MAX)
		return -EBADMSG;
	tokener = json_tokener_new();
	if (!tokener)
		return -ENOMEM;
	/* Not its strict mode: json-c 0.18 takes bytes beyond ASCII for control characters there.
	 */
	document = json_tokener_parse_ex(tokener, line, (int)length);
	if (json_object_is_type(document, json_type_object) &&
	    json_tokener_get_parse_end(tokener) == length)
		err = read_document(document, sample, kernel);
	if (err)
		sample_done(sample);
	json_object_put(document);
	json_tokener_free(tokener);
	return err;
}

/* ---- the file */

#define KEPT       64 /* frames: more than a model looks back */
#define KEPT_BYTES (128UL << 20)
#define CHUNK      (1UL << 20)

struct replay {
	int fd;
	size_t nr;        /* lines */
	size_t room;      /* for starts */
	uint64_t *starts; /* nr + 1 of them: the last is the end of the last line */
	bool is_cut;
	bool *is_damaged; /* by line, once it was tried */
	size_t nr_damaged;
	char kernel[REPLAY_KERNEL_LEN];
	char *line; /* the one at hand */
	size_t line_room;
	struct kept {
		size_t index;
		size_t bytes; /* 0: nothing is kept here */
		struct sample sample;
	} kept[KEPT]; /* by index modulo their number */
	size_t kept_bytes;
};

static int add_start(struct replay *replay, uint64_t start)
{
	if (replay->nr + 2 > replay->room) {
		size_t room = replay->room * 2;
		uint64_t *starts = realloc(replay->starts, room * sizeof(*starts));

		if (!starts)
			return -ENOMEM;
		replay->starts = starts;
		replay->room = room;
	}
	replay->starts[++replay->nr] = start;
	return 0;
}

/* Where each line starts; what follows the last line end is one, too. */
static int index_lines(struct replay *replay)
{
	char *chunk = malloc(CHUNK);
	uint64_t at = 0;
	ssize_t got = 0;
	int err = 0;

	replay->room = 64;
	replay->starts = calloc(replay->room, sizeof(*replay->starts));
	if (!chunk || !replay->starts)
		err = -ENOMEM;
	while (!err && (got = read(replay->fd, chunk, CHUNK)) > 0) {
		const char *next = chunk, *end = chunk + got;

		while (!err && (next = memchr(next, '\n', (size_t)(end - next))) != NULL)
			err = add_start(replay, at + (uint64_t)(++next - chunk));
		at += (uint64_t)got;
	}
	if (got < 0)
		err = -errno;
	if (!err && replay->starts[replay->nr] != at)
		err = add_start(replay, at);
	free(chunk);
	return err;
}

static int read_line(struct replay *replay, size_t index, size_t *length)
{
	uint64_t start = replay->starts[index];
	ssize_t got;

	*length = (size_t)(replay->starts[index + 1] - start);
	if (*length > replay->line_room) {
		free(replay->line);
		replay->line_room = *length + *length / 4;
		replay->line = malloc(replay->line_room);
		if (!replay->line) {
			replay->line_room = 0;
			return -ENOMEM;
		}
	}
	got = pread(replay->fd, replay->line, *length, (off_t)start);
	if (got < 0)
		return -errno;
	return (size_t)got == *length ? 0 : -EBADMSG;
}

static void forget(struct replay *replay, struct kept *kept)
{
	replay->kept_bytes -= kept->bytes;
	kept->bytes = 0;
	sample_done(&kept->sample);
}

/* What is farthest from the frame at hand is asked for last. */
static void make_space(struct replay *replay, const struct kept *fresh)
{
	while (replay->kept_bytes > KEPT_BYTES) {
		struct kept *farthest = NULL;
		size_t distance = 0;

		for (size_t i = 0; i < KEPT; i++) {
			struct kept *kept = &replay->kept[i];
			size_t away = kept->index > fresh->index ? kept->index - fresh->index
								 : fresh->index - kept->index;

			if (kept->bytes > 0 && away > distance) {
				farthest = kept;
				distance = away;
			}
		}
		if (!farthest)
			return;
		forget(replay, farthest);
	}
}

static int load_frame(struct replay *replay, size_t index, struct kept *kept)
{
	size_t length;
	int err;

	forget(replay, kept);
	err = read_line(replay, index, &length);
	if (!err)
		err = replay_parse(replay->line, length, &kept->sample, replay->kernel);
	if (err)
		return err;
	kept->index = index;
	kept->bytes =
		sizeof(*kept) + kept->sample.nr_rings * sizeof(struct ring_rec) +
		kept->sample.nr_groups * (sizeof(struct group_rec) + sizeof(struct group_counts));
	replay->kept_bytes += kept->bytes;
	make_space(replay, kept);
	return 0;
}

const struct sample *replay_frame(struct replay *replay, size_t index)
{
	struct kept *kept = &replay->kept[index % KEPT];
	int err = -EINVAL;

	if (index < replay->nr && replay->is_damaged[index])
		err = -EBADMSG;
	else if (index < replay->nr && kept->bytes > 0 && kept->index == index)
		err = 0;
	else if (index < replay->nr)
		err = load_frame(replay, index, kept);
	if (err == -EBADMSG && !replay->is_damaged[index]) {
		replay->is_damaged[index] = true;
		replay->nr_damaged++;
	}
	if (err) {
		errno = -err;
		return NULL;
	}
	return &kept->sample;
}

/* A last line without an end may be whole all the same; if not, it was cut and is no frame. */
static void judge_end(struct replay *replay)
{
	char end = '\n';
	size_t last = replay->nr - 1;

	if (pread(replay->fd, &end, 1, (off_t)replay->starts[replay->nr] - 1) != 1 || end == '\n')
		return;
	if (replay_frame(replay, last) || errno != EBADMSG)
		return;
	replay->is_cut = true;
	replay->nr_damaged--;
	replay->nr--;
}

/* One whole frame is needed, for there to be anything to show. */
static int find_first(struct replay *replay)
{
	for (size_t i = 0; i < replay->nr; i++) {
		if (replay_frame(replay, i))
			return 0;
		if (errno != EBADMSG)
			return -errno;
	}
	return -EBADMSG;
}

static int open_file(struct replay *replay, const char *path)
{
	struct stat status;

	replay->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (replay->fd < 0 || fstat(replay->fd, &status))
		return -errno;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	return S_ISREG(status.st_mode) ? 0 : -ESPIPE;
}

struct replay *replay_open(const char *path)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	int err;

	if (!replay)
		return NULL;
	replay->fd = -1;
	err = open_file(replay, path);
	if (!err)
		err = index_lines(replay);
	if (!err) {
		replay->is_damaged = calloc(replay->nr + 1, sizeof(*replay->is_damaged));
		err = replay->is_damaged ? 0 : -ENOMEM;
	}
	if (!err && replay->nr > 0)
		judge_end(replay);
	if (!err)
		err = find_first(replay);
	if (!err)
		return replay;
	replay_close(replay);
	errno = -err;
	return NULL;
}

void replay_close(struct replay *replay)
{
	if (!replay)
		return;
	for (size_t i = 0; i < KEPT; i++)
		sample_done(&replay->kept[i].sample);
	if (replay->fd >= 0)
		close(replay->fd);
	free(replay->is_damaged);
	free(replay->starts);
	free(replay->line);
	free(replay);
}

size_t replay_nr(const struct replay *replay)
{
	return replay->nr;
}

bool replay_is_cut(const struct replay *replay)
{
	return replay->is_cut;
}

size_t replay_nr_damaged(const struct replay *replay)
{
	return replay->nr_damaged;
}

const char *replay_kernel(const struct replay *replay)
{
	return replay->kernel;
}
