/** A supervisor as a process: of the parts in FOLDER/parts.json, its socket FOLDER/host.sock. SIGTERM ends it and them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLog } from '#base'
import { serveHostSocket } from './host-socket.ts'
import { HostSupervisor } from './host-supervisor.ts'
import { takeLeftParts } from './left-parts.ts'

const folder = process.argv[2] ?? ''
const log = createLog({ part: 'host', level: 'error' })
const parts = JSON.parse(readFileSync(join(folder, 'parts.json'), 'utf8'))
const policy = { backoff: { baseMs: 10, capMs: 50 }, probePeriodMs: 20 }
const supervisor = new HostSupervisor({ parts, runDir: folder, log, policy })
const [node = '', ...words] = process.argv
const replace = () => process.execve?.(node, [node, ...process.execArgv, ...words])
const socket = await serveHostSocket(supervisor, join(folder, 'host.sock'), log, {
  replaceProgram: replace,
})
supervisor.start(takeLeftParts(folder))
process.once('SIGTERM', async () => {
  await supervisor.stop()
  await socket[Symbol.asyncDispose]()
})
