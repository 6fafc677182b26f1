/*
 * What the programs and src/net6/programs share: keys and values of the maps, and the reasons of drops.
 * The other side is src/net6/programs/map-layout.ts and drop-reason.ts: change both in one commit, and
 * LAYOUT there with them. Numbers are the machine's own byte order, addresses the network's.
 */
#pragma once
#include <linux/types.h>

/* Order is part of the layout. */
enum drop_reason {
	DROP_NONE, /* never counted */
	DROP_MALFORMED,
	DROP_ETHERTYPE,
	DROP_MAC_SPOOFED,
	DROP_SOURCE_SPOOFED,
	DROP_ARP_SPOOFED,
	DROP_NEIGHBOUR_SPOOFED,
	DROP_ROUTER_ADVERTISEMENT,
	DROP_MULTICAST,
	DROP_LINK_LOCAL,
	DROP_IP_OPTIONS,
	DROP_EXTENSION_HEADER,
	DROP_FRAGMENT,
	DROP_HOST_SERVICE,
	DROP_OTHER_NETWORK,
	DROP_DENIED_DESTINATION,
	DROP_FLYCAST_UNKNOWN,
	DROP_MACHINE_UNKNOWN,
	DROP_HOST_UNKNOWN,
	DROP_HOP_LIMIT,
	DROP_RATE,
	DROP_NOT_FOR_MACHINE,
	DROP_REASON_COUNT,
};

/* fdaa:NETWORK:HOST:MACHINE:LOW, each field but the last 32 bits. */
struct six_pn {
	__be16 ula;
	__be16 network[2];
	__be16 host[2];
	__be16 machine[2];
	__be16 low;
};

/* Map `machines`, by the index of the host's end of the machine's link. */
struct machine {
	struct six_pn address; /* low is of no meaning */
	__be32 ipv4;
	__be32 ipv4_second; /* of fly-global-services */
	__be32 ipv4_gateway;
	__u8 mac[6];
	__u8 gateway_mac[6];
	__u64 rate_bytes_per_s; /* 0: unlimited */
	__u64 burst_bytes;
};

/* Map `addresses`: machines of this host by what their 6PN address says. */
struct address_key {
	__be16 network[2];
	__be16 host[2];
	__be16 machine[2];
};

/* Map `hosts`, by the host field of a 6PN address: the way to another host. */
struct route {
	__u32 ifindex; /* of the mesh device */
	__u32 local_generation;
	__u32 remote_generation;
};

/*
 * Map `services`: what machines may ask of the host. The value is 1, but at the unspecified address the index of the device
 * behind which the host answers that port of all machines: see ssh.h.
 */
struct service_key {
	__u8 address[16];
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

/* Maps `destinations4` and `destinations6`: longest prefix decides. */
struct prefix4 {
	__u32 bits;
	__u8 address[4];
};
struct prefix6 {
	__u32 bits;
	__u8 address[16];
};
enum destination {
	DESTINATION_DENIED = 1,
	DESTINATION_EDGE = 2, /* the platform's own anycast addresses, which this host may hold */
	DESTINATION_OPEN = 3, /* an exception within a denied prefix */
};

/* Map `settings`, one entry. */
struct settings {
	__be16 host[2];
};

/* Map `counters`, per CPU, by interface index; `in` is from the machine or from the mesh. */
struct counters {
	__u64 in_packets;
	__u64 in_bytes;
	__u64 out_packets;
	__u64 out_bytes;
	__u64 drops[DROP_REASON_COUNT];
};
