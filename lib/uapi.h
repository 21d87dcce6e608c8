/* SPDX-License-Identifier: MIT */
/*
 * io_uring ABI newer than the distribution's headers (Debian 12: liburing 2.3, Linux 6.1).
 *
 * Include after <liburing.h>. Constants keep the kernel's names (where a newer header has them as
 * enumerators the macro merely repeats the value); structures carry the prefix bs_, so that they
 * never collide. Values are from include/uapi/linux/io_uring.h.
 */
#ifndef BUFSCOPE_UAPI_H
#define BUFSCOPE_UAPI_H

#include <stdint.h>

/* Flags of struct io_uring_buf_reg (its former pad field). */
#define IOU_PBUF_RING_MMAP 1U /* since 6.4: the kernel allocates the ring memory, mmap it */
#define IOU_PBUF_RING_INC  2U /* since 6.12: buffers are consumed piecewise */

/* mmap offset of a kernel-allocated buffer ring, since 6.4: IORING_OFF_PBUF_RING | bgid << 16 */
#define BS_OFF_PBUF_RING       0x80000000ULL
#define BS_OFF_PBUF_RING_SHIFT 16

/* Added to the opcode: the fd is an index from IORING_REGISTER_RING_FDS; since 6.3 */
#define IORING_REGISTER_USE_REGISTERED_RING (1U << 31)

#define IORING_REGISTER_SYNC_CANCEL   24U /* since 6.0 */
#define IORING_REGISTER_PBUF_STATUS   26U /* since 6.8 */
#define IORING_REGISTER_CLONE_BUFFERS 30U /* since 6.12 */
#define IORING_REGISTER_MEM_REGION    34U /* since 6.13 */
#define IORING_REGISTER_QUERY         35U /* since 6.18; also with fd -1 */
#define IORING_REGISTER_BPF_FILTER    37U /* since 7.0 */

/* Completion: the buffer named stays current in its group, more will follow; since 6.12. */
#define IORING_CQE_F_BUF_MORE (1U << 4)

/* recv/send with several buffers of one group, sqe->ioprio, since 6.10 */
#define IORING_RECVSEND_BUNDLE      (1U << 4)
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)

#define IORING_SETUP_NO_MMAP            (1U << 14) /* since 6.5 */
#define IORING_SETUP_REGISTERED_FD_ONLY (1U << 15) /* since 6.5 */
#define IORING_SETUP_NO_SQARRAY         (1U << 16) /* since 6.6 */
#define IORING_SETUP_HYBRID_IOPOLL      (1U << 17) /* since 6.13 */
#define IORING_SETUP_CQE_MIXED          (1U << 18) /* since 6.18 */
#define IORING_SETUP_SQE_MIXED          (1U << 19) /* since 6.19 */
#define IORING_SETUP_SQ_REWIND          (1U << 20) /* since 7.0 */

#define BS_OP_READ_MULTISHOT 49 /* IORING_OP_READ_MULTISHOT, since 6.7 */
#define BS_OP_READV_FIXED    60 /* IORING_OP_READV_FIXED, since 6.15 */

/* Argument of IORING_REGISTER_PBUF_RING; min_left since 2026 (stable backports: probe it). */
struct bs_buf_reg {
	uint64_t ring_addr;
	uint32_t ring_entries;
	uint16_t bgid;
	uint16_t flags;
	uint32_t min_left; /* with INC: retire a buffer when fewer bytes than this remain */
	uint32_t resv[5];
};
_Static_assert(sizeof(struct bs_buf_reg) == 40, "io_uring_buf_reg is 40 bytes");

/* Argument of IORING_REGISTER_PBUF_STATUS. */
struct bs_buf_status {
	uint32_t buf_group; /* in */
	uint32_t head;      /* out */
	uint32_t resv[8];
};

/* Argument of IORING_REGISTER_CLONE_BUFFERS. */
struct bs_clone_buffers {
	uint32_t src_fd;
	uint32_t flags;
	uint32_t src_off;
	uint32_t dst_off;
	uint32_t nr;
	uint32_t pad[3];
};

#endif
