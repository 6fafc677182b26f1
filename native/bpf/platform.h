/*
 * The platform inside each network: fdaa:NETWORK::3. The host has one address for all networks, fdaa::4; a question to
 * a network's own is readdressed to it, and the answer gets the network's back, which is the asker's. So daemons listen at
 * two addresses, whatever the number of networks, and see who asks by the source.
 */
#pragma once
#include "layer4.h"

#define PLATFORM_LOW bpf_htons(3)
#define NETWORK_PLATFORM_LOW bpf_htons(4)

INLINE struct six_pn platform_address(__be16 low) {
	return (struct six_pn){ .ula = ULA, .low = low };
}

/* Of whatever network. */
INLINE bool is_network_platform(const struct six_pn *address) {
	return FIELD(address->host) == 0 && FIELD(address->machine) == 0 && address->low == PLATFORM_LOW;
}

INLINE bool is_platform(const struct six_pn *address) {
	return FIELD(address->network) == 0 && FIELD(address->host) == 0 && FIELD(address->machine) == 0;
}

/* Puts `next_address` in the place of `address`, and changes the checksum behind the header with it (RFC 1624). */
INLINE bool readdress(struct __sk_buff *skb, __u32 at, __u8 next, __u32 offset, struct six_pn *address,
		      struct six_pn *next_address) {
	__u32 checksum_at = at + sizeof(struct ip6);
	__u64 flags = BPF_F_PSEUDO_HDR;
	if (next == IPPROTO_TCP) checksum_at += 16;
	else if (next == IPPROTO_UDP) {
		checksum_at += 6;
		flags |= BPF_F_MARK_MANGLED_0;
	} else if (next == NEXT_ICMP6) checksum_at += 2;
	else return false;
	__s64 change = bpf_csum_diff((void *)address, sizeof *address, (void *)next_address, sizeof *next_address, 0);
	if (bpf_l4_csum_replace(skb, checksum_at, 0, change, flags) < 0) return false;
	return bpf_skb_store_bytes(skb, at + offset, next_address, sizeof *next_address, 0) >= 0;
}

/* What the host says from fdaa::4 is from the network's own address. Other packets stay as they are. */
INLINE bool answer_as_network(struct __sk_buff *skb, __u32 at, struct ip6 *ip) {
	if (!is_platform(&ip->source) || ip->source.low != NETWORK_PLATFORM_LOW) return true;
	struct six_pn address = platform_address(PLATFORM_LOW);
	((struct field *)(void *)address.network)->value = FIELD(ip->target.network);
	return readdress(skb, at, ip->next, offsetof(struct ip6, source), &ip->source, &address);
}
