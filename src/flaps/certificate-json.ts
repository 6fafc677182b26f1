import { X509Certificate } from 'node:crypto'
import { timeText } from '#flyd'
import type { Call } from './call.ts'
import type { AppHostname } from './directory.ts'
import type { DnsRecords } from './hostname-lookup.ts'
import type { CertificateRow } from './rows.ts'

/** A host name in a list. */
export function certificateSummary(call: Call, { hostname, createdAtMs }: AppHostname) {
  const rows = goodRows(call, hostname)
  return {
    hostname,
    status: statusOf(rows),
    has_fly_certificate: rows.some(({ source }) => source === 'acme'),
    has_custom_certificate: rows.some(({ source }) => source === 'custom'),
    created_at: timeText(createdAtMs),
    updated_at: timeText(rows[0]?.updatedAtMs ?? createdAtMs),
  }
}

/** All of it. `seen`: what DNS said just now. */
export async function certificateDetail(call: Call, one: AppHostname, seen?: DnsRecords) {
  const { services, app, signal } = call
  const { hostname, createdAtMs } = one
  const rows = goodRows(call, hostname)
  const addresses = await services.directory.addresses.list(app, signal)
  const own = (kinds: readonly string[]) =>
    addresses.filter(({ kind }) => kinds.includes(kind)).map(({ ip }) => ip)
  const [a, aaaa] = [own(['v4', 'shared_v4']), own(['v6'])]
  const records = seen ?? (await services.dns.lookUp(hostname, signal))
  const isHere = (ip: string) => a.includes(ip) || aaaa.includes(ip)
  const leadsHere = [...records.a, ...records.aaaa].some(isHere)
  return {
    hostname,
    configured: leadsHere,
    acme_requested: true,
    status: statusOf(rows),
    dns_provider: '',
    rate_limited_until: null,
    certificates: rows.map(certificateJson),
    validation: {
      dns_configured: leadsHere,
      alpn_configured: leadsHere,
      http_configured: leadsHere,
      ownership_txt_configured: false,
    },
    dns_requirements: { a, aaaa, cname: '' },
    validation_errors: [],
    created_at: timeText(createdAtMs),
  }
}

/** The rows that hold a certificate which is good now. */
function goodRows({ services }: Call, hostname: string): CertificateRow[] {
  const nowMs = services.clock.nowMs()
  return services.rows
    .certificates(hostname)
    .filter(
      ({ chain, notBeforeMs, notAfterMs }) =>
        chain !== '' && notBeforeMs <= nowMs && nowMs < notAfterMs,
    )
}

const statusOf = (rows: readonly CertificateRow[]) =>
  rows.length > 0 ? 'active' : 'pending_validation'

function certificateJson({ source, chain, notBeforeMs, notAfterMs }: CertificateRow) {
  const { issuer, publicKey } = new X509Certificate(chain) // an edge has checked it
  const authority = /^O=(.*)$/m.exec(issuer)?.[1] ?? issuer
  const type = publicKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ecdsa'
  const expiresAt = timeText(notAfterMs)
  return {
    source: source === 'custom' ? 'custom' : 'fly',
    status: 'active',
    created_at: timeText(notBeforeMs),
    expires_at: expiresAt,
    issuer: authority,
    issued: [{ type, expires_at: expiresAt, certificate_authority: authority }],
  }
}
