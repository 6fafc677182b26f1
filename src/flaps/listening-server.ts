import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ListeningServer extends AsyncDisposable {
  readonly port: number
}

/**
 * Listens, until disposed.
 *
 * @param atEnd what becomes of answers that are under way then: they are finished, or cut off where whoever asked
 *   asks again
 * @throws the system's error: the address is taken, or is not of this host
 */
export async function listening(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
  atEnd: 'finish' | 'cut',
): Promise<ListeningServer> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      if (atEnd === 'finish') server.closeIdleConnections()
      else server.closeAllConnections()
      await closed
    },
  }
}
