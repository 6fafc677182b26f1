/**
 * ssh: the SSH protocol of machines: certificates as OpenSSH has them, a server that lets in by them, and
 * a client that shows one. Owns nothing; who is let in where is for its users to say.
 * Reading order: certificate.ts, server.ts (SshTarget is the machine behind it), client.ts.
 */
export type { Certificate, CertificateContent, Door } from './certificate.ts'
export {
  checkCertificate,
  issueCertificate,
  parseCertificate,
  parseCertificateLine,
} from './certificate.ts'
export type { SshClientOptions, SshPty } from './client.ts'
export { SshClient } from './client.ts'
export { Ed25519Key, parsePublicLine } from './ed25519-key.ts'
export type { SshErrorCode } from './errors.ts'
export { SshError } from './errors.ts'
export type { SshCommand, SshProcess, SshServerOptions, SshTarget } from './server.ts'
export { joinDuplex, serveSsh } from './server.ts'
