#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "layout.h"

#define MACHINE_COUNT_MAX 16384
#define HOST_COUNT_MAX 65536

struct bucket {
	struct bpf_spin_lock lock;
	__u32 zero;
	__u64 tokens_bytes;
	__u64 filled_ns;
};

#define HASH(NAME, KIND, KEY, VALUE, COUNT)                \
	struct {                                           \
		__uint(type, KIND);                        \
		__uint(max_entries, COUNT);                \
		__uint(map_flags, BPF_F_NO_PREALLOC);      \
		__type(key, KEY);                          \
		__type(value, VALUE);                      \
	} NAME SEC(".maps")

HASH(machines, BPF_MAP_TYPE_HASH, __u32, struct machine, MACHINE_COUNT_MAX);
HASH(addresses, BPF_MAP_TYPE_HASH, struct address_key, __u32, MACHINE_COUNT_MAX);
HASH(hosts, BPF_MAP_TYPE_HASH, __u32, struct route, HOST_COUNT_MAX);
HASH(services, BPF_MAP_TYPE_HASH, struct service_key, __u32, 1024);
HASH(flycast, BPF_MAP_TYPE_HASH, struct six_pn, __u32, 65536);
HASH(destinations4, BPF_MAP_TYPE_LPM_TRIE, struct prefix4, __u32, 4096);
HASH(destinations6, BPF_MAP_TYPE_LPM_TRIE, struct prefix6, __u32, 4096);
HASH(policies, BPF_MAP_TYPE_HASH, __u32, struct policy, MACHINE_COUNT_MAX);
HASH(buckets, BPF_MAP_TYPE_HASH, __u32, struct bucket, MACHINE_COUNT_MAX);
HASH(counters, BPF_MAP_TYPE_PERCPU_HASH, __u32, struct counters, MACHINE_COUNT_MAX + 16);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

/* Sizes, not types: clang leaves out what types behind the pointers of a map in a map are. */
struct flows_of_machine {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOW_COUNT_MAX);
	__uint(key_size, sizeof(struct flow_key));
	__uint(value_size, sizeof(struct flow));
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, MACHINE_COUNT_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__array(values, struct flows_of_machine);
} flows SEC(".maps");
