/** Nodes of a cluster over QUIC on loopback, that remember all that they are sent. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { pollUntil } from '#base'
import {
  type CertificateAuthority,
  generateCertificateRequest,
  generateClientCertificate,
  generateJoiningCa,
  generateServerCertificate,
  signCertificateRequest,
} from '#trust'
import { parseSocketAddress } from '../wire/socket-address.ts'
import type { ClusterTls } from './quic-config.ts'
import { openQuicTransport, type RenewableTransport } from './quic-transport.ts'
import type { Witness } from './transport-contract.ts'

const NAMES = ['127.0.0.1', '::1']

/** As a host has it that was founded with the cluster. */
export async function newClusterTls(ca: CertificateAuthority): Promise<ClusterTls> {
  const server = await generateServerCertificate(ca, { names: NAMES })
  const client = await generateClientCertificate(ca)
  return { caPem: ca.certificatePem, server, client }
}

/** As a host that joined has it: its certificates are of an authority of the cluster's. */
export async function newJoinedTls(ca: CertificateAuthority): Promise<ClusterTls> {
  const joining = await generateJoiningCa(ca)
  const issue = async (names: readonly string[]) => {
    const { requestPem, privateKeyPem } = await generateCertificateRequest()
    return {
      privateKeyPem,
      certificatePem: await signCertificateRequest(joining, requestPem, { names }),
    }
  }
  const server = await issue(NAMES)
  return { caPem: ca.certificatePem, server, client: await issue([]) }
}

export interface QuicWitness extends Witness {
  readonly transport: RenewableTransport
}

export async function openQuicWitness(listen: string, tls: ClusterTls): Promise<QuicWitness> {
  const datagrams: Witness['datagrams'] = []
  const frames: Witness['frames'] = []
  const sessions: Witness['sessions'] = []
  const transport = await openQuicTransport({
    listen,
    tls,
    connectDeadlineMs: 1_000,
    silenceMs: 1_500,
    handlers: {
      datagramReceived: (bytes, from) =>
        datagrams.push({ text: Buffer.from(bytes).toString(), from }),
      frameReceived: (bytes, from) => frames.push({ text: Buffer.from(bytes).toString(), from }),
      sessionOpened: (session) => sessions.push(session),
    },
  })
  return { transport, datagrams, frames, sessions }
}

export async function until(what: string, isSo: () => boolean): Promise<void> {
  await pollUntil(what, isSo, { deadlineMs: 20_000 })
}

/** Passes packets between one client and `target`: those that `passes` lets through. */
export async function openRelay(target: string, passes: (isToTarget: boolean) => boolean) {
  const { port = 0, host = '' } = parseSocketAddress(target) ?? {}
  const socket = createSocket('udp4')
  let clientPort = 0
  socket.on('message', (packet, from) => {
    const isToTarget = from.port !== port
    if (isToTarget) clientPort = from.port
    if (passes(isToTarget)) socket.send(packet, isToTarget ? port : clientPort, host)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return { address: `127.0.0.1:${socket.address().port}`, close: () => socket.close() }
}
