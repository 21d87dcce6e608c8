// SPDX-License-Identifier: MIT
/*
 * How are the kernel's objects and events brought to user space? Opens, loads and runs the BPF
 * programs, and copies what they wrote into a struct sample.
 */
#include "observe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "accounts.h"
#include "clock.h"
#include "kbtf.h"
#include "rings.skel.h"
#include "roster_read.h"

#define FIRST_RINGS  1024U
#define FIRST_GROUPS 8192U
#define MOST_RECORDS (1U << 24)

#define MOST_PROCESSES (1U << 14) /* of a tree */

/* An output array of the BPF side, mapped read-only; its length is fixed at load. */
struct output {
	void *records;
	size_t bytes;
	uint32_t max;
};

struct observe {
	struct observe_opts opts;
	uint32_t tgids[OBSERVE_MAX_TGIDS];
	int wanted; /* a map of them, for all programs; those of a tree add what is started */
	struct rings_bpf *skel;
	struct bpf_link *files;
	struct bpf_link *tasks;
	struct output rings;
	struct output groups;
	struct output fixed;
	uint64_t fixed_ring;       /* 0: none is asked for */
	struct accounts *accounts; /* NULL: snapshots alone */
	struct tail_watch *watch;
	struct roster_reader *names; /* NULL: no memory for it */
	uint64_t losses[LOSS_MAX];
};

static bool verbose_libbpf;

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	if (!verbose_libbpf || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, format, args);
}

/* ---- why it failed */

static bool has_capability(cap_value_t cap)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t have = CAP_CLEAR;

	if (caps && cap_get_flag(caps, cap, CAP_EFFECTIVE, &have))
		have = CAP_CLEAR;
	cap_free(caps);
	return have == CAP_SET;
}

static bool is_locked_down(const char *mode)
{
	char word[128] = "";
	FILE *file = fopen("/sys/kernel/security/lockdown", "re");

	if (!file)
		return false;
	if (!fgets(word, sizeof(word), file))
		word[0] = '\0';
	fclose(file);
	return strstr(word, mode) != NULL;
}

/* The likeliest reason, tested in order; the code is changed where the kernel's is misleading. */
static void explain(struct observe_err *err, int code, const char *what)
{
	bool admin = has_capability(CAP_SYS_ADMIN);

	err->code = code;
	err->hint = NULL;
	snprintf(err->what, sizeof(err->what), "cannot %s: %s", what, strerror(-code));
	if (!admin && !has_capability(CAP_BPF)) {
		err->code = -EPERM;
		snprintf(err->what, sizeof(err->what), "cannot %s: CAP_BPF is missing", what);
		err->hint = "run it as root, or give the program cap_bpf and cap_perfmon";
	} else if (!admin && !has_capability(CAP_PERFMON)) {
		err->code = -EPERM;
		snprintf(err->what, sizeof(err->what), "cannot %s: CAP_PERFMON is missing", what);
		err->hint = "run it as root, or give the program cap_bpf and cap_perfmon";
	} else if (access("/sys/kernel/btf/vmlinux", R_OK)) {
		err->code = -EOPNOTSUPP;
		snprintf(err->what, sizeof(err->what), "cannot %s: the kernel shows no BTF", what);
		err->hint = "a kernel with CONFIG_DEBUG_INFO_BTF and a mounted /sys are needed";
	} else if (is_locked_down("[confidentiality]")) {
		err->code = -EPERM;
		snprintf(err->what, sizeof(err->what), "cannot %s: the kernel is locked down",
			 what);
		err->hint = "lockdown=confidentiality forbids reading kernel memory by BPF";
	} else if (code == -EPERM || code == -EACCES) {
		err->hint = "the kernel refused it; 'bufscope -v list' shows what it says";
	} else {
		err->code = -EOPNOTSUPP;
		err->hint = "'bufscope -v list' shows the kernel's reason";
	}
}

