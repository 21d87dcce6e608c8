// SPDX-License-Identifier: GPL-2.0
/*
 * What rings and groups exist now? Two iterators: every file descriptor of every process, then
 * every task's own account of the rings it uses, for those that no descriptor shows. Records go
 * to two arrays that user space maps; a full array is counted, never an error, so that user space
 * can come again with a larger one. Iterators run one at a time: plain globals hold the state.
 */
#include "kernel.bpf.h"
#include "compat.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* ---- knobs */
const volatile __u32 max_rings;
const volatile __u32 max_groups;
const volatile __u32 scan_entries; /* rings and tables of up to so many slots are read whole */
const volatile __u32 nr_tgids;     /* 0: all processes */
const volatile __s32 only_bgid = -1;

/* ---- output; nr_ counts what was found, also beyond the end of the array */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ring_rec);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct group_rec);
} groups SEC(".maps");

/* The table of the one ring that user space asked for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_FIXED_SLOTS);
	__type(key, __u32);
	__type(value, struct fixed_slot);
} fixed_slots SEC(".maps");

__u64 fixed_ring;      /* in; 0: of none */
__u32 nr_fixed_slots;  /* out; also those beyond the array */
__u32 has_fixed_slots; /* out: the ring was met, and its table read */

/* Set by user space before each pass, read by it afterwards. */
__u32 pass;
__u32 nr_rings;
__u32 nr_groups;
__u64 walk_losses;
__u32 ignored_tgid; /* of a process that is left out with all that it started; 0: none is */

/* Told by the learning pass over our own process: what io_uring files look like. */
__u64 ring_fops;
__u32 pid_level;

/* ---- state */
struct sighting {
	__u32 pass;
	__u32 index; /* into rings */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64); /* ring_id */
	__type(value, struct sighting);
} sightings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u8);
} tgids SEC(".maps");

static __always_inline __u32 tgid_of(struct task_struct *task)
{
	return pid_in(BPF_CORE_READ(task, signal, pids[1]), pid_level);
}

/* ---- a buffer ring, read whole: who is in the group, who is out */

#define NR_BIDS     65536
#define CHUNK_SLOTS 64

/* Which scan saw a bid last, and where: even stamps in the group, odd ones outside. */
static __u32 bid_stamps[NR_BIDS];
static __u32 scan_stamp;
static struct io_uring_buf chunk[CHUNK_SLOTS];

/* Not on the stack, where each step's numbers would be known, and new to the verifier. */
static struct scan {
	__u64 ring;
	__u32 entries;
	__u32 head;
	__u32 available;
	__u32 inside;  /* distinct bids in the group */
	__u32 outside; /* distinct bids that only slots outside head ... tail remember */
	__u32 last;    /* highest bid seen */
	__u32 largest;
	__u32 failed;
	__u32 first; /* slot of the chunk */
} scan;

/*
 * A slot outside head ... tail remembers the last entry written to it: its bid is out unless the
 * group has it elsewhere. Counted in slot order, whichever of the two is met first.
 */
static long scan_slot(__u32 i, void *unused)
{
	struct io_uring_buf *entry = &chunk[i & (CHUNK_SLOTS - 1)];
	__u32 *stamp = &bid_stamps[entry->bid];
	int is_in = ((scan.first + i - scan.head) & (scan.entries - 1)) < scan.available;

	if (!entry->addr && !entry->len)
		return 0;
	if (entry->len > scan.largest)
		scan.largest = entry->len;
	if (entry->bid > scan.last)
		scan.last = entry->bid;
	if (is_in && *stamp != scan_stamp) {
		if (*stamp == scan_stamp + 1)
			scan.outside--;
		*stamp = scan_stamp;
		scan.inside++;
	} else if (!is_in && *stamp != scan_stamp && *stamp != scan_stamp + 1) {
		*stamp = scan_stamp + 1;
		scan.outside++;
	}
	return 0;
}

static long scan_chunk(__u32 i, void *unused)
{
	__u32 slots;

	scan.first = i * CHUNK_SLOTS;
	slots = scan.entries - scan.first;
	barrier_var(slots); /* else old verifiers lose the bound of what is read here again */
	if (slots > CHUNK_SLOTS)
		slots = CHUNK_SLOTS;
	if (bpf_probe_read_kernel(chunk, slots * sizeof(chunk[0]),
				  (void *)(scan.ring + scan.first * sizeof(chunk[0])))) {
		scan.failed = 1;
		return 1;
	}
	bpf_loop(slots, scan_slot, NULL, 0);
	return 0;
}

