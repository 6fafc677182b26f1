/* ARP and neighbour discovery between a machine and its gateway, the host's end of the link. */
#pragma once
#include "layer4.h"

struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender_ip[4];
	__u8 target_mac[6];
	__u8 target_ip[4];
} __attribute__((packed, aligned(4)));

INLINE bool same_mac(const __u8 *a, const __u8 *b) {
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

/* RFC 826; a sender of 0.0.0.0 asks whether its address is free (RFC 5227). */
INLINE enum drop_reason check_arp(struct __sk_buff *skb, const struct machine *machine) {
	struct arp arp;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof arp) < 0) return DROP_MALFORMED;
	if (arp.hardware != bpf_htons(1) || arp.protocol != bpf_htons(ETH_P_IP) || arp.hardware_bytes != 6 ||
	    arp.protocol_bytes != 4)
		return DROP_MALFORMED;
	__u32 sender = FIELD(arp.sender_ip), target = FIELD(arp.target_ip);
	bool is_own = sender == machine->ipv4 || sender == machine->ipv4_second;
	if (!same_mac(arp.sender_mac, machine->mac) || !(is_own || sender == 0)) return DROP_ARP_SPOOFED;
	bool is_of_link = target == machine->ipv4_gateway || target == machine->ipv4 || target == machine->ipv4_second;
	return is_of_link ? DROP_NONE : DROP_ARP_SPOOFED;
}

/* The link-local address that follows from the machine's MAC (RFC 4291, appendix A). */
INLINE bool is_own_link_local(const struct six_pn *address, const __u8 mac[6]) {
	const __u8 *a = (const __u8 *)address;
	return a[0] == 0xfe && a[1] == 0x80 && a[2] == 0 && a[3] == 0 && FIELD(a + 4) == 0 && a[8] == (mac[0] ^ 2) &&
	       a[9] == mac[1] && a[10] == mac[2] && a[11] == 0xff && a[12] == 0xfe && a[13] == mac[3] &&
	       a[14] == mac[4] && a[15] == mac[5];
}

INLINE bool is_unspecified(const struct six_pn *address) {
	const __u8 *a = (const __u8 *)address;
	return FIELD(a) == 0 && FIELD(a + 4) == 0 && FIELD(a + 8) == 0 && FIELD(a + 12) == 0;
}

#define GATEWAY_LOW bpf_htons(1)

/* A neighbour solicitation or advertisement as RFC 4861 has it, for addresses of the machine's own link. */
struct neighbour_message {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__u8 flags[4];
	struct six_pn target;
} __attribute__((packed, aligned(4)));

INLINE enum drop_reason check_neighbour(struct __sk_buff *skb, const struct ip6 *ip, const struct machine *machine) {
	struct neighbour_message message;
	__u8 option[8];
	__u32 at = ETH_HLEN + sizeof *ip;
	if (ip->hop_limit != 255) return DROP_NEIGHBOUR_SPOOFED;
	if (bpf_skb_load_bytes(skb, at, &message, sizeof message) < 0) return DROP_MALFORMED;
	bool is_own = is_of_machine(&message.target, &machine->address);
	bool is_link_local = is_own_link_local(&message.target, machine->mac);
	if (!is_own && !is_link_local) return DROP_NEIGHBOUR_SPOOFED;
	if (message.type == ICMP6_NEIGHBOUR_ADVERTISEMENT && is_own && message.target.low == GATEWAY_LOW)
		return DROP_NEIGHBOUR_SPOOFED;
	if (bpf_ntohs(ip->payload_bytes) < sizeof message + sizeof option) return DROP_NONE;
	if (bpf_skb_load_bytes(skb, at + sizeof message, option, sizeof option) < 0) return DROP_MALFORMED;
	bool is_address = option[0] == 1 || option[0] == 2;
	return !is_address || same_mac(option + 2, machine->mac) ? DROP_NONE : DROP_NEIGHBOUR_SPOOFED;
}