/* The flag bits of enums that CO-RE cannot relocate, by name. */
static int find_flag_bits(struct rings_bpf *skel)
{
	struct kbtf_constant constants[] = {
		{"IOBL_BUF_RING", 0},
		{"IOBL_INC", 0},
		{"IOBL_MMAP", 0},
		{"IO_REGION_F_USER_PROVIDED", 0},
	};
	struct btf *btf = kbtf_load();

	if (!btf)
		return -errno;
	kbtf_find_constants(btf, constants, sizeof(constants) / sizeof(constants[0]));
	skel->rodata->iobl_buf_ring = (uint32_t)constants[0].value;
	skel->rodata->iobl_inc = (uint32_t)constants[1].value;
	skel->rodata->iobl_mmap = (uint32_t)constants[2].value;
	skel->rodata->io_region_user_provided = (uint32_t)constants[3].value;
	btf__free(btf);
	return 0;
}

/* ---- load and attach */

static void unmap(struct output *output)
{
	if (output->records)
		munmap(output->records, output->bytes);
	*output = (struct output){0};
}

static void unload(struct observe *o)
{
	bpf_link__destroy(o->files);
	bpf_link__destroy(o->tasks);
	unmap(&o->rings);
	unmap(&o->groups);
	unmap(&o->fixed);
	rings_bpf__destroy(o->skel);
	o->files = o->tasks = NULL;
	o->skel = NULL;
}

static int map_output(struct output *output, const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t record = (bpf_map__value_size(map) + 7) & ~(size_t)7;
	void *at;

	output->max = bpf_map__max_entries(map);
	output->bytes = (record * output->max + page - 1) / page * page;
	at = mmap(NULL, output->bytes, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);
	if (at == MAP_FAILED)
		return -errno;
	output->records = at;
	return 0;
}

static int set_knobs(struct observe *o, uint32_t max_rings, uint32_t max_groups)
{
	struct rings_bpf *skel = o->skel;
	int err;

	skel->rodata->max_rings = max_rings;
	skel->rodata->max_groups = max_groups;
	skel->rodata->scan_entries = o->opts.scan_entries;
	skel->rodata->nr_tgids = (uint32_t)o->opts.nr_tgids;
	skel->rodata->only_bgid = o->opts.bgid;
	bpf_map__set_max_entries(skel->maps.rings, max_rings);
	bpf_map__set_max_entries(skel->maps.sightings, max_rings * 2);
	bpf_map__set_max_entries(skel->maps.groups, max_groups);
	err = bpf_map__reuse_fd(skel->maps.tgids, o->wanted);
	return err ? err : find_flag_bits(skel);
}

/* The same for all programs: who is added by some is known to the others at once. */
static int open_tgids(struct observe *o)
{
	const struct observe_trace *trace = &o->opts.trace;
	uint32_t most = trace->processes ? trace->processes : MOST_PROCESSES;
	uint8_t wanted = 1;
	int err = 0;

	o->wanted = bpf_map_create(BPF_MAP_TYPE_HASH, "tgids", sizeof(uint32_t), sizeof(wanted),
				   trace->is_tree ? most : OBSERVE_MAX_TGIDS, NULL);
	if (o->wanted < 0)
		return o->wanted;
	for (size_t i = 0; i < o->opts.nr_tgids && !err; i++)
		err = bpf_map_update_elem(o->wanted, &o->tgids[i], &wanted, BPF_ANY);
	return err;
}

/* One pass of an iterator; the programs write to maps, so there is nothing to read but the end. */
static int run_iterator(struct bpf_link *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link));
	char nothing[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		/* EAGAIN: the kernel paused after a million objects without output */
		n = read(fd, nothing, sizeof(nothing));
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	n = n < 0 ? -errno : 0;
	close(fd);
	return (int)n;
}

/*
 * Shows the programs one ring of our own, from which they learn the file operations that all
 * rings share. Without io_uring for us they fall back to the name of the file.
 */
