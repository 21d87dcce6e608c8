// SPDX-License-Identifier: MIT
/*
 * What did the programs count for each group of a sample? The accounts lie in arrays that are
 * mapped here; joining them to a sample is a look-up, no system call per group.
 */
#include "accounts.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "events.skel.h"
#include "hist.h"
#include "kbtf.h"
#include "kbuf.h"
#include "tick.h"

#define MAX_BIDS    (1U << 20)
#define TRACE_BATCH (1U << 14)

/* How much the books hold, powers of two. */
struct room {
	uint32_t bids, sums, streams, episodes, blocks;
};

struct accounts {
	const struct observe_opts *opts;
	struct events_bpf *skel;
	struct tick *tick;      /* NULL: not wanted */
	struct account *at;     /* mapped, read-only */
	struct bid_state *bids; /* mapped, read-only */
	struct room room;
	struct book_view books;        /* mapped; sums NULL: none are kept */
	struct book_buffer *buffers;   /* the same, mapped read-only */
	struct book_episode *episodes; /* the same */
	struct kbuf *kbuf;             /* NULL: not wanted, or not to be had */
	struct ring_buffer *trace;
	observe_take_fn *take; /* while accounts_trace() runs */
	void *context;
	uint32_t taken;
	time_t released_s; /* when accounts_trace() last gave up accounts of the dead */
	uint32_t *slots;   /* hash: 1 + position in at */
	size_t nr_slots;
	uint64_t turned_away; /* groups not met for want of room */
	bool has_met;         /* those that were there before */
};

/* ---- load and attach */

static int set_constants(struct events_bpf *skel, const struct btf *btf)
{
	struct kbtf_constant constants[] = {
		{"IOBL_BUF_RING", 0},
		{"IOBL_INC", 0},
		{"IOBL_MMAP", 0},
		{"IO_REGION_F_USER_PROVIDED", 0},
		{"REQ_F_APOLL_MULTISHOT_BIT", 64},
	};
	int complete_args = kbtf_tracepoint_args(btf, "io_uring_complete");

	kbtf_find_constants(btf, constants, sizeof(constants) / sizeof(constants[0]));
	skel->rodata->iobl_buf_ring = (uint32_t)constants[0].value;
	skel->rodata->iobl_inc = (uint32_t)constants[1].value;
	skel->rodata->iobl_mmap = (uint32_t)constants[2].value;
	skel->rodata->io_region_user_provided = (uint32_t)constants[3].value;
	if (constants[4].value < 64)
		skel->rodata->req_multishot = 1ULL << constants[4].value;
	/* 4: ring, request, cqe. 8: the cqe's parts one by one. Both count the hidden first one. */
	skel->rodata->old_complete = complete_args == 8;
	return complete_args == 4 || complete_args == 8 ? 0 : -EOPNOTSUPP;
}

static void choose_programs(struct events_bpf *skel, const struct btf *btf,
			    const struct observe_opts *opts)
{
	const struct observe_trace *trace = &opts->trace;
	bool full = opts->depth == OBSERVE_FULL;
	bool has_req = kbtf_tracepoint_args(btf, "io_uring_submit_req") > 0;

	bpf_program__set_autoload(skel->progs.on_submit_req, full && has_req);
	bpf_program__set_autoload(skel->progs.on_submit_sqe, full && !has_req);
	bpf_program__set_autoload(skel->progs.on_complete, full);
	bpf_program__set_autoload(skel->progs.on_overflow, full);
	bpf_program__set_autoload(skel->progs.on_req_failed, full);
	bpf_program__set_autoload(skel->progs.on_poll_arm, full);
	bpf_program__set_autoload(skel->progs.meet_armed, full);
	bpf_program__set_autoload(skel->progs.start_armed, full);
	bpf_program__set_autoload(skel->progs.on_fork, trace->is_tree);
	bpf_program__set_autoload(skel->progs.on_exit, trace->is_tree);
	bpf_program__set_autoload(skel->progs.on_store, trace->is_watched);
	bpf_program__set_autoload(skel->progs.find_page, trace->is_watched);
	/* these are attached by hand, the others are run on demand */
	bpf_program__set_autoattach(skel->progs.on_tick, false);
	bpf_program__set_autoattach(skel->progs.on_store, false);
}

