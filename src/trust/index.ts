/**
 * trust: by what the hosts of a cluster know each other. Owns nothing: keys and certificates are files of others.
 * Reading order: cluster-ca.ts (authorities), host-certificate.ts (what they sign), ca-bundle.ts (which of two a chain holds under),
 * certificate-times.ts, renewal-request.ts (how a host asks for the next), trust-row.ts (what hosts say of it).
 */
export type { BundledAuthority } from './ca-bundle.ts'
export { authoritiesIn, certificatesIn, rootAmong, rootOf } from './ca-bundle.ts'
export { endOf, isDue } from './certificate-times.ts'
export { generateClusterCa, generateJoiningCa, mayMakeAuthorities } from './cluster-ca.ts'
export type { TrustErrorCode } from './errors.ts'
export { TrustError } from './errors.ts'
export type { CertificateRequest } from './host-certificate.ts'
export {
  generateCertificateRequest,
  generateClientCertificate,
  generateServerCertificate,
  LEAF_DAYS,
  namesIn,
  renewCertificate,
  signCertificateRequest,
} from './host-certificate.ts'
export type { CertificateAuthority, IssuedCertificate } from './issuing.ts'
export type { Renewal, SignedRenewal } from './renewal-request.ts'
export { readRenewal, renewalBody, signRenewal } from './renewal-request.ts'
export type { TrustRow } from './trust-row.ts'
export { hostsWithout, TRUST_SQL, trustRowOf } from './trust-row.ts'
