// SPDX-License-Identifier: MIT
/* Which request is an operation, what does it read from, and does this kernel have it? */
#include <liburing.h>
#include <string.h>

#include "../lib/uapi.h"
#include "load.h"

static const struct load_op ops[] = {
	{
		.name = "recv",
		.needs = "receiving into selected buffers",
		.medium = MEDIUM_SOCKET,
		.opcode = IORING_OP_RECV,
	},
	{
		.name = "recv-multishot",
		.needs = "multishot receive (Linux 6.0)",
		.medium = MEDIUM_SOCKET,
		.opcode = IORING_OP_RECV,
		.ioprio = IORING_RECV_MULTISHOT,
		.multishot = true,
	},
	{
		.name = "recv-bundle",
		.needs = "receive bundles (Linux 6.10)",
		.medium = MEDIUM_SOCKET,
		.opcode = IORING_OP_RECV,
		.ioprio = IORING_RECVSEND_BUNDLE,
		.bundle = true,
	},
	{
		.name = "recv-multishot-bundle",
		.needs = "receive bundles (Linux 6.10)",
		.medium = MEDIUM_SOCKET,
		.opcode = IORING_OP_RECV,
		.ioprio = IORING_RECV_MULTISHOT | IORING_RECVSEND_BUNDLE,
		.multishot = true,
		.bundle = true,
	},
	{
		.name = "recvmsg-multishot",
		.needs = "multishot receive (Linux 6.0)",
		.medium = MEDIUM_SOCKET,
		.opcode = IORING_OP_RECVMSG,
		.ioprio = IORING_RECV_MULTISHOT,
		.multishot = true,
		.header_bytes = sizeof(struct io_uring_recvmsg_out),
	},
	{
		.name = "read-pipe",
		.needs = "reading into selected buffers",
		.medium = MEDIUM_PIPE,
		.opcode = IORING_OP_READ,
	},
	{
		.name = "read-multishot",
		.needs = "multishot read (Linux 6.7)",
		.medium = MEDIUM_PIPE,
		.opcode = BS_OP_READ_MULTISHOT,
		.multishot = true,
	},
	{
		.name = "read-file",
		.needs = "reading into selected buffers",
		.medium = MEDIUM_FILE,
		.opcode = IORING_OP_READ,
	},
	{
		.name = "none",
		.needs = "nothing",
		.medium = MEDIUM_NONE,
	},
};

#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

const struct load_op *load_op_at(size_t index)
{
	return index < NR_OPS ? &ops[index] : NULL;
}

const struct load_op *load_op_find(const char *name)
{
	for (size_t i = 0; i < NR_OPS; i++) {
		if (strcmp(name, ops[i].name) == 0)
			return &ops[i];
	}
	return NULL;
}

bool load_op_supported(const struct load_op *op, struct io_uring *ring)
{
	struct io_uring_probe *probe;
	bool has_opcode;

	if (op->bundle && !(ring->features & IORING_FEAT_RECVSEND_BUNDLE))
		return false;
	probe = io_uring_get_probe_ring(ring);
	if (!probe)
		return true;
	has_opcode = io_uring_opcode_supported(probe, op->opcode);
	io_uring_free_probe(probe);
	return has_opcode;
}