static uint32_t room_of_one(uint32_t bids, uint32_t share, uint32_t least)
{
	return bids / share > least ? bids / share : least;
}

/* In proportion to the buffers; less than that is not worth while. */
static struct room room_for(const struct observe_trace *trace)
{
	uint32_t bids = 1U << 13;

	while (bids < MAX_BIDS && (!trace->room || !trace->is_booked || bids < trace->room))
		bids *= 2;
	return (struct room){
		.bids = bids,
		.sums = room_of_one(bids, MAX_BIDS / MAX_ACCOUNTS, 256),
		.streams = room_of_one(bids, 32, 2048),
		.episodes = room_of_one(bids, 64, 1024),
		.blocks = room_of_one(bids, 1024, 256),
	};
}

static void set_knobs(struct events_bpf *skel, const struct accounts_opts *opts,
		      const struct room *room)
{
	const struct observe_opts *observe = opts->observe;
	bool full = observe->depth == OBSERVE_FULL;
	uint32_t max_bids = full ? room->bids : 1;

	skel->rodata->max_bids = max_bids;
	skel->rodata->nr_tgids = (uint32_t)observe->nr_tgids;
	skel->rodata->only_bgid = observe->bgid;
	skel->rodata->pid_level = opts->pid_level;
	skel->rodata->keeps_ledger = full;
	skel->rodata->has_tick = observe->tick_ns != 0;
	bpf_map__set_max_entries(skel->maps.counts, MAX_ACCOUNTS);
	bpf_map__set_max_entries(skel->maps.spares, MAX_ACCOUNTS);
	bpf_map__set_max_entries(skel->maps.bids, max_bids);
	if (full)
		return;
	/* tables of one element: what is not used shall be small */
	bpf_map__set_value_size(skel->maps.reqs, sizeof(uint64_t));
	bpf_map__set_value_size(skel->maps.streams, sizeof(uint64_t));
}

static void set_books(struct events_bpf *skel, const struct room *room)
{
	skel->rodata->keeps_books = 1;
	skel->rodata->max_sums = room->sums;
	skel->rodata->max_streams = room->streams;
	skel->rodata->max_episodes = room->episodes;
	skel->rodata->max_blocks = room->blocks;
	bpf_map__set_max_entries(skel->maps.book_sums, room->sums);
	bpf_map__set_max_entries(skel->maps.book_buffers, room->bids);
	bpf_map__set_max_entries(skel->maps.book_streams, room->streams);
	bpf_map__set_max_entries(skel->maps.book_episodes, room->episodes);
	bpf_map__set_max_entries(skel->maps.book_blocks, room->blocks);
	bpf_map__set_max_entries(skel->maps.book_names, room->streams);
	bpf_map__set_max_entries(skel->maps.books_of, MAX_ACCOUNTS);
}

static void set_trace(struct events_bpf *skel, const struct observe_opts *opts,
		      const struct room *room)
{
	const struct observe_trace *trace = &opts->trace;

	skel->rodata->trace_kinds = trace->kinds;
	skel->rodata->trace_errors = trace->only_errors;
	if (trace->kinds) {
		bpf_map__set_max_entries(skel->maps.events, trace->bytes);
		bpf_map__set_max_entries(skel->maps.cursors, MAX_ACCOUNTS);
		if (opts->tick_ns)
			skel->rodata->wake_every =
				trace->bytes / 4 / (uint32_t)sizeof(struct trace_rec);
	}
	if (trace->is_booked)
		set_books(skel, room);
}

static int prepare(struct events_bpf *skel, const struct accounts_opts *opts,
		   const struct room *room)
{
	struct btf *btf = kbtf_load();
	int err;

	if (!btf)
		return -errno;
	err = set_constants(skel, btf);
	choose_programs(skel, btf, opts->observe);
	set_knobs(skel, opts, room);
	set_trace(skel, opts->observe, room);
	btf__free(btf);
	return err ? err : bpf_map__reuse_fd(skel->maps.tgids, opts->tgids);
}