/*
 * A bid that stays out while the ring turns is overwritten everywhere: the slots alone tell a
 * lower bound. Where bids are those of an array of buffers, 0 to at most the ring's size, each
 * one up to the highest exists, and what is not in the group is out.
 */
static __always_inline void tell_held(struct group_rec *rec)
{
	__u32 exist = scan.last + 1;

	if (scan.inside + scan.outside == 0)
		rec->held = 0;
	else if (exist > scan.entries || exist < scan.inside + scan.outside)
		rec->held_least = 1 + scan.outside;
	else
		rec->held = exist - scan.inside;
}

static __always_inline void scan_ring(struct group_rec *rec, const struct bl_view *view)
{
	__builtin_memset(&scan, 0, sizeof(scan));
	scan.ring = view->ring;
	scan.entries = view->entries;
	scan.head = view->head;
	scan.available = rec->available;
	scan_stamp += 2;
	bpf_loop((view->entries + CHUNK_SLOTS - 1) / CHUNK_SLOTS, scan_chunk, NULL, 0);
	if (scan.failed) {
		walk_losses++;
		return;
	}
	tell_held(rec);
	rec->buf_bytes = scan.largest;
}

static __always_inline void read_ring(struct group_rec *rec, const struct bl_view *view)
{
	struct io_uring_buf first;

	rec->entries = view->entries;
	rec->head = view->head;
	rec->mem_bytes = (__u64)view->entries * sizeof(first);
	if (bpf_probe_read_kernel(&first, sizeof(first), (void *)view->ring)) {
		rec->available = REC_UNKNOWN_U32;
		return;
	}
	rec->tail = first.resv;
	rec->available = (__u16)(rec->tail - rec->head);
	rec->buf_bytes = first.len;
	if (view->entries <= scan_entries && view->entries <= ring_slots_in_reach(view->kind))
		scan_ring(rec, view);
}

static __always_inline void read_legacy(struct group_rec *rec, const struct bl_view *view, __u64 bl)
{
	rec->available = bl_legacy_nbufs(bl, view);
	if (rec->available == REC_UNKNOWN_U32)
		walk_losses++;
}

/* Not on the stack: the walks below dump_tasks() are deep, and 512 bytes must do for all. */
static struct bl_raw raw;

/* A record for one group, NULL if it is not wanted or there is no room. */
static __always_inline struct group_rec *new_group(__u32 bgid)
{
	__u32 index;

	if (only_bgid >= 0 && bgid != only_bgid)
		return NULL;
	index = nr_groups++;
	return index < max_groups ? bpf_map_lookup_elem(&groups, &index) : NULL;
}

/*
 * in_array: an element of the old array, where an empty list means that there is no group.
 * Global, so that the verifier looks at it once, not at each call.
 */
__noinline int visit_group(__u64 ring_id, __u64 bl, int in_array)
{
	struct bl_view view;
	struct group_rec *rec;

	if (bl_read(bl, &view, &raw)) {
		walk_losses++;
		return 0;
	}
	if (in_array && view.kind == GROUP_LEGACY && view.nbufs == 0)
		return 0;
	rec = new_group(view.bgid);
	if (!rec)
		return 1;
	rec->ring_id = ring_id;
	rec->bgid = view.bgid;
	rec->kind = view.kind;
	rec->raw_flags = view.raw_flags;
	rec->entries = 0;
	rec->head = rec->tail = 0;
	rec->held = rec->buf_bytes = REC_UNKNOWN_U32;
	rec->mem_bytes = 0;
	rec->held_least = 0;
	if (view.kind == GROUP_LEGACY)
		read_legacy(rec, &view, bl);
	else
		read_ring(rec, &view);
	return 1;
}

/* ---- xarrays */

/*
 * Depth-first over any xarray: groups by bgid (3 levels), a task's rings by address (11). An
 * entry's low bits tell what it is: 00 a pointer, 10 and above 4096 an inner node, 1 a value.
 */
#define WALK_LEVELS    16
#define WALK_MAX_STEPS (1 << 20)
#define XA_SLOTS       64

/* A node's slots are copied when it is entered: one read instead of 64. */
struct walk {
	__u64 slots[WALK_LEVELS * XA_SLOTS];
	__u32 next[WALK_LEVELS]; /* slot to look at next, from the outermost node on */
	__u32 depth;             /* 0: nothing left */
};

static struct walk group_walk;
static __u64 group_walk_ring;
static __u32 group_walk_found;
static struct walk task_walk;

