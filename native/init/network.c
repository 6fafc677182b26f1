#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "failure.h"

/* A request of rtnetlink(7): header, fixed part, attributes. */
struct request {
	struct nlmsghdr header;
	union { struct ifinfomsg link; struct ifaddrmsg address; struct rtmsg route; uint8_t bytes[256]; } body;
};

static void begin(struct request *request, uint16_t type, uint16_t flags, size_t fixed_bytes) {
	memset(request, 0, sizeof *request);
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	request->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(fixed_bytes);
}

static void attribute(struct request *request, uint16_t type, const void *value, size_t n) {
	struct rtattr *at = (struct rtattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
	at->rta_type = type;
	at->rta_len = (uint16_t)RTA_LENGTH(n);
	memcpy(RTA_DATA(at), value, n);
	request->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(at->rta_len));
}

/* 0, or the errno of the kernel's answer. */
static int ask(const struct request *request) {
	struct { struct nlmsghdr header; struct nlmsgerr error; uint8_t rest[1024]; } answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), error = 0;
	if (fd < 0) return errno;
	if (send(fd, request, request->header.nlmsg_len, 0) < 0) error = errno;
	else if (recv(fd, &answer, sizeof answer, 0) < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr))) error = EPROTO;
	else if (answer.header.nlmsg_type == NLMSG_ERROR) error = -answer.error.error;
	close(fd);
	return error;
}

static int raise_link(const char *name, uint32_t mtu) {
	struct request request;
	begin(&request, RTM_NEWLINK, 0, sizeof request.body.link);
	request.body.link.ifi_index = (int)if_nametoindex(name);
	request.body.link.ifi_flags = IFF_UP;
	request.body.link.ifi_change = IFF_UP;
	if (request.body.link.ifi_index == 0) return fail_with(ENODEV, "link", name);
	if (mtu > 0) attribute(&request, IFLA_MTU, &mtu, sizeof mtu);
	int error = ask(&request);
	return error == 0 ? 0 : fail_with(error, "link", name);
}

struct ip { uint8_t bytes[16]; uint8_t family, size, bits; };

/* "address" or "address/bits". */
static bool parse_ip(const char *text, struct ip *ip) {
	char address[INET6_ADDRSTRLEN];
	uint64_t bits;
	size_t n = text == NULL ? sizeof address : strcspn(text, "/");
	if (n >= sizeof address) return false;
	memcpy(address, text, n);
	address[n] = 0;
	ip->family = strchr(address, ':') == NULL ? AF_INET : AF_INET6;
	ip->size = ip->family == AF_INET ? 4 : 16;
	if (inet_pton(ip->family, address, ip->bytes) != 1) return false;
	bits = ip->size * 8u;
	if (text[n] == '/' && !parse_number(text + n + 1, bits, &bits)) return false;
	ip->bits = (uint8_t)bits;
	return true;
}

static int add_address(unsigned link, const struct ip *ip, const char *text) {
	struct request request;
	begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof request.body.address);
	request.body.address.ifa_family = ip->family;
	request.body.address.ifa_prefixlen = ip->bits;
	request.body.address.ifa_index = link;
	/* The host gave it to this machine alone: no second of waiting for an objection. */
	request.body.address.ifa_flags = ip->family == AF_INET6 ? IFA_F_NODAD : 0;
	attribute(&request, IFA_LOCAL, ip->bytes, ip->size);
	attribute(&request, IFA_ADDRESS, ip->bytes, ip->size);
	int error = ask(&request);
	return error == 0 || error == EEXIST ? 0 : fail_with(error, "address", text);
}

/* The gateway is on the link, whatever the address's own network is. */
static int add_default_route(unsigned link, const struct ip *gateway, const char *text) {
	struct request request;
	uint32_t index = link;
	begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof request.body.route);
	request.body.route.rtm_family = gateway->family;
	request.body.route.rtm_table = RT_TABLE_MAIN;
	request.body.route.rtm_protocol = RTPROT_BOOT;
	request.body.route.rtm_scope = RT_SCOPE_UNIVERSE;
	request.body.route.rtm_type = RTN_UNICAST;
	request.body.route.rtm_flags = RTNH_F_ONLINK;
	attribute(&request, RTA_GATEWAY, gateway->bytes, gateway->size);
	attribute(&request, RTA_OIF, &index, sizeof index);
	int error = ask(&request);
	return error == 0 || error == EEXIST ? 0 : fail_with(error, "route", text);
}

static int configure_address(const struct record *address) {
	const char *text = record_text(address, 1), *gateway = record_text(address, 2);
	struct ip ip;
	unsigned link = if_nametoindex(address->text);
	if (link == 0) return fail_with(ENODEV, "address", address->text);
	if (!parse_ip(text, &ip)) return fail_with(EINVAL, "address", text);
	if (add_address(link, &ip, text) < 0) return -1;
	if (gateway == NULL || gateway[0] == 0) return 0;
	if (!parse_ip(gateway, &ip)) return fail_with(EINVAL, "route", gateway);
	return add_default_route(link, &ip, gateway);
}

int network_configure(void) {
	struct record record;
	uint64_t mtu;
	if (raise_link("lo", 0) < 0) return -1;
	for (size_t at = 0; config_next(R_LINK, &at, &record);) {
		if (!parse_number(record_text(&record, 1), 65535, &mtu)) mtu = 0;
		if (raise_link(record.text, (uint32_t)mtu) < 0) return -1;
	}
	for (size_t at = 0; config_next(R_ADDRESS, &at, &record);)
		if (configure_address(&record) < 0) return -1;
	return 0;
}