static size_t array_bytes(const struct bpf_map *map)
{
	return (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
}

static void *map_array(const struct bpf_map *map, int prot)
{
	void *at = mmap(NULL, array_bytes(map), prot, MAP_SHARED, bpf_map__fd(map), 0);

	return at == MAP_FAILED ? NULL : at;
}

static int map_books(struct accounts *accounts)
{
	const struct events_bpf *skel = accounts->skel;
	struct book_view *books = &accounts->books;

	if (!accounts->opts->trace.is_booked)
		return 0;
	books->sums = map_array(skel->maps.book_sums, PROT_READ | PROT_WRITE);
	books->streams = map_array(skel->maps.book_streams, PROT_READ | PROT_WRITE);
	books->buffers = accounts->buffers = map_array(skel->maps.book_buffers, PROT_READ);
	books->episodes = accounts->episodes = map_array(skel->maps.book_episodes, PROT_READ);
	books->blocks = map_array(skel->maps.book_blocks, PROT_READ | PROT_WRITE);
	books->max_sums = accounts->room.sums;
	books->nr_streams = accounts->room.streams;
	books->nr_buffers = accounts->room.bids;
	books->nr_blocks = accounts->room.blocks;
	return books->sums && books->streams && books->buffers && books->episodes && books->blocks
		       ? 0
		       : -ENOMEM;
}

int accounts_books(const struct accounts *accounts, struct book_view *view)
{
	const struct events_bpf__bss *bss = accounts->skel->bss;
	const struct room *room = &accounts->room;

	if (!accounts->books.sums)
		return -EOPNOTSUPP;
	*view = accounts->books;
	view->nr_sums = bss->next_sums < room->sums ? bss->next_sums : room->sums;
	view->nr_episodes = bss->nr_episodes < room->episodes ? bss->nr_episodes : room->episodes;
	return 0;
}

static int start_tick(struct accounts *accounts)
{
	if (!accounts->opts->tick_ns)
		return 0;
	accounts->tick = tick_open(accounts->skel->progs.on_tick, accounts->opts->tick_ns);
	return accounts->tick ? 0 : -errno;
}

/*
 * libbpf goes on as long as the kernel makes records as fast as they are taken. An error stops it,
 * behind the record that was just given.
 */
static int give_record(void *context, void *data, size_t size)
{
	struct accounts *accounts = context;

	if (size >= sizeof(struct trace_rec))
		accounts->take(accounts->context, data);
	return ++accounts->taken < TRACE_BATCH ? 0 : -EAGAIN;
}

static int open_trace(struct accounts *accounts)
{
	const struct bpf_map *map = accounts->skel->maps.events;

	if (!accounts->opts->trace.kinds)
		return 0;
	accounts->trace = ring_buffer__new(bpf_map__fd(map), give_record, accounts, NULL);
	return accounts->trace ? 0 : -errno;
}

/* They refine what is known without them: a kernel that refuses them is no error. */
static void open_kbuf(struct accounts *accounts)
{
	const struct kbuf_opts opts = {
		.counts_fd = bpf_map__fd(accounts->skel->maps.counts),
		.positions_fd = bpf_map__fd(accounts->skel->maps.positions),
	};

	if (accounts->opts->functions && accounts->opts->depth == OBSERVE_FULL)
		accounts->kbuf = kbuf_open(&opts);
}

bool accounts_see_functions(const struct accounts *accounts)
{
	return accounts->kbuf != NULL;
}

static int open_all(struct accounts *accounts, const struct accounts_opts *opts)
{
	int err;

	accounts->skel = events_bpf__open();
	if (!accounts->skel)
		return -errno;
	accounts->room = room_for(&opts->observe->trace);
	err = prepare(accounts->skel, opts, &accounts->room);
	err = err ? err : events_bpf__load(accounts->skel);
	if (err)
		return err;
	accounts->at = map_array(accounts->skel->maps.counts, PROT_READ);
	accounts->bids = map_array(accounts->skel->maps.bids, PROT_READ);
	accounts->nr_slots = MAX_ACCOUNTS * 4UL;
	accounts->slots = calloc(accounts->nr_slots, sizeof(*accounts->slots));
	if (!accounts->at || !accounts->bids || !accounts->slots)
		return -ENOMEM;
	err = open_trace(accounts);
	err = err ? err : map_books(accounts);
	err = err ? err : events_bpf__attach(accounts->skel);
	err = err ? err : start_tick(accounts);
	if (!err)
		open_kbuf(accounts);
	return err;
}

struct accounts *accounts_open(const struct accounts_opts *opts)
{
	struct accounts *accounts = calloc(1, sizeof(*accounts));
	int err;

	if (!accounts)
		return NULL;
	accounts->opts = opts->observe;
	err = open_all(accounts, opts);
	if (!err)
		return accounts;
	accounts_close(accounts);
	errno = -err;
	return NULL;
}

static void unmap_array(void *at, const struct bpf_map *map)
{
	if (at)
		munmap(at, array_bytes(map));
}

static void unmap_books(const struct accounts *accounts)
{
	const struct events_bpf *skel = accounts->skel;
	const struct book_view *books = &accounts->books;

	unmap_array(books->sums, skel->maps.book_sums);
	unmap_array(books->streams, skel->maps.book_streams);
	unmap_array(accounts->buffers, skel->maps.book_buffers);
	unmap_array(accounts->episodes, skel->maps.book_episodes);
	unmap_array(books->blocks, skel->maps.book_blocks);
}

void accounts_close(struct accounts *accounts)
{
	if (!accounts)
		return;
	kbuf_close(accounts->kbuf);
	ring_buffer__free(accounts->trace);
	tick_close(accounts->tick);
	if (accounts->skel) {
		unmap_array(accounts->at, accounts->skel->maps.counts);
		unmap_array(accounts->bids, accounts->skel->maps.bids);
		unmap_books(accounts);
	}
	events_bpf__destroy(accounts->skel);
	free(accounts->slots);
	free(accounts);
}

/* ---- which account is whose */

static size_t hash(const struct accounts *accounts, uint64_t ring_id, uint32_t bgid)
{
	uint64_t mixed = ((ring_id >> 6) + bgid * 0x9e3779b1ULL) * 0x9e3779b97f4a7c15ULL;

	return (size_t)(mixed >> 32) & (accounts->nr_slots - 1);
}

static void index_accounts(struct accounts *accounts)
{
	uint32_t nr = accounts->skel->bss->nr_counts;

	memset(accounts->slots, 0, accounts->nr_slots * sizeof(*accounts->slots));
	for (uint32_t i = 0; i < nr && i < MAX_ACCOUNTS; i++) {
		size_t slot = hash(accounts, accounts->at[i].ring_id, accounts->at[i].bgid);

		if (accounts->at[i].state == ACCOUNT_FREE)
			continue;
		while (accounts->slots[slot])
			slot = (slot + 1) & (accounts->nr_slots - 1);
		accounts->slots[slot] = i + 1;
	}
}

static const struct account *find(const struct accounts *accounts, const struct group_rec *group)
{
	size_t slot = hash(accounts, group->ring_id, group->bgid);

	for (; accounts->slots[slot]; slot = (slot + 1) & (accounts->nr_slots - 1)) {
		const struct account *account = &accounts->at[accounts->slots[slot] - 1];

		if (account->ring_id == group->ring_id && account->bgid == group->bgid)
			return account->state == ACCOUNT_LIVE ? account : NULL;
	}
	return NULL;
}

/* What the program returned, or -errno. */
static int run_for(const struct bpf_program *program, const void *args, size_t size)
{
	struct bpf_test_run_opts opts;

	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.ctx_in = args;
	opts.ctx_size_in = (uint32_t)size;
	if (bpf_prog_test_run_opts(bpf_program__fd(program), &opts) < 0)
		return -errno;
	return (int)opts.retval;
}

static void run(const struct bpf_program *program)
{
	run_for(program, NULL, 0);
}

static bool has_room(const struct accounts *accounts)
{
	const struct events_bpf__bss *bss = accounts->skel->bss;

	return bss->nr_counts < MAX_ACCOUNTS || bss->spares_put != bss->spares_got;
}

struct group_args {
	uint64_t ring_id;
	uint32_t bgid;
	uint32_t pad;
};

static int run_on(const struct bpf_program *program, uint64_t ring_id, uint32_t bgid)
{
	struct group_args args = {.ring_id = ring_id, .bgid = bgid};

	return run_for(program, &args, sizeof(args));
}

/* At first what each has lent is to be booked, also of one that an event made known before. */
static bool is_met(const struct accounts *accounts, const struct group_rec *group)
{
	bool is_asked = accounts->has_met || !accounts->opts->trace.is_booked;
	const struct account *account = is_asked ? find(accounts, group) : NULL;

	return account && !account->wants_order;
}

/* It is counted from now on. */
static void begin_group(const struct accounts *accounts, uint64_t ring_id, uint32_t bgid)
{
	const struct events_bpf *skel = accounts->skel;

	if (run_on(skel->progs.learn_group, ring_id, bgid) > 0)
		run_on(skel->progs.start_armed, ring_id, bgid);
}

static void meet_group(struct accounts *accounts, const struct group_rec *group)
{
	if (is_met(accounts, group))
		return;
	/* to ask in vain costs more than all else */
	if (has_room(accounts))
		begin_group(accounts, group->ring_id, group->bgid);
	else
		accounts->turned_away++;
}

/*
 * Groups of one ring. What waits on it is met first, and makes its groups known. They are counted
 * afterwards: there is no time in which a completion finds its group known and its request not.
 */
static void meet_ring(struct accounts *accounts, const struct group_rec *groups, size_t nr)
{
	const struct events_bpf *skel = accounts->skel;
	size_t known = 0;

	while (known < nr && is_met(accounts, &groups[known]))
		known++;
	if (known == nr)
		return;
	if (accounts->opts->depth == OBSERVE_FULL && has_room(accounts))
		run_for(skel->progs.meet_armed, &groups->ring_id, sizeof(groups->ring_id));
	for (size_t i = known; i < nr; i++)
		meet_group(accounts, &groups[i]);
}

/* What an event made known after the groups were listed, or of what was not listed. */
static void begin_rest(const struct accounts *accounts)
{
	uint32_t nr = accounts->skel->bss->nr_counts;

	for (uint32_t i = 0; i < nr && i < MAX_ACCOUNTS; i++) {
		const struct account *account = &accounts->at[i];

		if (account->state == ACCOUNT_MET)
			begin_group(accounts, account->ring_id, account->bgid);
	}
}

/* Groups that were there before the programs, or whose registration they missed. */
static void meet(struct accounts *accounts, const struct sample *sample)
{
	const struct group_rec *groups = sample->groups;
	size_t first = 0;

	for (size_t i = 1; i <= sample->nr_groups; i++) {
		if (i < sample->nr_groups && groups[i].ring_id == groups[first].ring_id)
			continue;
		meet_ring(accounts, &groups[first], i - first);
		first = i;
	}
	__atomic_store_n(&accounts->skel->bss->is_ready, 1, __ATOMIC_SEQ_CST);
	accounts->has_met = true;
	begin_rest(accounts);
}

/* A bucket may reach beyond the longest hold in it. */
static uint64_t hold_quantile(const struct account *account, double q)
{
	uint64_t ns = hist_quantile_ns(account->hold, q);

	return ns < account->hold_max_ns ? ns : account->hold_max_ns;
}

/* ---- what an account says */

struct ledger {
	const struct bid_state *bids;
	uint32_t nr; /* 0: there is none */
};

/* As it lies now: it may move. */
static struct ledger ledger_of(const struct accounts *accounts, const struct account *account)
{
	uint64_t stretch = __atomic_load_n(&account->stretch, __ATOMIC_RELAXED);

	return (struct ledger){&accounts->bids[stretch_first(stretch)], stretch_nr(stretch)};
}

/*
 * Buffers of a ring that was under way when it was met, which were out then and stay out: the ring
 * has forgotten them. As where the ring is read whole, bids are those of an array of buffers.
 */
static uint32_t nr_unseen(const struct account *account, struct ledger ledger)
{
	uint32_t unseen = 0, seen = 0;

	if (account->kind == GROUP_LEGACY || (uint16_t)account->returned == account->tail)
		return 0;
	for (uint32_t i = 0; i < ledger.nr; i++) {
		if (!ledger.bids[i].flags)
			continue;
		unseen += i - seen; /* all between two that were seen */
		seen = i + 1;
	}
	return unseen;
}

static void join_ledger(const struct accounts *accounts, const struct account *account,
			struct group_counts *counts, uint64_t now)
{
	const struct ledger ledger = ledger_of(accounts, account);
	uint32_t unseen = nr_unseen(account, ledger);
	uint64_t watched = now > account->born_ns ? now - account->born_ns : 0;
	uint64_t oldest = unseen ? watched : 0;
	uint64_t stuck = watched > accounts->opts->stuck_ns ? unseen : 0;

	for (uint32_t i = 0; i < ledger.nr; i++) {
		const struct bid_state *bid = &ledger.bids[i];
		uint64_t age = now > bid->since_ns ? now - bid->since_ns : 0;

		if (!(bid->flags & BID_HELD))
			continue;
		oldest = age > oldest ? age : oldest;
		stuck += age > accounts->opts->stuck_ns;
	}
	counts->gauge[GAUGE_STUCK] = stuck;
	counts->gauge[GAUGE_OLDEST_HELD_NS] = oldest;
	if (!account->holds)
		return;
	counts->gauge[GAUGE_HOLD_P50_NS] = hold_quantile(account, 0.5);
	counts->gauge[GAUGE_HOLD_P90_NS] = hold_quantile(account, 0.9);
	counts->gauge[GAUGE_HOLD_P99_NS] = hold_quantile(account, 0.99);
	counts->gauge[GAUGE_HOLD_MAX_NS] = account->hold_max_ns;
}

static void forget_counts(struct group_counts *counts)
{
	for (int i = 0; i < COUNT_MAX; i++)
		counts->total[i] = COUNT_UNKNOWN;
	for (int i = 0; i < GAUGE_MAX; i++)
		counts->gauge[i] = COUNT_UNKNOWN;
	counts->wraps = counts->unread = counts->looked_ns = 0;
}

static void join_account(const struct accounts *accounts, const struct account *account,
			 struct group_counts *counts, uint64_t now)
{
	/* without a ring nothing shows what went in and out but the requests */
	counts->looked_ns = __atomic_load_n(&account->looked_ns, __ATOMIC_ACQUIRE);
	if (account->kind != GROUP_LEGACY || accounts->opts->depth == OBSERVE_FULL) {
		counts->total[COUNT_TAKEN] = account->taken;
		counts->total[COUNT_RETURNED] = account->returned;
	}
	counts->total[COUNT_EMPTY_NS] = account->empty_ns;
	if (account->low_water != REC_UNKNOWN_U32)
		counts->gauge[GAUGE_LOW_WATER] = account->low_water;
	counts->wraps = account->may_wrap;
	counts->unread = account->bids_lost;
	if (accounts->opts->depth != OBSERVE_FULL)
		return;
	counts->total[COUNT_SELECTED] = account->selected;
	counts->total[COUNT_STARVED] = account->starved;
	counts->total[COUNT_BYTES] = account->bytes;
	counts->total[COUNT_PARTIAL] = account->partial;
	counts->total[COUNT_MSHOT_ENDED] = account->mshot_ended;
	if (accounts->kbuf)
		kbuf_join(accounts->kbuf, (uint32_t)(account - accounts->at), account, counts);
	if (account->stretch) {
		counts->total[COUNT_DOUBLE_RETURNED] = account->double_returns;
		join_ledger(accounts, account, counts, now);
	}
}

static bool is_wide(const struct account *account)
{
	return account->kind != GROUP_LEGACY && stretch_nr(account->stretch) > account->entries;
}

/*
 * Nobody keeps a list of what a legacy group lent, but the ledger, if it saw all. The slots of a
 * ring that is lent more buffers than it has slots do not remember them all, either.
 */
static uint32_t held_by_ledger(const struct accounts *accounts, const struct account *account)
{
	const struct ledger ledger = ledger_of(accounts, account);
	uint32_t held = 0;

	if (!ledger.nr || account->bids_alien ||
	    (account->kind == GROUP_LEGACY && !account->is_whole))
		return REC_UNKNOWN_U32;
	for (uint32_t i = 0; i < ledger.nr; i++)
		held += !!(ledger.bids[i].flags & BID_HELD);
	return held;
}

static uint64_t recursion_misses(const struct bpf_program *program)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int fd = bpf_program__fd(program);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.recursion_misses : 0;
}

