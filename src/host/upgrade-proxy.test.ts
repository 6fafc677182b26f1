import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createLog, pollUntil } from '#base'
import { serveHostSocket } from './host-socket.ts'
import { HostSupervisor } from './host-supervisor.ts'
import { type DerivedPart, GODWIT } from './parts/derived-part.ts'
import { preparePart } from './prepare-part.ts'
import { upgradeParts } from './upgrade-host.ts'

const log = createLog({ part: 'host', level: 'silent' })
const READY_MS = 60_000

async function listening(): Promise<{ port: number; server: ReturnType<typeof createServer> }> {
  const server = createServer((_request, response) => void response.end('ok'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, server }
}

async function freePort(): Promise<number> {
  const { port, server } = await listening()
  server.close()
  await once(server, 'close')
  return port
}

/** What one new connection gets. */
const visit = (port: number) =>
  new Promise<string>((resolve) => {
    const call = get({ host: '127.0.0.1', port, agent: false }, (response) => {
      response.resume().once('close', () => resolve(String(response.statusCode)))
    })
    call.once('error', (error) => resolve(error.message))
  })

test('the proxy is upgraded under its supervisor without a refused request, twice', {
  timeout: 120_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-upgrade-proxy-'))
  const machine = await listening()
  const port = await freePort()
  const file = join(folder, 'proxy.toml')
  const part: DerivedPart = {
    name: 'proxy',
    command: GODWIT,
    args: ['proxy', 'run', '-c', file],
    probe: { kind: 'tcp', host: '127.0.0.1', port },
    handsOverOn: 'SIGUSR2',
    files: [
      {
        path: file,
        text: `drain_s = 1
[[services]]
app = "web"
ports = [{ port = ${port}, handlers = ["http"] }]
machines = [{ address = "127.0.0.1", port = ${machine.port} }]
`,
      },
    ],
  }
  preparePart(part)
  const supervisor = new HostSupervisor({ parts: [part], runDir: folder, log })
  const socket = join(folder, 'host.sock')
  const served = await serveHostSocket(supervisor, socket, log)
  let isOver = false
  t.after(async () => {
    isOver = true
    await served[Symbol.asyncDispose]()
    await supervisor.stop()
    machine.server.closeAllConnections()
    machine.server.close()
    rmSync(folder, { recursive: true })
  })
  supervisor.start()
  const answered = async () => (await visit(port)) === '200'
  await pollUntil('the proxy', answered, { deadlineMs: READY_MS })
  const answers: string[] = []
  const load = (async () => {
    while (!isOver) answers.push(await visit(port))
  })()
  for (let round = 1; round <= 2; round += 1) {
    const before = answers.length
    const [upgraded] = await upgradeParts(socket, [part], { readyMs: READY_MS })
    assert.equal(upgraded?.how, 'handed_over')
    assert.notEqual(upgraded?.pid, upgraded?.pidBefore)
    await pollUntil('answers of the successor', () => answers.length > before + 20, {
      deadlineMs: READY_MS,
    })
  }
  isOver = true
  await load
  assert.deepEqual([...new Set(answers)], ['200'])
  assert.equal(supervisor.status()[0]?.restarts, 0)
})
