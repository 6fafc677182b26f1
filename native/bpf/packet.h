#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "maps.h"

#define INLINE static __always_inline
#define ULA bpf_htons(0xfdaa)
/* Network ids whose upper half is a host marker are never given out: see src/net6/six-pn-address.ts. */
#define HOST_MARKER 0x0a7b
#define GENERATION_COUNT 2
/* `machine` of the peers of a gateway, as it stands in the packet. A host draws larger ones for machines. */
#define PEER_MACHINE bpf_htonl(0x0a)
/* The network is what a packet of this mark has on the mesh already. */
#define MESH_MARK 0x6b9a0001

/* linux/ipv6.h has the addresses as structs that cannot be compared. */
struct ip6 {
	__u8 version_class[4];
	__be16 payload_bytes;
	__u8 next;
	__u8 hop_limit;
	struct six_pn source;
	struct six_pn target;
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct ip6) == 40, "an IPv6 header");

/* Fields of addresses lie at odd multiples of two, and the verifier wants the stack read at even ones of four. */
struct field {
	__u32 value;
} __attribute__((packed, aligned(2)));
#define FIELD(A) (((const struct field *)(const void *)(A))->value)
#define SAME(A, B) (FIELD(A) == FIELD(B))

INLINE bool is_host_marker(__be16 word) {
	__u16 generation = bpf_ntohs(word) - HOST_MARKER;
	return generation < GENERATION_COUNT;
}

INLINE struct counters *counters_of(__u32 ifindex) {
	return bpf_map_lookup_elem(&counters, &ifindex);
}

INLINE int drop(struct counters *seen, enum drop_reason reason) {
	if (seen && reason < DROP_REASON_COUNT) seen->drops[reason] += 1;
	return TC_ACT_SHOT;
}

/* A machine's own /112: all but the last 16 bits. */
INLINE bool is_of_machine(const struct six_pn *address, const struct six_pn *own) {
	return address->ula == ULA && SAME(address->network, own->network) && SAME(address->host, own->host) &&
	       SAME(address->machine, own->machine);
}

/* The link to a machine of this host, or the device of its peers; 0: neither. */
INLINE __u32 local_link(const struct six_pn *address) {
	struct address_key key;
	__builtin_memcpy(&key, address->network, sizeof key);
	__u32 *ifindex = bpf_map_lookup_elem(&addresses, &key);
	return ifindex ? *ifindex : 0;
}

/* People's machines: see gateway.h. */
INLINE bool is_peer(const struct six_pn *address) {
	return FIELD(address->machine) == PEER_MACHINE;
}

/*
 * Gives a packet the link header that a machine's link wants; a peer's device wants none, and the kernel takes away
 * what there is. Call it last: what was read of the packet lies elsewhere then.
 */
INLINE bool make_frame(struct __sk_buff *skb, __u32 at, __u32 ifindex, const struct six_pn *target) {
	struct ethhdr ethernet;
	if (is_peer(target)) return true;
	struct machine *machine = bpf_map_lookup_elem(&machines, &ifindex);
	if (!machine) return false;
	__builtin_memcpy(ethernet.h_dest, machine->mac, 6);
	__builtin_memcpy(ethernet.h_source, machine->gateway_mac, 6);
	ethernet.h_proto = bpf_htons(ETH_P_IPV6);
	if (at == 0 && bpf_skb_change_head(skb, ETH_HLEN, 0) < 0) return false;
	return bpf_skb_store_bytes(skb, 0, &ethernet, sizeof ethernet, 0) >= 0;
}

INLINE struct route *route_to(const __be16 host[2]) {
	__u32 key = FIELD(host);
	return bpf_map_lookup_elem(&hosts, &key);
}

/* fdaa:NETWORK:HOST to fdaa:HOST:NETWORK and back. No checksum changes: 16-bit words only move. */
INLINE void swap_fields(struct six_pn *address) {
	__u32 network = FIELD(address->network);
	((struct field *)(void *)address->network)->value = FIELD(address->host);
	((struct field *)(void *)address->host)->value = network;
}