static uint64_t bids_lost(const struct accounts *accounts)
{
	uint32_t nr = accounts->skel->bss->nr_counts;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < nr && i < MAX_ACCOUNTS; i++)
		sum += accounts->at[i].bids_lost + accounts->at[i].bids_alien;
	return sum;
}

void accounts_losses(const struct accounts *accounts, uint64_t losses[LOSS_MAX])
{
	const struct events_bpf *skel = accounts->skel;
	const uint64_t *lost = (const uint64_t *)skel->bss->losses;

	losses[LOSS_UNATTRIBUTED] = lost[EVENT_UNATTRIBUTED];
	losses[LOSS_GUESSED] = lost[EVENT_GUESSED];
	losses[LOSS_ACCOUNTS] = lost[EVENT_GROUPS_FULL] + accounts->turned_away;
	losses[LOSS_LEDGERS] = lost[EVENT_BIDS_FULL];
	losses[LOSS_REQUESTS] = lost[EVENT_REQS_EVICTED];
	losses[LOSS_HIDDEN] = lost[EVENT_HIDDEN];
	losses[LOSS_BIDS] = bids_lost(accounts);
	losses[LOSS_EVENTS] = recursion_misses(skel->progs.on_complete) +
			      recursion_misses(skel->progs.on_overflow);
	losses[LOSS_PROCESSES] = lost[EVENT_PROCESSES];
	losses[LOSS_CALLS] = accounts->kbuf ? kbuf_missed(accounts->kbuf) : 0;
}