static __always_inline int is_node(__u64 entry)
{
	return (entry & 3) == 2 && entry > 4096;
}

static __always_inline void walk_down(struct walk *walk, __u64 node)
{
	__u32 level = walk->depth & (WALK_LEVELS - 1);
	__u64 at = node - 2 + bpf_core_field_offset(struct xa_node, slots);

	if (walk->depth >= WALK_LEVELS ||
	    bpf_probe_read_kernel(&walk->slots[level * XA_SLOTS], XA_SLOTS * sizeof(__u64),
				  (void *)at)) {
		walk_losses++;
		return;
	}
	walk->next[level] = 0;
	walk->depth++;
}

/* The sole entry of an xarray that has no node, else 0 with the walk ready to step. */
static __always_inline __u64 walk_begin(struct walk *walk, __u64 head)
{
	walk->depth = 0;
	if (is_node(head))
		walk_down(walk, head);
	else if (head && (head & 3) == 0)
		return head;
	return 0;
}

/* The barrier keeps the mask: verifiers up to 6.1 lose the bounds of an index that was or-ed. */
static __always_inline __u64 *slot_at(struct walk *walk, __u32 level, __u32 slot)
{
	__u32 at = level * XA_SLOTS + slot;

	barrier_var(at);
	return &walk->slots[at & (WALK_LEVELS * XA_SLOTS - 1)];
}

/* On to the next used slot: an entry, or 0 when that was an inner node or the node is done. */
static __always_inline __u64 walk_step(struct walk *walk)
{
	__u32 level = (walk->depth - 1) & (WALK_LEVELS - 1);
	__u32 slot = walk->next[level];
	__u64 entry = 0;

	for (int i = 0; i < XA_SLOTS && slot < XA_SLOTS && !entry; i++)
		entry = *slot_at(walk, level, slot++);
	walk->next[level] = slot;
	if (!entry) {
		walk->depth--;
		return 0;
	}
	if (is_node(entry)) {
		walk_down(walk, entry);
		return 0;
	}
	return (entry & 3) != 2 ? entry : 0;
}

/* Of the entry that the last step found. */
static __always_inline __u64 walk_index(const struct walk *walk)
{
	__u64 index = 0;

	for (__u32 level = 0; level < WALK_LEVELS && level < walk->depth; level++)
		index = index << 6 | ((walk->next[level] - 1) & (XA_SLOTS - 1));
	return index;
}

static long group_step(__u32 i, void *unused)
{
	__u64 entry;

	if (!group_walk.depth)
		return 1;
	entry = walk_step(&group_walk);
	if (entry)
		group_walk_found += visit_group(group_walk_ring, entry, 0);
	return 0;
}

static long array_step(__u32 i, __u64 *array)
{
	__u64 bl = *array + (__u64)i * bpf_core_type_size(struct io_buffer_list);

	group_walk_found += visit_group(group_walk_ring, bl, 1);
	return 0;
}

__noinline int visit_groups(__u64 ring_id)
{
	struct io_ring_ctx *ring = (void *)ring_id;
	__u64 array = ctx_bl_array(ring);
	__u64 sole;

	group_walk_ring = ring_id;
	group_walk_found = 0;
	if (array)
		bpf_loop(64, array_step, &array, 0);
	sole = walk_begin(&group_walk, (__u64)BPF_CORE_READ(ring, io_bl_xa.xa_head));
	if (sole)
		group_walk_found += visit_group(ring_id, sole, 0);
	else if (group_walk.depth)
		bpf_loop(WALK_MAX_STEPS, group_step, NULL, 0);
	return group_walk_found;
}

/* ---- the table of fixed buffers */

static struct table_scan {
	struct table_view view;
	__u64 bytes;
	__u64 locked; /* in 2^-20 of a page: tables that share a buffer share its charge */
	__u32 registered;
	__u32 in_flight;
	__u32 is_told; /* slot by slot */
} table;

/* Not on the stack, which is short of room here. */
static __u32 fixed_index;

static __always_inline void tell_slot(__u32 i, __u64 bytes, __u32 in_flight)
{
	struct fixed_slot *slot;

	fixed_index = i;
	slot = bpf_map_lookup_elem(&fixed_slots, &fixed_index);
	if (!slot)
		return;
	slot->bytes = bytes;
	slot->in_flight = in_flight;
}

