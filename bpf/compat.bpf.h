/* SPDX-License-Identifier: GPL-2.0 */
/* One accessor per difference between kernels; nobody else tests for the presence of fields. */
#ifndef BUFSCOPE_COMPAT_BPF_H
#define BUFSCOPE_COMPAT_BPF_H

#include "kernel.bpf.h"
#include "record.h"

/*
 * Flag bits of anonymous kernel enums, which CO-RE cannot relocate: user space finds them by
 * name in the kernel's BTF. 0: this kernel has no such bit. (IOBL_INC was 4 in 6.12 and is 2
 * since 6.16, where 2 had meant IOBL_MMAP.)
 */
const volatile __u32 iobl_buf_ring;
const volatile __u32 iobl_inc;
const volatile __u32 iobl_mmap;
const volatile __u32 io_region_user_provided;

/* What one io_buffer_list says, whatever its shape. */
struct bl_view {
	__u64 ring; /* kernel mapping of the buffer ring, or the legacy list's head */
	__u32 kind; /* enum group_kind */
	__u32 entries;
	__u32 nbufs; /* legacy: buffers on the list, REC_UNKNOWN_U32 when it must be walked */
	__u16 head;
	__u16 bgid;
	__u16 raw_flags;
};

/*
 * One copy of the structure, then constant offsets: a group costs one probe read however many
 * fields are wanted. No kernel's structure is larger than this.
 */
#define BL_RAW_MAX 96

struct bl_raw {
	__u8 bytes[BL_RAW_MAX];
} __attribute__((aligned(8)));

#define bl_has(type, field) bpf_core_field_exists(struct type, field)

/* A field of the copy, of 1, 2 or 4 bytes. */
#define bl_get(type, field)                                                                        \
	({                                                                                         \
		__u32 off_ = bpf_core_field_offset(struct type, field);                            \
		__u32 size_ = bpf_core_field_size(struct type, field);                             \
		__u32 value_ = 0;                                                                  \
		if (off_ + 4 <= BL_RAW_MAX) {                                                      \
			if (size_ == 1)                                                            \
				value_ = raw->bytes[off_];                                         \
			else if (size_ == 2)                                                       \
				value_ = *(__u16 *)(raw->bytes + off_);                            \
			else                                                                       \
				value_ = *(__u32 *)(raw->bytes + off_);                            \
		}                                                                                  \
		value_;                                                                            \
	})

static __always_inline __u32 bl_kind_by_flags(struct bl_view *view, const struct bl_raw *raw)
{
	__u32 flags = bl_get(io_buffer_list, flags);
	__u32 is_mmap = flags & iobl_mmap;

	view->raw_flags = flags & ~(iobl_buf_ring | iobl_inc | iobl_mmap);
	if (!(flags & iobl_buf_ring))
		return GROUP_LEGACY;
	if (bl_has(io_buffer_list, region))
		is_mmap = !(bl_get(io_buffer_list, region.flags) & io_region_user_provided);
	if (flags & iobl_inc)
		return is_mmap ? GROUP_INC_MMAP : GROUP_INC;
	return is_mmap ? GROUP_MMAP : GROUP_RING;
}

/* The ways to tell a ring, newest first; each kernel has exactly one of them. */
static __always_inline __u32 bl_kind(struct bl_view *view, const struct bl_raw *raw)
{
	if (bl_has(io_buffer_list, flags))
		return bl_kind_by_flags(view, raw);
	if (bl_has(io_buffer_list___isbufring, is_buf_ring)) {
		if (!bl_get(io_buffer_list___isbufring, is_buf_ring))
			return GROUP_LEGACY;
		return bl_get(io_buffer_list___isbufring, is_mmap) ? GROUP_MMAP : GROUP_RING;
	}
	if (bl_has(io_buffer_list___ismapped, is_mapped)) {
		if (!bl_get(io_buffer_list___ismapped, is_mapped))
			return GROUP_LEGACY;
		return bl_get(io_buffer_list___ismapped, is_mmap) ? GROUP_MMAP : GROUP_RING;
	}
	return bl_get(io_buffer_list___pages, buf_nr_pages) ? GROUP_RING : GROUP_LEGACY;
}

static __always_inline __u64 bl_get_pointer(const struct bl_raw *raw, __u32 offset)
{
	return offset + 8 <= BL_RAW_MAX ? *(__u64 *)(raw->bytes + offset) : 0;
}

/*
 * An empty legacy list points at itself, or nowhere before its first use. Its first pointer is
 * asked for, not the list: libbpf takes no relocation of a field whose size is not the kernel's.
 */