void accounts_look(struct accounts *accounts)
{
	run(accounts->skel->progs.look_at_all);
}

/* From high water on the places of the dead are wanted. */
static void release_dead(const struct accounts *accounts)
{
	if (accounts->skel->bss->nr_counts >= MAX_ACCOUNTS / 4 * 3)
		run(accounts->skel->progs.release_dead);
}

/* Where a tick is nowhere felt it may stay where it is. */
static void settle_tick(const struct accounts *accounts)
{
	const struct events_bpf__bss *bss = accounts->skel->bss;

	if (accounts->opts->depth != OBSERVE_FULL && bss->nr_counts > FEW_GROUPS)
		tick_settle(accounts->tick, bss->nr_ticks);
}

int accounts_join(struct accounts *accounts, struct sample *sample)
{
	size_t nr = sample->nr_groups ? sample->nr_groups : 1;
	struct group_counts *counts = realloc(sample->counts, nr * sizeof(*counts));

	if (!counts)
		return -ENOMEM;
	sample->counts = counts;
	index_accounts(accounts);
	meet(accounts, sample);
	accounts_look(accounts);
	settle_tick(accounts);
	release_dead(accounts);
	index_accounts(accounts);
	for (size_t i = 0; i < sample->nr_groups; i++) {
		const struct account *account = find(accounts, &sample->groups[i]);

		forget_counts(&counts[i]);
		if (!account)
			continue;
		join_account(accounts, account, &counts[i], sample->at_ns);
		if (sample->groups[i].kind == GROUP_LEGACY || is_wide(account))
			sample->groups[i].held = held_by_ledger(accounts, account);
	}
	accounts_losses(accounts, sample->losses);
	return 0;
}

