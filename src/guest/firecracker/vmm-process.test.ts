import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseMachineId } from '#base'
import { type ApiCall, encodeCall, routeOf } from './api-call.ts'
import { ApiClient } from './api-client.ts'
import { bootPlan, loadPlan, suspendPlan, type VmSpec } from './boot-plan.ts'
import { findVmm, isRunning, killVmm, startVmm, type VmmProcess } from './vmm-process.ts'
import { connectVsock } from './vsock.ts'

const TRIAL = join(import.meta.dirname, 'trial-firecracker.ts')
const spec: VmSpec = {
  id: parseMachineId('148ed599c14189'),
  cpu: { count: 1 },
  memoryMib: 128,
  rootfs: { serial: 'root', path: '/root.ext4' },
}
const info = { method: 'GET', path: '/' } as const

function place(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-vmm-'))
  const begun: VmmProcess[] = []
  t.after(async () => {
    for (const vmm of begun) await killVmm(vmm)
    rmSync(folder, { recursive: true, force: true })
  })
  const at = (name: string) => join(folder, name)
  const start = async (apiSocket: string) => {
    const vmm = await startVmm({
      command: process.execPath,
      arguments: [TRIAL, '--api-sock', apiSocket],
      apiSocket,
      logPath: at('log'),
    })
    begun.push(vmm)
    return vmm
  }
  return { at, start }
}

async function echo(path: string): Promise<string> {
  const channel = await connectVsock(path)
  try {
    channel.write('hello')
    const [bytes] = await once(channel, 'data')
    return String(bytes)
  } finally {
    channel.destroy()
  }
}

test('a guest boots, is found again by its pid, is suspended, and goes on in a new process', async (t) => {
  const { at, start } = place(t)
  const first = await start(at('a.sock'))
  {
    using api = new ApiClient(at('a.sock'))
    await api.sendAll(bootPlan(spec, { kernel: '/vmlinux', vsock: at('v.sock'), drives: [] }))
  }
  assert.deepEqual(await findVmm(first.pid), first)
  using adopted = new ApiClient(at('a.sock'))
  assert.deepEqual(await adopted.send(info), { state: 'Running' })
  assert.equal(await echo(at('v.sock')), 'hello')
  const snapshot = { state: at('state'), memory: at('memory') }
  await adopted.sendAll(suspendPlan(snapshot))
  await killVmm(first)
  assert(!(await isRunning(first)))

  await start(at('b.sock'))
  using api = new ApiClient(at('b.sock'))
  await api.sendAll(loadPlan(spec, snapshot, at('v2.sock')))
  assert.deepEqual(await api.send(info), { state: 'Running' })
  assert.equal(await echo(at('v2.sock')), 'hello')
})

test('a snapshot that is broken is refused in the words of Firecracker', async (t) => {
  const { at, start } = place(t)
  await start(at('a.sock'))
  writeFileSync(at('state'), 'broken')
  using api = new ApiClient(at('a.sock'))
  const calls = loadPlan(spec, { state: at('state'), memory: at('memory') }, at('v.sock'))
  await assert.rejects(api.sendAll(calls), { code: 'guest.vmm_refused', message: /CRC64/ })
})

test('a process that ends before it answers is told with its last words', async (t) => {
  const { at, start } = place(t)
  writeFileSync(at('a.sock'), '')
  await assert.rejects(start(at('a.sock')), { code: 'guest.vmm_gone', message: /already used/ })
  const missing = { command: at('none'), arguments: [], apiSocket: at('b.sock'), logPath: at('l') }
  await assert.rejects(startVmm(missing), { code: 'guest.vmm_gone' })
})

test('a process that has the pid of an old guest is neither taken for it nor killed', async (t) => {
  const { at, start } = place(t)
  const vmm = await start(at('a.sock'))
  const old = { pid: vmm.pid, startTicks: '1' }
  assert(!(await isRunning(old)))
  await killVmm(old)
  assert(await isRunning(vmm))
})

interface Exchange extends ApiCall {
  readonly status: number
  readonly response: { readonly fault_message?: string } | null
}

/** What the stand-in answers to by the order of calls alone. It has no devices, and looks at no files. */
const ordered =
  /^PUT \/(machine-config|boot-source|actions|vsock|entropy|balloon|serial)$|^PATCH \/vm$/

function recordedOrder(): Exchange[] {
  const path = join(import.meta.dirname, '../../../test/fixtures/firecracker/postboot.json')
  const { exchanges } = JSON.parse(readFileSync(path, 'utf8')) as { exchanges: Exchange[] }
  return exchanges.filter(
    ({ method, path, body }) =>
      body !== null &&
      (ordered.test(`${method} ${path}`) || (method === 'PUT' && /^\/(drives|network)/.test(path))),
  )
}

test('the stand-in takes and refuses the recorded calls as Firecracker did, before and after the start', async (t) => {
  const { at, start } = place(t)
  await start(at('a.sock'))
  using api = new ApiClient(at('a.sock'))
  const told = recordedOrder().filter((one) => routeOf(one.method, one.path) && isOurs(one))
  assert(told.length > 15, `${told.length} recorded`)
  for (const { method, path, body, response } of told) {
    const uds = path === '/vsock' ? { uds_path: at('v.sock') } : {}
    const sent = api.send({ method, path, body: { ...body, ...uds } })
    const said = response?.fault_message
    if (said === undefined) assert.equal(await sent, undefined, path)
    else
      await assert.rejects(sent, {
        code: 'guest.vmm_refused',
        values: { method, path, status: 400, said },
      })
  }
})

function isOurs(call: ApiCall): boolean {
  try {
    encodeCall(call)
    return true
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'guest.vmm_call_bad')
    return false
  }
}