static int learn(struct observe *o)
{
	union bpf_iter_link_info info = {.task.pid = (uint32_t)getpid()};
	struct bpf_iter_attach_opts opts;
	struct bpf_link *link;
	struct io_uring own;
	bool have_own = io_uring_queue_init(1, &own, 0) == 0;
	int err;

	/* libbpf wants the tail padding zero, too, which an initialiser does not promise */
	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.link_info = &info;
	opts.link_info_len = sizeof(info);
	link = bpf_program__attach_iter(o->skel->progs.learn_own_ring, &opts);
	err = link ? run_iterator(link) : -errno;
	bpf_link__destroy(link);
	if (have_own)
		io_uring_queue_exit(&own);
	return err;
}

static int attach(struct observe *o)
{
	o->files = bpf_program__attach_iter(o->skel->progs.dump_files, NULL);
	if (!o->files)
		return -errno;
	o->tasks = bpf_program__attach_iter(o->skel->progs.dump_tasks, NULL);
	return o->tasks ? 0 : -errno;
}

static int load(struct observe *o, uint32_t max_rings, uint32_t max_groups)
{
	int err;

	o->skel = rings_bpf__open();
	if (!o->skel)
		return -errno;
	err = set_knobs(o, max_rings, max_groups);
	err = err ? err : rings_bpf__load(o->skel);
	err = err ? err : map_output(&o->rings, o->skel->maps.rings);
	err = err ? err : map_output(&o->groups, o->skel->maps.groups);
	err = err ? err : map_output(&o->fixed, o->skel->maps.fixed_slots);
	err = err ? err : learn(o);
	err = err ? err : attach(o);
	if (err)
		unload(o);
	return err;
}

static int open_accounts(struct observe *o)
{
	const struct accounts_opts opts = {
		.observe = &o->opts, .pid_level = o->skel->bss->pid_level, .tgids = o->wanted};

	if (o->opts.depth == OBSERVE_ONCE)
		return 0;
	o->accounts = accounts_open(&opts);
	if (o->accounts)
		return 0;
	if (!o->opts.is_optional)
		return -errno;
	o->opts.depth = OBSERVE_ONCE;
	return 0;
}

struct observe *observe_open(const struct observe_opts *opts, struct observe_err *err)
{
	struct observe *o = calloc(1, sizeof(*o));
	int code;

	if (!o)
		return NULL;
	o->opts = *opts;
	if (o->opts.nr_tgids > OBSERVE_MAX_TGIDS)
		o->opts.nr_tgids = OBSERVE_MAX_TGIDS;
	if (o->opts.nr_tgids)
		memcpy(o->tgids, opts->tgids, o->opts.nr_tgids * sizeof(*o->tgids));
	o->opts.tgids = o->tgids;
	o->names = roster_new();
	verbose_libbpf = opts->verbose;
	libbpf_set_print(print_libbpf);
	code = open_tgids(o);
	code = code ? code : load(o, FIRST_RINGS, FIRST_GROUPS);
	if (code) {
		explain(err, code, "load the BPF iterators");
	} else {
		code = open_accounts(o);
		if (!code)
			return o;
		explain(err, code, "load the event programs");
	}
	observe_close(o);
	errno = -err->code;
	return NULL;
}

/* ---- sampling */

static int run_pass(struct observe *o)
{
	struct rings_bpf__bss *bss = o->skel->bss;
	int err;

	bss->pass++;
	bss->nr_rings = 0;
	bss->nr_groups = 0;
	bss->fixed_ring = o->fixed_ring;
	bss->has_fixed_slots = 0;
	err = run_iterator(o->files);
	return err ? err : run_iterator(o->tasks);
}

static uint32_t grown(uint32_t max, uint32_t found)
{
	uint64_t want = found > max ? (uint64_t)found + found / 2 : max;

	return want < MOST_RECORDS ? (uint32_t)want : MOST_RECORDS;
}