/* ---- the memory of a ring */

int accounts_slots(struct accounts *accounts, const struct group_rec *group,
		   struct observe_slots *slots)
{
	const struct bpf_program *program = accounts->skel->progs.read_slots;
	struct {
		uint64_t ring_id;
		uint32_t bgid;
		uint32_t first;
	} args = {.ring_id = group->ring_id, .bgid = group->bgid};
	uint32_t nr = 0;

	for (; args.first < group->entries; args.first += nr) {
		int got = run_for(program, &args, sizeof(args));

		if (got < 0)
			return got;
		nr = (uint32_t)got;
		if (!nr || args.first + nr > slots->max)
			return -EAGAIN;
		memcpy(slots->at + args.first, accounts->skel->bss->slots_read,
		       nr * sizeof(*slots->at));
		if (!args.first)
			slots->tail_before = accounts->skel->bss->slots_tail;
		slots->head_after = accounts->skel->bss->slots_head;
	}
	slots->nr = args.first;
	return 0;
}

int accounts_detail(const struct accounts *accounts, const struct group_rec *group,
		    struct observe_detail *detail)
{
	const struct account *account = find(accounts, group);
	struct ledger ledger;

	if (!account)
		return -ENOENT;
	ledger = ledger_of(accounts, account);
	memcpy(detail->hold, account->hold, sizeof(detail->hold));
	memcpy(detail->causes, account->causes, sizeof(detail->causes));
	detail->born_ns = account->born_ns;
	detail->nr = ledger.nr < detail->max ? ledger.nr : detail->max;
	memcpy(detail->bids, ledger.bids, detail->nr * sizeof(*detail->bids));
	for (uint32_t i = 0; i < detail->nr; i++)
		detail->bids[i].fd = bid_fd(detail->bids[i].fd);
	return 0;
}

