/** What gateways give secrets out on, on the backhaul; other questions of hosts go there too. */
export const SECRETS_PORT = 4282
