import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import test from 'node:test'
import { addressOf, listenSockets } from './listen-sockets.ts'

test('addresses are read as the kernel writes them', () => {
  assert.equal(addressOf('0100007F:1F90'), '127.0.0.1:8080')
  assert.equal(addressOf('00000000:0050'), '0.0.0.0:80')
  assert.equal(addressOf('00000000000000000000000000000000:1F90'), '[::]:8080')
  assert.equal(
    addressOf('B80D01200000000067452301EFCDAB89:0001'),
    '[2001:db8::123:4567:89ab:cdef]:1',
  )
  for (const text of ['', 'xyz', '0100007F', '01:02']) assert.equal(addressOf(text), undefined)
})

test('what a process listens on is found among its descriptors, of this kernel', async () => {
  const servers = [
    { host: '127.0.0.1', port: 0 },
    { host: '::1', port: 0 },
  ].map(({ host, port }) => createServer().listen(port, host))
  await Promise.all(
    servers.map((server) => new Promise((resolve) => server.once('listening', resolve))),
  )
  try {
    const ports = servers.map((server) => (server.address() as { port: number }).port)
    const own = `/proc/${process.pid}`
    const read = (path: string) =>
      readFile(path.replace('/proc/1/', `${own}/`)).catch(() => undefined) // as a machine's does
    const found = await listenSockets([process.pid], read)
    const addresses = (found.get(process.pid) ?? []).map(
      ({ proto, address }) => `${proto} ${address}`,
    )
    assert.ok(addresses.includes(`tcp 127.0.0.1:${ports[0]}`), addresses.join())
    assert.ok(addresses.includes(`tcp [::1]:${ports[1]}`), addresses.join())
  } finally {
    for (const server of servers) server.close()
  }
})
