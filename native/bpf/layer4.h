/* What stands behind the IP header: ports, message types, extension headers. */
#pragma once
#include "packet.h"

#define EXTENSION_COUNT_MAX 4

enum {
	ICMP6_UNREACHABLE = 1,
	ICMP6_PARAMETER_PROBLEM = 4,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_ROUTER_SOLICITATION = 133,
	ICMP6_ROUTER_ADVERTISEMENT = 134,
	ICMP6_NEIGHBOUR_SOLICITATION = 135,
	ICMP6_NEIGHBOUR_ADVERTISEMENT = 136,
	ICMP6_REDIRECT = 137,
	NEXT_HOP_BY_HOP = 0,
	NEXT_FRAGMENT = 44,
	NEXT_ESP = 50,
	NEXT_AUTHENTICATION = 51,
	NEXT_ICMP6 = 58,
	NEXT_NONE = 59,
	NEXT_DESTINATION_OPTIONS = 60,
	NEXT_SCTP = 132,
};

struct ports {
	__be16 source;
	__be16 target;
};

INLINE bool is_neighbour_message(__u8 type) {
	return type >= ICMP6_ROUTER_SOLICITATION && type <= ICMP6_REDIRECT;
}

INLINE enum drop_reason check_icmp6_type(__u8 type) {
	if (!is_neighbour_message(type)) return DROP_NONE;
	bool is_neighbour = type == ICMP6_NEIGHBOUR_SOLICITATION || type == ICMP6_NEIGHBOUR_ADVERTISEMENT;
	return is_neighbour ? DROP_NEIGHBOUR_SPOOFED : DROP_ROUTER_ADVERTISEMENT;
}

/*
 * Walks the extension headers of a packet that is forwarded. Routing and hop-by-hop headers and unknown
 * ones are refused, wherever they hide; the first fragment must hold the upper header (RFC 7112), and no
 * neighbour message may travel (RFC 6980). What follows in later fragments was refused with the first.
 */
INLINE enum drop_reason check_headers(struct __sk_buff *skb, __u32 at, __u8 next) {
	__u8 bytes[8];
#pragma unroll
	for (int count = 0; count <= EXTENSION_COUNT_MAX; count++) {
		switch (next) {
		case NEXT_NONE:
			return DROP_NONE;
		case IPPROTO_TCP:
		case IPPROTO_UDP:
		case NEXT_ICMP6:
		case NEXT_ESP:
		case NEXT_SCTP:
			if (bpf_skb_load_bytes(skb, at, bytes, 8) < 0) return DROP_MALFORMED;
			return next == NEXT_ICMP6 ? check_icmp6_type(bytes[0]) : DROP_NONE;
		case NEXT_FRAGMENT:
			if (bpf_skb_load_bytes(skb, at, bytes, 8) < 0) return DROP_MALFORMED;
			if (bytes[2] != 0 || (bytes[3] & 0xf8) != 0) return DROP_NONE; /* not the first */
			at += 8;
			break;
		case NEXT_DESTINATION_OPTIONS:
			if (bpf_skb_load_bytes(skb, at, bytes, 2) < 0) return DROP_MALFORMED;
			at += (bytes[1] + 1) * 8;
			break;
		case NEXT_AUTHENTICATION:
			if (bpf_skb_load_bytes(skb, at, bytes, 2) < 0) return DROP_MALFORMED;
			at += (bytes[1] + 2) * 4;
			break;
		default:
			return DROP_EXTENSION_HEADER;
		}
		next = bytes[0];
	}
	return DROP_EXTENSION_HEADER;
}

/* Whether `next` is a protocol that packets for the host itself may carry: no extension header, no fragment. */
INLINE enum drop_reason check_for_host(__u8 next) {
	switch (next) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case NEXT_ICMP6:
		return DROP_NONE;
	case NEXT_FRAGMENT:
		return DROP_FRAGMENT;
	case NEXT_HOP_BY_HOP:
	case IPPROTO_ROUTING:
	case NEXT_DESTINATION_OPTIONS:
	case NEXT_AUTHENTICATION:
		return DROP_EXTENSION_HEADER;
	default:
		return DROP_HOST_SERVICE;
	}
}
