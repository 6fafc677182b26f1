/** What wg-quick takes, with the keys and values that flyctl writes. */
export async function wireguardConfig(
  made: { readonly peerip: string; readonly endpoint: string; readonly pubkey: string },
  privateKey: string,
): Promise<string> {
  const { networkPlatformAddress, networkPrefix, parseSixPn } = await import('#net6')
  const { network } = parseSixPn(made.peerip)
  return `[Interface]
PrivateKey = ${privateKey}
Address = ${made.peerip}/120
DNS = ${networkPlatformAddress(network)}

[Peer]
PublicKey = ${made.pubkey}
AllowedIPs = ${networkPrefix(network)}
Endpoint = ${made.endpoint}
PersistentKeepalive = 15
`
}