static __always_inline int bl_read(__u64 bl, struct bl_view *view, struct bl_raw *raw)
{
	__u32 size = bpf_core_type_size(struct io_buffer_list);

	if (size > BL_RAW_MAX)
		size = BL_RAW_MAX;
	if (bpf_probe_read_kernel(raw->bytes, size, (void *)bl))
		return -1;
	view->ring = bl_get_pointer(raw, bpf_core_field_offset(struct io_buffer_list, buf_ring));
	view->bgid = bl_get(io_buffer_list, bgid);
	view->head = bl_get(io_buffer_list, head);
	view->raw_flags = 0;
	view->kind = bl_kind(view, raw);
	view->entries = 0;
	view->nbufs = REC_UNKNOWN_U32;
	if (view->kind != GROUP_LEGACY) {
		/* nr_entries is gone since 7.1, mask is there on every kernel */
		view->entries = bl_get(io_buffer_list, mask) + 1;
		return 0;
	}
	view->ring =
		bl_get_pointer(raw, bpf_core_field_offset(struct io_buffer_list, buf_list.next));
	if (bl_has(io_buffer_list, nbufs))
		view->nbufs = bl_get(io_buffer_list, nbufs);
	else if (!view->ring || view->ring == bl)
		view->nbufs = 0;
	return 0;
}

/* The kernel's own name of the first page of a buffer ring; 0 where it keeps none. */
static __always_inline __u64 bl_first_page(__u64 bl)
{
	struct page **pages = NULL, *first = NULL;

	if (bl_has(io_buffer_list, region))
		pages = BPF_CORE_READ((struct io_buffer_list *)bl, region.pages);
	else if (bl_has(io_buffer_list___pages, buf_pages))
		pages = BPF_CORE_READ((struct io_buffer_list___pages *)bl, buf_pages);
	if (pages)
		bpf_probe_read_kernel(&first, sizeof(first), pages);
	return (__u64)first;
}

/*
 * Always 0, which no verifier knows. Old ones (seen: 6.1) pass the function of a loop once, with
 * what its numbers are before the first call, and take out the branches that are not taken then:
 * numbers on the stack that such a function changes and that a branch depends on begin with this.
 */
__u32 nothing;

struct legacy_walk {
	__u64 head;
	__u64 at;
	__u32 count;
	__u32 done;
};

static long legacy_step(__u32 i, struct legacy_walk *walk)
{
	struct list_head *node = (void *)walk->at;

	if (walk->at == walk->head) {
		walk->done = 1;
		return 1;
	}
	walk->count++;
	walk->at = (__u64)BPF_CORE_READ(node, next);
	return !walk->at;
}

/*
 * Buffers on a legacy list. Before 6.16 nobody counts them, and more than 65536 may be there;
 * REC_UNKNOWN_U32: too many, or the list changed under us.
 */
static __always_inline __u32 bl_legacy_nbufs(__u64 bl, const struct bl_view *view)
{
	struct legacy_walk walk = {.head = bl, .at = view->ring, .count = nothing, .done = nothing};

	if (view->nbufs != REC_UNKNOWN_U32)
		return view->nbufs;
	bpf_loop(1 << 20, legacy_step, &walk, 0);
	return walk.done ? walk.count : REC_UNKNOWN_U32;
}

/* Up to 6.8 a user ring is mapped for the kernel page by page: only the first is in reach. */
static __always_inline __u32 ring_slots_in_reach(__u32 kind)
{
	if (bl_has(io_ring_ctx___blarray, io_bl) && kind == GROUP_RING)
		return 4096 / sizeof(struct io_uring_buf);
	return 32768;
}

/* The array of groups 0 ... 63 of old kernels; 0 where there is none. */
static __always_inline __u64 ctx_bl_array(struct io_ring_ctx *ring)
{
	if (!bl_has(io_ring_ctx___blarray, io_bl))
		return 0;
	return (__u64)BPF_CORE_READ((struct io_ring_ctx___blarray *)ring, io_bl);
}

/* The group of this id; 0: there is none. At most three levels of nodes lead to a 16-bit key. */
static __always_inline __u64 ctx_find_bl(struct io_ring_ctx *ring, __u32 bgid)
{
	__u64 array = ctx_bl_array(ring);
	__u64 entry = (__u64)BPF_CORE_READ(ring, io_bl_xa.xa_head);

	if (array && bgid < 64)
		return array + bgid * bpf_core_type_size(struct io_buffer_list);
	for (int i = 0; i < 4; i++) {
		struct xa_node *node = (void *)(entry - 2);
		__u32 slot;

		if ((entry & 3) != 2 || entry <= 4096)
			break;
		slot = bgid >> BPF_CORE_READ(node, shift);
		if (i == 0 && slot > 63)
			return 0;
		entry = (__u64)BPF_CORE_READ(node, slots[slot & 63]);
		if (!entry)
			return 0;
		if ((entry & 3) == 0)
			return entry;
	}
	/* an entry without any node is the one of index 0 */
	return (entry & 3) == 0 && bgid == 0 ? entry : 0;
}

/* The number by which the pid namespace of that level knows a process; 0: it does not. */
static __always_inline __u32 pid_in(struct pid *pid, __u32 level)
{
	__u64 at = (__u64)pid + bpf_core_field_offset(struct pid, numbers) +
		   (__u64)level * bpf_core_type_size(struct upid);
	__u32 nr = 0;

	if (level > BPF_CORE_READ(pid, level))
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)at);
	return nr;
}

