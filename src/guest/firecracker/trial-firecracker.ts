/**
 * For tests: a process that answers as Firecracker's API does as far as the order of calls goes, and
 * takes vsock connections, which it sends back. It runs no guest. Arguments: --api-sock PATH; --refuse
 * PATH: that call fails; --silent: it never answers; --root FOLDER and --uid UID, of the stand-in of the
 * jailer: all paths are below that folder, and only what that user may read is there. Others are passed over.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createSocketServer } from 'node:net'
import { join } from 'node:path'

const BEFORE = 'The requested operation is not supported before starting the microVM.'
const AFTER = 'The requested operation is not supported after starting the microVM.'
const NO_PCI = 'PCI is not enabled'
const RUNNING =
  'Create snapshot error: Cannot save the microVM state: Operation not allowed: save/restore unavailable while running'
const CONFIGURED =
  'Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources.'

type Body = Record<string, string> & { vsock_override?: { uds_path: string }; resume_vm?: boolean }

const vm = { state: 'Not started', isConfigured: false, hasKernel: false, balloonMib: 0 }
const optionOf = (flag: string) => {
  const at = process.argv.indexOf(flag)
  return at < 0 ? undefined : process.argv[at + 1]
}
const root = optionOf('--root') ?? '/'
const uid = optionOf('--uid')
const inRoot = (path: string | undefined) => join(root, path ?? '')
const apiSocket = inRoot(optionOf('--api-sock'))
const refused = optionOf('--refuse')
const isSilent = process.argv.includes('--silent')
if (existsSync(apiSocket)) {
  process.stderr.write('Failed to open the API socket: it is already used.\n')
  process.exit(1)
}

/** @returns the text of a refusal, undefined for a 204. */
function act(request: string, body: Body): string | undefined {
  const isStarted = vm.state !== 'Not started'
  if (request === 'PATCH /vm') {
    if (!isStarted) return BEFORE
    vm.state = body['state'] === 'Paused' ? 'Paused' : 'Running'
    return undefined
  }
  if (request === 'PATCH /balloon') {
    if (!isStarted) return BEFORE
    vm.balloonMib = Number(body['amount_mib']) // its guest gives at once
    return undefined
  }
  if (request === 'PUT /snapshot/create') return isStarted ? createSnapshot(body) : BEFORE
  if (request === 'PUT /actions' && body['action_type'] !== 'InstanceStart') {
    return isStarted ? undefined : BEFORE
  }
  if (isStarted) return /^PUT \/(drives|network-interfaces)\//.test(request) ? NO_PCI : AFTER
  if (request === 'PUT /snapshot/load') return loadSnapshot(body)
  if (request === 'PUT /actions') {
    if (!vm.hasKernel) {
      return 'Start microvm error: Cannot start microvm without kernel configuration.'
    }
    vm.state = 'Running'
    return undefined
  }
  vm.isConfigured = true
  const file = body['kernel_image_path'] ?? body['path_on_host']
  if (file !== undefined && !mayRead(inRoot(file))) return `Permission denied or no file: ${file}`
  if (request === 'PUT /boot-source') vm.hasKernel = true
  if (request === 'PUT /vsock') listenForHost(inRoot(body['uds_path']))
  return undefined
}

/** Outside of a jail it is not asked what files there are. */
function mayRead(path: string): boolean {
  if (uid === undefined) return true
  if (!existsSync(path)) return false
  const { uid: owner, mode } = statSync(path)
  return owner === Number(uid) || (mode & 0o004) !== 0
}

function createSnapshot(body: Body): string | undefined {
  if (vm.state !== 'Paused') return RUNNING
  writeFileSync(inRoot(body['snapshot_path']), 'state')
  writeFileSync(inRoot(body['mem_file_path']), 'memory')
  return undefined
}

function loadSnapshot(body: Body): string | undefined {
  if (vm.isConfigured) return CONFIGURED
  const path = inRoot(body['snapshot_path'])
  if (!existsSync(path) || readFileSync(path, 'utf8') !== 'state') {
    setImmediate(() => process.exit(1))
    return 'Load snapshot error: Failed to restore from snapshot: CRC64 validation failed'
  }
  listenForHost(inRoot(body.vsock_override?.uds_path))
  vm.state = body.resume_vm === true ? 'Running' : 'Paused'
  return undefined
}

function listenForHost(path: string): void {
  const server = createSocketServer((socket) => {
    socket.once('data', (bytes) => {
      if (!/^CONNECT 10000\n$/.test(bytes.toString())) return socket.destroy()
      socket.write('OK 1073741824\n')
      return socket.pipe(socket)
    })
    socket.on('error', () => socket.destroy())
  })
  server.listen(path)
}

function answer(response: ServerResponse, status: number, value?: unknown): void {
  const text = value === undefined ? '' : JSON.stringify(value)
  response.sendDate = false
  const length = value === undefined ? {} : { 'Content-Length': text.length }
  response.writeHead(status, ' ', { Server: 'Firecracker API', ...length })
  response.end(text)
}

createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  if (isSilent) return undefined
  if (request.url === refused) return answer(response, 400, { fault_message: 'refused' })
  if (request.url === '/balloon/statistics') {
    return answer(response, 200, { actual_mib: vm.balloonMib, target_mib: vm.balloonMib })
  }
  if (request.method === 'GET') return answer(response, 200, { state: vm.state })
  const body = JSON.parse(Buffer.concat(chunks).toString()) as Body
  const fault = act(`${request.method} ${request.url}`, body)
  return answer(response, fault === undefined ? 204 : 400, fault && { fault_message: fault })
}).listen(apiSocket)