static long table_slot(__u32 i, void *unused)
{
	__u64 entry = 0, bytes;
	__u32 refs = 1;

	if (table.is_told)
		tell_slot(i, 0, 0);
	bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(table.view.slots + i * 8ULL));
	if (!entry)
		return 0;
	if (table_has_nodes()) {
		refs = BPF_CORE_READ((struct io_rsrc_node *)entry, refs);
		entry = (__u64)BPF_CORE_READ((struct io_rsrc_node *)entry, buf);
	}
	if (!ubuf_bytes(entry, &bytes))
		return 0;
	table.registered++;
	table.bytes += bytes;
	table.locked += (ubuf_pages(entry) << 20) / ubuf_sharers(entry);
	table.in_flight += refs - 1; /* the table holds one reference, each request another */
	if (table.is_told)
		tell_slot(i, bytes, table_has_nodes() ? refs - 1 : REC_UNKNOWN_U32);
	return 0;
}

static long huge_page_step(__u32 i, __u64 *pages)
{
	if (!group_walk.depth)
		return 1;
	if (walk_step(&group_walk))
		*pages += huge_page_pages(walk_index(&group_walk));
	return 0;
}

static __always_inline __u64 count_huge_pages(struct io_ring_ctx *ring)
{
	__u64 head = ctx_huge_pages(ring), pages = 0;

	walk_begin(&group_walk, head);
	if (group_walk.depth)
		bpf_loop(WALK_MAX_STEPS, huge_page_step, &pages, 0);
	return pages;
}

static __always_inline void read_table(struct ring_rec *rec, struct io_ring_ctx *ring)
{
	__builtin_memset(&table, 0, sizeof(table));
	ctx_table(ring, &table.view);
	rec->table_entries = table.view.nr;
	rec->table_registered = rec->table_in_flight = REC_UNKNOWN_U32;
	rec->table_locked_bytes = ~0ULL;
	if (table.view.nr > scan_entries)
		return;
	if (rec->ring_id == fixed_ring) {
		table.is_told = 1;
		nr_fixed_slots = table.view.nr;
		has_fixed_slots = 1;
	}
	bpf_loop(table.view.nr, table_slot, NULL, 0);
	rec->table_registered = table.registered;
	rec->table_bytes = table.bytes;
	rec->table_locked_bytes = table.locked + (count_huge_pages(ring) << 20);
	/* before 6.13 a request holds the table, not the slot */
	if (table_has_nodes())
		rec->table_in_flight = table.in_flight;
}

/* ---- rings */

static __always_inline void read_ring_ctx(struct ring_rec *rec, struct io_ring_ctx *ring)
{
	struct io_rings *shared = BPF_CORE_READ(ring, rings);

	rec->charged_uid = REC_UNKNOWN_U32;
	if (bpf_core_field_exists(ring->user) && BPF_CORE_READ(ring, user)) {
		rec->locked_bytes = BPF_CORE_READ(ring, user, locked_vm.counter);
		rec->charged_uid = BPF_CORE_READ(ring, user, uid.val);
	}
	rec->queue_bytes = ctx_queue_pages(ring);
	rec->region_bytes = ctx_region_pages(ring);
	rec->setup_flags = BPF_CORE_READ(ring, flags);
	rec->sq_entries = BPF_CORE_READ(ring, sq_entries);
	rec->cq_entries = BPF_CORE_READ(ring, cq_entries);
	rec->sq_head = BPF_CORE_READ(shared, sq.head);
	rec->sq_tail = BPF_CORE_READ(shared, sq.tail);
	rec->cq_head = BPF_CORE_READ(shared, cq.head);
	rec->cq_tail = BPF_CORE_READ(shared, cq.tail);
	rec->cq_overflow = BPF_CORE_READ(shared, cq_overflow);
	read_table(rec, ring);
	rec->nr_groups = visit_groups((__u64)ring);
}

/*
 * Whose ring is being looked at; as a number, since a global function is told no pointers of the
 * kernel's.
 */
static __u64 whose;

static __always_inline void read_task(struct ring_rec *rec)
{
	struct task_struct *task = (void *)whose;

	rec->tgid = tgid_of(task);
	rec->tid = pid_in(BPF_CORE_READ(task, thread_pid), pid_level);
	rec->uid = BPF_CORE_READ(task, cred, uid.val);
	bpf_core_read(rec->comm, sizeof(rec->comm), &task->comm);
}

