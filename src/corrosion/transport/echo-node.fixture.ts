/** A process with one transport that sends each frame back, for tests that kill it. */
import type { ClusterTls } from './quic-config.ts'
import { openQuicTransport } from './quic-transport.ts'
import type { Transport } from './transport.ts'

process.once('message', async (message) => {
  const { listen, tls } = message as { listen: string; tls: ClusterTls }
  let transport: Transport | undefined
  transport = await openQuicTransport({
    listen,
    tls,
    handlers: {
      datagramReceived: () => undefined,
      frameReceived(payload, from) {
        const answer = Buffer.concat([Buffer.from('    echo '), payload])
        answer.writeUInt32BE(answer.length - 4)
        transport?.sendUni(from, answer)
      },
      sessionOpened: (session) => session.reset(),
    },
  })
  process.send?.({ address: transport.address })
})
process.once('disconnect', () => process.exit()) // never outlives the test
