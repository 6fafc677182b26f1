import { X509Certificate } from 'node:crypto'
import { timeText } from '#flyd'
import type { Call } from './call.ts'
import type { AppHostname, CustomCertificate } from './directory.ts'
import { acmeChallengeName, type DnsRecords, ownershipName } from './hostname-lookup.ts'
import type { CertificateRow } from './rows.ts'

/** Who brought a certificate is told so long before its end: nobody else renews it. */
const WARN_MS = 30 * 86_400_000

/** A host name in a list. DNS is not asked: what it says is in the detail. */
export function certificateSummary(call: Call, one: AppHostname) {
  const { hostname, createdAtMs, wantsAcme, custom } = one
  const rows = gotRows(call, hostname)
  return {
    hostname,
    status: statusOf(rows.length > 0 || isGood(call, custom), true, one),
    acme_requested: wantsAcme,
    has_fly_certificate: rows.length > 0,
    has_custom_certificate: custom !== undefined,
    created_at: timeText(createdAtMs),
    updated_at: timeText(custom?.createdAtMs ?? rows[0]?.updatedAtMs ?? createdAtMs),
  }
}

/** All of it. `seen`: what DNS said just now. */
export async function certificateDetail(call: Call, one: AppHostname, seen?: DnsRecords) {
  const { services, app, signal } = call
  const { hostname, createdAtMs, wantsAcme, custom } = one
  const rows = gotRows(call, hostname)
  const addresses = await services.directory.addresses.list(app, signal)
  const own = (kinds: readonly string[]) =>
    addresses.filter(({ kind }) => kinds.includes(kind)).map(({ ip }) => ip)
  const [a, aaaa] = [own(['v4', 'shared_v4']), own(['v6'])]
  const records = seen ?? (await services.dns.lookUp(hostname, signal))
  const isHere = (ip: string) => a.includes(ip) || aaaa.includes(ip)
  const leadsHere = [...records.a, ...records.aaaa].some(isHere)
  const ownership = {
    name: ownershipName(hostname),
    app_value: `app-${app.id}`,
    org_value: `org-${app.organization.id}`,
  }
  const isTxt = records.ownershipTxt.some(
    (value) => value === ownership.app_value || value === ownership.org_value,
  )
  const isServed = rows.length > 0 || isGood(call, custom)
  return {
    hostname,
    configured: leadsHere,
    acme_requested: wantsAcme,
    status: statusOf(isServed, leadsHere || isTxt || rows.length > 0, one),
    dns_provider: '',
    rate_limited_until: null,
    certificates: [
      ...(custom === undefined ? [] : [customJson(call, custom)]),
      ...rows.map(gotJson),
    ],
    validation: {
      dns_configured: leadsHere,
      alpn_configured: leadsHere,
      http_configured: leadsHere,
      ownership_txt_configured: isTxt,
    },
    dns_requirements: {
      ...{ a, aaaa, cname: '' },
      acme_challenge: { name: acmeChallengeName(hostname), target: '' },
      ownership,
    },
    validation_errors: custom === undefined ? [] : endOf(call, one, custom),
    created_at: timeText(createdAtMs),
  }
}

/** What the edges got that is good now. */
function gotRows({ services }: Call, hostname: string): CertificateRow[] {
  const nowMs = services.clock.nowMs()
  return services.rows
    .certificates(hostname)
    .filter(
      ({ chain, notBeforeMs, notAfterMs }) =>
        chain !== '' && notBeforeMs <= nowMs && nowMs < notAfterMs,
    )
}

const isGood = ({ services }: Call, custom: CustomCertificate | undefined) =>
  custom !== undefined && services.clock.nowMs() < custom.notAfterMs

/** `isOwn`: DNS says that the name is the app's. */
function statusOf(isServed: boolean, isOwn: boolean, { custom }: AppHostname): string {
  if (isServed && isOwn) return 'active'
  return custom !== undefined && !isOwn ? 'pending_ownership' : 'pending_validation'
}

const gotJson = (row: CertificateRow) => certificateJson(row, 'fly', 'active')

const customJson = (call: Call, custom: CustomCertificate) =>
  certificateJson(custom, 'custom', isGood(call, custom) ? 'active' : 'expired')

function certificateJson(
  { chain, notBeforeMs, notAfterMs }: Pick<CertificateRow, 'chain' | 'notBeforeMs' | 'notAfterMs'>,
  source: 'custom' | 'fly',
  status: 'active' | 'expired',
) {
  const { issuer, publicKey } = new X509Certificate(chain) // an edge or this API has checked it
  const authority = /^O=(.*)$/m.exec(issuer)?.[1] ?? issuer
  const type = publicKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ecdsa'
  const expiresAt = timeText(notAfterMs)
  return {
    source,
    status,
    created_at: timeText(notBeforeMs),
    expires_at: expiresAt,
    issuer: authority,
    issued: [{ type, expires_at: expiresAt, certificate_authority: authority }],
  }
}

/** What there is to say about the end of a certificate that nobody renews. */
function endOf({ services }: Call, { wantsAcme }: AppHostname, { notAfterMs }: CustomCertificate) {
  const nowMs = services.clock.nowMs()
  if (nowMs < notAfterMs - WARN_MS) return []
  const isOver = nowMs >= notAfterMs
  const fallback = wantsAcme ? 'the one that edges get takes its place' : 'nothing takes its place'
  return [
    {
      code: isOver ? 'custom_certificate_expired' : 'custom_certificate_expires_soon',
      message: `the custom certificate ${isOver ? 'expired' : 'expires'} at ${timeText(notAfterMs)}; ${fallback}`,
      remediation: 'import its successor, or ask for one that is renewed by itself',
      timestamp: timeText(nowMs),
    },
  ]
}
