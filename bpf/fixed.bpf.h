/* SPDX-License-Identifier: GPL-2.0 */
/* Requests on registered buffers that failed: what each asked for, and what it could have had. */
#ifndef BUFSCOPE_FIXED_BPF_H
#define BUFSCOPE_FIXED_BPF_H

#include "evidence.bpf.h"
#include "requests.bpf.h"

struct fixed_io {
	__u64 ring_id;
	__u64 addr;
	__u32 len;
	__u32 slot;
	__s32 fd;
	__u32 opcode;
};

/* It failed with -EFAULT: what it asked for, and what it could have had. */
static __noinline int tell_fixed(const struct fixed_io *io)
{
	struct table_view table = {};
	struct trace_rec *rec;
	__u64 entry = 0, bytes = 0;

	if (!is_traced(TRACE_DONE, BAD_MEMORY) || !is_wanted(only_bgid))
		return 0;
	rec = trace_begin(TRACE_DONE, io->ring_id, 0, io->len);
	if (!rec)
		return 0;
	ctx_table((void *)io->ring_id, &table);
	rec->flags = TRACE_TABLE;
	rec->opcode = io->opcode;
	rec->fd = io->fd;
	rec->res = BAD_MEMORY;
	rec->user_data = io->addr;
	rec->bid = io->slot;
	rec->available = table.nr;
	if (io->slot < table.nr &&
	    !bpf_probe_read_kernel(&entry, sizeof(entry), (__u64 *)table.slots + io->slot) &&
	    entry && table_has_nodes())
		entry = (__u64)BPF_CORE_READ((struct io_rsrc_node *)entry, buf);
	if (entry && ubuf_bytes(entry, &bytes)) {
		rec->held_ns = BPF_CORE_READ((struct io_mapped_ubuf *)entry, ubuf);
		rec->extra = bytes;
	}
	trace_thread(rec);
	trace_end(rec);
	return 0;
}

static __noinline int note_fixed(__u64 address)
{
	struct io_kiocb *req = (void *)address;
	struct fixed_io io = {.opcode = BPF_CORE_READ(req, opcode)};

	if (io.opcode != OP_READ_FIXED && io.opcode != OP_WRITE_FIXED)
		return 0;
	io.ring_id = (__u64)BPF_CORE_READ(req, ctx);
	io.addr = BPF_CORE_READ((struct io_rw *)req, addr);
	io.len = BPF_CORE_READ((struct io_rw *)req, len);
	io.slot = BPF_CORE_READ(req, buf_index);
	io.fd = -1;
	return tell_fixed(&io);
}

/* Older kernels look at the table before they begin. */
static __noinline int refuse_fixed(__u64 ring_id, const struct entry *sqe)
{
	const struct fixed_io io = {
		.ring_id = ring_id,
		.addr = sqe->addr,
		.len = sqe->len,
		.slot = sqe->buf_group, /* where buf_index lies */
		.fd = sqe->fd,
		.opcode = sqe->opcode,
	};

	return tell_fixed(&io);
}

#endif