/* Whether a task is of that process or of one that it started; 0 is nobody's number. */
static __always_inline int is_of(struct task_struct *task, __u32 tgid, __u32 level)
{
	return tgid && (pid_in(BPF_CORE_READ(task, signal, pids[1]), level) == tgid ||
			pid_in(BPF_CORE_READ(task, real_parent, signal, pids[1]), level) == tgid);
}

/* The last file is closed, the ring is being torn down: bit 1 of the reference's pointer. */
static __always_inline int ctx_is_dying(struct io_ring_ctx *ring)
{
	return (BPF_CORE_READ(ring, refs.percpu_count_ptr) & 2) != 0;
}

/* Of the current task; NULL: there is none, or it cannot be read. */
static __always_inline struct file *current_file(__u32 fd)
{
	const struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
	struct file *file = NULL;

	if (fd < table->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), (void *)(table->fd + fd));
	return file;
}

struct table_view {
	__u64 slots; /* array of pointers */
	__u32 nr;
};

/* A slot points to a node, which points to the buffer. A constant: older kernels lack the type. */
static __always_inline int table_has_nodes(void)
{
	return bl_has(io_ring_ctx, buf_table);
}

static __always_inline void ctx_table(struct io_ring_ctx *ring, struct table_view *view)
{
	if (table_has_nodes()) {
		view->nr = BPF_CORE_READ(ring, buf_table.nr);
		view->slots = (__u64)BPF_CORE_READ(ring, buf_table.nodes);
		return;
	}
	view->nr = BPF_CORE_READ((struct io_ring_ctx___userbufs *)ring, nr_user_bufs);
	view->slots = (__u64)BPF_CORE_READ((struct io_ring_ctx___userbufs *)ring, user_bufs);
}

/* Memory of the SQ and the CQ, and other memory that was registered with the ring; pages. */
static __always_inline __u32 ctx_queue_pages(struct io_ring_ctx *ring)
{
	struct io_ring_ctx___regions *r = (void *)ring;

	if (!bl_has(io_ring_ctx___regions, ring_region))
		return 0;
	return BPF_CORE_READ(r, ring_region.nr_pages) + BPF_CORE_READ(r, sq_region.nr_pages);
}

static __always_inline __u32 ctx_region_pages(struct io_ring_ctx *ring)
{
	if (!bl_has(io_ring_ctx___regions, param_region))
		return 0;
	return BPF_CORE_READ((struct io_ring_ctx___regions *)ring, param_region.nr_pages);
}

/* Head of the xarray of the huge pages that a ring is charged with; 0: none, or before 7.2. */
static __always_inline __u64 ctx_huge_pages(struct io_ring_ctx *ring)
{
	if (!bl_has(io_ring_ctx___hpages, hpage_acct))
		return 0;
	return (__u64)BPF_CORE_READ((struct io_ring_ctx___hpages *)ring, hpage_acct.xa_head);
}

static __always_inline __u64 huge_page_pages(__u64 page)
{
	return 1ULL << (BPF_CORE_READ((struct folio *)page, _flags_1) & 31);
}

static __always_inline int page_is_compound(struct page *page)
{
	__u64 words[2] = {0}; /* flags; bit 0 of the other: a tail */

	bpf_probe_read_kernel(words, sizeof(words), page);
	return (words[1] & 1) || (words[0] >> bpf_core_enum_value(enum pageflags, PG_head) & 1);
}

/*
 * Pages that a registered buffer is charged as. Since 7.2 that is not kept, and those of huge
 * pages are the ring's to tell.
 */
static __always_inline __u64 ubuf_pages(__u64 address)
{
	struct io_mapped_ubuf *ubuf = (void *)address;

	if (bl_has(io_mapped_ubuf___acct, acct_pages))
		return BPF_CORE_READ((struct io_mapped_ubuf___acct *)ubuf, acct_pages);
	if (page_is_compound(BPF_CORE_READ(ubuf, bvec[0].bv_page)))
		return 0;
	return BPF_CORE_READ(ubuf, nr_bvecs);
}

/* How many tables it is in: they were charged once for all. */
static __always_inline __u32 ubuf_sharers(__u64 address)
{
	__u32 refs = 1;

	if (bl_has(io_mapped_ubuf, refs))
		refs = BPF_CORE_READ((struct io_mapped_ubuf *)address, refs.refs.counter);
	return refs ? refs : 1;
}

/* Bytes of a registered buffer; an empty slot of old kernels is a dummy that starts at ~0. */
static __always_inline int ubuf_bytes(__u64 address, __u64 *bytes)
{
	struct io_mapped_ubuf *ubuf = (void *)address;
	__u64 start = BPF_CORE_READ(ubuf, ubuf);

	*bytes = 0;
	if (start == ~0ULL)
		return 0;
	if (!bl_has(io_mapped_ubuf, len))
		*bytes = BPF_CORE_READ((struct io_mapped_ubuf___end *)ubuf, ubuf_end) - start;
	else /* __u32, size_t since 7.2 */
		*bytes = BPF_CORE_READ_BITFIELD_PROBED(ubuf, len);
	return 1;
}

#endif
