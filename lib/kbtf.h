/* SPDX-License-Identifier: MIT */
/*
 * What only the running kernel's BTF tells: values of anonymous enums, which CO-RE cannot
 * relocate, and the shape of tracepoints.
 */
#ifndef BUFSCOPE_KBTF_H
#define BUFSCOPE_KBTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct btf;

/* An enumerator to look for; value stays as it is when the kernel has none of that name. */
struct kbtf_constant {
	const char *name;
	uint64_t value;
};

/* The kernel's BTF, to be freed with btf__free(); NULL with errno. */
struct btf *kbtf_load(void);

/* Fills in the values of all constants that are found. Returns how many were. */
size_t kbtf_find_constants(const struct btf *btf, struct kbtf_constant *constants, size_t nr);

/*
 * Arguments of a tracepoint as BTF has them (its own plus one), by which signatures are told
 * apart. -ENOENT: the kernel has no such tracepoint.
 */
int kbtf_tracepoint_args(const struct btf *btf, const char *tracepoint);

/* Whether a structure has this member, also inside anonymous members. */
bool kbtf_has_member(const struct btf *btf, const char *structure, const char *member);

/* How many arguments a function takes. -ENOENT: BTF has no such function. */
int kbtf_function_args(const struct btf *btf, const char *function);

/* BTF_KIND_* of what a function returns, 0 for nothing. -ENOENT: BTF has no such function. */
int kbtf_function_returns(const struct btf *btf, const char *function);

#endif