int accounts_origin(const struct accounts *accounts, const struct group_rec *group,
		    struct observe_origin *origin)
{
	const struct account *account = find(accounts, group);

	if (!account || !account->by_tgid)
		return -ENOENT;
	origin->at_ns = account->born_ns;
	origin->tgid = account->by_tgid;
	origin->tid = account->by_tid;
	memcpy(origin->comm, account->by_comm, sizeof(origin->comm));
	origin->comm[sizeof(origin->comm) - 1] = '\0';
	return 0;
}

void accounts_ignore(struct accounts *accounts, uint32_t tgid)
{
	accounts->skel->bss->ignored_tgid = tgid;
}

/* ---- single events */

int accounts_trace_fd(const struct accounts *accounts)
{
	return accounts->trace ? ring_buffer__epoll_fd(accounts->trace) : -1;
}

int accounts_trace(struct accounts *accounts, observe_take_fn *take, void *context)
{
	int nr;

	accounts->take = take;
	accounts->context = context;
	accounts->taken = 0;
	nr = ring_buffer__consume(accounts->trace);
	if (nr == -EAGAIN)
		return 1;
	if (time(NULL) != accounts->released_s) {
		accounts->released_s = time(NULL);
		release_dead(accounts);
	}
	return nr < 0 ? nr : 0;
}

uint64_t accounts_trace_lost(const struct accounts *accounts)
{
	return ((const uint64_t *)accounts->skel->bss->losses)[EVENT_RING_FULL];
}

void accounts_trace_losses(const struct accounts *accounts, struct trace_lost lost[TRACE_KINDS])
{
	memcpy(lost, accounts->skel->bss->trace_losses, TRACE_KINDS * sizeof(*lost));
}

/* ---- stores to a tail */

int accounts_find_page(void *context, struct ring_page *page)
{
	struct accounts *accounts = context;

	/* a program of this type answers in its arguments */
	return run_for(accounts->skel->progs.find_page, page, sizeof(*page));
}

int accounts_watch(struct accounts *accounts, const struct observe_watch *watch)
{
	accounts->skel->bss->watched_ring = watch ? watch->ring_id : 0;
	accounts->skel->bss->watched_bgid = watch ? watch->bgid : 0;
	return bpf_program__fd(accounts->skel->progs.on_store);
}
