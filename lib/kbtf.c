// SPDX-License-Identifier: MIT
/* Which constants and signatures does the running kernel have? */
#include "kbtf.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct btf *kbtf_load(void)
{
	return btf__load_vmlinux_btf();
}

static size_t match(const char *name, uint64_t value, struct kbtf_constant *constants, size_t nr)
{
	for (size_t i = 0; name && i < nr; i++) {
		if (strcmp(name, constants[i].name) == 0) {
			constants[i].value = value;
			return 1;
		}
	}
	return 0;
}

static size_t search_enum(const struct btf *btf, const struct btf_type *type,
			  struct kbtf_constant *constants, size_t nr)
{
	size_t found = 0;

	for (unsigned int i = 0; i < btf_vlen(type); i++) {
		if (btf_is_enum64(type)) {
			const struct btf_enum64 *e = &btf_enum64(type)[i];

			found += match(btf__name_by_offset(btf, e->name_off), btf_enum64_value(e),
				       constants, nr);
		} else {
			const struct btf_enum *e = &btf_enum(type)[i];

			found += match(btf__name_by_offset(btf, e->name_off), (uint32_t)e->val,
				       constants, nr);
		}
	}
	return found;
}

size_t kbtf_find_constants(const struct btf *btf, struct kbtf_constant *constants, size_t nr)
{
	unsigned int nr_types = btf__type_cnt(btf);
	size_t found = 0;

	for (unsigned int i = 1; i < nr_types && found < nr; i++) {
		const struct btf_type *type = btf__type_by_id(btf, i);

		if (btf_is_any_enum(type) && type->name_off == 0)
			found += search_enum(btf, type, constants, nr);
	}
	return found;
}

int kbtf_tracepoint_args(const struct btf *btf, const char *tracepoint)
{
	const struct btf_type *type;
	char name[80];
	int id;

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -ENOENT;
	/* typedef -> pointer -> prototype, whose first argument is the tracepoint's own data */
	type = btf__type_by_id(btf, (unsigned int)id);
	type = type ? btf__type_by_id(btf, type->type) : NULL;
	type = type ? btf__type_by_id(btf, type->type) : NULL;
	return type && btf_is_func_proto(type) ? (int)btf_vlen(type) : -ENOENT;
}

static bool has_member(const struct btf *btf, const struct btf_type *type, const char *member)
{
	const struct btf_member *members = btf_members(type);

	for (unsigned int i = 0; i < btf_vlen(type); i++) {
		const char *name = btf__name_by_offset(btf, members[i].name_off);
		const struct btf_type *inner = btf__type_by_id(btf, members[i].type);

		if (name && strcmp(name, member) == 0)
			return true;
		/* without a name it can only be a structure or a union, never one around itself */
		if (members[i].name_off == 0 && inner && btf_is_composite(inner) &&
		    has_member(btf, inner, member))
			return true;
	}
	return false;
}

bool kbtf_has_member(const struct btf *btf, const char *structure, const char *member)
{
	int id = btf__find_by_name_kind(btf, structure, BTF_KIND_STRUCT);

	return id > 0 && has_member(btf, btf__type_by_id(btf, (unsigned int)id), member);
}

/* NULL: BTF has no such function. */
static const struct btf_type *prototype(const struct btf *btf, const char *function)
{
	int id = btf__find_by_name_kind(btf, function, BTF_KIND_FUNC);

	return id < 0 ? NULL : btf__type_by_id(btf, btf__type_by_id(btf, (unsigned int)id)->type);
}

int kbtf_function_args(const struct btf *btf, const char *function)
{
	const struct btf_type *type = prototype(btf, function);

	return type ? (int)btf_vlen(type) : -ENOENT;
}

int kbtf_function_returns(const struct btf *btf, const char *function)
{
	const struct btf_type *type = prototype(btf, function);

	if (!type)
		return -ENOENT;
	type = btf__type_by_id(btf, type->type);
	while (btf_is_mod(type) || btf_is_typedef(type))
		type = btf__type_by_id(btf, type->type);
	return btf_kind(type);
}