/* True when this pass has met the ring before; that record is then told of the new sighting. */
static __always_inline int seen_before(__u64 ring_id, __u32 how)
{
	struct sighting *sighting = bpf_map_lookup_elem(&sightings, &ring_id);
	struct ring_rec *rec;

	if (!sighting || sighting->pass != pass)
		return 0;
	rec = bpf_map_lookup_elem(&rings, &sighting->index);
	if (rec) {
		rec->seen |= how;
		rec->sightings += how == SEEN_FD;
	}
	return 1;
}

static __always_inline void new_ring(__u64 ring_id, __s32 fd)
{
	struct sighting sighting = {.pass = pass};
	struct ring_rec *rec;

	sighting.index = nr_rings++;
	if (sighting.index >= max_rings)
		return;
	rec = bpf_map_lookup_elem(&rings, &sighting.index);
	if (!rec)
		return;
	__builtin_memset(rec, 0, sizeof(*rec));
	rec->ring_id = ring_id;
	rec->fd = fd;
	read_task(rec);
	read_ring_ctx(rec, (void *)ring_id);
	bpf_map_update_elem(&sightings, &ring_id, &sighting, BPF_ANY);
}

/* Global, as it is called from many places: the verifier looks at it once. */
__noinline int sight(__u64 ring_id, __s32 fd, __u32 how)
{
	if (!ring_id || seen_before(ring_id, how) || ctx_is_dying((void *)ring_id))
		return 0;
	new_ring(ring_id, fd);
	seen_before(ring_id, how);
	return 0;
}

static __always_inline int is_wanted(struct task_struct *task)
{
	__u32 tgid;

	if (!nr_tgids)
		return !is_of(task, ignored_tgid, pid_level);
	tgid = tgid_of(task);
	return bpf_map_lookup_elem(&tgids, &tgid) != NULL;
}

/* anon_inode names can only be imitated by other anonymous inodes; f_op, once learnt, cannot. */
static __always_inline int is_ring_file(struct file *file)
{
	char name[12];

	if (ring_fops)
		return (__u64)BPF_CORE_READ(file, f_op) == ring_fops;
	if (bpf_probe_read_kernel_str(name, sizeof(name),
				      BPF_CORE_READ(file, f_path.dentry, d_name.name)) != 11)
		return 0;
	return bpf_strncmp(name, 11, "[io_uring]") == 0;
}

SEC("iter/task_file")
int dump_files(struct bpf_iter__task_file *iter)
{
	struct file *file = iter->file;
	struct task_struct *task = iter->task;

	if (!file || !task || !is_ring_file(file) || !is_wanted(task))
		return 0;
	whose = (__u64)task;
	sight((__u64)BPF_CORE_READ(file, private_data), iter->fd, SEEN_FD);
	return 0;
}

/* Run once, over the observer's own process with one ring open. */
SEC("iter/task_file")
int learn_own_ring(struct bpf_iter__task_file *iter)
{
	struct file *file = iter->file;
	struct task_struct *task = iter->task;

	if (!file || !task)
		return 0;
	pid_level = BPF_CORE_READ(task, thread_pid, level) & 31;
	if (!ring_fops && is_ring_file(file))
		ring_fops = (__u64)BPF_CORE_READ(file, f_op);
	return 0;
}

static __always_inline void sight_node(__u64 node)
{
	sight((__u64)BPF_CORE_READ((struct io_tctx_node *)node, ctx), -1, SEEN_TASK);
}

static long task_ring_step(__u32 i, void *unused)
{
	__u64 entry;

	if (!task_walk.depth)
		return 1;
	entry = walk_step(&task_walk);
	if (entry)
		sight_node(entry);
	return 0;
}

/* Rings that no descriptor shows: registered ones whose fd is closed, or that never had one. */
SEC("iter/task")
int dump_tasks(struct bpf_iter__task *iter)
{
	struct task_struct *task = iter->task;
	struct io_uring_task *own;
	__u64 sole;

	if (!task)
		return 0;
	own = BPF_CORE_READ(task, io_uring);
	if (!own || !is_wanted(task))
		return 0;
	whose = (__u64)task;
	for (int i = 0; i < 16; i++) {
		struct file *file = BPF_CORE_READ(own, registered_rings[i]);

		if (file)
			sight((__u64)BPF_CORE_READ(file, private_data), -1, SEEN_REGISTERED);
	}
	sole = walk_begin(&task_walk, (__u64)BPF_CORE_READ(own, xa.xa_head));
	if (sole)
		sight_node(sole);
	else if (task_walk.depth)
		bpf_loop(WALK_MAX_STEPS, task_ring_step, NULL, 0);
	return 0;
}