/* More was found than fits: load again with room for it, and look again. */
static int run_with_room(struct observe *o)
{
	struct rings_bpf__bss *bss;
	uint32_t rings, groups;
	int err = run_pass(o);

	for (int i = 0; i < 3 && !err; i++) {
		bss = o->skel->bss;
		rings = grown(o->rings.max, bss->nr_rings);
		groups = grown(o->groups.max, bss->nr_groups);
		if (rings == o->rings.max && groups == o->groups.max)
			break;
		o->losses[LOSS_WALK] += bss->walk_losses;
		unload(o);
		err = load(o, rings, groups);
		err = err ? err : run_pass(o);
	}
	return err;
}

static int copy_records(void **array, size_t *nr, const struct output *output, size_t size)
{
	void *copy = realloc(*array, *nr ? *nr * size : size);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, output->records, *nr * size);
	*array = copy;
	return 0;
}

/* The kernel side keeps a sighting for each ring it ever met; dead ones go when they pile up. */
static void forget_dead_rings(struct observe *o)
{
	int fd = bpf_map__fd(o->skel->maps.sightings);
	uint64_t key, next;
	uint32_t sighting[2];
	int more = bpf_map_get_next_key(fd, NULL, &next);

	while (more == 0) {
		key = next;
		more = bpf_map_get_next_key(fd, &key, &next);
		if (bpf_map_lookup_elem(fd, &key, sighting) == 0 &&
		    sighting[0] != o->skel->bss->pass)
			bpf_map_delete_elem(fd, &key);
	}
}

/* A ring's charges, from pages; the table's from 2^-20 of one. */
static void scale_charges(struct ring_rec *ring, uint64_t page)
{
	ring->locked_bytes *= page;
	ring->queue_bytes *= page;
	ring->region_bytes *= page;
	if (ring->table_locked_bytes != COUNT_UNKNOWN)
		ring->table_locked_bytes = ring->table_locked_bytes * page >> 20;
}

/* The kernel side tells the bytes of slots, which cost whole pages, and pages that are locked. */
static void round_memory(struct sample *sample)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < sample->nr_groups; i++) {
		struct group_rec *group = &sample->groups[i];

		group->mem_bytes = (group->mem_bytes + page - 1) / page * page;
	}
	for (size_t i = 0; i < sample->nr_rings; i++)
		scale_charges(&sample->rings[i], page);
}

static int fill(struct observe *o, struct sample *sample)
{
	const struct rings_bpf__bss *bss = o->skel->bss;
	int err;

	sample->nr_rings = bss->nr_rings < o->rings.max ? bss->nr_rings : o->rings.max;
	sample->nr_groups = bss->nr_groups < o->groups.max ? bss->nr_groups : o->groups.max;
	o->losses[LOSS_RINGS] += bss->nr_rings - sample->nr_rings;
	o->losses[LOSS_GROUPS] += bss->nr_groups - sample->nr_groups;
	err = copy_records((void **)&sample->rings, &sample->nr_rings, &o->rings,
			   sizeof(struct ring_rec));
	err = err ? err
		  : copy_records((void **)&sample->groups, &sample->nr_groups, &o->groups,
				 sizeof(struct group_rec));
	if (err)
		return err;
	round_memory(sample);
	/* the counts of the last sample fit its groups, not these */
	free(sample->counts);
	sample->counts = NULL;
	memcpy(sample->losses, o->losses, sizeof(o->losses));
	sample->losses[LOSS_WALK] += bss->walk_losses;
	return sample_sort(sample);
}

int observe_sample(struct observe *o, struct sample *sample)
{
	static const enum sample_backend backends[] = {BACKEND_ITER, BACKEND_ITER_TICK,
						       BACKEND_ITER_TP};
	int err;

	sample->at_ns = clock_ns(CLOCK_MONOTONIC);
	sample->wall_ns = clock_ns(CLOCK_REALTIME);
	sample->backend = backends[o->opts.depth];
	if (o->accounts && accounts_see_functions(o->accounts))
		sample->backend = BACKEND_ITER_TP_KBUF;
	err = run_with_room(o);
	err = err ? err : fill(o, sample);
	if (!err && o->names)
		roster_name(o->names, sample);
	if (!err && o->accounts)
		err = accounts_join(o->accounts, sample);
	if (!err && o->skel->bss->pass % 64 == 0)
		forget_dead_rings(o);
	return err;
}

