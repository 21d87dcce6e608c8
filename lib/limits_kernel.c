// SPDX-License-Identifier: MIT
/* How does one ask the kernel? One call each, errno as it comes. */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "limits_kernel.h"

int limits_register(int fd, unsigned int opcode, const void *arg, unsigned int nr_args)
{
	long ret = syscall(__NR_io_uring_register, fd, opcode, arg, nr_args);

	return ret < 0 ? -errno : (int)ret;
}

int limits_setup(unsigned int entries, struct io_uring_params *params)
{
	long fd = syscall(__NR_io_uring_setup, entries, params);

	return fd < 0 ? -errno : (int)fd;
}

int limits_ring_open(struct io_uring *ring)
{
	return io_uring_queue_init(1, ring, 0);
}

void *limits_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void limits_fill(void *memory, size_t bytes, bool huge)
{
	size_t page = limits_page_size();

	madvise(memory, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (size_t i = 0; i < bytes; i += page)
		((volatile char *)memory)[i] = 1;
}

void *limits_map_filled(size_t bytes, bool huge)
{
	void *memory = limits_map(bytes);

	if (memory)
		limits_fill(memory, bytes, huge);
	return memory;
}

void *limits_map_patchwork(uint64_t bytes)
{
	uint64_t end = (bytes + LIMITS_PATCH_BYTES - 1) / LIMITS_PATCH_BYTES * LIMITS_PATCH_BYTES;
	int fd = memfd_create("bufscope", MFD_CLOEXEC);
	char *memory = limits_map(end);

	if (fd < 0 || !memory || ftruncate(fd, LIMITS_PATCH_BYTES) < 0)
		memory = NULL;
	for (uint64_t done = 0; memory && done < end; done += LIMITS_PATCH_BYTES) {
		if (mmap(memory + done, LIMITS_PATCH_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			memory = NULL;
	}
	if (fd >= 0)
		close(fd);
	return memory;
}

int limits_unregister_group(int fd, unsigned int bgid)
{
	const struct bs_buf_reg reg = {.bgid = (uint16_t)bgid};

	return limits_register(fd, IORING_UNREGISTER_PBUF_RING, &reg, 1);
}

int limits_try_group(int fd, const struct bs_buf_reg *reg)
{
	int err = limits_register(fd, IORING_REGISTER_PBUF_RING, reg, 1);

	return err ? err : limits_unregister_group(fd, reg->bgid);
}

int limits_do_one(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit(ring);

	if (ret < 0)
		return ret;
	ret = io_uring_wait_cqe(ring, &cqe);
	if (ret < 0)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

void *limits_kernel_address(void)
{
	uintptr_t number = UINTPTR_MAX - 2 * limits_page_size() + 1;
	void *address;

	memcpy(&address, &number, sizeof(address));
	return address;
}

void limits_settle(void)
{
	struct timespec rest = {.tv_nsec = 2000000};

	/* Each waits for one grace period; where it is refused, the pause must do. */
	syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		rest.tv_nsec = 40000000;
	nanosleep(&rest, NULL);
}

size_t limits_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}
