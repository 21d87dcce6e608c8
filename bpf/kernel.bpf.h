/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel types that the programs read, written by hand: only the fields in use, every access
 * relocated by CO-RE to the running kernel. This list is also the list of layouts that bufscope
 * depends on. A structure that changed shape has a flavour, named after what differs; the choice
 * among flavours is made in compat.bpf.h.
 */
#ifndef BUFSCOPE_KERNEL_BPF_H
#define BUFSCOPE_KERNEL_BPF_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct signal_struct {
	struct pid *pids[2]; /* PIDTYPE_PID, PIDTYPE_TGID */
};

typedef struct {
	unsigned int val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct xarray {
	void *xa_head;
};

struct xa_node {
	unsigned char shift;
	unsigned char count;
	void *slots[64];
};

struct io_uring_task {
	struct task_struct *task;
	struct file *registered_rings[16];
	struct xarray xa;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct {
	int pid;
	int tgid;
	unsigned long nvcsw; /* how often it has slept */
	char comm[16];
	struct task_struct *real_parent;
	struct pid *thread_pid;
	struct signal_struct *signal;
	const struct cred *cred;
	struct files_struct *files;
	struct io_uring_task *io_uring;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct inode {
	unsigned long i_ino;
};

struct file {
	const void *f_op;
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct io_tctx_node {
	struct io_ring_ctx *ctx;
};

struct io_uring_buf {
	__u64 addr;
	__u32 len;
	__u16 bid;
	__u16 resv; /* of the first entry: the ring's tail */
};

struct list_head {
	struct list_head *next;
};

/* The first two words stand there under names and types that change: flags, compound_head. */
struct page {
	unsigned long flags;
};

enum pageflags {
	PG_head = 6,
};

struct folio {
	unsigned long _flags_1; /* lowest byte: the order, since 6.6 */
};

struct bio_vec {
	struct page *bv_page;
};

struct io_mapped_region {
	struct page **pages;
	unsigned int nr_pages;
	unsigned int flags;
};

/* The newest shape (6.16 and later); flag bits are told by user space, see knobs. */
struct io_buffer_list {
	struct list_head buf_list; /* legacy; a union with buf_ring, which lies behind buf_pages */
	void *buf_ring;            /* up to 6.12 */
	int nbufs;                 /* since 6.16: buffers on the legacy list */
	__u16 bgid;
	__u16 head;
	__u16 mask;
	__u16 flags; /* u8 in 6.12 */
	struct io_mapped_region region;
};

/* 6.9 ... 6.11: bytes instead of flags. */
struct io_buffer_list___isbufring {
	__u8 is_buf_ring;
	__u8 is_mmap;
};

/* 6.4 ... 6.8 */
struct io_buffer_list___ismapped {
	__u8 is_mapped;
	__u8 is_mmap;
};

/* up to 6.3: a ring is a group with pages; the pages themselves are there up to 6.12 */
struct io_buffer_list___pages {
	struct page **buf_pages;
	__u16 buf_nr_pages;
};

struct io_uring {
	__u32 head;
	__u32 tail;
};

struct io_rings {
	struct io_uring sq, cq;
	__u32 sq_ring_entries, cq_ring_entries;
	__u32 cq_overflow;
};

struct io_mapped_ubuf {
	__u64 ubuf;
	unsigned int len;
	unsigned int nr_bvecs;
	struct {
		struct {
			int counter;
		} refs;
	} refs; /* of tables that share it, since 6.12 */
	struct bio_vec bvec[1];
};

/* Up to 7.1: what it was charged as; later the ring remembers its huge pages. */
struct io_mapped_ubuf___acct {
	unsigned long acct_pages;
};

/* Up to 6.7: end instead of length. */
struct io_mapped_ubuf___end {
	__u64 ubuf_end;
};

struct io_rsrc_node {
	int refs;
	struct io_mapped_ubuf *buf;
};

struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes;
};

struct io_file_table {
	struct io_rsrc_data data; /* since 6.13 */
};

struct io_file_table___files {
	void *files; /* pointers, with flags in their low bits */
};

struct percpu_ref {
	unsigned long percpu_count_ptr;
};

struct user_struct {
	struct {
		__s64 counter;
	} locked_vm; /* pages */
	kuid_t uid;
};

struct io_wq_work_node {
	struct io_wq_work_node *next;
};

struct io_wq_work_list {
	struct io_wq_work_node *first;
};

struct io_submit_state {
	struct io_wq_work_list compl_reqs; /* whose completions are being posted */
	__u8 cq_flush; /* since 6.10: those of multishot requests wait for it, too */
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

struct io_hash_bucket {
	struct hlist_head list;
};

struct io_hash_table {
	struct io_hash_bucket *hbs;
	unsigned int hash_bits;
};

struct io_ring_ctx {
	struct percpu_ref refs;
	struct user_struct *user; /* NULL: its creator may lock what it likes */
	unsigned int flags;
	unsigned int sq_entries;
	unsigned int cq_entries;
	struct io_rings *rings;
	struct xarray io_bl_xa;
	struct io_rsrc_data buf_table; /* since 6.13 */
	struct task_struct *submitter_task;
	struct io_submit_state submit_state;
	struct io_hash_table cancel_table; /* requests that wait for their file */
	struct io_file_table file_table;
};

/* Before 6.13: registered files. */
struct io_ring_ctx___userfiles {
	struct io_file_table___files file_table;
	unsigned int nr_user_files;
};

/* Up to 6.13: those armed under the ring's lock have a table of their own. */
struct io_ring_ctx___locked {
	struct io_hash_table cancel_table_locked;
};

/* Since 6.13: its memory as regions. */
struct io_ring_ctx___regions {
	struct io_mapped_region sq_region;
	struct io_mapped_region ring_region;
	struct io_mapped_region param_region;
};

/* Since 7.2: the huge pages that it is charged with; the index is the address of the page. */
struct io_ring_ctx___hpages {
	struct xarray hpage_acct;
};

/* Where the entry that is being submitted lies. */
struct io_ring_ctx___sq {
	__u32 *sq_array;
	void *sq_sqes;
	unsigned int cached_sq_head;
};

/* Before 6.13: the table hangs on the ring itself. */
struct io_ring_ctx___userbufs {
	unsigned int nr_user_bufs;
	struct io_mapped_ubuf **user_bufs;
};

/* Before 6.9 (mainline commit 09ab7eff): groups 0 ... 63 live in an array of their own. */
struct io_ring_ctx___blarray {
	struct io_buffer_list *io_bl;
};

struct io_cqe {
	__u64 user_data;
	int res;
	__u32 flags;
	int fd; /* until the request completes */
};

/* Told apart by opcode, these lie at its start: io_sr_msg, io_rw, io_provide_buf. */
struct io_kiocb {
	struct file *file;
	__u8 opcode;
	__u16 buf_index;
	__u64 flags; /* u32 in 6.1 */
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
	struct io_wq_work_node comp_list; /* in io_submit_state.compl_reqs */
	struct hlist_node hash_node;      /* in io_ring_ctx.cancel_table */
	void *async_data;
	struct io_uring_task *tctx;     /* since 6.13, */
	struct io_rsrc_node *file_node; /* of a registered file, since then, too */
};

/* Before: the task itself. */
struct io_kiocb___task {
	struct task_struct *task;
};

/* Up to 6.16: the group that its buffer was picked from, until that is taken. */
struct io_kiocb___buflist {
	struct io_buffer_list *buf_list;
};

/* The wish of io_buffers_select() and io_buffers_peek(). */
struct buf_sel_arg {
	__u16 buf_group; /* since 6.16 */
};

struct io_sr_msg {
	__u32 len;
	__u32 msg_flags;
	__u16 flags;
	__u16 buf_group;
};

struct io_rw {
	__u64 addr;
	__u32 len;
};

struct io_async_rw {
	unsigned int buf_group; /* since 6.16 */
};

struct io_provide_buf {
	__u32 bgid;
	__u32 nbufs;
	__u16 bid;
};

struct io_uring_cqe {
	__u64 user_data;
	__s32 res;
	__u32 flags;
};

#define CQE_BUFFER   1
#define CQE_MORE     2
#define CQE_BUF_MORE 16

/* Arguments and results in registers. A structure of two words is returned in two of them. */
#if defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
};
#define PT_REG_ARG1(x)    BPF_CORE_READ((struct user_pt_regs *)(x), regs[0])
#define PT_REG_ARG2(x)    BPF_CORE_READ((struct user_pt_regs *)(x), regs[1])
#define PT_REG_ARG3(x)    BPF_CORE_READ((struct user_pt_regs *)(x), regs[2])
#define PT_REG_RESULT(x)  PT_REG_ARG1(x)
#define PT_REG_RESULT2(x) PT_REG_ARG2(x)
#else
struct pt_regs {
	unsigned long dx, si, di, ax;
};
#define PT_REG_ARG1(x)    BPF_CORE_READ((struct pt_regs *)(x), di)
#define PT_REG_ARG2(x)    BPF_CORE_READ((struct pt_regs *)(x), si)
#define PT_REG_ARG3(x)    BPF_CORE_READ((struct pt_regs *)(x), dx)
#define PT_REG_RESULT(x)  BPF_CORE_READ((struct pt_regs *)(x), ax)
#define PT_REG_RESULT2(x) PT_REG_ARG3(x)
#endif

#pragma clang attribute pop

#endif