void observe_ignore(struct observe *o, uint32_t tgid)
{
	o->skel->bss->ignored_tgid = tgid;
	if (o->accounts)
		accounts_ignore(o->accounts, tgid);
}

void observe_tell_fixed(struct observe *o, uint64_t ring_id)
{
	o->fixed_ring = ring_id;
}

const struct fixed_slot *observe_fixed(const struct observe *o, size_t *nr)
{
	const struct rings_bpf__bss *bss = o->skel->bss;

	*nr = bss->nr_fixed_slots < o->fixed.max ? bss->nr_fixed_slots : o->fixed.max;
	return bss->has_fixed_slots ? o->fixed.records : NULL;
}

int observe_slots(struct observe *o, const struct group_rec *group, struct observe_slots *slots)
{
	return o->accounts ? accounts_slots(o->accounts, group, slots) : -EOPNOTSUPP;
}

int observe_detail(const struct observe *o, const struct group_rec *group,
		   struct observe_detail *detail)
{
	if (!o->accounts || o->opts.depth != OBSERVE_FULL)
		return -EOPNOTSUPP;
	return accounts_detail(o->accounts, group, detail);
}

int observe_origin(const struct observe *o, const struct group_rec *group,
		   struct observe_origin *origin)
{
	return o->accounts ? accounts_origin(o->accounts, group, origin) : -EOPNOTSUPP;
}

/* ---- single events */

int observe_trace_fd(const struct observe *o)
{
	return o->accounts ? accounts_trace_fd(o->accounts) : -1;
}

int observe_trace(struct observe *o, observe_take_fn *take, void *context)
{
	return observe_trace_fd(o) < 0 ? -EINVAL : accounts_trace(o->accounts, take, context);
}

int observe_books(const struct observe *o, struct book_view *view)
{
	return o->accounts ? accounts_books(o->accounts, view) : -EOPNOTSUPP;
}

void observe_look(struct observe *o)
{
	if (o->accounts)
		accounts_look(o->accounts);
}

uint64_t observe_trace_lost(const struct observe *o)
{
	return o->accounts ? accounts_trace_lost(o->accounts) : 0;
}

void observe_trace_losses(const struct observe *o, struct trace_lost lost[TRACE_KINDS])
{
	memset(lost, 0, TRACE_KINDS * sizeof(*lost));
	if (o->accounts)
		accounts_trace_losses(o->accounts, lost);
}

void observe_losses(const struct observe *o, uint64_t losses[LOSS_MAX])
{
	memcpy(losses, o->losses, sizeof(o->losses));
	losses[LOSS_WALK] += o->skel->bss->walk_losses;
	if (o->accounts)
		accounts_losses(o->accounts, losses);
}

int observe_watch(struct observe *o, const struct observe_watch *watch)
{
	uint64_t address = watch ? watch->address : 0;
	int err = 0;

	if (!o->opts.trace.is_watched || !o->accounts)
		return -EINVAL;
	tail_release(o->watch);
	o->watch = NULL;
	accounts_watch(o->accounts, NULL);
	if (!watch)
		return 0;
	if (!address)
		err = tail_locate(watch, accounts_find_page, o->accounts, &address);
	if (err)
		return err;
	o->watch = tail_watch(watch->tgid, address, accounts_watch(o->accounts, watch));
	if (o->watch)
		return (int)tail_watch_threads(o->watch);
	err = -errno;
	accounts_watch(o->accounts, NULL);
	return err;
}

void observe_close(struct observe *o)
{
	if (!o)
		return;
	tail_release(o->watch);
	accounts_close(o->accounts);
	roster_free(o->names);
	unload(o);
	if (o->wanted >= 0)
		close(o->wanted);
	free(o);
}
